"""What is asked about the certificates of a target: no more than its diagnosis needs, once for all that share them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from scanner.model.config import ScanConfig
from scanner.model.evidence import Evidence, Probe, RevocationAnswer
from scanner.net.lookups.plan import MAX_LEVELS, MAX_URLS, CertificateLookups, open_lookups
from scanner.net.lookups.sources import Bundle
from scanner.net.pacing import Pacer
from scanner.trust.intermediates import Intermediates
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate
from tests.helpers import evidence, pki, revocation
from tests.helpers.evidence import AT, answered, codes
from tests.helpers.http import Names, ok, serving
from tests.helpers.pki import DAY, Issued, authority_info_access

ROOT = pki.root("Root")
AIA = "http://aia.test"


def _published(name: str) -> bytes:
    return authority_info_access(issuers=[f"{AIA}/{name}"])


def _asked_at(*urls: str, ocsp: tuple[str, ...] = ()) -> list[bytes]:
    responders = [authority_info_access(ocsp=ocsp)] if ocsp else []
    return [*responders, revocation.points(*urls)] if urls else responders


UPPER = pki.authority("Upper", ROOT)
LOWER = pki.authority("Lower", UPPER, extra=[_published("upper")])
LEAF = pki.certificate("leaf.test", issuer=LOWER, extra=[_published("lower")])
CHECKED_CA = pki.authority("Checked", ROOT, extra=_asked_at("http://crl.test/root"))
CHECKED = pki.certificate(
    "checked.test", issuer=CHECKED_CA, extra=_asked_at("http://crl.test/ca", ocsp=("http://ocsp.test",))
)


class Fakes:
    """Sources that answer as they are told. ``asked`` is what was asked in its order."""

    def __init__(self, **bundles: Bundle) -> None:
        self.bundles = {f"{AIA}/{name}": bundle for name, bundle in bundles.items()}
        self.says: dict[tuple[str, str], str] = {}
        self.asked: list[str] = []
        self.old: dict[str, Bundle] = {}  # kept by an earlier run; ``bundles`` has what is there now
        self.renewing = trio.Lock()
        self.lists: dict[str, str] = {}
        self.looked_up: list[str] = []
        self.aside = 0

    async def bundle(self, url: str) -> Bundle:
        self.asked.append(url)
        await trio.lowlevel.checkpoint()
        assert self.aside
        return self.old.get(url) or self.bundles.get(url, Bundle(error="HTTP status 404"))

    def has_old_bundle(self, url: str) -> bool:
        return url in self.old

    async def renewed_bundle(self, url: str) -> Bundle:
        async with self.renewing:
            if url in self.old:
                self.asked.append(f"{url} again")
                await trio.lowlevel.checkpoint()
                assert self.aside
                old = self.old.pop(url)
                found = self.bundles.setdefault(url, Bundle(error="HTTP status 404"))
                if not found.certificates:
                    self.bundles[url] = old
                return found
        return self.bundles[url]

    async def ocsp(self, certificate: Certificate, issuer: Certificate, url: str, at: float) -> RevocationAnswer:
        return await self._say("ocsp", certificate, url)

    async def crl(self, certificate: Certificate, issuer: Certificate, url: str, at: float) -> RevocationAnswer:
        return await self._say("crl", certificate, url)

    async def listed(
        self, certificate: Certificate, issuer: Certificate, url: str, at: float
    ) -> RevocationAnswer | None:
        self.looked_up.append(f"{certificate.common_name} {url}")
        await trio.lowlevel.checkpoint()
        status: Any = self.lists.get(url)
        return None if status is None else RevocationAnswer(certificate.sha256, "crl", url, status)

    async def _say(self, source: Any, certificate: Certificate, url: str) -> RevocationAnswer:
        self.asked.append(f"{certificate.common_name} {url}")
        await trio.sleep(0.01)
        assert self.aside
        status: Any = self.says.get((certificate.common_name or "", source), "good")
        return RevocationAnswer(certificate.sha256, source, url, status)

    @contextmanager
    def stand_aside(self) -> Iterator[None]:
        self.aside += 1
        yield
        self.aside -= 1


class Run:
    """One run: a verifier, its intermediates, and who asks."""

    def __init__(self, fakes: Fakes, *anchors: Issued, online: bool = True) -> None:
        self.fakes = fakes
        pool = Intermediates(shipped=False)
        self.verifier = ChainVerifier([pki.store(*(anchors or (ROOT,)))], public_roots=frozenset(), intermediates=pool)
        self.lookups = CertificateLookups(lambda: cast(Any, fakes), pool, online=online, aside=fakes.stand_aside)

    async def of(self, *probes: Probe, at: float = AT) -> Evidence:
        seen = evidence.evidence(*[evidence.at(probe, f"192.0.2.{place}") for place, probe in enumerate(probes, 1)])
        again = partial(evidence.verdicts, seen, self.verifier, at)
        found, _ = await self.lookups.ask(seen, again(), at, again)
        return found

    def said(self, seen: Evidence) -> list[str]:
        return [code for code in codes(evidence.diagnosed(seen, self.verifier)) if code != "name-not-in-san"]


def sent(*certificates: Issued, **changes: Any) -> Probe:
    return answered([certificate.der for certificate in certificates], **changes)


def bundle(*certificates: Issued) -> Bundle:
    return Bundle(tuple(certificate.parsed for certificate in certificates))


def run(main: Any) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))


# --- issuers -------------------------------------------------------------------------------------


RENEWED_LOWER = pki.authority("Lower", UPPER, private=pki.key("Lower, renewed"), extra=[_published("upper")])
OF_RENEWED = pki.certificate("leaf.test", issuer=RENEWED_LOWER, extra=[_published("lower")])
# the same key, and out of its time
EXPIRED_LOWER = pki.authority("Lower", UPPER, private=LOWER.private, extra=[_published("upper")], not_after=AT - DAY)
# the same key, under a root that no store has
OTHER_UPPER = pki.root("Upper", private=UPPER.private)


@pytest.mark.parametrize(
    ("kept", "leaf", "asked"),
    [
        pytest.param({"lower": bundle(LOWER)}, OF_RENEWED, ["lower", "lower again", "upper"], id="another key"),
        pytest.param(
            {"lower": bundle(EXPIRED_LOWER)},
            LEAF,
            ["lower", "upper", "lower again"],
            id="the same key, expired",
        ),
        pytest.param({"upper": bundle(OTHER_UPPER)}, LEAF, ["lower", "upper", "upper again"], id="another root"),
        pytest.param({"lower": bundle(CHECKED_CA)}, LEAF, ["lower", "lower again", "upper"], id="another CA"),
        pytest.param({"lower": bundle(LOWER), "upper": bundle(UPPER)}, LEAF, ["lower", "upper"], id="it still helps"),
    ],
)
def test_a_kept_issuer_that_does_not_help_is_fetched_again(
    kept: dict[str, Bundle], leaf: Issued, asked: list[str]
) -> None:
    async def main() -> None:
        now = RENEWED_LOWER if leaf is OF_RENEWED else LOWER
        here = Run(Fakes(lower=bundle(now), upper=bundle(UPPER)))
        here.fakes.old = {f"{AIA}/{name}": old for name, old in kept.items()}
        for first in (True, False):  # the second target asks for nothing
            seen = await here.of(sent(leaf))
            assert here.said(seen) == ["intermediate-not-sent"]
            found = {issuer.certificates for issuer in seen.issuers}
            assert found <= {(now.der,), (UPPER.der,)} and (now.der,) in found
            assert not first or (UPPER.der,) in found
        assert [each.removeprefix(f"{AIA}/") for each in here.fakes.asked] == asked

    run(main)


def test_issuers_of_an_issuer_that_has_expired_are_fetched_too() -> None:
    """Only then is it known that nothing but its date is wrong."""

    async def main() -> None:
        here = Run(Fakes(lower=bundle(EXPIRED_LOWER), upper=bundle(UPPER)))
        for _ in range(2):
            said = here.said(await here.of(sent(LEAF)))
            assert "intermediate-expired" in said and "intermediate-unobtainable" not in said
        assert here.fakes.asked == [f"{AIA}/lower", f"{AIA}/upper"]

    run(main)


def test_targets_that_wait_for_the_same_renewed_issuer_all_get_it() -> None:
    async def main() -> None:
        here = Run(Fakes(lower=bundle(LOWER), upper=bundle(UPPER)))
        here.fakes.old = {f"{AIA}/lower": bundle(EXPIRED_LOWER)}
        said: list[list[str]] = []

        async def target() -> None:
            said.append(here.said(await here.of(sent(LEAF))))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(target)
        assert said == [["intermediate-not-sent"]] * 5
        assert here.fakes.asked.count(f"{AIA}/lower again") == 1

    run(main)


def test_a_kept_issuer_that_is_gone_by_now_is_judged_as_it_was() -> None:
    async def main() -> None:
        here = Run(Fakes(upper=bundle(UPPER)))
        here.fakes.old = {f"{AIA}/lower": bundle(EXPIRED_LOWER)}
        for _ in range(2):
            assert "intermediate-expired" in here.said(await here.of(sent(LEAF, UPPER)))
        assert here.fakes.asked.count(f"{AIA}/lower again") == 1

    run(main)


def test_an_issuer_at_hand_that_has_expired_is_looked_for_where_it_is_published() -> None:
    async def main() -> None:
        here = Run(Fakes(lower=bundle(LOWER), upper=bundle(UPPER)))
        assert here.lookups._intermediates.learn(EXPIRED_LOWER.parsed)  # as another host of the run sent it
        seen = await here.of(sent(LEAF))
        assert here.said(seen) == ["intermediate-not-sent"]
        assert f"{AIA}/lower" in here.fakes.asked

    run(main)


def test_issuers_are_fetched_level_by_level() -> None:
    async def main() -> None:
        here = Run(Fakes(lower=bundle(LOWER), upper=bundle(UPPER)))
        seen = await here.of(sent(LEAF))
        assert here.fakes.asked == [f"{AIA}/lower", f"{AIA}/upper"]
        assert [issuer.certificates for issuer in seen.issuers] == [(LOWER.der,), (UPPER.der,)]
        assert "intermediate-not-sent" in here.said(seen)
        [diagnosis] = [
            d for d in evidence.diagnosed(seen, here.verifier).diagnoses if d["code"] == "intermediate-not-sent"
        ]
        assert diagnosis["evidence"]["completed_from"] == ["aia"]

    run(main)


def test_a_bundle_may_hold_all_of_them() -> None:
    async def main() -> None:
        here = Run(Fakes(lower=bundle(ROOT, pki.root("Somebody else"), UPPER, LOWER)))
        seen = await here.of(sent(LEAF))
        assert here.fakes.asked == [f"{AIA}/lower"]
        assert set(seen.issuers[0].certificates) == {LOWER.der, UPPER.der, ROOT.der}

    run(main)


def test_what_was_fetched_for_one_target_serves_the_next() -> None:
    async def main() -> None:
        here = Run(Fakes(lower=bundle(LOWER), upper=bundle(UPPER)))
        first, second = await here.of(sent(LEAF)), await here.of(sent(LEAF))
        assert len(here.fakes.asked) == 2
        assert set(second.issuers) == set(first.issuers)

    run(main)


@pytest.mark.parametrize(
    ("there", "error"),
    [
        (Bundle(error="connection-refused", blocked=True), "connection-refused"),
        (bundle(UPPER, ROOT), "what is there is not its issuer: no certificate signs this one"),
        (bundle(pki.authority("Lower", UPPER, private=pki.key("impostor"))), "what is there is not its issuer"),
    ],
)
def test_an_issuer_that_cannot_be_had(there: Bundle, error: str) -> None:
    async def main() -> None:
        here = Run(Fakes(lower=there))
        for _ in range(2):
            seen = await here.of(sent(LEAF))
            [issuer] = seen.issuers
            assert (issuer.certificate, issuer.url) == (LEAF.sha256, f"{AIA}/lower")
            assert error in str(issuer.error)
            assert issuer.blocked is there.blocked
            assert here.said(seen) == ["intermediate-unobtainable"]
            facts = evidence.proof(evidence.diagnosed(seen, here.verifier), "intermediate-unobtainable")
            assert facts["fetched"] is True
            assert facts["answers"] == [{"url": f"{AIA}/lower", "error": issuer.error}]
        assert len(here.fakes.asked) == 1

    run(main)


def test_a_fetched_path_that_ends_at_nobodys_root() -> None:
    async def main() -> None:
        here = Run(Fakes(lower=bundle(LOWER), upper=bundle(UPPER, ROOT)), pki.root("Trusted"))
        assert here.said(await here.of(sent(LEAF))) == ["untrusted-root"]

    run(main)


def test_authorities_that_name_one_another_for_ever() -> None:
    """Each level exists, and none is the last."""
    level = pki.authority("Level 0", pki.root("Nobody"), extra=[_published("never")])
    below: list[Issued] = []
    for number in range(1, MAX_LEVELS + 5):
        level = pki.authority(f"Level {number}", level, extra=[_published(f"level{number - 1}")])
        below.append(level)

    async def main() -> None:
        fakes = Fakes(**{f"level{place + 1}": bundle(issued) for place, issued in enumerate(below)})
        here = Run(fakes)
        seen = await here.of(sent(pki.certificate("deep.test", issuer=level, extra=[_published(f"level{len(below)}")])))
        assert len(fakes.asked) == len(seen.issuers) == MAX_LEVELS
        assert "intermediate-unobtainable" in here.said(seen)

    run(main)


def test_a_loop_of_cross_signed_authorities() -> None:
    """A is signed by B and B by A, and each says where the other is."""
    first = pki.root("A")
    a = pki.authority("A", pki.root("B"), private=first.private, extra=[_published("b")])
    b = pki.authority("B", a, private=pki.root("B").private, extra=[_published("a")])
    leaf = pki.certificate("loop.test", issuer=a, extra=[_published("a")])

    async def main() -> None:
        here = Run(Fakes(a=bundle(a), b=bundle(b)))
        seen = await here.of(sent(leaf))
        assert len(here.fakes.asked) <= MAX_LEVELS
        assert here.said(seen)

    run(main)


def test_only_so_many_addresses_of_one_certificate() -> None:
    leaf = pki.certificate(
        "many.test", issuer=LOWER, extra=[authority_info_access(issuers=[f"{AIA}/{n}" for n in range(50)])]
    )

    async def main() -> None:
        here = Run(Fakes())
        assert len((await here.of(sent(leaf))).issuers) == len(here.fakes.asked) == MAX_URLS

    run(main)


def test_nothing_is_asked_where_no_answer_is_needed() -> None:
    async def main() -> None:
        here = Run(Fakes())
        for probe in (
            sent(LEAF, LOWER, UPPER),  # healthy, and names nobody to ask about revocation
            sent(pki.certificate("alone.test", extra=[_published("x")])),  # self-signed
            sent(pki.certificate("nowhere.test", issuer=LOWER)),  # does not say where
            answered([b"\x30\x00"]),
        ):
            seen = await here.of(probe)
            assert (seen.issuers, seen.revocation) == ((), ())
        assert here.fakes.asked == []

    run(main)


# --- revocation ----------------------------------------------------------------------------------


def test_each_certificate_below_the_anchor_is_asked_about() -> None:
    async def main() -> None:
        here = Run(Fakes())
        seen = await here.of(sent(CHECKED, CHECKED_CA), sent(CHECKED, CHECKED_CA))
        assert here.fakes.asked == ["checked.test http://ocsp.test", "Checked http://crl.test/root"]
        assert [(answer.certificate, answer.status) for answer in seen.revocation] == [
            (CHECKED.sha256, "good"),
            (CHECKED_CA.sha256, "good"),
        ]
        assert await here.of(sent(CHECKED, CHECKED_CA)) is not seen
        assert len(here.fakes.asked) == 2

    run(main)


def test_addresses_that_are_no_http_ones_are_told_where_nobody_else_knows() -> None:
    ldap, there = "ldap:///CN=list", "http://crl.test/there"

    async def main() -> None:
        alone = pki.certificate("alone.test", issuer=ROOT, extra=[revocation.points(ldap)])
        here = Run(Fakes())
        (answer,) = (await here.of(sent(alone))).revocation
        assert (answer.source, answer.url, answer.status, answer.blocked) == ("crl", ldap, "unavailable", False)
        assert answer.error == "not asked: no http or https address"
        assert here.fakes.asked == []
        both = pki.certificate("both.test", issuer=ROOT, extra=[revocation.points(ldap, there)])
        assert [answer.status for answer in (await here.of(sent(both))).revocation] == ["good"]

    run(main)


def test_many_targets_at_once_ask_once() -> None:
    async def main() -> None:
        here = Run(Fakes())
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(here.of, sent(CHECKED, CHECKED_CA))
        assert len(here.fakes.asked) == 2
        assert here.fakes.aside == 0

    run(main)


@pytest.mark.parametrize("status", ["unknown", "invalid", "unavailable"])
def test_the_list_where_the_responder_does_not_say(status: str) -> None:
    async def main() -> None:
        fakes = Fakes()
        fakes.says["checked.test", "ocsp"] = status
        fakes.says["checked.test", "crl"] = "revoked"
        seen = await Run(fakes).of(sent(CHECKED, CHECKED_CA))
        assert [(a.source, a.status) for a in seen.revocation] == [
            ("ocsp", status),
            ("crl", "revoked"),
            ("crl", "good"),
        ]

    run(main)


@pytest.mark.parametrize(
    ("staple", "asked"),
    [
        (revocation.ocsp(CHECKED, CHECKED_CA), False),
        (revocation.ocsp(CHECKED, CHECKED_CA, "revoked"), False),
        (revocation.ocsp(CHECKED, CHECKED_CA, "unknown"), True),
        (revocation.ocsp(CHECKED, CHECKED_CA, next_update=AT - DAY), True),
        (b"nonsense", True),
    ],
)
def test_a_staple_that_holds_is_enough_for_the_leaf(staple: bytes, asked: bool) -> None:
    async def main() -> None:
        here = Run(Fakes())
        await here.of(sent(CHECKED, CHECKED_CA, ocsp_response=staple))
        assert ("checked.test http://ocsp.test" in here.fakes.asked) is asked
        assert "Checked http://crl.test/root" in here.fakes.asked

    run(main)


STAPLED = sent(CHECKED, CHECKED_CA, ocsp_response=revocation.ocsp(CHECKED, CHECKED_CA))


@pytest.mark.parametrize(("listed", "found"), [(None, []), ("good", []), ("invalid", []), ("revoked", ["revoked"])])
def test_beside_a_good_staple_a_list_that_is_at_hand_counts_where_it_says_revoked(
    listed: str | None, found: list[str]
) -> None:
    async def main() -> None:
        here = Run(Fakes())
        if listed is not None:
            here.fakes.lists["http://crl.test/ca"] = listed
        await here.of(STAPLED)  # before anything was asked, nothing can be at hand
        assert here.fakes.looked_up == []
        seen, again = await here.of(STAPLED), await here.of(STAPLED)
        for each in (seen, again):
            about_leaf = [answer.status for answer in each.revocation if answer.certificate == CHECKED.sha256]
            assert about_leaf == found
        # looked up once where it is there
        assert len(here.fakes.looked_up) == (2 if listed is None else 1)
        assert here.fakes.asked == ["Checked http://crl.test/root"]
        assert ("revoked-crl" in here.said(seen)) is bool(found)

    run(main)


def test_beside_a_good_staple_what_another_host_had_to_ask_counts() -> None:
    async def main() -> None:
        here = Run(Fakes())
        here.fakes.says["checked.test", "ocsp"] = "revoked"
        await here.of(sent(CHECKED, CHECKED_CA))
        seen = await here.of(STAPLED)
        assert "revoked" in [answer.status for answer in seen.revocation]
        assert here.fakes.looked_up == []

    run(main)


def test_nothing_is_asked_where_revocation_is_not_wanted() -> None:
    async def main() -> None:
        here = Run(Fakes(), online=False)
        assert (await here.of(sent(CHECKED, CHECKED_CA))).revocation == ()
        assert here.fakes.asked == []

    run(main)


def test_paths_that_no_store_vouches_for_and_certificates_that_have_expired() -> None:
    async def main() -> None:
        untrusted = Run(Fakes(), pki.root("Other"))
        assert (await untrusted.of(sent(CHECKED, CHECKED_CA))).revocation == ()
        later = Run(Fakes())
        await later.of(sent(CHECKED, CHECKED_CA), at=AT + 100 * DAY)
        assert later.fakes.asked == ["Checked http://crl.test/root"]  # the leaf has expired by then
        assert untrusted.fakes.asked == []

    run(main)


def test_a_certificate_that_an_issuer_had_to_be_fetched_for_is_asked_about_too() -> None:
    leaf = pki.certificate(
        "both.test", issuer=UPPER,
        extra=[authority_info_access(issuers=[f"{AIA}/upper"], ocsp=["http://ocsp.test"])],
    )  # fmt: skip

    async def main() -> None:
        here = Run(Fakes(upper=bundle(UPPER)))
        seen = await here.of(sent(leaf))
        assert here.fakes.asked == [f"{AIA}/upper", "both.test http://ocsp.test"]
        assert [answer.status for answer in seen.revocation] == ["good"]

    run(main)


# --- put together --------------------------------------------------------------------------------


def test_time_over_the_network() -> None:
    """The whole way: a private responder on loopback, and the same without leave to go there."""

    async def main(private: bool) -> tuple[list[str], list[str]]:
        async with serving() as server:
            here = f"http://ca.test:{server.port}"
            leaf = pki.certificate(
                "net.test", issuer=UPPER,
                extra=[authority_info_access(issuers=[f"{here}/upper.cer"]), revocation.points(f"{here}/upper.crl")],
            )  # fmt: skip
            server.answers["/upper.cer"] = ok(UPPER.der)
            server.answers["/upper.crl"] = ok(revocation.crl(UPPER, revocation.entry(int(leaf.parsed.serial, 16))))
            pool = Intermediates(shipped=False)
            verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=pool)
            config = ScanConfig(private_urls=private, rate=1000)
            pacer = Pacer(
                concurrency=1, rate=1000, concurrency_per_address=None, rate_per_address=None, polite_to_loopback=True
            )
            async with open_lookups(
                Names({"ca.test": ["127.0.0.1"]}),
                pool,
                pacer,
                config,
                banned=lambda _: None,
                ipv6_usable=False,
                cache=None,
                clock=lambda: AT,
            ) as lookups:
                seen = evidence.evidence(sent(leaf))
                again = partial(evidence.verdicts, seen, verifier)
                found, _ = await lookups.ask(seen, again(), AT, again)
            return codes(evidence.diagnosed(found, verifier)), server.targets

    assert trio.run(main, True) == (
        ["intermediate-not-sent", "name-not-in-san", "revoked-crl"],
        ["/upper.cer", "/upper.crl"],
    )
    assert trio.run(main, False) == (["intermediate-unobtainable", "name-not-in-san"], [])


# --- our own faults --------------------------------------------------------------------------------


def test_a_fault_in_fetching_issuers_costs_the_issuers() -> None:
    class Broken(Fakes):
        async def bundle(self, url: str) -> Bundle:
            raise OverflowError("injected")

    async def main() -> None:
        here = Run(Broken())
        seen = await here.of(sent(LEAF), sent(CHECKED, CHECKED_CA))
        assert seen.issuers == () and [answer.source for answer in seen.revocation] == ["ocsp", "crl"]
        assert seen.bug is not None and seen.bug.startswith("issuers: OverflowError: injected")
        assert len(seen.endpoints) == 2

    run(main)


def test_a_fault_in_asking_about_revocation_costs_one_path() -> None:
    class Broken(Fakes):
        async def ocsp(self, *_: Any) -> RevocationAnswer:
            raise OverflowError("injected")

    async def main() -> None:
        here = Run(Broken(lower=bundle(LOWER), upper=bundle(UPPER)))
        seen = await here.of(sent(CHECKED, CHECKED_CA), sent(LEAF))
        assert len(seen.issuers) == 2
        assert seen.bug is not None and seen.bug.startswith("revocation: OverflowError: injected")
        # and the next target asks again
        assert (await here.of(sent(CHECKED, CHECKED_CA))).bug == seen.bug

    run(main)
