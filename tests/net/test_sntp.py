"""SNTP against servers on this machine's loopback: honest, lying, broken and silent ones."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.model.evidence import DnsAnswer, DnsStatus
from scanner.net.sntp import NtpError, NtpServer, NtpServerError, ask, ask_all, parse_servers, question, read_untrusted

NOW = 1_795_000_000.5
COOKIE = bytes(range(8))


def ntp(seconds: float) -> bytes:
    """A timestamp as NTP has it."""
    whole = int(seconds // 1)
    return struct.pack(">II", (whole + 2_208_988_800) & 0xFFFFFFFF, int((seconds - whole) * 2**32))


def packet(cookie: bytes = COOKIE, at: float = NOW, **changes: Any) -> bytes:
    """An answer in order; parts of it can be replaced."""
    given: dict[str, Any] = {
        "first": 0x24,
        "stratum": 2,
        "root_delay": 0x800,
        "root_dispersion": 0x800,
        "reference": b"GPS\0",
        "receive": ntp(at),
        "transmit": ntp(at),
        **changes,
    }
    head = struct.pack(
        ">BBbbiI4s", given["first"], given["stratum"], 6, -20, given["root_delay"], given["root_dispersion"], given["reference"]
    )  # fmt: skip
    times: list[bytes] = [given["receive"], given["transmit"]]
    return b"".join([head, ntp(at - 60), cookie, *times])


class Names:
    """A resolver that knows what it is told."""

    def __init__(self, **known: tuple[str, ...]) -> None:
        self._known = known

    async def resolve(self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False) -> DnsAnswer:
        addresses = self._known.get(name, ())
        return DnsAnswer(DnsStatus.NOERROR if addresses else DnsStatus.NXDOMAIN, addresses)


@asynccontextmanager
async def serving(answer: Callable[[bytes], list[bytes]], address: str = "127.0.0.1") -> AsyncIterator[int]:
    """A UDP server on a free port, which it gives."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind((address, 0))

        async def run() -> None:
            while True:
                data, peer = await sock.recvfrom(1024)
                for reply in answer(data):
                    await sock.sendto(reply, peer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield sock.getsockname()[1]
            nursery.cancel_scope.cancel()


# --- packets ---------------------------------------------------------------------------------------


def test_query_packet() -> None:
    data = question(COOKIE)
    assert len(data) == 48
    assert data[0] == 0x23
    assert data[1:40] == bytes(39)  # nothing of this machine is told
    assert data[40:] == COOKIE


def test_offset_and_delay() -> None:
    # we are 100 s behind; each way takes 0.25 s, the server 0.5 s
    data = packet(receive=ntp(NOW + 100.25), transmit=ntp(NOW + 100.75))
    offset, delay, stratum = read_untrusted(data, COOKIE, NOW, NOW + 1)
    assert offset == pytest.approx(100, abs=1e-6)
    assert delay == pytest.approx(0.5, abs=1e-6)
    assert stratum == 2


@pytest.mark.parametrize("year_2036", [2_085_978_495.0, 2_085_978_497.0, 2_500_000_000.0])
def test_eras(year_2036: float) -> None:
    offset, _, _ = read_untrusted(packet(at=year_2036), COOKIE, NOW, NOW)
    assert NOW + offset == pytest.approx(year_2036, abs=1e-3)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes"),
        (packet()[:47], "47 bytes"),
        (packet(first=0x23), "no server's answer"),
        (packet(first=0x3C), "no server's answer"),
        (packet(cookie=bytes(8)), "another question"),
        (packet(stratum=0, reference=b"RATE"), r"refuses \(RATE\)"),
        (packet(stratum=0, reference=b"\x1b[2J"), r"refuses \(kiss of death\)"),
        (packet(stratum=16), "does not know"),
        (packet(first=0xE4), "does not know"),
        (packet(root_dispersion=0x20000), "not sure"),
        (packet(root_delay=-1), "not sure"),
        (packet(transmit=bytes(8)), "no time"),
        (packet(receive=bytes(8)), "no time"),
        (packet(transmit=ntp(NOW - 5)), "do not fit"),
        (packet(transmit=ntp(NOW + 50)), "do not fit"),
    ],
)
def test_packets_without_a_time_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(NtpError, match=why):
        read_untrusted(data, COOKIE, NOW, NOW + 0.1)


