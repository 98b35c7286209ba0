"""A real server that sends SCTs beside its certificate: OpenSSL's, in TLS 1.2 and 1.3."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import trio

from scanner.demo.demo_logs import DemoLog
from scanner.demo.pki import Credential, Pki, pem
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers.loopback_scan import scan_rows

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")

SIGNED_CERTIFICATE_TIMESTAMP = 18
# In a ClientHello, and then in the ServerHello of TLS 1.2 or the Certificate of TLS 1.3 (SSL_EXT_* of OpenSSL)
WHERE = 0x0080 | 0x0100 | 0x1000


def over_certificate(log: DemoLog, certificate: bytes, pki: Pki) -> bytes:
    """An SCT over a certificate as it was issued (x509_entry of RFC 6962 section 3.2)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    timestamp = round((pki.now.timestamp() - 3600) * 1000).to_bytes(8, "big")
    entry = b"\0\0" + len(certificate).to_bytes(3, "big") + certificate
    signature = log.key.sign(b"\0\0" + timestamp + entry + b"\0\0", ec.ECDSA(hashes.SHA256()))
    return (
        log.sign_sct(b"", b"", pki.now)[:33] + timestamp + b"\0\0\4\3" + len(signature).to_bytes(2, "big") + signature
    )


def vector(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def served(directory: Path, pki: Pki, credential: Credential, scts: list[bytes], version: str) -> Finding:
    """The finding of one scan of a server that sends these."""
    (directory / "leaf.pem").write_bytes(pem(credential.leaf))
    (directory / "chain.pem").write_bytes(b"".join(map(pem, credential.chain[1:])))
    (directory / "key.pem").write_bytes(credential.key_pem())
    (directory / "roots.pem").write_bytes(pem(pki.root.der))
    (directory / "ctlogs.json").write_bytes(pki.logs.as_json(pki.now))
    content = vector(b"".join(map(vector, scts)))
    info = WHERE.to_bytes(4, "big") + SIGNED_CERTIFICATE_TIMESTAMP.to_bytes(2, "big") + vector(content)
    label = "SERVERINFOV2 FOR SCTS"
    (directory / "info.pem").write_bytes(
        f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(info) + f"-----END {label}-----\n".encode()
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "leaf.pem", "-cert_chain", "chain.pem"]
    command += ["-key", "key.pem", "-serverinfo", "info.pem", f"-{version}", "-quiet"]
    with subprocess.Popen(
        command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_for(port)
            return trio.run(scanned, directory, port)
        finally:
            server.terminate()


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server did not come up")


async def scanned(directory: Path, port: int) -> Finding:
    roots = str(directory / "roots.pem")
    logs = str(directory / "ctlogs.json")
    inputs = RunInputs(resolvers=("127.0.0.1:9",), trust_stores=(roots,), public_roots=roots, ct_logs=logs)
    target = Target(row=1, host="www.demo.test", port=port, protocol="tls", sni="www.demo.test", address="127.0.0.1")
    (finding,) = await scan_rows([target], inputs, ScanConfig(revocation="off"))
    return finding


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_scts_of_the_tls_extension(version: str, tmp_path: Path) -> None:
    pki = Pki(time.time())
    bare = pki.leaf("www.demo.test", logs=())
    scts = [over_certificate(log, bare.leaf, pki) for log in pki.logs.sufficient]

    finding = served(tmp_path, pki, bare, scts, version)

    shown = finding["endpoints"][0]["scts"]
    assert [(sct["source"], sct["log"], sct["status"]) for sct in shown] == [
        ("tls", "Demo Alder", "valid"),
        ("tls", "Demo Basalt", "valid"),
    ]
    assert [base64.b64decode(sct["raw"]) for sct in shown] == scts
    assert finding["outcome"] == "ok" and finding["diagnoses"] == []


def test_scts_of_another_certificate(tmp_path: Path) -> None:
    pki = Pki(time.time())
    bare, other = pki.leaf("www.demo.test", logs=()), pki.leaf("www.demo.test", logs=())
    scts = [over_certificate(log, other.leaf, pki) for log in pki.logs.sufficient]

    finding = served(tmp_path, pki, bare, scts, "tls1_3")

    assert [diagnosis["code"] for diagnosis in finding["diagnoses"]] == ["too-few-scts", "sct-invalid"]
