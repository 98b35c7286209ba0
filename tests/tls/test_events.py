"""The table of the state machine: from its beginning every state can be reached, and from every state the end."""

from __future__ import annotations

from scanner.tls import constants as c
from scanner.tls.events import TRANSITIONS, State


def following(state: State) -> set[State]:
    return {each for (before, _), after in TRANSITIONS.items() if before is state for each in after}


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


def test_the_first_message_is_a_server_hello() -> None:
    assert [kind for state, kind in TRANSITIONS if state is State.SERVER_HELLO] == [c.SERVER_HELLO]


def test_tls13_ends_with_finished_and_older_versions_with_server_hello_done() -> None:
    last = {
        (state.name.startswith("OLD"), kind) for (state, kind), after in TRANSITIONS.items() if State.COMPLETE in after
    }
    assert last == {(False, c.FINISHED), (True, c.SERVER_HELLO_DONE)}


def test_in_tls13_only_the_certificate_request_is_optional() -> None:
    for needed in (c.ENCRYPTED_EXTENSIONS, c.CERTIFICATE, c.CERTIFICATE_VERIFY, c.FINISHED):
        found: set[State] = set()
        waiting = [State.ENCRYPTED_EXTENSIONS]
        while waiting:
            here = waiting.pop()
            for (state, kind), after in TRANSITIONS.items():
                if state is here and kind != needed:
                    waiting += set(after) - found
                    found |= set(after)
        assert State.COMPLETE not in found, needed


def test_only_a_server_hello_leads_to_one_of_several_states() -> None:
    assert [key for key, after in TRANSITIONS.items() if len(after) > 1] == [(State.SERVER_HELLO, c.SERVER_HELLO)]
