"""Wrong clocks: the command under libfaketime against real web servers with the right time, and a server with the wrong
one.

Each server has a name of its own registrable domain, its own certificate and its own address.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import pki
from tests.servers.running import free_port, loopback_address

DAY = 86_400
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)

pytestmark = [
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
    pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed"),
]


def at_another_time(shift: int) -> dict[str, str]:
    """Return the environment of a process whose wall clock is ``shift`` seconds off; its monotonic clock is right."""
    if not shift:
        return dict(os.environ)
    return {
        **os.environ,
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME": f"{shift:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


@dataclass(frozen=True)
class Site:
    """A name, its address and port, and the offsets of its certificate and its clock (seconds)."""

    name: str
    address: str
    port: int
    begins: int = -30 * DAY
    ends: int = 60 * DAY
    clock: int = 0


class Farm:
    """Web servers, one process for each clock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = time.time()
        self.root = pki.root("Clock Root", not_before=self.now - 3000 * DAY, not_after=self.now + 3000 * DAY)
        self.roots = directory / "roots.pem"
        self.roots.write_text(self.root.pem)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, sites: Sequence[Site]) -> None:
        for clock in {site.clock for site in sites}:
            self._start([site for site in sites if site.clock == clock], clock)

    def _start(self, sites: Sequence[Site], clock: int) -> None:
        blocks = []
        for site in sites:
            leaf = pki.certificate(
                site.name, issuer=self.root, not_before=self.now + site.begins, not_after=self.now + site.ends
            )
            certificate, key = self.directory / f"{site.name}.pem", self.directory / f"{site.name}.key"
            certificate.write_text(leaf.pem)
            key.write_text(leaf.key_pem)
            blocks.append(
                f"server {{ listen {site.address}:{site.port} ssl; server_name {site.name};"
                f" ssl_certificate {certificate}; ssl_certificate_key {key}; location / {{ return 200 'ok'; }} }}"
            )
        place = self.directory / f"nginx{clock}"
        place.mkdir()
        folders = "".join(f"{kind}_temp_path {place};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = place / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; pid {place}/pid; events {{ worker_connections 256; }}\n"
            f"http {{ access_log off; {folders} {' '.join(blocks)} }}\n"
        )
        command = ["nginx", "-p", str(place), "-e", "stderr", "-c", str(config)]
        if (setpriv := shutil.which("setpriv")) is not None:
            command = [setpriv, "--pdeathsig", "TERM", *command]
        log = place / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, env=at_another_time(clock), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self._processes.append(process)
        for site in sites:
            wait_for(site, process, log)

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(10)


