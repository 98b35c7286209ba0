"""Namespaces: one set for the whole harness, and one network of its own for each scanner.

The harness runs again inside ``unshare`` as the first process of a process namespace. When it ends, however it ends,
the kernel ends every process, link and mount in it, so nothing has to be tidied up. It also ends when the process that
started it does, which it sees by a pipe.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.server_programs import PROGRAM_PATH, find_program
from tests.torture.rows import ADDRESSES

_PIPE: Final = "TLSWEEP_TORTURE_PIPE"
_PROGRAMS: Final = {"unshare": "util-linux", "nsenter": "util-linux", "mount": "mount", "ip": "iproute2"}
SERVERS: Final = {"nginx": "nginx", "unbound": "unbound"}
# A directory that every Linux has and nothing in the harness uses; seen from outside it stays as it is.
WORK: Final = Path("/mnt")
_LINK: Final = "torture"
# Seconds for the table of what was done, after Ctrl-C
_LAST_WORDS: Final = 10.0


def run(*command: str) -> None:
    """Run a short command that must succeed."""
    subprocess.run(
        [find_program(command[0]), *command[1:]],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    kinds = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    return [find_program("unshare"), *user, *kinds]


def unavailable() -> str | None:
    """Why the harness cannot run on this machine, in one sentence; None where it can."""
    for program, package in (_PROGRAMS | SERVERS).items():
        if shutil.which(program, path=PROGRAM_PATH) is None:
            return f"{program} is not installed (Debian: apt-get install {package})"
    tried = subprocess.run(
        [*_unshare(), "sh", "-c", f"mount -t tmpfs tmpfs {WORK} && ip link add torture0 type veth peer name torture1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"PATH": PROGRAM_PATH},
    )  # fmt: skip
    if tried.returncode:
        words = tried.stderr.strip().splitlines() or [f"status {tried.returncode}"]
        return f"namespaces cannot be made here: {words[-1]}"
    return None


def is_inside() -> bool:
    """Whether this process is the one in the namespaces."""
    return _PIPE in os.environ


def run_inside(arguments: Sequence[str]) -> int:
    """Run the harness in namespaces of its own with these arguments; returns its exit status."""
    reader, writer = os.pipe()
    command = [*_unshare(), sys.executable, "-m", "tests.torture", *arguments]
    environment = os.environ | {_PIPE: str(reader), "PATH": PROGRAM_PATH}
    harness = subprocess.Popen(command, pass_fds=[reader], env=environment)
    os.close(reader)
    # Not a default action: the pipe is closed by the way out of here, whatever asked for it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return harness.wait()
    except KeyboardInterrupt:
        # The terminal told the harness too.
        with contextlib.suppress(subprocess.TimeoutExpired):
            return harness.wait(_LAST_WORDS)
        return 130
    finally:
        os.close(writer)
        harness.wait()


def enter() -> None:
    """Set up what was unshared: loopback, the farm's addresses, a directory for files; end with the process outside."""
    reader = int(os.environ.pop(_PIPE))

    def end_with_the_other() -> None:
        os.read(reader, 1)
        os._exit(3)

    threading.Thread(target=end_with_the_other, daemon=True).start()
    run("mount", "-t", "tmpfs", "tmpfs", str(WORK))
    run("ip", "link", "set", "lo", "up")
    # Every address of the network is ours, without being set one by one.
    run("ip", "route", "add", "local", ADDRESSES, "dev", "lo")


@dataclass(slots=True)
class Slot:
    """A network namespace for one scanner, and the link between it and the farm."""

    number: int
    holder: subprocess.Popen[bytes]

    @property
    def farm_address(self) -> str:
        """Our end of the link: where the resolver listens, and the scanner's default route."""
        return f"10.9.{self.number}.1"

    @property
    def scanner_address(self) -> str:
        return f"10.9.{self.number}.2"

    @property
    def farm_link(self) -> str:
        return f"{_LINK}{self.number}"

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command at the scanner's end."""
        return [find_program("nsenter"), f"--net=/proc/{self.holder.pid}/ns/net", "--", *command]

    def packets(self) -> int:
        """How many packets have come from the scanner's end."""
        for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
            name, _, figures = line.partition(":")
            if name.strip() == self.farm_link:
                return int(figures.split()[1])
        return 0

    def _inside(self, *command: str) -> None:
        run(*self.command(find_program(command[0]), *command[1:]))

    def connect(self) -> None:
        """Bring the scanner's end up, with its route."""
        self._inside("ip", "link", "set", _LINK, "up")
        self._inside("ip", "route", "replace", "default", "via", self.farm_address)

    def cut(self, kind: str) -> None:
        """Take the network away.

        ``link down``: the scanner's machine has no route, errors come at once. ``silence``: the farm's answers are lost,
        nothing comes back. ``no carrier``: the other end of the cable is dead, the neighbour is not found.
        """
        match kind:
            case "link down":
                self._inside("ip", "link", "set", _LINK, "down")
            case "silence":
                run("ip", "route", "add", "blackhole", f"{self.scanner_address}/32")
            case "no carrier":
                run("ip", "link", "set", self.farm_link, "down")
            case _:
                raise ValueError(kind)

    def mend(self, kind: str) -> None:
        """Give it back."""
        match kind:
            case "silence":
                run("ip", "route", "del", "blackhole", f"{self.scanner_address}/32")
            case "no carrier":
                run("ip", "link", "set", self.farm_link, "up")
            case _:
                self.connect()


def make_slot(number: int) -> Slot:
    """A new network namespace, linked to this one."""
    holder = subprocess.Popen(
        [find_program("unshare"), "--net", "sh", "-c", "echo; exec sleep infinity"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()  # it is in its namespace by now
    slot = Slot(number, holder)
    run("ip", "link", "add", slot.farm_link, "type", "veth", "peer", "name", _LINK, "netns", str(holder.pid))
    run("ip", "address", "add", f"{slot.farm_address}/30", "dev", slot.farm_link)
    run("ip", "link", "set", slot.farm_link, "up")
    slot._inside("ip", "link", "set", "lo", "up")
    slot._inside("ip", "address", "add", f"{slot.scanner_address}/30", "dev", _LINK)
    slot.connect()
    return slot
