"""Names on the wire (RFC 1035 section 3.1): text to octets, and the octets of a message to text. Pure.

As text a name is in lower case and without a final dot.
"""

from __future__ import annotations

import re
from typing import Final

# RFC 1035 section 3.1: a name has at most 255 octets on the wire.
MAX_NAME_WIRE: Final = 255
_LABEL_SIZES: Final = [bytes((size,)) for size in range(64)]

# Names of hosts, services and wildcards as they are seen in practice; any other octet is for the general codec.
_PLAIN_NAME = re.compile(rb"[a-z0-9_*-]{1,63}(?:\.[a-z0-9_*-]{1,63})*", re.ASCII)


class NameNotEncodable(Exception):
    """The text is not a domain name that a question could carry. The message is for a person."""


class UnusualName(Exception):
    """The octets are not a name, or one that the general codec has to read."""


def encode_name(name: str) -> bytes:
    """Return the uncompressed wire form of a plain name (letters, digits, ``-``, ``_``, ``*``). Raises :class:`NameNotEncodable`."""
    try:
        text = name.encode("ascii").lower()
    except UnicodeEncodeError:
        raise NameNotEncodable("the name has characters outside ASCII; it must be given as A-labels") from None
    if len(text) > MAX_NAME_WIRE - 2:
        raise NameNotEncodable(f"the name has {len(text)} characters, more than the 253 that DNS can carry")
    if _PLAIN_NAME.fullmatch(text) is None:
        raise NameNotEncodable(_what_is_wrong(text))
    wire = b""
    for label in text.split(b"."):
        wire += _LABEL_SIZES[len(label)] + label
    return wire + b"\0"


def _what_is_wrong(text: bytes) -> str:
    labels = text.split(b".")
    if not all(labels):
        return "the name has an empty label"
    if any(len(label) > 63 for label in labels):
        return "the name has a label of more than 63 characters"
    return "the name has characters that no host name has"


def skip_name_untrusted(data: bytes, position: int) -> int:
    """Return the offset after the name at ``position``; pointers are not followed, so at most 255 octets are read."""
    try:
        limit = position + MAX_NAME_WIRE
        while position < limit:
            size = data[position]
            if size == 0:
                return position + 1
            if size >= 0xC0:
                data[position + 1]  # the second octet has to be there
                return position + 2
            if size > 63:
                raise UnusualName
            position += size + 1
        raise UnusualName
    except IndexError:
        raise UnusualName from None


def read_name_untrusted(data: bytes, position: int) -> tuple[str, int]:
    """Return the name at ``position`` in lower case, and the offset after it.

    Pointers may only go back behind everything read so far (RFC 1035 section 4.1.4 says "a prior occurrence"), which
    makes a loop impossible; length and labels are bounded beside that.
    """
    try:
        labels: list[bytes] = []
        total = 1
        after = -1
        barrier = position
        while True:
            size = data[position]
            if size == 0:
                break
            if size >= 0xC0:
                target = (size & 0x3F) << 8 | data[position + 1]
                if after < 0:
                    after = position + 2
                if target >= barrier:
                    raise UnusualName
                position = barrier = target
                continue
            if size > 63:
                raise UnusualName
            following = position + 1 + size
            label = data[position + 1 : following]
            total += size + 1
            if len(label) != size or total > MAX_NAME_WIRE:
                raise UnusualName
            labels.append(label)
            position = following
        if after < 0:
            after = position + 1
        text = b".".join(labels).lower()
        # A dot inside a label would read as two labels: counting shows it without looking at each label.
        if _PLAIN_NAME.fullmatch(text) is None or text.count(b".") != len(labels) - 1:
            raise UnusualName
        return text.decode("ascii"), after
    except IndexError:
        raise UnusualName from None
