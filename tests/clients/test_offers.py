"""The last offer that is made to a server holds all that real clients offer: their hellos are read, and compared."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scanner.demo.client_hello import (
    EMPTY_RENEGOTIATION_INFO_SCSV,
    ClientHello,
    complete_hello_untrusted,
    parse_hello_untrusted,
)
from scanner.tls.offers import EVERYTHING
from tests.clients import fleet
from tests.clients.fleet import CLIENTS
from tests.clients.running import Question
from tests.helpers import evidence

# Seconds until a client has started and said its hello
PATIENCE = 120.0
# TLS_FALLBACK_SCSV, and what GREASE reserves (RFC 7507, RFC 8701): signals, nothing that could be chosen
SIGNALS = {EMPTY_RENEGOTIATION_INFO_SCSV, 0x5600, *(0x0A0A + 0x1010 * number for number in range(16))}
# Libraries that are told to offer all they have, whatever they offer by default
UNLIMITED: dict[str, Sequence[str]] = {
    "openssl": ("s_client", "-connect", "127.0.0.1:{port}", "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"),
    "gnutls-cli": ("--insecure", "--priority", "LEGACY", "-p", "{port}", "127.0.0.1"),
}


def hello_of(client: Callable[[int], object]) -> ClientHello:
    """Return the hello that a client says to a server that hangs up on it; ``client`` is given the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(PATIENCE)
        running = pool.submit(client, listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            received = b""
            while (message := complete_hello_untrusted(received)) is None:
                received += connection.recv(65536)
        listener.close()
        running.result()
    return parse_hello_untrusted(message, len(received))


def check(hello: ClientHello) -> None:
    assert hello.suites and hello.groups and hello.schemes
    assert set(hello.suites) - SIGNALS <= set(EVERYTHING.suites)
    assert set(hello.groups) - SIGNALS <= set(EVERYTHING.groups)
    assert set(hello.schemes) - SIGNALS <= set(EVERYTHING.schemes)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_last_offer_holds_all_that_a_client_offers(client: str, tmp_path: Path) -> None:
    if not (fleet.present(client) and fleet.wanted(client)):
        pytest.skip(f"{client} is not here, or takes part with TLSWEEP_BROWSERS=1")
    roots = tmp_path / "roots.pem"
    roots.write_text(evidence.root().pem)

    def connect(port: int) -> None:
        CLIENTS[client]([Question("only", "127.0.0.1", port, "www.example.org")], roots, tmp_path)

    check(hello_of(connect))


@pytest.mark.parametrize("program", UNLIMITED)
def test_the_last_offer_holds_all_that_a_library_has(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")

    def connect(port: int) -> None:
        arguments = [part.replace("{port}", str(port)) for part in UNLIMITED[program]]
        subprocess.run([program, *arguments], input=b"", capture_output=True, timeout=PATIENCE, check=False)

    check(hello_of(connect))
