"""A real name server for the farm's names: unbound, serving only its own static zone on 127.0.0.1.

Every host has one A record and no AAAA, the common case.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.farm import ZONE, Host
from benchmarks.server_programs import closed_zone, free_port, stop, unbound_command, wait_for

# Enough buffers for thousands of queries at once; all names but the farm's are refused.
LARGE_BUFFERS: Final = (
    "verbosity: 0",
    "num-threads: 1",
    "so-rcvbuf: 4m",
    "access-control: 127.0.0.0/8 allow",
    "outgoing-range: 16",
    "num-queries-per-thread: 4096",
    *closed_zone(ZONE),
)


@contextmanager
def running_nameserver(hosts: Sequence[Host], *, options: Sequence[str] = LARGE_BUFFERS) -> Iterator[int]:
    """Run unbound for the block; yield its port, for UDP and TCP. Without ``options`` all its sizes are the defaults."""
    directory = Path(tempfile.mkdtemp(prefix="tlsweep-names-"))
    try:
        port = free_port()
        addresses = ((host.name, host.address) for host in hosts)
        command = unbound_command(directory, port=port, zone=ZONE, addresses=addresses, options=options)
        with (directory / "start.log").open("wb") as log:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(port, server, what="unbound")
            yield port
        finally:
            stop(server)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
