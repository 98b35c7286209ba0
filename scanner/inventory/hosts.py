"""Parses hosts, ports and IP addresses as people write them into their canonical form.

Every function returns the canonical form or raises ``Unusable`` with a sentence for the person who wrote the text.
Ambiguous spellings, which programs resolve to different hosts, are refused rather than guessed.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from scanner.text import printable, quoted, shorten

# RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters of text without the final dot.
MAX_NAME: Final = 253
MAX_LABEL: Final = 63

# Bounds the work of IDNA on hostile cells. A longer Unicode name hardly ever fits MAX_NAME in its ASCII form: the
# mapping may shorten a name, but seldom by much.
MAX_UNICODE_NAME: Final = 1024

# Labels as they occur in the wild: letters, digits, hyphens anywhere, and the underscore, which RFC 952 forbids but
# which resolves, is covered by wildcard certificates and is served.
_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}", re.ASCII)
# A name that is already canonical and cannot be read as a number, since its last label begins with a letter.
_CANONICAL_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z][a-z0-9_-]{0,62}", re.ASCII)
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
# An IPv4 address in canonical form, as nearly all are written. Matching it costs a twentieth of ``ipaddress``.
_CANONICAL_IPV4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
_DOTTED_QUAD: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}", re.ASCII)
# The URL standard's "ends in a number" check: such a host is an IPv4 address in some spelling, or invalid.
_ENDS_IN_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)

# The well-known NAT64 prefix (RFC 6052 section 2.1), whose last 32 bits are an IPv4 address.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class Unusable(Exception):
    """A value that cannot be used; ``reason`` is a sentence without a full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that ``address`` embeds, IPv4-mapped (RFC 4291) or NAT64 (RFC 6052), or ``None``."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def parse_address(text: str) -> str:
    """Return the canonical text of an IP address (RFC 5952), with or without brackets.

    An IPv4-mapped IPv6 address becomes its IPv4 address.
    """
    if _CANONICAL_IPV4.fullmatch(text) is not None:
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


def parse_name(text: str) -> str:
    """Return a host name as lower-case A-labels without a final dot (IDNA 2008 with the mapping of UTS #46)."""
    name = (text.lower() if text.isascii() else _idna(text)).removesuffix(".")
    if len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None:
        return name
    raise Unusable(_reason_for_refusal(name, text))


def parse_host(text: str) -> tuple[str, bool]:
    """Parse a host name or an IP address; return its canonical form and whether it is an IP address."""
    if _CANONICAL_NAME.fullmatch(text) is not None and len(text) <= MAX_NAME:
        return text, False
    if ":" in text or text.startswith("["):
        return parse_address(text), True
    name = parse_name(text)
    if name[-1].isdigit() or ".0x" in name or name.startswith("0x"):
        if _DOTTED_QUAD.fullmatch(name):
            return parse_address(name), True
        if _ENDS_IN_NUMBER.fullmatch(name):
            raise Unusable(
                f"{quoted(text)} ends in a number and is not an IPv4 address of four decimal parts:"
                " programs disagree on what it means"
            )
    return name, False


def parse_port(text: str) -> int:
    """Parse a TCP port from 1 to 65535. Spreadsheets write ``443.0`` for 443, port scanners ``443/tcp``."""
    digits = text[:-2] if text.endswith(".0") else text.lower().removesuffix("/tcp").removeprefix("tcp/")
    if digits.isascii() and digits.isdigit() and len(digits) <= 5:
        port = int(digits)
        if 1 <= port <= 65535:
            return port
    raise Unusable(f"port {quoted(text)} is not a number from 1 to 65535")


def split_host_port(text: str) -> tuple[str, str | None]:
    """Split ``host``, ``host:port``, ``[v6]``, ``[v6]:port`` or a bare IPv6 address into host and port (or ``None``)."""
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


def _reason_for_refusal(name: str, text: str) -> str:
    """Return the most helpful reason why ``name`` is not a host name; ``text`` is how it was written."""
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
