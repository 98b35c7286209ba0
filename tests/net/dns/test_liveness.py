"""A suspect resolver is tested by one question now and then until it answers. ``test_upstream_group`` has names that wait for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.net.dns import health, message_wire
from scanner.net.dns.health import Health, ResolverState, Service
from scanner.net.dns.liveness import KNOWN, LivenessTest
from scanner.net.dns.message_wire import DnsQuestion, DnsResponse
from scanner.net.dns.reply import SILENT, NoAnswer


def question(name: str) -> DnsQuestion:
    return message_wire.questions_for(name, (message_wire.A,))[0]


class Asked:
    """Answers from ``alive_at`` on, and keeps what was asked: time, names, whether over TCP."""

    def __init__(self, alive_at: float, over_tcp: bool = False) -> None:
        self.alive_at = alive_at
        self.over_tcp = over_tcp
        self.asked: list[tuple[float, str, bool]] = []

    async def __call__(
        self, questions: Sequence[DnsQuestion], seconds: float, over_tcp: bool
    ) -> list[DnsResponse | NoAnswer]:
        self.asked += [(trio.current_time(), question.name, over_tcp) for question in questions]
        if trio.current_time() >= self.alive_at and over_tcp >= self.over_tcp and questions[0].name != "dead.example":
            await trio.sleep(0.01)
            return [DnsResponse(message_wire.NXDOMAIN, 0)] * len(questions)
        await trio.sleep(seconds)
        return [SILENT] * len(questions)


async def watch(asked: Asked, *, answered: Sequence[str] = ()) -> tuple[list[ResolverState], list[float]]:
    health = Health("192.0.2.53", 0.0)
    now = trio.current_time
    if answered:
        health.note_usable(now())
    health.note_failure(now() + 0.001, now())
    life = LivenessTest(health, asked, 3.0, now)
    life.answered.extend(map(question, answered))
    life.waiting.append(question("dead.example"))
    states: list[ResolverState] = []
    given_up: list[float] = []
    await life.wait_until_answering(states.append, lambda: given_up.append(now()))
    assert not health.suspect and health.state is None
    return states, given_up


@trio_test
async def test_resolver_that_answers_the_test_is_cleared_without_a_report(clock: MockClock) -> None:
    asked = Asked(0.0)
    assert await watch(asked, answered=["a.example"]) == ([], [])
    assert trio.current_time() < 0.5, "the dead name is not waited for"
    assert {name for _time, name, _tcp in asked.asked} == {"a.example", "dead.example"}


@trio_test
async def test_lost_test_questions_are_repeated_and_then_asked_over_tcp(clock: MockClock) -> None:
    asked = Asked(0.0, over_tcp=True)
    assert await watch(asked, answered=["a.example"]) == ([], [])
    assert [tcp for _time, name, tcp in asked.asked if name == "a.example"] == [False, False, True]


@trio_test
async def test_an_outage_is_reported_once_and_asked_about_at_growing_intervals(clock: MockClock) -> None:
    asked = Asked(300.0)
    states, given_up = await watch(asked, answered=[f"n{number}.example" for number in range(10)])
    assert [state.service for state in states] == [Service.SILENT, Service.ANSWERING]
    times = sorted({time for time, _name, _tcp in asked.asked})
    assert len(times) < 60 and len({name for _time, name, _tcp in asked.asked}) == KNOWN + 1
    assert given_up and given_up[0] == pytest.approx(health.OUTAGE_PATIENCE + 6, abs=6)


@trio_test
async def test_a_resolver_that_has_not_answered_yet_is_asked_for_localhost(clock: MockClock) -> None:
    asked = Asked(0.0)
    assert await watch(asked) == ([], [])
    assert "localhost" in {name for _time, name, _tcp in asked.asked}
