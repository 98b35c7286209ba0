"""Shared causes: the root that each code names, and an estate in which some roots hurt many."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.diagnosis.catalogue import CODES
from scanner.fleet.stats import shared_causes as module
from scanner.fleet.stats.shared_causes import EXAMPLES, Root, SharedCauses, root_finders, roots_of, target_of
from tests.helpers.made import RUN, certificate, diagnosis, finding, sha256

CA: dict[str, Any] = {"certificate": "ca" * 32, "subject": "CN=Old CA", "leaf": False}
ROOTS: list[tuple[dict[str, Any], str, str, str]] = [
    (diagnosis("intermediate-expired", None, "192.0.2.1", **CA), "certificate", "ca" * 32, "CN=Old CA"),
    (diagnosis("revoked-crl", None, "192.0.2.1", **CA), "certificate", "ca" * 32, "CN=Old CA"),
    (
        diagnosis("default-certificate", None, "192.0.2.1", certificate="dd" * 32, common_name="Fake"),
        "certificate",
        "dd" * 32,
        "Fake",
    ),
    (diagnosis("connect-timeout", None, "192.0.2.9", port=443), "address", "192.0.2.9", ""),
    (diagnosis("plaintext-on-tls-port", None, "192.0.2.9", recognised="HTTP"), "address", "192.0.2.9", ""),
    (diagnosis("no-certificate", None, "192.0.2.9"), "address", "192.0.2.9", ""),
    (diagnosis("private-address", addresses=["10.0.0.1"]), "address", "10.0.0.1", ""),
    (diagnosis("issuer-unknown", None, "192.0.2.1", certificate="aa", issuer="CN=Who"), "issuer", "CN=Who", ""),
    (diagnosis("intermediate-unobtainable", certificate="aa", issuer="CN=Who"), "issuer", "CN=Who", ""),
    (diagnosis("untrusted-root", certificate="aa", root="CN=Root", subject="x"), "issuer", "CN=Root", ""),
    (
        diagnosis("intermediate-not-sent", missing=[{"sha256": "ee" * 32, "subject": "CN=R3"}], certificate="aa"),
        "certificate",
        "ee" * 32,
        "CN=R3",
    ),
    (diagnosis("intermediate-not-sent", missing=[], missing_subjects=["CN=R3"]), "issuer", "CN=R3", ""),
    (diagnosis("placeholder-certificate", product="Traefik", certificate="aa"), "product", "Traefik", ""),
    (diagnosis("known-middlebox", product="Box", certificate="aa"), "product", "Box", ""),
    (diagnosis("issuer-across-unrelated-names", issuer="CN=Box", certificate="aa"), "issuer", "CN=Box", ""),
    (diagnosis("captive-portal", page="login.example", certificate="aa"), "page", "login.example", ""),
    (diagnosis("nxdomain", status="NXDOMAIN"), "domain", "a.example", ""),
    (diagnosis("dangling-cname", last="gone.cdn.example"), "name", "gone.cdn.example", ""),
    (diagnosis("log-retired", log="Old log", certificate="aa"), "log", "Old log", ""),
    (diagnosis("unknown-log", log=None, log_id="abc=", certificate="aa"), "log", "abc=", ""),
    (diagnosis("store-differs", trusted_by=["mozilla"], refused_by=["system"]), "store", "system", ""),
    (diagnosis("local-clock-wrong", certificate="aa"), "clock of the run", RUN, ""),
    (diagnosis("revocation-blocked", url="http://ca.example/"), "network of the run", RUN, ""),
    (
        diagnosis("endpoints-disagree", None, "192.0.2.2", "192.0.2.1", total=2),
        "addresses",
        "192.0.2.1, 192.0.2.2",
        "",
    ),
    (
        diagnosis(
            "revocation-unknown",
            sources=[
                {"url": "http://crl.ca.example/1", "status": "unavailable"},
                {"url": "http://ocsp.ca.example/", "status": "good"},
            ],
        ),
        "host",
        "crl.ca.example",
        "",
    ),
]


def roots(made: dict[str, Any]) -> dict[Root, str]:
    return roots_of(made, root_finders(made.get("diagnoses")))


@pytest.mark.parametrize(("told", "kind", "key", "name"), ROOTS, ids=[root[0]["code"] for root in ROOTS])
def test_the_root_of_each_code(told: dict[str, Any], kind: str, key: str, name: str) -> None:
    assert roots(finding(1, "www.a.example", told)) == {(told["code"], kind, key): name}


@pytest.mark.parametrize("code", [code.code for code in CODES.values() if code.severity != "note"])
def test_every_code_has_a_root(code: str) -> None:
    """Whatever its evidence holds beside it: the usual fields are there."""
    evidence: dict[str, Any] = {
        "certificate": "aa" * 32, "subject": "CN=a", "issuer": "CN=i", "product": "P", "page": "p", "last": "l.example",
        "addresses": ["192.0.2.1"], "log": "log", "refused_by": ["system"],
    }  # fmt: skip
    assert [root[0] for root in roots(finding(1, "a.example", diagnosis(code, None, "192.0.2.1", **evidence)))] == [
        code
    ]


def test_the_root_is_the_certificate_that_the_evidence_names() -> None:
    """Not the one that the first address sent, which is in order."""
    expired = diagnosis("certificate-expired", None, "192.0.2.2", certificate="bb" * 32, subject="CN=b")
    assert list(roots(finding(1, "a.example", expired))) == [("certificate-expired", "certificate", "bb" * 32)]


def test_further_cases_of_a_code_are_roots_too() -> None:
    also = diagnosis("certificate-expired", certificate="b1", also=[{"certificate": "b2"}, {"certificate": "b3"}, 7])
    assert [key for _, _, key in roots(finding(1, "a", also))] == ["b1", "b2", "b3"]
    dead = diagnosis("connection-refused", None, *(f"192.0.2.{number}" for number in range(9)))
    assert len(roots(finding(1, "a", dead))) == module.ROOTS_OF_ONE


def test_notes_have_no_roots() -> None:
    assert roots(finding(1, "a", diagnosis("root-sent", certificate="aa"))) == {}


def estate() -> list[dict[str, Any]]:
    """Forty hosts behind an expired intermediate, and some smaller misfortunes."""
    shared = certificate("fake.example")
    made = [finding(row, f"h{row}.shop.example", diagnosis("intermediate-expired", **CA)) for row in range(1, 41)]
    made += [
        finding(
            row,
            f"d{row}.shop.example",
            diagnosis("default-certificate", certificate=shared["sha256"], common_name="fake.example"),
            leaf=shared,
        )
        for row in range(41, 61)
    ]
    made += [
        finding(row, f"t{row}.b.example", diagnosis("connect-timeout", None, "192.0.2.7")) for row in range(61, 73)
    ]
    made += [
        finding(
            row, f"u{row}.c.example", diagnosis("issuer-unknown", certificate=sha256(f"{row}"), issuer="CN=Dept CA")
        )
        for row in range(73, 81)
    ]
    made += [
        finding(row, f"own{row}.example", diagnosis("self-signed-leaf", certificate=f"{row}")) for row in range(81, 99)
    ]
    return [*made, finding(99, "fine.example")]


def folded(findings: list[dict[str, Any]]) -> SharedCauses:
    shared = SharedCauses()
    for one in findings:
        shared.add(roots(one), target_of(one))
    return shared


def test_largest_first_with_examples() -> None:
    shown = folded(estate()).to_json()
    assert [(one["code"], one["kind"], one["targets"]) for one in shown] == [
        ("intermediate-expired", "certificate", 40),
        ("default-certificate", "certificate", 20),
        ("connect-timeout", "address", 12),
        ("issuer-unknown", "issuer", 8),
    ]
    assert shown[0]["name"] == "CN=Old CA" and shown[0]["key"] == "ca" * 32
    assert shown[0]["examples"] == [f"h{row}.shop.example:443" for row in (1, 10, 11, 12, 13)]
    assert "name" not in shown[2] and len(shown[3]["examples"]) == EXAMPLES
    assert [one["targets"] for one in folded(estate()).to_json(2)] == [40, 20]


@given(st.permutations(estate()), st.integers(0, 99))
def test_parts_add_up_in_any_order(findings: list[dict[str, Any]], cut: int) -> None:
    left, right = folded(findings[:cut]), folded(findings[cut:])
    left.merge(pickle.loads(pickle.dumps(right)))
    assert left.to_json() == folded(estate()).to_json() and left.complete


def test_roots_of_one_target_are_dropped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROOTS", 20)
    findings = estate()
    rare = [finding(row, f"r{row}.example", diagnosis("weak-key", certificate=f"{row}")) for row in range(100, 400)]
    mixed = [one for pair in zip(rare, findings * 4, strict=False) for one in pair]
    shared = folded(mixed)
    assert len(shared._found) <= 20 and not shared.complete
    assert shared.to_json()[0]["key"] == "ca" * 32
    whole = SharedCauses()
    whole.merge(shared)
    assert not whole.complete


def test_addresses_of_version_6_in_examples() -> None:
    told = diagnosis("connect-timeout", None, "2001:db8::1")
    shown = folded([finding(1, "2001:db8::1", told), finding(2, "2001:db8::1", told)]).to_json()
    assert shown[0]["examples"] == ["[2001:db8::1]:443"] and shown[0]["targets"] == 2


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["certificate", "issuer", "missing", "sources", "url", "also", "last", "addresses", "sha256"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from([*CODES, "of-no-catalogue"]), ANYTHING, ANYTHING, ANYTHING)
def test_no_evidence_is_too_odd(code: str, evidence: Any, endpoints: Any, target: Any) -> None:
    told = {"code": code, "severity": "error", "evidence": evidence, "endpoints": endpoints}
    made = {
        "target": target,
        "diagnoses": [told, evidence],
        "endpoints": endpoints,
        "certificates": endpoints,
        "run": target,
    }
    shared = folded([made, made])
    assert all(isinstance(one["key"], str) and one["targets"] >= 2 for one in shared.to_json())
