"""Finds the best path of one leaf in each store, and all its valid ones; every path is built and checked once.

Pure but for the builder's caches. Where the chain's budget ends, the search ends with the problem
``too-costly-to-judge``, which says what was spent and which clients give up too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from scanner.trust.client_limits import limits_exceeded
from scanner.trust.path_check import (
    CLOSED,
    COMPLETED,
    LIMIT,
    ROOT,
    UNKNOWN,
    CheckedPath,
    check_path,
    given_up,
    self_signed,
    unknown_issuer,
)
from scanner.trust.paths import ChainContext, IssuerPath, Link, PathBuilder
from scanner.trust.policy_rules import is_demanding, steps_to_check
from scanner.trust.step_budget import TooCostly
from scanner.trust.unbacktracked import FirstPath, first_paths, for_each_client, not_found_by_all
from scanner.trust.verdicts import Problem
from scanner.x509.certificate import Certificate

# Seconds for which a verdict is kept that the budget cut short: what else it would depend on is not known.
_SHORT: Final = 600.0


class PathSearch:
    """The paths of one leaf at one moment (epoch seconds), over all stores."""

    def __init__(
        self,
        builder: PathBuilder,
        leaf: Certificate,
        contexts: Sequence[ChainContext],
        at: float,
        sizes: Sequence[int] = (),
    ) -> None:
        """``sizes`` are the bytes of each certificate that the server sent, unreadable ones included."""
        self._builder = builder
        self.leaf = leaf
        self._at = at
        self._sizes = sizes
        self.contexts = contexts
        self.exhausted = False
        self._checked: dict[int, list[CheckedPath]] = {}
        self._rest: dict[int, Iterator[CheckedPath]] = {}
        self._first: dict[int, dict[str, FirstPath]] = {}

    def best(self, context: ChainContext) -> CheckedPath:
        """Return the first valid path through anchors and what was sent, else the best failing one."""
        leaf = self.leaf
        if leaf in context.store:
            return CheckedPath(CLOSED, (leaf,), [], {}, leaf)
        best: CheckedPath | None = None
        try:
            self._builder.links(leaf, context, complete=False)
            given_up_at_once = self._builder.cut
            for path in self.paths(context):
                if path.is_valid:
                    return path
                if best is None or path.rank < best.rank:
                    best = path
            if best is None:
                if self._builder.self_signed(leaf):
                    return CheckedPath(ROOT, (leaf,), [self_signed(leaf, None)], {}, None)
                if given_up_at_once:
                    return CheckedPath(LIMIT, (leaf,), [given_up(leaf)], {}, None)
                return CheckedPath(UNKNOWN, (leaf,), [unknown_issuer(leaf)], {}, None)
        except TooCostly:
            return CheckedPath(LIMIT, (leaf,), [self.too_costly()], {}, None)
        return best

    def best_for_each_client(self, context: ChainContext, best: CheckedPath) -> CheckedPath:
        """Return ``best``, a path to an anchor, without its problems for clients that find another one that they accept."""
        try:
            checked = list(self.paths(context))
            if len(checked) < 2:
                return best
            return for_each_client(best, checked, self.first_paths(context))
        except TooCostly:
            return best  # the others were not looked at

    def first_paths(self, context: ChainContext) -> dict[str, FirstPath]:
        """Return the paths of clients that do not turn back. Raises ``TooCostly``."""
        known = self._first.get(id(context))
        if known is None:
            checked = list(self.paths(context))
            known = self._first[id(context)] = first_paths(self.leaf, context, checked, self._builder, self._at)
        return known

    def not_found_by_all(
        self, bests: Iterable[tuple[ChainContext, CheckedPath]], sent: Sequence[Certificate | None]
    ) -> Problem | None:
        """Return ``path-not-found-by-all`` for the best paths of stores that have one. Raises ``TooCostly``."""
        stores = [(best, list(self.paths(context)), self.first_paths(context)) for context, best in bests]
        return not_found_by_all(stores, sent)

    def best_completion(self, context: ChainContext, failing: CheckedPath) -> CheckedPath:
        """Return a path to an anchor through certificates that were not sent, or ``failing``.

        Where ``failing`` is closed and only expired, it stays, and its problems name the certificates that would
        replace it.
        """
        only_expired = failing.kind == CLOSED and all(item.code == "intermediate-expired" for item in failing.problems)
        if self.exhausted or (failing.kind == CLOSED and not only_expired):
            return failing
        best: CheckedPath | None = None
        try:
            for path in self._completions(context):
                if best is None or path.rank < best.rank:
                    best = path
        except TooCostly:
            # what was sent was searched to its end; whether something completes it is not known
            failing.problems.append(self.too_costly())
        if best is None:
            return failing
        if only_expired:
            if [problem.code for problem in best.problems] == ["intermediate-not-sent"]:
                renewed = best.problems[0].evidence["missing"]
                failing.problems = [
                    Problem(problem.code, problem.certificate, {**problem.evidence, "replacement": renewed})
                    for problem in failing.problems
                ]
            return failing
        return best if best.rank < failing.rank else failing

    def valid_paths(self) -> Iterator[tuple[Certificate, ...]]:
        """Yield all valid paths through anchors and what was sent, of all stores. Raises ``TooCostly``."""
        for context in self.contexts:
            for path in self.paths(context):
                if path.is_valid:
                    yield path.certificates

    def has_one_path(self, context: ChainContext) -> bool:
        """Return True if ``best`` found a single path to an anchor, through what was sent or anchors alone."""
        return len(self._checked.get(id(context), ())) == 1

    def taking_part(self, *, complete: bool) -> set[Certificate]:
        """Return the certificates above the leaf on which its verdict depends; ``complete``: those not sent too."""
        found: set[Certificate] = set()
        try:
            for context in self.contexts:
                found.update(link.issuer for link in self._builder.links(self.leaf, context, complete=complete))
                for path_set in context.paths.values():
                    for path in path_set.paths:
                        self._builder.budget.charge(len(path.certificates))
                        found.update(path.certificates)
        except TooCostly:
            self.exhausted = True
        return found

    def close(self) -> None:
        """Drop unfinished searches, each of which holds a reference to this object."""
        self._rest.clear()

    # --- all paths -------------------------------------------------------------------------------

    def paths(self, context: ChainContext) -> Iterator[CheckedPath]:
        """Yield all paths through anchors and what was sent, those already checked first. Raises ``TooCostly``."""
        key = id(context)
        if key not in self._rest:
            self._checked[key], self._rest[key] = [], self._check_all(context)
        checked = self._checked[key]
        yield from checked
        for path in self._rest[key]:
            checked.append(path)
            yield path
        if self.exhausted:
            raise TooCostly  # the generator that raised it has ended

    def _check_all(self, context: ChainContext) -> Iterator[CheckedPath]:
        builder, leaf = self._builder, self.leaf
        first = True
        for place, link in enumerate(builder.links(leaf, context, complete=False)):
            if link.problems and builder.self_signed(leaf):
                continue  # it is self-signed, and that counts, not that a CA of its own name did not sign it
            for above_path in builder.paths_above(link.issuer, context, link.source, complete=False):
                path = self._check(link, above_path, context)
                path.first = first and place == 0
                first = False
                yield path

    def _completions(self, context: ChainContext) -> Iterator[CheckedPath]:
        builder = self._builder
        for link in builder.links(self.leaf, context, complete=True):
            for above_path in builder.paths_above(link.issuer, context, link.source, complete=True):
                # what was fetched from where a certificate says belongs to the chain even if that leads to no anchor
                if above_path.end != "anchor" and "aia" not in {link.source, *dict(above_path.completed).values()}:
                    continue
                path = self._check(link, above_path, context)
                if path.kind == COMPLETED or above_path.end != "anchor":
                    yield path

    def _check(self, link: Link, above_path: IssuerPath, context: ChainContext) -> CheckedPath:
        budget = self._builder.budget
        budget.paths += 1
        length = len(above_path.certificates)
        timely = above_path.not_before <= self._at <= above_path.not_after
        budget.charge(8 + length * (1 if timely and not above_path.constrained else 4))
        if above_path.demanding or is_demanding(self.leaf):
            budget.charge(steps_to_check((self.leaf, *above_path.certificates)))
        return check_path(self.leaf, link, above_path, context, self._at, violation=self._builder.violation)

    # --- the end of the budget -------------------------------------------------------------------

    def too_costly(self) -> Problem:
        """Return ``too-costly-to-judge``: what was spent, and which limits of clients the chain exceeds too."""
        self.exhausted = True
        budget = self._builder.budget
        clients, limits = limits_exceeded(self.leaf, self._sizes, self._builder, self.contexts, self._at)
        detail = (
            f"{len(self._sizes)} certificates, {budget.signatures} signatures verified, {budget.paths} paths looked at "
            f"when {budget.limit} steps were spent"
        )
        evidence: dict[str, Any] = {
            "subject": self.leaf.subject,
            "detail": detail,
            "sent": len(self._sizes),
            "signatures": budget.signatures,
            "paths": budget.paths,
            "steps": budget.limit,
        }
        if clients:
            evidence |= {"client_limits": limits, "refused_by": clients}
        return Problem("too-costly-to-judge", self.leaf.sha256, evidence)

    def short_window(self, sent: Iterable[Certificate | None]) -> tuple[float, float]:
        """Return the open interval in which a verdict that the budget cut short is reused."""
        low, high = interval([certificate for certificate in sent if certificate is not None], self._at)
        return max(low, self._at - _SHORT), min(high, self._at + _SHORT)


def interval(certificates: Iterable[Certificate], at: float) -> tuple[float, float]:
    """Return the open interval around ``at`` in which none of these begins or ends to be valid."""
    low, high = float("-inf"), float("inf")
    for certificate in certificates:
        for moment in (certificate.not_before, certificate.not_after):
            if moment <= at:
                low = max(low, moment)
            if moment >= at:
                high = min(high, moment)
    return low, high
