"""One UDP socket to a resolver, lent to one exchange at a time: its questions out, what answers them back.

An answer counts only if it comes through the socket that its question left by, with the same id, and repeats the
question (RFC 5452 section 9). What does not match is counted and dropped, and the waiting goes on.

A scan by name runs this once a target, with cold caches: what counts is how few functions, objects and tasks it needs.
So the task that asks is the one that reads, and nobody stands between it and the socket.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

import trio
from msgspec import Struct

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire as dns_wire
from scanner.net.dns.message_wire import Question
from scanner.net.dns.transport import Datagram

# Datagrams read in one go before other tasks get their turn: somebody may be sending them without end.
READ_BATCH: Final = 64
# One read of the system's randomness serves some hundred exchanges.
_RANDOM_BLOCK: Final = 2048
NEVER: Final = float("inf")
_ONE_QUESTION: Final = b"\0\1"


class Failure(Struct, frozen=True):
    """Why a resolver gave no answer: TIMEOUT, UNREACHABLE or MALFORMED, and the words for it."""

    status: DnsStatus
    detail: str | None = None


SILENT: Final = Failure(DnsStatus.TIMEOUT)


class RandomNumbers:
    """Unpredictable octets, drawn from the system a block at a time."""

    __slots__ = ("_block", "_position")

    def __init__(self) -> None:
        self._block = b""
        self._position = 0

    def octets(self, count: int) -> bytes:
        """That many, none of which was given before; ``count`` is small."""
        at = self._position
        end = at + count
        if end > len(self._block):
            self._block = os.urandom(_RANDOM_BLOCK)
            at, end = 0, count
        self._position = end
        return self._block[at:end]


class Port:
    """A socket, and ``free``, which is told when an exchange is over. Until ``deadline`` it waits; :meth:`expire` ends that.

    ``alarm`` is the moment at which somebody will look at ``deadline``. ``sound`` says that everything that was asked
    came back in time, so that the next exchange may have the port. What a stranger sends between two exchanges is
    passed over by the later one; should it fill the buffer, that costs one try.
    """

    __slots__ = ("_datagram", "_expired", "_free", "alarm", "deadline", "ignored", "life", "sound")

    def __init__(self, datagram: Datagram, life: int, free: Callable[[Port], None]) -> None:
        self._datagram = datagram
        self._free = free
        self._expired = False
        self.life = life
        self.deadline = self.alarm = NEVER
        self.ignored = 0
        self.sound = True

    def close(self) -> None:
        """Give the socket back to the system."""
        self._datagram.close()

    def expire(self) -> None:
        """Whoever waits here waits no longer."""
        self._expired = True
        self._datagram.wake()

    async def ask_untrusted(
        self, questions: Sequence[Question], ids: bytes, envelope: tuple[bytes, bytes]
    ) -> Sequence[bytes | Failure]:
        """Send all of ``questions`` and wait for all answers; SILENT where one did not come.

        ``ids`` are two random octets for each, ``envelope`` what stands before and behind each question. Raises nothing
        for what the network does. The port is free again when this ends, however it does.
        """
        header, trailer = envelope
        datagram = self._datagram
        replies: list[bytes | Failure] = [SILENT] * len(questions)
        awaited: dict[bytes, int] = {}
        self.sound = False
        try:
            for index, question in enumerate(questions):
                message_id = ids[2 * index : 2 * index + 2]
                while message_id in awaited:
                    message_id = os.urandom(2)
                awaited[message_id] = index
                try:
                    datagram.send(message_id + header + question.wire + trailer)
                except BlockingIOError:
                    await self._send_later(message_id + header + question.wire + trailer)
            receive = datagram.receive
            while True:
                try:
                    await datagram.wait_readable()
                except trio.ClosedResourceError:
                    pass  # the time is over; what has come by now counts
                for _ in range(READ_BATCH):
                    try:
                        data = receive()
                    except BlockingIOError:
                        break
                    index_or_none = awaited.get(data[:2])
                    if index_or_none is not None:
                        question = questions[index_or_none]
                        # Nearly every answer repeats the question to the letter; the others are looked at with care.
                        if (
                            data[dns_wire.HEADER_SIZE : dns_wire.HEADER_SIZE + len(question.wire)] == question.wire
                            and data[4:6] == _ONE_QUESTION
                            and data[2] & 0x80
                        ) or dns_wire.answers_question(data, question):
                            replies[index_or_none] = data
                            del awaited[data[:2]]
                            if not awaited:
                                self.sound = not self._expired
                                return replies
                            continue
                    self.ignored += 1
                if self._expired:
                    return replies
        except OSError as error:
            # ICMP, or the machine itself, says that nothing gets through here.
            failure = Failure(DnsStatus.UNREACHABLE, words(error))
            return [failure if reply is SILENT else reply for reply in replies]
        finally:
            self._free(self)

    async def _send_later(self, query: bytes) -> None:
        """Send when the buffer has room again, or not at all where the time is over before."""
        while not self._expired:
            try:
                await self._datagram.wait_writable()
                self._datagram.send(query)
            except BlockingIOError:
                continue
            except trio.ClosedResourceError:
                pass
            return


def words(error: OSError) -> str:
    """What the system says of an error, without its number."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
