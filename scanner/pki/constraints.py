"""Name constraints (RFC 5280 section 4.2.1.10): which names the certificates below a CA may carry.

dNSName, iPAddress, directoryName, rfc822Name and uniformResourceIdentifier are understood. A constraint of any other
type, or one with a minimum or maximum, refuses the certificates that carry a name of that type, as RFC 5280 asks of
who cannot tell.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from scanner.pki import der, flaws
from scanner.pki.distinguished import is_within

if TYPE_CHECKING:
    from scanner.pki.certificate import Certificate

# Constraints times names: Go stops at 250,000 comparisons and refuses the certificate; real chains stay below a
# thousand.
MAX_COMPARISONS: Final = 250_000

_EMAIL: Final = 0x81
_DNS: Final = 0x82
_DIRECTORY: Final = 0xA4
_URI: Final = 0x86
_IP: Final = 0x87
_EMPTY_NAME: Final = b"\x30\x00"
_NAMES: Final = {
    0xA0: "otherName",
    _EMAIL: "rfc822Name",
    _DNS: "dNSName",
    0xA3: "x400Address",
    _DIRECTORY: "directoryName",
    0xA5: "ediPartyName",
    _URI: "uniformResourceIdentifier",
    _IP: "iPAddress",
    0x88: "registeredID",
}


class _Subtrees:
    """One side, permitted or excluded, made ready for quick questions."""

    __slots__ = (
        "addresses",
        "all_dns",
        "below",
        "bounded",
        "count",
        "directories",
        "domains",
        "others",
        "parents",
        "texts",
    )

    def __init__(self) -> None:
        self.count = 0
        self.domains: set[str] = set()  # the domain and everything under it
        self.below: set[str] = set()  # written with a leading dot: only what is under it
        self.parents: set[str] = set()  # the domains one label above those
        self.all_dns = False
        self.addresses: list[tuple[bytes, bytes]] = []
        self.directories: list[bytes] = []
        self.texts: dict[int, list[str]] = {}
        self.others: set[int] = set()
        self.bounded: set[int] = set()  # types that have a minimum or maximum

    def has(self, tag: int) -> bool:
        """Whether this side says anything about names of this type."""
        if tag == _DNS:
            return bool(self.domains or self.below or self.all_dns)
        if tag == _IP:
            return bool(self.addresses)
        if tag == _DIRECTORY:
            return bool(self.directories)
        return tag in self.texts or tag in self.others

    def holds_dns(self, name: str) -> bool:
        """Whether a dNSName, given in lower case, lies within."""
        if self.all_dns:
            return True
        if name in self.domains:
            return True
        at = name.find(".")
        while at >= 0:
            rest = name[at + 1 :]
            if rest in self.domains or rest in self.below:
                return True
            at = name.find(".", at + 1)
        return False

    def meets_wildcard(self, name: str) -> bool:
        """Whether ``*.parent`` stands for some name that lies within, even where not all do."""
        return name.startswith("*.") and name[2:] in self.parents

    def holds_address(self, address: bytes) -> bool:
        """Whether an address lies within; one of the other family never does."""
        value = int.from_bytes(address, "big")
        return any(
            len(base) == len(address) and value & int.from_bytes(mask, "big") == int.from_bytes(base, "big")
            for base, mask in self.addresses
        )

    def holds_directory(self, name: bytes) -> bool:
        """Whether a distinguished name lies within."""
        return any(is_within(name, base) for base in self.directories)

    def holds_text(self, tag: int, text: str) -> bool:
        """Whether a mailbox or URI lies within."""
        if tag == _EMAIL:
            local, at, domain_part = text.rpartition("@")
            mailbox = f"{local}@{domain_part.lower()}" if at else text
            for constraint in self.texts.get(tag, ()):
                if "@" in constraint:
                    kept, _, domain = constraint.rpartition("@")
                    if mailbox == f"{kept}@{domain.lower()}":
                        return True
                elif _in_domain(domain_part.lower(), constraint.lower()):
                    return True
            return False
        host = _host_of(text)
        return host is not None and any(_in_domain(host, domain.lower()) for domain in self.texts.get(tag, ()))


def _in_domain(host: str, constraint: str) -> bool:
    # For mailboxes and URIs a domain without a leading dot means that host alone (RFC 5280 section 4.2.1.10).
    return host == constraint or (constraint.startswith(".") and host.endswith(constraint)) or constraint == ""


def _host_of(uri: str) -> str | None:
    _, mark, rest = uri.partition("://")
    if not mark:
        return None
    authority = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0].rpartition("@")[2]
    host = authority.rsplit(":", 1)[0] if authority.count(":") == 1 else authority
    return host.lower() or None


class NameConstraints:
    """The constraints of one CA certificate."""

    __slots__ = ("critical", "excluded", "permitted")

    def __init__(self) -> None:
        self.critical = True
        self.permitted = _Subtrees()
        self.excluded = _Subtrees()

    @property
    def unusual(self) -> tuple[str, ...]:
        """The types of names beside DNS names, addresses, mailboxes and URIs that are constrained."""
        types = self.permitted.others | self.excluded.others
        if self.permitted.directories or self.excluded.directories:
            types = types | {_DIRECTORY}
        return tuple(_NAMES.get(tag, "a name of another type") for tag in sorted(types))

    @classmethod
    def read_untrusted(cls, value: bytes) -> NameConstraints:
        """Read the content of the extension; raises only ``DerError``."""
        constraints = cls()
        start, stop = der.whole_untrusted(value, der.SEQUENCE, "nameConstraints")
        for tag, at, end in der.children_untrusted(value, start, stop):
            if tag == 0xA0:
                _read_subtrees_untrusted(value, at, end, constraints.permitted)
            elif tag == 0xA1:
                _read_subtrees_untrusted(value, at, end, constraints.excluded)
            else:
                raise der.DerError("nameConstraints: neither permitted nor excluded")
        if not constraints.permitted.count and not constraints.excluded.count:
            raise der.DerError(flaws.EMPTY_CONSTRAINTS)
        return constraints

    def violation(self, certificate: Certificate) -> str | None:
        """The first name of ``certificate`` that is not allowed, in words; ``None`` where all are."""
        names = certificate.names
        total = len(names.dns) + len(names.ips) + len(names.others) + 1
        if total * (self.permitted.count + self.excluded.count) > MAX_COMPARISONS:
            return f"more than {MAX_COMPARISONS} comparisons of names with constraints"
        for name in names.dns:
            broken = self._dns_violation(name)
            if broken:
                return broken
        for address in names.ips:
            if self.excluded.holds_address(address) or (
                self.permitted.has(_IP) and not self.permitted.holds_address(address)
            ):
                return f"iPAddress {ipaddress.ip_address(address)}"
        if _IP in self.permitted.bounded | self.excluded.bounded and names.ips:
            return "iPAddress under a constraint with a minimum or maximum"
        directories = [content for tag, content in names.others if tag == _DIRECTORY]
        if certificate.subject_der != _EMPTY_NAME:
            directories.append(certificate.subject_der)
        for directory in directories:
            if self.excluded.holds_directory(directory) or (
                self.permitted.has(_DIRECTORY) and not self.permitted.holds_directory(directory)
            ):
                return "directoryName"
        return self._other_violation(certificate)

    def _dns_violation(self, name: str) -> str | None:
        permitted, excluded = self.permitted, self.excluded
        if not permitted.has(_DNS) and not excluded.has(_DNS):
            return None
        lowered = name.lower()
        if _DNS in permitted.bounded | excluded.bounded:
            return "dNSName under a constraint with a minimum or maximum"
        if not _is_host_name(lowered):
            return f"dNSName {name[:255]}, which is no host name"
        if excluded.holds_dns(lowered) or excluded.meets_wildcard(lowered):
            return f"dNSName {name[:255]} is excluded"
        if permitted.has(_DNS) and not permitted.holds_dns(lowered):
            return f"dNSName {name[:255]} is not permitted"
        return None

    def _other_violation(self, certificate: Certificate) -> str | None:
        texts: list[tuple[int, str]] = []
        for tag, content in certificate.names.others:
            if tag in (_EMAIL, _URI):
                texts.append((tag, content.decode("utf-8", "backslashreplace")))
            elif tag != _DIRECTORY and (self.permitted.has(tag) or self.excluded.has(tag)):
                return f"{_NAMES.get(tag, 'a name')} under a constraint of a type that is not understood"
        texts += [(_EMAIL, value) for kind, value in certificate.subject_name.attributes if kind == "emailAddress"]
        for tag, text in texts:
            if tag in self.permitted.bounded | self.excluded.bounded:
                return f"{_NAMES[tag]} under a constraint with a minimum or maximum"
            if self.excluded.holds_text(tag, text) or (
                self.permitted.has(tag) and not self.permitted.holds_text(tag, text)
            ):
                return f"{_NAMES[tag]} {text[:255]}"
        return None


def _is_host_name(name: str) -> bool:
    """Letters, digits, hyphens and underscores in labels of 1 to 63, ``*`` alone as the first."""
    bare = name.removeprefix("*.")
    return len(bare) <= 253 and all(
        0 < len(label) <= 63 and label.isascii() and label.replace("-", "a").replace("_", "a").isalnum()
        for label in bare.split(".")
    )


def _read_subtrees_untrusted(value: bytes, start: int, stop: int, side: _Subtrees) -> None:
    for tag, at, end in der.children_untrusted(value, start, stop):
        if tag != der.SEQUENCE:
            raise der.DerError("nameConstraints: a subtree that is not a sequence")
        base_tag, base_start, base_stop = der.header_untrusted(value, at, end)
        content = value[base_start:base_stop]
        side.count += 1
        for bound, bound_start, bound_stop in der.children_untrusted(value, base_stop, end):
            if bound != 0x80 or der.integer_untrusted(value, bound_start, bound_stop) != 0:
                side.bounded.add(base_tag)
        if base_tag == _DNS:
            _add_domain_untrusted(content, side)
        elif base_tag == _IP:
            half = len(content) // 2
            if len(content) not in (8, 32):
                raise der.DerError(f"nameConstraints: an address range of {len(content)} bytes")
            mask = int.from_bytes(content[half:], "big")
            if (inverse := mask ^ ((1 << 8 * half) - 1)) & (inverse + 1):
                raise der.DerError("nameConstraints: a network mask with holes")
            network = int.from_bytes(content[:half], "big") & mask
            side.addresses.append((network.to_bytes(half, "big"), content[half:]))
        elif base_tag == _DIRECTORY:
            side.directories.append(content)
        elif base_tag in (_EMAIL, _URI):
            side.texts.setdefault(base_tag, []).append(content.decode("utf-8", "backslashreplace"))
        else:
            side.others.add(base_tag)


def _add_domain_untrusted(content: bytes, side: _Subtrees) -> None:
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
    # ".example.com" excluded: "*.example.com" is below it as it stands; "example.com" excluded: "*.com" would cover it.
    if not domain.startswith("."):
        side.parents.add(bare.partition(".")[2])
