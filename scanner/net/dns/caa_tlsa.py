"""CAA and TLSA records from their octets. Pure.

The general codec refuses a whole answer for one record of these types that breaks a rule. Here the rest is kept: what such
a record means to a client is decided by the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class CaaAnswer(NamedTuple):
    """The relevant CAA set (RFC 8659 section 3) as (flags, tag, value), and the name that it belongs to.

    ``records`` is empty where no ancestor has any, ``None`` where a name could not be asked for.
    """

    records: tuple[tuple[int, str, str], ...] | None
    owner: str | None


class TlsaAnswer(NamedTuple):
    """TLSA records (RFC 6698): usage, selector, matching type, data; ``None`` if unknown, to be used only if ``authenticated``."""

    records: tuple[tuple[int, int, int, bytes], ...] | None
    authenticated: bool


def caa_set_untrusted(records: Iterable[bytes]) -> tuple[tuple[int, str, str], ...] | None:
    """Return the records of a set, or ``None`` if one is unreadable, since it could be the one that forbids. Never raises."""
    found = [_caa_untrusted(data) for data in records]
    return None if None in found else tuple(record for record in found if record is not None)


def tlsa_set_untrusted(records: Iterable[bytes]) -> tuple[tuple[int, int, int, bytes], ...]:
    """Return the records of a set without those that are too short (unusable, RFC 6698 section 4). Never raises."""
    return tuple((data[0], data[1], data[2], data[3:]) for data in records if len(data) >= 3)


def _caa_untrusted(data: bytes) -> tuple[int, str, str] | None:
    """Return flags, tag and value of a CAA record (RFC 8659 section 4.1); ``None`` where the data is malformed."""
    if len(data) < 2 or data[1] == 0 or len(data) < 2 + data[1]:
        return None
    return data[0], _printable(data[2 : 2 + data[1]]), _printable(data[2 + data[1] :])


def _printable(octets: bytes) -> str:
    """Return the octets of a DNS string as text, anything but printable ASCII as ``\\DDD`` (RFC 1035 section 5.1)."""
    return "".join(chr(o) if 0x20 <= o < 0x7F and o != 0x5C else "\\\\" if o == 0x5C else f"\\{o:03d}" for o in octets)
