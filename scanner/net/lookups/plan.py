"""What is asked about certificates once a target was judged: issuers that it did not send, and revocation.

Nothing is asked whose answer could change nothing: issuers only where no certificate at hand closes the path, revocation
only of paths that reach an anchor and of certificates that are valid in time. A target that waits for answers holds no
place among those that are probed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

from msgspec.structs import replace

from scanner.caching import Cache
from scanner.errors import describe_caught, joined
from scanner.model.config import ScanConfig
from scanner.model.evidence import EndpointEvidence, Evidence, FetchedIssuer, RevocationAnswer
from scanner.net.dns.answer_cache import SharedAnswers
from scanner.net.pacing import Pacer
from scanner.trust.intermediates import Intermediates
from scanner.trust.revocation import SETTLED, answer_bytes, judge_staple_untrusted, sources_of
from scanner.trust.verdicts import ChainVerdict, StoreVerdict
from scanner.x509.certificate import Certificate

if TYPE_CHECKING:
    # Loaded with what speaks HTTP when something is asked first: many runs never do.
    from scanner.net.dns.resolver import AddressResolver
    from scanner.net.lookups.sources import Bundle, RevocationLookups

# Steps from certificate to certificate that are fetched for one chain; the longest paths of the public web have 5.
MAX_LEVELS: Final = 6
# Addresses of one kind that one certificate names and that are asked; two are common, one of them often LDAP.
MAX_URLS: Final = 3
# Certificates about which answers are remembered, some 1 KB each.
MAX_REMEMBERED: Final = 20_000
# ... whose addresses and errors are as long as certificates and servers make them.
MAX_REMEMBERED_BYTES: Final = 16 << 20
# Of one answer beside its texts
ANSWER_BYTES: Final = 400

# The error of an address that browsers do not ask either: LDAP ones, which private CAs write into certificates.
NOT_HTTP: Final = "not asked: no http or https address"

Verdicts = Sequence[ChainVerdict | None]


def _answers_bytes(_key: object, answers: tuple[RevocationAnswer, ...]) -> int:
    return sum([ANSWER_BYTES + answer_bytes(answer) for answer in answers], ANSWER_BYTES)


def _issuers_bytes(_key: object, answers: tuple[FetchedIssuer, ...]) -> int:
    texts = sum([ANSWER_BYTES + len(answer.url) + len(answer.error or "") for answer in answers], ANSWER_BYTES)
    return texts + sum([len(der) for answer in answers for der in answer.certificates])


class CertificateLookups:
    """Belongs to one run. ``aside`` is entered while a target waits for answers; ``online`` is ``--revocation online``."""

    def __init__(
        self,
        sources: Callable[[], RevocationLookups],
        intermediates: Intermediates,
        *,
        online: bool,
        aside: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """``sources`` is called once, when something is asked first."""
        self._make_sources = sources
        self._opened: RevocationLookups | None = None
        self._intermediates = intermediates
        self._online = online
        self._aside = aside
        self._issuers = SharedAnswers(
            longest=float("inf"), most=MAX_REMEMBERED, max_bytes=MAX_REMEMBERED_BYTES, size=_issuers_bytes
        )
        self._revocation = SharedAnswers(
            longest=float("inf"), most=MAX_REMEMBERED, max_bytes=MAX_REMEMBERED_BYTES, size=_answers_bytes
        )
        # of paths that some store trusts as they are: all answers about them, where no staple took part
        self._at_hand: Cache[tuple[str, ...], tuple[RevocationAnswer, ...]] = Cache(
            MAX_REMEMBERED, MAX_REMEMBERED_BYTES, _answers_bytes
        )
        self._nothing_to_ask: Cache[tuple[str, str], bool] = Cache(
            MAX_REMEMBERED, MAX_REMEMBERED_BYTES, lambda _key, _value: ANSWER_BYTES
        )
        # of certificates with a good staple: what a list says that was there for others
        self._listed: Cache[tuple[str, str], tuple[RevocationAnswer, ...]] = Cache(
            MAX_REMEMBERED, MAX_REMEMBERED_BYTES, _answers_bytes
        )

    def forget(self) -> None:
        """Ask anew about everything: what could not be reached for want of a network is not unreachable."""
        self._issuers.clear()
        self._revocation.clear()
        self._at_hand.clear()

    def _sources(self) -> RevocationLookups:
        if self._opened is None:
            self._opened = self._make_sources()
        return self._opened

    async def ask(
        self, evidence: Evidence, verdicts: Verdicts, at: float, judge: Callable[[], Verdicts]
    ) -> tuple[Evidence, Verdicts]:
        """Return the evidence with what was looked up about its certificates, and the verdicts with it.

        ``verdicts`` is parallel to the endpoints of ``evidence``, ``at`` the moment to judge at (epoch seconds); ``judge`` gives the
        verdicts anew, after issuers were found.
        """
        if len(verdicts) == 1 and (only := verdicts[0]) is not None and only.trusted:
            if only.is_clean and not self._online:
                return evidence, verdicts
            at_hand = self._at_hand.get(tuple([certificate.sha256 for certificate in only.path]))
            if at_hand is not None:
                return replace(evidence, revocation=at_hand) if at_hand else evidence, verdicts
        bugs: list[str] = []
        issuers: tuple[FetchedIssuer, ...] = ()
        try:
            issuers = self._known(verdicts)
            if any(True for _ in _lacking(verdicts)):
                issuers, verdicts = await self._complete(verdicts, judge)
            if any(True for _ in _not_helped(verdicts)):
                for _ in range(MAX_LEVELS):
                    verdicts, known = judge(), self._intermediates.size
                    # another target may have had these issuers fetched again meanwhile
                    if not await self._renew(verdicts) and self._intermediates.size == known:
                        break
                    further, verdicts = await self._complete(judge(), judge)
                    issuers = (*issuers, *further, *self._known(verdicts))
                issuers = tuple({(answer.certificate, answer.url): answer for answer in issuers}.values())
        except BaseException as error:  # noqa: BLE001 - our own bug costs the issuers
            bugs.append(describe_caught("issuers", error))
        revocation: dict[str, tuple[RevocationAnswer, ...]] = {}
        for endpoint, verdict in zip(evidence.endpoints, verdicts, strict=False):
            try:
                if verdict is not None and any(
                    _reaches_its_anchor(store, verdict) for store in verdict.stores.values()
                ):
                    await self._about_path(endpoint, verdict, at, revocation)
            except BaseException as error:  # noqa: BLE001 - our own bug costs what was still to be asked about this path
                bugs.append(describe_caught("revocation", error))
        if issuers or revocation or bugs:
            answers = tuple(answer for each in revocation.values() for answer in each)
            evidence = replace(evidence, issuers=issuers, revocation=answers, bug=joined(evidence.bug, *bugs))
        return evidence, verdicts

    # --- issuers -------------------------------------------------------------------------------

    def _known(self, verdicts: Verdicts) -> tuple[FetchedIssuer, ...]:
        """Return what was fetched for another target and completes the paths of this one too."""
        found: dict[tuple[str, str], FetchedIssuer] = {}
        for verdict in verdicts:
            if verdict is not None and any("aia" in store.completed_from.values() for store in verdict.stores.values()):
                for certificate in verdict.path:
                    for answer in self._issuers.kept((certificate.sha256,)) or ():
                        found[answer.certificate, answer.url] = answer
        return tuple(found.values())

    async def _complete(
        self, verdicts: Verdicts, judge: Callable[[], Verdicts]
    ) -> tuple[tuple[FetchedIssuer, ...], Verdicts]:
        """Fetch issuers level by level, until the paths close or nothing leads on."""
        found: dict[str, tuple[FetchedIssuer, ...]] = {}
        for _ in range(MAX_LEVELS):
            lacking = {child.sha256: child for child in _lacking(verdicts)}
            wanted = {sha256: child for sha256, child in lacking.items() if sha256 not in found}
            if not wanted:  # an issuer that has expired is followed too: it is named only once its path is known
                wanted = {
                    above.sha256: above
                    for sha256 in lacking
                    for above in _parsed(found[sha256])
                    if above.sha256 not in found and above.aia_ca_issuers and not above.self_issued
                }
            if not wanted:
                break
            for child in wanted.values():
                found[child.sha256] = await self._issuers_of(child)
            verdicts = judge()
        return tuple(answer for answers in found.values() for answer in answers), verdicts

    async def _issuers_of(self, child: Certificate) -> tuple[FetchedIssuer, ...]:
        async def ask() -> tuple[tuple[FetchedIssuer, ...], float]:
            answers: list[FetchedIssuer] = []
            for url in dict.fromkeys(child.aia_ca_issuers[:MAX_URLS]):
                answers.append(await self._issuer_at(child, url))
                if answers[-1].certificates:
                    break
            return tuple(answers), float("inf")

        kept: tuple[FetchedIssuer, ...] | None = self._issuers.kept((child.sha256,))
        if kept is not None:
            return kept
        with self._aside():
            asked: tuple[FetchedIssuer, ...] = await self._issuers.once((child.sha256,), ask)
        return asked

    async def _renew(self, verdicts: Verdicts) -> bool:
        """Fetch again what was kept from an earlier run, or long ago, and did not lead to trust. Return True if anything was learnt."""
        renewed = False
        for verdict in _not_helped(verdicts):
            for child in {
                child.sha256: child for child in (*verdict.sent, *verdict.path) if child is not None
            }.values():
                known: tuple[FetchedIssuer, ...] = self._issuers.kept((child.sha256,)) or ()
                old = [answer.url for answer in known if self._sources().has_old_bundle(answer.url)]
                if not old:
                    continue
                with self._aside():
                    answers = [await self._renewed_issuer_at(child, url) for url in old]
                found = [answer for answer in answers if answer.certificates]
                others = {answer.url: answer for answer in (*known, *found)}
                if any(answer not in known for answer in found):
                    renewed = True
                    self._issuers.put((child.sha256,), tuple(others.values()), float("inf"))
        return renewed

    async def _issuer_at(self, child: Certificate, url: str) -> FetchedIssuer:
        sources = self._sources()
        found = self._learn(child, url, await sources.bundle(url))
        if not found.certificates and sources.has_old_bundle(url):
            return await self._renewed_issuer_at(child, url)
        return found

    async def _renewed_issuer_at(self, child: Certificate, url: str) -> FetchedIssuer:
        return self._learn(child, url, await self._sources().renewed_bundle(url))

    def _learn(self, child: Certificate, url: str, bundle: Bundle) -> FetchedIssuer:
        if bundle.error is not None:
            return FetchedIssuer(child.sha256, url, error=bundle.error, blocked=bundle.blocked)
        learnt: list[Certificate] = []
        waiting = [child]
        while waiting:  # a bundle may hold the issuers of the issuer too
            below = waiting.pop()
            for certificate in bundle.certificates:
                if certificate not in learnt and self._intermediates.learn_fetched(certificate, below):
                    learnt.append(certificate)
                    waiting.append(certificate)
        if not learnt:
            return FetchedIssuer(
                child.sha256, url, error="what is there is not its issuer: no certificate signs this one"
            )
        return FetchedIssuer(child.sha256, url, tuple(certificate.der for certificate in learnt))

    # --- revocation ----------------------------------------------------------------------------

    async def _about_path(
        self,
        endpoint: EndpointEvidence,
        verdict: ChainVerdict,
        at: float,
        found: dict[str, tuple[RevocationAnswer, ...]],
    ) -> None:
        stapled = False
        for place, (certificate, issuer) in enumerate(pairwise(verdict.path) if self._online else ()):
            if certificate.sha256 in found or not certificate.not_before <= at <= certificate.not_after:
                continue
            if place == 0 and _staple_settles(endpoint, certificate, issuer, at):
                stapled = True
                if revoked := await self._known_revoked(certificate, issuer, at):
                    found[certificate.sha256] = revoked
                continue
            answers = await self._about(certificate, issuer, at)
            if answers:
                found[certificate.sha256] = answers
        if verdict.trusted and not stapled:
            names = tuple([certificate.sha256 for certificate in verdict.path])
            self._at_hand.put(names, tuple(answer for name in names for answer in found.get(name, ())))

    async def _known_revoked(
        self, certificate: Certificate, issuer: Certificate, at: float
    ) -> tuple[RevocationAnswer, ...]:
        """Return answers "revoked" that are known already, which can be newer than a staple; nothing is asked."""
        key = certificate.sha256, issuer.sha256
        answers: tuple[RevocationAnswer, ...] | None = self._revocation.kept(key) or self._listed.get(key)
        if answers is None and self._opened is not None:
            for url in certificate.crl_urls[:MAX_URLS]:
                answer = await self._opened.listed(certificate, issuer, url, at)
                if answer is not None:
                    answers = (answer,)
                    self._listed.put(key, answers)
                    break
        return tuple(answer for answer in answers or () if answer.status == "revoked")

    async def _about(self, certificate: Certificate, issuer: Certificate, at: float) -> tuple[RevocationAnswer, ...]:
        key = certificate.sha256, issuer.sha256

        async def ask() -> tuple[tuple[RevocationAnswer, ...], float]:
            return await self._ask_about(certificate, issuer, at), float("inf")

        kept: tuple[RevocationAnswer, ...] | None = self._revocation.kept(key)
        if kept is not None:
            return kept
        if self._nothing_to_ask.get(key):
            return ()
        sources = sources_of(certificate, issuer)
        if sources.none_needed is not None or not (sources.ocsp_urls or sources.crl_urls or sources.unusable):
            self._nothing_to_ask.put(key, True)
            return ()
        with self._aside():
            asked: tuple[RevocationAnswer, ...] = await self._revocation.once(key, ask)
        return asked

    async def _ask_about(
        self, certificate: Certificate, issuer: Certificate, at: float
    ) -> tuple[RevocationAnswer, ...]:
        """OCSP first, since it is small; a CRL where there is no responder or none that knows."""
        named = sources_of(certificate, issuer)
        asking = self._sources()
        answers: list[RevocationAnswer] = []
        for ask, urls in ((asking.ocsp, named.ocsp_urls), (asking.crl, named.crl_urls)):
            for url in urls[:MAX_URLS]:
                answers.append(await ask(certificate, issuer, url, at))
                if answers[-1].status in SETTLED:
                    return tuple(answers)
        for url in named.unusable[:MAX_URLS]:
            source: Literal["ocsp", "crl"] = "ocsp" if url in certificate.ocsp_urls else "crl"
            answers.append(RevocationAnswer(certificate.sha256, source, url, "unavailable", error=NOT_HTTP))
        return tuple(answers)


def _lacking(verdicts: Verdicts) -> Iterator[Certificate]:
    """Yield certificates whose issuer is not known, or was known and has expired, and that say where it is published."""
    for verdict in verdicts:
        if verdict is None or verdict.trusted:
            continue
        for store in verdict.stores.values():
            for problem in store.problems:
                if problem.code == "intermediate-unobtainable":
                    for certificate in (*verdict.sent, *verdict.path):
                        if certificate is not None and certificate.sha256 == problem.certificate:
                            yield certificate
                            break
                elif problem.code == "intermediate-expired" and problem.certificate in store.completed_from:
                    # what we had at hand is out of date: its CA may have published a newer one
                    for certificate, issuer in pairwise(verdict.path):
                        if issuer.sha256 == problem.certificate and certificate.aia_ca_issuers:
                            yield certificate


def _parsed(answers: Iterable[FetchedIssuer]) -> Iterator[Certificate]:
    """Yield the certificates that were fetched, which were parsed before."""
    for answer in answers:
        for data in answer.certificates:
            yield Certificate.parse_untrusted(data)


def _not_helped(verdicts: Verdicts) -> Iterator[ChainVerdict]:
    """Yield verdicts by which some store does not trust a path in spite of what was fetched, or for want of it."""
    for verdict in verdicts:
        if verdict is not None and any(
            not store.trusted
            and not _reaches_its_anchor(store, verdict)
            and (
                "aia" in store.completed_from.values()
                or any(problem.code == "intermediate-unobtainable" for problem in store.problems)
            )
            for store in verdict.stores.values()
        ):
            yield verdict


# A path with these still leads to the anchor that vouches for it.
_ABOVE_NOTHING_ELSE: Final = frozenset({"intermediate-not-sent"})


def _reaches_its_anchor(store: StoreVerdict, verdict: ChainVerdict) -> bool:
    """Return whether the store trusts the best path, except for what is wrong with the leaf alone."""
    path = verdict.path
    if store.anchor is None or not path or store.path != tuple([certificate.sha256 for certificate in path]):
        return False
    return all(
        problem.certificate == path[0].sha256 or problem.code in _ABOVE_NOTHING_ELSE for problem in store.problems
    )


def _staple_settles(endpoint: EndpointEvidence, leaf: Certificate, issuer: Certificate, at: float) -> bool:
    for probe in (endpoint.probe, *endpoint.followups.values()):
        flight = probe.flight
        if flight is not None and flight.ocsp_response is not None and flight.leaf_first[:1] == (leaf.der,):
            return judge_staple_untrusted(flight.ocsp_response, leaf, issuer, at).status in SETTLED
    return False


@asynccontextmanager
async def open_lookups(
    resolver: AddressResolver,
    intermediates: Intermediates,
    pacer: Pacer,
    config: ScanConfig,
    *,
    banned: Callable[[str], str | None],
    ipv6_usable: bool,
    cache: str | None,
    clock: Callable[[], float],
) -> AsyncIterator[CertificateLookups]:
    """CertificateLookups for the length of the block. ``banned`` gives the entry that excludes a host name or address; ``cache`` is a
    directory for what is kept between runs, ``None`` for nothing; ``clock`` gives seconds since the epoch."""

    async def turn(host: str) -> None:
        await pacer.acquire(host)
        pacer.release(host)

    def sources() -> RevocationLookups:
        from scanner.net.http.disk_cache import DiskCache
        from scanner.net.http.fetch import Fetcher
        from scanner.net.lookups.sources import RevocationLookups

        ipv6 = config.ipv6 and ipv6_usable
        fetcher = Fetcher(
            resolver,
            private=config.private_urls,
            banned=banned,
            # the limits by default are gentler to one host than requests on kept connections need
            turn=turn if config.rate is not None or config.polite_to_loopback else None,
            ipv4=config.ipv4 or not ipv6,
            ipv6=ipv6,
        )
        opened.push_async_callback(fetcher.aclose)
        return RevocationLookups(fetcher, None if cache is None else DiskCache(cache, clock=clock), clock)

    async with AsyncExitStack() as opened:
        yield CertificateLookups(sources, intermediates, online=config.revocation == "online", aside=pacer.yield_slot)