# --- names -----------------------------------------------------------------------------------------


def test_servers_as_named() -> None:
    given = ["ntp.example.org", "NTP.example.org.", "192.0.2.1:1123", "[2001:db8::1]:124", "2001:db8::1", "a:99"]
    assert parse_servers(given) == (
        NtpServer("ntp.example.org"),
        NtpServer("192.0.2.1", 1123),
        NtpServer("2001:db8::1", 124),
        NtpServer("2001:db8::1"),
        NtpServer("a", 99),
    )


@pytest.mark.parametrize(
    "text", ["", "a b", "a:", "a:0", "a:x", "a:65536", "[::1", "[::1]x", "http://a/", "a" * 300, "-a"]
)
def test_invalid_servers_are_refused(text: str) -> None:
    with pytest.raises(NtpServerError, match=r"^--ntp: .*") as raised:
        parse_servers([text])
    assert "\n" not in str(raised.value)


# --- asking ----------------------------------------------------------------------------------------


@trio_test
async def test_a_server_that_answers() -> None:
    async with serving(lambda data: [packet(data[40:], NOW + 3600)]) as port:
        answer = await ask(NtpServer("ntp.test", port), Names(**{"ntp.test": ("127.0.0.1",)}), clock=lambda: NOW)
    assert (answer.host, answer.address, answer.stratum, answer.error) == ("ntp.test", "127.0.0.1", 2, None)
    assert answer.time is not None
    assert answer.local is not None
    assert answer.time - answer.local == pytest.approx(3600, abs=3)


@trio_test
async def test_a_forged_answer_is_passed_over() -> None:
    async with serving(lambda data: [packet(bytes(8), 0.0), packet(data[40:], NOW)]) as port:
        answer = await ask(NtpServer("127.0.0.1", port), Names(), clock=lambda: NOW)
    assert answer.error is None


@trio_test
async def test_a_refusal_is_told() -> None:
    async with serving(lambda data: [packet(data[40:], stratum=0, reference=b"DENY")]) as port:
        answer = await ask(NtpServer("127.0.0.1", port), Names(), clock=lambda: NOW)
    assert (answer.time, answer.error) == (None, "the server refuses (DENY)")


@trio_test
async def test_garbage_is_told() -> None:
    async with serving(lambda data: [b"HTTP/1.1 400 Bad Request"]) as port:
        answer = await ask(NtpServer("127.0.0.1", port), Names())
    assert answer.error == "24 bytes are no NTP packet"


@trio_test
async def test_closed_port_is_reported() -> None:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    answers = await ask_all([NtpServer("127.0.0.1", port), NtpServer("gone.test")], Names())
    assert [answer.error for answer in answers] == ["Connection refused", "the name has no address (NXDOMAIN)"]


def test_silence_ends_in_time() -> None:
    async def main() -> float:
        async with serving(lambda data: []) as port:
            begun = trio.current_time()
            answer = await ask(NtpServer("127.0.0.1", port), Names())
            assert answer.error == "no answer"
            return trio.current_time() - begun

    assert trio.run(main, clock=MockClock(autojump_threshold=0.01)) == pytest.approx(5.0)


@trio_test
async def test_the_next_address_is_asked() -> None:
    async with serving(lambda data: [packet(data[40:])], "127.0.0.2") as port:
        resolver = Names(**{"ntp.test": ("127.0.0.3", "127.0.0.2")})
        answer = await ask(NtpServer("ntp.test", port), resolver, clock=lambda: NOW)
    assert (answer.address, answer.error) == ("127.0.0.2", None)
