"""The judge: certificates as one endpoint sent them, a name and a moment in, one ``ChainVerdict`` out.

Pure but for its caches, and each of those only saves work: the answer never depends on what was judged before, save
that intermediates met in this run may complete a later path (which is then reported as incomplete all the same).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from scanner.caching import Cache
from scanner.trust import certificate_rules as rules
from scanner.trust import placeholders
from scanner.trust import verifier_caches as judge_caches
from scanner.trust.chrome_store import chrome_problem, chrome_store
from scanner.trust.client_limits import authority_as_server, client_limit_problems
from scanner.trust.hostname import entry_for, match_name, matched
from scanner.trust.intermediates import Intermediates
from scanner.trust.issuer_paths import cacheable_path
from scanner.trust.path_check import CLOSED, LIMIT, CheckedPath, self_signed
from scanner.trust.path_search import PathSearch, interval
from scanner.trust.paths import MAX_SENT, ChainContext, PathBuilder, chain_context
from scanner.trust.sent_chain import sent_chain_problems
from scanner.trust.step_budget import TooCostly
from scanner.trust.stores import TrustStore
from scanner.trust.untrusted_issuer import OwnAuthorities
from scanner.trust.verdicts import ChainVerdict, NameVerdict, Problem, StoreVerdict
from scanner.x509 import extensions
from scanner.x509.certificate import Certificate, CertificateError

# What a chain must cost to be kept at first sight, in steps: some ten times what honest chains take.
COSTLY: Final = 4000
# Entries of one certificate whose verdicts are kept: one for a wildcard; of what names hundreds, each is met once.
MAX_NAMED: Final = 16


class _Judged(Struct):
    """A chain's verdict without the name, the moment it was made for, and what it depended on."""

    verdict: ChainVerdict
    at: float
    pool: int | None  # size of the run's pool, where completions were looked for
    window: tuple[float, float] | None = None
    # the verdict for each entry of the certificate that matched some name: of the names of a wildcard all have the same
    named: dict[str, ChainVerdict] = field(default_factory=dict)


