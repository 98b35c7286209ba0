"""Handshakes completed by OpenSSL: what is told of servers that ask for a certificate, refuse, hang up, say nothing."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from scanner.demo.servers import openssl
from scanner.model.evidence import ClientAuthRequest, Completion, Failure, Negotiation, ServerFlight, Stage
from scanner.net.complete import BODY_WAIT, MOST_REPLY, QUIET_TIMES, QUIET_WAIT, Completer, TargetService
from scanner.starttls import dialogue
from scanner.tls.plaintext import recognise
from tests.helpers.network import Asked
from tests.net.scripted import AMPLE, HOST, Peer, Script, Server, serving
from tests.tls.peers import certificate_files, message, record, server_context, server_hello

# --- connections -----------------------------------------------------------------------------------

ASKED = ServerFlight(Negotiation(version=0x0304, client_auth=ClientAuthRequest(), complete=True))
NOT_ASKED = ServerFlight(Negotiation(version=0x0304, complete=True))
NOW = 1_795_435_200.0
HEAD = b"HTTP/1.1 200 OK\r\nServer: test\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nConnection: close\r\n"

Words = Callable[[trio.SSLStream[trio.SocketStream], Peer], Awaitable[None]]


def context(
    *, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, asks: ssl.VerifyMode = ssl.CERT_NONE
) -> ssl.SSLContext:
    made = server_context()
    made.maximum_version = maximum
    made.load_verify_locations(certificate_files("ec")[0])
    made.verify_mode = asks
    return made


def speaking(words: Words, made: ssl.SSLContext | None = None) -> Script:
    """A server that completes the handshake and then does this."""

    async def script(peer: Peer) -> None:
        stream = trio.SSLStream(peer.stream, made or context(), server_side=True, https_compatible=True)
        await stream.do_handshake()
        await words(stream, peer)

    return script


def saying(*said: bytes, then: str = "close", hears: bool = True) -> Script:
    """Reads a request, says this, and ends the connection, or says nothing more."""

    async def words(stream: trio.SSLStream[trio.SocketStream], peer: Peer) -> None:
        if hears:
            await stream.receive_some()
        for data in said:
            await stream.send_all(data)
        if then == "reset":
            peer.reset()
        elif then == "silence":
            with suppress(trio.BrokenResourceError):
                while await stream.receive_some():
                    pass

    return speaking(words)


async def completion_of(server: Server, **changes: Any) -> Completion:
    given: dict[str, Any] = {
        "host": "a.test",
        "sni": "a.test",
        "protocol": "tls",
        "alpn": (b"h2", b"http/1.1"),
        "timing": AMPLE,
        "flight": NOT_ASKED,
        "present": False,
        "quiet": False,
        "opening": lambda: None,
        **changes,
    }
    completer = given.pop("completer", None) or Completer(clock=lambda: NOW)
    service = TargetService(given["host"], server.port, given["protocol"], given["alpn"], given["opening"])
    asked = Asked("http", sni=given["sni"], complete=given["flight"], present=given["present"], quiet=given["quiet"])
    return await completer.complete(server.host, service, asked, given["timing"])


def completed(script: Script, **changes: Any) -> tuple[Completion, float]:
    """What is told of a server with this script, and the seconds that it took on a clock that jumps over waiting."""

    async def main() -> tuple[Completion, float]:
        async with serving(script) as server:
            began = trio.current_time()
            return await completion_of(server, **changes), trio.current_time() - began

    return trio.run(main, clock=MockClock(autojump_threshold=0.005))


def test_an_answer_of_http() -> None:
    found, _ = completed(saying(HEAD + b"Location: /x\r\nWWW-Authenticate: Basic\r\n\r\nhello"))
    assert (found.stage, found.failure, found.version, found.status) == (Stage.DONE, None, 0x0304, 200)
    assert (found.server, found.location, found.challenge) == ("test", "/x", "Basic")
    assert (found.date, found.local_time, found.reply) == (NOW, NOW, b"hello")


def test_the_request() -> None:
    heard = []

    async def words(stream: trio.SSLStream[trio.SocketStream], peer: Peer) -> None:
        heard.append(bytes(await stream.receive_some()))

    async def main() -> int:
        async with serving(speaking(words)) as server:
            await completion_of(server)
            await completion_of(server, host="2001:db8::1", sni=None)
            return server.port

    port = trio.run(main)
    assert heard[0].startswith(f"GET / HTTP/1.1\r\nHost: a.test:{port}\r\n".encode())
    assert f"\r\nHost: [2001:db8::1]:{port}\r\n".encode() in heard[1]
    assert heard[0].endswith(b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (saying(), Failure.CLOSED),
        (saying(then="reset"), Failure.RESET),
        (saying(then="silence"), Failure.SILENT),
        (saying(HEAD, then="silence"), Failure.SILENT),
    ],
    ids=["closes", "resets", "says nothing", "half a head"],
)
def test_end_of_a_connection_without_an_http_answer(script: Script, failure: Failure) -> None:
    found, took = completed(script)
    assert (found.stage, found.failure, found.status) == (Stage.APPLICATION, failure, None)
    assert took < AMPLE.handshake + 1


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_hangs_up_on_a_request_has_not_asked_for_another_handshake(
    then: str, maximum: ssl.TLSVersion
) -> None:
    """OpenSSL answers an end without close_notify with an alert, which is no ClientHello."""

    async def words(stream: trio.SSLStream[trio.SocketStream], peer: Peer) -> None:
        await stream.receive_some(9)
        if then == "reset":
            peer.reset()
        else:
            await peer.stream.aclose()

    found, _ = completed(speaking(words, context(maximum=maximum)))
    assert (found.stage, found.renegotiated) == (Stage.APPLICATION, False)


def test_what_is_not_http_has_answered_all_the_same() -> None:
    found, _ = completed(saying(b"220 mail.test ESMTP\r\n"))
    assert (found.stage, found.status, found.reply) == (Stage.DONE, None, b"220 mail.test ESMTP\r\n")


def test_a_body_is_read_so_far_and_no_further() -> None:
    found, took = completed(saying(HEAD + b"\r\nhello", then="silence"))
    assert (found.stage, found.reply) == (Stage.DONE, b"hello")
    assert took == pytest.approx(BODY_WAIT, abs=0.5)
    found, took = completed(saying(HEAD + b"Content-Length: 5\r\n\r\nhello", then="silence"))
    assert (found.stage, found.reply) == (Stage.DONE, b"hello")
    assert took < BODY_WAIT

    async def endless(stream: trio.SSLStream[trio.SocketStream], peer: Peer) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(HEAD + b"\r\n")
            while True:
                await stream.send_all(bytes(4096))

    found, _ = completed(speaking(endless))
    assert (found.stage, found.reply) == (Stage.DONE, bytes(MOST_REPLY))


@pytest.mark.parametrize(
    ("mode", "maximum", "expected"),
    [
        (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_3, (Stage.CLIENT_AUTH, Failure.ALERT, 116, 0x0304)),
        (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2, (Stage.CLIENT_AUTH, Failure.ALERT, 40, 0x0303)),
        (ssl.CERT_OPTIONAL, ssl.TLSVersion.TLSv1_3, (Stage.DONE, None, None, 0x0304)),
        (ssl.CERT_OPTIONAL, ssl.TLSVersion.TLSv1_2, (Stage.DONE, None, None, 0x0303)),
    ],
)
def test_a_certificate_that_is_asked_for(
    mode: ssl.VerifyMode, maximum: ssl.TLSVersion, expected: tuple[object, ...]
) -> None:
    async def main() -> Completion:
        handler = openssl(context(maximum=maximum, asks=mode), "hello")

        async def script(peer: Peer) -> None:
            with suppress(ssl.SSLError):
                await handler(peer.stream)

        async with serving(script) as server:
            version = 0x0304 if maximum is ssl.TLSVersion.TLSv1_3 else 0x0303
            return await completion_of(server, flight=ServerFlight(replace(ASKED.negotiation, version=version)))

    found = trio.run(main, clock=MockClock(autojump_threshold=0.005))
    assert (found.stage, found.failure, found.alert, found.version) == expected


def test_the_same_alert_of_a_server_that_never_asked_is_no_matter_of_certificates() -> None:
    async def main() -> Completion:
        handler = openssl(context(asks=ssl.CERT_REQUIRED), "hello")
        async with serving(lambda peer: handler(peer.stream)) as server:
            return await completion_of(server)

    found = trio.run(main, clock=MockClock(autojump_threshold=0.005))
    assert (found.stage, found.failure, found.alert) == (Stage.APPLICATION, Failure.ALERT, 116)


def test_our_certificate_is_shown_to_who_asks() -> None:
    certificate, key = certificate_files("ec")
    completer = Completer(certificate, key, presented=(b"DER",), clock=lambda: NOW)
    completer.check()

    async def main() -> Completion:
        handler = openssl(context(asks=ssl.CERT_REQUIRED), "hello")
        async with serving(lambda peer: handler(peer.stream)) as server:
            shown = await completion_of(server, flight=ASKED, present=True, completer=completer)
            hidden = await completion_of(server, flight=ASKED, present=False, completer=completer)
            assert (hidden.stage, hidden.presented, hidden.offered) == (Stage.CLIENT_AUTH, False, ())
            return shown

    found = trio.run(main, clock=MockClock(autojump_threshold=0.005))
    assert (found.presented, found.offered) == (True, (b"DER",))
    # it is self-signed and its own anchor there: whatever OpenSSL thinks of its purpose, it was judged, not missed
    assert found.alert != 116


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\x00\x01"])
def test_what_never_was_a_handshake(said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say(said)

    found, _ = completed(script)
    assert found.stage is Stage.HELLO
    assert found.failure in (Failure.MALFORMED, Failure.CLOSED)


def test_closed_port_is_reported() -> None:
    async def main() -> Completion:
        with socket.socket() as bound:
            bound.bind((HOST, 0))
            return await completion_of(Server(HOST, bound.getsockname()[1]))

    found = trio.run(main)
    assert (found.stage, found.failure, found.detail) == (Stage.CONNECT, Failure.CONNECTION_REFUSED, "ECONNREFUSED")


def test_silence_in_the_handshake() -> None:
    async def script(peer: Peer) -> None:
        await peer.silence()

    found, took = completed(script)
    assert (found.stage, found.failure) == (Stage.HELLO, Failure.SILENT)
    assert took == pytest.approx(AMPLE.handshake, abs=0.1)


def breaking(then: str) -> Script:
    """A server of TLS 1.2 that breaks once it has the client's key exchange."""

    async def script(peer: Peer) -> None:
        made = context(maximum=ssl.TLSVersion.TLSv1_2)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = made.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(await peer.hello())
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        await peer.say(outgoing.read())
        assert (await peer.hello())[5] == 16  # ClientKeyExchange
        if then == "reset":
            peer.reset()
        elif then == "silence":
            await peer.silence()
        elif then == "alert":
            await peer.say(b"\x15\x03\x03\x00\x02\x02\x50")
        elif then == "garbage":
            await peer.say(b"\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x28" + bytes(40))
            await peer.silence()

    return script


