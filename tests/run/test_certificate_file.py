from __future__ import annotations

import base64
import hashlib

import pytest

from scanner.run.certificate_file import new_certificates
from tests.helpers.evidence import answered, at, chain, evidence, verdicts


def test_each_certificate_is_recorded_once_with_its_der() -> None:
    certificates = chain()
    seen = evidence(at(answered(certificates), "192.0.2.1"), at(answered(certificates), "192.0.2.2"))
    known: set[bytes] = set()

    found = list(new_certificates(seen, verdicts(seen), known))

    assert [digest for digest, _ in found] == [hashlib.sha256(der).digest() for der in certificates]
    assert [base64.b64decode(record["der"]) for _, record in found] == list(certificates)
    assert known == {digest for digest, _ in found}
    assert list(new_certificates(seen, verdicts(seen), known)) == []


def test_unparsable_certificates_are_recorded() -> None:
    seen = evidence(at(answered([b"\x30\x03abc"])))

    ((_, record),) = new_certificates(seen, verdicts(seen), set())

    assert base64.b64decode(record["der"]) == b"\x30\x03abc"
    assert record["error"]


def test_a_bug_in_describing_keeps_the_der(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OverflowError("injected")

    seen = evidence(at(answered()))
    monkeypatch.setattr("scanner.run.certificate_file.describe", broken)
    found = list(new_certificates(seen, verdicts(seen), set()))
    assert [base64.b64decode(record["der"]) for _, record in found] == list(chain())
    assert all("OverflowError: injected" in record["error"] for _, record in found)


def test_an_endpoint_without_certificates_records_nothing() -> None:
    seen = evidence(at(answered([])))

    assert list(new_certificates(seen, verdicts(seen), set())) == []
