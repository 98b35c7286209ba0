"""What is plainly healthy is what no rule has a word about: the short way and the long way always agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scanner.diagnosis import engine, questions
from scanner.diagnosis.healthy import plainly_healthy
from scanner.model.evidence import EndpointEvidence, Evidence, Failure, ServerFlight
from scanner.trust.verdicts import ChainVerdict, NameVerdict, Problem, StoreVerdict
from tests.helpers.evidence import ADDRESS, AT, HOST, answered, chain, target, verifier

# Values that each field may take beside its healthy one
FLIGHT: dict[str, list[Any]] = {
    "complete": [False],
    "version": [None, 0x0300, 0x0301, 0x0302, 0x0303],
    "cipher": [None, 0x1302, 0x1303, 0xC02F, 0xC013, 0x009C, 0x002F, 0x0005, 0x0033],
    "group": [None, 0x11EC, 0x0017, 0x0018, 0x0019, 0x001E, 0x0100],
    "dh_bits": [512, 1024, 2048],
    "signature_scheme": [None, 0x0804, 0x0401, 0x0201, 0x0203, 0x0807, 0x0603],
    "signature_valid": [None, False],
    "finished_valid": [None, False],
    "certificates": [()],
    "hello_retry": [True],
    "alpn": [None, "h3"],
    "sni_acknowledged": [None, False],
}
VERDICT: dict[str, list[Any]] = {
    "leaf_problems": [(Problem("certificate-expired", "00"),), (Problem("validity-too-long", "00"),)],
    "shape": [(Problem("root-sent", "00"),)],
    "stores": [{}, {"a": StoreVerdict("a", False, None, (), (Problem("untrusted-root", "00"),))}],
    "name": [None, NameVerdict(False, "name-not-in-san"), NameVerdict(False, "common-name-only")],
    "sent": [(), (None,)],
    "publicly_trusted": [True],
}
CHANGES = [("flight", field, value) for field, values in FLIGHT.items() for value in values] + [
    ("verdict", field, value) for field, values in VERDICT.items() for value in values
]


def case(*changes: tuple[str, str, Any]) -> tuple[EndpointEvidence, ChainVerdict]:
    probe = answered()
    flight: ServerFlight | None = probe.flight
    assert flight is not None
    verdict = verifier().verify(chain(), name=HOST, at=AT)
    for where, field, value in changes:
        if where == "flight":
            if field == "certificates":
                flight = replace(flight, certificates=value)
            else:
                flight = replace(flight, negotiation=replace(flight.negotiation, **{field: value}))
        else:
            verdict = replace(verdict, **{field: value})
    return EndpointEvidence(ADDRESS, replace(probe, flight=flight)), verdict


def both_ways(
    endpoint: EndpointEvidence, verdict: ChainVerdict, monkeypatch: pytest.MonkeyPatch, at: float = AT
) -> None:
    def answers() -> tuple[Any, ...]:
        evidence = Evidence(target=target(), started=at, endpoints=(endpoint,))
        diagnosis = engine.diagnose(evidence, [verdict], engine.Context(at=at))
        return diagnosis, questions.next_question(target(), endpoint, verdict)

    short = answers()
    with monkeypatch.context() as patch:
        for module in (engine, questions):
            patch.setattr(module, "plainly_healthy", lambda endpoint, verdict: False)
        assert answers() == short


def test_the_healthy_case_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, verdict = case()
    assert plainly_healthy(endpoint, verdict)
    both_ways(endpoint, verdict, monkeypatch)


def test_time_is_not_its_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, verdict = case()
    leaf = verdict.leaf
    assert leaf is not None
    both_ways(endpoint, verdict, monkeypatch, at=leaf.not_after - 3600)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[1]}={change[2]!r:.30}")
def test_one_change(change: tuple[str, str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    both_ways(*case(change), monkeypatch)


@pytest.mark.parametrize("failure", Failure)
def test_a_failure_is_not_healthy(failure: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, verdict = case()
    failed = replace(endpoint, probe=replace(endpoint.probe, failure=failure))
    assert not plainly_healthy(failed, verdict)
    both_ways(failed, verdict, monkeypatch)


@given(st.lists(st.sampled_from(CHANGES), max_size=4))
@settings(max_examples=300, deadline=None)
def test_any_changes(changes: list[tuple[str, str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        both_ways(*case(*changes), monkeypatch)
