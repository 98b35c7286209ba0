"""A resolver is asked as much as it answers."""

from __future__ import annotations

from scanner.net import dns_pace
from scanner.net.dns_pace import Health, Pace


def run_window(pace: Pace, bad_share: float, *, waited: bool = True) -> None:
    exchanges = pace.limit
    if waited:
        pace.waiting()
    for number in range(exchanges):
        pace.record(number >= exchanges * bad_share)


def test_it_starts_below_what_a_small_forwarder_takes() -> None:
    assert Pace().limit * 2 < 150


def test_it_grows_only_where_somebody_waits() -> None:
    pace = Pace()
    run_window(pace, 0.0, waited=False)
    assert pace.limit == dns_pace.START_LIMIT
    run_window(pace, 0.0)
    assert pace.limit == 72
    for _ in range(100):
        run_window(pace, 0.0)
    assert pace.limit == dns_pace.MAX_LIMIT


def test_overload_halves_it_down_to_a_floor() -> None:
    pace = Pace()
    run_window(pace, 0.5)
    assert pace.limit == 32
    for _ in range(10):
        run_window(pace, 0.9)
    assert pace.limit == dns_pace.MIN_LIMIT
    run_window(pace, 0.0)
    assert pace.limit == dns_pace.MIN_LIMIT + 2


def test_a_dead_resolver_is_not_an_overloaded_one() -> None:
    pace = Pace()
    run_window(pace, 1.0)
    assert pace.limit == dns_pace.START_LIMIT


def test_some_dead_names_are_no_overload() -> None:
    pace = Pace()
    run_window(pace, 0.2)
    assert pace.limit > dns_pace.START_LIMIT


def test_health() -> None:
    health = Health()
    for _ in range(dns_pace.DOWN_AFTER - 1):
        health.failed(10.0)
    assert not health.down(10.0)
    health.answered()
    for _ in range(dns_pace.DOWN_AFTER):
        health.failed(10.0)
    assert health.down(10.0) and health.down(14.9) and not health.down(15.0)


def test_one_exchange_tries_whether_it_is_back() -> None:
    health = Health()
    for _ in range(dns_pace.DOWN_AFTER):
        health.failed(0.0)
    assert not health.down(5.0)
    health.trial(5.0, 3.0)
    assert health.down(6.0), "the others go elsewhere meanwhile"
    health.failed(8.0)
    assert health.down(17.9) and not health.down(18.0), "the second penalty is twice the first"
    health.trial(18.0, 3.0)
    health.answered()
    assert not health.down(18.5)


def test_penalties_have_an_end() -> None:
    health = Health()
    now = 0.0
    for _ in range(50):
        health.failed(now)
        now = max(now, health.down_until)
    before = now
    health.failed(now)
    assert health.down_until - before <= dns_pace.LONGEST_PENALTY


def test_failures_of_one_burst_count_once() -> None:
    """A hundred exchanges that were in flight together and all time out are one piece of news."""
    health = Health()
    for _ in range(100):
        health.failed(3.0)
    assert health.down_until == 3.0 + dns_pace.FIRST_PENALTY
