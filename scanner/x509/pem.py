"""Reads PEM (RFC 7468) as files are in practice, and says what servers cannot read of it.

The problem: people join files with `cat`, copy them out of mails and tickets, and save them with Windows editors. What is in such
a file is clear to a person, while OpenSSL, and with it nginx, Apache and HAProxy, passes over a block or refuses the file. So
everything that can be read is read here, and what OpenSSL 3 stumbles on is a fault with its line. Each rule was held against
OpenSSL (``tests/x509/test_pem.py`` does it again).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

# OpenSSL writes the second one for certificates with trust settings after them, and once wrote the third.
CERTIFICATE_LABELS: Final = frozenset({b"CERTIFICATE", b"TRUSTED CERTIFICATE", b"X509 CERTIFICATE"})
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# Faults that are kept of one file: a person mends the first few, and the rest is of the same kind.
MAX_FAULTS: Final = 32

# A boundary with any number of hyphens near to five. It begins where a run of hyphens does, or after the five of a boundary on the
# same line, so that a file of hyphens costs no more than its length.
_BOUNDARY: Final = re.compile(
    rb"(?:(?<!-)|(?<=[A-Z0-9 ]-----))(-{1,10})(BEGIN|END) ([A-Z0-9#][A-Z0-9 #]{0,60}?) ?(-----(?=-----BEGIN )|-{1,10}(?!-))"
)
# What is left of a boundary whose hyphens were lost, or replaced by dashes
_REMNANT: Final = re.compile(
    rb"^[^A-Za-z0-9#\r\n]*((?:BEGIN|END) (?:TRUSTED |X509 )?CERTIFICATE)[^A-Za-z0-9\r\n]*$", re.MULTILINE
)
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_HYPHENS: Final = b"-----"


class Block(Struct, frozen=True):
    """A block; ``content`` is ``None`` if what is between its boundaries is not base64. ``line`` is that of its BEGIN. ``headers``: it
    begins with some (RFC 1421), as a key does that is encrypted."""

    label: bytes
    content: bytes | None
    line: int
    headers: bool = False


class PemText(Struct, frozen=True):
    """The blocks of a text, and what OpenSSL cannot read of it: one sentence each, with the line."""

    blocks: tuple[Block, ...]
    faults: tuple[str, ...] = ()


class _LineNumbers:
    """The number of the line of a place in a text; asked in rising order."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._number, self._place = 1, 0

    def __call__(self, place: int) -> int:
        self._number += sum(1 for _ in _LINE_END.finditer(self._text, self._place, place))
        self._place = place
        return self._number


def read_pem(text: bytes) -> PemText:
    """Return the blocks of a text and its faults. Linear in the text."""
    found: list[Block] = []
    faults: list[str] = []
    line_of = _LineNumbers(text)
    begun: tuple[bytes, int, int] | None = None  # label, end of the BEGIN, its line
    ended_at = 0  # end of the last boundary
    if b"\r" in text and b"\n" not in text:
        faults.append("its lines end with a carriage return alone")
    for boundary in _BOUNDARY.finditer(text):
        before, kind, label, after = boundary.groups()
        faults += _remnants(text, ended_at, boundary.start(), line_of)
        line = line_of(boundary.start())
        shown = f"line {line}: {kind.decode()} {label.decode()}"
        if before != _HYPHENS or after != _HYPHENS:
            faults.append(f"{shown} has not five hyphens on each side")
        if (joined := _stands_alone(text, boundary.start(), boundary.end(), ended_at)) is not None:
            faults.append(f"{shown} {joined}")
        if kind == b"BEGIN":
            if begun is not None:
                faults.append(f"line {begun[2]}: BEGIN {begun[0].decode()} has no END")
            begun = label, boundary.end(), line
        elif begun is None:
            faults.append(f"{shown} has no BEGIN")
        else:
            if label != begun[0]:
                faults.append(f"{shown} ends a block that begins as {begun[0].decode()}")
            content, headers, fault = _decoded(text[begun[1] : boundary.start()], begun[0])
            if fault is not None:
                faults.append(f"line {begun[2]}: the block that begins here {fault}")
            found.append(Block(begun[0], content, begun[2], headers))
            begun = None
        ended_at = boundary.end()
    if begun is not None:
        faults.append(f"line {begun[2]}: BEGIN {begun[0].decode()} has no END")
    faults += _remnants(text, ended_at, len(text), line_of)
    return PemText(tuple(found), tuple(faults[:MAX_FAULTS]))


def _remnants(text: bytes, start: int, end: int, line_of: _LineNumbers) -> Iterator[str]:
    """Yield the places between boundaries that were boundaries once."""
    for remnant in _REMNANT.finditer(text, start, end):
        yield f"line {line_of(remnant.start())}: {remnant[1].decode()} is not between hyphens"


def _stands_alone(text: bytes, start: int, end: int, last: int) -> str | None:
    """Return what else is on the line of a boundary, if OpenSSL then does not know it for one."""
    if start > 0 and start == last:
        return "is on the line of the boundary before it"
    line = max(last, text.rfind(b"\n", last, start) + 1, text.rfind(b"\r", last, start) + 1)
    begins = text[line:start].removeprefix(BYTE_ORDER_MARK)  # OpenSSL 3 skips it
    if begins:
        return "is indented" if not begins.strip() else "has something before it on its line"
    rest = _LINE_END.split(text[end : end + 4096], maxsplit=1)[0]
    if rest.strip() and not _BOUNDARY.match(text, end):
        return "has something after it on its line"
    return None


def _decoded(body: bytes, label: bytes) -> tuple[bytes | None, bool, str | None]:
    """Return the content of a block, whether it has headers, and what OpenSSL refuses in it."""
    lines: list[bytes] = []
    fault, blank, headers = None, False, False
    for line in _LINE_END.split(body):
        stripped = line.strip()
        if b":" in stripped:
            headers = True
        elif stripped:
            if blank and fault is None:
                fault = "has an empty line in it"
            lines.append(b"".join(stripped.split()))
        elif lines:
            blank = True
    if headers and label in CERTIFICATE_LABELS:
        fault = "has a header in it, as only keys may have"
    try:
        return binascii.a2b_base64(b"".join(lines), strict_mode=True), headers, fault
    except binascii.Error:
        return None, headers, "is not base64"


def blocks(text: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield (label, content) of each block; the content is ``None`` if it is not base64. Linear in the text."""
    for block in read_pem(text).blocks:
        yield block.label, block.content


def certificates_in_pem(text: bytes) -> Iterator[bytes]:
    """Yield the DER of each certificate block that is base64; blocks of other kinds are skipped."""
    return certificates_in(read_pem(text))


def certificates_in(pem: PemText) -> Iterator[bytes]:
    """Yield the DER of each certificate block that is base64."""
    for block in pem.blocks:
        if block.label in CERTIFICATE_LABELS and block.content:
            yield _first_element(block.content) if block.label.startswith(b"TRUSTED") else block.content


def _first_element(content: bytes) -> bytes:
    if len(content) > 4 and content[1] & 0x80 and content[1] & 0x7F <= 4:
        count = content[1] & 0x7F
        return content[: 2 + count + int.from_bytes(content[2 : 2 + count], "big")]
    return content
