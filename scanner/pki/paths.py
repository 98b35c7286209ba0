"""Building certification paths (RFC 4158) and judging them (RFC 5280 section 6) as mainstream clients do.

From a leaf's issuer upwards, every way that the certificates at hand allow is followed: anchors of the store, what
the server sent in any order, and only where that brings no valid path, certificates of other hosts and of the shipped
set. Clients take any valid path, so one good path wins over any number of expired cross-signs. A name leads to
candidates; a signature that verifies makes the step. Only where no candidate's signature verifies is the first one
followed nevertheless, to say so.

What is above the leaf does not depend on the leaf nor on the time, so it is built once per (issuers as sent, store)
and kept with the window in which all of it is valid.
"""

from __future__ import annotations

from collections import deque
from dataclasses import field
from typing import Final, Literal

from scanner.caching import PARSED, Cache
from scanner.pki import rules
from scanner.pki.blocklist import Blocklist
from scanner.pki.certificate import Certificate
from scanner.pki.distinguished import comparable
from scanner.pki.fields import serial_text_untrusted
from scanner.pki.intermediates import Intermediates
from scanner.pki.stores import TrustStore
from scanner.pki.verdicts import Problem
from scanner.records import dataclass

# Certificates above the leaf. The longest paths of the public web have 5; Firefox follows 7, GnuTLS 16, Go and OpenSSL
# as many as are there (100).
MAX_DEPTH: Final = 32
# Candidates tried for one issuer name: a CA cross-signed by many has about five, a flood has hundreds.
MAX_CANDIDATES: Final = 24
# For all that is above one issuer: certificates visited and paths kept.
MAX_STEPS: Final = 400
MAX_PATHS: Final = 32
# Signatures verified for one chain, those already known not counted: 0.1 ms each as a rule, 1 ms for the longest keys.
MAX_SIGNATURES: Final = 128
# Of what a server sent, as many certificates take part in building: GnuTLS reads 16, Go 100, OpenSSL 100.
MAX_SENT: Final = 64
# Signatures known: some 300 bytes each, with the issuer's key.
MAX_KNOWN_SIGNATURES: Final = 16_384
MAX_SIGNATURES_BYTES: Final = 16 << 20
# Paths kept above the issuers that one server sent: an honest chain has one to three. 2 kB each, with what is wrong with them.
MAX_PATHS_KEPT: Final = 128
PATH_BYTES: Final = 2048

# "limit": one of the limits above ended the search, so what would have been found is not known.
End = Literal["anchor", "self-signed", "unknown", "limit"]
Source = Literal["sent", "anchor", "run", "shipped", "aia"]
# Of these, the certificates that a server did not send
NOT_SENT: Final = frozenset({"run", "shipped", "aia"})


@dataclass(frozen=True, slots=True)
class UpperPath:
    """One way from a leaf's issuer up: to an anchor, to a self-signed certificate, or to where nothing leads on.
    Where the search was given up it is as far as it came.

    ``problems`` are those that neither the leaf nor the time can change; all certificates are valid in
    [``not_before``, ``not_after``]. ``completed`` are (SHA-256, source) of certificates that were not sent.
    """

    certificates: tuple[Certificate, ...]
    end: End
    problems: tuple[Problem, ...]
    completed: tuple[tuple[str, str], ...]
    not_before: float
    not_after: float
    constrained: bool


@dataclass(frozen=True, slots=True)
class Step:
    """An issuer found for a certificate, where it came from, and what is wrong with the step itself."""

    issuer: Certificate
    source: Source
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Surroundings:
    """The issuers that one server sent, against one store, and what is known of the paths above them."""

    store: TrustStore
    sent: dict[bytes, list[Certificate]]
    cut: bool = False  # more was sent than takes part
    closed: dict[str, list[UpperPath]] = field(default_factory=dict)
    completed: dict[str, tuple[int, list[UpperPath]]] = field(default_factory=dict)
    kept: int = 0  # paths in both

    @property
    def size(self) -> int:
        """Return about how many bytes this takes with all paths that it may come to hold."""
        certificates = [item for items in self.sent.values() for item in items]
        paths = min(2 * len(certificates) + 2, MAX_PATHS_KEPT)
        return PARSED * sum([len(item.der) for item in certificates]) + paths * PATH_BYTES

    def has_room(self, paths: list[UpperPath]) -> bool:
        """Return True if these paths may be kept too, and count them."""
        if self.kept + len(paths) > MAX_PATHS_KEPT:
            return False
        self.kept += len(paths)
        return True

    def similar(self, name: bytes) -> list[Certificate]:
        """What was sent by a subject that is ``name`` written in another way."""
        wanted = comparable(name)
        return [item for subject, items in self.sent.items() if comparable(subject) == wanted for item in items]


def _signature_bytes(key: tuple[str, bytes], _verified: object) -> int:
    return len(key[1]) + 250


