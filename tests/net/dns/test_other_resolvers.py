"""Other resolvers are asked where the certificate is untrusted: a bounded number of them, and one address of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import trio
from msgspec.structs import replace

from scanner.model.config import ScanConfig
from scanner.model.evidence import DnsAnswer, DnsStatus, Elsewhere, Evidence, Failure
from scanner.net.dns.other_resolvers import MAX_ASKED, OtherResolvers
from scanner.net.dns.resolver import Resolver
from tests.helpers import evidence, pki
from tests.helpers.network import NEVER, Scenario, Step, observer_in, pacer_for
from tests.helpers.scanning import run, sending

NAME = "www.example"
PUBLIC, OTHER, THIRD, PRIVATE = "93.184.215.1", "93.184.215.2", "93.184.215.3", "10.0.0.1"


@dataclass
class Single:
    """A resolver that knows one name."""

    addresses: tuple[str, ...]
    asked: int = 0

    async def resolve(self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False) -> DnsAnswer:
        assert (name, ipv4) == (NAME, True)
        self.asked += 1
        await trio.lowlevel.checkpoint()
        return DnsAnswer(DnsStatus.NOERROR if self.addresses else DnsStatus.NODATA, self.addresses)


@dataclass
class Several:
    """Further resolvers; ``than`` is what was left out."""

    singles: list[Single]
    than: list[str | None] = field(default_factory=list)

    def others(self, than: str | None) -> Any:
        self.than.append(than)
        return ((f"192.0.2.{number}", single) for number, single in enumerate(self.singles, 1))


def good(name: str = NAME) -> Any:
    return evidence.answered(evidence.chain(name))


def asked(
    singles: list[Single],
    behind: dict[str, Any],
    *,
    first: tuple[str, ...] = (PUBLIC,),
    config: ScanConfig | None = None,
    spent: float = 0.0,
    public: bool = True,
) -> tuple[tuple[Elsewhere, ...], Scenario]:
    """What they lead to, and the connections that were made."""
    config = config or ScanConfig(retries=0)
    scenario = Scenario({address: Step(*step) for address, step in behind.items()})
    judge = evidence.verifier(public=public)
    several = Several(singles)
    probe = replace(evidence.answered(), handshake_seconds=spent)
    seen = Evidence(
        target=evidence.target(NAME),
        started=evidence.AT,
        dns=DnsAnswer(DnsStatus.NOERROR, first, resolver="192.0.2.9"),
        endpoints=(evidence.at(probe),),
    )

    async def main() -> tuple[Elsewhere, ...]:
        observer = observer_in(scenario, config, pacer=pacer_for(config))
        others = OtherResolvers(
            cast(Resolver, several),
            observer,
            lambda target, endpoint, at: (
                None
                if endpoint.probe.flight is None
                else judge.verify(endpoint.probe.flight.certificates, name=target.name, at=at)
            ),
        )
        return await others.ask(seen)

    found: tuple[Elsewhere, ...] = run(main)
    scenario.check_closed()
    assert several.than == ["192.0.2.9"]
    return found, scenario


def test_another_address_with_a_public_certificate() -> None:
    found, scenario = asked([Single((PUBLIC, OTHER, THIRD))], {OTHER: (0.05, good())})
    (seen,) = found
    assert seen.where == f"the resolver 192.0.2.1's address {OTHER}"
    assert scenario.order() == [OTHER]


@pytest.mark.parametrize(
    ("first", "given", "connected"),
    [
        ((PUBLIC,), (PUBLIC,), []),
        ((PUBLIC,), (), []),
        ((PRIVATE,), (OTHER,), []),
        ((PUBLIC,), (PRIVATE,), []),
        ((PRIVATE,), ("10.0.0.2",), ["10.0.0.2"]),
    ],
    ids=["the same", "none", "inside and out", "outside and in", "both inside"],
)
def test_only_addresses_that_compare(first: tuple[str, ...], given: tuple[str, ...], connected: list[str]) -> None:
    found, scenario = asked([Single(given)], dict.fromkeys(given, (0.05, good())), first=first)
    assert scenario.order() == connected
    assert len(found) == len(connected)


@pytest.mark.parametrize(
    "behind",
    [
        (0.05, sending(pki.certificate(NAME, issuer=pki.root("Elsewhere Root")))),
        (0.05, good("other.example")),
        (0.01, Failure.RESET),
        (NEVER, Failure.CONNECT_TIMEOUT),
    ],
    ids=["nobody vouches either", "another name's", "reset", "not there"],
)
def test_failures_that_prove_nothing(behind: Any) -> None:
    found, scenario = asked([Single((OTHER,))], {OTHER: behind})
    assert found == () and scenario.order() == [OTHER]


def test_of_a_private_ca_nothing_is_said() -> None:
    found, _ = asked([Single((OTHER,))], {OTHER: (0.05, good())}, public=False)
    assert found == ()


def test_the_next_one_is_asked_until_there_is_one() -> None:
    singles = [Single(()), Single((OTHER,)), Single((OTHER, THIRD)), Single((THIRD,))]
    found, scenario = asked(singles, {OTHER: (0.01, Failure.RESET), THIRD: (0.05, good())})
    assert scenario.order() == [OTHER, THIRD]
    assert found[0].where.startswith("the resolver 192.0.2.3's")
    assert [single.asked for single in singles] == [1, 1, 1, 0]


def test_only_so_many_resolvers_are_asked() -> None:
    singles = [Single(()) for _ in range(MAX_ASKED + 2)]
    asked(singles, {})
    assert sum(single.asked for single in singles) == MAX_ASKED


def test_within_the_time_of_the_target() -> None:
    config = ScanConfig(retries=0, timeout=4.0)
    singles = [Single((OTHER,))]
    _, scenario = asked(singles, {OTHER: (0.05, good())}, config=config, spent=4.0)
    assert scenario.order() == [] and singles[0].asked == 0
