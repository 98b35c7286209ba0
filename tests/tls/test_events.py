"""The table of the state machine: from its beginning every state can be reached, and from every state the end."""

from __future__ import annotations

from scanner.tls import constants as c
from scanner.tls.events import NEED_DATA, TRANSITIONS, FlightComplete, MessageReceived, State

# Where a ServerHello leads is chosen by its handler: TLS 1.3, what is older, or once more after a HelloRetryRequest
AFTER_HELLO = {State.ENCRYPTED_EXTENSIONS, State.OLD_CERTIFICATE, State.SERVER_HELLO}


def following(state: State) -> set[State]:
    if state is State.SERVER_HELLO:
        return AFTER_HELLO
    return {after for (before, _), (_, after) in TRANSITIONS.items() if before is state}


def reached(start: State) -> set[State]:
    found: set[State] = set()
    waiting = [start]
    while waiting:
        for state in following(waiting.pop()) - found:
            found.add(state)
            waiting.append(state)
    return found


def test_every_state_can_be_reached() -> None:
    assert reached(State.SERVER_HELLO) == set(State) - {State.FAILED}


def test_every_state_leads_to_the_end() -> None:
    for state in set(State) - {State.COMPLETE, State.FAILED}:
        assert State.COMPLETE in reached(state), state


def test_nothing_leads_out_of_the_end() -> None:
    assert not following(State.COMPLETE)
    assert not following(State.FAILED)


def test_only_a_hello_is_awaited_first() -> None:
    assert [kind for state, kind in TRANSITIONS if state is State.SERVER_HELLO] == [c.SERVER_HELLO]


def test_tls13_ends_with_a_finished_and_what_is_older_with_a_done() -> None:
    last = {
        (state.name.startswith("OLD"), kind)
        for (state, kind), (_, after) in TRANSITIONS.items()
        if after is State.COMPLETE
    }
    assert last == {(False, c.FINISHED), (True, c.SERVER_HELLO_DONE)}


def test_in_tls13_nothing_but_the_request_may_be_left_out() -> None:
    for needed in (c.ENCRYPTED_EXTENSIONS, c.CERTIFICATE, c.CERTIFICATE_VERIFY, c.FINISHED):
        found: set[State] = set()
        waiting = [State.ENCRYPTED_EXTENSIONS]
        while waiting:
            here = waiting.pop()
            for (state, kind), (_, after) in TRANSITIONS.items():
                if state is here and kind != needed and after not in found:
                    found.add(after)
                    waiting.append(after)
        assert State.COMPLETE not in found, needed


def test_events_are_values() -> None:
    assert MessageReceived(2) == MessageReceived(2) != MessageReceived(3)
    assert FlightComplete() == FlightComplete()
    assert repr(NEED_DATA) == "NEED_DATA"
