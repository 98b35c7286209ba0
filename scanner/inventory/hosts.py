"""What a person writes for a host, a port or an address, and what is probed for it.

Everything here either returns the canonical form or raises ``Unusable`` with a sentence for the person who
wrote it. Nothing is guessed: what one program would read as one host and another as a second one is refused.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from scanner.text import printable, quoted, shorten

# RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters of text without the final dot.
MAX_NAME: Final = 253
MAX_LABEL: Final = 63

# A name in Unicode can only be that long and still fit MAX_NAME in its ASCII form after mapping (a mapping may
# shorten, seldom much); it bounds the work of IDNA on hostile cells.
MAX_UNICODE_NAME: Final = 1024

# Labels as they occur in the wild: letters, digits, hyphens anywhere, and the underscore, which no host name may
# have by RFC 952 but which resolves, gets certificates' wildcards and is served.
_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}", re.ASCII)
# A name in the very form that is probed, which no program reads as a number: its last label begins with a letter.
_PLAIN_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z][a-z0-9_-]{0,62}", re.ASCII)
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
# An IPv4 address in its canonical text, as nearly all are written; telling it so costs a twentieth of ``ipaddress``.
_PLAIN_QUAD: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
_DOTTED_QUAD: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}", re.ASCII)
# The URL standard's "ends in a number": such a host is an IPv4 address in some spelling, or nothing.
_NUMBER_LAST: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)

# Well-known prefix of RFC 6052 section 2.1, in which an IPv4 address may hide.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class Unusable(Exception):
    """A cell that cannot be used; ``reason`` is a sentence without a full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a packet to ``address`` would reach: IPv4-mapped (RFC 4291) or NAT64 (RFC 6052)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def read_address(text: str) -> str:
    """The canonical text of an IP address (RFC 5952), brackets allowed; an IPv4-mapped one is its IPv4 address."""
    if _PLAIN_QUAD.fullmatch(text) is not None:
        return text
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "%" in bare:
        raise Unusable(f"{quoted(text)} has a zone: a link-local address means a different host on every machine")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        if _DOTTED_QUAD.fullmatch(bare) and any(len(part) > 1 and part[0] == "0" for part in bare.split(".")):
            raise Unusable(
                f"{quoted(text)} has a number with a leading zero, which some programs read as octal"
            ) from None
        raise Unusable(f"{quoted(text)} is not an IP address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def read_name(text: str) -> str:
    """The lower-case A-label form of a host name without its final dot (IDNA 2008 with the mapping of UTS #46)."""
    if text.isascii():
        name = text.lower()
    else:
        name = _idna(text)
    if name.endswith("."):
        name = name[:-1]
    if len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None:
        return name
    raise Unusable(_what_is_wrong_with(name, text))


def read_host(text: str) -> tuple[str, bool]:
    """(canonical host, whether it is an IP address) for a host name or an IP address."""
    if _PLAIN_NAME.fullmatch(text) is not None and len(text) <= MAX_NAME:
        return text, False
    if ":" in text or text.startswith("["):
        return read_address(text), True
    name = read_name(text)
    if name[-1].isdigit() or ".0x" in name or name.startswith("0x"):
        if _DOTTED_QUAD.fullmatch(name):
            return read_address(name), True
        if _NUMBER_LAST.fullmatch(name):
            raise Unusable(
                f"{quoted(text)} ends in a number and is not an IPv4 address of four decimal parts:"
                " programs disagree on what it means"
            )
    return name, False


def read_port(text: str) -> int:
    """A TCP port from 1 to 65535; spreadsheets' ``443.0`` is 443."""
    digits = text[:-2] if text.endswith(".0") else text
    if digits.isascii() and digits.isdigit() and len(digits) <= 5:
        port = int(digits)
        if 1 <= port <= 65535:
            return port
    raise Unusable(f"port {quoted(text)} is not a number from 1 to 65535")


def split_host_port(text: str) -> tuple[str, str | None]:
    """(host, port or ``None``) of ``host``, ``host:port``, ``[v6]``, ``[v6]:port`` or a bare IPv6 address."""
    if text.startswith("["):
        closing = text.find("]")
        if closing < 0:
            raise Unusable(f"{quoted(text)} opens a bracket and never closes it")
        rest = text[closing + 1 :]
        if not rest:
            return text, None
        if rest[0] != ":":
            raise Unusable(f"{quoted(text)} goes on after the bracket with something that is no port")
        return text[: closing + 1], rest[1:]
    colons = text.count(":")
    if colons == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


def _idna(text: str) -> str:
    if len(text) > MAX_UNICODE_NAME:
        raise Unusable(f"{quoted(text)} is longer than a host name can be")
    import idna

    labels = []
    try:
        for label in idna.uts46_remap(text, std3_rules=False, transitional=False).split("."):
            labels.append(label if label.isascii() else idna.alabel(label).decode("ascii"))
    except (idna.IDNAError, UnicodeError) as error:
        detail = shorten(printable(str(error)), 120)
        raise Unusable(f"{quoted(text)} is not a name that IDNA 2008 allows ({detail})") from None
    return ".".join(labels)


def _what_is_wrong_with(name: str, text: str) -> str:
    """The most helpful thing to say about a name that is none."""
    shown = quoted(text)
    if not name:
        return "the host is empty"
    if any(not character.isprintable() for character in text):
        return f"{shown} contains a control or invisible character"
    if name.startswith("*.") or name == "*":
        return f"{shown} is a pattern, not a host: name a host that it stands for"
    if "@" in name:
        return f"{shown} is an e-mail address or has a user name: give the host alone"
    if "/" in name:
        return f"{shown} is a network or a path, not a host: networks are not expanded"
    if any(character.isspace() for character in name):
        return f"{shown} contains a space"
    if any(not label for label in name.split(".")):
        return f"{shown} has an empty label"
    if any(len(label) > MAX_LABEL for label in name.split(".")):
        return f"{shown} has a label of more than {MAX_LABEL} characters"
    if len(name) > MAX_NAME:
        return f"{shown} is longer than the {MAX_NAME} characters of a host name"
    strange = next((c for c in name if _NAME.fullmatch(c) is None and c != "."), "")
    return f"{shown} contains {quoted(strange)}, which no host name has"