class PathBuilder:
    """Finds the paths; shared by all stores of a judge, since signatures do not depend on stores."""

    def __init__(self, intermediates: Intermediates) -> None:
        """``intermediates`` only ever complete a path that is then reported as incomplete."""
        self._intermediates = intermediates
        self._signatures: Cache[tuple[str, bytes], tuple[bool | None]] = Cache(
            MAX_KNOWN_SIGNATURES, MAX_SIGNATURES_BYTES, _signature_bytes
        )
        self._allowance = MAX_SIGNATURES
        self.cut = False

    def begin(self) -> None:
        """A new chain is judged: it has its own allowance of signatures."""
        self._allowance = MAX_SIGNATURES

    @property
    def exhausted(self) -> bool:
        """This chain's signatures were used up: what was found since may not be all there is, and must not be kept."""
        return self._allowance < 0

    def signed_by(self, child: Certificate, issuer: Certificate) -> bool | None:
        """Whether ``issuer``'s key verifies ``child``; each pair of certificate and key once. ``None``: unknown."""
        key = child.sha256, issuer.spki_der
        known = self._signatures.get(key)
        if known is None:
            self._allowance -= 1
            if self._allowance < 0:
                return None
            known = (child.signed_by(issuer),)
            self._signatures.put(key, known)
        return known[0]

    def upper_paths(self, issuer: Certificate, around: Surroundings, source: Source) -> list[UpperPath]:
        """All paths from ``issuer`` up through anchors and what was sent."""
        found = around.closed.get(issuer.sha256)
        if found is None:
            found = self._climb(issuer, around, source, complete=False)
            if not self.exhausted and around.has_room(found):
                around.closed[issuer.sha256] = found
        return found

    def completions(self, issuer: Certificate, around: Surroundings, source: Source) -> list[UpperPath]:
        """All paths from ``issuer`` up, with the help of certificates that were not sent."""
        known = around.completed.get(issuer.sha256)
        size = self._intermediates.size
        if known is None or known[0] != size:
            if known is not None:  # of a smaller pool
                del around.completed[issuer.sha256]
                around.kept -= len(known[1])
            known = size, self._climb(issuer, around, source, complete=True)
            if not self.exhausted and around.has_room(known[1]):
                around.completed[issuer.sha256] = known
        return known[1]

    def steps(self, child: Certificate, around: Surroundings, *, complete: bool) -> list[Step]:
        """The issuers of ``child``: those whose signature verifies, else the likeliest one with what is wrong.

        Afterwards ``cut`` says whether a limit kept candidates from being tried, so that none is found for all we know.
        """
        self.cut = around.cut or self.exhausted
        name = child.issuer_der
        candidates: list[tuple[Certificate, Source]] = [(item, "anchor") for item in around.store.with_subject(name)]
        candidates += [(item, "sent") for item in around.sent.get(name, ())]
        if complete:
            candidates += [(item, "run") for item in self._intermediates.learnt(name)]
            candidates += [(item, "shipped") for item in self._intermediates.shipped(name)]
            candidates += [(item, "aia") for item in self._intermediates.fetched(name)]
        spelled_otherwise = not candidates
        if spelled_otherwise:
            candidates = [(item, "anchor") for item in around.store.with_similar_subject(name)]
            candidates += [(item, "sent") for item in around.similar(name)]
        if len(candidates) > 1:
            candidates = _sorted_candidates(child, candidates)
        if len(candidates) > MAX_CANDIDATES:
            self.cut = True
            candidates = candidates[:MAX_CANDIDATES]
        good: list[Step] = []
        other_key: list[Step] = []
        failing: list[Step] = []
        for issuer, source in candidates:
            if issuer.sha256 == child.sha256:
                continue
            verified = self.signed_by(child, issuer)
            if self.exhausted:
                self.cut = True
                break
            matches = _key_identifiers_match(child, issuer)
            if verified and spelled_otherwise:
                other_key.append(Step(issuer, source, (_other_spelling(child, issuer),)))
            elif verified and matches and _names_another_certificate(child, issuer):
                other_key.append(Step(issuer, source, (_other_certificate(child, issuer),)))
            elif verified and matches:
                good.append(Step(issuer, source))
            elif verified:
                other_key.append(Step(issuer, source, (_other_key(child, issuer),)))
            elif matches and not spelled_otherwise:
                failing.append(Step(issuer, source, (_bad_signature(child, issuer, verified),)))
        # OpenSSL and GnuTLS pass over an issuer whose key identifier is not the one asked for, whatever its key
        # verifies.
        if self.cut:
            return good
        return good or other_key or failing[:1]

    def _climb(self, issuer: Certificate, around: Surroundings, source: Source, *, complete: bool) -> list[UpperPath]:
        found: list[UpperPath] = []
        steps_left = MAX_STEPS
        first = Step(issuer, source)
        # Breadth first: the short paths that honest chains have are found before any labyrinth is walked.
        waiting: deque[tuple[Step, ...]] = deque([(first,)])
        while waiting and len(found) < MAX_PATHS and steps_left > 0:
            path = waiting.popleft()
            steps_left -= 1
            last = path[-1].issuer
            if last in around.store:
                found.append(_finish(path, "anchor", around.store.blocked))
                continue
            if last.self_issued and self.signed_by(last, last):
                found.append(_finish(path, "self-signed"))
                continue
            taken = {(step.issuer.subject_der, step.issuer.spki_der) for step in path}
            onward = []
            at_limit = len(path) >= MAX_DEPTH
            if not at_limit:
                onward = [
                    step
                    for step in self.steps(last, around, complete=complete)
                    # The same name with the same key is the same authority: going there again only goes in circles.
                    if (step.issuer.subject_der, step.issuer.spki_der) not in taken
                ]
                at_limit = self.cut
            if not onward:
                found.append(_finish(path, "limit" if at_limit else "unknown"))
            waiting.extend((*path, step) for step in onward)
        if waiting and all(path.end != "anchor" for path in found):
            found.append(_finish(waiting[0], "limit"))
        return found


