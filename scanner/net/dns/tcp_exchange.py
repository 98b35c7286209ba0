"""Questions to a resolver over TCP (RFC 7766), on one connection each."""

from __future__ import annotations

from typing import Final

import trio

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.reply import NoAnswer, error_text
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.transport import Network
from scanner.net.dns.udp_pool import NO_FILES, NO_FILES_PAUSE

# Connections to one resolver as the last try for silent names: unbound serves 10 at once by default.
LAST_TRY_LIMIT: Final = 4
# After so many last tries in a row that brought nothing either, the names are silent and no more are made.
FRUITLESS_TRIES: Final = 16


class LastTries:
    """Limits the questions that are asked once more over TCP after silence: in number, and to as long as that brings answers."""

    def __init__(self) -> None:
        self._slots = trio.Semaphore(LAST_TRY_LIMIT)
        self._fruitless = 0

    async def take(self, *, wait: bool) -> bool:
        """Take a slot, to be given back by :meth:`release`, or return False. ``wait`` for one where none is free."""
        if self._fruitless >= FRUITLESS_TRIES:
            return False
        if wait:
            await self._slots.acquire()
            if self._fruitless < FRUITLESS_TRIES:
                return True
            self._slots.release()
            return False
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            return False
        return True

    def release(self, *, answered: bool) -> None:
        """Give the slot back."""
        self._fruitless = 0 if answered else self._fruitless + 1
        self._slots.release()


async def ask_over_stream(
    network: Network, server: Server, query: bytes, question: DnsQuestion, seconds: float
) -> bytes | NoAnswer:
    """Return the answer to ``query``, which asks ``question``, within ``seconds``. Raises nothing for what the network does."""
    with trio.move_on_after(seconds):
        try:
            stream = await _connect(network, server)
            try:
                await stream.send_all(len(query).to_bytes(2, "big") + query)
                data = await _receive_message_untrusted(stream)
            finally:
                await trio.aclose_forcefully(stream)
        except OSError as error:
            return NoAnswer(DnsStatus.UNREACHABLE, f"over TCP: {error_text(error)}")
        except trio.BrokenResourceError:
            return NoAnswer(DnsStatus.UNREACHABLE, "over TCP: the connection broke")
        if data is None:
            return NoAnswer(DnsStatus.MALFORMED, "over TCP: the connection was closed within the answer")
        if data[:2] != query[:2] or not message_wire.answers_question(data, question):
            return NoAnswer(DnsStatus.MALFORMED, "over TCP: the answer is for another question")
        if data[2] & 0x02:
            return NoAnswer(DnsStatus.MALFORMED, "over TCP: the answer says that it is truncated")
        return data
    return NoAnswer(DnsStatus.TIMEOUT, "over TCP")


async def _connect(network: Network, server: Server) -> trio.abc.Stream:
    while True:  # ended by the caller's deadline
        try:
            return await network.open_stream(server)
        except OSError as error:
            if error.errno not in NO_FILES:
                raise
            await trio.sleep(NO_FILES_PAUSE)


async def _receive_message_untrusted(stream: trio.abc.Stream) -> bytes | None:
    """Return one message without its two octets of length (RFC 7766 section 8); ``None`` where the stream ends before."""
    buffer = bytearray()
    while len(buffer) < 2 or len(buffer) - 2 < int.from_bytes(buffer[:2], "big"):
        chunk = await stream.receive_some()
        if not chunk:
            return None
        buffer += chunk
    return bytes(buffer[2 : 2 + int.from_bytes(buffer[:2], "big")])
