"""The fleet as a whole: its files, its DNS, its cleanup, and systems with a single loopback address."""

from __future__ import annotations

import csv
import ipaddress
import shlex
import shutil
import socket
import ssl
from pathlib import Path

import dns.message
import pytest
import trio
from cryptography import x509
from msgspec.structs import replace

from scanner.demo import fleet as fleet_module
from scanner.demo.case_list import CASES
from scanner.demo.cases import Endpoint, ServerFactory, presenting, valid_credential
from scanner.demo.fleet import COLUMNS, Fleet, FleetRow, run_fleet, run_servers
from scanner.demo.servers import Handler
from tests.demo.clients import BY_NAME, connect, handshake, trusting


def test_the_files_describe_the_fleet(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_fleet(tmp_path / "new" / "demo") as fleet:
            rows = list(csv.DictReader(fleet.inventory.read_text("utf-8").splitlines()))
            assert tuple(rows[0]) == COLUMNS
            assert [row["host"] for row in rows] == [row.host for row in fleet.rows]
            assert [row["expected"] for row in rows] == [row.case.code or "" for row in fleet.rows]
            assert len(rows) + len(fleet.skipped) == len(CASES)
            (root,) = x509.load_pem_x509_certificates(fleet.roots.read_bytes())
            assert "Demo Root CA" in root.subject.rfc4514_string()
            assert b"PRIVATE" not in b"".join(path.read_bytes() for path in fleet.directory.iterdir())

    trio.run(main)


def test_dns_leads_to_the_servers(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_fleet(tmp_path) as fleet:
            address, _, port = fleet.resolver.rpartition(":")
            asked = trio.socket.socket(type=socket.SOCK_DGRAM)
            with asked, trio.fail_after(5):
                await asked.connect((address, int(port)))
                for row in fleet.rows:
                    if row.case.dns is not None or row.host in row.addresses:
                        continue
                    name = row.host if row.host.isascii() else "xn--bcher-kva.demo.test"
                    await asked.send(dns.message.make_query(name, "AAAA" if row.case.ipv6 else "A").to_wire())
                    answer = dns.message.from_wire(await asked.recv(4096))
                    assert {record.to_text() for record in answer.answer[0]} == set(row.addresses)

    trio.run(main)


def test_everything_is_on_loopback() -> None:
    async def main() -> None:
        async with run_servers(CASES) as servers:
            assert all(ipaddress.ip_address(address).is_loopback for row in servers.rows for address in row.addresses)

    trio.run(main)


def test_all_sockets_are_closed_at_the_end() -> None:
    async def main() -> None:
        async with run_servers(CASES) as servers:
            pass
        for row in servers.rows:
            for address in row.addresses:
                with pytest.raises(ConnectionRefusedError):
                    await connect(address, row.port)

    trio.run(main)


def test_cancelling_closes_all_sockets(tmp_path: Path) -> None:
    async def main() -> None:
        with trio.move_on_after(0.3) as scope:
            async with run_fleet(tmp_path, cases=[BY_NAME["silent-after-hello"]]) as fleet:
                async with await connect(fleet.rows[0].addresses[0], fleet.rows[0].port) as stream:
                    await stream.send_all(b"\x16")
                    await trio.sleep_forever()
        assert scope.cancelled_caught

    trio.run(main)


def test_most_cases_run_with_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on macOS, only 127.0.0.1 can be bound.
    monkeypatch.setattr(fleet_module._Addresses, "has_many", staticmethod(lambda: False))

    async def main() -> None:
        async with run_servers(CASES) as servers:
            assert {a for row in servers.rows for a in row.addresses if not row.case.ipv6} == {"127.0.0.1"}
            skipped = {case.name: reason for case, reason in servers.skipped if not case.ipv6}
            need_time = {case.name for case in CASES if case.needs_time}
            several = {case.name for case in CASES if len(case.servers) > 1}
            assert need_time and set(skipped) == need_time | several
            assert all("127.0.0.1" in reason for reason in skipped.values())
            healthy = next(row for row in servers.rows if row.case.name == "healthy")
            assert await handshake(healthy, trusting(servers.pki)) == "TLSv1.3"

    trio.run(main)


def test_config_hints_are_options_of_a_scan() -> None:
    from scanner.model.config import ScanConfig

    hints = Fleet(Path(), "127.0.0.1:53", (), ()).config_hints
    assert ScanConfig(**hints).all_addresses


def test_an_unwritable_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def main() -> None:
        async with run_fleet(tmp_path / "file"):
            raise AssertionError("not reached")

    with pytest.raises(FileExistsError):
        trio.run(main)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("name", "status"),
    [("healthy", 0), ("address", 0), ("expired", 60), ("two-certificates", 0), ("ipv6", 0), ("bücher", 0)],
)
def test_the_curl_command_shows_the_case(name: str, status: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with run_fleet(tmp_path, cases=[BY_NAME[name]]) as fleet:
            if not fleet.rows:
                return
            command = fleet.rows[0].curl(fleet.roots)
            assert command is not None
            with trio.fail_after(10):
                done = await trio.run_process(
                    [*shlex.split(command), "--silent"], capture_stdout=True, capture_stderr=True, check=False
                )
            assert done.returncode == status
            assert status or done.stdout.decode().strip() == BY_NAME[name].story

    trio.run(main)


def test_there_is_no_curl_command_for_other_protocols() -> None:
    assert FleetRow(BY_NAME["mx"], "mx.demo.test", 25, ("127.94.0.1",)).curl(Path("roots.pem")) is None
    assert FleetRow(BY_NAME["no-such-name"], "no-such-name.demo.test", 443).curl(Path("roots.pem")) is None


def test_cases_that_openssl_forbids_are_skipped() -> None:
    def forbidden(factory: ServerFactory, endpoint: Endpoint) -> Handler:
        raise ssl.SSLError("no such curve")

    case = replace(BY_NAME["healthy"], servers=(presenting(valid_credential), forbidden))

    async def main() -> None:
        async with run_servers([case, BY_NAME["tls12"]]) as servers:
            assert [row.case.name for row in servers.rows] == ["tls12"]
            ((left_out, reason),) = servers.skipped
            assert left_out is case
            assert "no such curve" in reason

    trio.run(main)
