"""Messages between the processes of one run, over pipes: a length, then a pickle.

Only for pipes whose other end is this same program: reading a pickle runs what it names.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any, BinaryIO, Final, Protocol

_LENGTH: Final = struct.Struct(">I")


class Stream(Protocol):
    """What is read from: a trio stream."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray: ...


def frame(message: Any) -> bytes:
    """The message as it goes over a pipe."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class Frames:
    """Messages of a stream, one by one. A torn last one, as a killed process leaves it, counts as none."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self) -> Any:
        """The next message; ``None`` at the end."""
        if not await self._have(_LENGTH.size):
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + length
        if not await self._have(end):
            return None
        with memoryview(self._buffer) as view:
            message = pickle.loads(view[_LENGTH.size : end])
        del self._buffer[:end]
        return message

    async def _have(self, size: int) -> bool:
        while len(self._buffer) < size:
            more = await self._stream.receive_some()
            if not more:
                return False
            self._buffer += more
        return True


def read_frame(file: BinaryIO) -> Any:
    """The next message of a file, blocking until it is there; ``None`` at the end."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = file.read(length)
    return pickle.loads(data) if len(data) == length else None
