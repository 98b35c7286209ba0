"""Messages between the processes of one run, over pipes: a 4-byte length, then a pickle.

Only for pipes whose other end is this same program: unpickling runs whatever the pickle names.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any, BinaryIO, Final, Protocol

_LENGTH: Final = struct.Struct(">I")


class ReadableStream(Protocol):
    """What ``MessageStream`` reads from: a trio stream."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray: ...


def encode_message(message: Any) -> bytes:
    """Return the message as it goes over a pipe."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class MessageStream:
    """Messages of a stream, one by one. A torn last message, as a killed process leaves it, is dropped."""

    def __init__(self, stream: ReadableStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def receive(self) -> Any:
        """Return the next message; ``None`` at the end."""
        if not await self._fill(_LENGTH.size):
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + length
        if not await self._fill(end):
            return None
        with memoryview(self._buffer) as view:
            message = pickle.loads(view[_LENGTH.size : end])
        del self._buffer[:end]
        return message

    async def _fill(self, size: int) -> bool:
        while len(self._buffer) < size:
            more = await self._stream.receive_some()
            if not more:
                return False
            self._buffer += more
        return True


def read_message(file: BinaryIO) -> Any:
    """Return the next message of a blocking file; ``None`` at the end."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = file.read(length)
    return pickle.loads(data) if len(data) == length else None
