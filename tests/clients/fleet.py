"""Running servers, tlsweep's findings about them, and the results of each client on this machine."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio
from cryptography.hazmat.backends.openssl.backend import backend
from msgspec.structs import replace

from scanner.demo.servers import openssl, run_handler
from scanner.diagnosis.clients.endings import by_release
from scanner.inventory import read_inventory
from scanner.model.config import ScanConfig
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from scanner.starttls import PROTOCOLS
from tests.clients import catalogue, chromium, firefox, programs, running, variants
from tests.clients.running import Answers, Client, Question
from tests.demo.test_every_case import run_and_scan
from tests.helpers import pki
from tests.helpers.loopback_scan import scan_rows

# Addresses that no other test uses: 127.95.x.y.
NETWORK = "127.95"

#: A client -> the function that runs it: its name in ``clients`` of a finding, with "-newest" for another generation.
CLIENTS: Mapping[str, Client] = {
    "curl": programs.each(programs.ask_curl),
    "openssl": programs.each(programs.ask_openssl),
    "openssl-newest": programs.each(programs.ask_pyopenssl),
    "python": programs.each(programs.ask_python),
    "gnutls": programs.each(programs.ask_gnutls),
    "go": running.go,
    "java": running.java,
    "java-newest": running.newest_java,
    "node": running.node,
    "chrome": chromium.chromium,
    "firefox": firefox.firefox,
}

_PRESENT: Mapping[str, Callable[[], bool]] = {
    "curl": lambda: shutil.which("curl") is not None,
    "openssl": lambda: shutil.which("openssl") is not None,
    "openssl-newest": lambda: importlib.util.find_spec("OpenSSL") is not None,
    "python": lambda: True,
    "gnutls": lambda: shutil.which("gnutls-cli") is not None,
    "go": lambda: shutil.which("go") is not None,
    "java": running.java_can_compile,
    "java-newest": lambda: running.java_can_compile() and running.newest_java_program() is not None,
    "node": lambda: shutil.which("node") is not None,
    "chrome": lambda: chromium.PROGRAM is not None and chromium.CERTUTIL is not None,
    "firefox": lambda: firefox.PROGRAM is not None and chromium.CERTUTIL is not None,
}


# Cases, by name or code, whose servers never answer, for which clients get a short timeout.
# Clients that wait for a silent server take no CPU.
AT_A_TIME = 3
SILENT = frozenset({"connect-timeout", "silent-after-hello", "large-hello-dropped", "version-intolerant-silent"})
SILENCE = 2.0
PATIENCE = 15.0
# Browsers take a minute, so they only run if this environment variable is set.
BROWSERS_SWITCH = "TLSWEEP_BROWSERS"
BROWSERS = frozenset({"chrome", "firefox"})


def present(client: str) -> bool:
    """Return whether a client is on this machine."""
    return _PRESENT[client]()


def wanted(client: str) -> bool:
    """Return whether a client is to be run: browsers only on request."""
    return client not in BROWSERS or bool(os.environ.get(BROWSERS_SWITCH))


def versions() -> dict[str, str]:
    """Return the versions of the clients on this machine."""
    asked = {
        "curl": ("curl", "--version"),
        "openssl": ("openssl", "version"),
        "gnutls": ("gnutls-cli", "--version"),
        "go": ("go", "version"),
        "java": ("java", "-version"),
        "java-newest": (str(running.newest_java_program()), "-version"),
        "node": ("node", "--version"),
        "chrome": (str(chromium.PROGRAM), "--version"),
        "firefox": (str(firefox.PROGRAM), "--version"),
    }
    found = {client: running.version(*command) for client, command in asked.items() if present(client)}
    if present("openssl-newest"):
        found["openssl-newest"] = f"{backend.openssl_version_text()} of the package cryptography, by pyOpenSSL"
    return {**found, "python": f"Python's ssl with {ssl.OPENSSL_VERSION}"}


@functools.cache
def _version(client: str) -> str:
    return versions()[client]


def is_older(client: str, release: str) -> bool:
    """Return whether a client on this machine is older than a release, such as "Java 24" or "OpenSSL 3.5"."""
    product, _, number = release.partition(" ")
    found = re.search(rf"(?:{product}[ /]|version \"|\bv)(\d+(?:\.\d+)*)", _version(client))
    assert found is not None, f"{client}: {_version(client)}"
    return _numbers(found[1]) < _numbers(number)


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def predicted(finding: Finding, client: str) -> str | None:
    """Return what a finding predicts for the release of a client that is on this machine, or ``None``."""
    said = finding["clients"].get(client.removesuffix("-newest")) or (None if finding["outcome"] == "fail" else "ok")
    if said is None:
        return None
    text, release, before = by_release(said)
    return before if release is not None and is_older(client, release) else text


@dataclass
class Meetings:
    """Findings and client results by server; a case with several addresses has one result for each."""

    findings: dict[str, Finding] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    answers: dict[str, Answers] = field(default_factory=dict)
    cannot: dict[str, str] = field(default_factory=dict)

    def said(self, client: str, server: str) -> list[str]:
        """Return the results of a client for a server, one per address."""
        return [
            self.answers[client][question.id]
            for question in self.questions
            if question.id.partition("#")[0] == server and question.id in self.answers.get(client, {})
        ]

    def predicted(self, client: str, server: str) -> str | None:
        """Return what the finding predicts for a client, or ``None``."""
        return predicted(self.findings[server], client)


async def ask_all(met: Meetings, clients: Sequence[str], roots: Path, scratch: Path) -> None:
    """Run all clients on all questions: the browsers in parallel to the others, and of these a few at a time."""

    async def ask(client: str, places: trio.CapacityLimiter | None = None) -> None:
        place = scratch / client
        place.mkdir()
        met.answers[client] = await trio.to_thread.run_sync(
            CLIENTS[client], met.questions, roots, place, limiter=places
        )

    async with trio.open_nursery() as nursery:
        for client in clients:
            if client in BROWSERS:
                nursery.start_soon(ask, client)
        places = trio.CapacityLimiter(AT_A_TIME)
        for client in clients:
            if client not in BROWSERS:
                nursery.start_soon(ask, client, places)


async def meet_demo(scratch: Path, clients: Sequence[str]) -> Meetings:
    """Scan the demo's fleet and run all clients on it."""
    met = Meetings()
    async with run_and_scan(scratch / "demo") as (fleet, findings):
        for row in fleet.rows:
            if not row.addresses or row.case.protocol not in ("tls", "https"):
                continue
            if row.case.clock_offset:  # the clients have the right clock
                continue
            met.findings[row.case.name] = findings[row.case.name]
            host = str(findings[row.case.name]["target"]["host"])
            patience = SILENCE if SILENT & {row.case.name, row.case.code} else PATIENCE
            met.questions += [
                Question(f"{row.case.name}#{place}", address, row.port, host, patience)
                for place, address in enumerate(row.addresses)
            ]
        await ask_all(met, clients, fleet.roots, scratch)
    return met


