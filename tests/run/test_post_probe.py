"""Lookups after a probe: each question is asked only where its answer could matter."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
from msgspec.structs import replace

from scanner.model.evidence import Elsewhere, Evidence
from scanner.net.dns.caa_tlsa import CaaAnswer, TlsaAnswer
from scanner.net.dns.other_resolvers import OtherResolvers
from scanner.net.dns.resolver import Resolver
from scanner.run.baseline import Baseline
from scanner.run.post_probe import PostProbeLookups
from tests.helpers import pki
from tests.helpers.evidence import HOST, answered, dns, evidence, root, verdicts, verifier

SEEN = Elsewhere("the resolver 192.0.2.1's address 192.0.2.9", "ab" * 32, "CN=Public CA")
BEFORE = Elsewhere("the run 7", "cd" * 32, "CN=Public CA")


class Records:
    """A resolver that has records of both kinds; ``asked`` is what it was asked for."""

    def __init__(self, *, secure: bool = True) -> None:
        self.asked: list[str] = []
        self._secure = secure

    async def caa(self, name: str) -> CaaAnswer:
        self.asked.append("caa")
        await trio.lowlevel.checkpoint()
        return CaaAnswer(((0, "issue", "ca.example"),), name)

    async def tlsa(self, port: int, transport: str, name: str) -> TlsaAnswer:
        self.asked.append("tlsa")
        await trio.lowlevel.checkpoint()
        return TlsaAnswer(((3, 1, 1, b"\1" * 32),), self._secure)


class Others:
    """Other resolvers that always lead to something else."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, seen: Evidence) -> tuple[Elsewhere, ...]:
        self.asked += 1
        await trio.lowlevel.checkpoint()
        return (SEEN,)


class Before:
    """An earlier run that saw everything."""

    def seen(self, target: Any) -> Elsewhere:
        return BEFORE


def asked(seen: Evidence, records: Records, *, others: Others | None = None, baseline: bool = False) -> Evidence:
    lookups = PostProbeLookups(
        cast(Resolver, records),
        wants_caa=lambda verdict: verdict.publicly_trusted,
        baseline=cast(Baseline, Before()) if baseline else None,
        others=cast(OtherResolvers, others),
    )

    async def main() -> Evidence:
        return await lookups.look_up(seen, verdicts(seen, verifier(public=True)))

    return trio.run(main)


def untrusted() -> Evidence:
    """An endpoint whose certificate has an unknown issuer."""
    return evidence(answered([pki.certificate(HOST, issuer=pki.root("Box CA"))]))


def test_a_healthy_target_only_needs_caa() -> None:
    records, others = Records(), Others()
    after = asked(evidence(answered()), records, others=others, baseline=True)
    assert records.asked == ["caa"] and others.asked == 0 and after.elsewhere == ()
    assert after.dns is not None and after.dns.caa_owner == HOST


@pytest.mark.parametrize("secure", [True, False])
def test_tlsa_is_kept_only_if_authenticated(secure: bool) -> None:
    records = Records(secure=secure)
    seen = evidence(answered())
    assert seen.dns is not None
    after = asked(replace(seen, dns=replace(seen.dns, authenticated=True)), records)
    assert records.asked == ["caa", "tlsa"]
    assert after.dns is not None and (after.dns.tlsa is not None) is secure


def test_other_resolvers_are_asked_about_an_untrusted_issuer() -> None:
    others = Others()
    assert asked(untrusted(), Records(), others=others).elsewhere == (SEEN,)
    assert asked(untrusted(), Records(), others=others, baseline=True).elsewhere == (BEFORE, SEEN)
    assert asked(untrusted(), Records(), baseline=True).elsewhere == (BEFORE,)
    assert others.asked == 2


def test_other_resolvers_are_not_asked_about_a_wrong_name_or_an_expired_certificate() -> None:
    others = Others()
    old = pki.certificate(HOST, issuer=root(), not_before=pki.NOW - 90 * pki.DAY, not_after=pki.NOW - pki.DAY)
    for certificate in (old, pki.certificate("else.example", issuer=root())):
        asked(evidence(answered([certificate])), Records(), others=others)
    assert others.asked == 0


def test_nothing_is_asked_without_dns() -> None:
    records, others = Records(), Others()
    for answer in (None, dns(source="hosts")):
        seen = replace(untrusted(), dns=answer)
        assert asked(seen, records, others=others) is seen
    assert records.asked == [] and others.asked == 0


@pytest.mark.parametrize("broken", ["caa", "tlsa", "elsewhere", "earlier"])
def test_a_bug_costs_one_answer(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("injected")

    records, others = Records(), Others()
    owner: Any = {"caa": records, "tlsa": records, "elsewhere": others, "earlier": Before}[broken]
    monkeypatch.setattr(owner, {"elsewhere": "ask", "earlier": "seen"}.get(broken, broken), fails)
    seen = untrusted() if broken in ("elsewhere", "earlier") else evidence(answered())
    assert seen.dns is not None
    seen = replace(seen, dns=replace(seen.dns, authenticated=True))

    after = asked(seen, records, others=others, baseline=True)

    assert after.bug is not None and "KeyError: 'injected'" in after.bug
    assert after.dns is not None
    if broken in ("caa", "tlsa"):
        assert (after.dns.caa is None, after.dns.tlsa is None) == (broken == "caa", broken == "tlsa")
    else:
        assert after.elsewhere == ((BEFORE,) if broken == "elsewhere" else (SEEN,))
        assert after.dns.tlsa is not None
