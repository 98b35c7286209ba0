"""Distinguished names (X.501) as RFC 4514 text, exact and valid whatever the bytes are.

A value whose bytes are not valid in the string type that it claims is written in the ``#hex`` form of RFC 4514
section 2.4, so that the text is always valid Unicode and nothing of the certificate is lost or invented.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.x509 import der, malformations

# Names up to this size are memoised, which takes less than 4 MB; longer ones are decoded each time.
CACHED_NAME_BYTES: Final = 512
CACHED_NAMES: Final = 4096
# The DER of a Name without attributes
EMPTY_NAME: Final = b"\x30\x00"
# A name with more attributes is shown as hex: real ones have up to some twenty.
MAX_ATTRIBUTES: Final = 64

_SHORT: Final = {
    der.encoded_oid(dotted): short
    for dotted, short in {
        "2.5.4.3": "CN",
        "2.5.4.4": "SN",
        "2.5.4.5": "serialNumber",
        "2.5.4.6": "C",
        "2.5.4.7": "L",
        "2.5.4.8": "ST",
        "2.5.4.9": "STREET",
        "2.5.4.10": "O",
        "2.5.4.11": "OU",
        "2.5.4.12": "title",
        "2.5.4.15": "businessCategory",
        "2.5.4.17": "postalCode",
        "2.5.4.42": "GN",
        "2.5.4.46": "dnQualifier",
        "2.5.4.97": "organizationIdentifier",
        "0.9.2342.19200300.100.1.1": "UID",
        "0.9.2342.19200300.100.1.25": "DC",
        "1.2.840.113549.1.9.1": "emailAddress",
    }.items()
}

_ENCODING: Final = {
    der.UTF8_STRING: "utf-8",
    0x12: "ascii",  # NumericString
    der.PRINTABLE_STRING: "ascii",
    der.TELETEX_STRING: "latin-1",  # in name T.61, in practice Latin-1, as every client reads it
    der.IA5_STRING: "ascii",
    0x1A: "ascii",  # VisibleString
    der.UNIVERSAL_STRING: "utf-32-be",
    der.BMP_STRING: "utf-16-be",
}

_ESCAPED: Final = str.maketrans({character: "\\" + character for character in '"+,;<>\\'} | {"\0": "\\00"})


class NameText(Struct, frozen=True):
    """A decoded distinguished name: (short name or dotted OID, value) in their order; ``common_name`` is the last CN."""

    text: str
    attributes: tuple[tuple[str, str], ...]
    flaw: str | None = None
    common_name: str | None = None

    def first(self, kind: str) -> str | None:
        """Return the first value of an attribute type, for example ``CN``."""
        return next((value for name, value in self.attributes if name == kind), None)

    def last(self, kind: str) -> str | None:
        """Return the last, most specific value of an attribute type."""
        return next((value for name, value in reversed(self.attributes) if name == kind), None)


def _escape(value: str) -> str:
    escaped = value.translate(_ESCAPED)
    if escaped[:1] in (" ", "#"):
        escaped = "\\" + escaped
    if value.endswith(" ") and len(value) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped


def _decode(tag: int, content: bytes) -> str | None:
    encoding = _ENCODING.get(tag)
    if encoding is None:
        return None
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _string_flaw(tag: int, content: bytes, value: str | None) -> str | None:
    """Return what clients refuse in the value of an attribute, whose text is ``value`` if it has one."""
    if tag == der.PRINTABLE_STRING:
        if content.translate(None, _PRINTABLE):
            return malformations.WRONG_STRING
        return malformations.AMPERSAND if b"&" in content else None
    if tag in (der.UTF8_STRING, der.BMP_STRING):
        return malformations.WRONG_ENCODING if value is None else None
    if tag == der.IA5_STRING:
        return malformations.WRONG_STRING if value is None else None
    if tag == der.UNIVERSAL_STRING:
        return malformations.WRONG_ENCODING if value is None else f"is {malformations.UNIVERSAL_STRING}"
    if tag == _NUMERIC_STRING:
        return malformations.WRONG_DIGITS if content.translate(None, b"0123456789 ") else None
    if tag == der.TELETEX_STRING:
        return None
    return malformations.OTHER_TYPE if tag in (der.BIT_STRING, der.SEQUENCE) else malformations.NO_STRING


_NUMERIC_STRING: Final = 0x12
# X.680 section 41.4, with what Go takes beside it: wildcards and the ampersands of some CAs
_PRINTABLE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?*&"


# The places and organisations of a fleet: 400 bytes each. A memo of whole names is of no use for subjects that differ
# in their CN; with this one a subject of five attributes takes 4 microseconds instead of 8.
@bounded_memo(1024, 127)
def _relative_untrusted(content: bytes) -> tuple[str, tuple[tuple[str, str], ...], str | None]:
    """Decode the content of a RelativeDistinguishedName: (text, attributes, flaw)."""
    attributes: list[tuple[str, str]] = []
    parts: list[str] = []
    flaw = None
    for inner, at, end in der.children_untrusted(content, 0, len(content))[: MAX_ATTRIBUTES + 1]:
        if inner != der.SEQUENCE:
            raise der.DerError("name: an attribute that is not a sequence")
        oid_start, oid_stop = der.expect_untrusted(content, at, end, der.OID, "name: attribute type")
        value_tag, value_start, value_stop = der.header_untrusted(content, oid_stop, end)
        if value_stop != end:
            flaw = f"name: {malformations.SECOND_VALUE}"
        oid = content[oid_start:oid_stop]
        kind = _SHORT.get(oid) or der.oid_untrusted(oid)
        value = _decode(value_tag, content[value_start:value_stop])
        if value is None:
            raw = "#" + content[oid_stop:value_stop].hex()
            attributes.append((kind, raw))
            parts.append(f"{kind}={raw}")
        else:
            attributes.append((kind, value))
            parts.append(f"{kind}={_escape(value)}")
        fault = _string_flaw(value_tag, content[value_start:value_stop], value)
        if fault is not None:
            flaw = f"name: {kind} {fault}"
    return "+".join(parts), tuple(attributes), flaw


def _read_untrusted(name: bytes) -> NameText:
    attributes: list[tuple[str, str]] = []
    written: list[str] = []
    flaw = None
    start, stop = der.whole_untrusted(name, der.SEQUENCE, "name")
    for tag, rdn_start, rdn_stop in der.children_untrusted(name, start, stop):
        if tag != der.SET:
            raise der.DerError("name: a relative name that is not a set of attributes")
        if rdn_start == rdn_stop:
            flaw = f"name: {malformations.EMPTY_PART}"
            continue
        text, found, wrong = _relative_untrusted(name[rdn_start:rdn_stop])
        attributes += found
        written.append(text)
        flaw = wrong or flaw
        if len(attributes) > MAX_ATTRIBUTES:
            return NameText("#" + name.hex(), ())
    written.reverse()
    return NameText(",".join(written), tuple(attributes), flaw, dict(attributes).get("CN"))


def _name_text(name: bytes) -> NameText:
    try:
        return _read_untrusted(name)
    except der.DerError as error:
        return NameText("#" + name.hex(), (), str(error))


# ``name_text`` for names that are known to have at most CACHED_NAME_BYTES.
short_name_text: Final = bounded_memo(CACHED_NAMES, None)(_name_text)


def name_text(name: bytes) -> NameText:
    """Decode the DER of a Name. Never fails: a name that cannot be read is its own hex, and ``flaw`` says why."""
    return short_name_text(name) if len(name) <= CACHED_NAME_BYTES else _name_text(name)


# A name for comparison (RFC 5280 section 7.1): relative names of (type, value); ``None``: it cannot be read
Normalised: TypeAlias = "tuple[tuple[tuple[str, str], ...], ...] | None"


# Names under a directoryName constraint, and issuers that are not found: few, 5 microseconds each.
@bounded_memo(256, CACHED_NAME_BYTES)
def normalised(name: bytes) -> Normalised:
    """Decode a Name for comparison, without regard to case, repeated spaces and string types."""
    try:
        found = []
        start, stop = der.whole_untrusted(name, der.SEQUENCE, "name")
        for _, rdn_start, rdn_stop in der.children_untrusted(name, start, stop):
            parts = []
            for _, at, end in der.children_untrusted(name, rdn_start, rdn_stop):
                oid_start, oid_stop = der.expect_untrusted(name, at, end, der.OID, "name: attribute type")
                tag, value_start, value_stop = der.header_untrusted(name, oid_stop, end)
                value = _decode(tag, name[value_start:value_stop])
                if value is None:
                    text = f"#{tag:02x}" + name[value_start:value_stop].hex()
                else:
                    text = value.strip(" ").casefold()
                    while "  " in text:
                        text = text.replace("  ", " ")
                parts.append((name[oid_start:oid_stop].hex(), text))
            if len(parts) > 1:
                parts.sort()
            found.append(tuple(parts))
        return tuple(found)
    except der.DerError:
        return None


def comparable(name: bytes) -> object:
    """Return a key that is equal for two names which clients that do not compare bytes take for one."""
    return normalised(name) or name
