"""An intercepting proxy in front of healthy servers is named in every finding, and nothing else is taken for one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import trio

from scanner.model.findings import Finding
from tests.servers.interception import NAMES, Network
from tests.servers.running import START_TIMEOUT, free_port, loopback_address

MITMDUMP = shutil.which("mitmdump")
needs_mitmproxy = pytest.mark.skipif(
    MITMDUMP is None, reason="mitmdump is not installed (Debian: apt-get install mitmproxy)"
)


@contextmanager
def intercepting(
    directory: Path, address: str, upstream: int, roots: Path, *, at: tuple[str, int] | None = None
) -> Iterator[int]:
    """Run mitmproxy with its own CA in front of ``upstream`` for the block; yield its port."""
    assert MITMDUMP is not None
    front, port = at or (address, free_port(address))
    command = [
        MITMDUMP, "--quiet", "--mode", f"reverse:https://{address}:{upstream}", "--listen-host", front,
        "--listen-port", str(port), "--set", f"confdir={directory / 'mitmproxy'}", "--set", "keep_host_header=true",
        "--set", f"ssl_verify_upstream_trusted_ca={roots}", "--set", "connection_strategy=lazy",
    ]  # fmt: skip
    with (directory / "mitmproxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection((front, port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        os.kill(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def codes(finding: Finding) -> dict[str, str]:
    return {diagnosis["code"]: diagnosis["severity"] for diagnosis in finding["diagnoses"]}


@needs_mitmproxy
def test_mitmproxy_is_named_in_every_finding(tmp_path: Path) -> None:
    address = loopback_address()

    async def main() -> None:
        network = Network(tmp_path)
        async with network.serving(address) as upstream:
            direct = await network.scan(dict.fromkeys(NAMES, address), upstream, public=True)
            earlier = tmp_path / "earlier.ndjson"
            earlier.write_bytes(b"".join(orjson.dumps(finding) + b"\n" for finding in direct.values()))
            proxy = intercepting(tmp_path, address, upstream, network.roots)
            port = await trio.to_thread.run_sync(proxy.__enter__)
            try:
                found = await network.scan(dict.fromkeys(NAMES, address), port)
                # rows of an earlier run are matched by name and port, so a made-up one with this port
                moved = earlier.read_bytes().replace(b'"port":%d' % upstream, b'"port":%d' % port)
                earlier.write_bytes(moved)
                few = await network.scan({NAMES[0]: address}, port, public=True, earlier=earlier)
            finally:
                await trio.to_thread.run_sync(proxy.__exit__, None, None, None)
            healthy = await network.scan(dict.fromkeys(NAMES, address), upstream)
        assert {name: finding["outcome"] for name, finding in healthy.items()} == dict.fromkeys(NAMES, "ok")
        for finding in found.values():
            assert finding["cause"] == "interception"
            assert codes(finding)["known-middlebox"] == codes(finding)["issuer-across-unrelated-names"] == "error"
            proof = {each["code"]: each["evidence"] for each in finding["diagnoses"]}
            assert proof["known-middlebox"]["product"] == "mitmproxy"
            across = proof["issuer-across-unrelated-names"]
            assert across["names_count"] >= 3
            assert "its certificates hold the issuer's own key" in across["reasons"]
        (alone,) = few.values()
        assert "known-middlebox" in codes(alone) and "issuer-across-unrelated-names" not in codes(alone)
        assert codes(alone)["certificate-differs-by-path"] == "warning"

    trio.run(main)


@needs_mitmproxy
def test_a_proxy_that_only_one_resolver_leads_to_is_found(tmp_path: Path) -> None:
    """One resolver sends a name to the proxy, another to the server itself."""
    address = loopback_address()
    proxied = f"{address.rpartition(chr(46))[0]}.251"

    async def main() -> None:
        network, name = Network(tmp_path), NAMES[0]
        async with network.serving(address) as port:
            proxy = intercepting(tmp_path, address, port, network.roots, at=(proxied, port))
            await trio.to_thread.run_sync(proxy.__enter__)
            try:
                lied, true = {name: proxied}, {name: address}
                alone = await network.scan(lied, port, public=True)
                (found,) = (await network.scan(lied, port, public=True, others=[lied, true])).values()
                healthy = await network.scan(true, port, public=True, others=[lied])
            finally:
                await trio.to_thread.run_sync(proxy.__exit__, None, None, None)
        assert "certificate-differs-by-path" not in codes(alone[name])
        assert codes(found)["certificate-differs-by-path"] == "warning"
        (proof,) = (each["evidence"] for each in found["diagnoses"] if each["code"] == "certificate-differs-by-path")
        assert proof["where"].startswith("the resolver 127.") and proof["where"].endswith(f"'s address {address}")
        assert proof["issuer"] != proof["trusted_issuer"]
        # no other resolver is asked about healthy targets
        assert "certificate-differs-by-path" not in codes(healthy[name])

    trio.run(main)


@pytest.mark.parametrize("count", [2, len(NAMES)])
def test_a_private_ca_is_not_taken_for_an_interceptor(tmp_path: Path, count: int) -> None:
    """Its servers are reported as untrusted, but not as intercepted."""
    address = loopback_address()

    async def main() -> None:
        network = Network(tmp_path)
        own, file = network.private()
        names = NAMES[:count]
        async with network.serving(address, names, issuer=own) as port:
            unnamed = await network.scan(dict.fromkeys(names, address), port)
            named = await network.scan(dict.fromkeys(names, address), port, private_cas=[file])
            trusted = await network.scan(dict.fromkeys(names, address), port, stores=[file])
        for name in names:
            assert unnamed[name]["cause"] == named[name]["cause"] == "untrusted-ca"
            # six unrelated names are reported, unless the user declares the CA
            expected = {"issuer-across-unrelated-names": "warning"} if count > 2 else {}
            said = codes(unnamed[name])
            assert {code: said[code] for code in said if code.startswith("issuer-across")} == expected
            assert not any(each["cause"] == "interception" for each in named[name]["diagnoses"])
            assert trusted[name]["outcome"] == "ok"

    trio.run(main)
