"""The judge: certificates as one endpoint sent them, a name and a moment in, one ``ChainVerdict`` out.

Pure but for its caches, and each of those only saves work: the answer never depends on what was judged before, save
that intermediates met in this run may complete a later path (which is then reported as incomplete all the same).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Any, Final

from scanner.caching import Cache
from scanner.pki import extensions, judge_caches, placeholders, rules
from scanner.pki.certificate import Certificate, CertificateError
from scanner.pki.chrome import chrome_problem, chrome_store
from scanner.pki.intermediates import Intermediates
from scanner.pki.lineage import OwnAuthorities
from scanner.pki.minority import authority_as_server, minority_problems
from scanner.pki.names import entry_for, match_name, matched
from scanner.pki.paths import MAX_SENT, PathBuilder, Surroundings, surroundings
from scanner.pki.shape import shape_problems
from scanner.pki.stores import TrustStore
from scanner.pki.usual import usual_way
from scanner.pki.verdicts import ChainVerdict, NameVerdict, Problem, StoreVerdict
from scanner.pki.weigh import (
    CLOSED,
    COMPLETED,
    LIMIT,
    ROOT,
    UNKNOWN,
    WeighedPath,
    given_up,
    self_signed,
    unknown_issuer,
    weigh,
)
from scanner.records import dataclass

# Entries of one certificate whose verdicts are kept: one for a wildcard; of what names hundreds, each is met once.
MAX_NAMED: Final = 16


@dataclass(slots=True)
class _Judged:
    """A chain's verdict without the name, the moment it was made for, and what it depended on."""

    verdict: ChainVerdict
    at: float
    pool: int | None  # size of the run's pool, where completions were looked for
    window: tuple[float, float] | None = None
    # the verdict for each entry of the certificate that matched some name: of the names of a wildcard all have the same
    named: dict[str, ChainVerdict] = field(default_factory=dict)


