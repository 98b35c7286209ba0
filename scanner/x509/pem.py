"""Reads PEM (RFC 7468) as files are in practice: many blocks, text between them, CRLF, blocks of other kinds."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Final

_BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "
# OpenSSL writes the second one for certificates with trust settings after them, and once wrote the third.
_LABELS: Final = frozenset({b"CERTIFICATE", b"TRUSTED CERTIFICATE", b"X509 CERTIFICATE"})


def blocks(text: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield (label, content) of each block; the content is ``None`` if it is not base64. Linear in the text."""
    label: bytes | None = None
    lines: list[bytes] = []
    for line in text.replace(b"\r", b"\n").split(b"\n"):
        stripped = line.strip()
        if stripped.startswith(_BEGIN) and stripped.endswith(b"-----"):
            label, lines = stripped[len(_BEGIN) : -5], []
        elif label is not None and stripped.startswith(_END):
            try:
                yield label, binascii.a2b_base64(b"".join(lines), strict_mode=True)
            except binascii.Error:
                yield label, None
            label = None
        elif label is not None and b":" not in stripped:  # encrypted blocks begin with the headers of RFC 1421
            lines.append(b"".join(stripped.split()))


def certificates_in_pem(text: bytes) -> Iterator[bytes]:
    """Yield the DER of each certificate block that is base64; blocks of other kinds are skipped."""
    for label, content in blocks(text):
        if label in _LABELS and content:
            yield _first_element(content) if label.startswith(b"TRUSTED") else content


def _first_element(content: bytes) -> bytes:
    if len(content) > 4 and content[1] & 0x80 and content[1] & 0x7F <= 4:
        count = content[1] & 0x7F
        return content[: 2 + count + int.from_bytes(content[2 : 2 + count], "big")]
    return content
