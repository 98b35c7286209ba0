"""Bytes to numbers and length-prefixed vectors, each length checked (RFC 8446 section 3).

``Reader`` is the only way peer bytes are taken apart in this room, and ``DecodeError`` its only escape.
"""

from __future__ import annotations


class DecodeError(Exception):
    """Peer bytes are not what the protocol says. ``what`` names the structure, ``offset`` the byte where it broke."""

    def __init__(self, what: str, reason: str, offset: int) -> None:
        super().__init__(f"{what}: {reason} at byte {offset}")
        self.what = what
        self.reason = reason
        self.offset = offset


class Reader:
    """A cursor over one structure; ``what`` is its name in error messages. Raises ``DecodeError`` on every misstep."""

    __slots__ = ("_data", "_end", "_pos", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._end = len(data)
        self._pos = 0
        self._what = what

    @property
    def position(self) -> int:
        """Offset of the next byte."""
        return self._pos

    def __len__(self) -> int:
        return self._end - self._pos

    def error(self, reason: str) -> DecodeError:
        """The error to raise for ``reason`` at the present place."""
        return DecodeError(self._what, reason, self._pos)

    def take(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        start = self._pos
        stop = start + count
        if stop > self._end:
            raise self.error(f"{count} bytes wanted, {self._end - start} left")
        self._pos = stop
        return self._data[start:stop]

    def u8(self) -> int:
        """One byte."""
        pos = self._pos
        if pos >= self._end:
            raise self.error("ends early")
        self._pos = pos + 1
        return self._data[pos]

    # The readers below do by hand what ``take`` and ``from_bytes`` would: they run some sixty times for each handshake.

    def u16(self) -> int:
        """Two bytes, big-endian."""
        pos = self._pos
        if pos + 2 > self._end:
            raise self.error("ends early")
        self._pos = pos + 2
        data = self._data
        return data[pos] << 8 | data[pos + 1]

    def u24(self) -> int:
        """Three bytes, big-endian."""
        return int.from_bytes(self.take(3), "big")

    def u32(self) -> int:
        """Four bytes, big-endian."""
        return int.from_bytes(self.take(4), "big")

    def vector8(self) -> bytes:
        """``opaque <0..2^8-1>``."""
        return self.take(self.u8())

    def vector16(self) -> bytes:
        """``opaque <0..2^16-1>``."""
        start = self._pos + 2
        if start > self._end:
            raise self.error("ends early")
        data = self._data
        stop = start + (data[start - 2] << 8 | data[start - 1])
        if stop > self._end:
            raise self.error(f"{stop - start} bytes wanted, {self._end - start} left")
        self._pos = stop
        return data[start:stop]

    def vector24(self) -> bytes:
        """``opaque <0..2^24-1>``."""
        return self.take(int.from_bytes(self.take(3), "big"))

    def codes16(self) -> tuple[int, ...]:
        """A 16-bit length, then 16-bit code points to its end."""
        block = self.vector16()
        if len(block) % 2:
            raise self.error("odd length of a list of 16-bit codes")
        return tuple(int.from_bytes(block[i : i + 2], "big") for i in range(0, len(block), 2))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self._end - self._pos)

    def done(self) -> None:
        """Refuse leftovers: a block must be consumed exactly."""
        if self._pos != self._end:
            raise self.error(f"{self._end - self._pos} bytes left over")


def u16(value: int) -> bytes:
    """Two bytes, big-endian."""
    return value.to_bytes(2, "big")


def vector8(body: bytes) -> bytes:
    """``body`` behind an 8-bit length."""
    return len(body).to_bytes(1, "big") + body


def vector16(body: bytes) -> bytes:
    """``body`` behind a 16-bit length."""
    return len(body).to_bytes(2, "big") + body


def vector24(body: bytes) -> bytes:
    """``body`` behind a 24-bit length."""
    return len(body).to_bytes(3, "big") + body


def codes(values: tuple[int, ...]) -> bytes:
    """16-bit code points behind a 16-bit length."""
    return vector16(b"".join(value.to_bytes(2, "big") for value in values))
