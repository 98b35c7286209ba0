"""Starts a real server, waits until it listens, and stops it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.pki import Credential, Pki
from tests.servers.software import COMMANDS, ENVIRONMENT, LISTENS_EVERYWHERE, NEEDS, Order
from tests.servers.spec import ServerSpec, Software

# The slowest server takes well under a second on an idle machine.
START_TIMEOUT: Final = 20.0
STOP_TIMEOUT: Final = 5.0
# Characters of a server's log that are shown with a failed test
LOG_TAIL: Final = 4000


class ServerFailed(Exception):
    """A server did not start; the message has its log."""


def loopback_address() -> str:
    """Return an address of 127.0.0.0/8 for this process, so that concurrent test runs do not collide."""
    pid = os.getpid()
    return f"127.{64 + (pid >> 16) % 64}.{(pid >> 8) & 0xFF}.{1 + pid % 250}"


def free_port(address: str) -> int:
    """Return a port that is free on ``address``; ``""`` means on all addresses."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def missing(software: Software) -> str | None:
    """Return the reason why this software cannot be started here, or ``None``."""
    programs, package = NEEDS[software]
    absent = [name for name in programs if shutil.which(name, path=ENVIRONMENT["PATH"]) is None]
    if not absent:
        return None
    return f"{', '.join(absent)} is not installed (Debian: apt-get install {package})"


@dataclass(slots=True)
class Server:
    """A running server."""

    spec: ServerSpec
    address: str
    port: int
    credential: Credential
    roots: Path
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The DER certificates in the order of sending."""
        return self.credential.chain

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    def log(self) -> str:
        """Return the end of the server's log."""
        return self.log_file.read_text("utf-8", "replace")[-LOG_TAIL:] if self.log_file.exists() else ""

    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def start(spec: ServerSpec, *, pki: Pki, address: str, directory: Path) -> Server:
    """Start a server on a free port, and return when it accepts connections."""
    directory.mkdir(parents=True, exist_ok=True)
    credential = pki.issue(
        spec.key,
        name=spec.name,
        address=address,
        intermediates=spec.intermediates,
        signed_with_pss=spec.signed_with_pss,
        more_names=spec.more_names,
    )
    port = free_port("" if spec.software in LISTENS_EVERYWHERE else address)
    order = Order(spec, address, port, credential, pki.roots_file, directory)
    command = COMMANDS[spec.software](order)
    # Ends the server when the test run is killed; Debian always has setpriv.
    if (setpriv := shutil.which("setpriv")) is not None:
        command = [setpriv, "--pdeathsig", "TERM", *command]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(spec, address, port, credential, pki.roots_file, directory, process)
    try:
        _wait_until_listening(server)
    except BaseException:
        server.stop()
        raise
    return server


def _wait_until_listening(server: Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while server.running() and time.monotonic() < deadline:
        try:
            socket.create_connection((server.address, server.port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    state = "does not listen" if server.running() else f"ended with {server.process.returncode}"
    raise ServerFailed(f"{server.spec.id} {state}:\n{server.log()}")