@asynccontextmanager
async def serving(scratch: Path, met: Meetings) -> AsyncIterator[list[variants.Variant]]:
    """Run the servers of the variants, each on its own address; those that this OpenSSL refuses are left out."""
    served: list[variants.Variant] = []
    async with trio.open_nursery() as nursery:
        for number, variant in enumerate(catalogue.all_variants()):
            address = f"{NETWORK}.{number // 250}.{number % 250 + 1}"
            try:
                context = variants.server_context(variant, scratch, address)
            except (ssl.SSLError, ValueError, OSError) as error:
                met.cannot[variant.id] = str(error)
                continue
            listener = (await trio.open_tcp_listeners(0, host=address))[0]
            port = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, partial(run_handler, openssl(context, variant.id)), [listener])
            served.append(variant)
            met.questions.append(Question(variant.id, address, port, variant.host or address))
        yield served
        nursery.cancel_scope.cancel()


async def meet_variants(scratch: Path, clients: Sequence[str]) -> Meetings:
    """Scan the variant servers and run all clients on them."""
    met = Meetings()
    async with serving(scratch, met) as served:
        anchors = {anchor.der: anchor for variant in served for anchor in variant.anchors}
        roots = scratch / "roots.pem"
        roots.write_text(pki.pem(*anchors.values()))
        inventory = scratch / "inventory.csv"
        lines = [f"{item.name},{item.port},{item.address}\n" for item in met.questions]
        inventory.write_text("host,port,address\n" + "".join(lines))
        config = replace(ScanConfig(), connect_timeout=2.0, timeout=10.0, retries=0)
        # No names are resolved, since every row has its address.
        inputs = RunInputs(resolvers=("127.0.0.1:9",), trust_stores=(str(roots),))
        rows = read_inventory(str(inventory), default_protocol="tls", default_port=443, protocols=PROTOCOLS)
        findings = await scan_rows(rows, inputs, config, seconds=300)
        findings.sort(key=lambda finding: finding["target"]["row"] or 0)
        met.findings = {variant.id: finding for variant, finding in zip(served, findings, strict=True)}
        await ask_all(met, clients, roots, scratch)
    return met
