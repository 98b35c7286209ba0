"""Name constraints (RFC 5280 section 4.2.1.10): which names the certificates below a CA may have.

The rules: every name of a certificate below must be within some permitted subtree of its type, if there is one, and
within no excluded subtree. Details that clients agree on and RFC 5280 does not have: a leading dot in a dNSName means
subdomains only, and the common name of a certificate without dNSNames counts as one.

Clients agree on little else: which types of names they understand, what they make of those that they do not, of a
minimum or maximum, of names in the subject. So a ``Violation`` names the clients for which it is one. All of it was
seen (``docs/clients.md``, the variants whose names begin with "nc-").

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
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from scanner.x509 import der, malformations
from scanner.x509.distinguished import EMPTY_NAME, name_text, normalised
from scanner.x509.extensions import GeneralNames
from scanner.x509.subtrees import DIRECTORY, DNS, EMAIL, IP, REGISTERED_ID, URI, Subtrees, host_of_uri

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
    REGISTERED_ID: "registeredID",
}
OPENSSL: Final = ("openssl", "curl", "python")
EVERYBODY: Final = (*OPENSSL, "go", "java", "chrome", "firefox", "gnutls")
# Go refuses the critical extension, if it has such names at all, and GnuTLS does not look at them.
_DIRECTORIES: Final = (*OPENSSL, "java", "chrome", "firefox")


class Violation(Struct, frozen=True):
    """A name that constraints do not allow, in words, and the clients that refuse it; ``None`` is all of them."""

    name: str
    refused_by: tuple[str, ...] | None = None


class ConstrainedNames:
    """The names of one certificate, prepared for checks against the constraints of any number of CAs."""

    __slots__ = (
        "addresses",
        "common_names",
        "directories",
        "dns",
        "has_odd_addresses",
        "has_only_subject",
        "is_nameless",
        "others",
        "present",
        "steps",
        "texts",
    )

    def __init__(self, names: GeneralNames, subject: bytes, size: int, *, is_ca: bool) -> None:
        """``names`` is subjectAltName, of ``size`` bytes; ``subject`` is the DER of a Name."""
        self.dns = [(name, lowered, _is_host_name(lowered)) for name in names.dns for lowered in (name.lower(),)]
        self.addresses = names.ips
        directories = [content for tag, content in names.others if tag == DIRECTORY]
        self.is_nameless = subject == EMPTY_NAME
        self.has_only_subject = not names.texts and not names.others
        self.has_odd_addresses = names.flaw is not None and malformations.ADDRESS_LENGTH in names.flaw
        if not self.is_nameless:
            directories.append(subject)
        # each distinct one once
        self.directories = [normalised(content) for content in dict.fromkeys(directories)]
        self.texts: list[tuple[int, str, bool]] = []  # mailboxes and URIs, and whether they are in the subject
        self.others: list[tuple[int, bytes]] = []  # names of all other types
        for tag, content in names.others:
            if tag in (EMAIL, URI):
                self.texts.append((tag, content.decode("utf-8", "backslashreplace"), False))
            elif tag != DIRECTORY:
                self.others.append((tag, content))
        attributes = name_text(subject).attributes
        self.texts += [(EMAIL, value, True) for kind, value in attributes if kind == "emailAddress"]
        # a server's common name stands in for a missing dNSName
        self.common_names = [value for kind, value in attributes if kind == "CN"] if not self.dns and not is_ca else []
        self.present = {tag for tag, _, _ in self.texts} | {tag for tag, _ in self.others}
        self.present.update(
            tag for tag, found in ((DNS, self.dns), (IP, self.addresses), (DIRECTORY, self.directories)) if found
        )
        # the cost of a check, in steps of ``scanner.trust.step_budget``: a name is looked up label by label
        counted = len(self.dns) + len(self.addresses) + len(self.directories) + len(self.texts) + len(self.common_names)
        self.steps = 2 + counted * 2 + size // 8


def steps_to_read_names(names: GeneralNames, subject: bytes, size: int) -> int:
    """Return the cost of making ``ConstrainedNames`` of these, in steps of ``scanner.trust.step_budget``."""
    return 4 + 2 * len(names.dns) + size // (2 if names.others else 16) + len(subject) // 2


class NameConstraints:
    """The constraints of one CA certificate."""

    __slots__ = ("_unread", "critical", "cut", "excluded", "flaws", "permitted", "size")

    def __init__(self) -> None:
        self.critical = True
        self.permitted = Subtrees()
        self.excluded = Subtrees()
        self.size = 0  # bytes of the extension
        self.cut = False  # there are more than MAX_SUBTREES, or they are malformed
        self.flaws: list[str] = []  # what only some clients take for malformed
        self._unread: bytes | None = None

    @property
    def count(self) -> int:
        """The number of subtrees, permitted and excluded."""
        return self.permitted.count + self.excluded.count

    def comparisons_of_chrome(self, names: GeneralNames) -> int:
        """Return the product that Chrome limits: names of subjectAltName times constraints, of the types that it knows."""
        known = len(names.dns) + len(names.ips) + sum(tag in (DIRECTORY, EMAIL) for tag, _ in names.others)
        sides = (self.permitted.counts, self.excluded.counts)
        return known * sum(side.get(tag, 0) for side in sides for tag in (DNS, IP, DIRECTORY, EMAIL))

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
        """Read a long extension; return what is malformed in it for every client, in words."""
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
                self.cut |= _read_subtrees_untrusted(value, at, end, self.permitted, self.flaws)
            elif tag == 0xA1:
                self.cut |= _read_subtrees_untrusted(value, at, end, self.excluded, self.flaws)
            else:
                raise der.DerError("nameConstraints: neither permitted nor excluded")
        if not self.permitted.count and not self.excluded.count:
            raise der.DerError(malformations.EMPTY_CONSTRAINTS)

    def violation(self, names: ConstrainedNames) -> Violation | None:
        """Return the first of ``names`` that no client allows, else the first that some do not, else ``None``."""
        first: Violation | None = None
        refusing: set[str] = set()
        for found in self._violations(names):
            if found.refused_by is None:
                return found
            first = first or found
            refusing.update(found.refused_by)
        if first is None:
            return None
        return Violation(first.name, tuple([client for client in EVERYBODY if client in refusing]))

    def _violations(self, names: ConstrainedNames) -> Iterator[Violation]:
        permitted, excluded = self.permitted, self.excluded
        if (permitted.all_dns or excluded.all_dns) and (names.dns or names.common_names):
            yield Violation("any dNSName, under an empty constraint", ("java",))
        if permitted.has(DNS) or excluded.has(DNS):
            for name, lowered, is_host_name in names.dns:
                yield from self._of_domain(name, lowered, is_host_name=is_host_name)
            for name in names.common_names:
                yield from self._of_common_name(name)
        else:
            # Go reads all names of a certificate below any constraint
            for name, _, is_host_name in names.dns:
                if name and not is_host_name:
                    yield Violation(f"dNSName {name[:255]}, which is no host name", ("go",))
        permits, excludes = permitted.has(IP), excluded.has(IP)
        for address in names.addresses if permits or excludes else ():
            odd = permitted.odd_lengths or excluded.odd_lengths  # no client compares with those
            if (
                odd
                or (excludes and excluded.holds_address(address))
                or (permits and not permitted.holds_address(address))
            ):
                yield Violation(f"iPAddress {ipaddress.ip_address(address)}")
        if (permits or excludes) and names.has_odd_addresses:
            yield Violation("an iPAddress of neither 4 nor 16 bytes", (*OPENSSL, "firefox"))
        permits, excludes = permitted.has(DIRECTORY), excluded.has(DIRECTORY)
        for directory in names.directories if permits or excludes else ():
            if (excludes and excluded.holds_directory(directory)) or (
                permits and not permitted.holds_directory(directory)
            ):
                yield Violation("directoryName", _DIRECTORIES)
        if excludes or (permits and names.is_nameless):
            yield Violation("the subject", ("firefox", "gnutls") if excludes else ("firefox",))
        yield from self._of_texts(names)
        yield from self._of_other_types(names)
        yield from self._beyond_bounds(names)

    def _of_domain(self, name: str, lowered: str, *, is_host_name: bool) -> Iterator[Violation]:
        permitted, excluded = self.permitted, self.excluded
        shown = f"dNSName {name[:255]}"
        if excluded.holds_dns(lowered):
            yield Violation(f"{shown} is excluded")
        elif excluded.meets_wildcard(lowered):
            # the others compare the wildcard as if it were a name
            yield Violation(f"{shown} is excluded", ("go", "chrome", "firefox"))
        elif excluded.holds_dotted(lowered):
            yield Violation(f"{shown} is excluded", ("chrome", "gnutls"))
        if permitted.has(DNS) and not permitted.holds_dns(lowered):
            dotted = permitted.holds_dotted(lowered)
            yield Violation(f"{shown} is not permitted", (*OPENSSL, "java") if dotted else None)
        if not name:
            yield Violation("dNSName without a name", ("java", "firefox", "gnutls"))
        elif not is_host_name:
            yield Violation(f"{shown}, which is no host name", ("go", "firefox"))
        elif "-." in f"{lowered}." or ".-" in f".{lowered}":
            yield Violation(f"{shown}, which has a hyphen at the end of a label", ("firefox",))

    def _of_common_name(self, name: str) -> Iterator[Violation]:
        permitted, excluded = self.permitted, self.excluded
        lowered = name.lower()
        if not excluded.holds_dns(lowered) and (not permitted.has(DNS) or permitted.holds_dns(lowered)):
            return
        clients = ["gnutls"]  # takes any text for a name
        if _LABELS.fullmatch(name) is not None:
            clients += ["java", *(OPENSSL if "." in name else ())]
        yield Violation(f"common name {name[:255]}", tuple(clients))

    def _of_texts(self, names: ConstrainedNames) -> Iterator[Violation]:
        permitted, excluded = self.permitted, self.excluded
        by_chrome = ("chrome",) if self.critical else ()
        for tag, text, in_subject in names.texts:
            if tag == EMAIL and not in_subject and _MAILBOX.fullmatch(text[:MAX_TEXT]) is None:
                yield Violation(f"{_NAMES[tag]} {text[:255]}, which is no mailbox", ("go",))
            permits, excludes = permitted.has(tag), excluded.has(tag)
            if tag == URI and not _has_host_name(text[:MAX_TEXT]):
                has_host = host_of_uri(text[:MAX_TEXT]) is not None
                clients = (*OPENSSL, "go", "java") if (permits or excludes) and not has_host else ("go",)
                yield Violation(f"{_NAMES[tag]} {text[:255]}, which has no host name", clients)
            if not permits and not excludes:
                continue
            shown = f"{_NAMES[tag]} {text[:255]}"
            if len(text) > MAX_TEXT:
                yield Violation(f"{shown}, which is longer than one can be")
                continue
            broken, broken_for_go = [
                (excludes and excluded.holds_text(tag, text, below=below))
                or (permits and not permitted.holds_text(tag, text, below=below))
                for below in (False, True)
            ]
            by_go = ("go",) if broken_for_go else ()
            by_gnutls = ("gnutls",) if excludes else ()
            if tag == EMAIL and in_subject:
                if broken:
                    yield Violation(shown, self._minding_subject(names))
            elif tag == EMAIL:
                if broken and broken_for_go:
                    yield Violation(shown)
                elif broken or broken_for_go:
                    strict = tuple([client for client in EVERYBODY if client != "go"]) if broken else ()
                    yield Violation(shown, (*strict, *by_go))
            elif broken:
                yield Violation(shown, (*OPENSSL, *by_go, "java", "firefox", *by_chrome, *by_gnutls))
            else:
                yield Violation(f"{shown}, whatever the constraint on it", (*by_go, "firefox", *by_chrome, *by_gnutls))

    @staticmethod
    def _minding_subject(names: ConstrainedNames) -> tuple[str, ...]:
        """Return the clients that look at a mailbox in the subject: all but Go where there is no subjectAltName."""
        by_most = ("java", "chrome", "firefox") if names.has_only_subject else ()
        return (*OPENSSL, *by_most, "gnutls")

    def _of_other_types(self, names: ConstrainedNames) -> Iterator[Violation]:
        permitted, excluded = self.permitted, self.excluded
        constrained = permitted.others | excluded.others
        for tag, content in names.others:
            if tag in constrained:
                clients = [*OPENSSL, "firefox", *(("chrome",) if self.critical else ())]
                # Java finds a registered identifier in the list of those that are permitted
                if content not in permitted.registered or tag in excluded.others:
                    clients.append("java")
                yield Violation(f"{_NAMES.get(tag, 'a name')} under a constraint on such names", tuple(clients))
        if REGISTERED_ID in constrained:
            yield Violation("any name, under a constraint of registered identifiers", ("gnutls",))

    def _beyond_bounds(self, names: ConstrainedNames) -> Iterator[Violation]:
        bounded = self.permitted.bounded | self.excluded.bounded
        for tag in sorted(bounded):
            clients = OPENSSL if tag in names.present else ()
            yield Violation(
                f"{_NAMES.get(tag, 'a name')} under a constraint with a minimum or maximum", (*clients, "java")
            )


# Labels as OpenSSL and Java want them of a common name that they take for a host's
_LABELS: Final = re.compile(
    r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)
# A mailbox as far as Go (RFC 2821) and the rest of the world agree
_MAILBOX: Final = re.compile(r'(?:"(?:[^"\\\r\n]|\\.)*"|[^\s@"(),:;<>\[\]\\]+)@[^\s@]+')
# Letters, digits, hyphens and underscores in labels of 1 to 63, ``*`` alone as the first
_HOST_NAME: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")


def _has_host_name(uri: str) -> bool:
    host = host_of_uri(uri)
    return host is not None and "[" not in host and not host.replace(".", "").isdecimal()


def _is_host_name(name: str) -> bool:
    return len(name) <= 255 and len(name.removeprefix("*.")) <= 253 and _HOST_NAME.fullmatch(name) is not None


def _read_subtrees_untrusted(value: bytes, start: int, stop: int, side: Subtrees, found_flaws: list[str]) -> bool:
    """Read the subtrees of one side; return True if there are more than ``MAX_SUBTREES``.

    ``found_flaws`` gets a sentence for each kind of subtree that only some clients refuse.
    """
    flaws: dict[str, None] = {}
    is_cut = False
    while start < stop:
        if side.count == MAX_SUBTREES:
            is_cut = True
            break
        tag, at, end = der.header_untrusted(value, start, stop)
        start = end
        if tag != der.SEQUENCE:
            raise der.DerError("nameConstraints: a subtree that is not a sequence")
        base_tag, base_start, base_stop = der.header_untrusted(value, at, end)
        content = value[base_start:base_stop]
        side.count += 1
        side.counts[base_tag] = side.counts.get(base_tag, 0) + 1
        for bound, bound_start, bound_stop in der.children_untrusted(value, base_stop, end):
            flaws[malformations.BOUNDED_CONSTRAINT] = None
            if bound != 0x80 or der.integer_untrusted(value, bound_start, bound_stop) != 0:
                side.bounded.add(base_tag)
        if base_tag == DNS:
            _add_domain_untrusted(content, side, flaws)
        elif base_tag == IP:
            _add_network_untrusted(content, side, flaws)
        elif base_tag == DIRECTORY:
            side.directories.append(content)
        elif base_tag in (EMAIL, URI):
            text = content.decode("utf-8", "backslashreplace")
            if base_tag == URI and (":" in text or "/" in text):
                flaws[malformations.CONSTRAINT_NOT_A_HOST] = None
            side.texts.setdefault(base_tag, []).append(text)
        else:
            side.others.add(base_tag)
            if base_tag == REGISTERED_ID:
                side.registered.add(content)
    found_flaws += [flaw for flaw in flaws if flaw not in found_flaws]
    return is_cut


def _add_network_untrusted(content: bytes, side: Subtrees, flaws: dict[str, None]) -> None:
    half = len(content) // 2
    if len(content) not in (8, 32):
        # no address is within it, nor within its opposite
        flaws[f"{malformations.CONSTRAINT_LENGTH} {len(content)} bytes"] = None
        side.odd_lengths = True
        return
    mask = int.from_bytes(content[half:], "big")
    network = (int.from_bytes(content[:half], "big") & mask).to_bytes(half, "big")
    if (inverse := mask ^ ((1 << 8 * half) - 1)) & (inverse + 1):
        flaws[malformations.CONSTRAINT_WITH_HOLES] = None
        side.odd_addresses.append((network, content[half:]))
    else:
        side.addresses.append((network, content[half:]))


def _add_domain_untrusted(content: bytes, side: Subtrees, flaws: dict[str, None]) -> None:
    if not content.isascii():
        raise der.DerError(f"{malformations.CONSTRAINT_NOT_A_DOMAIN} not ASCII")
    domain = content.decode("ascii").lower()
    if not domain:
        side.all_dns = True
        return
    bare = domain.removeprefix(".")
    has_final_dot = bare.endswith(".")
    bare = bare.removesuffix(".")
    if not _is_host_name(bare) or bare.startswith("*"):
        raise der.DerError(f"{malformations.CONSTRAINT_NOT_A_DOMAIN} no domain")
    if has_final_dot:
        flaws[malformations.CONSTRAINT_WITH_FINAL_DOT] = None
        side.dotted.add(bare)
        return
    (side.below if domain.startswith(".") else side.domains).add(bare)
    # ".example.com" excluded: "*.example.com" is below it; "example.com" excluded: "*.com" would cover it.
    if not domain.startswith("."):
        side.parents.add(bare.partition(".")[2])
