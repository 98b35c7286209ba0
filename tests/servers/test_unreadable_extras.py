"""Servers whose staple, OCSP response, CRL, published issuer or cookie is malformed; findings keep what else is wrong.

The TLS servers, responders and file servers are real ones on loopback; only their bytes are made up.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from trio.testing import MockClock

from scanner.demo import server_messages
from scanner.demo.client_hello import parse_hello_untrusted
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.fail_on import words_of
from scanner.run.inputs import RunInputs
from scanner.tls import constants as c
from scanner.tls import offers
from scanner.tls.wire import u16, vector8, vector16
from tests.helpers import pki, revocation
from tests.helpers.http import Server, ok
from tests.helpers.http import serving as serving_files
from tests.helpers.loopback_scan import scan_rows
from tests.helpers.pki import DAY, Issued, tlv
from tests.helpers.scanning import check_whole, codes
from tests.net.scripted import Peer, serving
from tests.tls.peers import message, record

NOW = pki.NOW
NAME = "extras.example"
ROOT = pki.root("Extras Root")
CA = pki.authority("Extras CA", ROOT)

Script = Callable[[Peer], Awaitable[None]]


def sending(leaf: Issued, *chain: Issued, staple: bytes | None = None) -> Script:
    """Return a TLS 1.2 server that sends this chain and staple."""
    credential: Any = SimpleNamespace(chain=[leaf.der, *(each.der for each in chain)], key=leaf.private)

    async def script(peer: Peer) -> None:
        said = await peer.hello()
        hello = parse_hello_untrusted(said[5:], len(said))
        suite = server_messages.ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        await peer.say(server_messages.server_flight(hello, server_messages.TLS12, suite, credential, staple=staple))
        await peer.silence()

    return script


def scanned(script: Callable[[int], Script], answers: dict[str, bytes], directory: Path) -> Finding:
    """Return the finding of the server that ``script`` builds for the port of a file server with these answers."""
    roots = directory / "roots.pem"
    roots.write_text(ROOT.pem)
    inputs = RunInputs(resolvers=("127.0.0.1:9",), trust_stores=(str(roots),))

    async def main() -> list[Finding]:
        files: Server
        async with serving_files(answers) as files, serving(script(files.port)) as server:
            config = ScanConfig(private_urls=True, retries=0, at=NOW)
            row = Target(row=1, host=NAME, port=server.port, protocol="tls", sni=NAME, address=server.host)
            return await scan_rows([row], inputs, config)

    # only loopback is involved, and the probe's own timeouts end connections that these servers leave open
    (finding,) = trio.run(main, clock=MockClock(autojump_threshold=0.02))
    check_whole(finding)
    return finding


def check_stands(finding: Finding, cause: str, code: str) -> None:
    """Check that the finding fails for its own reason and is complete."""
    # the scripted server never comes to the end of a handshake, which shows where an answer over HTTP is wanted
    of_certificates = [each for each in finding["diagnoses"] if each["code"] != "closed-during-handshake"]
    first = of_certificates[0]
    assert (finding["outcome"], first["cause"], first["code"]) == ("fail", cause, code), finding.get("error")
    assert "error" not in finding
    assert {"any", code, cause} <= words_of(finding)


def leaf(*, expired: bool = False, name: str = NAME, path: str = "", port: int = 0) -> Issued:
    """Issue a leaf with the URL of its issuer, responder or CRL."""
    url = f"http://127.0.0.1:{port}/{path}"
    extra = {
        "": [],
        "aia": [pki.authority_info_access(issuers=[url])],
        "ocsp": [pki.authority_info_access(ocsp=[url])],
        "crl": [revocation.points(url)],
    }[path]
    return pki.certificate(name, issuer=CA, extra=extra, not_after=NOW - DAY if expired else NOW + 60 * DAY)


HUGE = b"\x01" + bytes(3000)
OCSP_OID = pki.oid("1.3.6.1.5.5.7.48.1.1")
STAPLES = {
    "status-of-3-kB": pki.sequence(tlv(0x0A, HUGE)),
    "response-bytes-with-one-child": pki.sequence(tlv(0x0A, b"\0"), tlv(0xA0, pki.sequence(OCSP_OID))),
    "response-bytes-without-children": pki.sequence(tlv(0x0A, b"\0"), tlv(0xA0, pki.sequence())),
    "reason-of-3-kB": revocation.ocsp_of(
        pki.sequence(
            revocation.certificate_id(leaf(), CA),
            tlv(0xA1, revocation.generalized(NOW - DAY), tlv(0xA0, tlv(0x0A, HUGE))),
            revocation.generalized(NOW - DAY),
        ),
        signer=CA,
    ),
    "nothing": b"",
}


@pytest.mark.parametrize("staple", STAPLES.values(), ids=STAPLES)
def test_a_malformed_staple_does_not_hide_the_fault(staple: bytes, tmp_path: Path) -> None:
    finding = scanned(lambda _: sending(leaf(expired=True), CA, staple=staple), {}, tmp_path)
    check_stands(finding, "expired-or-self-signed", "certificate-expired")
    assert finding["endpoints"][0]["version"] == "TLSv1.2"


@pytest.mark.parametrize("answer", STAPLES.values(), ids=STAPLES)
def test_a_malformed_ocsp_response_does_not_hide_the_fault(answer: bytes, tmp_path: Path) -> None:
    def script(port: int) -> Script:
        return sending(leaf(name="else.example", path="ocsp", port=port), CA)

    # asked by GET and, if that fails, by POST
    check_stands(scanned(script, {"/ocsp": ok(answer)}, tmp_path), "hostname-mismatch", "name-not-in-san")


LISTS = {
    "version-of-3-kB": pki.sequence(
        pki.sequence(tlv(0x02, HUGE)), pki.algorithm(CA.private), pki.bit_string(b"signature")
    ),
    "number-of-children": revocation.crl(
        CA, extensions=[pki.extension("2.5.29.28", b"\x30\x82\x75\x30" + b"\x81\x00" * 15000)]
    ),
    "nothing": b"",
}


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS)
def test_a_malformed_crl_does_not_hide_the_fault(listed: bytes, tmp_path: Path) -> None:
    def script(port: int) -> Script:
        return sending(leaf(name="else.example", path="crl", port=port), CA)

    check_stands(scanned(script, {"/crl": ok(listed)}, tmp_path), "hostname-mismatch", "name-not-in-san")


def _bundle() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        good = pkcs7.serialize_certificates([x509.load_der_x509_certificate(CA.der)], Encoding.DER)
    assert good.count(b"\xa0\x03\x02\x01\x02") == 1
    return good.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x7f")


ISSUERS = {
    "pkcs7-of-version-128": _bundle(),
    "certificate-of-version-3-kB": pki.certificate("x", version=1 << 24000).der,
}


@pytest.mark.parametrize("published", ISSUERS.values(), ids=ISSUERS)
def test_a_malformed_published_issuer_does_not_hide_the_fault(published: bytes, tmp_path: Path) -> None:
    def script(port: int) -> Script:
        return sending(leaf(expired=True, path="aia", port=port))

    finding = scanned(script, {"/aia": ok(published)}, tmp_path)
    check_stands(finding, "expired-or-self-signed", "certificate-expired")
    assert "intermediate-unobtainable" in codes(finding)


@pytest.mark.parametrize("size", [65_000, 65_529])
def test_a_cookie_that_is_too_long_for_a_hello_is_the_servers_fault(size: int, tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        said = await peer.hello()
        session_id = said[44:76]
        extensions = u16(c.EXT_SUPPORTED_VERSIONS) + vector16(u16(offers.TLS13))
        extensions += u16(c.EXT_COOKIE) + vector16(vector16(bytes(size - 8)))
        body = u16(offers.TLS12) + c.HELLO_RETRY_RANDOM + vector8(session_id) + b"\x13\x01\x00" + vector16(extensions)
        whole = message(c.SERVER_HELLO, body)
        for at in range(0, len(whole), 1 << 14):
            await peer.say(record(c.HANDSHAKE, whole[at : at + (1 << 14)]))
        await peer.silence()

    finding = scanned(lambda _: script, {}, tmp_path)
    check_stands(finding, "server-misconfiguration", "malformed-handshake")
    assert "a ClientHello has room for" in str(finding["diagnoses"][0]["evidence"])