TLS12 = ServerFlight(Negotiation(version=0x0303, complete=True))


@pytest.mark.parametrize(
    ("then", "failure", "alert"),
    [
        ("close", Failure.CLOSED, None),
        ("reset", Failure.RESET, None),
        ("silence", Failure.SILENT, None),
        ("alert", Failure.ALERT, 80),
        ("garbage", Failure.MALFORMED, None),
    ],
)
@pytest.mark.parametrize("quiet", [True, False])
def test_a_server_that_breaks_after_our_key_exchange(
    then: str, failure: Failure, alert: int | None, quiet: bool
) -> None:
    found, _ = completed(breaking(then), flight=TLS12, quiet=quiet)
    assert (found.stage, found.failure, found.alert, found.answered) == (Stage.HELLO, failure, alert, True)


def test_a_flight_that_openssl_refuses_is_not_answered() -> None:
    """The alert that it sends is not a key exchange."""

    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say(record(22, server_hello(extensions=b"\xff\x01\0\1\0") + message(14, b"")))
        await peer.silence()

    found, _ = completed(script, flight=TLS12)
    assert (found.stage, found.failure, found.detail) == (Stage.HELLO, Failure.MALFORMED, "UNEXPECTED_MESSAGE")
    assert not found.answered


def test_a_server_that_breaks_at_the_hello_has_not_had_our_flight() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say(b"\x15\x03\x03\x00\x02\x02\x50")

    found, _ = completed(script, flight=TLS12)
    assert (found.stage, found.failure, found.alert, found.answered) == (Stage.HELLO, Failure.ALERT, 80, False)


