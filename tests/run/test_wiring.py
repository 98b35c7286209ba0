"""A run with its real parts, over loopback, and what it does when this machine runs out of files."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from scanner.caching import Cache
from scanner.demo.servers import openssl
from scanner.inventory.exclude import Exclusions
from scanner.model.config import ScanConfig
from scanner.model.evidence import InvalidRow, Target
from scanner.model.findings import Finding
from scanner.net.dns import health, liveness
from scanner.net.dns.resolver_config import ResolverConfigError
from scanner.run.inputs import RunInputs, make_judgement
from scanner.run.row_queue import Row
from scanner.run.scan import Callbacks
from scanner.run.wiring import open_run
from tests.helpers.loopback_scan import scan_rows
from tests.helpers.scanning import check_whole, codes
from tests.net.scripted import HOST, Peer, flight, serving
from tests.tls.peers import certificate_files, server_context

ROOT = Path(__file__).resolve().parents[2]
# The self-signed certificate that the scripted servers show
INPUTS = RunInputs(trust_stores=[certificate_files("ec")[0]])
CONFIG = ScanConfig(retries=0, timeout=5)


async def answers(peer: Peer) -> None:
    await peer.say(flight(await peer.hello(), server_context()))
    await peer.silence()


def excluding(*entries: str) -> Exclusions:
    exclusions = Exclusions()
    for entry in entries:
        exclusions.add(entry)
    return exclusions


def row(number: int, port: int, **changes: Any) -> Target:
    given: dict[str, Any] = {"host": "ec.test", "protocol": "tls", "sni": "ec.test", "address": HOST, **changes}
    return Target(row=number, port=port, **given)


async def scanned(rows: list[Row], inputs: RunInputs = INPUTS, config: ScanConfig = CONFIG) -> list[Finding]:
    findings = await scan_rows(rows, inputs, config)
    assert len(findings) == len(rows)
    for finding in findings:
        check_whole(finding)
    return findings


def test_every_row_becomes_a_finding() -> None:
    async def main() -> None:
        async with serving(answers) as server:
            findings = await scanned(
                [row(1, server.port), row(2, server.port), InvalidRow(3, "bad"), row(4, server.port, protocol="https")]
            )
            assert server.connections == 2
        by_row = {finding["target"]["row"]: finding for finding in findings}
        assert sorted(by_row) == [1, 2, 3, 4]
        assert by_row[3]["outcome"] == "invalid"
        for number in (1, 2, 4):
            (endpoint,) = by_row[number]["endpoints"]
            assert endpoint["version"] == "TLSv1.3"
            assert endpoint["address"] == HOST
            assert by_row[number]["run"] == "test"

    trio.run(main)


def test_a_name_is_resolved_and_starttls_is_spoken() -> None:
    async def smtp(peer: Peer) -> None:
        await peer.say(b"220 x ESMTP\r\n")
        assert (await peer.line()).startswith(b"EHLO")
        await peer.say(b"250 x\r\n")
        await peer.silence()

    async def main() -> None:
        async with serving(smtp) as server:
            # "localhost" is answered without asking anybody (RFC 6761)
            target = row(1, server.port, host="localhost", sni="localhost", protocol="smtp", address=None)
            (finding,) = await scanned([target], config=ScanConfig(retries=0, ipv6=False))
        assert codes(finding) == ["starttls-not-offered"]
        assert finding["dns"] is not None
        assert finding["dns"]["addresses"] == [HOST]

    trio.run(main)


@pytest.mark.parametrize(
    ("entry", "changes", "outcome"),
    [
        ("ec.test", {}, "invalid"),
        (".test", {}, "invalid"),
        ("127.0.0.0/8", {}, "invalid"),
        ("127.0.0.0/8", {"host": HOST, "sni": None, "address": None, "host_is_ip": True}, "invalid"),
        ("127.0.0.0/8", {"host": "localhost", "sni": "localhost", "address": None}, "warn"),
    ],
)
def test_an_excluded_target_is_not_contacted(entry: str, changes: dict[str, Any], outcome: str) -> None:
    async def main() -> None:
        with closing(socket.socket()) as listening:
            listening.bind((HOST, 0))
            listening.listen()
            listening.settimeout(0)
            rows: list[Row] = [row(1, listening.getsockname()[1], id="x", tags={"a": "b"}, **changes)]
            inputs = RunInputs(trust_stores=INPUTS.trust_stores, exclusions=excluding(entry))
            (finding,) = await scanned(rows, inputs, ScanConfig(retries=0, ipv6=False))
            with pytest.raises(BlockingIOError):
                listening.accept()
        assert finding["outcome"] == outcome
        assert (finding["target"]["id"], finding["target"]["tags"]) == ("x", {"a": "b"})
        assert "contacted" in finding["error"]

    trio.run(main)


def test_a_resolver_that_is_not_an_address_is_an_error() -> None:
    async def main() -> None:
        with pytest.raises(ResolverConfigError):
            await scanned([], RunInputs(trust_stores=INPUTS.trust_stores, resolvers=["no address"]))

    trio.run(main)


def test_a_silent_resolver_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "TRY_PAUSE", 0.01)
    monkeypatch.setattr(health, "STARTUP_PATIENCE", 0.1)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        port = sock.getsockname()[1]
    inputs = replace(INPUTS, resolvers=[f"{HOST}:{port}"])
    logged: list[str] = []
    rows = [row(number, 9, host=f"n{number}.test", address=None) for number in range(20)]
    findings = trio.run(partial(scan_rows, rows, inputs, CONFIG, log=logged.append))
    assert len(findings) == 20
    [words] = logged
    assert f"the resolver {HOST}:{port} could not be reached since" in words and words.endswith("its names wait")


# --- files -----------------------------------------------------------------------------------------

SHORT_OF_FILES = """
import json, resource, sys, trio
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.run.scan import Callbacks
from scanner.run.inputs import RunInputs, make_judgement
from scanner.run.wiring import open_run

