"""FIFO queues of items that wait for something, in memory up to a limit and in temporary files beyond it.

A run spools the evidence that cannot become a finding yet, in one queue per reason to wait. The limit is in items and in
bytes; ``spill`` writes everything to disk when memory runs short. The files are unlinked as soon as they are open, so nothing
is left behind whatever happens; a run that is killed probes again what it had spooled.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, Generic, TypeVar, cast

from scanner.errors import TlsweepError
from scanner.model.evidence import Evidence

T = TypeVar("T")

# Items in memory, in all queues: the evidence of a target with its verdicts is some 5 KB, so this is 20 MB ...
MAX_IN_MEMORY: Final = 4500
# ... and fewer of them where a server sends 256 kB of certificates. Estimates are on the safe side: twice what is measured.
MAX_BYTES_IN_MEMORY: Final = 48 << 20
# Memory for the evidence of one target, without what its peers sent.
EVIDENCE_BYTES: Final = 4096
# Memory for each further connection.
PROBE_BYTES: Final = 1024
# Bytes written at a time: large enough that a million spooled targets are few writes.
BUFFER: Final = 1 << 18


class SpoolError(TlsweepError):
    """A temporary file of the spool cannot be written or read."""


def evidence_bytes(evidence: Evidence) -> int:
    """Return about how many bytes of memory the evidence of a target takes, unparsed."""
    size = EVIDENCE_BYTES
    for endpoint in evidence.endpoints:
        size += endpoint.probe.bytes_received
        if endpoint.followups:
            size += sum([PROBE_BYTES + probe.bytes_received for probe in endpoint.followups.values()])
        if endpoint.completions:
            size += sum([PROBE_BYTES + len(completion.reply) for completion in endpoint.completions.values()])
    if evidence.issuers:
        size += sum([len(each) for issuer in evidence.issuers for each in issuer.certificates])
    return size


def finding_bytes(evidence: Evidence) -> int:
    """Return about how many bytes the finding of a target takes: certificates in base64, and their names as text."""
    return 6 * evidence_bytes(evidence)


class Spool(Generic[T]):
    """Queues of items by the reason for which they wait. Raises ``SpoolError`` if the disk fails.

    Items beyond the limit are pickled, so what comes back is equal to what was put in, but not identical.
    """

    def __init__(
        self,
        size: Callable[[T], int],
        *,
        on_disk: Callable[[T], T] | None = None,
        in_memory: int = MAX_IN_MEMORY,
        bytes_in_memory: int = MAX_BYTES_IN_MEMORY,
        directory: str | None = None,
    ) -> None:
        """``size`` estimates the bytes of an item, ``on_disk`` returns what of it goes to disk. Without ``directory`` files go where
        the system has temporary files."""
        self._size = size
        self._on_disk = on_disk
        self._room = in_memory
        self._bytes_left = bytes_in_memory
        self._directory = directory
        self._queues: dict[str, _Queue[T]] = {}
        self.waiting = 0  # items in all queues

    def __len__(self) -> int:
        return self.waiting

    def __enter__(self) -> Spool[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def count(self, reason: str) -> int:
        """Return how many items wait for ``reason``."""
        queue = self._queues.get(reason)
        return 0 if queue is None else len(queue)

    def put(self, item: T, reason: str) -> None:
        """Add ``item`` to the queue of ``reason``."""
        queue = self._queues.get(reason)
        if queue is None:
            queue = self._queues[reason] = _Queue(self._directory, self._on_disk)
        self.waiting += 1
        size = self._size(item)
        # whatever comes after an item on disk goes to disk too, to keep the queue's order
        if self._room > 0 and size <= self._bytes_left and not queue.on_disk:
            self._room -= 1
            self._bytes_left -= size
            queue.memory.append((item, size))
        else:
            queue.write(item)

    def spill(self) -> int:
        """Write all items in memory to disk, and return their number."""
        spilled = 0
        for queue in self._queues.values():
            spilled += len(queue.memory)
            self._room += len(queue.memory)
            self._bytes_left += sum(size for _, size in queue.memory)
            queue.spill()
        return spilled

    def pop_all(self, reason: str) -> Iterator[T]:
        """Remove and yield what waits for ``reason``, first in, first out, including what is put in meanwhile."""
        queue = self._queues.get(reason)
        while queue is not None and len(queue):
            if queue.memory:
                item, size = queue.memory.popleft()
                self._room += 1
                self._bytes_left += size
            else:
                item = queue.read()
            self.waiting -= 1
            yield item

    def drain(self) -> Iterator[T]:
        """Remove and yield everything, reason by reason."""
        for reason in list(self._queues):
            yield from self.pop_all(reason)

    def close(self) -> None:
        """Drop what is left."""
        for queue in self._queues.values():
            queue.close()
        self._queues.clear()
        self.waiting = 0


class _Queue(Generic[T]):
    """One FIFO queue: the oldest items in memory, the later ones in files."""

    def __init__(self, directory: str | None, packed: Callable[[T], T] | None) -> None:
        self.memory: deque[tuple[T, int]] = deque()
        self._directory = directory
        self._packed = packed
        self._files: deque[_File] = deque()

    @property
    def on_disk(self) -> int:
        return sum(file.items for file in self._files)

    def __len__(self) -> int:
        return len(self.memory) + self.on_disk

    def write(self, item: T) -> None:
        if not self._files:
            self._files.append(_File(self._directory))
        self._files[-1].write(item if self._packed is None else self._packed(item))

    def spill(self) -> None:
        """Write what is in memory to a file of its own, which is read before the other files."""
        if not self.memory:
            return
        file = _File(self._directory)
        self._files.appendleft(file)
        while self.memory:
            item = self.memory[0][0]
            file.write(item if self._packed is None else self._packed(item))
            self.memory.popleft()

    def read(self) -> T:
        file = self._files[0]
        item = file.read()
        if not file.items:
            self._files.popleft().close()  # gives the space back at once
        return cast(T, item)

    def close(self) -> None:
        self.memory.clear()
        while self._files:
            self._files.popleft().close()


class _File:
    """Pickled items in a temporary file, read in the order in which they were written."""

    def __init__(self, directory: str | None) -> None:
        self.items = 0  # still to be read
        self._directory = directory
        self._file: BinaryIO | None = None
        self._read_at = 0
        self._write_at = 0

    def write(self, item: object) -> None:
        import pickle  # most runs spool little

        data = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        try:
            if self._file is None:
                self._file = cast(BinaryIO, tempfile.TemporaryFile(buffering=BUFFER, dir=self._directory))
            self._file.seek(self._write_at)
            self._file.write(len(data).to_bytes(4, "big"))
            self._file.write(data)
        except OSError as error:
            raise self._failed("write", error) from None
        self._write_at += 4 + len(data)
        self.items += 1

    def read(self) -> object:
        assert self._file is not None
        try:
            self._file.seek(self._read_at)
            length = int.from_bytes(self._file.read(4), "big")
            data = self._file.read(length)
        except OSError as error:
            raise self._failed("read", error) from None
        if len(data) != length or not length:
            raise SpoolError(
                f"findings that were held back in {self._place()} cannot be read again: the file is cut off"
            )
        self._read_at += 4 + length
        self.items -= 1
        import pickle

        return pickle.loads(data)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass  # the bytes that could not be written are not needed any more

    def _place(self) -> str:
        return self._directory or tempfile.gettempdir()

    def _failed(self, what: str, error: OSError) -> SpoolError:
        reason = error.strerror or os.strerror(error.errno or 0)
        return SpoolError(f"cannot {what} findings that are held back, in {self._place()}: {reason}")
