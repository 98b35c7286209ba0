"""Thousands of names through one real resolver with its defaults: every finding is the name's, none is our haste.

Each name has one loopback address on whose port nobody listens, so anything but ``connection-refused`` is false. The
ordinary run has 2,000 names for each resolver; the whole of it, three times with 10,000:

    TLSWEEP_CROWD=10000 TLSWEEP_CROWD_ROUNDS=3 python -m pytest tests/net/dns/test_resolver_crowd.py -s

Needs Debian's ``unbound``, ``bind9`` and ``dnsmasq-base``; the ones that are absent are skipped.
"""

from __future__ import annotations

import collections
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.server_programs import Unavailable, find_program, free_port, unbound_command
from tests.helpers.limited_resolver import NAMES, address

NUMBER = int(os.environ.get("TLSWEEP_CROWD", "2000"))
ROUNDS = int(os.environ.get("TLSWEEP_CROWD_ROUNDS", "1"))
ROOT = Path(__file__).resolve().parents[3]

pytestmark = [pytest.mark.servers, pytest.mark.timeout(60 + NUMBER * ROUNDS // 50)]


def program(name: str, package: str) -> str:
    try:
        return find_program(name)
    except Unavailable as absent:
        pytest.skip(f"{absent} (Debian package {package})")


def answers(port: int) -> bool:
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\2n0\5crowd\4test\0\0\1\0\1"
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        sock.connect(("127.0.0.1", port))
        try:
            sock.send(query)
            data = sock.recv(512)
        except OSError:
            return False
        return data[:2] == query[:2] and data[3] & 15 == 0 and data[7] == 1


@contextmanager
def running(argv: Sequence[str], port: int, directory: Path) -> Iterator[int]:
    """The server, once it answers; ended by its own process id."""
    with (directory / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT)
    try:
        until = time.monotonic() + 20
        while not answers(port):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{argv[0]} does not start: {(directory / f'{port}.log').read_text()[-500:]}")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        if process.stdin is not None:
            process.stdin.close()


def unbound(stack: ExitStack, directory: Path) -> int:
    program("unbound", "unbound")
    port = free_port()
    names = ((f"n{n}.{NAMES}", address(n)) for n in range(NUMBER))
    command = unbound_command(directory, port=port, zone=NAMES, addresses=names, options=('local-zone: "." refuse',))
    return stack.enter_context(running(command, port, directory))


def bind(stack: ExitStack, directory: Path) -> int:
    port = free_port()
    soa = "@ 300 IN SOA ns nobody 1 3600 600 86400 300\n@ 300 IN NS ns\nns 300 IN A 127.0.0.1\n"
    (directory / "crowd.zone").write_text(soa + "".join(f"n{n} 300 IN A {address(n)}\n" for n in range(NUMBER)))
    (directory / "root.zone").write_text(soa)  # a root of its own: nothing leaves the machine
    path = directory / "named.conf"
    path.write_text(
        f'options {{ directory "{directory}"; pid-file none; session-keyfile none; dnssec-validation no; '
        f"listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; }};\ncontrols {{ }};\n"
        f'zone "." {{ type primary; file "root.zone"; }};\nzone "{NAMES}" {{ type primary; file "crowd.zone"; }};\n'
    )
    return stack.enter_context(running([program("named", "bind9"), "-f", "-c", str(path)], port, directory))


def _dnsmasq(stack: ExitStack, directory: Path, *options: str) -> int:
    port = free_port()
    argv = [
        program("dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}",
        "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts", "--user=root",
        f"--pid-file={directory}/pid", *options,
    ]  # fmt: skip
    return stack.enter_context(running(argv, port, directory))


def dnsmasq(stack: ExitStack, directory: Path) -> int:
    hosts = directory / "hosts"
    hosts.write_text("".join(f"{address(n)} n{n}.{NAMES}\n" for n in range(NUMBER)))
    hosts.chmod(0o644)
    return _dnsmasq(stack, directory, f"--addn-hosts={hosts}")


def dnsmasq_that_forwards(stack: ExitStack, directory: Path) -> int:
    """It refuses above 150 questions in flight, and here each takes 50 ms."""
    behind = _limited(stack, directory, 100_000, "drop", 0.05)
    return _dnsmasq(stack, directory, f"--server=127.0.0.1#{behind}")


def _limited(stack: ExitStack, directory: Path, most: int, over: str, seconds: float) -> int:
    port = free_port()
    argv = [sys.executable, "-m", "tests.helpers.limited_resolver", str(port), str(most), over, str(seconds)]
    return stack.enter_context(running(argv, port, directory))


def drops_above_150(stack: ExitStack, directory: Path) -> int:
    return _limited(stack, directory, 150, "drop", 0.02)


def refuses_above_150(stack: ExitStack, directory: Path) -> int:
    return _limited(stack, directory, 150, "refuse", 0.02)


@pytest.mark.parametrize(
    "server",
    [unbound, bind, dnsmasq, dnsmasq_that_forwards, drops_above_150, refuses_above_150],
    ids=lambda s: s.__name__,
)
def test_no_finding_is_due_to_our_haste(server: Callable[[ExitStack, Path], int], tmp_path: Path) -> None:
    closed = free_port()
    inventory, output = tmp_path / "targets.csv", tmp_path / "findings.ndjson"
    inventory.write_text("host,port\n" + "".join(f"n{n}.{NAMES},{closed}\n" for n in range(NUMBER)))
    with ExitStack() as stack:
        port = server(stack, tmp_path)
        for round_ in range(ROUNDS):
            started = time.monotonic()
            done = subprocess.run(
                [
                    sys.executable, "-m", "scanner", "scan", str(inventory), "-o", str(output), "--force",
                    "--no-progress", "--resolver", f"127.0.0.1:{port}",
                ],
                cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-500:]
            found = collections.Counter(
                next((each["code"] for each in finding["diagnoses"] if each["severity"] == "error"), finding["outcome"])
                for finding in map(json.loads, output.read_text().splitlines())
            )
            seconds = time.monotonic() - started
            sys.stdout.write(f"\n{server.__name__}, round {round_ + 1}: {dict(found)}, {seconds:.1f} s\n")
            assert found == {"connection-refused": NUMBER}
            assert "resolver" not in done.stderr.replace("--resolver", ""), done.stderr
