"""Unreachable addresses and dropped hellos, seen by raw sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from scanner.demo.cases_network import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from tests.demo.clients import (
    connect,
    exchange,
    handshake,
    hello_bytes,
    leaf_for,
    trusting,
    unchecked,
    untested,
    using_server_of,
)


def test_a_closed_port_refuses_connections() -> None:
    @using_server_of("port-closed")
    async def test(row: FleetRow, pki: Pki) -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect(row.addresses[0], row.port)


def test_a_full_queue_never_accepts() -> None:
    @using_server_of("firewalled")
    async def test(row: FleetRow, pki: Pki) -> None:
        with trio.move_on_after(0.3) as scope:
            await connect(row.addresses[0], row.port)
        assert scope.cancelled_caught


@pytest.mark.parametrize("name", ["reset-after-hello", "sni-filtered"])
def test_hellos_get_a_reset(name: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await exchange(row, hello_bytes(unchecked(), row.host))


def test_the_sni_filter_passes_other_names() -> None:
    @using_server_of("sni-filtered")
    async def test(row: FleetRow, pki: Pki) -> None:
        await leaf_for(row, "unheard-of.invalid")
        await leaf_for(row, None)


@pytest.mark.parametrize("name", ["silent-after-hello", "large-hello-dropped"])
def test_hellos_get_no_answer(name: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await exchange(row, hello_bytes(unchecked(large=True), row.host), seconds=0.3) is None


def test_a_greeting_does_not_come() -> None:
    @using_server_of("silent-greeting")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await exchange(row, b"", seconds=0.3) is None


def test_a_small_hello_passes() -> None:
    @using_server_of("large-hello-dropped")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await handshake(row, trusting(pki)) == "TLSv1.3"


def test_one_of_two_addresses_refuses_connections() -> None:
    @using_server_of("half-dead")
    async def test(row: FleetRow, pki: Pki) -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect(row.addresses[0], row.port)
        assert await handshake(row, trusting(pki), index=1) == "TLSv1.3"


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
