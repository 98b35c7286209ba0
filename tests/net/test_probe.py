"""One connection over real loopback sockets, with peers that follow a script and a clock that jumps over all waiting."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from scanner.model.evidence import Failure, Probe, Stage
from scanner.net import probe as module
from scanner.net.probe import Prober, Timing
from scanner.tls import offers
from tests.net.scripted import AMPLE, HOST, Peer, Script, flight, probe_of, probed, serving
from tests.tls.peers import public_key_of, record, server_context

TLS12 = server_context("rsa", version=ssl.TLSVersion.TLSv1_2)
CCS = record(20, b"\x01")


def answering(context: ssl.SSLContext | None = None, after: bytes = b"") -> Script:
    async def script(peer: Peer) -> None:
        await peer.say(flight(await peer.hello(), context) + after)
        await peer.silence()

    return script


# --- what goes well --------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [server_context(), TLS12], ids=["tls13", "tls12"])
def test_the_whole_flight_is_read_and_leave_is_taken(context: ssl.SSLContext) -> None:
    farewells = []

    async def script(peer: Peer) -> None:
        await peer.say(flight(await peer.hello(), context))
        farewells.append(await peer.silence())

    probe, seconds = probed(script)

    assert (probe.stage, probe.failure, probe.offer, probe.sni) == (Stage.DONE, None, "modern", "a.test")
    assert probe.flight is not None
    assert probe.flight.negotiation.complete
    assert probe.flight.negotiation.signature_valid is True
    assert len(probe.flight.certificates) == 1
    assert probe.connect_seconds is not None
    assert probe.handshake_seconds is not None
    assert probe.starttls_seconds is None
    assert probe.bytes_received > 500
    assert seconds < 1
    # one alert; TLS 1.3 hides what they are, and the compatibility record may come first
    assert farewells[0][-7:].startswith(b"\x15\x03\x03\x00\x02") or farewells[0].count(b"\x17\x03\x03") == 1


def test_what_follows_the_flight_is_left_alone() -> None:
    assert probed(answering(TLS12, after=b"anything at all" * 1000))[0].ok


def test_a_retry_is_answered() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context(curve="secp384r1").wrap_bio(incoming, outgoing, server_side=True)

    async def script(peer: Peer) -> None:
        for _ in range(2):
            incoming.write(await peer.hello())
            with pytest.raises(ssl.SSLWantReadError):
                server.do_handshake()
            await peer.say(outgoing.read())
        await peer.silence()

    probe, _ = probed(script)

    assert probe.ok
    assert probe.flight is not None
    assert probe.flight.negotiation.hello_retry
    assert probe.flight.negotiation.group == offers.SECP384R1


def test_a_server_that_says_no_more_may_have_closed_its_side() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(flight(await peer.hello()))
        await peer.stream.send_eof()
        await peer.silence()

    assert probed(script)[0].ok


def test_a_flight_in_single_bytes() -> None:
    async def script(peer: Peer) -> None:
        await peer.trickle(flight(await peer.hello(), TLS12), every=0)
        await peer.silence()

    assert probed(script)[0].ok


# --- cut off ---------------------------------------------------------------------------------------

PARTS = {"before the hello": 0, "after the hello": 1, "in the server's hello": 2, "in the certificate": 3}


def cut_after(part: int, *, reset: bool) -> Script:
    async def script(peer: Peer) -> None:
        if part:
            answer = flight(await peer.hello(), TLS12)
            await peer.say(answer[: {1: 0, 2: 20, 3: len(answer) - 300}[part]])
        if reset:
            await trio.sleep(0.01)  # what was said must arrive before the RST overtakes it
            peer.reset()
        elif part:
            await peer.stream.send_eof()
            await peer.silence()

    return script


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_flight_that_is_cut_off(part: str, reset: bool) -> None:
    probe, _ = probed(cut_after(PARTS[part], reset=reset))
    # a server that goes without reading the hello resets, whatever it meant
    expected = {Failure.RESET} if reset else {Failure.CLOSED}
    if part == "before the hello":
        expected = {Failure.RESET, Failure.CLOSED}
    assert probe.failure in expected
    assert probe.stage is (Stage.CERTIFICATE if part == "in the certificate" else Stage.HELLO)
    assert (probe.bytes_received > 0) is (PARTS[part] > 1)


def test_a_warning_and_then_the_end_is_a_refusal() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say(record(21, b"\x01\x70"))
        await peer.stream.send_eof()
        await peer.silence()

    probe, _ = probed(script)
    assert (probe.failure, probe.alert, probe.stage) == (Failure.ALERT, (1, 112), Stage.HELLO)


def test_a_warning_before_the_flight_is_kept() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(record(21, b"\x01\x70") + flight(await peer.hello(), TLS12))
        await peer.silence()

    probe, _ = probed(script)
    assert probe.ok
    assert probe.alert == (1, 112)


def test_of_several_warnings_the_first_is_kept_unless_an_alert_ends_it() -> None:
    def warned(then: Callable[[bytes], bytes]) -> Probe:
        async def script(peer: Peer) -> None:
            await peer.say(record(21, b"\x01\x70") + record(21, b"\x01\x5a") + then(await peer.hello()))
            await peer.silence()

        return probed(script)[0]

    assert warned(lambda hello: flight(hello, TLS12)).alert == (1, 112)
    assert warned(lambda hello: record(21, b"\x02\x28")).alert == (2, 40)


def test_broken_flight_is_answered_by_an_alert() -> None:
    said = []

    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say(record(22, b"\x0b\x00\x00\x03\x00\x00\x00"))
        said.append(await peer.silence())

    probe, _ = probed(script)
    assert probe.failure is Failure.MALFORMED
    assert probe.detail is not None
    assert "awaiting SERVER_HELLO" in probe.detail
    assert said[0].startswith(b"\x15\x03")


# --- time ------------------------------------------------------------------------------------------


async def says_nothing(peer: Peer) -> None:
    await peer.silence()


async def trickles(peer: Peer) -> None:
    await peer.trickle(flight(await peer.hello(), TLS12))


async def sends_records_for_ever(peer: Peer) -> None:
    answer = flight(await peer.hello())
    await peer.say(answer[: 5 + int.from_bytes(answer[3:5], "big")])
    while True:
        await peer.say(CCS)
        await trio.sleep(0.5)


@pytest.mark.parametrize("script", [says_nothing, trickles, sends_records_for_ever])
@pytest.mark.parametrize(
    ("timing", "seconds"), [(Timing(2, 10, 15), 10), (Timing(2, 10, 7), 7)], ids=["handshake", "what is left"]
)
def test_no_server_stretches_the_deadline(script: Script, timing: Timing, seconds: float) -> None:
    probe, took = probed(script, timing=timing)
    assert (probe.failure, probe.stage) == (Failure.SILENT, Stage.HELLO)
    assert took == pytest.approx(seconds, abs=0.1)
    assert probe.handshake_seconds == pytest.approx(seconds, abs=0.1)


def test_records_as_fast_as_they_come_end_it_sooner() -> None:
    async def script(peer: Peer) -> None:
        answer = flight(await peer.hello())
        await peer.say(answer[: 5 + int.from_bytes(answer[3:5], "big")] + CCS * 10_000)
        await peer.silence()

    probe, took = probed(script)
    assert probe.failure is Failure.MALFORMED
    assert probe.detail is not None
    assert "more than" in probe.detail
    assert took < 1


# --- not TLS ---------------------------------------------------------------------------------------


def test_plaintext_is_recognised_and_kept() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 5000)
        await peer.silence()

    probe, took = probed(script)
    assert (probe.failure, probe.recognised, probe.stage) == (Failure.PLAINTEXT, "http", Stage.HELLO)
    assert probe.first_bytes is not None
    assert probe.first_bytes.startswith(b"HTTP/1.1 400 Bad Request\r\n\r\nxxx")
    assert len(probe.first_bytes) == module.PLAINTEXT_KEPT
    assert took < 0.5


def test_the_rest_of_slow_plaintext_is_waited_for_a_little() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say(b"HT")
        await trio.sleep(0.3)
        await peer.say(b"TP/1.1 400")
        await trio.sleep(0.3)
        await peer.say(b" Bad Request")
        await peer.silence()

    probe, took = probed(script)
    assert (probe.first_bytes, probe.recognised) == (b"HTTP/1.1 400", "http")
    assert took == pytest.approx(module.PLAINTEXT_WAIT, abs=0.1)


def test_plaintext_just_before_the_deadline_is_evidence_too() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await trio.sleep(9.8)
        await peer.say(b"HTTP/1.1 400")
        await peer.silence()

    probe, took = probed(script)
    assert (probe.failure, probe.first_bytes, probe.recognised) == (Failure.PLAINTEXT, b"HTTP/1.1 400", "http")
    assert took == pytest.approx(10, abs=0.1)


def test_plaintext_and_a_reset() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say(b"SSH-2.0-x\r\n")
        await trio.sleep(0.01)
        peer.reset()

    probe, _ = probed(script)
    assert (probe.failure, probe.first_bytes, probe.recognised) == (Failure.PLAINTEXT, b"SSH-2.0-x\r\n", "ssh")


# --- many ------------------------------------------------------------------------------------------


def test_one_prober_serves_many() -> None:
    async def main() -> None:
        async with serving(answering()) as server:
            prober = Prober(public_key_of)
            probes: list[Probe] = []

            async def one(offer: offers.Offer, sni: str | None) -> None:
                probes.append(
                    await prober.probe(
                        HOST, server.port, offer=offer, sni=sni, alpn=(b"h2",), dialogue=None, timing=AMPLE
                    )
                )

            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(one, (offers.MODERN, offers.SMALL)[number % 2], f"{number}.test")
            assert all(probe.ok for probe in probes)
            assert sorted(probe.sni or "" for probe in probes) == sorted(f"{number}.test" for number in range(20))
            assert {probe.offer for probe in probes} == {"modern", "small"}
            assert server.connections == 20

    trio.run(main)


def test_a_fault_of_ours_keeps_what_was_read_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: bytes) -> None:
        raise OverflowError("in reading the key")

    monkeypatch.setattr("tests.net.scripted.public_key_of", broken)

    probe, _ = probed(answering())

    assert (probe.failure, probe.stage) == (Failure.BUG, Stage.CERTIFICATE)
    assert probe.detail is not None and "OverflowError: in reading the key" in probe.detail
    assert (
        probe.flight is not None
        and len(probe.flight.certificates) == 1
        and probe.flight.negotiation.version == offers.TLS13
    )


def test_cancelled_while_waiting_it_leaves_no_socket() -> None:
    async def main() -> None:
        async with serving(says_nothing) as server:
            with trio.move_on_after(3) as scope:
                await probe_of(server)
            assert scope.cancelled_caught
        assert server.connections == 1, "and leaving the block waited until it was closed"

    trio.run(main, clock=MockClock(autojump_threshold=0.005))
