"""A run put together from its real parts, over loopback; and what it does when this machine runs out of files."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, trio_test

from scanner.caching import Cache
from scanner.demo.servers import openssl
from scanner.inventory.exclude import Exclusions
from scanner.model.config import ScanConfig
from scanner.model.evidence import InvalidRow, Target
from scanner.model.findings import Finding
from scanner.net.complete import Completer
from scanner.net.dns import health as dns_health
from scanner.net.dns import liveness as dns_life
from scanner.net.dns.resolver_config import ResolverConfigError
from scanner.run import wiring as module
from scanner.run.row_queue import Row
from scanner.run.scan import Callbacks
from scanner.run.wiring import (
    Material,
    ipv6_usable,
    make_judgement,
    make_verifier,
    new_run_id,
    open_session,
    without_excluded,
)
from scanner.trust.stores import StoreError
from scanner.x509.client_certificate import ClientCertificateError
from tests.helpers import evidence
from tests.helpers.scanning import check_whole, codes
from tests.net.scripted import HOST, Peer, flight, serving
from tests.tls.peers import certificate_files, server_context

ROOT = Path(__file__).resolve().parents[2]
# The self-signed certificate that the scripted servers show
MATERIAL = Material(trust_stores=[certificate_files("ec")[0]])
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


async def scanned(rows: list[Row], material: Material = MATERIAL, config: ScanConfig = CONFIG) -> list[Finding]:
    findings: list[Finding] = []
    async with open_session(
        config,
        material,
        run_id="test",
        verifier=make_verifier(material),
        callbacks=Callbacks(on_finding=findings.append),
    ) as session:
        await session.run(iter(rows))
        assert session.scan.statistics().done == len(rows)
    for finding in findings:
        check_whole(finding)
    return findings


def test_from_rows_to_findings() -> None:
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


def test_names_are_resolved_and_the_protocol_speaks_first() -> None:
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
def test_what_is_excluded_is_not_contacted(entry: str, changes: dict[str, Any], outcome: str) -> None:
    async def main() -> None:
        with closing(socket.socket()) as listening:
            listening.bind((HOST, 0))
            listening.listen()
            listening.settimeout(0)
            rows: list[Row] = [row(1, listening.getsockname()[1], id="x", tags={"a": "b"}, **changes)]
            material = Material(trust_stores=MATERIAL.trust_stores, exclusions=excluding(entry))
            (finding,) = await scanned(rows, material, ScanConfig(retries=0, ipv6=False))
            with pytest.raises(BlockingIOError):
                listening.accept()
        assert finding["outcome"] == outcome
        assert (finding["target"]["id"], finding["target"]["tags"]) == ("x", {"a": "b"})
        assert "contacted" in finding["error"]

    trio.run(main)


def test_only_what_is_excluded_is_changed() -> None:
    rows: list[Row] = [row(1, 443), row(2, 443, host="a.example"), InvalidRow(3, "bad", host="a.example")]
    assert list(without_excluded(iter(rows), Exclusions())) == rows
    first, second, third = without_excluded(iter(rows), excluding("a.example"))
    assert (first, third) == (rows[0], rows[2])
    assert isinstance(second, InvalidRow)
    assert second.reason == "excluded by 'a.example': it was not contacted"
    assert (second.row, second.host, second.port, second.protocol) == (2, "a.example", 443, "tls")


def test_run_ids_sort_by_time_and_differ() -> None:
    first, second, later = new_run_id(1_800_000_000), new_run_id(1_800_000_000), new_run_id(1_800_000_001)
    assert first.startswith("20270115T080000Z-")
    assert first != second
    assert max(first, second) < later


def test_stores_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        make_verifier(Material(trust_stores=[str(tmp_path / "none.pem")]))


def test_resolvers_that_cannot_be_used() -> None:
    async def main() -> None:
        with pytest.raises(ResolverConfigError):
            await scanned([], Material(trust_stores=MATERIAL.trust_stores, resolvers=["no address"]))

    trio.run(main)


def test_a_resolver_that_answers_nobody_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_life, "TRY_PAUSE", 0.01)
    monkeypatch.setattr(dns_health, "STARTUP_PATIENCE", 0.1)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        port = sock.getsockname()[1]
    material = replace(MATERIAL, resolvers=[f"{HOST}:{port}"])
    said: list[str] = []
    findings: list[Finding] = []

    async def main() -> None:
        async with open_session(
            CONFIG,
            material,
            run_id="test",
            verifier=make_verifier(material),
            callbacks=Callbacks(on_finding=findings.append),
            warn=said.append,
        ) as session:
            rows = [row(number, 9, host=f"n{number}.test", address=None) for number in range(20)]
            await session.run(iter(rows))

    trio.run(main)
    assert len(findings) == 20
    [words] = said
    assert f"the resolver {HOST}:{port} could not be reached since" in words and words.endswith("its names wait")


@pytest.mark.parametrize("works", [True, False])
def test_ipv6_is_used_where_there_is_a_route(monkeypatch: pytest.MonkeyPatch, works: bool) -> None:
    class Routed(socket.socket):
        def connect(self, address: Any) -> None:
            if not works:
                raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(module.socket, "socket", Routed)  # type: ignore[attr-defined]
    assert ipv6_usable() is works


@pytest.mark.parametrize(
    ("name", "expected"), [(evidence.HOST, []), (None, []), ("other.example", ["name-not-in-san"])]
)
def test_a_file_is_judged_without_a_network(name: str | None, expected: list[str]) -> None:
    seen = evidence.evidence(evidence.answered())
    finding = make_judgement(ScanConfig(at=evidence.AT), Material(), evidence.verifier(), run_id="again").file_finding(
        seen, name=name
    )
    assert codes(finding) == expected
    assert finding["run"] == "again"
    check_whole(finding)


# --- files -----------------------------------------------------------------------------------------

SHORT_OF_FILES = """
import json, resource, sys, trio
from scanner.caching import Cache
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.run.scan import Callbacks
from scanner.run.wiring import Material, make_verifier, open_session

