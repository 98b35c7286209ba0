"""One UDP socket to a resolver: who waits for what on it, and what comes back.

An answer counts only if it comes through the socket that its question left by, with the same id, and repeats the
question (RFC 5452 section 9). What does not match is counted and dropped, and the waiting goes on.
"""

from __future__ import annotations

import os
from typing import Final

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from scanner.evidence import DnsStatus
from scanner.net import dns_wire
from scanner.net.dns_transport import Datagram
from scanner.net.dns_wire import Question
from scanner.records import dataclass

# Datagrams read in one go before other tasks get their turn.
READ_BATCH: Final = 64
# One read of the system's randomness serves half as many numbers.
_RANDOM_BLOCK: Final = 2048


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a resolver gave no answer: TIMEOUT, UNREACHABLE or MALFORMED, and the words for it."""

    status: DnsStatus
    detail: str | None = None


class RandomNumbers:
    """Unpredictable 16-bit numbers, drawn from the system a block at a time."""

    __slots__ = ("_block", "_position")

    def __init__(self) -> None:
        self._block = b""
        self._position = 0

    def uint16(self) -> int:
        """From 0 to 65535."""
        at = self._position
        if at >= len(self._block):
            self._block = os.urandom(_RANDOM_BLOCK)
            at = 0
        self._position = at + 2
        return self._block[at] << 8 | self._block[at + 1]


class Waiter:
    """A task that waits until all of its questions have a reply."""

    __slots__ = ("missing", "parked", "replies", "task")

    def __init__(self, questions: int) -> None:
        self.task: Task = current_task()
        self.missing = questions
        self.replies: list[bytes | Failure | None] = [None] * questions
        self.parked = False

    def put(self, index: int, reply: bytes | Failure) -> None:
        """The reply to one of the questions."""
        self.replies[index] = reply
        self.missing -= 1
        if self.missing == 0 and self.parked:
            self.parked = False
            reschedule(self.task)

    async def wait(self) -> None:
        """Return when every question has its reply."""
        # The task parks itself instead of using an Event: one wake-up, no further object, half the cost.
        if self.missing:
            self.parked = True
            await wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: RaiseCancelT) -> Abort:
        self.parked = False
        return Abort.SUCCEEDED


class Port:
    """One UDP socket and what is asked through it. :meth:`read` runs as a task of its own for as long as it is in use."""

    __slots__ = ("_datagram", "_reader", "ignored", "life", "pending", "retired")

    def __init__(self, datagram: Datagram, life: int) -> None:
        self._datagram = datagram
        self._reader = trio.CancelScope()
        self.life = life
        self.pending: dict[int, tuple[Waiter, int, Question]] = {}
        self.retired = False
        self.ignored = 0

    def retire(self) -> None:
        """No more questions; closed as soon as nothing is awaited any more."""
        self.retired = True
        self.close_if_done()

    def close_if_done(self) -> None:
        """Let the socket go if it is retired and nobody waits."""
        if self.retired and not self.pending:
            self._reader.cancel()

    def forget(self, waiter: Waiter, ids: list[int]) -> None:
        """``waiter`` waits no longer. An id whose answer came may be somebody else's by now, so only its own are removed."""
        for message_id in ids:
            entry = self.pending.get(message_id)
            if entry is not None and entry[0] is waiter:
                del self.pending[message_id]

    def give_up(self, error: OSError) -> None:
        """ICMP, or the machine itself, says that nothing gets through here: everything asked through it fails alike."""
        pending, self.pending = list(self.pending.values()), {}
        failure = Failure(DnsStatus.UNREACHABLE, words(error))
        for waiter, index, _question in pending:
            waiter.put(index, failure)
        self.retire()

    async def send(self, query: bytes) -> None:
        """Send, waiting for room in the buffer where that is full. What fails is told to those who wait."""
        while True:
            try:
                self._datagram.send(query)
            except BlockingIOError:
                await self._datagram.wait_writable()
                continue
            except OSError as error:
                self.give_up(error)
            return

    async def read(self) -> None:
        """Hand out what arrives until the port is retired; closes the socket."""
        receive = self._datagram.receive
        try:
            with self._reader:
                while True:
                    await self._datagram.wait_readable()
                    for _ in range(READ_BATCH):
                        try:
                            data = receive()
                        except BlockingIOError:
                            break
                        except OSError as error:
                            self.give_up(error)
                            break
                        self._deliver_untrusted(data)
                        if not self.pending:
                            break  # most often nothing more is there, and finding that out is a system call
                    self.close_if_done()
        finally:
            self._datagram.close()

    def _deliver_untrusted(self, data: bytes) -> None:
        """Hand a datagram to whoever asked for it; anything else is dropped."""
        if len(data) >= dns_wire.HEADER_SIZE:
            message_id = data[0] << 8 | data[1]
            entry = self.pending.get(message_id)
            if entry is not None:
                waiter, index, question = entry
                if dns_wire.answers_question(data, question):
                    del self.pending[message_id]
                    waiter.put(index, data)
                    return
        self.ignored += 1


def words(error: OSError) -> str:
    """What the system says of an error, without its number."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
