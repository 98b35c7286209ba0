"""Read and write numbers and vectors with a length in front (RFC 8446 section 3). Every length is checked."""

from __future__ import annotations

import struct
from typing import Final

# big-endian
_number: Final = int.from_bytes


class DecodeError(Exception):
    """The peer's bytes violate the protocol. ``what`` names the structure, ``offset`` the byte at which it broke."""

    def __init__(self, what: str, reason: str, offset: int) -> None:
        super().__init__(f"{what}: {reason} at byte {offset}")
        self.what = what
        self.reason = reason
        self.offset = offset


def cut_short(data: bytes, at: int, width: int, what: str) -> DecodeError:
    """Return the error to raise for a vector at ``at`` that ends behind the end of ``data``; its length has ``width`` bytes."""
    start = at + width
    left = len(data) - start
    if left < 0:
        return DecodeError(what, "ends early", at)
    return DecodeError(what, f"{_number(data[at:start])} bytes wanted, {left} left", start)


class Reader:
    """A cursor over one structure, named ``what`` in each ``DecodeError``; ``position`` is the next byte, ``end`` behind the last."""

    __slots__ = ("_data", "_what", "end", "position")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self.position = 0
        self.end = len(data)

    def error(self, reason: str) -> DecodeError:
        """Return the error to raise for ``reason`` at the present position."""
        return DecodeError(self._what, reason, self.position)

    def number(self, width: int) -> int:
        """Return the next ``width`` bytes as a number, big-endian."""
        start = self.position
        stop = start + width
        if stop > self.end:
            raise self.error("ends early")
        self.position = stop
        return _number(self._data[start:stop])

    def vector(self, width: int) -> bytes:
        """Return the content of a vector whose length has ``width`` bytes: ``opaque <0..2^(8 * width)-1>``."""
        start = self.position + width
        stop = start + _number(self._data[self.position : start])
        if stop > self.end:
            raise cut_short(self._data, self.position, width, self._what)
        self.position = stop
        return self._data[start:stop]

    def codes16(self) -> tuple[int, ...]:
        """Return the 16-bit code points of a vector with a 16-bit length."""
        block = self.vector(2)
        if len(block) % 2:
            raise self.error("odd length of a list of 16-bit codes")
        return struct.unpack(f">{len(block) // 2}H", block)

    def done(self) -> None:
        """Raise ``DecodeError`` if anything is left: a block must be consumed exactly."""
        if self.position != self.end:
            raise self.error(f"{self.end - self.position} bytes left over")


def whole_vector(data: bytes, width: int, what: str, at: int = 0) -> bytes:
    """Return the content of a vector that fills ``data`` exactly, from the offset ``at``. Raises ``DecodeError``."""
    start = at + width
    size, left = _number(data[at:start]), len(data) - start
    if size != left:
        if size > left:
            raise cut_short(data, at, width, what)
        raise DecodeError(what, f"{left - size} bytes left over", start + size)
    return data[start:]


def code_and_vector(data: bytes, what: str) -> tuple[int, bytes]:
    """Return a 16-bit code point and the content of the vector behind it, which fills the rest. Raises ``DecodeError``."""
    if len(data) < 2:
        raise DecodeError(what, "ends early", 0)
    return data[0] << 8 | data[1], whole_vector(data, 2, what, 2)


def u16(value: int) -> bytes:
    """Return ``value`` in two bytes, big-endian."""
    return value.to_bytes(2, "big")


def vector8(body: bytes) -> bytes:
    """Return ``body`` behind an 8-bit length."""
    return len(body).to_bytes(1, "big") + body


def vector16(body: bytes) -> bytes:
    """Return ``body`` behind a 16-bit length."""
    return len(body).to_bytes(2, "big") + body


def vector24(body: bytes) -> bytes:
    """Return ``body`` behind a 24-bit length."""
    return len(body).to_bytes(3, "big") + body


def codes(values: tuple[int, ...]) -> bytes:
    """Return 16-bit code points behind a 16-bit length."""
    return vector16(b"".join(value.to_bytes(2, "big") for value in values))
