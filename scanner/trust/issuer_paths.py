"""Caches the paths above an issuer, one per store, for all its leaves.

A fleet has thousands of leaves under a few issuers, sent with the same certificates. Once one of them has verified, a
later leaf only needs the checks that depend on the leaf: its signature, its rules, its dates, its key identifier.
That takes 20 microseconds where searching and checking the paths takes 40 (without the signature itself, which is
some 60 in both): 3 % of a healthy target. Where the issuer itself is at fault, as with an expired intermediate, the
search goes on for other paths and takes several times as long; all leaves below it have its problems, so they share
them. A leaf that differs in any respect that might matter is verified at full length;
``tests/trust/test_issuer_paths.py`` compares both for all kinds of leaves, chains and stores.

What is shared depends on the moment and, where other paths were looked for, on the intermediates that were known: it is
used while no certificate that took part begins or ends to be valid, and while no intermediate is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scanner.trust import certificate_rules as rules
from scanner.trust import placeholders
from scanner.trust.chrome_store import chrome_store
from scanner.trust.client_algorithms import USUAL_SIGNATURES
from scanner.trust.path_check import CLOSED
from scanner.trust.path_search import interval
from scanner.trust.policy_rules import is_demanding
from scanner.trust.verdicts import ChainVerdict, Problem, StoreVerdict
from scanner.x509 import extensions
from scanner.x509.certificate import Certificate

if TYPE_CHECKING:
    from scanner.trust.path_check import CheckedPath
    from scanner.trust.path_search import PathSearch
    from scanner.trust.paths import ChainContext, PathBuilder
    from scanner.trust.untrusted_issuer import OwnAuthorities


class CachedIssuerPath:
    """The paths of leaves that name one issuer and one key of it, and are sent with the same certificates."""

    __slots__ = (
        "_above", "_anchors", "_authority_key", "_distrusted", "_is_public", "_issuer", "_issuers", "_stores", "_trusted",
        "_window", "pool",
    )  # fmt: skip

    def __init__(
        self,
        leaf: Certificate,
        found: Sequence[tuple[ChainContext, CheckedPath]],
        verdict: ChainVerdict,
        anchors: frozenset[str],
        window: tuple[float, float],
        pool: int | None,
    ) -> None:
        """``found`` has the path of ``leaf`` in each store, ``anchors`` are those of all stores.

        ``window`` is the open interval in which the paths are these; ``pool`` is how many intermediates were known,
        if other paths were looked for.
        """
        self._anchors = anchors
        self._authority_key = leaf.authority_key
        self._issuers = verdict.sent[1:]
        self._above = verdict.path[1:]
        self._issuer = self._above[0]
        self._is_public = verdict.publicly_trusted
        self._trusted = verdict.trusted
        self._window = window
        self.pool = pool
        self._distrusted = float("inf")
        self._stores: list[tuple[str, str, tuple[str, ...], tuple[Problem, ...]]] = []
        for context, path in found:
            above = path.certificates[1:]
            anchor = above[-1].sha256
            self._distrusted = min(self._distrusted, context.store.distrust_after.get(anchor, self._distrusted))
            sha256s = tuple([item.sha256 for item in above])
            self._stores.append((context.store.name, anchor, sha256s, verdict.stores[context.store.name].problems))

    def verdict(
        self, leaf: Certificate, at: float, builder: PathBuilder, own: OwnAuthorities | None, pool: int
    ) -> ChainVerdict | None:
        """Return the verdict on another leaf of this issuer; ``None`` if it must be verified at full length."""
        if (
            not self._window[0] < at < self._window[1]
            or (self.pool is not None and self.pool != pool)
            or leaf.authority_key != self._authority_key
            or leaf.not_before > self._distrusted
            or leaf.self_issued
            or leaf.is_ca
            or is_demanding(leaf)
            or len(leaf.san) >= extensions.MAX_NAMES
            or leaf.sha256 in self._anchors
            or not (leaf.key_usage is None or leaf.key_usage & extensions.DIGITAL_SIGNATURE)
            or leaf.flaws
            or leaf.signature not in USUAL_SIGNATURES
            or rules.leaf_problems(leaf, at)
            or (self._is_public and rules.lifetime_problem(leaf) is not None)
            or (not self._trusted and placeholders.match(leaf) is not None)
            or builder.signed_by(leaf, self._issuer) is not True
        ):
            return None
        sha256 = leaf.sha256
        sent = (leaf, *self._issuers)
        path = leaf, *self._above
        return ChainVerdict(
            sent,
            (),
            {
                name: StoreVerdict(name, not problems, anchor, (sha256, *above), problems, {})
                for name, anchor, above, problems in self._stores
            },
            (),
            None,
            self._is_public,
            path,
            own is not None and own.covers((*sent, *path)),
        )


def cacheable_path(
    leaf: Certificate,
    search: PathSearch,
    found: Sequence[tuple[ChainContext, CheckedPath]],
    verdict: ChainVerdict,
    anchors: frozenset[str],
    at: float,
    pool: int | None,
) -> CachedIssuerPath | None:
    """Return what other leaves can share with this one; ``None`` if its own paths or problems may differ from theirs."""
    if verdict.leaf_problems or verdict.chain_problems or not found:
        return None
    sent, paths = verdict.sent, [path for _, path in found]
    # the path of a leaf that is an anchor is itself
    if leaf.self_issued or leaf.sha256 in anchors:
        return None
    if not all(_is_shared(search, context, path) for context, path in found):
        return None
    if len({path.certificates[1].spki_der for path in paths}) != 1:
        return None
    above = [certificate for path in paths for certificate in path.certificates[1:]]
    if any(certificate.name_constraints is not None or is_demanding(certificate) for certificate in above):
        return None
    # only if exactly a path was sent, without its root, its order and completeness do not depend on the leaf
    last = sent[-1]
    if len(sent) > 1 and (sent != verdict.path[: len(sent)] or last is None or last.self_issued):
        return None
    if verdict.trusted and verdict.publicly_trusted and not _chrome_agrees(paths):
        return None
    took_part = set(above) if pool is None else search.taking_part(complete=True).union(above)
    if search.exhausted:
        return None
    return CachedIssuerPath(leaf, found, verdict, anchors, interval(took_part, at), pool)


def _is_shared(search: PathSearch, context: ChainContext, path: CheckedPath) -> bool:
    """Return True if other leaves have this path: it is valid and the first, or the only one and out of its time."""
    if not path.problems:
        return path.first
    return (
        path.kind == CLOSED
        and not path.completed
        and search.has_one_path(context)
        and all(problem.code == "intermediate-expired" for problem in path.problems)
    )


def _chrome_agrees(paths: Sequence[CheckedPath]) -> bool:
    """Return True if Chrome accepts one of these, whenever the leaf was logged."""
    store = chrome_store()
    if any(path.certificates[-1].sha256 not in store.mozilla for path in paths):
        return True
    above = [certificate.sha256 for path in paths for certificate in path.certificates[1:]]
    return any(sha256 in store.anchors and store.anchors[sha256] is None for sha256 in above)