class Judge:
    """Judges chains against some stores; belongs to one thread."""

    def __init__(
        self,
        stores: Sequence[TrustStore],
        *,
        public_roots: frozenset[str],
        intermediates: Intermediates,
        own: OwnAuthorities | None = None,
    ) -> None:
        """``public_roots`` are SHA-256 (hex) of the anchors held to public rules, ``own`` the estate's own CAs."""
        self._own = own or None
        self._stores = tuple(stores)
        self._public_roots = public_roots
        self._intermediates = intermediates
        self._builder = PathBuilder(intermediates)
        self._anchors = frozenset(sha256 for store in self._stores for sha256 in store.anchors)
        self._chains: Cache[tuple[bytes, ...], _Judged] = judge_caches.chains()
        self._issuers = judge_caches.issuers()
        self._leaves = judge_caches.leaves()
        self._last_leaf: Certificate | None = None
        # what was judged last: most often the same comes again
        self._last: tuple[tuple[bytes, ...], _Judged] | None = None
        self._around = judge_caches.around()
        self._ways = judge_caches.ways()

    @property
    def intermediates(self) -> Intermediates:
        """What completes paths, to which whoever fetches issuers adds."""
        return self._intermediates

    def judge(self, chain: tuple[bytes, ...], *, name: str | None, at: float) -> ChainVerdict:
        """Judge DER certificates as sent, leaf first, for ``name`` (host name or IP text) at ``at`` (epoch seconds)."""
        at = at // 1.0  # certificates know whole seconds: the second of notAfter belongs to it until it ends
        last = self._last
        judged = last[1] if last is not None and last[0] == chain else self._chains.get(chain)
        if judged is None or (
            (judged.pool is not None or judged.window is None or not judged.window[0] < at < judged.window[1])
            and not self._still_holds(judged, at)
        ):
            judged = self._judge_chain(chain, at)
            self._chains.put(chain, judged)
            self._last = chain, judged
        elif last is None or judged is not last[1]:
            self._last = chain, judged
        verdict = judged.verdict
        leaf = verdict.leaf
        if name is None or leaf is None:
            return verdict
        entry = None if ":" in name or name[-1:].isdigit() else entry_for(leaf.dns_names, name)
        if entry is None:
            return _named(verdict, match_name(leaf, name))
        named = judged.named.get(entry)
        if named is None:
            if len(judged.named) >= MAX_NAMED:
                judged.named.clear()
            named = judged.named[entry] = _named(verdict, matched(leaf, entry))
        return named

    def leaf_key(self, data: bytes) -> Any:
        """The public key of a leaf that will be judged, as ``cryptography`` has it; ``None`` where it cannot be read."""
        leaf = self._last_leaf
        if leaf is None or leaf.der != data:
            parsed = self._parse(data, is_leaf=True)
            if isinstance(parsed, CertificateError):
                return None
            leaf = parsed
        try:
            return leaf.public_key
        except CertificateError:
            return None

    # --- caching ---------------------------------------------------------------------------------

    def _still_holds(self, judged: _Judged, at: float) -> bool:
        if judged.pool is not None and judged.pool != self._intermediates.size:
            return False
        if at == judged.at:
            return True
        if judged.window is None:
            judged.window = self._window(judged.verdict, judged.at, complete=judged.pool is not None)
        return judged.window[0] < at < judged.window[1]

    def _window(self, verdict: ChainVerdict, at: float, *, complete: bool) -> tuple[float, float]:
        """The open interval around ``at`` in which no certificate that took part begins or ends to be valid."""
        certificates: set[Certificate] = {item for item in verdict.sent if item is not None}
        leaf = verdict.leaf
        if leaf is not None:
            self._builder.begin()
            for around in self._surroundings(verdict.sent):
                for step in self._builder.steps(leaf, around, complete=complete):
                    certificates.add(step.issuer)
                for paths in [*around.closed.values(), *(known[1] for known in around.completed.values())]:
                    for path in paths:
                        certificates.update(path.certificates)
        low, high = float("-inf"), float("inf")
        for certificate in certificates:
            for moment in (certificate.not_before, certificate.not_after):
                if moment <= at:
                    low = max(low, moment)
                if moment >= at:
                    high = min(high, moment)
        return low, high

    def _surroundings(self, sent: tuple[Certificate | None, ...]) -> tuple[Surroundings, ...]:
        issuers = tuple(certificate for certificate in sent[1:] if certificate is not None)
        key = tuple([certificate.sha256 for certificate in issuers])
        found = self._around.get(key)
        if found is None:
            found = tuple([surroundings(store, issuers) for store in self._stores])
            self._around.put(key, found)
        return found

    def _parse(self, data: bytes, *, is_leaf: bool) -> Certificate | CertificateError:
        if not is_leaf:
            kept: Cache[bytes, Certificate] = self._issuers
        elif self._last_leaf is not None and self._last_leaf.der is data:
            return self._last_leaf  # asked for its key a moment ago
        else:
            kept = self._leaves
        known = kept.get(data)
        if known is None:
            try:
                known = Certificate.parse_untrusted(data)
            except CertificateError as error:
                return error
            kept.put(data, known)
        if is_leaf:
            self._last_leaf = known
        return known

    # --- judging ---------------------------------------------------------------------------------

    def _judge_chain(self, chain: tuple[bytes, ...], at: float) -> _Judged:
        self._builder.begin()
        first = self._parse(chain[0], is_leaf=True) if chain else None
        if isinstance(first, Certificate):
            way = self._ways.get((first.issuer_der, *chain[1:]))
            if way is not None and (known := way.verdict(first, at, self._builder, self._own)) is not None:
                return _Judged(known, at, None)
        sent: list[Certificate | None] = []
        malformed: list[Problem] = []
        for place, data in enumerate(chain):
            parsed = self._parse(data, is_leaf=False) if place or first is None else first
            if isinstance(parsed, Certificate):
                sent.append(parsed)
            else:
                sent.append(None)
                malformed.append(Problem("malformed-certificate", None, {"position": place, "error": str(parsed)}))
        everything = tuple(sent)
        if not everything:
            return _Judged(ChainVerdict(()), at, None)
        leaf = everything[0]
        if leaf is None:
            stores = {store.name: StoreVerdict(store.name, False, None, (), (malformed[0],)) for store in self._stores}
            return _Judged(ChainVerdict(everything, (malformed[0],), stores, tuple(malformed[1:])), at, None)

        own = rules.leaf_problems(leaf, at)
        verdicts: dict[str, StoreVerdict] = {}
        found: list[tuple[Surroundings, WeighedPath]] = []
        best: WeighedPath | None = None
        looked_further = False
        is_public = False
        for around in self._surroundings(everything):
            path = self._best_path(leaf, around, at)
            if path.kind != CLOSED or path.problems:
                path = self._best_completion(leaf, around, at, path)
                looked_further = True
            found.append((around, path))
            problems = (_as_anchor(own) if leaf in around.store else own) + path.problems
            verdicts[around.store.name] = StoreVerdict(
                around.store.name,
                not problems,
                path.anchor.sha256 if path.anchor else None,
                tuple([certificate.sha256 for certificate in path.certificates]),
                rules.worst_first(problems) if problems else (),
                path.completed,
            )
            if path.anchor is not None:
                is_public = is_public or path.anchor.sha256 in self._public_roots
                self._learn(path, everything)
            if best is None or path.rank < best.rank:
                best = path
        trusted = any(verdict.trusted for verdict in verdicts.values())
        leaf_findings = self._leaf_findings(leaf, own, trusted=trusted, is_public=is_public)
        shape = self._shape(everything, leaf, best, at) if len(everything) > 1 else ()
        if trusted and best is not None:
            shape = (*minority_problems(len(everything), best.certificates), *shape)
            if is_public and (refused := self._chrome(everything, leaf, at)) is not None:
                shape = (refused, *shape)
        shape = (*malformed, *shape) if malformed else shape
        path_found = best.certificates if best is not None else ()
        own_ca = self._own is not None and self._own.vouch_for((*everything, *path_found))
        verdict = ChainVerdict(everything, leaf_findings, verdicts, shape, None, is_public, path_found, own_ca)
        if not looked_further and (new_way := usual_way(leaf, found, verdict, self._anchors)) is not None:
            self._ways.put((leaf.issuer_der, *chain[1:]), new_way)
        return _Judged(verdict, at, self._intermediates.size if looked_further else None)

    def _leaf_findings(
        self, leaf: Certificate, own: list[Problem], *, trusted: bool, is_public: bool
    ) -> tuple[Problem, ...]:
        problems = _as_anchor(own) if leaf.sha256 in self._anchors else list(own)
        if not trusted:
            known = placeholders.match(leaf)
            resembles = None
            if known is not None:
                product, entry = known
                if entry.decides:
                    evidence: dict[str, Any] = {"product": product, "subject": leaf.subject, "issuer": leaf.issuer}
                    problems.insert(0, Problem("placeholder-certificate", leaf.sha256, evidence))
                else:
                    resembles = product
            if leaf.sha256 not in self._anchors and leaf.self_signed:
                problems.append(self_signed(leaf, resembles))
        if trusted and (as_server := authority_as_server(leaf)) is not None:
            problems.append(as_server)
        if leaf.key_usage is not None and not leaf.key_usage & extensions.DIGITAL_SIGNATURE:
            # BoringSSL (Chrome), Java and GnuTLS want digitalSignature for every key exchange with forward secrecy and
            # all of TLS 1.3; OpenSSL, NSS (Firefox) and Go take the certificate.
            if not any(problem.code == "wrong-key-usage" for problem in own):
                evidence = {
                    "subject": leaf.subject,
                    "key_usage": rules.usages(leaf),
                    "missing": "digitalSignature",
                    "refused_by": ["java", "chrome", "gnutls"],
                }
                problems.append(Problem("wrong-key-usage", leaf.sha256, evidence))
        if is_public:
            too_long = rules.lifetime_problem(leaf)
            if too_long is not None:
                problems.append(too_long)
        return tuple(problems)

    def _best_path(self, leaf: Certificate, around: Surroundings, at: float) -> WeighedPath:
        """The first valid path through anchors and what was sent, else the best failing one."""
        if leaf in around.store:
            return WeighedPath(CLOSED, (leaf,), [], {}, leaf)
        best: WeighedPath | None = None
        steps = self._builder.steps(leaf, around, complete=False)
        given_up_at_once = self._builder.cut
        for step in steps:
            if step.problems and leaf.self_signed:
                continue  # a namesake of its own: what it is counts, not what it is not signed by
            for upper in self._builder.upper_paths(step.issuer, around, step.source):
                path = weigh(leaf, step, upper, around, at)
                if path.kind == CLOSED and not path.problems:
                    path.first = best is None and step is steps[0]
                    return path
                if best is None or path.rank < best.rank:
                    best = path
        if best is None:
            if leaf.self_signed:
                return WeighedPath(ROOT, (leaf,), [self_signed(leaf, None)], {}, None)
            if given_up_at_once:
                return WeighedPath(LIMIT, (leaf,), [given_up(leaf)], {}, None)
            return WeighedPath(UNKNOWN, (leaf,), [unknown_issuer(leaf)], {}, None)
        return best

    def _best_completion(self, leaf: Certificate, around: Surroundings, at: float, failing: WeighedPath) -> WeighedPath:
        """A path to an anchor through a certificate that was not sent, where what was sent closes no path at all.

        Where it does close one that has merely expired, that path stays, and says which certificate would replace it.
        """
        only_expired = failing.kind == CLOSED and all(item.code == "intermediate-expired" for item in failing.problems)
        if failing.kind == CLOSED and not only_expired:
            return failing
        best: WeighedPath | None = None
        for step in self._builder.steps(leaf, around, complete=True):
            for upper in self._builder.completions(step.issuer, around, step.source):
                if upper.end != "anchor" and {step.source, *dict(upper.completed).values()}.isdisjoint(_ITS_OWN):
                    continue
                path = weigh(leaf, step, upper, around, at)
                if (path.kind == COMPLETED or upper.end != "anchor") and (best is None or path.rank < best.rank):
                    best = path
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

    def _chrome(self, sent: tuple[Certificate | None, ...], leaf: Certificate, at: float) -> Problem | None:
        """What Chrome's own store says, by all the valid paths there are: it takes any of them too."""
        paths = []
        for around in self._surroundings(sent):
            for step in self._builder.steps(leaf, around, complete=False):
                for upper in self._builder.upper_paths(step.issuer, around, step.source):
                    path = weigh(leaf, step, upper, around, at)
                    if path.kind == CLOSED and not path.problems:
                        paths.append(path.certificates)
        return chrome_problem(paths, sent, chrome_store())

    def _learn(self, path: WeighedPath, sent: Iterable[Certificate | None]) -> None:
        """Keep the issuers of a path that verified up to an anchor, as far as this server sent them."""
        if path.kind == CLOSED and len(path.certificates) > 2:
            for certificate in path.certificates[1:-1]:
                self._intermediates.learn(certificate)

    def _shape(
        self, sent: tuple[Certificate | None, ...], leaf: Certificate, best: WeighedPath | None, at: float
    ) -> tuple[Problem, ...]:
        if best is None or best.kind == LIMIT:
            return ()  # what lies beyond a limit is needed for all we know
        path = best.certificates
        if sent == path[: len(sent)] and sent[-1] is not None and not sent[-1].self_issued:
            return ()  # exactly a path, without its root: the healthy case
        used = {certificate.sha256 for certificate in path}
        for around in self._surroundings(sent):
            for step in self._builder.steps(leaf, around, complete=False):
                for upper in self._builder.upper_paths(step.issuer, around, step.source):
                    other = weigh(leaf, step, upper, around, at)
                    if other.kind == CLOSED and not other.problems:
                        used.update(certificate.sha256 for certificate in other.certificates)
        return shape_problems(sent[:MAX_SENT], path, used, self._anchors, at)


# What a certificate itself says about where its issuer is belongs to the chain even where that ends at no anchor.
_ITS_OWN: Final = frozenset({"aia"})


def _named(verdict: ChainVerdict, name: NameVerdict) -> ChainVerdict:
    v = verdict
    return ChainVerdict(v.sent, v.leaf_problems, v.stores, v.shape, name, v.publicly_trusted, v.path, v.own_ca, v.parts)


def _as_anchor(problems: list[Problem]) -> list[Problem]:
    """Without the weakness of the leaf's own signature, which nobody verifies where the leaf itself is the anchor."""
    return [problem for problem in problems if problem.code != "weak-signature"]
