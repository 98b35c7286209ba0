"""Certificates are found again, wherever they are kept."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from scanner.rejudge import certificate_store as kept_in
from scanner.rejudge.certificate_store import CertificateStore, CertificateStoreError


def name(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize("memory", [0, 25, 1000])
def test_certificates_in_memory_and_on_disk_are_found(memory: int) -> None:
    made = [bytes([number]) * 10 for number in range(8)]
    with CertificateStore(memory_bytes=memory) as certificates:
        for der in (*made, *made):
            certificates.put(der)
        assert [certificates.get(name(der)) for der in made] == made
        assert certificates.get(name(b"other")) is None
        assert certificates.get("no hex") is None and certificates.get("") is None


def test_the_database_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    with CertificateStore(memory_bytes=0) as certificates:
        for number in range(500):
            certificates.put(number.to_bytes(2, "big") * 5000)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(kept_in, "_temporary", full)
    with CertificateStore(memory_bytes=0) as certificates, pytest.raises(CertificateStoreError, match="disk is full"):
        certificates.put(b"x")


def test_a_damaged_database_is_an_error() -> None:
    with CertificateStore(memory_bytes=0) as certificates:
        certificates.put(b"x")
        assert certificates._database is not None
        certificates._database.execute("DROP TABLE certificates")
        with pytest.raises(CertificateStoreError, match="cannot read back"):
            certificates.get(name(b"x"))
        with pytest.raises(CertificateStoreError, match="cannot keep"):
            certificates.put(b"y")
