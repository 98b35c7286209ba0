"""Sources of certificates and of their revocation: what they give is verified, kept, and never asked for twice."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import load_der_x509_certificate
from trio.testing import MockClock

from scanner.model.evidence import RevocationAnswer
from scanner.net.http.disk_cache import DiskCache
from scanner.net.http.fetch import CRL, ISSUERS, OCSP, Fetched, FetchKind
from scanner.net.lookups.sources import OLD_AFTER, RevocationLookups, bundle_untrusted
from tests.helpers import pki, revocation
from tests.helpers.pki import DAY, NOW
from tests.helpers.revocation import URL, WORLD

LEAF, CA = WORLD.parsed()
RESPONDER = "http://ocsp.test"


class Pages:
    """What is at each URL; ``asked`` are (URL, kind, whether it was posted to)."""

    def __init__(self, pages: dict[str, Fetched | bytes]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, FetchKind, bool]] = []
        self.delay = 0.0

    async def fetch(self, url: str, kind: FetchKind, post: bytes | None = None) -> Fetched:
        self.asked.append((url, kind, post is not None))
        await trio.sleep(self.delay)
        where = f"POST {url}" if post is not None else url
        if where not in self.pages and kind is OCSP and post is None:
            where = url.rpartition("/")[0]
        page = self.pages.get(where, Fetched(url, error="HTTP status 404", status=404))
        return page if isinstance(page, Fetched) else Fetched(url, page, status=200)

    def sources(self, cache: DiskCache | None = None) -> RevocationLookups:
        return RevocationLookups(cast(Any, self), cache, lambda: NOW)


def run(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main)


async def crl(sources: RevocationLookups, at: float = NOW) -> RevocationAnswer:
    return await sources.crl(LEAF, CA, URL, at)


async def ocsp(sources: RevocationLookups, at: float = NOW) -> RevocationAnswer:
    return await sources.ocsp(LEAF, CA, RESPONDER, at)


# --- issuers -------------------------------------------------------------------------------------


def _pkcs7(*certificates: pki.Issued) -> bytes:
    return pkcs7.serialize_certificates([load_der_x509_certificate(one.der) for one in certificates], Encoding.DER)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (WORLD.ca.der, 1),
        (WORLD.ca.pem.encode(), 1),
        (pki.pem(WORLD.ca, WORLD.root).encode(), 2),
        (_pkcs7(WORLD.ca, WORLD.root), 2),
        (b"<!DOCTYPE html><html><body>Please log in</body></html>", 0),
        (b"", 0),
        (b"\x30\x80\x00\x00", 0),
        (b"\x30\x03\x02\x01\x01", 0),
        (WORLD.ca.der[:-20], 0),
        (b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", 0),
        (b"\x30" * 5000, 0),
    ],
)
def test_what_a_caissuers_address_gives(body: bytes, count: int) -> None:
    bundle = bundle_untrusted(body, "text/html")
    assert len(bundle.certificates) == count
    assert (bundle.error is None) is (count > 0)
    assert bundle.error is None or "(sent as text/html)" in bundle.error


def test_an_address_is_asked_once_by_all_who_want_it() -> None:
    pages = Pages({"http://ca.test/ca.cer": WORLD.ca.der, "http://gone.test/": Fetched("", error="x", blocked=True)})
    pages.delay = 0.01

    async def main() -> None:
        sources = pages.sources()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(sources.bundle, "http://ca.test/ca.cer")
                nursery.start_soon(sources.bundle, "http://gone.test/")
        assert (await sources.bundle("http://ca.test/ca.cer")).certificates == (CA,)
        gone = await sources.bundle("http://gone.test/")
        assert (gone.error, gone.blocked) == ("x", True)
        assert sorted(pages.asked) == sorted(
            [("http://ca.test/ca.cer", ISSUERS, False), ("http://gone.test/", ISSUERS, False)]
        )

    run(main)


# --- OCSP ----------------------------------------------------------------------------------------

GOOD = revocation.ocsp(WORLD.leaf, WORLD.ca)
REVOKED = revocation.ocsp(WORLD.leaf, WORLD.ca, "revoked")


def test_a_responder_is_asked_by_get() -> None:
    pages = Pages({RESPONDER: GOOD})

    async def main() -> None:
        assert (await ocsp(pages.sources())).status == "good"
        [(url, _, posted)] = pages.asked
        assert not posted
        request = base64.b64decode(unquote(url.removeprefix(RESPONDER + "/")))
        assert LEAF.serial.replace(":", "").lower() in request.hex()

    run(main)


@pytest.mark.parametrize("by_get", [b"<html>", revocation.refusal(1), Fetched("", error="HTTP status 405", status=405)])
def test_by_post_where_get_brings_nothing(by_get: bytes | Fetched) -> None:
    pages = Pages({RESPONDER: by_get, f"POST {RESPONDER}": REVOKED})

    async def main() -> None:
        assert (await ocsp(pages.sources())).status == "revoked"
        assert [posted for _, _, posted in pages.asked] == [False, True]

    run(main)


def test_by_post_alone_where_the_address_has_a_query() -> None:
    pages = Pages({"POST http://ocsp.test/?ca=1": GOOD})

    async def main() -> None:
        assert (await pages.sources().ocsp(LEAF, CA, "http://ocsp.test/?ca=1", NOW)).status == "good"
        assert len(pages.asked) == 1

    run(main)


@pytest.mark.parametrize(
    ("page", "status", "error", "requests"),
    [
        (Fetched("", b"<html>no</html>", content_type="text/html"), "invalid", "(sent as text/html)", 2),
        (b"\x30\x03\x0a\x01\x06", "unavailable", "unauthorized", 2),
        (revocation.ocsp(WORLD.other_leaf, WORLD.ca), "invalid", "", 2),
        (revocation.ocsp(WORLD.leaf, WORLD.other_key), "invalid", "", 2),
        (revocation.ocsp(WORLD.leaf, WORLD.ca, "unknown"), "unknown", None, 1),
        (Fetched("", error="connection-refused", blocked=True), "unavailable", "connection-refused", 1),
    ],
)
def test_answers_of_no_use(page: bytes | Fetched, status: str, error: str | None, requests: int) -> None:
    pages = Pages({RESPONDER: page})

    async def main() -> None:
        answer = await ocsp(pages.sources())
        assert (answer.status, answer.url) == (status, RESPONDER)
        assert (answer.error is None) if error is None else (error in str(answer.error))
        assert answer.blocked is (isinstance(page, Fetched) and page.blocked)
        assert len(pages.asked) == requests

    run(main)


# --- CRLs ----------------------------------------------------------------------------------------


def test_a_list_is_fetched_and_read_once_for_all() -> None:
    pages = Pages({URL: revocation.crl(WORLD.ca)})
    pages.delay = 0.01

    async def main() -> None:
        sources = pages.sources()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(crl, sources)
        assert (await crl(sources)).status == "good"
        assert pages.asked == [(URL, CRL, False)]

    run(main)


def test_a_list_that_is_at_hand() -> None:
    pages = Pages({URL: revocation.crl(WORLD.ca)})

    async def main() -> None:
        sources = pages.sources()
        assert await sources.listed(LEAF, CA, URL, NOW) is None
        assert pages.asked == []
        asked = await crl(sources)
        assert await sources.listed(LEAF, CA, URL, NOW) == asked
        assert pages.asked == [(URL, CRL, False)]

    run(main)


@pytest.mark.parametrize(
    ("page", "status", "error"),
    [
        (revocation.crl(WORLD.other_key), "invalid", "signature"),
        (Fetched("", b"<html>", content_type="text/html"), "unavailable", "(sent as text/html)"),
        (Fetched("", error="HTTP status 500"), "unavailable", "HTTP status 500"),
        (Fetched("", error="no connection within 4 s", blocked=True), "unavailable", "no connection"),
    ],
)
def test_lists_of_no_use(page: bytes | Fetched, status: str, error: str) -> None:
    pages = Pages({URL: page})

    async def main() -> None:
        sources = pages.sources()
        for _ in range(3):
            answer = await crl(sources)
            assert answer.status == status
            assert error in str(answer.error)
            assert answer.blocked is (isinstance(page, Fetched) and page.blocked)
        assert len(pages.asked) == 1

    run(main)


def test_lists_that_were_not_used_for_longest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.net.lookups.sources.MAX_LISTS_BYTES", 10)
    pages = Pages({URL: revocation.crl(WORLD.ca), "http://other.test/": revocation.crl(WORLD.ca)})

    async def main() -> None:
        sources = pages.sources()
        await crl(sources)
        await sources.crl(LEAF, CA, "http://other.test/", NOW)
        assert list(sources._lists) == ["http://other.test/"]

    run(main)


def test_a_large_list_is_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.net.lookups.sources.LARGE", 1)
    pages = Pages({URL: revocation.crl(WORLD.ca, revocation.entry(int(LEAF.serial, 16)))})

    async def main() -> None:
        assert (await crl(pages.sources())).status == "revoked"

    run(main)


# --- between runs --------------------------------------------------------------------------------


def _pages() -> Pages:
    return Pages({"http://ca.test/": WORLD.ca.der, RESPONDER: GOOD, URL: revocation.crl(WORLD.ca)})


async def _all(sources: RevocationLookups, at: float = NOW) -> list[str]:
    bundle = await sources.bundle("http://ca.test/")
    return [str(len(bundle.certificates)), (await ocsp(sources, at)).status, (await crl(sources, at)).status]


def test_the_next_run_asks_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        first, second, third = _pages(), _pages(), _pages()
        assert await _all(first.sources(DiskCache(tmp_path, clock=lambda: NOW))) == ["1", "good", "good"]
        assert len(first.asked) == 3
        assert await _all(second.sources(DiskCache(tmp_path, clock=lambda: NOW))) == ["1", "good", "good"]
        assert second.asked == []
        assert await _all(third.sources(DiskCache(tmp_path, clock=lambda: NOW + 13 * 3600))) == ["1", "good", "good"]
        assert len(third.asked) == 2  # issuers are kept for longer

    run(main)


def test_what_was_kept_and_is_of_no_use_now_is_asked_for_again(tmp_path: Path) -> None:
    async def main() -> None:
        await _all(_pages().sources(DiskCache(tmp_path, clock=lambda: NOW)))
        later = NOW + 300 * DAY
        pages = Pages(
            {
                "http://ca.test/": WORLD.ca.der,
                RESPONDER: revocation.ocsp(WORLD.leaf, WORLD.ca, "revoked", this_update=later, next_update=later + DAY),
                URL: revocation.crl(WORLD.ca, this_update=later, next_update=later + DAY),
            }
        )
        # the cache's clock stands still: what it gives is judged all the same
        assert await _all(pages.sources(DiskCache(tmp_path, clock=lambda: NOW)), later) == ["1", "revoked", "good"]

    run(main)


def test_a_kept_list_that_serves_one_certificate_and_not_another_is_fetched_again(tmp_path: Path) -> None:
    """The second was issued by the new key of a CA, which signs the list at the old address by now."""
    renewed = pki.authority("CA", WORLD.root, private=pki.key("renewed"))
    leaf = pki.certificate("new.test", issuer=renewed).parsed

    async def main() -> None:
        first = Pages({URL: revocation.crl(WORLD.ca)})
        await crl(first.sources(DiskCache(tmp_path, clock=lambda: NOW)))
        pages = Pages({URL: revocation.crl(renewed, revocation.entry(int(leaf.serial, 16)))})
        sources = pages.sources(DiskCache(tmp_path, clock=lambda: NOW))
        assert (await crl(sources)).status == "good" and pages.asked == []
        said: list[str] = []

        async def ask() -> None:
            said.append((await sources.crl(leaf, renewed.parsed, URL, NOW)).status)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert said == ["revoked"] * 5
        assert len(pages.asked) == 1
        assert (await crl(sources)).status == "invalid"  # fetched a moment ago, so it is what there is
        assert len(pages.asked) == 1

    run(main)


def test_a_list_that_cannot_be_fetched_again_is_unavailable(tmp_path: Path) -> None:
    other = pki.certificate("new.test", issuer=WORLD.other_key).parsed

    async def main() -> None:
        await crl(Pages({URL: revocation.crl(WORLD.ca)}).sources(DiskCache(tmp_path, clock=lambda: NOW)))
        pages = Pages({})
        sources = pages.sources(DiskCache(tmp_path, clock=lambda: NOW))
        assert (await crl(sources)).status == "good"
        for _ in range(3):
            answer = await sources.crl(other, WORLD.other_key.parsed, URL, NOW)
            assert (answer.status, answer.error) == ("unavailable", "HTTP status 404")
        assert len(pages.asked) == 1
        assert (await crl(sources)).status == "good"  # what was kept still serves those that it served

    run(main)


def test_in_a_long_run_a_list_that_is_out_of_date_is_fetched_again() -> None:
    pages, now = Pages({URL: revocation.crl(WORLD.ca)}), NOW

    async def main() -> None:
        nonlocal now
        sources = RevocationLookups(cast(Any, pages), None, lambda: now)
        assert (await crl(sources)).status == "good"
        now += 20 * DAY
        pages.pages[URL] = revocation.crl(WORLD.ca, this_update=now, next_update=now + DAY)
        for _ in range(3):
            assert (await crl(sources, now)).status == "good"
        assert len(pages.asked) == 2

    run(main)


def test_what_is_at_an_issuers_address_is_fetched_again_if_it_is_old(tmp_path: Path) -> None:
    url, now = "http://ca.test/", NOW

    async def main() -> None:
        nonlocal now
        await Pages({url: WORLD.ca.der}).sources(DiskCache(tmp_path, clock=lambda: NOW)).bundle(url)
        pages = Pages({url: WORLD.root.der})
        pages.delay = 0.01
        sources = RevocationLookups(cast(Any, pages), DiskCache(tmp_path, clock=lambda: NOW), lambda: now)
        assert not sources.has_old_bundle(url)
        assert (await sources.bundle(url)).certificates == (CA,)
        assert sources.has_old_bundle(url)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(sources.renewed_bundle, url)
        assert (await sources.bundle(url)).certificates == (WORLD.root.parsed,)
        assert len(pages.asked) == 1 and not sources.has_old_bundle(url)
        now += 2 * OLD_AFTER
        del pages.pages[url]
        assert sources.has_old_bundle(url)
        assert (await sources.renewed_bundle(url)).error == "HTTP status 404"
        assert (await sources.bundle(url)).certificates == (WORLD.root.parsed,)  # better than nothing
        assert len(pages.asked) == 2 and not sources.has_old_bundle(url)

    run(main)


def test_nothing_that_does_not_verify_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        pages = Pages({"http://ca.test/": b"<html>", RESPONDER: b"<html>", URL: revocation.crl(WORLD.other_key)})
        await _all(pages.sources(DiskCache(tmp_path, clock=lambda: NOW)))
        assert list((tmp_path / "fetched").iterdir()) == []

    run(main)


def test_broken_entries_of_the_cache(tmp_path: Path) -> None:
    async def main() -> None:
        cache = DiskCache(tmp_path, clock=lambda: NOW)
        pages = _pages()
        for key in ("aia http://ca.test/", f"crl {URL}"):
            cache.put(key, b"something else", NOW + DAY)
        assert await _all(pages.sources(cache)) == ["1", "good", "good"]
        assert len(pages.asked) == 3

    run(main)


def test_several_processes_ask_once(tmp_path: Path) -> None:
    """Runs side by side, as worker processes are: each with sources of its own, over one directory."""

    async def main() -> None:
        pages = _pages()
        pages.delay = 0.2
        said: list[list[str]] = []

        async def process() -> None:
            said.append(await _all(pages.sources(DiskCache(tmp_path, clock=lambda: NOW))))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(process)
        assert said == [["1", "good", "good"]] * 4
        assert len(pages.asked) == 3
        assert not [path for path in (tmp_path / "fetched").iterdir() if path.name.startswith(".")]

    trio.run(main)


def test_another_process_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.net.lookups.sources.WAIT_FOR_OTHERS", 10.0)

    async def main() -> None:
        cache = DiskCache(tmp_path, clock=lambda: NOW)
        other = DiskCache(tmp_path, clock=lambda: NOW)
        held = other.lock(f"crl {URL}")
        assert held is not None
        assert cache.lock(f"crl {URL}") is None
        begun = trio.current_time()
        assert (await crl(_pages().sources(cache))).status == "good"
        assert trio.current_time() - begun >= CRL.seconds
        other.unlock(f"crl {URL}", held)
        again = cache.lock(f"crl {URL}")
        assert again is not None
        cache.unlock(f"crl {URL}", again)

    trio.run(main, clock=MockClock(autojump_threshold=0.05))


def test_without_a_place_to_write_everything_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def main() -> None:
        pages = _pages()
        assert await _all(pages.sources(DiskCache(tmp_path / "file", clock=lambda: NOW))) == ["1", "good", "good"]
        assert len(pages.asked) == 3

    run(main)
