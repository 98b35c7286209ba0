"""The page of a finding is complete, ordered, and harmless whatever it shows."""

from __future__ import annotations

import io
from typing import Any, cast

import orjson
import pytest
from msgspec.structs import replace

from scanner.cli.finding_page import FOLLOWUPS_SHOWN, show
from scanner.diagnosis.assembly import finding_record
from scanner.model.evidence import Failure, InvalidRow, Stage
from scanner.model.findings import Finding
from tests.helpers import pki
from tests.helpers.evidence import AT, alerted, answered, at, evidence, failed, finding_of, issuing

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\r\nRoot: trusted"


def page(*findings: Finding, **given: Any) -> str:
    stream = io.StringIO()
    show(findings, stream, **given)
    return stream.getvalue()


def test_errors_come_first() -> None:
    finding = finding_of(evidence(at(answered())))
    about = {"cause": "dns", "summary": "So it is.", "evidence": {}}
    finding["diagnoses"] = cast(
        "Any", [{**about, "severity": severity, "code": f"a-{severity}"} for severity in ("note", "warning", "error")]
    )

    shown = page(finding)

    assert shown.index("a-error") < shown.index("a-warning") < shown.index("a-note")


def test_hostile_texts_are_shown_harmlessly() -> None:
    certificate = pki.certificate(HOSTILE, issuer=issuing(), san=["www.example.org"], not_after=AT - pki.DAY)
    finding = finding_of(evidence(at(answered([certificate, issuing()]))))
    finding["diagnoses"][0]["summary"] += HOSTILE
    finding["diagnoses"][0]["evidence"][HOSTILE] = [HOSTILE, {"deeper": HOSTILE}]
    finding["clients"][HOSTILE] = HOSTILE
    finding["endpoints"][0]["alpn"] = HOSTILE

    shown = page(finding)

    for character in "\x1b\x07\u202e\r":
        assert character not in shown
    assert not any(line.lstrip().startswith("Root: trusted") for line in shown.splitlines())
    assert "\\x1b" in shown
    assert HOSTILE in orjson.loads(orjson.dumps(finding))["diagnoses"][0]["summary"]


def test_unreadable_certificates_and_failures_are_shown() -> None:
    shown = page(
        finding_of(evidence(at(answered([b"\x30\x03abc"])))),
        finding_of(evidence(at(alerted(40)))),
        finding_of(evidence(at(failed(Failure.CONNECTION_REFUSED)))),
        finding_record.invalid_finding(InvalidRow(row=3, reason=f"no host {HOSTILE}"), "run"),
    )

    for part in ("cannot be read", "handshake_failure", "connection-refused", "row 3", "INVALID", "no host"):
        assert part in shown
    assert "\x1b" not in shown


def test_a_refused_connection_is_not_shown_as_connected() -> None:
    seen = failed(Failure.CONNECTION_REFUSED, stage=Stage.CONNECT)
    shown = page(finding_of(evidence(at(replace(seen, connect_seconds=0.25)))))

    assert " tried for 250.0 ms" in shown
    assert "connected in" not in shown


def test_long_lists_are_cut_and_counted() -> None:
    certificates = [pki.certificate(f"{number}", issuer=issuing()) for number in range(12)]
    finding = finding_of(evidence(at(answered(certificates))))
    finding["endpoints"][0]["followups"] = cast(
        "Any", [{"question": f"q{n}", "offer": "o", "sni": None, "result": "ok"} for n in range(FOLLOWUPS_SHOWN + 3)]
    )

    shown = page(finding)

    assert "and 4 more" in shown
    assert "and 3 more questions" in shown
    assert certificates[0].sha256[:16] in shown
    assert certificates[0].sha256 not in shown


@pytest.mark.parametrize("requested", [True, False])
def test_a_request_for_a_client_certificate_is_shown(requested: bool) -> None:
    finding = finding_of(evidence(at(answered())))
    finding["endpoints"][0]["client_auth"] = {"requested": requested, "required": True, "authorities": []}

    assert ("client certificate" in page(finding)) == requested


def test_only_commands_are_wider_than_the_terminal() -> None:
    finding = finding_of(evidence(at(answered([pki.certificate("x" * 300, issuer=issuing())]))))

    for line in page(finding).splitlines():
        assert len(line) <= 80 or "confirm: " in line
        assert line == line.rstrip()
