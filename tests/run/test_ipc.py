from __future__ import annotations

import io
from typing import Any

import pytest
import trio

from scanner.run.ipc import MessageStream, encode_message, read_message

MESSAGES: list[Any] = [[], {"a": b"\0" * 70_000}, "x", [1, 2, 3]]


class Chunks:
    """A stream that returns ``size`` bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        chunk, self._data = self._data[: self._size], self._data[self._size :]
        return chunk


async def read_all(stream: Chunks) -> list[Any]:
    messages, found = MessageStream(stream), []
    while (message := await messages.receive()) is not None:
        found.append(message)
    return found


@pytest.mark.parametrize("size", [1, 3, 4, 5, 4096, 10**6])
def test_messages_survive_any_fragmentation(size: int) -> None:
    data = b"".join(map(encode_message, MESSAGES))
    stream = Chunks(data if size > 1 else b"".join(map(encode_message, MESSAGES[2:])), size)

    assert trio.run(read_all, stream) == (MESSAGES if size > 1 else MESSAGES[2:])


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_a_torn_last_message_is_dropped(cut: int) -> None:
    data = encode_message("whole") + encode_message("torn, since its writer was killed")[:cut]

    assert trio.run(read_all, Chunks(data, 7)) == ["whole"]
    file = io.BytesIO(data)
    assert [read_message(file), read_message(file)] == ["whole", None]


def test_messages_are_read_from_a_file() -> None:
    file = io.BytesIO(b"".join(map(encode_message, MESSAGES)))

    assert [read_message(file) for _ in range(len(MESSAGES) + 1)] == [*MESSAGES, None]
