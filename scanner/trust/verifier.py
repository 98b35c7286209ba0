"""Verifies certificates as one endpoint sent them, for a name and a moment: one ``ChainVerdict`` per chain.

The work is in other modules: ``path_search`` finds the best path in each store, ``sent_chain`` compares it with what
was sent, ``hostname`` matches the name. Here their results become one verdict, which is then kept. All caches only
save work, so no answer depends on what was verified before, with one exception: intermediates met in this run
complete later paths (which are reported as incomplete all the same). Each of the caches is there for a measured
reason (one core, P-256, microseconds):

- ``_chains``: a verdict costs 65 and more, and is asked for two or three times for each target, and again for each
  host that has the chain;
- ``_costly``: a chain that is made to cost takes up to 25,000, and other targets come between the times it is asked
  for;
- ``_leaves``: the handshake asks for the key of a leaf (9 to read it, 5 to load the key), and then its chain is
  verified;
- ``_issuers``: the certificates above a leaf are the same for thousands of leaves, 9 each;
- ``_issuer_paths``: the paths above a leaf (20), see ``issuer_paths``; ``_contexts``: the same for leaves that cannot
  share them, such as expired ones, of which an estate may have thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct, field

from scanner.caching import Cache
from scanner.trust import certificate_rules as rules
from scanner.trust import placeholders
from scanner.trust import verifier_caches as limits
from scanner.trust.chrome_store import chrome_problem, chrome_store
from scanner.trust.client_algorithms import algorithm_problems
from scanner.trust.client_limits import authority_as_server, client_limit_problems, no_digital_signature
from scanner.trust.hostname import entry_for, match_name, matched
from scanner.trust.intermediates import Intermediates
from scanner.trust.issuer_paths import CachedIssuerPath, cacheable_path
from scanner.trust.path_check import CLOSED, LIMIT, CheckedPath, is_notice, self_signed
from scanner.trust.path_search import PathSearch, interval
from scanner.trust.paths import MAX_SENT, ChainContext, PathBuilder, chain_context
from scanner.trust.sent_chain import sent_chain_problems
from scanner.trust.step_budget import TooCostly
from scanner.trust.stores import TrustStore
from scanner.trust.untrusted_issuer import OwnAuthorities
from scanner.trust.verdicts import ChainVerdict, Problem, StoreVerdict
from scanner.x509.certificate import Certificate, CertificateError

# What a chain must cost to be kept at first sight, in steps: some ten times what honest chains take.
COSTLY: Final = 4000
# Entries of one certificate whose verdicts are kept: one for a wildcard; of what names hundreds, each is met once.
MAX_NAMED: Final = 16


class _CachedVerdict(Struct):
    """A chain's verdict without the name, the moment it was made for, and what it depends on."""

    verdict: ChainVerdict
    at: float
    pool: int | None  # size of the run's pool, where completions were looked for
    window: tuple[float, float] | None = None
    # by the entry of the certificate that matched: all names that a wildcard matches have one verdict
    named: dict[str, ChainVerdict] = field(default_factory=dict)


class _Paths(Struct):
    """The best path of each store, and the best of these."""

    stores: dict[str, StoreVerdict]
    found: list[tuple[ChainContext, CheckedPath]]
    best: CheckedPath | None = None
    completed: bool = False  # certificates that were not sent were looked for
    is_public: bool = False

    @property
    def trusted(self) -> bool:
        return any(verdict.trusted for verdict in self.stores.values())


