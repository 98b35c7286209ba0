"""Real clients confirm that the servers are as their specs say."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.servers import running
from tests.servers.catalogue import ALL_SERVERS, CLOSED_SERVERS, LEGACY_SERVERS, MODERN_SERVERS, by_id
from tests.servers.conftest import Start
from tests.servers.pki import Pki
from tests.servers.running import Server, ServerFailed
from tests.servers.software import ENVIRONMENT
from tests.servers.spec import Expected, ServerSpec

ids = [spec.id for spec in ALL_SERVERS]
OPEN: Final = [spec for spec in ALL_SERVERS if spec not in CLOSED_SERVERS]

SWITCHES: Final = {"TLSv1.0": "-tls1", "TLSv1.1": "-tls1_1", "TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}


def run(command: list[str], stdin: str = "") -> str:
    """Run a client and return its output. Clients exit when their input ends."""
    if shutil.which(command[0], path=ENVIRONMENT["PATH"]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command, input=stdin, env=ENVIRONMENT, capture_output=True, text=True, errors="replace", check=False, timeout=30
    )
    return done.stdout + done.stderr


def s_client(server: Server, *arguments: str) -> str:
    where = ["-connect", f"{server.address}:{server.port}", "-servername", server.name]
    trust = ["-CAfile", str(server.roots), "-verify_return_error", "-verify_hostname", server.name]
    # A client that accepts everything old and weak.
    generous = ["-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0", "-groups", "X25519:P-256:P-384:P-521:ffdhe2048:ffdhe8192"]
    generous += ["-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256"]
    generous += ["-legacy_server_connect"]
    return run(["openssl", "s_client", *where, *trust, *generous, "-showcerts", "-status", *arguments], stdin="Q\n")


def certificates(output: str) -> tuple[bytes, ...]:
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", output, re.DOTALL)
    return tuple(ssl.PEM_cert_to_DER_cert(each) for each in found)


def test_ids_are_unique() -> None:
    assert len(set(ids)) == len(ids)


# Debian's s_client has neither SSL 3.0 nor what only the newest OpenSSL knows
READ_BY_OPENSSL: Final = [s for s in OPEN if s.versions != ("SSLv3",) and s.software != "newest-openssl"]


@pytest.mark.parametrize("spec", READ_BY_OPENSSL, ids=lambda spec: spec.id)
def test_openssl_sees_what_the_spec_says(spec: ServerSpec, start: Start) -> None:
    server = start(spec)

    output = s_client(server, SWITCHES[spec.expected.version])

    assert "Verify return code: 0 (ok)" in output, output[-2000:]
    assert certificates(output)[: len(server.chain)] == server.chain
    said = {"TLSv1.0": r"Protocol *: TLSv1", "TLSv1.3": "New, TLSv1.3, Cipher is .*"}
    expected = said.get(spec.expected.version, rf"Protocol *: {spec.expected.version}")
    assert re.search(rf"^ *{expected}$", output, re.MULTILINE), output[-2000:]
    assert ("OCSP Response Status: successful" in output) == spec.staple
    assert ("Acceptable client certificate CA names" in output) == (
        spec.client_auth != "none" and spec.software != "nss"
    )


@pytest.mark.parametrize("spec", CLOSED_SERVERS, ids=lambda spec: spec.id)
def test_closed_servers_ask_for_a_certificate(spec: ServerSpec, start: Start) -> None:
    server = start(spec)

    output = s_client(server, SWITCHES[spec.expected.version])

    assert "Acceptable client certificate CA names" in output
    assert "Test Root EC" in output


@pytest.mark.parametrize("spec", [s for s in LEGACY_SERVERS if s.legacy], ids=lambda spec: spec.id)
def test_legacy_servers_refuse_a_current_client(spec: ServerSpec, start: Start) -> None:
    server = start(spec)
    context = ssl.create_default_context(cafile=str(server.roots))
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    with (
        socket.create_connection((server.address, server.port), timeout=10) as plain,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(plain, server_hostname=server.name)


# Python's OpenSSL need not be Debian's.
@pytest.mark.parametrize(
    "spec",
    [s for s in MODERN_SERVERS if s.offer == "modern"],
    ids=lambda spec: spec.id,
)
def test_python_accepts_the_modern_servers(spec: ServerSpec, start: Start) -> None:
    server = start(spec)
    context = ssl.create_default_context(cafile=str(server.roots))
    if spec.alpn:
        context.set_alpn_protocols(["h2", "http/1.1"])
    if "legacy-renegotiation" in spec.expected.codes:
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)  # Python 3.12

    with (
        socket.create_connection((server.address, server.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=server.name) as tls,
    ):
        assert tls.version() == spec.expected.version
        assert tls.getpeercert(binary_form=True) == server.chain[0]
        assert tls.selected_alpn_protocol() == spec.expected.alpn


@pytest.mark.parametrize(
    "identifier",
    ["nginx-tls13-ecdsa", "haproxy-tls13-ecdsa", "apache-tls13-ecdsa", "openssl-tls12-staple", "gnutls-tls13-ecdsa"],
)
def test_curl_gets_an_answer(identifier: str, start: Start) -> None:
    server = start(by_id(identifier))
    url = f"https://{server.name}:{server.port}/"
    resolve = f"{server.name}:{server.port}:{server.address}"

    output = run(
        [
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--cacert",
            str(server.roots),
            "--resolve",
            resolve,
            url,
        ]
    )

    assert output in ("200", "204")


def test_ssl3_is_supported(start: Start, pki: Pki, tmp_path: Path) -> None:
    server = start(by_id("nss-ssl3"))
    run(["certutil", "-N", "-d", f"sql:{tmp_path}", "--empty-password"])

    where = ["-h", server.address, "-p", str(server.port), "-d", f"sql:{tmp_path}"]
    output = run(["tstclnt", *where, "-V", "ssl3:ssl3", "-o", "-C", "-Q", "-v"])

    assert "SSL version 3.0" in output


def test_a_server_that_cannot_start_is_reported_with_its_log(pki: Pki, tmp_path: Path) -> None:
    broken = ServerSpec(id="broken", software="openssl", ciphers="NO-SUCH-CIPHER", expected=Expected(version="TLSv1.2"))
    if running.missing("openssl"):
        pytest.skip("openssl is not installed")

    with pytest.raises(ServerFailed, match=r"(?s)broken ended with .*no cipher match"):
        running.start(broken, pki=pki, address=running.loopback_address(), directory=tmp_path)


def test_a_stopped_server_does_not_listen(pki: Pki, tmp_path: Path) -> None:
    spec = by_id("openssl-tls13-p384")
    if (reason := running.missing(spec.software)) is not None:
        pytest.skip(reason)
    server = running.start(spec, pki=pki, address=running.loopback_address(), directory=tmp_path)

    server.stop()

    assert not server.running()
    with pytest.raises(ProcessLookupError):
        os.kill(server.process.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.address, server.port), timeout=1)
