"""Builds certification paths (RFC 4158) upwards from a leaf's issuer, as mainstream clients do.

The problem: certificates form a graph, not a chain. A CA may have several certificates (renewed, cross-signed by
another root, one of them expired), servers send them in any order or not at all, and two CAs may have signed each
other. Clients accept a chain if any path through the graph is valid, so one good path outweighs any number of bad
ones, and a verdict on the first path found would often be wrong. Whoever runs the server also decides how large the
graph is.

The design:

- A *link* is an issuer found for a certificate. Its name leads to candidates: anchors of the store, what the server
  sent, and only if those close no valid path, certificates of other hosts, of the shipped set, or fetched. A
  signature that verifies makes the link. If no candidate verifies, the likeliest one is followed all the same, and
  the link has ``bad-signature`` as its problem, or ``unsupported-algorithm`` where that cannot be computed.
- Paths are found breadth first: the two or three certificates of an honest chain come before any maze is walked. A
  path never visits one authority (name and key) twice, which ends every circle.
- An ``IssuerPath`` is what is above a leaf. It depends neither on the leaf nor on the time, so all paths above an
  issuer are found once for each set of certificates sent, and kept in the ``ChainContext`` of that set with the
  interval in which their certificates are valid. Checking one against a leaf and a moment is left to ``path_check``.
- The work is bounded twice. The limits below end a search in one place. ``StepBudget`` bounds all that one chain may
  cost over all stores, and counts steps instead of time, so that the same certificates get the same verdict on every
  machine.

What breaks if this is touched: paths that are found in a cache must be charged what finding them had cost
(``Charges``), else the verdict on a costly chain depends on what was verified before. ``PathBuilder.links`` must not
be used for that reason inside a search. The order of candidates decides which of several failing paths is reported,
and must not depend on which host was met first: shipped certificates come before those of other hosts. A limit that
cut a search short must be reported as such (``"limit"``), never as an unknown issuer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct, field

from scanner.caching import PARSED, Cache
from scanner.trust import certificate_rules as rules
from scanner.trust.intermediates import Intermediates
from scanner.trust.link_problems import (
    key_identifiers_match,
    not_verified,
    other_certificate,
    other_key,
    other_spelling,
)
from scanner.trust.onecrl import Blocklist
from scanner.trust.policy_rules import is_demanding
from scanner.trust.step_budget import BYTES_A_STEP, Charges, StepBudget
from scanner.trust.stores import TrustStore
from scanner.trust.verdicts import Problem
from scanner.x509.certificate import Certificate
from scanner.x509.certificate_fields import serial_text_untrusted
from scanner.x509.distinguished import comparable
from scanner.x509.extensions import SUBJECT_ALT_NAME
from scanner.x509.name_constraints import ConstrainedNames, Violation, steps_to_read_names

# Certificates above the leaf. The longest paths of the public web have 5; Firefox follows 7, GnuTLS 16, Go and OpenSSL
# up to 100.
MAX_DEPTH: Final = 32
# Candidates tried for one issuer name: a CA cross-signed by many has about five, a flood has hundreds.
MAX_CANDIDATES: Final = 24
# For all that is above one issuer: certificates visited and paths kept. What all of it costs is bounded by the budget
# of the chain (``scanner.trust.step_budget``).
MAX_VISITED: Final = 400
MAX_PATHS: Final = 32
# Certificates sent that take part in building: GnuTLS reads 16, Go 100, OpenSSL 100.
MAX_SENT: Final = 64
# Signatures whose verification is remembered: some 300 bytes each, with the issuer's key.
MAX_KNOWN_SIGNATURES: Final = 16_384
MAX_SIGNATURES_BYTES: Final = 16 << 20
# Paths kept above the issuers that one server sent: an honest chain has one to three. 2 kB each, with what is wrong
# with them.
MAX_PATHS_KEPT: Final = 128
PATH_BYTES: Final = 2048

# How a path ends. "limit": one of the limits above ended the search, so what is beyond is not known.
End = Literal["anchor", "self-signed", "unknown", "limit"]
Source = Literal["sent", "anchor", "run", "shipped", "aia"]
# Sources of certificates that the server did not send
NOT_SENT: Final = frozenset({"run", "shipped", "aia"})


class IssuerPath(Struct, frozen=True):
    """A path from a leaf's issuer up to an anchor, to a self-signed certificate, or to one whose issuer is not known.

    Where a limit ended the search, it is as far as that came. ``problems`` depend neither on the leaf nor on the
    time; all certificates are valid in [``not_before``, ``not_after``]. ``completed`` are (SHA-256, source) of
    certificates that were not sent. ``constrained``: one of them has name constraints. ``demanding``: one of them may
    demand certificate policies.
    """

    certificates: tuple[Certificate, ...]
    end: End
    problems: tuple[Problem, ...]
    completed: tuple[tuple[str, str], ...]
    not_before: float
    not_after: float
    constrained: bool
    demanding: bool = False


class Link(Struct, frozen=True):
    """An issuer found for a certificate, where it came from, and the problems of this link itself."""

    issuer: Certificate
    source: Source
    problems: tuple[Problem, ...] = ()


class ChainContext(Struct):
    """The issuers that one server sent, one store, and the paths found above these issuers so far."""

    store: TrustStore
    sent: dict[bytes, list[Certificate]]
    cut: bool = False  # more than MAX_SENT were sent
    order: tuple[Certificate, ...] = ()  # those after the leaf, as they were sent
    # by the SHA-256 of the issuer, and whether certificates that were not sent are in them
    paths: dict[tuple[str, bool], PathSet] = field(default_factory=dict)
    kept: int = 0  # number of all paths
    _by_name: dict[object, list[Certificate]] | None = None

    @property
    def size(self) -> int:
        """Bytes that this takes, estimated, with all paths that it may come to hold."""
        certificates = [item for items in self.sent.values() for item in items]
        paths = min(2 * len(certificates) + 2, MAX_PATHS_KEPT)
        return PARSED * sum([len(item.der) for item in certificates]) + paths * PATH_BYTES

    def keep(self, key: tuple[str, bool], found: PathSet) -> None:
        """Keep these paths if there is room."""
        replaced = self.paths.pop(key, None)
        self.kept += len(found.paths) - (0 if replaced is None else len(replaced.paths))
        if self.kept > MAX_PATHS_KEPT:
            self.kept -= len(found.paths)
        else:
            self.paths[key] = found

    def similar(self, name: bytes) -> list[Certificate]:
        """Return the certificates sent whose subject is ``name`` in another spelling."""
        if self._by_name is None:
            self._by_name = {}
            for subject, items in self.sent.items():
                self._by_name.setdefault(comparable(subject), []).extend(items)
        return self._by_name.get(comparable(name), [])

    def has_one_issuer(self, above: Sequence[Certificate]) -> bool:
        """Return whether each of these is the only certificate of its name that is in the store or was sent."""
        for certificate in above:
            subject = certificate.subject_der
            anchors, sent = self.store.with_subject(subject), self.sent.get(subject, ())
            if len(anchors) > 1 or len(sent) > 1 or (anchors and sent and anchors[0].sha256 != sent[0].sha256):
                return False
        return True

    @property
    def subject_bytes(self) -> int:
        """Bytes of all distinct subjects that were sent."""
        return sum(map(len, self.sent))


class PathSet(Struct):
    """All paths above one issuer, and the cost of finding them when the run's pools had the size ``pool``."""

    paths: list[IssuerPath]
    charges: Charges
    pool: int