class ChainVerifier:
    """Verifies chains against some stores; belongs to one thread."""

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
        self.intermediates = intermediates  # what completes paths, to which whoever fetches issuers adds
        self._builder = PathBuilder(intermediates)
        self._anchors = frozenset(sha256 for store in self._stores for sha256 in store.anchors)
        self._chains: Cache[tuple[bytes, ...], _CachedVerdict] = Cache(
            limits.MAX_CHAINS, limits.MAX_CHAINS_BYTES, limits.chain_bytes, on_second_put=True
        )
        self._costly: Cache[tuple[bytes, ...], _CachedVerdict] = Cache(
            limits.MAX_COSTLY, limits.MAX_COSTLY_BYTES, limits.chain_bytes
        )
        self._issuers: Cache[bytes, Certificate] = Cache(
            limits.MAX_ISSUERS, limits.MAX_ISSUERS_BYTES, limits.certificate_bytes
        )
        self._leaves: Cache[bytes, Certificate] = Cache(
            limits.MAX_LEAVES,
            limits.MAX_LEAVES_BYTES,
            limits.certificate_bytes,
            on_second_put=True,
            recent=limits.RECENT_LEAVES,
        )
        self._contexts: Cache[tuple[str, ...], tuple[ChainContext, ...]] = Cache(
            limits.MAX_CONTEXTS, limits.MAX_CONTEXTS_BYTES, limits.context_bytes
        )
        # by the DER of the issuer's name and the certificates sent after the leaf
        self._issuer_paths: Cache[tuple[bytes, ...], CachedIssuerPath] = Cache(
            limits.MAX_ISSUER_PATHS, limits.MAX_ISSUER_PATHS_BYTES, limits.issuer_path_bytes
        )

    def verify(self, chain: tuple[bytes, ...], *, name: str | None, at: float) -> ChainVerdict:
        """Verify DER certificates as sent, leaf first, for a host name or IP address at ``at`` (epoch seconds)."""
        at = at // 1.0  # certificates know whole seconds: the second of notAfter belongs to it until it ends
        known = self._chains.get(chain)
        if known is None and self._costly:
            known = self._costly.get(chain)
        if known is None or (
            (known.pool is not None or known.window is None or not known.window[0] < at < known.window[1])
            and not self._still_holds(known, at)
        ):
            known = self._verify_chain(chain, at)
            self._chains.put(chain, known)
        verdict = known.verdict
        leaf = verdict.leaf
        if name is None or leaf is None:
            return verdict
        entry = None if ":" in name or name[-1:].isdigit() else entry_for(leaf.dns_names, name)
        if entry is None or "_" in name:
            return verdict.for_name(match_name(leaf, name))
        named = known.named.get(entry)
        if named is None:
            named = verdict.for_name(matched(leaf, entry))
            if len(known.named) < MAX_NAMED:
                known.named[entry] = named
        return named

    def leaf_key(self, data: bytes) -> Any:
        """Return the public key of a leaf, as ``cryptography`` has it; ``None`` if it cannot be read."""
        leaf = self._parse(data, self._leaves)
        try:
            return leaf.public_key if isinstance(leaf, Certificate) else None
        except CertificateError:
            return None

    # --- caching ---------------------------------------------------------------------------------

    def _still_holds(self, known: _CachedVerdict, at: float) -> bool:
        if known.pool is not None and known.pool != self.intermediates.size:
            return False
        if at == known.at:
            return True
        if known.window is None:
            known.window = self._window(known.verdict, known.at, complete=known.pool is not None)
        return known.window[0] < at < known.window[1]

    def _window(self, verdict: ChainVerdict, at: float, *, complete: bool) -> tuple[float, float]:
        """Return the open interval around ``at`` in which no certificate that took part begins or ends to be valid."""
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

    def _parse(self, data: bytes, cache: Cache[bytes, Certificate]) -> Certificate | CertificateError:
        known = cache.get(data)
        if known is None:
            try:
                known = Certificate.parse_untrusted(data)
            except CertificateError as error:
                return error
            cache.put(data, known)
        return known

    # --- verifying -------------------------------------------------------------------------------

    def _verify_chain(self, chain: tuple[bytes, ...], at: float) -> _CachedVerdict:
        if not chain:
            return _CachedVerdict(ChainVerdict(()), at, None)
        leaf = self._parse(chain[0], self._leaves)
        if isinstance(leaf, Certificate):
            cached = self._issuer_paths.get((leaf.issuer_der, *chain[1:]))
            known_issuers = self.intermediates.size
            if cached is not None:
                shared = cached.verdict(leaf, at, self._builder, self._own, known_issuers)
                if shared is not None:
                    return _CachedVerdict(shared, at, cached.pool)
        self._builder.begin()
        parsed = [leaf, *[self._parse(data, self._issuers) for data in chain[1:]]]
        sent = tuple([item if isinstance(item, Certificate) else None for item in parsed])
        malformed = tuple(
            [
                Problem("malformed-certificate", None, {"position": place, "error": str(item)})
                for place, item in enumerate(parsed)
                if not isinstance(item, Certificate)
            ]
        )
        if not isinstance(leaf, Certificate):
            stores = {store.name: StoreVerdict(store.name, False, None, (), malformed[:1]) for store in self._stores}
            return _CachedVerdict(ChainVerdict(sent, malformed[:1], stores, malformed[1:]), at, None)

        problems = rules.leaf_problems(leaf, at)
        search = PathSearch(self._builder, leaf, self._contexts_of(sent), at, [len(data) for data in chain])
        paths = self._best_paths(search, [item for item in problems if not is_notice(item)] if problems else problems)
        path = () if paths.best is None else paths.best.certificates
        verdict = ChainVerdict(
            sent,
            self._leaf_problems(leaf, problems, paths),
            paths.stores,
            (*malformed, *self._chain_problems(search, sent, paths, at)),
            None,
            paths.is_public,
            path,
            self._own is not None and self._own.covers((*sent, *path)),
        )
        pool = self.intermediates.size if paths.completed else None
        cacheable = cacheable_path(leaf, search, paths.found, verdict, self._anchors, at, pool)
        if cacheable is not None:
            self._issuer_paths.put((leaf.issuer_der, *chain[1:]), cacheable)
        window = search.short_window(sent) if search.exhausted else None
        search.close()
        known = _CachedVerdict(verdict, at, pool, window)
        budget = self._builder.budget
        if budget.limit - budget.left > COSTLY:
            self._costly.put(chain, known)
        return known

    def _best_paths(self, search: PathSearch, leaf_problems: list[Problem]) -> _Paths:
        """Find the best path of each store, if need be through certificates that were not sent."""
        paths = _Paths({}, [])
        for context in search.contexts:
            store = context.store
            path = search.best(context)
            if path.kind == CLOSED and path.problems:
                path = search.best_for_each_client(context, path)
            if path.kind != CLOSED or path.problems:
                path = search.best_completion(context, path)
                paths.completed = True
            paths.found.append((context, path))
            problems = (_as_anchor(leaf_problems) if search.leaf in store else leaf_problems) + path.problems
            paths.stores[store.name] = StoreVerdict(
                store.name,
                not problems,
                path.anchor.sha256 if path.anchor else None,
                tuple([certificate.sha256 for certificate in path.certificates]),
                rules.worst_first(problems) if problems else (),
                path.completed,
            )
            if path.anchor is not None:
                paths.is_public = paths.is_public or path.anchor.sha256 in self._public_roots
            if path.kind == CLOSED:
                # its signatures verify up to an anchor, and all of it was sent
                for certificate in path.certificates[1:-1]:
                    self.intermediates.learn(certificate)
            if paths.best is None or path.rank < paths.best.rank:
                paths.best = path
        return paths

    def _leaf_problems(self, leaf: Certificate, problems: list[Problem], paths: _Paths) -> tuple[Problem, ...]:
        """Return what concerns the leaf alone, whatever the stores say; ``problems`` are those of its rules."""
        is_anchor = leaf.sha256 in self._anchors
        found = _as_anchor(problems) if is_anchor else list(problems)
        if not paths.trusted:
            known = placeholders.match(leaf)
            resembles = None
            if known is not None:
                product, entry = known
                if entry.decides:
                    evidence: dict[str, Any] = {"product": product, "subject": leaf.subject, "issuer": leaf.issuer}
                    found.insert(0, Problem("placeholder-certificate", leaf.sha256, evidence))
                else:
                    resembles = product
            if not is_anchor and leaf.self_signed:
                found.append(self_signed(leaf, resembles))
        if leaf.names.cut:
            found.append(rules.too_many_names(leaf))
        if paths.trusted and (as_server := authority_as_server(leaf)) is not None:
            found.append(as_server)
        if (without := no_digital_signature(leaf)) is not None and all(item.code != without.code for item in problems):
            found.append(without)
        if paths.is_public and (too_long := rules.lifetime_problem(leaf)) is not None:
            found.append(too_long)
        return tuple(found)

    def _chain_problems(
        self, search: PathSearch, sent: tuple[Certificate | None, ...], paths: _Paths, at: float
    ) -> tuple[Problem, ...]:
        """Return what is wrong with the chain as sent, and what only some clients refuse in a path that is valid."""
        trusted, best = paths.trusted, paths.best
        problems: tuple[Problem, ...] = ()
        refused = dead_end = None
        try:
            if len(sent) > 1:
                problems = self._against_path(search, sent, best, at)
                dead_end = self._dead_end(search, sent, paths)
            if trusted and paths.is_public:
                refused = chrome_problem(search.valid_paths(), sent, chrome_store())
        except TooCostly:
            problems = (search.too_costly(),)
        if best is not None and best.notices:
            problems = (*best.notices, *problems)
        if trusted and best is not None:
            problems = (
                *client_limit_problems(len(sent), best.certificates),
                *self._algorithm_problems(search, best),
                *problems,
            )
            if refused is not None:
                problems = (refused, *problems)
        return problems if dead_end is None else (dead_end, *problems)

    def _dead_end(self, search: PathSearch, sent: tuple[Certificate | None, ...], paths: _Paths) -> Problem | None:
        """Return the problem of a valid path that not all clients find; raises ``TooCostly``."""
        best = paths.best
        if best is None or best.kind != CLOSED or search.leaf.sha256 in self._anchors:
            return None
        if all(context.has_one_issuer(best.certificates[1:]) for context in search.contexts):
            return None
        bests = [(context, path) for context, path in paths.found if path.kind == CLOSED]
        return search.not_found_by_all(bests, sent)

    def _algorithm_problems(self, search: PathSearch, best: CheckedPath) -> tuple[Problem, ...]:
        """Return what clients do not know on the best path, of those that do not accept another valid one."""
        problems = tuple(algorithm_problems(best.certificates))
        if not problems:
            return ()
        refusing = {client for problem in problems for client in problem.evidence["refused_by"]}
        try:
            for path in search.valid_paths():
                refusing &= {
                    client for problem in algorithm_problems(path) for client in problem.evidence["refused_by"]
                }
        except TooCostly:
            pass  # what was found so far holds: further paths could only clear more clients
        left = []
        for problem in problems:
            clients = [client for client in problem.evidence["refused_by"] if client in refusing]
            if clients:
                left.append(Problem(problem.code, problem.certificate, {**problem.evidence, "refused_by": clients}))
        return tuple(left)

    def _against_path(
        self, search: PathSearch, sent: tuple[Certificate | None, ...], best: CheckedPath | None, at: float
    ) -> tuple[Problem, ...]:
        """Compare what was sent with the paths found; raises ``TooCostly``."""
        if best is None or best.kind == LIMIT:
            return ()  # what lies beyond a limit may be needed
        path = best.certificates
        if sent == path[: len(sent)] and sent[-1] is not None and not sent[-1].self_issued:
            return ()  # exactly a path, without its root: the healthy case
        used = {certificate.sha256 for certificate in path}
        used.update(certificate.sha256 for valid in search.valid_paths() for certificate in valid)
        for certificate in sent[1:MAX_SENT]:
            if certificate is not None:
                self._builder.self_signed(certificate)
        return sent_chain_problems(sent[:MAX_SENT], path, used, self._anchors, at)


def _as_anchor(problems: list[Problem]) -> list[Problem]:
    """Drop the weakness of the leaf's own signature, which is not verified where the leaf itself is the anchor."""
    return [problem for problem in problems if problem.code != "weak-signature"]
