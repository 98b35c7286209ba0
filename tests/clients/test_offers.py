"""The last offer that is made to a server holds all that real clients offer: their hellos are read, and compared."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from scanner.demo.client_hello import EMPTY_RENEGOTIATION_INFO_SCSV, ClientHello, complete_hello_untrusted
from scanner.demo.client_hello import parse_hello_untrusted as parse
from scanner.tls.offers import EVERYTHING

# Seconds until a client has started and said its hello
PATIENCE = 30.0
# TLS_FALLBACK_SCSV, and what GREASE reserves (RFC 7507, RFC 8701): signals, nothing that could be chosen
SIGNALS = {EMPTY_RENEGOTIATION_INFO_SCSV, 0x5600, *(0x0A0A + 0x1010 * number for number in range(16))}
HOST = "www.example.org"
CLIENTS: dict[str, Sequence[str]] = {
    "curl": ("curl", "--silent", "--insecure", "https://127.0.0.1:{port}/"),
    "openssl": ("openssl", "s_client", "-connect", "127.0.0.1:{port}", "-servername", HOST),
    "openssl-all": ("openssl", "s_client", "-connect", "127.0.0.1:{port}", "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"),
    "gnutls": ("gnutls-cli", "--insecure", "-p", "{port}", "127.0.0.1"),
    "gnutls-legacy": ("gnutls-cli", "--insecure", "--priority", "LEGACY", "-p", "{port}", "127.0.0.1"),
    "node": ("node", "-e", "require('tls').connect({port}, '127.0.0.1').on('error', () => 0)"),
}  # fmt: skip


def hello_of(command: Sequence[str]) -> ClientHello:
    """Return the hello that a client says to a server that hangs up on it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        port = listener.getsockname()[1]
        listener.settimeout(PATIENCE)
        running = pool.submit(
            subprocess.run,
            [part.replace("{port}", str(port)) for part in command],
            input=b"",
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            received = b""
            while (message := complete_hello_untrusted(received)) is None:
                received += connection.recv(65536)
        running.result()
    return parse(message, len(received))


@pytest.mark.parametrize("name", CLIENTS)
def test_the_last_offer_holds_all_that_a_client_offers(name: str) -> None:
    command = CLIENTS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    hello = hello_of(command)
    assert hello.suites and hello.groups and hello.schemes
    assert set(hello.suites) - SIGNALS <= set(EVERYTHING.suites)
    assert set(hello.groups) - SIGNALS <= set(EVERYTHING.groups)
    assert set(hello.schemes) - SIGNALS <= set(EVERYTHING.schemes)