def wait_for(site: Site, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((site.address, site.port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"nginx does not start: {log.read_text()}")
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    servers = Farm(tmp_path)
    yield servers
    servers.stop()


def address_of(number: int) -> str:
    """Return the address of a machine, all of them for this test run only."""
    network, _, host = loopback_address().rpartition(".")
    return f"{network}.{1 + (int(host) + 40 * number) % 250}"


def sites(count: int, **changes: Any) -> list[Site]:
    """Return sites of unrelated domains, each on its own address."""
    found = []
    for number in range(count):
        address = address_of(number)
        found.append(Site(f"www.clock{number}.test", address, free_port(address), **changes))
    return found


@dataclass(frozen=True)
class Result:
    findings: dict[str, dict[str, Any]]
    errors: str

    def codes(self) -> dict[str, list[str]]:
        return {
            host: [diagnosis["code"] for diagnosis in finding["diagnoses"]] for host, finding in self.findings.items()
        }

    def evidence(self, host: str, code: str) -> dict[str, Any]:
        diagnoses = self.findings[host]["diagnoses"]
        found: dict[str, Any] = next(each["evidence"] for each in diagnoses if each["code"] == code)
        return found


def scan(farm: Farm, targets: Sequence[Site], *, shift: int = 0, options: Sequence[str] = ()) -> Result:
    """Run ``tlsweep scan`` in a process whose clock is ``shift`` seconds off."""
    inventory = farm.directory / "inventory.csv"
    rows = [f"{site.name},{site.port},https,{site.address}" for site in targets]
    inventory.write_text("\n".join(["host,port,protocol,address", *rows]) + "\n")
    command = [sys.executable, "-m", "scanner", "scan", str(inventory), "--trust-store", str(farm.roots)]
    command += ["--resolver", "127.0.0.1:1", "--no-cache", *options]
    done = subprocess.run(command, env=at_another_time(shift), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    return Result({finding["target"]["host"]: finding for finding in findings}, done.stderr)


@pytest.mark.parametrize(
    ("shift", "direction", "workers"), [(400 * DAY, "ahead", 1), (-45 * DAY, "behind", 1), (-45 * DAY, "behind", 2)]
)
def test_servers_are_not_blamed_for_our_wrong_clock(farm: Farm, shift: int, direction: str, workers: int) -> None:
    """Every certificate seems expired, or not yet valid, but none is blamed; one that really is expired is."""
    healthy = sites(5)
    expired = sites(6, ends=-20 * DAY)[5]
    farm.start([*healthy, expired])
    seen = scan(farm, [*healthy, expired], shift=shift, options=["--workers", str(workers)])

    codes = seen.codes()
    assert {host: codes[host] for host in codes if host != expired.name} == {
        site.name: ["local-clock-wrong"] for site in healthy
    }
    assert codes[expired.name] == ["certificate-expired"]
    assert {seen.findings[site.name]["cause"] for site in healthy} == {"clock-skew"}
    told = seen.evidence(healthy[0].name, "local-clock-wrong")
    assert told["direction"] == direction
    assert abs(told["offset_seconds"] + shift) <= 5
    assert {witness["kind"] for witness in told["witnesses"]} == {"http-date"}
    assert seen.errors.count("CLOCK OF THIS MACHINE IS WRONG") == 1


@pytest.mark.parametrize("shift", [400 * DAY, -45 * DAY])
def test_one_target_proves_nothing_about_our_clock(farm: Farm, shift: int) -> None:
    (site,) = sites(1)
    farm.start([site])
    seen = scan(farm, [site], shift=shift)
    assert seen.codes() == {site.name: ["certificate-expired" if shift > 0 else "certificate-not-yet-valid"]}
    told = seen.evidence(site.name, seen.codes()[site.name][0])["clock"]
    assert told["state"] == "unknown"
    assert [witness["who"] for witness in told["witnesses"]] == ["clock0.test"]
    assert "CLOCK" not in seen.errors


def test_a_given_time_is_not_blamed_on_our_clock(farm: Farm) -> None:
    targets = sites(4)
    farm.start(targets)
    seen = scan(farm, targets, options=["--at", str(int(farm.now + 400 * DAY))])
    assert set(map(tuple, seen.codes().values())) == {("certificate-expired",)}
    assert "CLOCK" not in seen.errors


def test_the_right_clock_is_confirmed(farm: Farm) -> None:
    targets = sites(4, ends=-DAY)
    farm.start(targets)
    seen = scan(farm, targets)
    assert set(map(tuple, seen.codes().values())) == {("certificate-expired",)}
    assert seen.evidence(targets[0].name, "certificate-expired")["clock"]["state"] == "confirmed"
    assert "CLOCK" not in seen.errors


@pytest.mark.parametrize("clock", [3600, -2 * DAY])
def test_one_server_with_a_wrong_clock_is_found(farm: Farm, clock: int) -> None:
    """It serves an expired certificate like others, and is the only one with a wrong clock."""
    others = sites(4, ends=-DAY)
    off = sites(5, ends=-DAY, clock=clock)[4]
    farm.start([*others, off])
    seen = scan(farm, [*others, off])
    codes = seen.codes()
    assert codes[off.name] == ["remote-clock-wrong", "certificate-expired"]
    assert {tuple(codes[site.name]) for site in others} == {("certificate-expired",)}
    told = seen.evidence(off.name, "remote-clock-wrong")
    assert abs(told["offset_seconds"] - clock) <= 5
    assert told["direction"] == ("ahead" if clock > 0 else "behind")


def test_enumerate_asks_healthy_servers_for_their_clock(farm: Farm) -> None:
    others = sites(4)
    off = sites(5, clock=3600)[4]
    farm.start([*others, off])
    seen = scan(farm, [*others, off], options=["--enumerate"])
    assert [host for host, codes in seen.codes().items() if "remote-clock-wrong" in codes] == [off.name]


def estate(count: int, **changes: Any) -> list[Site]:
    """Return sites of one domain, each on its own address."""
    found = []
    for number in range(count):
        address = address_of(number)
        found.append(Site(f"www{number}.clock.test", address, free_port(address), **changes))
    return found


@pytest.mark.parametrize(("shift", "direction", "workers"), [(400 * DAY, "ahead", 2), (-45 * DAY, "behind", 1)])
def test_an_estate_of_one_domain_contradicts_our_clock(farm: Farm, shift: int, direction: str, workers: int) -> None:
    """All its certificates seem out of their time, and all its servers agree on another: both readings are given."""
    found = estate(7)
    farm.start(found)
    seen = scan(farm, found, shift=shift, options=["--workers", str(workers)])
    assert seen.codes() == {site.name: ["local-clock-wrong"] for site in found}
    told = seen.evidence(found[0].name, "local-clock-wrong")
    assert (told["direction"], told["servers"]) == (direction, 7)
    assert abs(told["offset_seconds"] + shift) <= 5
    summary = seen.findings[found[0].name]["diagnoses"][0]["summary"]
    assert summary.startswith("Either the clock of the machine that scanned") and "7 servers" in summary
    assert seen.errors.count("THE CLOCK OF THIS MACHINE, OR OF ALL SERVERS, IS WRONG") == 1


def test_an_estate_with_a_stale_clock_is_contradicted_by_a_fresh_certificate(farm: Farm) -> None:
    """Six servers live in the past with expired certificates. A seventh has a certificate that began after their present."""
    stale = estate(6, begins=-500 * DAY, ends=-300 * DAY, clock=-400 * DAY)
    fresh = Site("new.clock.test", address_of(6), free_port(address_of(6)))
    farm.start([*stale, fresh])
    seen = scan(farm, [*stale, fresh])
    assert seen.codes() == {**{site.name: ["certificate-expired"] for site in stale}, fresh.name: []}
    assert "CLOCK" not in seen.errors


def test_hosts_of_one_domain_prove_nothing_about_our_clock(farm: Farm) -> None:
    """Five hosts of one organisation have wrong clocks, and ours is right."""
    found = estate(5, ends=-DAY, clock=7200)
    farm.start(found)
    seen = scan(farm, found)
    assert set(map(tuple, seen.codes().values())) == {("certificate-expired",)}
    assert seen.evidence(found[0].name, "certificate-expired")["clock"]["state"] == "unknown"


NTP_SERVER = """
import socket, struct, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], 0))
print(sock.getsockname()[1], flush=True)
while True:
    data, peer = sock.recvfrom(1024)
    now = time.time() + 2208988800
    stamp = struct.pack(">II", int(now), int(now % 1 * 2**32))
    sock.sendto(struct.pack(">BBbbiI4s", 0x24, 1, 6, -20, 0, 16, b"GPS") + stamp + data[40:48] + stamp + stamp, peer)
"""


@pytest.fixture
def ntp() -> Iterator[Sequence[str]]:
    """Run three NTP servers with the right time, each on its own address."""
    running, found = [], []
    for number in range(3):
        address = address_of(number)
        process = subprocess.Popen([sys.executable, "-c", NTP_SERVER, address], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        found += ["--ntp", f"{address}:{int(process.stdout.readline())}"]
    yield found
    for process in running:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("shift", [0, 400 * DAY])
def test_ntp_servers_prove_that_our_clock_is_wrong(farm: Farm, ntp: Sequence[str], shift: int) -> None:
    """With NTP servers a single target is enough."""
    (site,) = sites(1) if shift else sites(1, ends=-DAY)
    farm.start([site])
    seen = scan(farm, [site], shift=shift, options=ntp)
    assert seen.codes() == {site.name: ["local-clock-wrong" if shift else "certificate-expired"]}
    assert ("CLOCK OF THIS MACHINE IS WRONG" in seen.errors) == bool(shift)


def test_an_ntp_server_that_does_not_answer_is_reported(farm: Farm) -> None:
    (site,) = sites(1)
    farm.start([site])
    seen = scan(farm, [site], options=["--ntp", f"{address_of(9)}:1"])
    assert seen.codes() == {site.name: []}
    assert f"--ntp: {address_of(9)} does not tell the time: Connection refused" in seen.errors
