"""Name constraints (RFC 5280 section 4.2.1.10): which names the certificates below a CA may have.

The rules: every name of a certificate below must be within some permitted subtree of its type, if there is one, and
within no excluded subtree. dNSName, iPAddress, directoryName, rfc822Name and uniformResourceIdentifier are
understood; a constraint of any other type, or one with a minimum or maximum, refuses the certificates that have a
name of that type, as RFC 5280 demands where an implementation cannot tell. Details that clients agree on and RFC 5280
does not have: a leading dot in a dNSName means subdomains only, and an excluded domain also excludes a wildcard that
would cover it.

The problem is not the rules but their cost. Compared one by one, names times constraints is a product, which two
certificates of 100 kB make as large as 10^7, and each path through the CA would pay it again. So constraints become
tables (``Subtrees``) in which a name is looked up: domains are sets, asked for each suffix of a name; networks are
merged into intervals and bisected; distinguished names are a tree of relative names. The names of a certificate are
prepared once for all CAs above it (``ConstrainedNames``). A check then costs names plus constraints, and the steps
that it is charged (``trust.step_budget``) are known beforehand from sizes alone.
``tests/x509/test_name_constraints.py`` counts look-ups.

Extensions of more than ``READ_AT_ONCE`` bytes are read only when a path leads through their CA, after they were
charged: a chain may carry a hundred such CAs that no path uses. OpenSSL and GnuTLS refuse a product of more than
2^20, whatever the names are; ``trust.certificate_rules`` reports that before anything is compared.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from scanner.x509 import der, malformations
from scanner.x509.distinguished import EMPTY_NAME, name_text, normalised
from scanner.x509.extensions import GeneralNames
from scanner.x509.subtrees import DIRECTORY, DNS, EMAIL, IP, URI, Subtrees

# A URI or mailbox of more characters has a host of more than the 253 that exist, or is hostile.
MAX_TEXT: Final = 4096
# Bytes of constraints that are read with the certificate: some 1 ms in a chain of a hundred.
READ_AT_ONCE: Final = 512
# Subtrees read of one certificate: the longest lists of real CAs have some hundreds.
MAX_SUBTREES: Final = 4096

_NAMES: Final = {
    0xA0: "otherName",
    EMAIL: "rfc822Name",
    DNS: "dNSName",
    0xA3: "x400Address",
    DIRECTORY: "directoryName",
    0xA5: "ediPartyName",
    URI: "uniformResourceIdentifier",
    IP: "iPAddress",
    0x88: "registeredID",
}


class ConstrainedNames:
    """The names of one certificate, prepared for checks against the constraints of any number of CAs."""

    __slots__ = ("addresses", "directories", "dns", "steps", "texts", "types")

    def __init__(self, names: GeneralNames, subject: bytes, size: int) -> None:
        """``names`` is subjectAltName, of ``size`` bytes; ``subject`` is the DER of a Name."""
        self.dns = [(name, lowered, _is_host_name(lowered)) for name in names.dns for lowered in (name.lower(),)]
        self.addresses = names.ips
        directories = [content for tag, content in names.others if tag == DIRECTORY]
        if subject != EMPTY_NAME:
            directories.append(subject)
        # each distinct one once
        self.directories = [normalised(content) for content in dict.fromkeys(directories)]
        self.texts: list[tuple[int, str]] = []
        self.types: list[int] = []  # of names of all other types
        for tag, content in names.others:
            if tag in (EMAIL, URI):
                self.texts.append((tag, content.decode("utf-8", "backslashreplace")))
            elif tag != DIRECTORY:
                self.types.append(tag)
        self.texts += [(EMAIL, value) for kind, value in name_text(subject).attributes if kind == "emailAddress"]
        # the cost of a check, in steps of ``scanner.trust.step_budget``: a name is looked up label by label
        self.steps = 2 + (len(self.dns) + len(self.addresses) + len(self.directories) + len(self.texts)) * 2 + size // 8


def steps_to_read_names(names: GeneralNames, subject: bytes, size: int) -> int:
    """Return the cost of making ``ConstrainedNames`` of these, in steps of ``scanner.trust.step_budget``."""
    return 4 + 2 * len(names.dns) + size // (2 if names.others else 16) + len(subject) // 2


class NameConstraints:
    """The constraints of one CA certificate."""

    __slots__ = ("_unread", "critical", "cut", "excluded", "permitted", "size")

    def __init__(self) -> None:
        self.critical = True
        self.permitted = Subtrees()
        self.excluded = Subtrees()
        self.size = 0  # bytes of the extension
        self.cut = False  # there are more than MAX_SUBTREES, or they are malformed
        self._unread: bytes | None = None

    @property
    def count(self) -> int:
        """The number of subtrees, permitted and excluded."""
        return self.permitted.count + self.excluded.count

    @property
    def steps(self) -> int:
        """The cost of making the tables, in steps of ``scanner.trust.step_budget``."""
        return 4 + self.size // 2

    @property
    def unusual(self) -> tuple[str, ...]:
        """The types of constrained names other than DNS names, addresses, mailboxes and URIs."""
        types = self.permitted.others | self.excluded.others
        if self.permitted.directories or self.excluded.directories:
            types = types | {DIRECTORY}
        return tuple(_NAMES.get(tag, "a name of another type") for tag in sorted(types))

    @classmethod
    def read_untrusted(cls, value: bytes) -> NameConstraints:
        """Read the content of the extension; a long one is kept for ``load``. Raises only ``DerError``."""
        constraints = cls()
        constraints.size = len(value)
        if len(value) > READ_AT_ONCE:
            constraints._unread = value
        else:
            constraints._read_untrusted(value)
        return constraints

    def load(self) -> str | None:
        """Read a long extension; return what is malformed in it, in words."""
        value = self._unread
        if value is not None:
            self._unread = None
            try:
                self._read_untrusted(value)
            except der.DerError as error:
                self.cut = True
                return str(error)
        return None

    def _read_untrusted(self, value: bytes) -> None:
        start, stop = der.whole_untrusted(value, der.SEQUENCE, "nameConstraints")
        for tag, at, end in der.children_untrusted(value, start, stop):
            if tag == 0xA0:
                self.cut |= _read_subtrees_untrusted(value, at, end, self.permitted)
            elif tag == 0xA1:
                self.cut |= _read_subtrees_untrusted(value, at, end, self.excluded)
            else:
                raise der.DerError("nameConstraints: neither permitted nor excluded")
        if not self.permitted.count and not self.excluded.count:
            raise der.DerError(malformations.EMPTY_CONSTRAINTS)

    def violation(self, names: ConstrainedNames) -> str | None:
        """Return the first of ``names`` that is not allowed, in words; ``None`` if all are."""
        permitted, excluded = self.permitted, self.excluded
        bounded = permitted.bounded | excluded.bounded
        if names.dns and (permitted.has(DNS) or excluded.has(DNS)):
            if DNS in bounded:
                return "dNSName under a constraint with a minimum or maximum"
            for name, lowered, is_host_name in names.dns:
                broken = self._dns_violation(name, lowered, is_host_name=is_host_name)
                if broken:
                    return broken
        permits, excludes = permitted.has(IP), excluded.has(IP)
        for address in names.addresses if permits or excludes else ():
            if (excludes and excluded.holds_address(address)) or (permits and not permitted.holds_address(address)):
                return f"iPAddress {ipaddress.ip_address(address)}"
        if IP in bounded and names.addresses:
            return "iPAddress under a constraint with a minimum or maximum"
        permits, excludes = permitted.has(DIRECTORY), excluded.has(DIRECTORY)
        for directory in names.directories if permits or excludes else ():
            if (excludes and excluded.holds_directory(directory)) or (
                permits and not permitted.holds_directory(directory)
            ):
                return "directoryName"
        for tag in names.types:
            if permitted.has(tag) or excluded.has(tag):
                return f"{_NAMES.get(tag, 'a name')} under a constraint of a type that is not understood"
        return self._text_violation(names, bounded)

    def _dns_violation(self, name: str, lowered: str, *, is_host_name: bool) -> str | None:
        permitted, excluded = self.permitted, self.excluded
        if not is_host_name:
            return f"dNSName {name[:255]}, which is no host name"
        if excluded.holds_dns(lowered) or excluded.meets_wildcard(lowered):
            return f"dNSName {name[:255]} is excluded"
        if permitted.has(DNS) and not permitted.holds_dns(lowered):
            return f"dNSName {name[:255]} is not permitted"
        return None

    def _text_violation(self, names: ConstrainedNames, bounded: set[int]) -> str | None:
        permitted, excluded = self.permitted, self.excluded
        for tag, text in names.texts:
            if tag in bounded:
                return f"{_NAMES[tag]} under a constraint with a minimum or maximum"
            permits, excludes = permitted.has(tag), excluded.has(tag)
            if not permits and not excludes:
                continue
            if len(text) > MAX_TEXT:
                return f"{_NAMES[tag]} {text[:255]}, which is longer than one can be"
            if (excludes and excluded.holds_text(tag, text)) or (permits and not permitted.holds_text(tag, text)):
                return f"{_NAMES[tag]} {text[:255]}"
        return None


# Letters, digits, hyphens and underscores in labels of 1 to 63, ``*`` alone as the first
_HOST_NAME: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")


def _is_host_name(name: str) -> bool:
    return len(name) <= 255 and len(name.removeprefix("*.")) <= 253 and _HOST_NAME.fullmatch(name) is not None


def _read_subtrees_untrusted(value: bytes, start: int, stop: int, side: Subtrees) -> bool:
    """Read the subtrees of one side; return True if there are more than ``MAX_SUBTREES``."""
    while start < stop:
        if side.count == MAX_SUBTREES:
            return True
        tag, at, end = der.header_untrusted(value, start, stop)
        start = end
        if tag != der.SEQUENCE:
            raise der.DerError("nameConstraints: a subtree that is not a sequence")
        base_tag, base_start, base_stop = der.header_untrusted(value, at, end)
        content = value[base_start:base_stop]
        side.count += 1
        for bound, bound_start, bound_stop in der.children_untrusted(value, base_stop, end):
            if bound != 0x80 or der.integer_untrusted(value, bound_start, bound_stop) != 0:
                side.bounded.add(base_tag)
        if base_tag == DNS:
            _add_domain_untrusted(content, side)
        elif base_tag == IP:
            half = len(content) // 2
            if len(content) not in (8, 32):
                raise der.DerError(f"nameConstraints: an address range of {len(content)} bytes")
            mask = int.from_bytes(content[half:], "big")
            if (inverse := mask ^ ((1 << 8 * half) - 1)) & (inverse + 1):
                raise der.DerError("nameConstraints: a network mask with holes")
            network = int.from_bytes(content[:half], "big") & mask
            side.addresses.append((network.to_bytes(half, "big"), content[half:]))
        elif base_tag == DIRECTORY:
            side.directories.append(content)
        elif base_tag in (EMAIL, URI):
            side.texts.setdefault(base_tag, []).append(content.decode("utf-8", "backslashreplace"))
        else:
            side.others.add(base_tag)
    return False


def _add_domain_untrusted(content: bytes, side: Subtrees) -> None:
    if not content.isascii():
        raise der.DerError("nameConstraints: a dNSName that is not ASCII")
    domain = content.decode("ascii").lower()
    if not domain:
        side.all_dns = True
        return
    bare = domain.removeprefix(".")
    if not _is_host_name(bare) or bare.startswith("*"):
        raise der.DerError("nameConstraints: a dNSName that is no domain")
    (side.below if domain.startswith(".") else side.domains).add(bare)
    # ".example.com" excluded: "*.example.com" is below it; "example.com" excluded: "*.com" would cover it.
    if not domain.startswith("."):
        side.parents.add(bare.partition(".")[2])
