"""Linux namespaces for the harness, and a network namespace for each scanner.

The harness runs itself again inside ``unshare``, as the first process of a PID namespace. However it ends, the kernel
then ends every process, link and mount in it, so nothing has to be cleaned up. It also ends when the process that
started it does, which it detects by a pipe.
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
# A directory that every Linux has. It is mounted over inside the namespace only.
WORK: Final = Path("/mnt")
_LINK: Final = "torture"
# Seconds to print the table after Ctrl-C
_TABLE_SECONDS: Final = 10.0


def run(*command: str) -> None:
    """Run a short command. Raises ``CalledProcessError`` if it fails."""
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
    """Return the reason why the harness cannot run on this machine, or ``None``."""
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
    """Return whether this process runs in the namespaces."""
    return _PIPE in os.environ


def run_inside(arguments: Sequence[str]) -> int:
    """Run the harness in new namespaces with these arguments, and return its exit status."""
    reader, writer = os.pipe()
    command = [*_unshare(), sys.executable, "-m", "tests.torture", *arguments]
    environment = os.environ | {_PIPE: str(reader), "PATH": PROGRAM_PATH}
    harness = subprocess.Popen(command, pass_fds=[reader], env=environment)
    os.close(reader)
    # Turned into an exception, so that the pipe is closed below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return harness.wait()
    except KeyboardInterrupt:
        # The terminal sent SIGINT to the harness too.
        with contextlib.suppress(subprocess.TimeoutExpired):
            return harness.wait(_TABLE_SECONDS)
        return 130
    finally:
        os.close(writer)
        harness.wait()


def enter() -> None:
    """Set up the namespaces: loopback, the farm's addresses, a file system; exit when the outer process does."""
    reader = int(os.environ.pop(_PIPE))

    def end_with_outer_process() -> None:
        os.read(reader, 1)
        os._exit(3)

    threading.Thread(target=end_with_outer_process, daemon=True).start()
    run("mount", "-t", "tmpfs", "tmpfs", str(WORK))
    run("ip", "link", "set", "lo", "up")
    # Makes every address of the network local, without configuring each.
    run("ip", "route", "add", "local", ADDRESSES, "dev", "lo")


@dataclass(slots=True)
class Slot:
    """A network namespace for one scanner, and its link to the farm."""

    number: int
    holder: subprocess.Popen[bytes]

    @property
    def farm_address(self) -> str:
        """The address at the farm's end of the link: the resolver's, and the scanner's default gateway."""
        return f"10.9.{self.number}.1"

    @property
    def scanner_address(self) -> str:
        return f"10.9.{self.number}.2"

    @property
    def farm_link(self) -> str:
        return f"{_LINK}{self.number}"

    def command(self, *command: str) -> list[str]:
        """Return the command line that runs a command in the scanner's namespace."""
        return [find_program("nsenter"), f"--net=/proc/{self.holder.pid}/ns/net", "--", *command]

    def packets(self) -> int:
        """Return how many packets the scanner's end has sent."""
        for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
            name, _, figures = line.partition(":")
            if name.strip() == self.farm_link:
                return int(figures.split()[1])
        return 0

    def _inside(self, *command: str) -> None:
        run(*self.command(find_program(command[0]), *command[1:]))

    def connect(self) -> None:
        """Bring up the scanner's end of the link and its default route."""
        self._inside("ip", "link", "set", _LINK, "up")
        self._inside("ip", "route", "replace", "default", "via", self.farm_address)

    def cut(self, kind: str) -> None:
        """Interrupt the network.

        ``link down``: the scanner has no route and gets errors at once. ``silence``: the farm's answers are dropped.
        ``no carrier``: the other end of the link is down, so the neighbour is not found.
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

    def restore(self, kind: str) -> None:
        """Undo ``cut``."""
        match kind:
            case "silence":
                run("ip", "route", "del", "blackhole", f"{self.scanner_address}/32")
            case "no carrier":
                run("ip", "link", "set", self.farm_link, "up")
            case _:
                self.connect()


def make_slot(number: int) -> Slot:
    """Create a network namespace that is linked to this one."""
    holder = subprocess.Popen(
        [find_program("unshare"), "--net", "sh", "-c", "echo; exec sleep infinity"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()  # once it prints, the namespace exists
    slot = Slot(number, holder)
    run("ip", "link", "add", slot.farm_link, "type", "veth", "peer", "name", _LINK, "netns", str(holder.pid))
    run("ip", "address", "add", f"{slot.farm_address}/30", "dev", slot.farm_link)
    run("ip", "link", "set", slot.farm_link, "up")
    slot._inside("ip", "link", "set", "lo", "up")
    slot._inside("ip", "address", "add", f"{slot.scanner_address}/30", "dev", _LINK)
    slot.connect()
    return slot
