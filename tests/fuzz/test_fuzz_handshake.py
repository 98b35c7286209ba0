"""A short deterministic run of the fuzz target, and proof that it detects violations."""

from __future__ import annotations

from collections import Counter

import pytest

from scanner.tls import constants as c
from scanner.tls.events import Broken, FlightComplete
from tests.fuzz.flights import Flight, flights
from tests.fuzz.fuzz_handshake import Case, Violation, accepted, check, main, make_case, signed
from tests.tls.peers import message, seen


@pytest.mark.parametrize("flight", flights(), ids=lambda flight: flight.name)
def test_unchanged_flights_are_accepted(flight: Flight) -> None:
    conn, events = check(Case(flight, flight.records(), (1, 5, 6, 200), honest=False))
    assert events[-1] == FlightComplete()
    unsigned = "key-transport" in flight.name or "anonymous" in flight.name
    assert accepted(conn) is not unsigned
    assert seen(conn).negotiation.hello_retry is flight.name.endswith("retry")
    assert signed(flight)["cipher"] == seen(conn).negotiation.cipher


def test_changed_flights_end_in_many_ways_and_never_violate_the_invariant() -> None:
    ends: Counter[str] = Counter()
    said: set[str] = set()
    for number in range(700):
        conn, events = check(make_case(f"test-{number}"))
        ends[type(events[-1]).__name__] += 1
        if isinstance(events[-1], Broken):
            said.add(events[-1].detail.partition(" at byte")[0])
        assert not accepted(conn) or events[-1] == FlightComplete()
    # the changes have many different effects, and some have none
    assert {"FlightComplete", "Broken", "PeerClosed", "AlertReceived"} <= set(ends)
    assert len(said) > 60
    assert sum("Certificate" in detail for detail in said) > 10


def test_the_same_key_makes_the_same_case() -> None:
    first, second = make_case("a"), make_case("a")
    assert (first.data, first.cuts) == (second.data, second.cuts)
    assert first.data != make_case("b").data


def changed(flight: Flight, *, honest: bool) -> Case:
    """Return a flight with another ALPN name, signed and finished with all keys."""
    at = [each[0] for each in flight.inner].index(c.ENCRYPTED_EXTENSIONS)
    inner = list(flight.inner)
    inner[at] = inner[at].replace(b"h2", b"h3")
    inner = inner[:-2]
    inner.append(flight.verify(inner))
    inner.append(flight.finished(inner))
    data = Flight(flight.name, flight.offer, flight.clear, tuple(inner), flight.keys).records()
    return Case(flight, data, (), honest)


def test_an_accepted_unsigned_flight_is_a_violation() -> None:
    """A client that ignores signatures is simulated by signing with the leaf's key."""
    flight = flights()[0]
    check(changed(flight, honest=True))
    with pytest.raises(Violation, match="nobody signed"):
        check(changed(flight, honest=False))


def test_a_flight_with_a_wrong_finished_is_not_accepted() -> None:
    flight = flights()[0]
    inner = (*flight.inner[:-1], message(c.FINISHED, bytes(32)))
    conn, _ = check(Case(flight, Flight("x", flight.offer, flight.clear, inner, flight.keys).records(), (), False))
    negotiation = seen(conn).negotiation
    assert (negotiation.signature_valid, negotiation.finished_valid) == (True, False)


def test_the_command_line_runs_for_a_time_or_repeats_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0.3", "--seed", "by hand"]) == 0
    assert "FlightComplete" in capsys.readouterr().out
    assert main(["--case", "by hand-1"]) == 0
    assert capsys.readouterr().out
