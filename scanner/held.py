"""What waits for the fleet's word: held in memory up to a bound, then in a temporary file, and given back in order.

Each reason to wait is a queue of its own. The files are deleted as soon as they are open, so nothing is left behind
whatever happens; a run that is killed probes again what it held.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Final, Generic, TypeVar, cast

T = TypeVar("T")

# Held in memory, all together: the evidence of a target with its certificates is some 10 KB, so this is 20 MB.
MAX_IN_MEMORY: Final = 2000
# Bytes written at a time: large enough that a million held targets are few writes.
BUFFER: Final = 1 << 18


class HeldError(Exception):
    """What is held back cannot be kept or read; the message says why, in words for a person."""


class Held(Generic[T]):
    """Items by the reason for which they wait. Raises ``HeldError`` where the disk fails, and nothing else of the kind.

    Items beyond the bound are pickled, so they must be records of ours; what comes back is equal, not the same.
    """

    def __init__(self, *, in_memory: int = MAX_IN_MEMORY, directory: str | None = None) -> None:
        """``directory`` None is the system's place for temporary files."""
        self._room = in_memory
        self._directory = directory
        self._queues: dict[str, _Queue[T]] = {}
        self.waiting = 0  # how many items are held

    def __len__(self) -> int:
        return self.waiting

    def __enter__(self) -> Held[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def count(self, reason: str) -> int:
        """How many items wait for ``reason``."""
        queue = self._queues.get(reason)
        return 0 if queue is None else len(queue)

    def hold(self, item: T, reason: str) -> None:
        """Keep ``item`` until ``reason`` is settled."""
        queue = self._queues.get(reason)
        if queue is None:
            queue = self._queues[reason] = _Queue(self._directory)
        self.waiting += 1
        # What came after an item on disk must come back after it.
        if self._room > 0 and not queue.on_disk:
            self._room -= 1
            queue.memory.append(item)
        else:
            queue.write(item)

    def release(self, reason: str) -> Iterator[T]:
        """Give back what waits for ``reason``, in the order in which it came, what is held meanwhile too."""
        queue = self._queues.get(reason)
        while queue is not None and len(queue):
            if queue.memory:
                self._room += 1
                item = queue.memory.popleft()
            else:
                item = queue.read()
            self.waiting -= 1
            yield item

    def drain(self) -> Iterator[T]:
        """Give back everything, reason by reason."""
        for reason in list(self._queues):
            yield from self.release(reason)

    def close(self) -> None:
        """Forget what is left."""
        for queue in self._queues.values():
            queue.close()
        self._queues.clear()
        self.waiting = 0


class _Queue(Generic[T]):
    """First in, first out: a part in memory, and what came after it in a file."""

    def __init__(self, directory: str | None) -> None:
        self.memory: deque[T] = deque()
        self.on_disk = 0
        self._directory = directory
        self._file: BinaryIO | None = None
        self._read_at = 0
        self._write_at = 0

    def __len__(self) -> int:
        return len(self.memory) + self.on_disk

    def write(self, item: T) -> None:
        import pickle  # most runs hold little

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
        self.on_disk += 1

    def read(self) -> T:
        assert self._file is not None
        try:
            self._file.seek(self._read_at)
            length = int.from_bytes(self._file.read(4), "big")
            data = self._file.read(length)
        except OSError as error:
            raise self._failed("read", error) from None
        if len(data) != length or not length:
            raise HeldError(
                f"findings that were held back in {self._place()} cannot be read again: the file is cut off"
            )
        self._read_at += 4 + length
        self.on_disk -= 1
        if not self.on_disk:
            self.close()  # gives the space back at once
        import pickle

        return cast(T, pickle.loads(data))

    def close(self) -> None:
        self.memory.clear()
        self.on_disk = self._read_at = self._write_at = 0
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass  # bytes that nobody wants any more could not be written

    def _place(self) -> str:
        return self._directory or tempfile.gettempdir()

    def _failed(self, what: str, error: OSError) -> HeldError:
        reason = error.strerror or os.strerror(error.errno or 0)
        return HeldError(f"cannot {what} findings that are held back, in {self._place()}: {reason}")
