"""Fetching from servers that behave, and from those that do not: each fault is one line, and nothing waits for ever."""

from __future__ import annotations

import gzip
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from scanner.net.http import fetch
from scanner.net.http.fetch import CRL, DOWN_SECONDS, ISSUERS, MAX_PER_HOST, OCSP, Fetched, Fetcher
from tests.helpers import pki
from tests.helpers.http import Answer, Asked, Names, Server, ok, open_fetcher, redirect, serving

HERE = Names({"ca.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]})


def run(main: Callable[[], Awaitable[None]], *, jumping: bool = False) -> None:
    # real sockets need a moment of real time before the clock may jump
    trio.run(main, clock=MockClock(autojump_threshold=0.05) if jumping else None)


@asynccontextmanager
async def world(answers: dict[str, Answer], **options: Any) -> AsyncIterator[tuple[Server, Fetcher, str]]:
    """A server, a fetcher that may ask it, and where the server is."""
    options = {"private": True, **options}
    async with serving(answers) as server, open_fetcher(options.pop("resolver", HERE), **options) as fetcher:
        yield server, fetcher, f"http://ca.example:{server.port}"


def fetched(
    answer: Answer, kind: fetch.FetchKind = ISSUERS, *, jumping: bool = False, post: bytes | None = None
) -> Fetched:
    """What comes of a single request to a server that answers so."""
    found: list[Fetched] = []

    async def main() -> None:
        async with world({"/x": answer}) as (_, fetcher, base):
            found.append(await fetcher.fetch(f"{base}/x", kind, post))

    run(main, jumping=jumping)
    return found[0]


def test_a_body_and_what_is_sent_to_get_it() -> None:
    async def main() -> None:
        async with world({"/a/ca.cer": ok(b"0\x03", "Content-Type: application/pkix-cert; x=y")}) as (
            server,
            fetcher,
            base,
        ):
            got = await fetcher.fetch(f"{base}/a/ca.cer?q=1", ISSUERS)
            assert (got.body, got.error, got.content_type) == (b"0\x03", None, "application/pkix-cert")
            [asked] = server.asked
            assert (asked.method, asked.target) == ("GET", "/a/ca.cer?q=1")
            assert asked.headers["host"] == f"ca.example:{server.port}"
            assert asked.headers["accept-encoding"] == "identity"
            assert set(asked.headers) == {"host", "user-agent", "accept", "accept-encoding"}
            await fetcher.fetch(f"{base}/a/ca.cer", ISSUERS)
            assert server.connections == 1  # kept

    run(main)


def test_post_follows_only_redirects_that_keep_the_method() -> None:
    async def main() -> None:
        async with world({"/": ok(b"0"), "/moved": redirect("/", "307 x"), "/see": redirect("/", "303 x")}) as given:
            server, fetcher, base = given
            for path in ("/", "/moved", "/see"):
                assert (await fetcher.fetch(f"{base}{path}", OCSP, b"asked")).body == b"0"
            assert [(one.method, one.target, one.body) for one in server.asked] == [
                ("POST", "/", b"asked"),
                ("POST", "/moved", b"asked"),
                ("POST", "/", b"asked"),
                ("POST", "/see", b"asked"),
                ("GET", "/", b""),
            ]

    run(main)


def test_a_list_of_20_megabytes() -> None:
    async def large(stream: trio.abc.Stream, _: Asked) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _piece in range(320):
            await stream.send_all(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await stream.send_all(b"0\r\n\r\n")

    got = fetched(large, CRL)
    assert got.body is not None
    assert len(got.body) == 20 << 20


async def _endless(stream: trio.abc.Stream, _: Asked) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await stream.send_all(bytes(65536))


async def _endless_headers(stream: trio.abc.Stream, _: Asked) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send_all(b"X-More: and more\r\n" * 1000)


async def _drip(stream: trio.abc.Stream, _: Asked) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(1)


async def _silent(stream: trio.abc.Stream, _: Asked) -> None:
    await trio.sleep_forever()


async def _half(stream: trio.abc.Stream, _: Asked) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")


async def _half_and_silent(stream: trio.abc.Stream, asked: Asked) -> None:
    await _half(stream, asked)
    await trio.sleep_forever()


async def _hangs_up(stream: trio.abc.Stream, _: Asked) -> None:
    return


async def _continues(stream: trio.abc.Stream, _: Asked) -> None:
    while True:
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        await trio.sleep(0.5)


@pytest.mark.parametrize(
    ("answer", "error", "blocked"),
    [
        (_endless, "more than the 1048576 bytes that are read", False),
        (_endless_headers, "the answer is not HTTP", False),
        (_drip, "no whole answer within 15 s", False),
        (_continues, "no answer within 15 s", True),
        (_silent, "nothing came for 6 s", True),
        (_half, "it broke off after 4 bytes", False),
        (_half_and_silent, "it stopped after 4 bytes", False),
        (_hangs_up, "closed without an answer", True),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP", False),
        (b"\x00" * 300_000, "the answer is not HTTP", False),
        (ok(b"", status="404 Not Found"), "HTTP status 404", False),
        (ok(b"", status="503 Gone fishing"), "HTTP status 503", False),
        (ok(gzip.compress(bytes(1 << 20)), "Content-Encoding: gzip"), "sent as gzip", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "999999999999 bytes, more than", False),
        (redirect("/x"), "more than 5 redirects", False),
        (redirect("file:///etc/passwd"), "not asked: file scheme", False),
        (redirect("http://user@ca.example/"), "not asked: the URL has a user name", False),
        (redirect("//ca.example:22/"), "not asked: port 22", False),
        (redirect("http://[::1"), "not asked: the URL cannot be read", False),
        (redirect("\x80\xff"), "not asked: the URL has characters", False),
    ],
)
def test_faults_are_one_line(answer: Answer, error: str, blocked: bool) -> None:
    got = fetched(answer, jumping=True)
    assert got.body is None
    assert got.error is not None
    assert error in got.error
    assert "\n" not in got.error
    assert got.blocked is blocked


def test_a_redirect_may_be_relative_and_to_another_host() -> None:
    async def main() -> None:
        async with world({"/a/b": redirect("c"), "/end": ok(b"there")}) as (server, fetcher, base):
            server.answers["/a/c"] = redirect(f"http://other.example:{server.port}/end")
            got = await fetcher.fetch(f"{base}/a/b", ISSUERS)
            assert (got.body, got.url) == (b"there", f"http://other.example:{server.port}/end")

    run(main)


def test_hosts_that_cannot_be_reached() -> None:
    async def main() -> None:
        async with world({}) as (server, fetcher, _):
            [free] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = free.socket.getsockname()[1]
            await free.aclose()
            refused = await fetcher.fetch(f"http://ca.example:{port}/", ISSUERS)
            assert refused.blocked
            assert refused.error == "connection-refused: Connection refused"
            nowhere = await fetcher.fetch("http://nowhere.example/", ISSUERS)
            assert nowhere.blocked
            assert nowhere.error == "DNS says NXDOMAIN for nowhere.example"
            assert not server.asked

    run(main)


def test_a_host_that_stays_silent_is_left_alone_for_a_while() -> None:
    async def main() -> None:
        async with world({"/x": _silent, "/y": ok(b"y")}) as (server, fetcher, base):
            got = [await fetcher.fetch(f"{base}/x", OCSP) for _ in range(5)]
            assert all(one.blocked for one in got)
            assert len(server.asked) == fetch.FAILURES_UNTIL_DOWN
            assert got[-1].error == "not asked again: nothing came for 6 s"
            await trio.sleep(DOWN_SECONDS)
            assert (await fetcher.fetch(f"{base}/y", OCSP)).body == b"y"

    run(main, jumping=True)


def test_few_requests_to_one_host_at_once() -> None:
    async def main() -> None:
        async with world({"/x": ok(b"x")}) as (server, fetcher, base):
            server.delay = 0.01
            async with trio.open_nursery() as nursery:
                for _ in range(12):
                    nursery.start_soon(fetcher.fetch, f"{base}/x", OCSP)
            assert len(server.asked) == 12
            assert server.peak == MAX_PER_HOST
            assert server.connections <= MAX_PER_HOST

    run(main)


def test_a_connection_that_the_server_closed_meanwhile() -> None:
    async def main() -> None:
        async with world({"/x": ok(b"x")}) as (server, fetcher, base):
            server.close_after_each = True
            for _ in range(3):
                assert (await fetcher.fetch(f"{base}/x", OCSP)).body == b"x"
            assert server.connections == 3

    run(main)


def test_https_without_judging_the_certificate() -> None:
    issued = pki.certificate("somebody.else")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "server.pem"
        path.write_text(issued.key_pem + issued.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)

    async def main() -> None:
        async with serving({"/x": ok(b"x")}, tls=context) as server, open_fetcher(HERE, private=True) as fetcher:
            assert (await fetcher.fetch(f"https://ca.example:{server.port}/x", OCSP)).body == b"x"

    async def no_tls() -> None:
        async with world({}) as (plain, fetcher, _):
            got = await fetcher.fetch(f"https://ca.example:{plain.port}/x", OCSP)
            assert (got.error, got.blocked) == ("nothing came for 6 s", True)

    run(main)
    run(no_tls, jumping=True)


def test_a_turn_is_waited_for_and_not_counted() -> None:
    asked: list[str] = []

    async def turn(host: str) -> None:
        asked.append(host)
        await trio.sleep(OCSP.seconds * 2)

    async def main() -> None:
        async with world({"/x": redirect("/y"), "/y": ok(b"y")}, turn=turn) as (_, fetcher, base):
            assert (await fetcher.fetch(f"{base}/x", OCSP)).body == b"y"
            assert asked == ["ca.example", "ca.example"]

    run(main, jumping=True)
