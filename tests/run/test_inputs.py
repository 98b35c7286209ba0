"""What is loaded from the inputs of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model.config import ScanConfig
from scanner.net.complete import Completer
from scanner.run.inputs import RunInputs, make_completer, make_judgement, make_verifier, new_run_id
from scanner.trust.stores import StoreError
from scanner.x509 import client_certificate
from scanner.x509.client_certificate import ClientCertificateError
from tests.helpers import evidence
from tests.helpers.scanning import check_whole, codes
from tests.tls.peers import certificate_files


def test_run_ids_sort_by_time_and_are_unique() -> None:
    first, second, later = new_run_id(1_800_000_000), new_run_id(1_800_000_000), new_run_id(1_800_000_001)
    assert first.startswith("20270115T080000Z-")
    assert first != second
    assert max(first, second) < later


def test_a_missing_trust_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        make_verifier(RunInputs(trust_stores=[str(tmp_path / "none.pem")]))


@pytest.mark.parametrize(
    ("name", "expected"), [(evidence.HOST, []), (None, []), ("other.example", ["name-not-in-san"])]
)
def test_certificates_from_a_file_are_judged_for_a_name_or_any(name: str | None, expected: list[str]) -> None:
    seen = evidence.evidence(evidence.answered())
    finding = make_judgement(ScanConfig(at=evidence.AT), RunInputs(), evidence.verifier(), run_id="again").file_finding(
        seen, name=name
    )
    assert codes(finding) == expected
    assert finding["run"] == "again"
    check_whole(finding)


def test_a_client_certificate_is_loaded_only_if_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: object) -> None:
        raise AssertionError("a client certificate was loaded")

    monkeypatch.setattr(client_certificate, "load_client_certificate", unexpected)
    assert isinstance(make_completer(RunInputs()), Completer)
    certificate, key = certificate_files("rsa")
    with pytest.raises(AssertionError, match="was loaded"):
        make_completer(RunInputs(client_cert=certificate, client_key=key))


def test_the_key_must_belong_to_the_client_certificate() -> None:
    certificate, key = certificate_files("rsa")
    make_completer(RunInputs(client_cert=certificate, client_key=key))
    with pytest.raises(ClientCertificateError, match="does not belong"):
        make_completer(RunInputs(client_cert=certificate, client_key=certificate_files("ec")[1]))


def test_a_certificate_that_openssl_cannot_use_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = certificate_files("rsa")

    def broken(self: object) -> None:
        raise OSError("unsupported")

    monkeypatch.setattr(Completer, "check", broken)
    with pytest.raises(ClientCertificateError, match="OpenSSL cannot use"):
        make_completer(RunInputs(client_cert=certificate, client_key=key))
