"""Asking one source about certificates: a caIssuers address, an OCSP responder, a CRL. Each once a run.

What the cache on disk gives is verified as what a server gives; what is put there has verified. It may be old all the same: a CA
that is renewed has its new certificate at the old address, and its lists are signed by the new key. So what was kept and does not
help is fetched again, once, before anything is concluded from it; and so is what this run fetched ``OLD_AFTER`` seconds ago.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio
from msgspec import Struct
from msgspec.structs import replace

from scanner.caching import PARSED
from scanner.model.evidence import RevocationAnswer
from scanner.net.dns.answer_cache import SharedAnswers
from scanner.net.http.disk_cache import DiskCache
from scanner.net.http.fetch import CRL, ISSUERS, OCSP, Fetched, Fetcher, FetchKind
from scanner.trust.revocation import SETTLED, judge_crl, judge_ocsp_untrusted
from scanner.x509.certificate import Certificate, CertificateError
from scanner.x509.certificate_files import ChainFileError, chain_untrusted
from scanner.x509.crl import Crl, CrlError, load_crl_untrusted
from scanner.x509.ocsp_request import encode_request, get_url

# Certificates of one caIssuers address that are looked at; the bundles of cross-certified PKIs have some dozens.
MAX_BUNDLE: Final = 64
# Addresses whose certificates are remembered, some 2 KB each as a rule.
MAX_BUNDLES: Final = 2048
MAX_BUNDLES_BYTES: Final = 32 << 20
# Lists that are kept as they were read, in bytes all together; those not used for longest are read again from disk.
MAX_LISTS_BYTES: Final = 192 << 20
# Addresses of lists that could not be had, remembered.
MAX_FAILED_LISTS: Final = 4096
# What takes the processor for more than a few milliseconds is done beside the loop: lists of this size take up to ten,
# bundles of certificates twenty (``python -m benchmarks hostile``).
LARGE: Final = 64 << 10
# Seconds that an answer is used by later runs, however long its issuer would have it used: a scan on the next day asks anew.
MOST_KEPT: Final = 12 * 3600.0
# Issuers' certificates do not change at their addresses but when a CA is renewed.
ISSUERS_KEPT: Final = 7 * 86400.0
# When something was fetched that an earlier run, or another process, has kept
KEPT: Final = float("-inf")
# Seconds after which what this run has fetched may be out of date: a CA that is renewed, a list whose next one has been published.
OLD_AFTER: Final = 3600.0
# Seconds between looks whether another process has done with what it fetches.
WAIT_FOR_OTHERS: Final = 0.1


class Bundle(Struct, frozen=True):
    """The certificates at one caIssuers address, or why there are none. ``fetched`` is when, in seconds since the epoch; ``-inf``
    if an earlier run has kept them."""

    certificates: tuple[Certificate, ...] = ()
    error: str | None = None
    blocked: bool = False
    fetched: float = float("inf")


class _NoList(Struct, frozen=True):
    error: str
    blocked: bool


def _bundle_bytes(_key: object, bundle: Bundle) -> int:
    return 400 + len(bundle.error or "") + PARSED * sum([len(item.der) for item in bundle.certificates])


class RevocationLookups:
    """Belongs to one run. ``clock`` gives seconds since the epoch, for what the cache keeps."""

    def __init__(self, fetcher: Fetcher, cache: DiskCache | None, clock: Callable[[], float]) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._clock = clock
        self._bundles = SharedAnswers(
            longest=float("inf"), most=MAX_BUNDLES, max_bytes=MAX_BUNDLES_BYTES, size=_bundle_bytes
        )
        self._renewing = SharedAnswers(longest=0.0, most=1, size=_bundle_bytes)
        self._loading = SharedAnswers(
            longest=float("inf"), most=MAX_FAILED_LISTS, size=lambda _key, failed: 400 + len(failed.error)
        )
        # with when they were fetched, as in ``Bundle``
        self._lists: OrderedDict[str, tuple[Crl, float]] = OrderedDict()

    def _is_old(self, fetched: float) -> bool:
        return self._clock() - fetched > OLD_AFTER

    # --- issuers -------------------------------------------------------------------------------

    async def bundle(self, url: str) -> Bundle:
        """Fetch what is at a caIssuers address (RFC 5280 section 4.2.2.1): DER, PEM or PKCS #7."""

        async def ask() -> tuple[Bundle, float]:
            return await self._fetch_bundle(url), float("inf")

        found: Bundle = await self._bundles.once((url,), ask)
        return found

    def has_old_bundle(self, url: str) -> bool:
        """Return True if what is known of a caIssuers address may have been replaced there since."""
        bundle: Bundle | None = self._bundles.kept((url,))
        return bundle is not None and self._is_old(bundle.fetched)

    async def renewed_bundle(self, url: str) -> Bundle:
        """Fetch what is at a caIssuers address now, if what is known of it is old. What is known stays if there is nothing any more."""

        async def ask() -> tuple[Bundle, float | None]:
            if not self.has_old_bundle(url):
                return await self.bundle(url), None  # another task has done it meanwhile
            known = await self.bundle(url)
            bundle = await self._fetch_new_bundle(url)
            remembered = bundle if bundle.certificates else replace(known, fetched=bundle.fetched)
            self._bundles.put((url,), remembered, float("inf"))
            return bundle, None

        found: Bundle = await self._renewing.once((url,), ask)
        return found

    async def _fetch_bundle(self, url: str) -> Bundle:
        key = f"aia {url}"
        kept = await self._kept(key)
        if kept is not None and (bundle := await _read_bundle(kept)).certificates:
            return replace(bundle, fetched=KEPT)
        async with self._turn(key, ISSUERS) as meanwhile:
            if meanwhile is not None and (bundle := await _read_bundle(meanwhile)).certificates:
                return replace(bundle, fetched=KEPT)
            return await self._fetch_new_bundle(url)

    async def _fetch_new_bundle(self, url: str) -> Bundle:
        got, now = await self._fetcher.fetch(url, ISSUERS), self._clock()
        if got.body is None:
            return Bundle(error=got.error, blocked=got.blocked, fetched=now)
        bundle = await _read_bundle(got.body, got.content_type)
        if bundle.certificates:
            await self._keep(f"aia {url}", got.body, float("inf"))
        return replace(bundle, fetched=now)

    # --- OCSP ----------------------------------------------------------------------------------

    async def ocsp(self, certificate: Certificate, issuer: Certificate, url: str, at: float) -> RevocationAnswer:
        """Ask a responder, by GET and, if that fails, by POST (RFC 6960 appendix A)."""
        request = encode_request(certificate, issuer)
        key = f"ocsp {url} {hashlib.sha256(request).hexdigest()}"
        kept = await self._kept(key)
        if kept is not None:
            known = judge_ocsp_untrusted(kept, certificate, issuer, at, url)
            if known.status in SETTLED:
                return known

        async with self._turn(key, OCSP) as meanwhile:
            if meanwhile is not None:
                known = judge_ocsp_untrusted(meanwhile, certificate, issuer, at, url)
                if known.status in SETTLED:
                    return known

            async def ask(where: str, post: bytes | None = None) -> RevocationAnswer:
                got = await self._fetcher.fetch(where, OCSP, post)
                return await self._answer(got, certificate, issuer, at, url, key)

            by_get = None if "?" in url else get_url(url, request)
            if by_get is None:
                return await ask(url, request)
            answer = await ask(by_get)
            if answer.status not in ("invalid", "unavailable") or answer.blocked:
                return answer
            by_post = await ask(url, request)
        # an answer that says why it is no use says more than a server that does not know the method
        return answer if by_post.status == "unavailable" else by_post

    async def _answer(
        self, got: Fetched, certificate: Certificate, issuer: Certificate, at: float, url: str, key: str
    ) -> RevocationAnswer:
        if got.body is None:
            return RevocationAnswer(
                certificate.sha256, "ocsp", url, "unavailable", error=got.error, blocked=got.blocked
            )
        answer = judge_ocsp_untrusted(got.body, certificate, issuer, at, url)
        if answer.status in SETTLED:
            await self._keep(key, got.body, answer.next_update)
        elif answer.error is not None:
            answer = replace(answer, error=_with_type(answer.error, got.content_type))
        return answer

    # --- CRLs ----------------------------------------------------------------------------------

    async def crl(self, certificate: Certificate, issuer: Certificate, url: str, at: float) -> RevocationAnswer:
        """Look a certificate up in a CRL, which is fetched and read once for all certificates that name it."""
        found: Crl | _NoList
        if url in self._lists:
            found, fetched = self._lists[url]
            self._lists.move_to_end(url)
            answer = await self._look_up(found, certificate, issuer, at, url)
            if answer.status in SETTLED or not self._is_old(fetched):
                return answer
            found = await self._loading.once((url, "again"), self._fetch_list, certificate, issuer, url, at)
        else:
            found = await self._loading.once((url,), self._list, certificate, issuer, url, at)
        if isinstance(found, _NoList):
            return RevocationAnswer(
                certificate.sha256, "crl", url, "unavailable", error=found.error, blocked=found.blocked
            )
        return await self._look_up(found, certificate, issuer, at, url)

    async def listed(
        self, certificate: Certificate, issuer: Certificate, url: str, at: float
    ) -> RevocationAnswer | None:
        """Return what a CRL says that was fetched for another target; ``None`` if it was not. Nothing is fetched."""
        found = self._lists.get(url)
        return None if found is None else await self._look_up(found[0], certificate, issuer, at, url)

    async def _list(
        self, certificate: Certificate, issuer: Certificate, url: str, at: float
    ) -> tuple[Crl | _NoList, float | None]:
        """The list at ``url``: the one that was kept, if it serves the certificate that it is wanted for now, else a new one."""
        key = f"crl {url}"
        kept = await self._kept(key)
        for _ in range(2):
            if kept is not None and isinstance(loaded := await _load(kept), Crl):
                if (await self._look_up(loaded, certificate, issuer, at, url)).status in SETTLED:
                    self._remember(url, loaded, KEPT)
                    return loaded, None
            async with self._turn(key, CRL) as kept:
                if kept is None:
                    return await self._fetch_list(certificate, issuer, url, at)
        return await self._fetch_list(certificate, issuer, url, at)

    async def _fetch_list(
        self, certificate: Certificate, issuer: Certificate, url: str, at: float
    ) -> tuple[Crl | _NoList, float | None]:
        got = await self._fetcher.fetch(url, CRL)
        if got.body is None:
            return _NoList(got.error or "no answer", got.blocked), float("inf")
        loaded = await _load(got.body)
        if isinstance(loaded, str):
            return _NoList(_with_type(loaded, got.content_type), False), float("inf")
        self._remember(url, loaded, self._clock())
        answer = await self._look_up(loaded, certificate, issuer, at, url)
        if answer.status in SETTLED:
            await self._keep(f"crl {url}", got.body, answer.next_update)
        return loaded, None

    def _remember(self, url: str, crl: Crl, fetched: float) -> None:
        self._lists[url] = crl, fetched
        self._lists.move_to_end(url)
        while len(self._lists) > 1 and sum(kept.bytes for kept, _ in self._lists.values()) > MAX_LISTS_BYTES:
            self._lists.popitem(last=False)

    @staticmethod
    async def _look_up(
        crl: Crl, certificate: Certificate, issuer: Certificate, at: float, url: str
    ) -> RevocationAnswer:
        if crl.bytes < LARGE:
            return judge_crl(crl, certificate, issuer, at, url)
        return await trio.to_thread.run_sync(judge_crl, crl, certificate, issuer, at, url)

    # --- the cache -----------------------------------------------------------------------------

    async def _kept(self, key: str) -> bytes | None:
        return None if self._cache is None else await trio.to_thread.run_sync(self._cache.get, key)

    async def _keep(self, key: str, body: bytes, until: float | None) -> None:
        if self._cache is not None and until is not None:
            most = self._clock() + (ISSUERS_KEPT if key.startswith("aia ") else MOST_KEPT)
            await trio.to_thread.run_sync(self._cache.put, key, body, min(until, most))

    @asynccontextmanager
    async def _turn(self, key: str, kind: FetchKind) -> AsyncIterator[bytes | None]:
        """Alone among the processes that use the cache, to fetch what belongs to ``key``; gives what another one has put there
        while it was waited for. Whoever takes longer than fetching may is not waited for any longer."""
        cache, lock = self._cache, None
        if cache is not None:
            try:
                with trio.move_on_after(kind.seconds):
                    while (lock := cache.lock(key)) is None:  # noqa: ASYNC110 - it is another process that is waited for
                        await trio.sleep(WAIT_FOR_OTHERS)
            except OSError:
                pass  # it cannot be written, so nothing is shared
        try:
            # another process may have put it there since it was looked for, waited for or not
            yield None if cache is None else await self._kept(key)
        finally:
            if cache is not None and lock is not None:
                cache.unlock(key, lock)


