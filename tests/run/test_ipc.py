from __future__ import annotations

import io
from typing import Any

import pytest
import trio

from scanner.run.ipc import Frames, frame, read_frame

MESSAGES: list[Any] = [[], {"a": b"\0" * 70_000}, "x", [1, 2, 3]]


class Chunks:
    """A stream that gives so many bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        chunk, self._data = self._data[: self._size], self._data[self._size :]
        return chunk


async def read_all(stream: Chunks) -> list[Any]:
    frames, found = Frames(stream), []
    while (message := await frames.next()) is not None:
        found.append(message)
    return found


@pytest.mark.parametrize("size", [1, 3, 4, 5, 4096, 10**6])
def test_messages_come_back_however_the_pipe_cuts_them(size: int) -> None:
    data = b"".join(map(frame, MESSAGES))
    stream = Chunks(data if size > 1 else b"".join(map(frame, MESSAGES[2:])), size)

    assert trio.run(read_all, stream) == (MESSAGES if size > 1 else MESSAGES[2:])


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_a_torn_last_message_is_none(cut: int) -> None:
    data = frame("whole") + frame("torn, since its writer was killed")[:cut]

    assert trio.run(read_all, Chunks(data, 7)) == ["whole"]
    file = io.BytesIO(data)
    assert [read_frame(file), read_frame(file)] == ["whole", None]


def test_a_file_is_read_to_its_end() -> None:
    file = io.BytesIO(b"".join(map(frame, MESSAGES)))

    assert [read_frame(file) for _ in range(len(MESSAGES) + 1)] == [*MESSAGES, None]
