"""Servers that fail on what not every client sends: two key shares, a request for a staple. Who sends them, by the real hellos."""

from __future__ import annotations

import functools
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from scanner.demo.client_hello import ClientHello, complete_hello_untrusted, parse_hello_untrusted
from scanner.demo.servers import Condition, close_with_reset, refuse_if, run_handler
from scanner.diagnosis.clients.endings import OK, broken_on_texts, by_release
from scanner.diagnosis.rules.refusal import STATUS_REQUEST, TWO_SHARES
from scanner.inventory import read_inventory
from scanner.model.config import ScanConfig
from scanner.run.inputs import RunInputs
from scanner.starttls import PROTOCOLS
from tests.clients import fleet
from tests.clients.fleet import Meetings
from tests.clients.running import Question
from tests.clients.variants import ROOT, odd_leaf, server_context
from tests.helpers.loopback_scan import scan_rows

HOST = "www.example.org"
# The extension by which a client asks for a staple
STATUS = 5
# Seconds until a client has said its hello; Go builds its client and all of its library first.
PATIENCE = 30.0
BUILDING = 250


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "client", ["curl", "openssl", "openssl-newest", "python", "gnutls", "node", "go", "java", "java-newest"]
)
def test_clients_send_what_is_predicted_to_break_a_server(client: str, tmp_path: Path) -> None:
    """A staple that is asked for, two key shares, a hello of more than one packet: who sends them, by the real hellos."""
    if not fleet.present(client):
        pytest.skip(f"{client} is not installed")
    hello = hello_to_question(client, tmp_path)
    name = client.removesuffix("-newest")
    for breaks_on, is_sent in ((STATUS_REQUEST, STATUS in hello.extensions), (TWO_SHARES, len(hello.key_shares) > 1)):
        _, release, before = by_release(said := broken_on_texts({"failure": "reset", "breaks_on": breaks_on})[name])
        predicted = before if release is not None and fleet.is_older(client, release) else said
        assert (predicted != OK) is is_sent, (breaks_on, said, hello)


def hello_to_question(client: str, scratch: Path) -> ClientHello:
    """Return the hello of a client of ``tests.clients.fleet``."""
    roots = scratch / "roots.pem"
    roots.write_text(ROOT.pem)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(BUILDING)
        question = Question("hello", "127.0.0.1", listener.getsockname()[1], HOST)
        running = pool.submit(fleet.CLIENTS[client], [question], roots, scratch)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            received = b""
            while (message := complete_hello_untrusted(received)) is None:
                received += connection.recv(65536)
        running.result()
    return parse_hello_untrusted(message, len(received))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("breaks_on", "condition"),
    [
        (STATUS_REQUEST, lambda hello: STATUS in hello.extensions),
        (TWO_SHARES, lambda hello: len(hello.key_shares) > 1),
    ],
)
def test_a_server_that_breaks_on_what_few_send_is_refused_by_those(
    breaks_on: str, condition: Condition, tmp_path: Path
) -> None:
    """The finding says what it breaks on, and of each client whether it connects."""
    clients = [
        client for client in ("curl", "openssl", "openssl-newest", "python", "gnutls", "node") if fleet.present(client)
    ]
    met = trio.run(functools.partial(meet_broken, condition, clients, tmp_path))
    (finding,) = met.findings.values()
    (record,) = finding["diagnoses"]
    assert record["code"] == "reset-after-hello" and record["evidence"]["breaks_on"] == breaks_on
    assert breaks_on in record["summary"]
    for client in clients:
        assert (met.predicted(client, "broken") == OK) is (met.said(client, "broken") == [OK]), client


async def meet_broken(condition: Condition, clients: Sequence[str], scratch: Path) -> Meetings:
    """Scan a server that resets hellos which meet ``condition``, and run clients on it."""
    met, address = Meetings(), f"{fleet.NETWORK}.9.1"
    variant = odd_leaf("broken")
    handler = refuse_if(condition, close_with_reset, server_context(variant, scratch, address), "page")
    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host=address))[0]
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, functools.partial(run_handler, handler), [listener])
        roots = scratch / "roots.pem"
        roots.write_text(ROOT.pem)
        met.questions.append(Question("broken", address, port, variant.host))
        inventory = scratch / "inventory.csv"
        inventory.write_text(f"host,port,address\n{variant.host},{port},{address}\n")
        rows = read_inventory(str(inventory), default_protocol="tls", default_port=443, protocols=PROTOCOLS)
        inputs = RunInputs(resolvers=("127.0.0.1:9",), trust_stores=(str(roots),))
        config = replace(ScanConfig(), connect_timeout=2.0, timeout=10.0, retries=0)
        met.findings["broken"] = (await scan_rows(rows, inputs, config, seconds=60))[0]
        await fleet.ask_all(met, clients, roots, scratch)
        nursery.cancel_scope.cancel()
    return met
