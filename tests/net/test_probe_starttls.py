"""Openings before TLS over real loopback sockets: the words, their time, what is left over, and TLS inside of TDS packets."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest
import trio

from scanner.model.evidence import Failure, Stage
from scanner.net.probe import Connection, Prober, Timing
from scanner.starttls import dialogue
from scanner.tls.offers import MODERN
from tests.net.scripted import AMPLE, HOST, Peer, Script, flight, probed
from tests.tls.peers import public_key_of, record

GREETING = b"220 mail.test ESMTP\r\n"
CAPABILITIES = b"250-mail.test\r\n250 STARTTLS\r\n"
GO = b"220 go\r\n"


async def until_go(peer: Peer) -> None:
    await peer.say(GREETING)
    assert (await peer.line()).startswith(b"EHLO")
    await peer.say(CAPABILITIES)
    assert await peer.line() == b"STARTTLS\r\n"


async def opens(peer: Peer) -> None:
    await until_go(peer)
    await peer.say(GO)
    await peer.say(flight(await peer.hello()))
    await peer.silence()


def test_starttls_opening_then_handshake() -> None:
    probe, _ = probed(opens, protocol="smtp")
    assert probe.ok
    assert probe.starttls_seconds is not None
    assert probe.handshake_seconds is not None
    assert probe.flight is not None
    assert probe.flight.negotiation.signature_valid is True


def scripted(*steps: bytes | None) -> Script:
    """Say these lines, hearing one of the client after each; ``None`` goes away, else the silence lasts."""

    async def script(peer: Peer) -> None:
        for number, step in enumerate(steps):
            if step is None:
                await peer.stream.send_eof()
                break
            await peer.say(step)
            if number + 1 < len(steps):
                await peer.line()
        await peer.silence()

    return script


@pytest.mark.parametrize(
    ("script", "failure", "detail"),
    [
        (scripted(GREETING, b"250 mail.test\r\n"), Failure.STARTTLS_NOT_OFFERED, "250 mail.test"),
        (scripted(GREETING, CAPABILITIES, b"454 not now\r\n"), Failure.STARTTLS_REFUSED, "454 not now"),
        (scripted(b"SSH-2.0-x\r\n"), Failure.STARTTLS_MALFORMED, "SSH-2.0-x\r\n"),
        (scripted(b"554 not you\r\n"), Failure.SESSION_REFUSED, "554 not you"),
        (scripted(GREETING, None), Failure.CLOSED, GREETING.decode().rstrip()),
        (scripted(GREETING, CAPABILITIES, None), Failure.CLOSED, (GREETING + CAPABILITIES).decode().rstrip()),
    ],
    ids=["not offered", "refused", "something else", "session refused", "hangs up", "hangs up at STARTTLS"],
)
def test_openings_that_come_to_nothing(script: Script, failure: Failure, detail: str | None) -> None:
    probe, took = probed(script, protocol="smtp")
    assert (probe.failure, probe.stage) == (failure, Stage.STARTTLS)
    if detail is not None:
        assert probe.detail == detail
    assert probe.first_bytes is not None
    assert probe.flight is None
    assert probe.starttls_seconds is not None
    assert took < 1


def test_what_it_is_instead_is_recognised() -> None:
    assert probed(scripted(b"SSH-2.0-x\r\n"), protocol="smtp")[0].recognised == "ssh"


@pytest.mark.parametrize(
    ("said", "failure"),
    [(b"", Failure.CLOSED), (b"220 half a gree", Failure.STARTTLS_MALFORMED)],
    ids=["at once", "inside"],
)
def test_close_before_the_end_of_the_greeting(said: bytes, failure: Failure) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(said)
        await peer.stream.send_eof()
        await peer.silence()

    probe, _ = probed(script, protocol="smtp")
    assert (probe.failure, probe.stage, probe.awaited) == (failure, Stage.STARTTLS, "greeting")


@pytest.mark.parametrize(
    ("steps", "awaited", "heard"),
    [
        ((b"",), "greeting", None),
        ((GREETING,), "EHLO", GREETING),
        ((GREETING, CAPABILITIES), "STARTTLS", GREETING + CAPABILITIES),
    ],
)
def test_silence_in_the_opening_is_noted_with_what_was_waited_for(
    steps: tuple[bytes, ...], awaited: str, heard: bytes | None
) -> None:
    probe, _ = probed(scripted(*steps), protocol="smtp")
    assert (probe.failure, probe.stage, probe.awaited) == (Failure.SILENT, Stage.STARTTLS, awaited)
    assert probe.first_bytes == heard
    assert probe.starttls_seconds is not None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("protocol", ["smtp", "tls"])
def test_a_proxy_header_comes_before_all_else(protocol: str, version: int) -> None:
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        header = await peer.hear(13)
        header += await peer.hear(28 - 13) if version == 2 else await peer.line()
        heard.append(header)
        if protocol == "smtp":
            await until_go(peer)
            await peer.say(GO)
        await peer.say(flight(await peer.hello()))
        await peer.silence()

    probe, _ = probed(script, protocol=protocol, proxy=version)
    assert probe.ok
    (header,) = heard
    assert header.startswith(
        b"PROXY TCP4 127.0.0.1 127.0.0.1 " if version == 1 else b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1"
    )


@pytest.mark.parametrize("said", [b"", GREETING], ids=["at once", "after the greeting"])
def test_a_reset_in_the_opening(said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(said)
        await trio.sleep(0.01)
        peer.reset()

    probe, _ = probed(script, protocol="smtp")
    assert (probe.failure, probe.stage) == (Failure.RESET, Stage.STARTTLS)


def test_a_reset_of_the_hello_after_the_opening() -> None:
    async def script(peer: Peer) -> None:
        await until_go(peer)
        await peer.say(GO)
        await peer.hello()
        peer.reset()

    probe, _ = probed(script, protocol="smtp")
    assert (probe.failure, probe.stage, probe.bytes_received) == (Failure.RESET, Stage.HELLO, 0)


# --- time ------------------------------------------------------------------------------------------


async def trickles_its_greeting(peer: Peer) -> None:
    await peer.trickle(b"220-" + b"welcome " * 1000)


async def greets_for_ever(peer: Peer) -> None:
    while True:
        await peer.say(b"220-welcome\r\n")
        await trio.sleep(0.5)


async def trickles_the_flight(peer: Peer) -> None:
    await until_go(peer)
    await trio.sleep(6)
    await peer.say(GO)
    await peer.trickle(flight(await peer.hello()))


@pytest.mark.parametrize(
    ("script", "stage"),
    [(trickles_its_greeting, Stage.STARTTLS), (greets_for_ever, Stage.STARTTLS), (trickles_the_flight, Stage.HELLO)],
)
def test_opening_and_handshake_share_one_deadline(script: Script, stage: Stage) -> None:
    probe, took = probed(script, protocol="smtp", timing=Timing(2, 10, 15))
    assert (probe.failure, probe.stage) == (Failure.SILENT, stage)
    assert took == pytest.approx(10, abs=0.2)


def test_a_greeting_as_fast_as_it_comes_ends_sooner() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(b"220-welcome\r\n" * 20_000)

    probe, took = probed(script, protocol="smtp")
    assert probe.failure is Failure.STARTTLS_MALFORMED
    assert took < 1


# --- what is left over -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "failure"),
    [(b"250 injected\r\n", Failure.PLAINTEXT), (record(21, b"\x02\x28"), Failure.ALERT)],
    ids=["words", "an alert"],
)
def test_what_comes_with_the_go_belongs_to_tls(extra: bytes, failure: Failure) -> None:
    async def script(peer: Peer) -> None:
        await until_go(peer)
        await peer.say(GO + extra)
        await peer.silence()

    probe, _ = probed(script, protocol="smtp")
    assert (probe.failure, probe.stage) == (failure, Stage.HELLO)
    if failure is Failure.PLAINTEXT:
        assert probe.first_bytes == extra
    assert probe.bytes_received == len(extra)


# --- TDS -------------------------------------------------------------------------------------------

PRELOGIN_ANSWER = b"\x04\x01\x00\x2b\x00\x00\x01\x00" + bytes.fromhex(
    "00001a0006" "0100200001" "0200210001" "0300220000" "0400220001" "ff" "0f0000000000" "01" "00" "00"
)  # fmt: skip


def tds(payload: bytes) -> bytes:
    return b"\x12\x01" + (8 + len(payload)).to_bytes(2, "big") + bytes(4) + payload


async def packet(peer: Peer) -> bytes:
    head = await peer.hear(8)
    return await peer.hear(int.from_bytes(head[2:4], "big") - 8)


async def begins(peer: Peer) -> None:
    await packet(peer)
    await peer.say(PRELOGIN_ANSWER)


@pytest.mark.parametrize("size", [4088, 100, 7])
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "in pieces"])
def test_tls_inside_of_tds(size: int, pieces: bool) -> None:
    """The handshake is in packets of any size, cut anywhere, empty ones in between."""
    farewells = []

    async def script(peer: Peer) -> None:
        await begins(peer)
        answer = flight(await packet(peer))
        packets = b"".join(tds(b"") + tds(answer[at : at + size]) for at in range(0, len(answer), size))
        if pieces:
            for at in range(0, len(packets), 333):
                await peer.say(packets[at : at + 333])
                await trio.sleep(0.001)
        else:
            await peer.say(packets)
        farewells.append(await peer.silence())

    probe, _ = probed(script, protocol="mssql")

    assert probe.ok
    assert probe.flight is not None
    assert probe.flight.negotiation.signature_valid is True
    assert farewells[0].startswith(b"\x12\x01")


def test_tds_that_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await begins(peer)
        answer = flight(await packet(peer))
        await peer.say(tds(answer)[:-100])
        await peer.stream.send_eof()
        await peer.silence()

    probe, _ = probed(script, protocol="mssql")
    assert (probe.failure, probe.stage) == (Failure.CLOSED, Stage.HELLO)


def test_endless_empty_packets_block_neither_this_probe_nor_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are all overhead: nothing reaches TLS, and as fast as they come there is nothing to wait for."""
    stop = threading.Event()

    def flood(listening: socket.socket) -> None:
        client, _ = listening.accept()
        with closing(client):
            client.recv(4096)
            client.sendall(PRELOGIN_ANSWER)
            try:
                while not stop.is_set():
                    client.sendall(tds(b"") * 8192)
            except OSError:
                pass

    turns, reads = 0, 0
    receive = Connection._receive

    async def counted(connection: Connection, sock: socket.socket, deadline: float) -> bytes:
        nonlocal reads
        reads += 1
        return await receive(connection, sock, deadline)

    async def watch() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def main(port: int) -> Failure | None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            probe = await Prober(public_key_of).probe(
                HOST,
                port,
                offer=MODERN,
                sni=None,
                alpn=(),
                dialogue=dialogue("mssql", host="a.test"),
                timing=Timing(AMPLE.connect, 1, 1),
            )
            nursery.cancel_scope.cancel()
        return probe.failure

    monkeypatch.setattr(Connection, "_receive", counted)
    with closing(socket.socket()) as listening:
        listening.bind((HOST, 0))
        listening.listen()
        flooding = threading.Thread(target=flood, args=(listening,))
        flooding.start()
        try:
            # it ends by its own deadline, and lets others run at each read
            assert trio.run(main, listening.getsockname()[1]) in (Failure.SILENT, Failure.MALFORMED)
            assert turns >= reads > 0
        finally:
            stop.set()
            flooding.join()
