"""One UDP socket to a resolver, lent to one exchange at a time: its questions out, the answers to them back.

An answer counts only if it comes through the socket that its question left by, with the same id, and repeats the
question (RFC 5452 section 9). What does not match is counted and dropped, and the waiting goes on.

A scan by name runs this once a target, with cold caches, so what counts is how few functions, objects and tasks it needs: the
task that asks is the one that waits and reads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

import trio

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.reply import SILENT, NoAnswer, error_text
from scanner.net.dns.transport import Datagram
from scanner.net.readiness import DeadlinePassed

# Datagrams read in one go before other tasks get their turn: a flood may never end.
READ_BATCH: Final = 64
_ONE_QUESTION: Final = b"\0\1"


class UdpChannel:
    """One socket. ``on_release`` is called when an exchange is over, however it ends.

    ``uses_left`` is how many exchanges it may still serve. ``reusable`` is False from the start of an exchange until everything
    that was asked has an answer: a late answer must not meet another exchange. What a stranger sends between two exchanges is
    passed over by the later one; should it fill the buffer, that costs one try.
    """

    __slots__ = ("_datagram", "_on_release", "ignored", "reusable", "uses_left")

    def __init__(self, datagram: Datagram, uses_left: int, on_release: Callable[[UdpChannel], None]) -> None:
        self._datagram = datagram
        self._on_release = on_release
        self.uses_left = uses_left
        self.ignored = 0
        self.reusable = True

    def close(self) -> None:
        """Close the socket; an exchange that waits on it ends without further answers."""
        self._datagram.close()

    async def ask_untrusted(
        self, questions: Sequence[DnsQuestion], ids: bytes, envelope: tuple[bytes, bytes], deadline: float
    ) -> Sequence[bytes | NoAnswer]:
        """Send all of ``questions`` and wait for their answers until ``deadline``; SILENT where one did not come.

        ``ids`` are two random octets for each, ``envelope`` is what precedes and follows each question. Raises nothing
        for what the network does.
        """
        header, trailer = envelope
        datagram = self._datagram
        replies: list[bytes | NoAnswer] = [SILENT] * len(questions)
        awaited: dict[bytes, int] = {}
        self.reusable = False
        try:
            for index, question in enumerate(questions):
                message_id = ids[2 * index : 2 * index + 2]
                while message_id in awaited:
                    message_id = os.urandom(2)
                awaited[message_id] = index
                query = message_id + header + question.wire + trailer
                while True:
                    try:
                        datagram.send(query)
                        break
                    except BlockingIOError:
                        await datagram.writable(deadline)
            receive = datagram.receive
            while True:
                await datagram.readable(deadline)
                for _ in range(READ_BATCH):
                    try:
                        data = receive()
                    except BlockingIOError:
                        break
                    index_or_none = awaited.get(data[:2])
                    if index_or_none is not None:
                        question = questions[index_or_none]
                        # Nearly every answer repeats the question to the letter; the others are compared with care.
                        if (
                            data[message_wire.HEADER_SIZE : message_wire.HEADER_SIZE + len(question.wire)]
                            == question.wire
                            and data[4:6] == _ONE_QUESTION
                            and data[2] & 0x80
                        ) or message_wire.answers_question(data, question):
                            replies[index_or_none] = data
                            del awaited[data[:2]]
                            if not awaited:
                                self.reusable = True
                                return replies
                            continue
                    self.ignored += 1
                else:
                    # a socket that is always readable never times out by itself
                    if datagram.now() >= deadline:
                        return replies
        except (DeadlinePassed, trio.ClosedResourceError):
            return replies
        except OSError as error:
            # ICMP, or the machine itself, says that nothing gets through here.
            failure = NoAnswer(DnsStatus.UNREACHABLE, error_text(error))
            return [failure if reply is SILENT else reply for reply in replies]
        finally:
            self._on_release(self)
