"""Certificates are described once in each finding, and written with their DER once in each output."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from scanner.codec.certificate_dedup import Certificates, Fragments
from tests.helpers import pki
from tests.helpers.evidence import issuing, leaf


def written(certificates: Certificates) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = orjson.loads(orjson.dumps(certificates.records()))
    return read


def test_without_fragments_each_finding_has_the_der() -> None:
    for _ in range(2):
        certificates = Certificates(None)
        assert certificates.sent(leaf().parsed) == certificates.sent_bytes(leaf().der) == leaf().sha256
        assert [base64.b64decode(entry["der"]) for entry in written(certificates)] == [leaf().der]


def test_only_the_first_finding_of_an_output_has_the_der() -> None:
    fragments = Fragments()
    first, *later = [collected(fragments) for _ in range(3)]
    assert [entry.pop("der") for entry in first] == [
        base64.b64encode(certificate.der).decode() for certificate in (leaf(), issuing())
    ]
    assert later == [first, first]
    assert len(fragments) == 2


def collected(fragments: Fragments) -> list[dict[str, Any]]:
    certificates = Certificates(fragments)
    certificates.sent(leaf().parsed)
    certificates.sent(issuing().parsed)
    return written(certificates)


def test_a_certificate_that_was_evicted_is_not_written_with_its_der_again() -> None:
    """Only the text is made anew: a record is whole once more when tens of thousands of others came between."""
    fragments = Fragments(limit=1)
    for _ in range(2):
        collected(fragments)
    assert len(fragments) == 1
    assert all("der" not in entry for entry in collected(fragments))


def test_certificates_that_no_server_sent_have_a_source() -> None:
    fragments = Fragments()
    certificates = Certificates(fragments)
    certificates.sent(leaf().parsed)
    certificates.further(leaf().parsed, "followup")
    certificates.further(issuing().parsed, "shipped")
    entries = written(certificates)
    assert [(entry["sha256"], entry.get("source"), "der" in entry) for entry in entries] == [
        (leaf().sha256, None, True),
        (issuing().sha256, "shipped", True),
    ]
    later = Certificates(fragments)
    later.further_bytes(issuing().der, "run")
    assert [(entry["source"], "der" in entry) for entry in written(later)] == [("run", False)]
    # and once more as a fragment
    last = Certificates(fragments)
    last.sent(issuing().parsed)
    assert [("source" in entry, "der" in entry) for entry in written(last)] == [(False, False)]
    again = Certificates(fragments)
    again.further(issuing().parsed, "aia")
    assert [(entry["source"], "der" in entry) for entry in written(again)] == [("aia", False)]


def test_bytes_that_are_no_certificate_are_written_with_an_error() -> None:
    fragments = Fragments()
    for _ in range(2):
        certificates = Certificates(fragments)
        assert certificates.further_bytes(b"garbage", "aia") == certificates.sent_bytes(b"garbage")
        (entry,) = written(certificates)
        assert entry["error"] and base64.b64decode(entry["der"]) == b"garbage"


def test_a_certificate_that_was_sent_has_no_source() -> None:
    other = pki.certificate("other.example")
    certificates = Certificates(None)
    certificates.sent(other.parsed)
    certificates.further_bytes(other.der, "run")
    assert "source" not in written(certificates)[0]
