"""What findings say of clients, held against those clients: curl, OpenSSL, GnuTLS and Python each meet every TLS server of the demo.

Only whether a client goes on is compared, since its words change with its version.
"""

from __future__ import annotations

import functools
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from scanner.demo.catalogue import CASES
from scanner.demo.fleet import Fleet, Row
from scanner.findings import Finding
from tests.demo.test_every_case import scanned

# Long enough for any answer on loopback, short enough for those that never come.
SECONDS = 2.0

COMPARED = [case for case in CASES if case.servers and case.protocol in ("tls", "https")]

# (case, client) -> why the two need not agree.
EXCEPT = {
    ("large-hello-dropped", client): "says what versions with a post-quantum share do, and those here may be older"
    for client in ("curl", "openssl", "python", "gnutls")
}


def run(*command: str, text: str = "") -> tuple[int, str]:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return -1, ""
    return done.returncode, done.stdout + done.stderr


def curl(row: Row, host: str, address: str, roots: str) -> bool:
    target = f"{host}:{row.port}"
    to = f"[{address}]" if ":" in address else address
    status, _ = run("curl", "--silent", "--cacert", roots, "--resolve", f"{target}:{to}", f"https://{target}/")
    return status == 0


def openssl(row: Row, host: str, address: str, roots: str) -> bool:
    to = f"[{address}]" if ":" in address else address
    name = ("-noservername", "-verify_ip") if host == address else ("-servername", host, "-verify_hostname")
    options = ("-connect", f"{to}:{row.port}", "-CAfile", roots, "-verify_return_error", *name, host)
    _, said = run("openssl", "s_client", *options, text="GET / HTTP/1.0\r\n\r\n")
    return "Verify return code: 0" in said and "Cipher is (NONE)" not in said


def gnutls(row: Row, host: str, address: str, roots: str) -> bool:
    name = () if host == address else (f"--sni-hostname={host}",)
    options = ("-p", str(row.port), f"--x509cafile={roots}", f"--verify-hostname={host}", *name, address)
    _, said = run("gnutls-cli", *options)
    # The scripted servers stop where a client that accepts what it saw would go on: it gets this alert then.
    went_on = "The certificate is trusted" in said and "Received alert [40]" in said
    return "Handshake was completed" in said or went_on


# What CPython offers by itself (Modules/_ssl.c). Debian builds its Python with OpenSSL's own list instead.
PYTHON_SUITES = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"


def python(row: Row, host: str, address: str, roots: str) -> bool:
    context = ssl.create_default_context(cafile=roots)
    context.set_ciphers(PYTHON_SUITES)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with (
            socket.create_connection((address, row.port), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except OSError:  # of which ssl.SSLError is one
        return False


CLIENTS = {"curl": curl, "openssl": openssl, "gnutls": gnutls, "python": python}
PROGRAMS = {"curl": "curl", "openssl": "openssl", "gnutls": "gnutls-cli"}
AVAILABLE = [name for name in CLIENTS if name not in PROGRAMS or shutil.which(PROGRAMS[name])]

Meetings = dict[tuple[str, str], tuple[bool, bool]]


@pytest.fixture(scope="module")
def meetings(tmp_path_factory: pytest.TempPathFactory) -> Meetings:
    """(case, client) -> whether it goes on, as the finding says and as it does."""
    return trio.run(functools.partial(meet_all, tmp_path_factory.mktemp("clients")))


async def meet_all(directory: Path) -> Meetings:
    found: Meetings = {}
    # Client programs are processes of their own: a few at a time leave the servers, which are all in this one, room to answer.
    limit = trio.CapacityLimiter(4)
    async with scanned(directory) as (fleet, findings):
        async with trio.open_nursery() as nursery:
            for row in fleet.rows:
                if row.case in COMPARED:
                    for client in AVAILABLE:
                        nursery.start_soon(meet, fleet, row, findings[row.case.name], client, found, limit)
    return found


async def meet(
    fleet: Fleet, row: Row, finding: Finding, client: str, found: Meetings, limit: trio.CapacityLimiter
) -> None:
    host = finding["target"]["host"]
    assert host is not None
    ask: Callable[[Row, str, str, str], bool] = CLIENTS[client]
    # A certificate that some address has wrong is an error; an address that is dead leaves the others.
    combine = all if row.case.outcome == "fail" else any
    does = combine(
        [
            await trio.to_thread.run_sync(ask, row, host, address, str(fleet.roots), limiter=limit)
            for address in row.addresses
        ]
    )
    says = finding["clients"].get(client, "ok" if finding["outcome"] != "fail" else "") == "ok"
    found[row.case.name, client] = says, does


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", [case.name for case in COMPARED])
def test_the_finding_is_right(name: str, client: str, meetings: Meetings) -> None:
    if (name, client) in EXCEPT:
        pytest.skip(EXCEPT[name, client])
    if (name, client) not in meetings:
        pytest.skip(f"{client} or the server is not to be had here")
    says, does = meetings[name, client]
    assert says is does


def test_outcomes_are_what_clients_do(meetings: Meetings) -> None:
    """Nothing that is "ok" or a warning is refused by any of these."""
    for case in COMPARED:
        answers = [does for (name, _), (_, does) in meetings.items() if name == case.name]
        if case.outcome != "fail":
            assert all(answers), case.name