port, store, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

async def main():
    material = Material(trust_stores=[store])
    verifier = make_verifier(material)
    findings = []
    config = ScanConfig(concurrency=500, retries=0)
    async with open_session(config, material, run_id="test", verifier=verifier, callbacks=Callbacks(on_finding=findings.append)) as session:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        await session.run(
            Target(row=n, host=f"h{n}.test", port=port, protocol="tls", sni=f"h{n}.test", address="127.0.0.1")
            for n in range(1, count + 1)
        )
        seen = session.scan.statistics()
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
            arguments = [str(server.port), str(MATERIAL.trust_stores[0]), str(count)]
            done = await trio.run_process(
                [sys.executable, "-W", "error", "-c", SHORT_OF_FILES, *arguments],
                capture_stdout=True,
                cwd=ROOT,
            )
        return json.loads(done.stdout)

    told = trio.run(main)

    assert told["exhausted"] > 0
    assert told["limit"] < 100
    assert sorted(finding["target"]["row"] for finding in told["findings"]) == list(range(1, count + 1))
    for finding in told["findings"]:
        assert not finding.get("error")
        # a name that the certificate does not have is all that is wrong, so it was read to the end
        assert finding["endpoints"][0]["version"] == "TLSv1.3"
        assert finding["endpoints"][0]["stage"] == "done"


# --- the client certificate ------------------------------------------------------------------------


def test_without_a_certificate_none_is_loaded() -> None:
    module.make_completer(Material())


def test_the_certificate_of_the_run() -> None:
    certificate, key = certificate_files("rsa")
    module.make_completer(Material(client_cert=certificate, client_key=key))
    with pytest.raises(ClientCertificateError, match="does not belong"):
        module.make_completer(Material(client_cert=certificate, client_key=certificate_files("ec")[1]))


