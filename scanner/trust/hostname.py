"""Matches a certificate against a host name or address (RFC 9525), as browsers, Go and OpenSSL agree.

A dNSName matches label by label without regard to case; ``*`` matches exactly one label, only as the whole leftmost
one, and only before at least two further labels (OpenSSL and curl refuse ``*.com``). An iPAddress matches byte for
byte. The common name never matches; it is compared only to report that it would have matched.

Where they disagree, the verdict names the clients for which the name does not match. Seen with the versions that
``docs/clients.md`` names: OpenSSL and Python take no wildcard in a name with underscores, Chrome none directly below a
public suffix (net/cert/x509_certificate.cc), Go and Java take one below a top-level domain, and an IPv4 address that
the certificate has as an IPv4-mapped IPv6 address. A wildcard that is a part of the first label matches for Java,
Node and, at its start or end, for the openssl program.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections.abc import Collection, Sequence
from typing import Final

from msgspec.structs import replace

from scanner.public_suffixes import is_public_suffix
from scanner.trust.verdicts import NameVerdict
from scanner.x509.certificate import Certificate
from scanner.x509.extensions import SUBJECT_ALT_NAME

# Names that a person is shown to see a typing error or a wrong host.
NEAREST_SHOWN: Final = 5
# Certificates with more names are hostile; the nearest ones are found among these.
NEAREST_EXAMINED: Final = 4000
# A host name has at most 253 characters; longer ones cannot match, and are cut to be shown.
LONGEST_SHOWN: Final = 255

_CLIENTS: Final = ("openssl", "curl", "python", "node", "go", "java", "chrome", "firefox", "gnutls")
# The prefix of IPv4-mapped addresses (RFC 4291 section 2.5.5.2)
_MAPPED: Final = bytes(10) + b"\xff\xff"
# Why a name does not match for some clients
_UNDERSCORE: Final = "a wildcard would have to match a name with an underscore"
_PUBLIC_SUFFIX: Final = "its wildcard is directly below a public suffix"
_ODD_WILDCARD: Final = "its wildcard is not the whole first label of a name in a registered domain"
_AS_MAPPED: Final = "the certificate has the address as an IPv4-mapped IPv6 address"


def entry_for(presented: tuple[str, ...], name: str) -> str | None:
    """Return the lower-case entry of ``presented`` that matches a host name, itself or as a wildcard.

    Nearly all names that match are found here; ``None`` only means that ``match_name`` must be asked. Not for IP
    addresses.
    """
    wanted = name.lower()
    if wanted[-1:] == ".":
        wanted = wanted[:-1]
    if wanted in presented:
        return wanted
    label, _, parent = wanted.partition(".")
    if label and "." in parent:
        star = f"*.{parent}"
        if star in presented:
            return star
    return None


def matched(certificate: Certificate, entry: str) -> NameVerdict:
    """Return the verdict on all names that this entry of the certificate matches."""
    verdict = NameVerdict(True, None, entry, (), len(certificate.san), certificate.common_name)
    if entry[:2] == "*." and is_public_suffix(entry[2:]):
        return replace(verdict, code="name-not-in-san", refused_by=("chrome",), reason=_PUBLIC_SUFFIX)
    return verdict


def match_name(certificate: Certificate, name: str) -> NameVerdict:
    """Match ``name`` (an A-label host name or the text of an IP address) against subjectAltName."""
    if ":" in name or name[-1:].isdigit():  # no other text is an address; parsing each name as one takes 8 microseconds
        try:
            return _match_address(certificate, name, ipaddress.ip_address(name).packed)
        except ValueError:
            pass
    presented = certificate.dns_names
    found = entry_for(presented, name)
    if found is not None:
        return _matched_by_most(certificate, found, name)
    wanted = name.lower().removesuffix(".")
    label, _, parent = wanted.partition(".")
    star = f"*.{parent}" if label and "." in parent else None
    if certificate.names.cut:
        san = (certificate.extension(SUBJECT_ALT_NAME) or b"").lower()
        for entry in (wanted, star):
            # search the names that were not read for the encoding of this one
            if entry is None or len(entry) > 127:
                continue
            if (b"\x82%c" % len(entry) + entry.encode("ascii", "replace")).lower() in san:
                return matched(certificate, entry)
    deeper = False
    for entry in presented:
        lowered = entry.lower()
        if lowered == wanted or lowered == star:
            return _matched_by_most(certificate, entry, wanted)
        if lowered.startswith("*.") and "." in lowered[2:]:
            deeper = deeper or wanted == lowered[2:] or wanted.endswith(lowered[1:])
    odd = _odd_wildcard(certificate, wanted)
    if odd is not None:
        return odd
    if deeper:
        code = "wildcard-depth"
    elif not certificate.san and _common_name_matches(certificate, wanted, star):
        code = "common-name-only"
    else:
        code = "name-not-in-san"
    return _mismatch(certificate, code, wanted)


def _match_address(certificate: Certificate, name: str, address: bytes) -> NameVerdict:
    encoded = b"\x87%c" % len(address) + address
    if address in certificate.ip_addresses or (
        certificate.names.cut and encoded in (certificate.extension(SUBJECT_ALT_NAME) or b"")
    ):
        return matched(certificate, name)
    mapped = _MAPPED + address
    if mapped in certificate.ip_addresses:
        otherwise = _mismatch(certificate, "name-not-in-san", name)
        return replace(otherwise, refused_by=_all_but({"go", "java"}), reason=_AS_MAPPED)
    only_common_name = not certificate.san and certificate.common_name == name
    return _mismatch(certificate, "common-name-only" if only_common_name else "name-not-in-san", name)


def _matched_by_most(certificate: Certificate, entry: str, name: str) -> NameVerdict:
    """Return the verdict on a name that an entry matches, though perhaps not for every client."""
    verdict = matched(certificate, entry)
    if "_" not in name or not entry.startswith("*."):
        return verdict
    clients = ("openssl", "python", *verdict.refused_by)
    return replace(verdict, code="name-not-in-san", refused_by=clients, reason=_UNDERSCORE)


def _all_but(clients: Collection[str]) -> tuple[str, ...]:
    return tuple([client for client in _CLIENTS if client not in clients])


def _odd_wildcard(certificate: Certificate, wanted: str) -> NameVerdict | None:
    """Return the verdict on a name that an entry with a wildcard matches for some clients only; ``None`` if none does."""
    labels = wanted.split(".")
    accepting: set[str] = set()
    for entry in certificate.dns_names[:NEAREST_EXAMINED]:
        if "*" in entry and len(entry) <= LONGEST_SHOWN and entry.count(".") == len(labels) - 1:
            accepting |= _accepting(entry.lower().split("."), labels)
    if not accepting:
        return None
    verdict = _mismatch(certificate, "name-not-in-san", wanted)
    return replace(verdict, refused_by=_all_but(accepting), reason=_ODD_WILDCARD)


def _accepting(pattern: Sequence[str], labels: Sequence[str]) -> set[str]:
    """Return the clients that take the labels of a host name for those of this pattern."""
    pairs = zip(pattern, labels, strict=True)
    first, rest = pattern[0], pattern[1:]
    if not rest or "*" in "".join(rest) or not all(label and _matches_label(part, label) for part, label in pairs):
        return set()
    accepting = {"java"}  # it takes any wildcards of the first label (sun.security.util.HostnameChecker)
    if first.count("*") != 1:
        return accepting
    if first == "*":
        # of a top-level domain, or it would have matched
        return accepting | {"go"} if len(rest) == 1 else accepting
    if first.startswith("xn--") or labels[0].startswith("xn--") or len(rest) < 2:
        return accepting
    accepting.add("node")
    if first[0] == "*" or first[-1] == "*":
        accepting.add("openssl")  # its program; Python forbids it to
    if first[0] == "*":
        accepting.add("gnutls")
    return accepting


def _matches_label(part: str, label: str) -> bool:
    """Return whether a label is this one, whose asterisks stand for any characters."""
    if "*" not in part:
        return part == label
    start, *middle, end = part.split("*")
    if len(label) < len(start) + len(end) or not label.startswith(start) or not label.endswith(end):
        return False
    at, stop = len(start), len(label) - len(end)
    for piece in middle:
        found = label.find(piece, at, stop)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _common_name_matches(certificate: Certificate, wanted: str, star: str | None) -> bool:
    common_name = certificate.common_name
    return common_name is not None and common_name.lower() in (wanted, star)


def _mismatch(certificate: Certificate, code: str, wanted: str) -> NameVerdict:
    return NameVerdict(
        False,
        code,
        nearest=nearest_names(certificate.san, wanted),
        names=len(certificate.san),
        common_name=certificate.common_name,
    )


def nearest_names(names: tuple[str, ...], wanted: str) -> tuple[str, ...]:
    """Return the few names most similar to ``wanted``, the best first, in linear time."""
    examined = dict.fromkeys(name[:LONGEST_SHOWN] for name in names[:NEAREST_EXAMINED])
    labels = wanted.split(".")
    return tuple(heapq.nlargest(NEAREST_SHOWN, examined, key=lambda name: _likeness(name.lower(), wanted, labels)))


def _likeness(name: str, wanted: str, labels: list[str]) -> tuple[int, int]:
    """Sort key: equal labels from the right (a wrong host), then equal characters at both ends (a typing error)."""
    shared = 0
    for ours, theirs in zip(reversed(name.split(".")), reversed(labels), strict=False):
        if ours != theirs:
            break
        shared += 1
    shorter = min(len(name), len(wanted))
    front = _shared_front(name, wanted, shorter)
    back = _shared_front(name[::-1], wanted[::-1], shorter - front)
    return (shared if shared > 1 else 0), front + back


def _shared_front(one: str, other: str, most: int) -> int:
    """Return the length of the common prefix, at most ``most``, by bisection, since names may be long and similar."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
