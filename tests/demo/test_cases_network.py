"""Addresses that cannot be reached and hellos that vanish, seen by raw sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from scanner.demo.cases_network import CASES
from scanner.demo.fleet import Row
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
    with_server,
)


def test_refuses_connections() -> None:
    @with_server("port-closed")
    async def test(row: Row, pki: Pki) -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect(row.addresses[0], row.port)


def test_never_accepts() -> None:
    @with_server("firewalled")
    async def test(row: Row, pki: Pki) -> None:
        with trio.move_on_after(0.3) as scope:
            await connect(row.addresses[0], row.port)
        assert scope.cancelled_caught


@pytest.mark.parametrize("name", ["reset-after-hello", "sni-filtered"])
def test_resets(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await exchange(row, hello_bytes(unchecked(), row.host))


def test_sni_filter_lets_others_pass() -> None:
    @with_server("sni-filtered")
    async def test(row: Row, pki: Pki) -> None:
        await leaf_for(row, "unheard-of.invalid")
        await leaf_for(row, None)


@pytest.mark.parametrize("name", ["silent-after-hello", "large-hello-dropped"])
def test_says_nothing(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        assert await exchange(row, hello_bytes(unchecked(large=True), row.host), seconds=0.3) is None


def test_small_hello_passes() -> None:
    @with_server("large-hello-dropped")
    async def test(row: Row, pki: Pki) -> None:
        assert await handshake(row, trusting(pki)) == "TLSv1.3"


def test_one_of_two_addresses_is_dead() -> None:
    @with_server("half-dead")
    async def test(row: Row, pki: Pki) -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect(row.addresses[0], row.port)
        assert await handshake(row, trusting(pki), index=1) == "TLSv1.3"


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
