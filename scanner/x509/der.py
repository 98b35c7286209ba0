"""Reads and writes as much DER (X.690) as certificates, CRLs and OCSP responses need, without building objects.

Readers work on positions instead of slices: each takes the whole encoding and a window ``[at, end)`` of it, and
checks that what it reads is inside. Nothing here recurses, so no nesting can exhaust the stack. The only error is
``DerError``.
"""

from __future__ import annotations

from typing import Final

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OID: Final = 0x06
ENUMERATED: Final = 0x0A
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
TELETEX_STRING: Final = 0x14
IA5_STRING: Final = 0x16
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
UNIVERSAL_STRING: Final = 0x1C
BMP_STRING: Final = 0x1E
SEQUENCE: Final = 0x30
SET: Final = 0x31

# Object identifiers of more bytes are not in use; the longest have about 30.
MAX_OID_BYTES: Final = 128
# Versions, states, reasons and lengths fit one byte. Eight are what JSON and other languages read as an integer, and
# Python refuses to write an integer of more than 4,300 digits as text.
MAX_INTEGER_BYTES: Final = 8
# Elements of one SEQUENCE: most have some dozens, name constraints of large estates some thousand.
MAX_CHILDREN: Final = 10_000


class DerError(Exception):
    """The bytes are not the DER that is expected in their place."""


def header_untrusted(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Read the tag and length at ``at``: (tag, start of content, end of content), all inside ``end``."""
    if at + 2 > end:
        raise DerError("an element is cut off")
    tag = data[at]
    length = data[at + 1]
    start = at + 2
    if length >= 0x80:
        count = length & 0x7F
        if count == 0:
            raise DerError("an indefinite length, which DER does not have")
        if count > 4 or start + count > end:
            raise DerError("a length that is too long")
        length = int.from_bytes(data[start : start + count], "big")
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise DerError("a length that is not in its shortest form")
        start += count
    if tag & 0x1F == 0x1F:
        raise DerError("a tag number above 30")
    stop = start + length
    if stop > end:
        raise DerError("an element reaches beyond what holds it")
    return tag, start, stop


def expect_untrusted(data: bytes, at: int, end: int, tag: int, what: str) -> tuple[int, int]:
    """Read one element of exactly this tag; ``what`` names it in the error."""
    if at < end and data[at] != tag:
        raise DerError(f"{what}: tag 0x{data[at]:02x} where 0x{tag:02x} belongs")
    _, start, stop = header_untrusted(data, at, end)
    return start, stop


def element_untrusted(data: bytes, at: int, end: int, tag: int, what: str) -> tuple[bytes, int]:
    """Read an element that must have ``tag``: (its encoding, header included; the end of it)."""
    _, stop = expect_untrusted(data, at, end, tag, what)
    return data[at:stop], stop


def whole_untrusted(data: bytes, tag: int, what: str) -> tuple[int, int]:
    """Read one element that fills ``data`` to its end."""
    start, stop = expect_untrusted(data, 0, len(data), tag, what)
    if stop != len(data):
        raise DerError(f"{what}: {len(data) - stop} bytes after its end")
    return start, stop


def filling_untrusted(data: bytes, at: int, end: int, tag: int) -> int:
    """Return where the content of an element of this tag begins that fills ``at`` to ``end``, both within ``data``."""
    rest = end - at - 2
    if rest < 0 or data[at] != tag:
        raise DerError("an element that is not what the place asks for")
    # for a given end there is one encoding of the length
    if rest < 128:
        if data[at + 1] == rest:
            return at + 2
    elif rest < 257:
        if data[at + 1] == 0x81 and data[at + 2] == rest - 1 > 127:
            return at + 3
    elif data[at + 1] == 0x82 and (data[at + 2] << 8 | data[at + 3]) == rest - 2 > 255:
        return at + 4
    raise DerError("an element that does not end where it should")


def children_untrusted(data: bytes, start: int, stop: int) -> list[tuple[int, int, int]]:
    """Return the elements that fill ``start`` to ``stop``, as (tag, start of content, end of content)."""
    found: list[tuple[int, int, int]] = []
    at = start
    while at < stop:
        if len(found) == MAX_CHILDREN:
            raise DerError(f"more than {MAX_CHILDREN} elements in one")
        element = header_untrusted(data, at, stop)
        found.append(element)
        at = element[2]
    return found


def boolean_untrusted(data: bytes, start: int, stop: int) -> bool:
    """Decode the content of a BOOLEAN, in DER 0x00 or 0xff (X.690 section 11.1)."""
    if stop - start != 1 or data[start] not in (0, 0xFF):
        raise DerError("a BOOLEAN that is neither 00 nor ff")
    return data[start] == 0xFF


def lenient_boolean_untrusted(data: bytes, start: int, stop: int) -> tuple[bool, bool]:
    """Decode the content of a BOOLEAN as BER has it (X.690 section 8.2): (value, whether it is DER)."""
    if stop - start != 1:
        raise DerError("a BOOLEAN that is not one byte")
    return data[start] != 0, data[start] in (0, 0xFF)


def integer_untrusted(data: bytes, start: int, stop: int, most: int = MAX_INTEGER_BYTES) -> int:
    """Decode the content of an INTEGER of at most ``most`` bytes, in its shortest form (X.690 section 8.3)."""
    if stop == start:
        raise DerError("an INTEGER without content")
    if stop - start > most:
        raise DerError(f"an INTEGER of {stop - start} bytes, where {most} are the most")
    if stop - start > 1 and (data[start], data[start + 1] >> 7) in ((0, 0), (0xFF, 1)):
        raise DerError("an INTEGER that is not in its shortest form")
    return int.from_bytes(data[start:stop], "big", signed=True)


def bits_untrusted(data: bytes, start: int, stop: int) -> tuple[int, bytes]:
    """Decode the content of a BIT STRING to (number of unused bits at the end, bytes)."""
    if stop == start:
        raise DerError("a BIT STRING without content")
    unused = data[start]
    if unused > 7 or (unused and stop - start == 1):
        raise DerError("a BIT STRING with an impossible count of unused bits")
    if unused and data[stop - 1] & ((1 << unused) - 1):
        raise DerError("a BIT STRING whose unused bits are set")
    return unused, data[start + 1 : stop]


def oid_untrusted(content: bytes) -> str:
    """Decode the content of an OBJECT IDENTIFIER to dotted form."""
    if not content or len(content) > MAX_OID_BYTES or content[-1] & 0x80:
        raise DerError("an OBJECT IDENTIFIER that is empty, cut off or too long")
    arcs = []
    value = 0
    for byte in content:
        if value == 0 and byte == 0x80:
            raise DerError("an OBJECT IDENTIFIER with a padded arc")
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def integer_content(value: int) -> bytes:
    """Return the content of an INTEGER in its shortest form."""
    bits = value.bit_length() if value >= 0 else (value + 1).bit_length()
    return value.to_bytes(bits // 8 + 1, "big", signed=True)


def encoded(tag: int, *contents: bytes) -> bytes:
    """Return the DER of one element that holds ``contents``."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


def encoded_oid(dotted: str) -> bytes:
    """Return the content bytes of an OBJECT IDENTIFIER given in dotted form; for tables of constants."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    out = bytearray()
    for arc in [first * 40 + second, *rest]:
        piece = [arc & 0x7F]
        while arc := arc >> 7:
            piece.append(arc & 0x7F | 0x80)
        out += bytes(reversed(piece))
    return bytes(out)
