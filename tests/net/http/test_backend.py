"""Which hosts may be fetched from: every address of every name is checked, on every redirect, and the one checked is connected to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from scanner.net.http import backend
from scanner.net.http.fetch import ISSUERS, Fetcher
from scanner.net.sockets import open_stream
from tests.helpers.http import Names, Server, ok, open_fetcher, redirect, serving

# Addresses that nobody here reaches: what would go there goes to the test's server.
PUBLIC = "1.2.3.4"
PUBLIC_6 = "2600::1"


class World:
    """Public addresses lead to one server of the test; what was connected to is written down."""

    def __init__(self, server: Server, fetcher: Fetcher, names: Names, dialled: list[str]) -> None:
        self.server, self.fetcher, self.names, self.dialled = server, fetcher, names, dialled

    async def error(self, url: str) -> str:
        got = await self.fetcher.fetch(url, ISSUERS)
        assert got.body is None
        assert not got.blocked
        return str(got.error)


@asynccontextmanager
async def world(zone: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[World]:
    dialled: list[str] = []
    real = open_stream
    names = Names(zone)
    async with serving({"/x": ok(b"x")}) as server, open_fetcher(names, **options) as fetcher:

        async def connect(to: tuple[str, int]) -> trio.SocketStream:
            dialled.append(to[0])
            return await real(("127.0.0.1", server.port))

        monkeypatch.setattr(backend, "open_stream", connect)
        yield World(server, fetcher, names, dialled)


def test_a_public_address_is_connected_to_as_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with world({"ca.example": [PUBLIC, PUBLIC_6]}, monkeypatch) as here:
            assert (await here.fetcher.fetch("http://ca.example/x", ISSUERS)).body == b"x"
            assert here.dialled == [PUBLIC_6]
            assert (await here.fetcher.fetch(f"http://{PUBLIC}/x", ISSUERS)).body == b"x"
            assert (await here.fetcher.fetch(f"http://[{PUBLIC_6}]/x", ISSUERS)).body == b"x"
            assert here.dialled == [PUBLIC_6, PUBLIC, PUBLIC_6]
            assert here.names.asked == ["ca.example"]

    trio.run(main)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fd00:ec2::254"],
        ["64:ff9b::a00:1"],
    ],
)
def test_one_address_that_may_not_be_asked_spoils_the_name(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        zone = {
            "alone.example": addresses,
            "mixed.example": [PUBLIC, *addresses],
            "other.example": [*addresses, PUBLIC],
        }
        async with world(zone, monkeypatch) as here:
            for name in zone:
                assert "not asked" in await here.error(f"http://{name}/x")
            literal = addresses[0] if ":" not in addresses[0] else f"[{addresses[0]}]"
            assert "not asked" in await here.error(f"http://{literal}/x")
            assert here.dialled == []

    trio.run(main)


@pytest.mark.parametrize(
    "target", ["http://inside.example/x", "http://10.0.0.1/x", "http://[::1]:8080/x", "//127.0.0.1/x"]
)
def test_a_redirect_inside_is_not_followed(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        zone = {"ca.example": [PUBLIC], "inside.example": ["192.168.1.1"]}
        async with world(zone, monkeypatch) as here:
            here.server.answers["/to"] = redirect(target)
            assert "not asked" in await here.error("http://ca.example/to")
            assert here.dialled == [PUBLIC]
            assert here.server.targets == ["/to"]

    trio.run(main)


def test_a_name_that_leads_inside_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: what was checked is what is connected to, and every connection is checked anew."""

    async def main() -> None:
        async with world({"ca.example": [[PUBLIC], ["127.0.0.1"]]}, monkeypatch) as here:
            here.server.close_after_each = True
            assert (await here.fetcher.fetch("http://ca.example/x", ISSUERS)).body == b"x"
            assert "127.0.0.1, a loopback address" in await here.error("http://ca.example/x")
            assert here.dialled == [PUBLIC]

    trio.run(main)


def test_what_is_excluded_is_not_contacted(monkeypatch: pytest.MonkeyPatch) -> None:
    excluded = {"never.example", "2.2.2.2"}

    async def main() -> None:
        zone = {"never.example": [PUBLIC], "other.example": ["2.2.2.2"], "ca.example": [PUBLIC]}
        banned = lambda host: host if host in excluded else None  # noqa: E731
        async with world(zone, monkeypatch, banned=banned) as here:
            here.server.answers["/to"] = redirect("http://never.example/x")
            for url in ("http://never.example/x", "http://other.example/x", "http://2.2.2.2/x", "http://ca.example/to"):
                assert "not asked: excluded by" in await here.error(url)
            assert here.dialled == [PUBLIC]
            assert here.names.asked == ["other.example", "ca.example"]

    trio.run(main)


def test_private_addresses_where_they_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        zone = {"ca.example": ["10.0.0.1"], "meta.example": ["169.254.169.254"]}
        async with world(zone, monkeypatch, private=True) as here:
            assert (await here.fetcher.fetch("http://ca.example/x", ISSUERS)).body == b"x"
            error = "not asked: meta.example leads to 169.254.169.254, a cloud's metadata address"
            assert await here.error("http://meta.example/x") == error
            assert here.dialled == ["10.0.0.1"]

    trio.run(main)


def test_each_address_is_tried_and_has_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[float, str]] = []

    async def connect(to: tuple[str, int]) -> trio.SocketStream:
        tried.append((trio.current_time(), to[0]))
        if to[0] == PUBLIC_6:
            raise OSError(111, "Connection refused")
        return await trio.sleep_forever()

    monkeypatch.setattr(backend, "open_stream", connect)

    async def main() -> None:
        zone = {"ca.example": [PUBLIC, "1.2.3.5", PUBLIC_6, "1.2.3.6"]}
        async with open_fetcher(Names(zone)) as fetcher:
            begun = trio.current_time()
            got = await fetcher.fetch("http://ca.example/x", ISSUERS)
            assert (got.error, got.blocked) == ("no connection within 4 s", True)
            assert [(at - begun, address) for at, address in tried] == [(0, PUBLIC_6), (0, PUBLIC), (4, "1.2.3.5")]

    trio.run(main, clock=MockClock(autojump_threshold=0))