class ChainVerifier:
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
        self._costly: Cache[tuple[bytes, ...], _Judged] = judge_caches.costly()
        self._issuers = judge_caches.issuers()
        self._leaves = judge_caches.leaves()
        self._last_leaf: Certificate | None = None
        # what was judged last: most often the same comes again
        self._last: tuple[tuple[bytes, ...], _Judged] | None = None
        self._contexts = judge_caches.context()
        self._issuer_paths = judge_caches.issuer_paths()

    @property
    def intermediates(self) -> Intermediates:
        """What completes paths, to which whoever fetches issuers adds."""
        return self._intermediates

    def verify(self, chain: tuple[bytes, ...], *, name: str | None, at: float) -> ChainVerdict:
        """Judge DER certificates as sent, leaf first, for ``name`` (host name or IP text) at ``at`` (epoch seconds)."""
        at = at // 1.0  # certificates know whole seconds: the second of notAfter belongs to it until it ends
        last = self._last
        judged = last[1] if last is not None and last[0] == chain else self._chains.get(chain)
        if judged is None and self._costly:
            judged = self._costly.get(chain)
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
        self._builder.begin()
        leaf = verdict.leaf
        certificates = {item for item in verdict.sent if item is not None}
        if leaf is not None:
            search = PathSearch(self._builder, leaf, self._contexts_of(verdict.sent), at)
            certificates |= search.taking_part(complete=complete)
            if search.exhausted:
                return search.short_window(verdict.sent)
        return interval(certificates, at)

    def _contexts_of(self, sent: tuple[Certificate | None, ...]) -> tuple[ChainContext, ...]:
        issuers = tuple(certificate for certificate in sent[1:] if certificate is not None)
        key = tuple([certificate.sha256 for certificate in issuers])
        found = self._contexts.get(key)
        if found is None:
            found = tuple([chain_context(store, issuers) for store in self._stores])
            self._contexts.put(key, found)
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
        first = self._parse(chain[0], is_leaf=True) if chain else None
        if isinstance(first, Certificate):
            cached = self._issuer_paths.get((first.issuer_der, *chain[1:]))
            if cached is not None and (known := cached.verdict(first, at, self._builder, self._own)) is not None:
                return _Judged(known, at, None)
        self._builder.begin()
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
        found: list[tuple[ChainContext, CheckedPath]] = []
        best: CheckedPath | None = None
        looked_further = False
        is_public = False
        search = PathSearch(self._builder, leaf, self._contexts_of(everything), at, [len(data) for data in chain])
        for context in search.contexts:
            path = search.best(context)
            if path.kind != CLOSED or path.problems:
                path = search.best_completion(context, path)
                looked_further = True
            found.append((context, path))
            problems = (_as_anchor(own) if leaf in context.store else own) + path.problems
            verdicts[context.store.name] = StoreVerdict(
                context.store.name,
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
        shape: tuple[Problem, ...] = ()
        refused = None
        try:
            if len(everything) > 1:
                shape = self._sent_chain_problems(search, everything, best, at)
            if trusted and is_public:
                refused = chrome_problem(search.valid_paths(), everything, chrome_store())
        except TooCostly:
            shape = (search.too_costly(),)
        if trusted and best is not None:
            shape = (*client_limit_problems(len(everything), best.certificates), *shape)
            if refused is not None:
                shape = (refused, *shape)
        shape = (*malformed, *shape) if malformed else shape
        path_found = best.certificates if best is not None else ()
        own_ca = self._own is not None and self._own.covers((*everything, *path_found))
        verdict = ChainVerdict(everything, leaf_findings, verdicts, shape, None, is_public, path_found, own_ca)
        if not looked_further and (cacheable := cacheable_path(leaf, found, verdict, self._anchors)) is not None:
            self._issuer_paths.put((leaf.issuer_der, *chain[1:]), cacheable)
        window = search.short_window(everything) if search.exhausted else None
        search.close()
        judged = _Judged(verdict, at, self._intermediates.size if looked_further else None, window)
        budget = self._builder.budget
        if budget.limit - budget.left > COSTLY:
            self._costly.put(chain, judged)
        return judged

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
        if leaf.names.cut:
            problems.append(rules.too_many_names(leaf))
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

    def _learn(self, path: CheckedPath, sent: Iterable[Certificate | None]) -> None:
        """Keep the issuers of a path that verified up to an anchor, as far as this server sent them."""
        if path.kind == CLOSED and len(path.certificates) > 2:
            for certificate in path.certificates[1:-1]:
                self._intermediates.learn(certificate)

    def _sent_chain_problems(
        self, search: PathSearch, sent: tuple[Certificate | None, ...], best: CheckedPath | None, at: float
    ) -> tuple[Problem, ...]:
        if best is None or best.kind == LIMIT:
            return ()  # what lies beyond a limit is needed for all we know
        path = best.certificates
        if sent == path[: len(sent)] and sent[-1] is not None and not sent[-1].self_issued:
            return ()  # exactly a path, without its root: the healthy case
        used = {certificate.sha256 for certificate in path}
        used.update(certificate.sha256 for valid in search.valid_paths() for certificate in valid)
        for certificate in sent[1:MAX_SENT]:
            if certificate is not None:
                self._builder.self_signed(certificate)
        return sent_chain_problems(sent[:MAX_SENT], path, used, self._anchors, at)


def _named(verdict: ChainVerdict, name: NameVerdict) -> ChainVerdict:
    named = replace(verdict, name=name)
    named.__dict__["parts"] = verdict.parts
    return named


def _as_anchor(problems: list[Problem]) -> list[Problem]:
    """Without the weakness of the leaf's own signature, which nobody verifies where the leaf itself is the anchor."""
    return [problem for problem in problems if problem.code != "weak-signature"]
