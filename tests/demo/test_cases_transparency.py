"""The SCTs of the cases, verified by OpenSSL with the fleet's log list."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import pytest
import trio

from scanner.demo.cases_transparency import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from tests.demo.clients import check_works, untested, using_server_of

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")

STATUSES = {
    "healthy": ["valid", "valid"],
    "rsa": ["valid", "valid"],
    "no-scts": [],
    "too-few-scts": ["valid"],
    "unknown-log": ["unknown log", "valid", "valid"],
    "log-retired": ["valid", "valid", "valid"],  # OpenSSL's list has no states
    "sct-invalid": ["invalid", "invalid"],
    "validity-too-long": ["valid", "valid", "valid"],
}


@openssl
@pytest.mark.parametrize("name", STATUSES)
def test_openssl_validates_scts_as_the_case_says(name: str, tmp_path: Path) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        logs = {f"log{number}": log for number, log in enumerate(pki.logs.listed)}
        lines = [f"enabled_logs = {','.join(logs)}"]
        for section, log in logs.items():
            lines += [f"[{section}]", f"description = {log.name}", f"key = {base64.b64encode(log.spki).decode()}"]
        (tmp_path / "ctlogs.cnf").write_text("\n".join(lines) + "\n")
        (tmp_path / "root.pem").write_text(_pem(pki))
        command = ["openssl", "s_client", "-connect", f"{row.addresses[0]}:{row.port}", "-servername", row.host, "-ct"]
        command += ["-ctlogfile", str(tmp_path / "ctlogs.cnf"), "-CAfile", str(tmp_path / "root.pem")]
        done = await trio.run_process(command, stdin=b"", capture_stdout=True, capture_stderr=True, check=False)
        found = re.findall(rb"SCT validation status: (.+)", done.stdout)
        assert sorted(status.decode().strip() for status in found) == STATUSES[name], done.stdout + done.stderr


def _pem(pki: Pki) -> str:
    from scanner.demo.pki import pem

    return pem(pki.root.der).decode()


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_clients_that_require_no_scts_accept_the_certificate(name: str) -> None:
    check_works(name, "TLSv1.3")


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