def surroundings(store: TrustStore, issuers: tuple[Certificate, ...]) -> Surroundings:
    """Index what was sent after the leaf."""
    sent: dict[bytes, list[Certificate]] = {}
    seen: set[str] = set()
    for certificate in issuers[:MAX_SENT]:
        if certificate.sha256 not in seen:
            seen.add(certificate.sha256)
            sent.setdefault(certificate.subject_der, []).append(certificate)
    return Surroundings(store, sent, len(issuers) > MAX_SENT)


def _sorted_candidates(
    child: Certificate, candidates: list[tuple[Certificate, Source]]
) -> list[tuple[Certificate, Source]]:
    """Anchors first, then what was sent; within these, key identifiers that fit, then the longest valid.

    What is shipped comes before what others sent: so where a certificate comes from does not depend on who was met first.
    """
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


def _key_identifiers_match(child: Certificate, issuer: Certificate) -> bool:
    wanted, has = child.authority_key_id, issuer.subject_key_id
    return wanted is None or has is None or wanted == has


def _names_another_certificate(child: Certificate, issuer: Certificate) -> bool:
    """The authority key identifier names a certificate by issuer and serial number, and this is not it."""
    _, named_issuer, named_serial = child.authority_key
    if named_serial and serial_text_untrusted(named_serial) != issuer.serial:
        return True
    return named_issuer is not None and comparable(named_issuer) != comparable(issuer.issuer_der)


def _bad_signature(child: Certificate, issuer: Certificate, verified: bool | None) -> Problem:
    evidence = {"subject": child.subject, "issuer": issuer.subject, "signature": child.signature}
    if verified is None:
        evidence["reason"] = f"the signature ({child.signature}, key {issuer.key}) cannot be checked"
    return Problem("bad-signature", child.sha256, evidence)


def _other_key(child: Certificate, issuer: Certificate) -> Problem:
    return Problem(
        "issuer-unknown",
        child.sha256,
        {
            "subject": child.subject,
            "issuer": issuer.subject,
            "mismatch": "the authority key identifier names another key than that of the only issuer found",
            "authority_key_id": (child.authority_key_id or b"").hex(),
            "subject_key_id": (issuer.subject_key_id or b"").hex(),
            "refused_by": ["openssl", "curl", "python", "gnutls"],
        },
    )


def _other_certificate(child: Certificate, issuer: Certificate) -> Problem:
    # Only OpenSSL compares these: a CA that was renewed with its key leaves them pointing at its old certificate.
    return Problem(
        "issuer-unknown",
        child.sha256,
        {
            "subject": child.subject,
            "issuer": issuer.subject,
            "mismatch": "the authority key identifier names another certificate of it by its serial number",
            "serial_named": (child.authority_key.serial or b"").hex(),
            "serial": issuer.serial,
            "refused_by": ["openssl", "curl", "python"],
        },
    )


def _other_spelling(child: Certificate, issuer: Certificate) -> Problem:
    # RFC 5280 section 7.1 lets names differ in case, spaces and string type; Go and Firefox compare bytes.
    return Problem(
        "issuer-unknown",
        child.sha256,
        {
            "subject": child.subject,
            "issuer": issuer.subject,
            "mismatch": "the certificate writes its issuer's name in another way than the issuer does",
            "issuer_as_named": child.issuer,
            "refused_by": ["go", "firefox"],
        },
    )


def _blocked(authority: Certificate, blocked: Blocklist) -> Problem:
    evidence = {"list": blocked.name, "serial": authority.serial, "refused_by": ["firefox"]}
    return Problem("revoked-crl", authority.sha256, {"subject": authority.subject, **evidence})


def _finish(path: tuple[Step, ...], end: End, blocked: Blocklist | None = None) -> UpperPath:
    certificates = tuple(step.issuer for step in path)
    problems = [problem for step in path for problem in step.problems]
    problems += rules.issuer_problems(certificates, closed=end in ("anchor", "self-signed"))
    if blocked is not None:
        problems += [_blocked(certificate, blocked) for certificate in certificates if certificate in blocked]
    return UpperPath(
        certificates,
        end,
        tuple(problems),
        tuple((step.issuer.sha256, step.source) for step in path if step.source in NOT_SENT),
        max(certificate.not_before for certificate in certificates),
        min(certificate.not_after for certificate in certificates),
        any(certificate.name_constraints is not None for certificate in certificates),
    )
