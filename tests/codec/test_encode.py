"""Beside the published fields, exactly the fields of evidence are written that do not have their plain values."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import fields, replace

from scanner.codec.certificate_dedup import Certificates
from scanner.codec.encode import (
    PUBLISHED,
    facts_of_answer,
    facts_of_endpoint,
    facts_of_followup,
    facts_of_target,
)
from scanner.model.evidence import ClientAuthRequest, Deviation, FetchedIssuer
from tests.helpers.evidence import alerted, answered, at, dns, evidence, issuing, leaf, target


def of_endpoint(probe: Any, accepted: Any = None) -> dict[str, Any]:
    return facts_of_endpoint(target(), at(probe), accepted, Certificates(None))


def test_published_fields_exist() -> None:
    for kind, published in PUBLISHED.items():
        assert published < {field.name for field in fields(kind)}


@pytest.mark.parametrize(
    ("changes", "flight"),
    [
        ({}, None),
        ({"random": b"x" * 32}, None),
        ({"alpn": "h2", "sni_acknowledged": True, "hello_retry": True, "scts": (b"x",)}, None),
        ({"version": 0x0303, "finished_valid": None, "random": b"\x01\x02"}, {"random": "AQI="}),
        ({"version": 0x0303, "finished_valid": True}, {"finished_valid": True}),
        ({"finished_valid": None}, {"finished_valid": None}),
        ({"signature_valid": None}, {"signature_valid": None}),
        ({"complete": False}, {"complete": False}),
        ({"dh_bits": 1024}, {"dh_bits": 1024}),
        ({"client_auth": ClientAuthRequest((b"\x30\x00",), (0x0403,))}, {"client_auth": {"authorities": ["MAA="], "schemes": [1027]}}),
        ({"cipher": 0xFEFE, "group": 0x9999}, None),
        ({"group": 0xFE31}, {"group": 0xFE31}),
        (
            {"version": 0x0303, "finished_valid": None, "deviations": (Deviation("no-renegotiation-info"), Deviation("alpn", "X"))},
            {"deviations": [{"kind": "no-renegotiation-info"}, {"kind": "alpn", "message": "X"}]},
        ),
    ],
)  # fmt: skip
def test_only_what_is_unusual_in_a_whole_flight_is_written(
    changes: dict[str, Any], flight: dict[str, Any] | None
) -> None:
    expected = {} if flight is None else {"probe": {"flight": flight}}
    assert of_endpoint(answered(**changes)) == expected


def test_all_fields_of_a_failed_connection_are_written() -> None:
    probe = replace(alerted(40, detail="x", first_bytes=b"\x15"), flight=answered(()).flight)
    observed = of_endpoint(probe)["probe"]
    assert observed["flight"]["version"] == 0x0304
    assert {name: value for name, value in observed.items() if name != "flight"} == {
        "detail": "x", "first_bytes": "FQ==", "bytes_received": 7,
    }  # fmt: skip


def test_another_offer_or_name_is_written() -> None:
    assert of_endpoint(answered(offer="file", sni=None)) == {"probe": {"offer": "file", "sni": None}}


def test_accepted_suites_have_their_version_as_text() -> None:
    assert of_endpoint(answered(), {0x0304: (0x1301,)}) == {"accepted": {"772": [0x1301]}}


def test_a_followup_names_its_certificates_by_hash() -> None:
    certificates = Certificates(None)
    observed = facts_of_followup(answered(sni="x.invalid"), certificates)
    assert observed["flight"]["certificates"] == [leaf().sha256, issuing().sha256]
    assert [entry["source"] for entry in certificates.records()] == ["followup", "followup"]
    assert not {"sni", "offer", "failure", "connect_seconds"} & set(observed)


def test_only_what_is_unusual_in_an_answer_is_written() -> None:
    assert facts_of_answer(dns(cname=("a",))) == {}
    assert facts_of_answer(dns(loop=True, detail="d", caa_owner="o")) == {"loop": True, "detail": "d", "caa_owner": "o"}


def test_fetched_issuers_are_written_with_the_target() -> None:
    certificates = Certificates(None)
    assert facts_of_target(evidence(answered()), certificates) == {}
    seen = replace(evidence(answered()), issuers=(FetchedIssuer("ab", "http://a/", (issuing().der,)),))
    assert facts_of_target(seen, certificates) == {
        "issuers": [{"certificate": "ab", "url": "http://a/", "certificates": [issuing().sha256]}]
    }
    assert [entry["source"] for entry in certificates.records()] == ["aia"]