def test_a_handshake_that_ends_well_is_finished_without_a_word() -> None:
    heard: list[bytes] = []

    async def words(stream: trio.SSLStream[trio.SocketStream], peer: Peer) -> None:
        heard.append(bytes(await stream.receive_some()))

    found, _ = completed(speaking(words, context(maximum=ssl.TLSVersion.TLSv1_2)), flight=TLS12, quiet=True)
    assert (found.stage, found.failure, found.answered, found.version) == (Stage.DONE, None, False, 0x0303)
    assert heard == [b""]


def test_a_name_that_openssl_does_not_send() -> None:
    found, _ = completed(saying(), sni=".a.test")
    assert (found.stage, found.failure) == (Stage.HELLO, Failure.MALFORMED)


def test_http2_only_server_is_offered_all_of_alpn() -> None:
    """RFC 7301 section 3.2: no_application_protocol where nothing that is offered is spoken."""
    hellos = []

    async def script(peer: Peer) -> None:
        hellos.append(await peer.hello())
        if len(hellos) == 1:
            await peer.say(bytes.fromhex("15030300020278"))
            return
        peer.heard = hellos[-1] + peer.heard
        await peer.silence()

    found, _ = completed(script)
    assert b"\x08http/1.1" in hellos[0] and b"\x02h2" not in hellos[0]
    assert b"\x02h2" in hellos[1]
    assert found.failure is Failure.SILENT