port, store, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

async def main():
    inputs = RunInputs(trust_stores=[store])
    findings = []
    config = ScanConfig(concurrency=500, retries=0)
    judgement, callbacks = make_judgement(config, inputs, run_id="test"), Callbacks(on_finding=findings.append)
    async with open_run(config, inputs, judgement, callbacks) as run:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        await run.run(
            Target(row=n, host=f"h{n}.test", port=port, protocol="tls", sni=f"h{n}.test", address="127.0.0.1")
            for n in range(1, count + 1)
        )
        seen = run.scan.statistics()
    json.dump({"findings": findings, "limit": seen.pacing.limit, "exhausted": seen.pacing.exhausted}, sys.stdout)

trio.run(main)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_no_target_fails_for_want_of_files() -> None:
    count = 150

    async def slowly(peer: Peer) -> None:
        hello = await peer.hello()
        await trio.sleep(0.05)
        await peer.say(flight(hello, server_context()))
        await peer.stream.receive_some()  # a farewell, or the rest of a handshake that nobody here completes

    async def main() -> Any:
        async with serving(slowly) as server:
            arguments = [str(server.port), str(INPUTS.trust_stores[0]), str(count)]
            done = await trio.run_process(
                [sys.executable, "-W", "error", "-c", SHORT_OF_FILES, *arguments],
                capture_stdout=True,
                cwd=ROOT,
            )
        return json.loads(done.stdout)

    found = trio.run(main)

    assert found["exhausted"] > 0
    assert found["limit"] < 100
    assert sorted(finding["target"]["row"] for finding in found["findings"]) == list(range(1, count + 1))
    for finding in found["findings"]:
        assert not finding.get("error")
        # a name that the certificate does not have is all that is wrong, so it was read to the end
        assert finding["endpoints"][0]["version"] == "TLSv1.3"
        assert finding["endpoints"][0]["stage"] == "done"


def test_a_run_presents_its_client_certificate() -> None:
    """A server that demands a certificate, met without one and with one."""
    certificate, key = certificate_files("ec")
    context = server_context(ask_client=True)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    context.set_alpn_protocols(["http/1.1"])

    async def main(given: RunInputs, config: ScanConfig) -> list[Finding]:
        handler = openssl(context, "hello")
        async with serving(lambda peer: handler(peer.stream)) as server:
            return await scanned([row(1, server.port)], given, config)

    (refused,) = trio.run(main, INPUTS, CONFIG)
    assert "client-certificate-required" in codes(refused)
    (known,) = trio.run(
        main,
        replace(INPUTS, client_cert=certificate, client_key=key),
        replace(CONFIG, authenticate=True),
    )
    assert not any(code.startswith("client-certificate") for code in codes(known))
    asked = known["endpoints"][0]["client_auth"]
    assert asked is not None
    assert (asked["required"], asked.get("accepted")) == (True, True)
    assert known["endpoints"][0]["application"]["status"] == 200


def test_caches_are_smaller_during_a_run_with_little_memory() -> None:
    def kept() -> int:
        cache: Cache[int, bytes] = Cache(10_000, 100_000, lambda key, value: len(value))
        for number in range(2000):
            cache.put(number, bytes(100))
        return len(cache)

    async def run() -> int:
        config = replace(CONFIG, max_memory=180 << 20)
        async with open_run(
            config, INPUTS, make_judgement(config, INPUTS, run_id="r"), Callbacks(on_finding=lambda finding: None)
        ):
            return kept()

    assert (trio.run(run), kept()) == (100, 1000)
