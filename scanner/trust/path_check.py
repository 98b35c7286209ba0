"""Checks one path for one leaf at one moment: what kind of path it is, and all problems above the leaf."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct

from scanner.trust import certificate_rules as rules
from scanner.trust.certificate_rules import FindViolation
from scanner.trust.paths import NOT_SENT, ChainContext, IssuerPath, Link
from scanner.trust.policy_rules import is_demanding, policy_problem
from scanner.trust.stores import TrustStore
from scanner.trust.verdicts import Problem
from scanner.x509.certificate import Certificate
from scanner.x509.name_constraints import EVERYBODY

# The kinds of path, best first: to an anchor through what was sent; to an anchor through what was not; to some other
# root, or to an anchor that did not sign it; to where a limit ended the search; to a certificate whose issuer is not
# known.
CLOSED, COMPLETED, ROOT, LIMIT, UNKNOWN = range(5)
# Links with these were only followed for want of better ones: the anchor above them vouches for nothing.
_BROKEN_STEPS: Final = frozenset({"bad-signature", "unsupported-algorithm", "issuer-unknown"})
# Of an anchor Java asks that it can be read, knows its key, is a CA and may sign, and nothing else.
JAVA_ASKS_OF_ANCHORS: Final = frozenset(
    {"malformed-certificate", "unsupported-algorithm", "issuer-not-a-ca", "wrong-key-usage"}
)
# Clients whose refusal alone is a warning (docs/causes.md)
_NOT_MAINSTREAM: Final = frozenset({"gnutls"})


class CheckedPath(Struct):
    """One path for one leaf, its problems, and the ``anchor`` that vouches for it all the same. ``first``: it was checked first.

    ``notices`` are problems for which no mainstream client refuses the path.
    """

    kind: int
    certificates: tuple[Certificate, ...]
    problems: list[Problem]
    completed: dict[str, str]
    anchor: Certificate | None
    first: bool = False
    notices: tuple[Problem, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether it leads to an anchor through what was sent, without problems."""
        return self.kind == CLOSED and not self.problems

    def problems_for(self, client: str) -> tuple[Problem, ...]:
        """Return the problems for which a client refuses this path."""
        return tuple(
            [
                problem
                for problem in (*self.problems, *self.notices)
                if client in problem.evidence.get("refused_by", EVERYBODY)
                and not (client == "java" and self._java_passes_over(problem))
            ]
        )

    def concerns(self, client: str) -> bool:
        """Return whether a client refuses this path."""
        return self.kind != CLOSED or bool(self.problems_for(client))

    def _java_passes_over(self, problem: Problem) -> bool:
        """Return whether Java does not look for this: most of what an anchor is, and the purposes of CAs."""
        breaking = problem.evidence.get("authority", problem.certificate)
        if problem.code == "not-for-server-auth":
            return problem.certificate != self.certificates[0].sha256
        of_anchor = self.anchor is not None and breaking == self.anchor.sha256
        return of_anchor and problem.code not in JAVA_ASKS_OF_ANCHORS

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Sort key; the smallest is the best path."""
        # Of paths to an unknown issuer the longest says most, of all others the shortest.
        length = len(self.certificates)
        refusing = {client for problem in self.problems for client in problem.evidence.get("refused_by", EVERYBODY)}
        return self.kind, len(refusing), len(self.problems), -length if self.kind == UNKNOWN else length


def check_path(
    leaf: Certificate, link: Link, above_path: IssuerPath, context: ChainContext, at: float, *, violation: FindViolation
) -> CheckedPath:
    """Return the path from ``leaf`` through ``link`` and ``above_path``, with all problems above the leaf at ``at``."""
    problems = [*link.problems, *above_path.problems]
    if not above_path.not_before <= at <= above_path.not_after:
        problems += rules.validity_problems(above_path.certificates, at)
    if above_path.constrained:
        for authority in above_path.certificates:
            problems += rules.constraint_problems(authority, leaf, violation)
    if (above_path.demanding or is_demanding(leaf)) and above_path.end == "anchor":
        if (broken := policy_problem((leaf, *above_path.certificates))) is not None:
            problems.append(broken)
    top = above_path.certificates[-1]
    completed = dict(above_path.completed)
    if link.source in NOT_SENT:
        completed[link.issuer.sha256] = link.source
    certificates = (leaf, *above_path.certificates)
    anchor = None
    if any(problem.code in _BROKEN_STEPS for problem in problems):
        kind = ROOT if above_path.end in ("anchor", "self-signed") else UNKNOWN
        completed = {}
    elif above_path.end == "anchor":
        anchor = top
        kind = CLOSED
        completed.pop(top.sha256, None)
        distrusted = context.store.distrust_after.get(top.sha256)
        if distrusted is not None and leaf.not_before > distrusted:
            problems.append(_distrusted(leaf, top, distrusted))
        if completed:
            kind = COMPLETED
            problems.append(_not_sent(certificates, completed))
    elif above_path.end == "self-signed":
        kind = ROOT
        problems.append(_untrusted_root(top, context.store))
    elif above_path.end == "limit":
        kind = LIMIT
        problems.append(given_up(top))
    else:
        kind = UNKNOWN
        problems.append(unknown_issuer(top))
    if not problems:
        return CheckedPath(kind, certificates, problems, completed, anchor)
    notices = tuple([problem for problem in problems if is_notice(problem)])
    left = [problem for problem in problems if problem not in notices] if notices else problems
    return CheckedPath(kind, certificates, left, completed, anchor, notices=notices)


def is_notice(problem: Problem) -> bool:
    """Return whether no mainstream client refuses a certificate for this problem."""
    refusing = problem.evidence.get("refused_by")
    return refusing is not None and _NOT_MAINSTREAM.issuperset(refusing)


# --- problems that end a path ----------------------------------------------------------------------


def self_signed(leaf: Certificate, resembles: str | None) -> Problem:
    """Return ``self-signed-leaf``; ``resembles`` is a product that is said to make such certificates."""
    evidence: dict[str, Any] = {"subject": leaf.subject, "key": leaf.key, "not_after": leaf.not_after_text}
    if resembles is not None:
        evidence["resembles"] = resembles
    return Problem("self-signed-leaf", leaf.sha256, evidence)


def unknown_issuer(top: Certificate) -> Problem:
    """Return the problem of a path that ends at ``top``, whose issuer is not known."""
    evidence: dict[str, Any] = {"subject": top.subject, "issuer": top.issuer}
    if top.aia_ca_issuers:
        # The outcome of fetching is known to ``net.lookups``; nothing here touches the network.
        return Problem("intermediate-unobtainable", top.sha256, {**evidence, "aia": list(top.aia_ca_issuers)})
    return Problem("issuer-unknown", top.sha256, evidence)


def given_up(top: Certificate) -> Problem:
    """Return ``path-length-exceeded``: a limit ended the search at ``top``, and what is beyond may have been sent."""
    detail = "more certificates stand above one another, or beside one another, than are followed"
    return Problem("path-length-exceeded", top.sha256, {"subject": top.subject, "issuer": top.issuer, "detail": detail})


def _untrusted_root(root: Certificate, store: TrustStore) -> Problem:
    evidence: dict[str, Any] = {"root": root.subject, "not_after": root.not_after_text}
    namesakes = store.with_subject(root.subject_der)
    if namesakes:
        evidence["anchor_of_same_name"] = namesakes[0].sha256
    return Problem("untrusted-root", root.sha256, evidence)


def _distrusted(leaf: Certificate, anchor: Certificate, since: float) -> Problem:
    return Problem(
        "untrusted-root",
        anchor.sha256,
        {
            "root": anchor.subject,
            "distrusted_for_certificates_after": datetime.fromtimestamp(since, UTC).isoformat(),
            "not_before": leaf.not_before_text,
        },
    )


def _not_sent(path: tuple[Certificate, ...], completed: dict[str, str]) -> Problem:
    missing = [
        {"sha256": certificate.sha256, "subject": certificate.subject, "from": completed[certificate.sha256]}
        for certificate in path
        if certificate.sha256 in completed
    ]
    child = next(lower for lower, above_path in pairwise(path) if above_path.sha256 in completed)
    evidence = {
        "subject": child.subject,
        "issuer": child.issuer,
        "missing": missing,
        "aia": list(child.aia_ca_issuers),
    }
    return Problem("intermediate-not-sent", child.sha256, evidence)