def test_http2_is_greeted() -> None:
    made = context()
    made.set_alpn_protocols(["h2"])

    async def words(stream: trio.SSLStream[trio.SocketStream], peer: Peer) -> None:
        assert (await stream.receive_some()).startswith(b"PRI * HTTP/2.0\r\n")
        await stream.send_all(bytes.fromhex("000000040000000000"))

    found, _ = completed(speaking(words, made), alpn=(b"h2",))
    assert (found.stage, found.failure) == (Stage.DONE, None)


# --- other protocols -------------------------------------------------------------------------------


def mail(after: bytes | None) -> tuple[Script, list[bytes]]:
    """An SMTP server with STARTTLS that answers this to EHLO within TLS, and what it heard there."""
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.say(b"220 a.test ESMTP\r\n")
        await peer.line()
        await peer.say(b"250-a.test\r\n250 STARTTLS\r\n")
        await peer.line()
        await peer.say(b"220 go ahead\r\n")

        async def words(stream: trio.SSLStream[trio.SocketStream], _: Peer) -> None:
            heard.append(bytes(await stream.receive_some()))
            if after is not None:
                await stream.send_all(after)
                heard.append(bytes(await stream.receive_some()))

        await speaking(words)(peer)

    return script, heard


def smtp() -> Any:
    return dialogue("smtp", host="a.test", recognise=recognise)


def test_smtp_is_asked_ehlo() -> None:
    script, heard = mail(b"250 a.test\r\n")
    found, _ = completed(script, protocol="smtp", alpn=(), opening=smtp, flight=ASKED)
    assert (found.stage, found.failure, found.reply) == (Stage.DONE, None, b"250 a.test\r\n")
    assert heard == [b"EHLO tlsweep.invalid\r\n", b"QUIT\r\n"]


def test_smtp_refusal_is_reported() -> None:
    words = b"530 5.7.0 no client certificate\r\n"
    found, _ = completed(mail(words)[0], protocol="smtp", alpn=(), opening=smtp, flight=ASKED)
    assert (found.stage, found.failure, found.reply) == (Stage.APPLICATION, None, words)


def test_smtp_that_closes_is_a_failure() -> None:
    found, _ = completed(mail(None)[0], protocol="smtp", alpn=(), opening=smtp, flight=ASKED)
    assert (found.stage, found.failure) == (Stage.APPLICATION, Failure.CLOSED)


def test_mail_without_tls() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(b"220 a.test ESMTP\r\n")
        await peer.line()
        await peer.say(b"250 a.test\r\n")
        await peer.silence()

    found, _ = completed(script, protocol="smtp", alpn=(), opening=smtp)
    assert (found.stage, found.failure) == (Stage.STARTTLS, Failure.STARTTLS_NOT_OFFERED)


@pytest.mark.parametrize(
    "changes", [{"protocol": "mysql"}, {"quiet": True}], ids=["no word is known", "none is wanted"]
)
def test_silence_after_the_handshake(changes: dict[str, Any]) -> None:
    stays, took = completed(saying(then="silence", hears=False), flight=ASKED, alpn=(), **changes)
    assert (stays.stage, stays.failure) == (Stage.DONE, None)
    assert took == pytest.approx(QUIET_WAIT, abs=0.1)
    assert stays.waited == QUIET_WAIT
    goes, _ = completed(saying(hears=False), flight=ASKED, alpn=(), **changes)
    assert (goes.stage, goes.failure, goes.waited) == (Stage.APPLICATION, Failure.CLOSED, QUIET_WAIT)
    # nobody asked: the handshake is all that there is to see
    _, took = completed(saying(then="silence", hears=False), flight=NOT_ASKED, alpn=(), **changes)
    assert took < QUIET_WAIT


def test_a_slow_server_has_more_time_to_refuse() -> None:
    """Its refusal is as late as its handshake was."""

    async def slow(peer: Peer) -> None:
        await trio.sleep(2.0)
        await saying(then="silence", hears=False)(peer)

    found, took = completed(slow, flight=ASKED, alpn=(), quiet=True)
    assert (found.stage, found.failure) == (Stage.DONE, None)
    assert found.waited == pytest.approx(2.0 * QUIET_TIMES, abs=0.5)
    assert took == pytest.approx(2.0 + 2.0 * QUIET_TIMES, abs=0.5)


def test_what_is_asked_is_not_waited_for_in_silence() -> None:
    found, _ = completed(saying(HEAD + b"\r\nhello"), flight=ASKED)
    assert found.waited is None
