"""A login page in place of what was asked is known by what it says of itself; any site's own pages are not one."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.model.evidence import Completion, EndpointEvidence, Stage
from scanner.trust.portal_pages import Page, page_of
from scanner.trust.verdicts import ChainVerdict
from tests.helpers import pki
from tests.helpers.evidence import HOST, answered, evidence, root, verdicts, verifier

PORTAL = pki.certificate("login.hotel.example", issuer=root())


def endpoint(leaf: pki.Issued = PORTAL, **answer: Any) -> tuple[EndpointEvidence, ChainVerdict]:
    completions = {"http": Completion(Stage.DONE, **answer)} if answer else {}
    seen = EndpointEvidence("192.0.2.1", answered([leaf]), completions=completions)
    (verdict,) = verdicts(evidence(seen), verifier())
    assert verdict is not None
    return seen, verdict


def page(leaf: pki.Issued = PORTAL, **answer: Any) -> Page | None:
    return page_of(HOST, *endpoint(leaf, **answer))


def test_pages_that_identify_themselves_are_portals() -> None:
    found = page(status=511)
    assert found is not None and found.proof is not None and "511" in found.proof
    assert found.page.startswith("the page under certificate ")
    found = page(status=200, reply=b"<html><!--<WISPAccessGatewayParam xmlns=..>--></html>")
    assert found is not None and found.proof is not None and "WISPr" in found.proof
    found = page(status=511, location="https://login.hotel.example/go?from=x")
    assert found is not None and found.page == "login.hotel.example/go" and found.proof is not None


def test_a_known_portal_key_is_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    assert page() is None
    monkeypatch.setattr("scanner.trust.portal_pages.is_portal_key", lambda leaf: True)
    for answer in ({}, {"status": 200}, {"status": 302, "location": "https://a.example/x"}):
        found = page(**answer)
        assert found is not None and found.proof == "its key is known for a portal's"


def test_a_redirect_to_a_login_page_is_not_proof() -> None:
    found = page(status=302, location="https://wlan.hotel.example/guest/login?to=www.example.org")
    assert found == Page("wlan.hotel.example/guest/login", "wlan.hotel.example")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 200, "reply": b"<title>Welcome</title>"},
        {"status": 301, "location": "https://www.acme.example/"},  # a brand that moved
        {"status": 302, "location": "/login"},  # its own
        {"status": 302, "location": f"https://login.{HOST}/"},
        {"status": 302, "location": "https://example.org/login"},
        {"status": 302, "location": "http://[broken/login"},
        {"status": 302},
        {"status": 404, "location": "https://x.example/login"},
    ],
)
def test_ordinary_responses_are_not_portals(answer: dict[str, Any]) -> None:
    assert page(**answer) is None


def test_a_certificate_for_the_name_is_never_a_portal() -> None:
    own = pki.certificate(HOST, issuer=root())
    assert page(own, status=511) is None
    assert page_of(HOST, endpoint(status=511)[0], None) is None
