"""The farm: one nginx that answers on every address of 127.0.0.0/8, each of which is a host.

A socket that listens on 0.0.0.0 accepts connections to any loopback address, so thousands of hosts need one server and
no configuration of the machine. There is a port for each TLS version and kind of certificates: ``shared`` by all hosts;
``distinct``, with a server block for each address, whose certificate nginx loads at start; ``expired``, which is distinct
certificates below an expired intermediate; or ``reread``, where nginx reads the file of the address at every handshake,
which makes it as slow as the scanners.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.certificates import Authority
from benchmarks.server_programs import Unavailable, free_port, nginx_command, nginx_server, stop, wait_for

ZONE: Final = "bench.test"
# In the certificate of every host, for tools that send one server name to all targets.
COMMON_NAME: Final = f"any.{ZONE}"
VERSIONS: Final = ("1.3", "1.2")
KINDS: Final = ("shared", "distinct", "reread", "expired")
# Kinds with a server block and a certificate for each host, and the directory of the chains.
CHAINS_OF: Final = {"distinct": "chains", "expired": "expired"}
USUAL_KINDS: Final = ("shared", "distinct")
# Addresses start at 127.16.0.0, away from 127.0.0.1 and from the resolver stubs of Linux distributions.
FIRST_ADDRESS: Final = 16 << 16
MOST_HOSTS: Final = 1_000_000
# nginx takes some seconds to load ten thousand certificates.
START_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the farm: the name in its certificate, and its address."""

    name: str
    address: str


def host(index: int) -> Host:
    """Return the host with this index."""
    number = FIRST_ADDRESS + index
    return Host(f"h{index}.{ZONE}", f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}")


@dataclass(frozen=True, slots=True)
class Farm:
    """A running farm; ``ports`` is by (version, kind), ``root`` the PEM file of the trust anchors."""

    directory: Path
    hosts: tuple[Host, ...]
    ports: dict[tuple[str, str], int]
    root: Path

    def inventory(self, tool: str, version: str, kind: str, *, by_name: bool = False, first: int | None = None) -> Path:
        """Write the targets in the format of ``tool``, in the same order for all tools, and return the path."""
        port = self.ports[version, kind]
        suffix = f"{tool}-{version}-{kind}-{'name' if by_name else 'ip'}-{first or 'all'}"
        path = self.directory / f"targets-{suffix}.{'csv' if tool in ('tlsweep', 'zgrab2') else 'txt'}"
        if path.exists():
            return path
        with path.open("w", encoding="ascii") as out:
            if tool == "tlsweep":
                out.write("host,port\n" if by_name else "host,port,address\n")
            for item in self.hosts[:first]:
                match tool:
                    case "tlsweep":
                        out.write(f"{item.name},{port}\n" if by_name else f"{item.name},{port},{item.address}\n")
                    case "zgrab2":
                        out.write(f"{'' if by_name else item.address},{item.name},,{port}\n")
                    case "tlsx":
                        out.write(f"{item.address}:{port}\n")
                    case "sslyze":
                        out.write(f"{item.name}:{port}{{{item.address}}}\n")
                    case _:
                        raise ValueError(tool)
        return path


def _server_blocks(directory: Path, ports: dict[tuple[str, str], int], hosts: Sequence[Host]) -> Iterator[str]:
    """Yield nginx's server blocks, one per port, and one per address for kinds with a certificate for each host."""
    key = directory / "leaf.key"
    for (version, kind), port in ports.items():
        # The one socket of the port; nginx selects the block by the address that the client connected to.
        chain = directory / ("chains/$server_addr.pem" if kind == "reread" else "shared.pem")
        protocols = f"TLSv{version}"
        yield nginx_server(f"0.0.0.0:{port} backlog=8192", protocols=protocols, chain=chain, key=key)
        if (chains := CHAINS_OF.get(kind)) is not None:
            for item in hosts:
                chain = directory / chains / f"{item.address}.pem"
                yield nginx_server(f"{item.address}:{port}", protocols=protocols, chain=chain, key=key)


def _write_expired(directory: Path, hosts: Sequence[Host], healthy: Authority) -> None:
    """Write a chain for each host below one expired intermediate, and add its root to the trust anchors."""
    authority = replace(Authority.create(expired=True), leaf_key=healthy.leaf_key)
    (directory / "expired").mkdir()
    for item in hosts:
        authority.write_chain(directory / "expired" / f"{item.address}.pem", [item.name, COMMON_NAME])
    other = directory / "expired-root.pem"
    authority.write_root(other)
    with (directory / "root.pem").open("ab") as roots:
        roots.write(other.read_bytes())


@contextmanager
def running_farm(
    hosts: int, *, versions: tuple[str, ...] = VERSIONS, kinds: tuple[str, ...] = USUAL_KINDS
) -> Iterator[Farm]:
    """Issue the certificates, and run nginx in a temporary directory for the block."""
    if not 0 < hosts <= MOST_HOSTS:
        raise Unavailable(f"a farm has 1 to {MOST_HOSTS} hosts")
    directory = Path(tempfile.mkdtemp(prefix="tlsweep-farm-"))
    try:
        authority = Authority.create()
        everyone = tuple(host(index) for index in range(hosts))
        authority.write_root(directory / "root.pem")
        authority.write_key(directory / "leaf.key")
        authority.write_chain(directory / "shared.pem", [f"*.{ZONE}", ZONE])
        if not {"distinct", "reread"}.isdisjoint(kinds):
            (directory / "chains").mkdir()
            for item in everyone:
                authority.write_chain(directory / "chains" / f"{item.address}.pem", [item.name, COMMON_NAME])
            # For ``wait_for``, which connects to 127.0.0.1
            authority.write_chain(directory / "chains" / "127.0.0.1.pem", [COMMON_NAME])
        if "expired" in kinds:
            _write_expired(directory, everyone, authority)
        ports = {(version, kind): free_port() for version in versions for kind in kinds}
        command = nginx_command(directory, _server_blocks(directory, ports, everyone))
        with (directory / "nginx.log").open("wb") as log:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            for port in ports.values():
                wait_for(port, server, what="nginx", seconds=START_SECONDS)
            yield Farm(directory, everyone, ports, directory / "root.pem")
        finally:
            stop(server)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def serve(hosts: int) -> None:
    """Run a farm until Ctrl-C, to examine it by hand."""
    with running_farm(hosts) as farm:
        described = {
            "directory": str(farm.directory),
            "first": f"{farm.hosts[0].name} at {farm.hosts[0].address}",
            "last": f"{farm.hosts[-1].name} at {farm.hosts[-1].address}",
            "ports": {f"TLS {version}, {kind}": port for (version, kind), port in farm.ports.items()},
            "root": str(farm.root),
        }
        print(json.dumps(described, indent=2), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()
