"""Servers that accept too much, or too little, in addition to current parameters, as ``--enumerate`` shows."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from scanner.demo.servers import openssl, run_handler
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers import pki
from tests.helpers.loopback_scan import scan_rows
from tests.servers.conftest import Start
from tests.servers.spec import Expected, ServerSpec
from tests.servers.test_scan import CONFIG, codes, scan

EVERYTHING = replace(CONFIG, enumerate=True)
# All versions from TLS 1.0, and a suite without forward secrecy
CAREFREE = ServerSpec(
    id="nginx-carefree",
    software="nginx",
    versions=("TLSv1.0", "TLSv1.2", "TLSv1.3"),
    key="rsa:2048",
    ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA:AES128-SHA:@SECLEVEL=0",
    expected=Expected(version="TLSv1.3"),
)
STRICT = ServerSpec(
    id="nginx-only-tls13", software="nginx", versions=("TLSv1.3",), expected=Expected(version="TLSv1.3")
)


def test_old_versions_and_weak_suites_are_reported(start: Start) -> None:
    (finding,) = scan([start(CAREFREE)], EVERYTHING)
    assert codes(finding) == {"legacy-version-enabled", "weak-cipher-enabled"}
    assert finding["outcome"] == "warn"
    assert "TLSv1.0" in finding["endpoints"][0]["versions"]


def test_a_server_of_only_the_newest_version_is_noted(start: Start) -> None:
    (finding,) = scan([start(STRICT)], EVERYTHING)
    assert codes(finding) == {"modern-version-only"}
    assert finding["outcome"] == "ok"


def test_without_enumeration_nothing_is_reported(start: Start) -> None:
    assert [codes(finding) for finding in scan([start(CAREFREE), start(STRICT)])] == [set(), set()]


# --- a server with Python's ssl --------------------------------------------------------------------

HOST = "site.servers.test"


def scanned(
    directory: Path,
    config: ScanConfig,
    stores: Callable[[pki.Issued], list[str]],
    arrange: Callable[[ssl.SSLContext], None] = lambda _: None,
) -> Finding:
    """Return the finding on a server of Python's ssl whose certificate is valid."""
    now = time.time()
    root = pki.root("Enumeration Root")
    authority = pki.authority("Enumeration CA", root)
    leaf = pki.certificate(HOST, issuer=authority, not_before=now - 30 * pki.DAY, not_after=now + 60 * pki.DAY)
    chain, key = directory / "chain.pem", directory / "key.pem"
    chain.write_text(pki.pem(leaf, authority))
    key.write_text(leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    arrange(context)

    async def main() -> list[Finding]:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        target = Target(row=1, host=HOST, port=port, protocol="tls", sni=HOST, address="127.0.0.1")
        inputs = RunInputs(trust_stores=stores(root))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, partial(run_handler, openssl(context, HOST)), [listener])
            findings = await scan_rows([target], inputs, config)
            nursery.cancel_scope.cancel()
        return findings

    (finding,) = trio.run(main)
    return finding


def test_a_server_that_requires_a_name_is_noted(tmp_path: Path) -> None:
    def wants_a_name(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        return None if name else ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    def arrange(context: ssl.SSLContext) -> None:
        context.sni_callback = wants_a_name

    roots = tmp_path / "roots.pem"

    def stores(root: pki.Issued) -> list[str]:
        roots.write_text(root.pem)
        return [str(roots)]

    finding = scanned(tmp_path, EVERYTHING, stores, arrange)
    assert "sni-required" in codes(finding), finding["diagnoses"]
    assert finding["outcome"] == "ok"


@pytest.mark.parametrize("trusting_first", [True, False])
def test_a_certificate_that_only_one_store_trusts_is_reported(tmp_path: Path, trusting_first: bool) -> None:
    def stores(root: pki.Issued) -> list[str]:
        trusting, other = tmp_path / "trusting.pem", tmp_path / "other.pem"
        trusting.write_text(root.pem)
        other.write_text(pki.root("Another Root").pem)
        return [str(path) for path in ((trusting, other) if trusting_first else (other, trusting))]

    finding = scanned(tmp_path, CONFIG, stores)
    assert codes(finding) == {"store-differs"}
    assert finding["outcome"] == "warn"
