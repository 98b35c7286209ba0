"""A real name server for the farm's names: unbound, serving its own static zone on 127.0.0.1 and nothing else.

Every host has one A record and no AAAA, the common case. All other names are refused, so that no question of a
benchmark can leave the machine.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.farm import ZONE, Host, find_program, free_port, stop, wait_for


def _configuration(directory: Path, port: int, hosts: Sequence[Host]) -> str:
    records = "\n".join(f'  local-data: "{host.name}. 300 IN A {host.address}"' for host in hosts)
    return f"""server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: "{directory}/unbound.pid"
  logfile: "{directory}/unbound.log"
  use-syslog: no
  verbosity: 0
  num-threads: 1
  interface: 127.0.0.1
  port: {port}
  so-rcvbuf: 4m
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
  outgoing-range: 16
  num-queries-per-thread: 4096
  local-zone: "." refuse
  local-zone: "{ZONE}." static
  local-data: "{ZONE}. 300 IN SOA {ZONE}. nobody.{ZONE}. 1 3600 600 86400 300"
{records}
remote-control:
  control-enable: no
"""


@contextmanager
def running_nameserver(hosts: Sequence[Host]) -> Iterator[int]:
    """Start the server; gives its port, the same for UDP and TCP."""
    program = find_program("unbound")
    directory = Path(tempfile.mkdtemp(prefix="tlsweep-names-"))
    try:
        port = free_port()
        configuration = directory / "unbound.conf"
        configuration.write_text(_configuration(directory, port, hosts), encoding="ascii")
        with (directory / "start.log").open("wb") as log:
            server = subprocess.Popen(
                [program, "-d", "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(port, server, what="unbound")
            yield port
        finally:
            stop(server)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
