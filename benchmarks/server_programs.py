"""nginx and unbound as the benchmarks and the torture run start them: programs, ports, configurations, and waiting."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

# Debian keeps server programs in directories that are not on every user's PATH.
PROGRAM_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"


class Unavailable(Exception):
    """A server program is missing or did not start; the message says which."""


def find_program(name: str) -> str:
    """Return the path of a program. Raises ``Unavailable`` if it is not installed."""
    found = shutil.which(name, path=PROGRAM_PATH)
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found


def free_port() -> int:
    """Return a port that is free on all addresses for TCP and UDP. Raises ``Unavailable``."""
    for _ in range(100):
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind(("0.0.0.0", 0))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise Unavailable("no free port")


def wait_for(
    port: int, process: subprocess.Popen[bytes], *, what: str, address: str = "127.0.0.1", seconds: float = 10.0
) -> None:
    """Wait until ``process`` accepts TCP connections. Raises ``Unavailable`` if it ends or does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"{what} ended with status {process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.02)
    raise Unavailable(f"{what} does not answer on port {port}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and kill it if it does not end."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def nginx_command(directory: Path, servers: Iterable[str]) -> list[str]:
    """Write ``nginx.conf`` with these server blocks into ``directory``; return the command that runs nginx with it."""
    # Workers of a server started by root run as another user by default, who could not read a private directory.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"""{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ worker_connections 12000; multi_accept on; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{"".join(servers)}
}}
""",
        encoding="ascii",
    )
    return [
        *(find_program("nginx"), "-c", str(configuration)),
        *("-p", str(directory), "-e", str(directory / "error.log")),
    ]


def nginx_server(listen: str, *, protocols: str, chain: Path, key: Path) -> str:
    """Return the server block of a TLS server that answers every request with ``ok``."""
    return f"""
  server {{
    listen {listen} ssl;
    ssl_protocols {protocols};
    ssl_certificate {chain};
    ssl_certificate_key {key};
    location / {{ return 200 "ok\\n"; }}
  }}"""


def unbound_command(
    directory: Path,
    *,
    name: str = "unbound",
    interface: str = "127.0.0.1",
    port: int = 53,
    zone: str,
    addresses: Iterable[tuple[str, str]],
    options: Sequence[str] = (),
) -> list[str]:
    """Write ``NAME.conf`` into ``directory``; return the command that runs unbound with it.

    unbound answers for the names of ``zone`` in ``addresses``, (name, address) pairs, with its defaults but for ``options``.
    """
    configuration = directory / f"{name}.conf"
    records = "\n".join(f'  local-data: "{host}. 300 IN A {address}"' for host, address in addresses)
    more = "".join(f"  {option}\n" for option in options)
    configuration.write_text(
        f"""server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: "{directory}/{name}.pid"
  logfile: "{directory}/{name}.log"
  use-syslog: no
  interface: {interface}
  port: {port}
{more}  local-zone: "{zone}." static
{records}
remote-control:
  control-enable: no
""",
        encoding="ascii",
    )
    return [find_program("unbound"), "-d", "-c", str(configuration)]


def closed_zone(zone: str) -> tuple[str, ...]:
    """Return unbound options that refuse all names outside ``zone``, so that no query leaves the machine."""
    return (
        'module-config: "iterator"',
        'local-zone: "." refuse',
        f'local-data: "{zone}. 300 IN SOA {zone}. nobody.{zone}. 1 3600 600 86400 300"',
    )
