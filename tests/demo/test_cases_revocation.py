"""Staples, OCSP responses and CRLs of the cases, checked by OpenSSL."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
import trio
from cryptography import x509

from scanner.demo.cases_revocation import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import DemoAuthority, Pki, pem
from tests.demo.clients import check_refused, check_works, flight_of, leaf_for, messages, untested, using_server_of

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")

# Case -> text in the output of `openssl s_client -status`
STAPLES = {
    "staple-good": "Cert Status: good",
    "revoked-staple": "Cert Status: revoked",
    "staple-expired": "Cert Status: good",
    "staple-of-another": "Cert Status: good",
    "staple-badly-signed": "Cert Status: good",
    "must-staple": "OCSP response: no response sent",
}
ANSWERS = {"revoked-ocsp": "revoked", "asked-and-good": "good"}
# Case -> what `openssl verify -crl_check` says of the certificate with the CRL's URL
LISTS = {
    "revoked-crl": "error 23 at 0 depth lookup: certificate revoked",
    "revoked-intermediate": "error 23 at 0 depth lookup: certificate revoked",
    "asked-and-good": "leaf.pem: OK",
}


async def _run(*command: str) -> str:
    done = await trio.run_process(command, stdin=b"", capture_stdout=True, stderr=subprocess.STDOUT, check=False)
    return " ".join(done.stdout.decode("utf-8", "replace").split())


async def _connected(row: FleetRow, *more: str) -> str:
    at = f"{row.addresses[0]}:{row.port}"
    return await _run("openssl", "s_client", "-connect", at, "-servername", row.host, "-status", *more)


def _write(directory: Path, pki: Pki, *authorities: DemoAuthority) -> None:
    (directory / "root.pem").write_bytes(pem(pki.root.der))
    (directory / "issuer.pem").write_bytes(pem(pki.issuing.der))
    (directory / "between.pem").write_bytes(b"".join(pem(authority.der) for authority in authorities))


@openssl
@pytest.mark.parametrize("name", STAPLES)
def test_openssl_reads_the_staple_of_the_case(name: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        assert STAPLES[name] in await _connected(row, "-tls1_2")


def test_clients_that_do_not_ask_get_no_staple() -> None:
    """Python's ssl never asks for a staple; an unsolicited CertificateStatus would be an error."""

    @using_server_of("staple-good")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert [kind for kind, _ in messages(await flight_of(row))] == [2, 11, 12, 14]


@openssl
@pytest.mark.parametrize("name", ANSWERS)
def test_openssl_verifies_the_ocsp_response_of_the_case(name: str, tmp_path: Path) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        _write(tmp_path, pki)
        (tmp_path / "leaf.pem").write_bytes(pem(await leaf_for(row, row.host)))
        files = [str(tmp_path / name) for name in ("issuer.pem", "leaf.pem", "root.pem", "issuer.pem")]
        issuer, leaf, root, between = files
        said = await _run(
            "openssl", "ocsp", "-issuer", issuer, "-cert", leaf, "-CAfile", root, "-verify_other", between,
            "-url", f"{pki.services_url}/ocsp",
        )  # fmt: skip
        assert "Response verify OK" in said and f"leaf.pem: {ANSWERS[name]}" in said


@openssl
@pytest.mark.parametrize("name", LISTS)
def test_openssl_verifies_with_the_crl_of_the_case(name: str, tmp_path: Path) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        leaf = await leaf_for(row, row.host)
        issuer = x509.load_der_x509_certificate(leaf).issuer
        own = next(authority for authority in pki.authorities if authority.certificate.subject == issuer)
        _write(tmp_path, pki, own)
        (tmp_path / "leaf.pem").write_bytes(pem(leaf))
        checked, by = ("between.pem", pki.root) if name == "revoked-intermediate" else ("leaf.pem", own)
        url = f"{pki.services_url}/crl/{by.certificate.serial_number:x}"
        data = await trio.to_thread.run_sync(lambda: urlopen(url, timeout=5).read())
        (tmp_path / "list.der").write_bytes(data)
        files = [
            "-CAfile",
            tmp_path / "root.pem",
            "-untrusted",
            tmp_path / "between.pem",
            "-CRLfile",
            tmp_path / "list.der",
        ]
        said = await _run("openssl", "verify", "-crl_check", *map(str, files), str(tmp_path / checked))
        assert LISTS[name] in said


@pytest.mark.parametrize(
    "name",
    [
        "must-staple",
        "revoked-ocsp",
        "revoked-crl",
        "revoked-intermediate",
        "asked-and-good",
        "revocation-unknown",
        "short-lived",
    ],
)
def test_clients_that_check_no_revocation_accept_the_certificate(name: str) -> None:
    check_works(name, "TLSv1.3")


def test_the_published_intermediate_is_not_sent() -> None:
    check_refused("intermediate-published", 20)


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
