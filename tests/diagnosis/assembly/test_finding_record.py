"""Findings: what was seen, copied whole; text exact and valid; every one of them validates against the schema."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from scanner.diagnosis.assembly.finding_record import for_another_row, invalid_finding, without_der
from scanner.model.evidence import (
    ClientAuthRequest,
    DnsStatus,
    Evidence,
    Failure,
    InvalidRow,
    Stage,
)
from tests.helpers import pki
from tests.helpers.evidence import (
    ADDRESS,
    alerted,
    answered,
    at,
    dns,
    evidence,
    failed,
    finding_of,
    issuing,
    leaf,
    root,
    target,
)
from tests.helpers.schema import validate


def made(seen: Evidence, **changes: Any) -> dict[str, Any]:
    """The finding as a reader gets it: written and read again, and valid."""
    record = finding_of(seen, **changes)
    read: dict[str, Any] = orjson.loads(orjson.dumps(record))
    validate(read)
    return read


def test_healthy_finding_has_every_published_field() -> None:
    row = target(tags={"owner": "web", "n": 3}, id="x1")
    record = made(evidence(answered(alpn="h2", sni_acknowledged=True, scts=(b"sct",)), of=row))
    assert record["schema"] == "tlsweep/1" and record["run"] == "run-1"
    assert record["target"] == {
        "row": 1, "id": "x1", "host": "www.example.org", "port": 443, "protocol": "https", "sni": "www.example.org",
        "address": None, "tags": {"owner": "web", "n": 3},
    }  # fmt: skip
    assert (record["outcome"], record["stage"], record["cause"]) == ("ok", "done", None)
    assert record["started"] == "2026-11-23T12:00:00.000Z" and record["duration_ms"] == 50.0
    endpoint = record["endpoints"][0]
    assert {key: endpoint[key] for key in ("version", "cipher", "group", "alpn", "sni_accepted", "stage", "error")} == {
        "version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "group": "X25519MLKEM768", "alpn": "h2",
        "sni_accepted": True, "stage": "done", "error": None,
    }  # fmt: skip
    assert endpoint["chain"] == [leaf().sha256, issuing().sha256]
    assert endpoint["trust"] == {
        "test": {"trusted": True, "anchor": root().sha256, "path": [leaf().sha256, issuing().sha256, root().sha256]}
    }
    assert endpoint["timing_ms"] == {"connect": 3.0, "handshake": 10.0}
    assert endpoint["client_auth"] == {"requested": False, "required": False, "authorities": []}
    assert "ocsp" not in endpoint
    assert [(sct["source"], sct["status"], sct["raw"]) for sct in endpoint["scts"]] == [("tls", "unverified", "c2N0")]
    assert [certificate["sha256"] for certificate in record["certificates"]] == endpoint["chain"]
    assert record["dns"] == {
        "status": "NOERROR", "cname": [], "addresses": [ADDRESS], "dnssec": "insecure", "resolver": "192.0.2.53",
        "source": "dns",
    }  # fmt: skip
    assert "error" not in record


def test_certificate_on_two_addresses_is_written_once() -> None:
    record = made(evidence(at(answered()), at(answered(), "192.0.2.2")))
    assert len(record["certificates"]) == 2 and len(record["endpoints"]) == 2


def test_finding_of_another_row_has_no_der() -> None:
    record = finding_of(evidence(answered()), [None])
    other = for_another_row(without_der(record), target(id="again"))
    assert (other["target"]["id"], other["endpoints"]) == ("again", record["endpoints"])
    assert all("der" in entry for entry in record["certificates"])
    assert not any("der" in entry for entry in other["certificates"]) and len(other["certificates"]) == 2


def test_options_that_are_not_the_default_are_written() -> None:
    assert made(evidence(answered()), judged_with={"at": 5})["judged_with"] == {"at": 5}
    assert "judged_with" not in made(evidence(answered()), judged_with={})


def test_failed_probe_is_written_with_its_followups() -> None:
    seen = evidence(
        at(alerted(40), everything=answered(version=0x0303, cipher=0x009E, group=None), no_sni=alerted(112))
    )
    endpoint = made(seen)["endpoints"][0]
    assert (endpoint["error"], endpoint["alert"]) == ("alert", {"level": 2, "code": 40, "name": "handshake_failure"})
    assert (endpoint["stage"], endpoint["version"]) == ("hello", "TLSv1.2")
    observed = endpoint["followups"][0].pop("observed")
    assert observed["flight"]["cipher"] == 0x009E and "group" not in observed["flight"]
    assert endpoint["followups"][0] == {
        "question": "everything", "offer": "modern", "sni": "www.example.org", "result": "ok", "version": "TLSv1.2",
        "cipher": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    }  # fmt: skip
    assert endpoint["followups"][1]["alert"] == "unrecognized_name"


def test_client_certificate_request_is_written_with_its_cas() -> None:
    authority = pki.name(C="DE", CN="Clients CA")
    seen = evidence(answered(client_auth=ClientAuthRequest((authority, b"\xff\xff"), ())))
    asked = made(seen)["endpoints"][0]["client_auth"]
    assert (asked["requested"], asked["required"]) == (True, None)
    assert asked["authorities"][0] == "CN=Clients CA,C=DE" and len(asked["authorities"]) == 2


def test_enumerated_versions_and_suites_are_listed() -> None:
    endpoint = made(evidence(at(answered(), accepted={0x0304: (0x1301,), 0x0303: (0xC02F,), 0x0300: ()})))["endpoints"][
        0
    ]
    assert endpoint["versions"] == ["TLSv1.3", "TLSv1.2"]
    assert endpoint["ciphers"] == ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]


def test_certificates_that_cannot_be_read_are_still_counted() -> None:
    record = made(evidence(answered((b"garbage", issuing().der))))
    assert len(record["endpoints"][0]["chain"]) == 2
    assert record["certificates"][0]["subject"] is None and record["certificates"][0]["error"]


@pytest.mark.parametrize(
    ("answer", "dnssec"),
    [
        (dns(), "insecure"),
        (dns(authenticated=True), "secure"),
        (dns(DnsStatus.SERVFAIL, bogus=True), "bogus"),
        (dns(DnsStatus.TIMEOUT), "indeterminate"),
        (dns(source="hosts"), "indeterminate"),
    ],
)
def test_dnssec_status_of_each_answer(answer: Any, dnssec: str) -> None:
    assert made(evidence(answer=answer))["dns"]["dnssec"] == dnssec


def test_caa_and_tlsa_records_are_written() -> None:
    answer = dns(
        caa=((128, "issue", "a.example"),),
        tlsa=((3, 1, 1, b"\x01\x02"),),
        extended_errors=((15, "blocked"),),
        cname=("b",),
    )
    record = made(evidence(answered(), answer=answer))["dns"]
    assert record["caa"] == [{"flags": 128, "tag": "issue", "value": "a.example"}]
    assert record["tlsa"] == [{"usage": 3, "selector": 1, "matching_type": 1, "data": "0102"}]
    assert record["extended_errors"] == [{"code": 15, "text": "blocked"}]
    assert "caa" not in made(evidence(answered()))["dns"]


def test_invalid_row_has_an_error_and_no_endpoint() -> None:
    row = InvalidRow(7, "port 99999 is no port\ud800", host="a\udcff", tags={"x": {"y": [1, 2**70]}}, id=2**80)
    record = orjson.loads(orjson.dumps(invalid_finding(row, "run-1", started=1.5)))
    validate(record)
    assert (record["outcome"], record["stage"], record["target"]["row"]) == ("invalid", "inventory", 7)
    assert record["error"] == "port 99999 is no port\\ud800"
    assert record["target"]["host"] == "a\\udcff"
    assert record["target"]["tags"] == {"x": {"y": [1, str(2**70)]}}


def test_bug_of_ours_is_in_the_error() -> None:
    record = made(evidence(at(failed(Failure.BUG, detail="KeyError", stage=Stage.HELLO))))
    assert (record["outcome"], record["cause"], record["endpoints"][0]["error"]) == ("warn", None, "bug")
    assert "KeyError" in record["error"]


def test_address_without_a_verdict_is_described() -> None:
    seen = evidence(answered())
    record = finding_of(seen, [None])
    assert record["endpoints"][0]["trust"] == {} and len(record["certificates"]) == 2