def _signature_bytes(key: tuple[str, bytes], _verified: object) -> int:
    return len(key[1]) + 250


class PathBuilder:
    """Finds paths; shared by all stores of a verifier, since signatures do not depend on stores.

    ``begin`` gives each chain a budget of its own. Every method that charges it may raise ``TooCostly``; an
    unfinished search is then not kept.
    """

    def __init__(self, intermediates: Intermediates) -> None:
        """``intermediates`` complete paths, which are then reported as incomplete."""
        self._intermediates = intermediates
        self._signatures: Cache[tuple[str, bytes], tuple[bool | None]] = Cache(
            MAX_KNOWN_SIGNATURES, MAX_SIGNATURES_BYTES, _signature_bytes
        )
        self.budget = StepBudget()
        self.cut = False
        # of this chain: links found, names prepared for checks, and the results of these
        self._found: dict[tuple[str, int, bool], tuple[bool, list[Link], ChainContext]] = {}
        self._names: dict[str, tuple[int, ConstrainedNames]] = {}
        self._violations: dict[tuple[str, str], Violation | None] = {}

    def begin(self) -> None:
        """Start with a new chain and a new budget."""
        self.budget = StepBudget()
        self._found.clear()
        self._names.clear()
        self._violations.clear()

    def signed_by(self, child: Certificate, issuer: Certificate) -> bool | None:
        """Return whether the key of ``issuer`` verifies ``child``, memoised; ``None`` if it cannot be computed."""
        key = child.sha256, issuer.spki_der
        known = self._signatures.get(key)
        if known is None:
            known = (child.signed_by(issuer),)
            self._signatures.put(key, known)
        return known[0]

    def known_signature(self, child: Certificate, issuer: Certificate) -> bool | None:
        """Return the result of an earlier ``signed_by``, ``None`` if there was none."""
        known = self._signatures.get((child.sha256, issuer.spki_der))
        return known and known[0]

    def self_signed(self, certificate: Certificate) -> bool:
        """Return ``certificate.self_signed``, and charge its verification to this chain."""
        if not certificate.self_issued:
            return False
        self.budget.charge_signature(certificate, certificate)
        return certificate.self_signed

    def violation(self, authority: Certificate, lower: Certificate) -> Violation | None:
        """Return the name of ``lower`` that the name constraints of ``authority`` forbid. Once for each pair."""
        constraints = authority.name_constraints
        if constraints is None:
            return None
        budget = self.budget
        budget.charge_once(("tables", authority.sha256), constraints.steps)
        known = self._names.get(lower.sha256)
        steps = steps_to_read_names(lower.names, lower.subject_der, _san_bytes(lower)) if known is None else known[0]
        budget.charge_once(("names", lower.sha256), steps)
        if known is None:
            known = self._names[lower.sha256] = steps, constrained_names(lower)
        key = authority.sha256, lower.sha256
        budget.charge_once(("pair", *key), known[1].steps)
        if key not in self._violations:
            self._violations[key] = constraints.violation(known[1])
        return self._violations[key]

    # --- paths -----------------------------------------------------------------------------------

    def paths_above(
        self, issuer: Certificate, context: ChainContext, source: Source, *, complete: bool
    ) -> list[IssuerPath]:
        """Return all paths from ``issuer`` up through anchors and what was sent; ``complete``: what was not sent too."""
        key = issuer.sha256, complete
        known = context.paths.get(key)
        if known is not None and (not complete or known.pool == self._intermediates.size):
            self.budget.charge_again(known.charges)
            return known.paths
        charges = self.budget.record_charges()
        try:
            found = self._search(issuer, context, source, complete=complete)
        finally:
            self.budget.stop_recording()
        context.keep(key, PathSet(found, charges, self._intermediates.size))
        return found

    def links(self, child: Certificate, context: ChainContext, *, complete: bool) -> list[Link]:
        """Return the issuers of ``child``: those whose signature verifies, else the likeliest one with its problem.

        Afterwards ``cut`` tells whether a limit kept candidates from being tried, so that an empty result proves
        nothing.
        """
        key = child.sha256, id(context), complete
        known = self._found.get(key)
        if known is None:
            # holding the context, so that no other object gets its id
            known = self._found[key] = *self._issuers_of(child, context, complete=complete), context
        self.cut = known[0]
        return known[1]

    def _issuers_of(self, child: Certificate, context: ChainContext, *, complete: bool) -> tuple[bool, list[Link]]:
        cut = context.cut
        name = child.issuer_der
        candidates: list[tuple[Certificate, Source]] = [(item, "anchor") for item in context.store.with_subject(name)]
        candidates += [(item, "sent") for item in context.sent.get(name, ())]
        if complete:
            candidates += [(item, "run") for item in self._intermediates.learnt(name)]
            candidates += [(item, "shipped") for item in self._intermediates.shipped(name)]
            candidates += [(item, "aia") for item in self._intermediates.fetched(name)]
        spelled_otherwise = not candidates
        if spelled_otherwise:
            self.budget.charge_once(("similar", id(context)), context.subject_bytes // 2)
            self.budget.charge_once(("similar", name), len(name) // 2)
            candidates = [(item, "anchor") for item in context.store.with_similar_subject(name)]
            candidates += [(item, "sent") for item in context.similar(name)]
        self.budget.charge(4 + 6 * len(candidates))
        if len(candidates) > 1:
            candidates = _sorted_candidates(child, candidates)
        if len(candidates) > MAX_CANDIDATES:
            cut = True
            candidates = candidates[:MAX_CANDIDATES]
        good: list[Link] = []
        doubtful: list[Link] = []
        failing: list[Link] = []
        for issuer, source in candidates:
            if issuer.sha256 == child.sha256:
                continue
            self.budget.charge_signature(child, issuer)
            verified = self.signed_by(child, issuer)
            matches = key_identifiers_match(child, issuer)
            if verified and spelled_otherwise:
                doubtful.append(Link(issuer, source, (other_spelling(child, issuer),)))
            elif verified and matches and self.names_another_certificate(child, issuer):
                doubtful.append(Link(issuer, source, (other_certificate(child, issuer),)))
            elif verified and matches:
                good.append(Link(issuer, source))
            elif verified:
                doubtful.append(Link(issuer, source, (other_key(child, issuer),)))
            elif matches and not spelled_otherwise:
                failing.append(Link(issuer, source, (not_verified(child, issuer, verified),)))
                if verified is None:
                    failing.insert(0, failing.pop())  # may be the issuer, and the others are not
        # OpenSSL and GnuTLS skip an issuer whose key identifier is not the one in the certificate, whatever its key
        # verifies.
        if cut:
            return cut, good
        return cut, good or doubtful or failing[:1]

    def names_another_certificate(self, child: Certificate, issuer: Certificate) -> bool:
        """Return True if the authority key identifier names another certificate, by issuer and serial number."""
        _, named_issuer, named_serial = child.authority_key
        if named_serial:
            self.budget.charge(len(named_serial) // BYTES_A_STEP)
            if serial_text_untrusted(named_serial) != issuer.serial:
                return True
        if named_issuer is None or named_issuer == issuer.issuer_der:
            return False
        self.budget.charge((len(named_issuer) + len(issuer.issuer_der)) // 2)
        return comparable(named_issuer) != comparable(issuer.issuer_der)

    def _search(
        self, issuer: Certificate, context: ChainContext, source: Source, *, complete: bool
    ) -> list[IssuerPath]:
        found: list[IssuerPath] = []
        visited = 0
        seen: dict[str, tuple[bool, list[Link]]] = {}
        first = Link(issuer, source)
        # Breadth first: the short paths of honest chains are found before any maze is walked.
        waiting: deque[tuple[Link, ...]] = deque([(first,)])
        while waiting and len(found) < MAX_PATHS and visited < MAX_VISITED:
            path = waiting.popleft()
            visited += 1
            self.budget.charge(3 + len(path))
            last = path[-1].issuer
            if last in context.store:
                found.append(self._finish(path, "anchor", context.store.blocked))
                continue
            if self.self_signed(last):
                found.append(self._finish(path, "self-signed"))
                continue
            taken = {(link.issuer.subject_der, link.issuer.spki_der) for link in path}
            onward = []
            at_limit = len(path) >= MAX_DEPTH
            if not at_limit:
                known = seen.get(last.sha256)
                if known is None:
                    # not by links(), whose results this chain may have: what a search costs must not depend on what
                    # came before
                    known = seen[last.sha256] = self._issuers_of(last, context, complete=complete)
                onward = [
                    link
                    for link in known[1]
                    # One name with one key is one authority: visiting it again only leads in a circle.
                    if (link.issuer.subject_der, link.issuer.spki_der) not in taken
                ]
                at_limit = known[0]
                self.budget.charge(len(known[1]))
            if not onward:
                found.append(self._finish(path, "limit" if at_limit else "unknown"))
            waiting.extend((*path, link) for link in onward)
        if waiting and all(path.end != "anchor" for path in found):
            found.append(self._finish(waiting[0], "limit"))
        return found

    def _finish(self, path: tuple[Link, ...], end: End, blocked: Blocklist | None = None) -> IssuerPath:
        certificates = tuple(link.issuer for link in path)
        constrained = 0
        for certificate in certificates:
            if certificate.name_constraints is not None:
                constrained += 1
                self.budget.charge_once(("tables", certificate.sha256), certificate.name_constraints.steps)
        self.budget.charge(4 + (4 + constrained) * len(path))
        problems = [problem for link in path for problem in link.problems]
        closed = end in ("anchor", "self-signed")
        problems += rules.issuer_problems(certificates, closed=closed, violation=self.violation)
        if blocked is not None:
            problems += [_blocked(certificate, blocked) for certificate in certificates if certificate in blocked]
        return IssuerPath(
            certificates,
            end,
            tuple(problems),
            tuple((link.issuer.sha256, link.source) for link in path if link.source in NOT_SENT),
            max(certificate.not_before for certificate in certificates),
            min(certificate.not_after for certificate in certificates),
            constrained > 0,
            any(is_demanding(certificate) for certificate in certificates),
        )


def chain_context(store: TrustStore, issuers: tuple[Certificate, ...]) -> ChainContext:
    """Index the certificates that were sent after the leaf."""
    sent: dict[bytes, list[Certificate]] = {}
    seen: set[str] = set()
    for certificate in issuers[:MAX_SENT]:
        if certificate.sha256 not in seen:
            seen.add(certificate.sha256)
            sent.setdefault(certificate.subject_der, []).append(certificate)
    return ChainContext(store, sent, len(issuers) > MAX_SENT, issuers)


def _san_bytes(certificate: Certificate) -> int:
    return len(certificate.extension(SUBJECT_ALT_NAME) or b"")


def constrained_names(certificate: Certificate) -> ConstrainedNames:
    """Return the names of a certificate, prepared for checks against any number of name constraints."""
    size = _san_bytes(certificate)
    return ConstrainedNames(certificate.names, certificate.subject_der, size, is_ca=certificate.is_ca)


def _sorted_candidates(
    child: Certificate, candidates: list[tuple[Certificate, Source]]
) -> list[tuple[Certificate, Source]]:
    """Return distinct candidates sorted by source, by whether the key identifier fits, by how long they are valid."""
    wanted = child.authority_key_id
    order = {"anchor": 0, "sent": 1, "shipped": 2, "run": 3, "aia": 4}
    candidates.sort(
        key=lambda item: (
            order[item[1]],
            wanted is not None and item[0].subject_key_id != wanted,
            -item[0].not_after,
        )
    )
    unique: dict[str, tuple[Certificate, Source]] = {}
    for certificate, source in candidates:
        unique.setdefault(certificate.sha256, (certificate, source))
    return list(unique.values())


def _blocked(authority: Certificate, blocked: Blocklist) -> Problem:
    evidence = {"list": blocked.name, "serial": authority.serial, "refused_by": ["firefox"]}
    return Problem("revoked-crl", authority.sha256, {"subject": authority.subject, **evidence})