def test_what_openssl_cannot_use_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = certificate_files("rsa")

    def broken(self: object) -> None:
        raise OSError("unsupported")

    monkeypatch.setattr(Completer, "check", broken)
    with pytest.raises(ClientCertificateError, match="OpenSSL cannot use"):
        module.make_completer(Material(client_cert=certificate, client_key=key))


def test_a_run_authenticates() -> None:
    """A server that demands a certificate, met without one and with one."""
    certificate, key = certificate_files("ec")
    context = server_context(ask_client=True)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)

    async def main(given: Material, config: ScanConfig) -> list[Finding]:
        handler = openssl(context, "hello")
        async with serving(lambda peer: handler(peer.stream)) as server:
            return await scanned([row(1, server.port)], given, config)

    (refused,) = trio.run(main, MATERIAL, CONFIG)
    assert "client-certificate-required" in codes(refused)
    (known,) = trio.run(
        main,
        replace(MATERIAL, client_cert=certificate, client_key=key),
        replace(CONFIG, authenticate=True),
    )
    assert not any(code.startswith("client-certificate") for code in codes(known))
    asked = known["endpoints"][0]["client_auth"]
    assert asked is not None
    assert (asked["required"], asked.get("accepted")) == (True, True)
    assert known["endpoints"][0]["application"]["status"] == 200


@pytest.fixture
def clock() -> MockClock:
    """Seconds pass as soon as nothing else is to be done."""
    return MockClock(autojump_threshold=0)


class Spilled:
    """A scan of which only the spilling is looked at."""

    def __init__(self) -> None:
        self.spilled = 0

    def spill(self) -> int:
        self.spilled += 1
        return 0


@trio_test
async def test_a_run_that_grows_has_fewer_in_flight_until_there_is_room(
    monkeypatch: pytest.MonkeyPatch, clock: MockClock
) -> None:
    limit, size = 1000, 100
    emptied: list[float] = []
    monkeypatch.setattr("scanner.process.memory.resident", lambda: size)
    monkeypatch.setattr("scanner.process.memory.give_back", lambda: emptied.append(trio.current_time()))
    config = replace(CONFIG, concurrency=50, max_memory=limit)
    pacer, scan, said = module._pacer(config), Spilled(), list[str]()
    watched: Any = scan
    cache: Cache[int, int] = Cache(10, 1000, lambda key, value: 1)
    cache.put(1, 1)
    for number in range(40):
        assert pacer._start_at_once(f"192.0.2.{number}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(module._stay_below, limit, config, watched, pacer, said.append)
        await trio.sleep(3)
        assert (pacer.statistics().limit, len(cache), scan.spilled, said) == (50, 1, 0, [])
        size = 900
        await trio.sleep(3)
        assert pacer.statistics().limit < 40
        assert len(cache) == 0 and scan.spilled == len(emptied) > 0
        assert len(said) == 1 and "--max-memory" in said[0]
        for number in range(40):
            pacer.release(f"192.0.2.{number}")
        size = 100
        await trio.sleep(60)
        assert pacer.statistics().limit == 50
        assert len(said) == 1
        nursery.cancel_scope.cancel()


def test_caches_of_a_run_with_little_memory_are_smaller_for_its_length() -> None:
    def kept() -> int:
        cache: Cache[int, bytes] = Cache(10_000, 100_000, lambda key, value: len(value))
        for number in range(2000):
            cache.put(number, bytes(100))
        return len(cache)

    async def run() -> int:
        config = replace(CONFIG, max_memory=180 << 20)
        async with open_session(
            config,
            MATERIAL,
            run_id="r",
            verifier=make_verifier(MATERIAL),
            callbacks=Callbacks(on_finding=lambda finding: None),
        ):
            return kept()

    assert (trio.run(run), kept()) == (100, 1000)
