"""Targets observed over all kinds of networks: retries, order of addresses, follow-ups, budgets, shortage.

No socket, no second of waiting.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.model.config import ScanConfig
from scanner.model.evidence import Completion, DnsAnswer, DnsStatus, EndpointEvidence, Failure, Stage, Target
from scanner.net import observe
from scanner.net.complete import CompletionRequest, TargetService
from scanner.net.observe import FIRST_SHARE, FOLLOWUP_SHARE, may_be_transient
from scanner.net.probe import Timing
from scanner.starttls import Dialogue, dialogue
from scanner.tls import offers
from tests.helpers.evidence import HOST, failed, target
from tests.helpers.network import (
    NEVER,
    SUCCESS,
    Asked,
    Connection,
    Scenario,
    Step,
    asking,
    in_network,
    no_question,
    observed,
    observer_in,
)

V4 = [f"192.0.2.{number}" for number in range(1, 9)]
V6 = [f"2001:db8::{number}" for number in range(1, 9)]
DEAD = Step(NEVER, Failure.CONNECT_TIMEOUT)
SILENT = Step(NEVER, Failure.SILENT)
REFUSED = Step(0.01, Failure.CONNECTION_REFUSED)
RESET = Step(0.01, Failure.RESET)
OK = Step(0.05, SUCCESS)


# --- what is asked and connected to ----------------------------------------------------------------


@trio_test
async def test_a_healthy_target_costs_one_connection(clock: MockClock) -> None:
    scenario = in_network(V4[:1], dns_delay=0.2)
    evidence, took = await observed(scenario, alpn_of=lambda protocol: (protocol.encode(),))
    assert evidence.started == 1000.0
    assert evidence.attempts == 1
    assert evidence.duration == pytest.approx(took) == pytest.approx(0.25)
    assert evidence.dns is not None
    assert [endpoint.address for endpoint in evidence.endpoints] == V4[:1]
    (connection,) = scenario.connections
    assert (connection.port, connection.offer, connection.sni, connection.alpn) == (
        443,
        offers.MODERN,
        HOST,
        (b"https",),
    )


@pytest.mark.parametrize(
    "of", [target("192.0.2.9"), target("2001:db8::9"), target(address="192.0.2.9")], ids=["v4", "v6", "given"]
)
@trio_test
async def test_addresses_are_not_resolved(clock: MockClock, of: Target) -> None:
    scenario = Scenario()
    evidence, _ = await observed(scenario, of=of)
    assert scenario.asked == []
    assert evidence.dns is None
    assert scenario.order() == [of.address or of.host]


@pytest.mark.parametrize("ipv4", [True, False])
@trio_test
async def test_the_resolver_is_told_which_families(clock: MockClock, ipv4: bool) -> None:
    scenario = in_network(V4[:1])
    await observed(scenario, ScanConfig(ipv4=ipv4, ipv6=not ipv4))
    assert scenario.asked == [(HOST, ipv4, not ipv4)]


@pytest.mark.parametrize("status", [DnsStatus.NXDOMAIN, DnsStatus.SERVFAIL, DnsStatus.NODATA, DnsStatus.TIMEOUT])
@trio_test
async def test_a_name_without_address_is_not_connected_to(clock: MockClock, status: DnsStatus) -> None:
    scenario = Scenario(names={HOST: DnsAnswer(status)})
    evidence, _ = await observed(scenario)
    assert evidence.endpoints == ()
    assert evidence.dns == DnsAnswer(status)
    assert evidence.attempts == 1


@trio_test
async def test_a_new_dialogue_opens_every_connection(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: [RESET, OK]})
    opened = []

    def opening(protocol: str, host: str) -> None:
        opened.append((protocol, host))

    await observed(scenario, of=target(protocol="smtp"), open_dialogue=opening)
    assert opened == [("smtp", HOST)] * 2


# --- order and fallback ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usable", "addresses", "expected"),
    [
        (True, [*V4[:2], *V6[:2]], [*V6[:2], *V4[:2]]),
        (False, [*V6[:2], *V4[:2]], V4[:2]),
        (False, V6[:2], V6[:2]),
        (True, V4[:2], V4[:2]),
    ],
    ids=["v6 first", "v6 not at all", "v6 where there is nothing else", "v4"],
)
@trio_test
async def test_order_of_addresses(clock: MockClock, usable: bool, addresses: list[str], expected: list[str]) -> None:
    scenario = in_network(addresses, dict.fromkeys(addresses, REFUSED))
    evidence, _ = await observed(scenario, ipv6_usable=usable)
    assert scenario.order() == expected
    assert [endpoint.address for endpoint in evidence.endpoints] == expected


@pytest.mark.parametrize(
    "fault",
    [
        REFUSED,
        DEAD,
        Step(0.1, Failure.NETWORK_UNREACHABLE),
        Step(0.1, Failure.HOST_UNREACHABLE),
        Step(0.1, Failure.CONNECT_ERROR),
    ],
)
@trio_test
async def test_the_next_address_is_tried_until_one_connects(clock: MockClock, fault: Step) -> None:
    scenario = in_network(V4[:4], {V4[0]: fault, V4[1]: fault})
    evidence, _ = await observed(scenario)
    assert [endpoint.address for endpoint in evidence.endpoints] == V4[:3]
    assert evidence.endpoints[-1].probe.ok
    assert evidence.attempts == 3


@pytest.mark.parametrize("failure", [Failure.SILENT, Failure.ALERT, Failure.RESET, Failure.PLAINTEXT])
@trio_test
async def test_first_address_that_connects_is_the_only_endpoint(clock: MockClock, failure: Failure) -> None:
    scenario = in_network(V4[:3], {V4[0]: Step(0.1, failure)})
    evidence, _ = await observed(scenario)
    assert [endpoint.address for endpoint in evidence.endpoints] == V4[:1]


@trio_test
async def test_fallbacks_are_bounded(clock: MockClock) -> None:
    addresses = [f"198.51.100.{number}" for number in range(100)]
    scenario = in_network(addresses, dict.fromkeys(addresses, DEAD))
    evidence, took = await observed(scenario)
    assert len(evidence.endpoints) == observe.MAX_FALLBACKS
    # four times the wait for a connection would be more than the whole may take
    assert took == pytest.approx(ScanConfig().timeout)


@trio_test
async def test_all_addresses(clock: MockClock) -> None:
    addresses = [*V4[:3], *V6[:3]]
    scenario = in_network(addresses, {V4[1]: DEAD, V6[0]: SILENT, V6[1]: Step(3, SUCCESS)})
    evidence, took = await observed(scenario, ScanConfig(all_addresses=True))
    assert [endpoint.address for endpoint in evidence.endpoints] == [*V6[:3], *V4[:3]]
    assert [endpoint.probe.ok for endpoint in evidence.endpoints] == [False, True, True, True, False, True]
    assert took <= ScanConfig().timeout  # side by side
    assert evidence.attempts == 6


@trio_test
async def test_all_addresses_are_bounded(clock: MockClock) -> None:
    scenario = in_network([f"198.51.100.{number}" for number in range(200)])
    evidence, _ = await observed(scenario, ScanConfig(all_addresses=True))
    assert len(evidence.endpoints) == observe.MAX_ADDRESSES


@pytest.mark.parametrize("every", [True, False])
@trio_test
async def test_banned_addresses_are_never_contacted(clock: MockClock, every: bool) -> None:
    scenario = in_network(V4[:3], dict.fromkeys(V4, REFUSED))
    evidence, _ = await observed(scenario, ScanConfig(all_addresses=every), is_banned=lambda address: address == V4[1])
    assert sorted(scenario.order()) == [V4[0], V4[2]]
    assert [endpoint.address for endpoint in evidence.endpoints] == [V4[0], V4[2]]


@pytest.mark.parametrize("of", [target(), target(V4[0]), target(address=V4[0])], ids=["name", "literal", "given"])
@trio_test
async def test_where_all_is_banned_nothing_is_contacted(clock: MockClock, of: Target) -> None:
    scenario = in_network(V4[:3])
    evidence, _ = await observed(scenario, of=of, is_banned=lambda address: True)
    assert scenario.connections == []
    assert evidence.endpoints == ()


# --- retries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "transient"),
    [
        (failed(Failure.RESET), True),
        (failed(Failure.CLOSED), True),
        (failed(Failure.RESET, bytes_received=1), False),
        (failed(Failure.CLOSED, bytes_received=100), False),
        (failed(Failure.STARTTLS_REFUSED, detail="454 4.7.0 not now"), True),
        (failed(Failure.STARTTLS_MALFORMED, detail="421 too busy"), True),
        (failed(Failure.STARTTLS_REFUSED, detail="554 never"), False),
        (failed(Failure.STARTTLS_REFUSED), False),
        (failed(Failure.SESSION_REFUSED, detail="421 4.3.2 busy"), True),
        (failed(Failure.SESSION_REFUSED, detail="* BYE Too many connections"), True),
        (failed(Failure.SESSION_REFUSED, detail="1040 Too many connections"), True),
        (failed(Failure.SESSION_REFUSED, detail="554 5.7.1 Access denied"), False),
        (failed(Failure.SESSION_REFUSED), False),
        (failed(Failure.STARTTLS_NOT_OFFERED, detail="4"), False),
        (failed(Failure.CONNECTION_REFUSED, stage=Stage.CONNECT), False),
        (failed(Failure.ALERT, alert=40), False),
        (failed(Failure.SILENT), False),
        (failed(Failure.MALFORMED), False),
        (failed(Failure.PLAINTEXT), False),
        (SUCCESS, False),
    ],
)
@trio_test
async def test_only_what_may_pass_is_tried_again(clock: MockClock, fault: Any, transient: bool) -> None:
    assert may_be_transient(fault, ScanConfig()) is transient
    scenario = in_network(V4[:1], {V4[0]: [Step(0.01, fault), OK]})
    evidence, _ = await observed(scenario)
    assert len(scenario.connections) == evidence.attempts == (2 if transient else 1)
    assert evidence.endpoints[0].probe.ok is (transient or fault.ok)
    cut = fault.failure in (Failure.RESET, Failure.CLOSED)
    assert evidence.endpoints[0].probe.cut == (transient and cut)


@pytest.mark.parametrize(("timeout", "tries"), [(2.0, 2), (3.0, 1), (4.0, 1)])
@trio_test
async def test_timeouts_after_the_kernels_own_retries_are_not_retried(
    clock: MockClock, timeout: float, tries: int
) -> None:
    scenario = in_network(V4[:1], {V4[0]: DEAD})
    await observed(scenario, ScanConfig(connect_timeout=timeout))
    assert len(scenario.connections) == tries


@pytest.mark.parametrize("retries", [0, 1, 4])
@trio_test
async def test_retries_are_as_many_as_configured_with_growing_pauses(clock: MockClock, retries: int) -> None:
    scenario = in_network(V4[:1], {V4[0]: RESET})
    await observed(scenario, ScanConfig(retries=retries))
    starts = scenario.starts()
    assert len(starts) == retries + 1
    for number, (before, after) in enumerate(pairwise(starts)):
        pause = after - before - 0.01
        assert observe.BACKOFF * 2**number <= pause <= 2 * observe.BACKOFF * 2**number


@trio_test
async def test_back_off_has_jitter(clock: MockClock) -> None:
    scenario = Scenario(dict.fromkeys(V4, RESET))
    observer = observer_in(scenario)
    async with trio.open_nursery() as nursery:
        for address in V4:
            nursery.start_soon(observer.observe, target(address), 0.0, no_question)
    again = sorted(scenario.starts())[len(V4) :]
    assert len(set(again)) == len(V4)


# --- completed handshakes --------------------------------------------------------------------------

DONE = Completion(Stage.DONE, status=200)
LOST = Completion(Stage.CONNECT, failure=Failure.CONNECT_TIMEOUT)


class Completing(Scenario):
    """A network in which completed handshakes end so, one after the other."""

    def __init__(self, *endings: Completion) -> None:
        super().__init__(names={HOST: V4[:1]})
        self._endings = list(endings)
        self.given: list[tuple[str, TargetService, CompletionRequest, Timing]] = []

    async def complete(
        self, address: str, service: TargetService, request: CompletionRequest, timing: Timing
    ) -> Completion:
        self.given.append((address, service, request, timing))
        await trio.sleep(1.0)
        return self._endings.pop(0) if len(self._endings) > 1 else self._endings[0]


def completing(**changes: Any) -> Any:
    """One handshake is to be completed."""

    def ask(of: Target, endpoint: EndpointEvidence, started: float) -> Asked | None:
        flight = endpoint.probe.flight
        return None if endpoint.completions else Asked("http", sni=HOST, complete=flight, **changes)

    return ask


@trio_test
async def test_a_question_that_wants_a_completed_handshake(clock: MockClock) -> None:
    scenario = Completing(DONE)
    evidence, _ = await observed(
        scenario, next_question=completing(present=True, quiet=True), alpn_of=lambda protocol: (protocol.encode(),)
    )
    (endpoint,) = evidence.endpoints
    assert endpoint.completions == {"http": DONE}
    assert endpoint.followups == {}
    assert evidence.attempts == 2
    ((address, service, request, _timing),) = scenario.given
    assert address == V4[0]
    assert (service.host, service.port, service.protocol, service.alpn) == (HOST, 443, "https", (b"https",))
    assert service.open_dialogue() is None
    assert (request.sni, request.present, request.quiet) == (HOST, True, True)
    assert request.complete is endpoint.probe.flight


@pytest.mark.parametrize(("patient", "share"), [(False, FOLLOWUP_SHARE), (True, FIRST_SHARE)])
@trio_test
async def test_a_patient_completion_gets_most_of_the_time_that_is_left(
    clock: MockClock, patient: bool, share: float
) -> None:
    scenario = Completing(DONE)
    await observed(scenario, ScanConfig(timeout=20.0), next_question=completing(patient=patient))
    ((*_, timing),) = scenario.given
    assert timing.handshake == pytest.approx(20.0 * share, abs=0.5)


@trio_test
async def test_a_completion_that_is_lost_on_the_way_is_tried_again(clock: MockClock) -> None:
    evidence, _ = await observed(Completing(LOST, DONE), next_question=completing())
    assert evidence.endpoints[0].completions == {"http": DONE}
    evidence, _ = await observed(Completing(LOST), next_question=completing())
    assert evidence.endpoints[0].completions == {"http": LOST}
    assert evidence.attempts == 3
    evidence, _ = await observed(Completing(LOST, DONE), ScanConfig(retries=0), next_question=completing())
    assert evidence.endpoints[0].completions == {"http": LOST}


@trio_test
async def test_a_handshake_that_was_cut_off_is_tried_again(clock: MockClock) -> None:
    cut = Completion(Stage.HELLO, failure=Failure.RESET, answered=True)
    evidence, _ = await observed(Completing(cut, DONE), next_question=completing())
    assert evidence.endpoints[0].completions == {"http": DONE}
    evidence, _ = await observed(Completing(cut, cut), next_question=completing())
    assert evidence.endpoints[0].completions == {"http": cut}
    for failure, answered in ((Failure.RESET, False), (Failure.ALERT, True), (Failure.SILENT, True)):
        ended = Completion(Stage.HELLO, failure=failure, answered=answered)
        evidence, _ = await observed(Completing(ended, DONE), next_question=completing())
        assert evidence.endpoints[0].completions == {"http": ended}


@trio_test
async def test_completions_are_within_the_targets_time(clock: MockClock) -> None:
    def ask(of: Target, endpoint: EndpointEvidence, started: float) -> Asked:
        return Asked(f"http {len(endpoint.completions)}", complete=endpoint.probe.flight)

    evidence, took = await observed(Completing(DONE), ScanConfig(timeout=3.0), next_question=ask)
    assert took < 5.0
    assert len(evidence.endpoints[0].completions) == 3


# --- an answer in place of the first -----------------------------------------------------------------


def without_alpn(of: Target, endpoint: EndpointEvidence, started: float) -> Asked | None:
    """Ask without ALPN, and once more."""
    if not endpoint.followups:
        return Asked("no-alpn", offers.NO_ALPN, HOST, replaces=True)
    return None if "small" in endpoint.followups else Asked("small", sni=HOST)


@pytest.mark.parametrize(
    ("second", "first_counts", "offered"),
    [(OK, False, [(b"h2",), (b"h2",), ()]), (RESET, True, [(b"h2",), (b"h2",), (b"h2",)])],
    ids=["works", "fails"],
)
@trio_test
async def test_a_flight_that_replaces_the_first_probe(
    clock: MockClock, second: Step, first_counts: bool, offered: list[tuple[bytes, ...]]
) -> None:
    scenario = in_network(V4[:1], {V4[0]: [RESET, second, OK]})
    evidence, _ = await observed(
        scenario, ScanConfig(retries=0), next_question=without_alpn, alpn_of=lambda protocol: (b"h2",)
    )
    (endpoint,) = evidence.endpoints
    assert (endpoint.probe.failure is Failure.RESET) is first_counts
    assert list(endpoint.followups) == (["no-alpn", "small"] if first_counts else ["modern", "small"])
    assert [each.alpn for each in scenario.connections] == offered


# --- our own faults --------------------------------------------------------------------------------

FAULT = Step(0.01, ZeroDivisionError("injected"))


@trio_test
async def test_a_fault_at_one_address_costs_no_other(clock: MockClock) -> None:
    scenario = in_network(V4[:3], {V4[0]: OK, V4[1]: FAULT, V4[2]: OK})
    evidence, _ = await observed(scenario, ScanConfig(all_addresses=True))
    first, second, third = evidence.endpoints
    assert first.probe.ok and third.probe.ok
    assert second.probe.failure is Failure.BUG and "ZeroDivisionError: injected" in str(second.probe.detail)
    assert evidence.bug is None  # it is said of the address


@trio_test
async def test_a_fault_in_a_follow_up_leaves_what_was_seen(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: [OK, OK, FAULT]})
    evidence, _ = await observed(scenario, next_question=asking("one", "two", "three"))
    (endpoint,) = evidence.endpoints
    assert endpoint.probe.ok and list(endpoint.followups) == ["one"]
    assert evidence.bug is not None and evidence.bug.startswith("follow-up: ZeroDivisionError: injected")


@trio_test
async def test_a_follow_up_that_our_own_fault_ended_answers_nothing(clock: MockClock) -> None:
    broken = Step(0.01, failed(Failure.BUG, detail="KeyError: injected"))
    evidence, _ = await observed(in_network(V4[:1], {V4[0]: [OK, broken]}), next_question=asking("one", "two"))
    assert evidence.endpoints[0].followups == {}
    assert evidence.bug == "one: KeyError: injected"


@trio_test
async def test_a_fault_in_asking_or_completing_leaves_what_was_seen(clock: MockClock) -> None:
    def ask(of: Target, endpoint: EndpointEvidence, started: float) -> Asked:
        raise KeyError("injected")

    class Broken(Completing):
        async def complete(self, *args: Any, **kwargs: Any) -> Completion:
            raise KeyError("injected")

    for scenario, question in ((in_network(V4[:1]), ask), (Broken(DONE), completing())):
        evidence, _ = await observed(scenario, next_question=question)
        (endpoint,) = evidence.endpoints
        assert endpoint.probe.ok and not endpoint.completions
        assert evidence.bug is not None and "KeyError: 'injected'" in evidence.bug


# --- a protocol that is found out -------------------------------------------------------------------


def greeting(protocol: str | None) -> Step:
    """A server that answers the first hello in the plain text of a protocol."""
    return Step(0.02, failed(Failure.PLAINTEXT, recognised=protocol, first_bytes=b"220 ready"))


def spoken(connection: Connection) -> str | None:
    return None if connection.dialogue is None else type(connection.dialogue).__name__


def auto(protocol: str = "tls", **changes: Any) -> Target:
    return target(protocol=protocol, port=2525, auto=True, **changes)


def opened(protocol: str, host: str) -> Dialogue | None:
    return dialogue(protocol, host=host)


@pytest.mark.parametrize(
    ("recognised", "protocol"),
    [
        ("smtp", "smtp"),
        ("imap", "imap"),
        ("pop3", "pop3"),
        ("mysql", "mysql"),
        ("postgresql", "postgres"),
        ("sieve", "sieve"),
    ],
)
@trio_test
async def test_a_greeting_leads_to_the_opening_of_its_protocol(
    clock: MockClock, recognised: str, protocol: str
) -> None:
    scenario = in_network(V4[:1], {V4[0]: [greeting(recognised), OK]})
    evidence, _ = await observed(scenario, of=auto(), open_dialogue=opened)
    assert (evidence.target.protocol, evidence.target.auto) == (protocol, True)
    assert evidence.endpoints[0].probe.failure is None and evidence.attempts == 2
    assert [each.dialogue is None for each in scenario.connections] == [True, False]


@pytest.mark.parametrize("recognised", ["http", "ssh", "redis", None])
@trio_test
async def test_plain_text_without_an_upgrade_stays_what_it_is(clock: MockClock, recognised: str | None) -> None:
    scenario = in_network(V4[:1], {V4[0]: greeting(recognised)})
    evidence, _ = await observed(scenario, of=auto(), open_dialogue=opened)
    assert evidence.target.protocol == "tls" and evidence.attempts == 1
    assert evidence.endpoints[0].probe.failure is Failure.PLAINTEXT


@trio_test
async def test_a_protocol_that_the_row_names_is_kept(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: greeting("smtp")})
    evidence, _ = await observed(scenario, of=target(protocol="tls", port=2525), open_dialogue=opened)
    assert evidence.target.protocol == "tls" and evidence.attempts == 1


@pytest.mark.parametrize(
    ("second", "third", "protocol", "failure"),
    [
        (OK, OK, "ftp", None),
        (Step(0.02, Failure.STARTTLS_NOT_OFFERED), OK, "smtp", None),
        (Step(0.02, Failure.STARTTLS_MALFORMED), Step(0.02, Failure.RESET), "smtp", Failure.RESET),
        (
            Step(0.02, Failure.STARTTLS_NOT_OFFERED),
            Step(0.02, Failure.STARTTLS_REFUSED),
            "ftp",
            Failure.STARTTLS_NOT_OFFERED,
        ),
    ],
)
@trio_test
async def test_a_greeting_of_two_protocols_is_tried_by_both(
    clock: MockClock, second: Step, third: Step, protocol: str, failure: Failure | None
) -> None:
    scenario = in_network(V4[:1], {V4[0]: [greeting("ftp"), second, third]})
    evidence, _ = await observed(scenario, ScanConfig(retries=0), of=auto(), open_dialogue=opened)
    assert evidence.target.protocol == protocol
    assert evidence.endpoints[0].probe.failure is failure


@trio_test
async def test_what_is_found_out_costs_no_more_time_than_a_target_has(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: [Step(3, greeting("ftp").outcome), SILENT, SILENT]})
    evidence, took = await observed(scenario, ScanConfig(timeout=5, retries=0), of=auto(), open_dialogue=opened)
    assert took <= 5 + 3 * observe.FOLLOWUP_LEAST
    assert evidence.target.protocol == "ftp" and evidence.endpoints[0].probe.failure is Failure.SILENT


@trio_test
async def test_the_first_address_decides_for_all(clock: MockClock) -> None:
    steps = {V4[0]: [greeting("smtp"), OK], V4[1]: [Step(0.03, greeting("ftp").outcome), OK]}
    scenario = in_network(V4[:2], steps)
    evidence, _ = await observed(scenario, ScanConfig(all_addresses=True), of=auto(), open_dialogue=opened)
    assert evidence.target.protocol == "smtp"
    assert [spoken(each) for each in scenario.connections if each.dialogue is not None] == ["SmtpDialogue"] * 2
    assert all(endpoint.probe.failure is None for endpoint in evidence.endpoints)


@trio_test
async def test_an_address_that_answers_in_tls_keeps_the_target_tls(clock: MockClock) -> None:
    scenario = in_network(V4[:2], {V4[0]: OK, V4[1]: Step(0.2, greeting("smtp").outcome)})
    evidence, _ = await observed(scenario, ScanConfig(all_addresses=True), of=auto(), open_dialogue=opened)
    assert evidence.target.protocol == "tls"
    assert [endpoint.probe.failure for endpoint in evidence.endpoints] == [None, Failure.PLAINTEXT]


@trio_test
async def test_follow_ups_speak_the_protocol_that_was_found(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: [greeting("imap"), OK]})
    seen: list[str] = []

    def ask(of: Target, endpoint: EndpointEvidence, started: float) -> Asked | None:
        seen.append(of.protocol)
        return None if "more" in endpoint.followups else Asked("more")

    await observed(scenario, of=auto(), open_dialogue=opened, next_question=ask)
    assert seen == ["imap", "imap"] and spoken(scenario.connections[-1]) == "ImapDialogue"