def bundle_untrusted(body: bytes, content_type: str = "") -> Bundle:
    """Return the certificates in what a caIssuers address gave; never raises."""
    found: dict[str, Certificate] = {}
    error = "no certificate in it"
    try:
        for data in chain_untrusted(body, "the answer")[:MAX_BUNDLE]:
            try:
                certificate = Certificate.parse_untrusted(data)
            except CertificateError as problem:
                error = f"what is there is no certificate: {problem}"
            else:
                found.setdefault(certificate.sha256, certificate)
    except ChainFileError as problem:
        error = str(problem)
    if found:
        return Bundle(tuple(found.values()))
    return Bundle(error=_with_type(error, content_type))


async def _read_bundle(body: bytes, content_type: str = "") -> Bundle:
    if len(body) < LARGE:
        return bundle_untrusted(body, content_type)
    return await trio.to_thread.run_sync(bundle_untrusted, body, content_type)


async def _load(body: bytes) -> Crl | str:
    try:
        if len(body) < LARGE:
            return load_crl_untrusted(body)
        return await trio.to_thread.run_sync(load_crl_untrusted, body)
    except CrlError as error:
        return str(error)


def _with_type(error: str, content_type: str) -> str:
    """Return the error, with the Content-Type of the answer if that tells more: a page instead of an answer."""
    return f"{error} (sent as {content_type})" if content_type.startswith("text/") else error
