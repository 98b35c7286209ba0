"""Log lists: the shipped one, and whatever a person may hand over as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.trust.ct_logs import APPROVED, MAX_LIST_BYTES, LogList, LogListError, load_log_list, log_list_untrusted
from tests.helpers.pki import DAY, NOW
from tests.helpers.scts import ARGON, TILES, YETI, Log, log_list, rfc3339


def read(listed: Any) -> LogList:
    return log_list_untrusted(json.dumps(listed).encode(), "list.json")


def test_the_shipped_list_is_read_without_a_note() -> None:
    shipped = load_log_list(None)
    assert len(shipped.logs) == 272 and shipped.notes == ()
    assert shipped.timestamp is not None and not shipped.stale(shipped.timestamp + 69 * DAY)
    assert shipped.stale(shipped.timestamp + 70 * DAY)
    assert all(log.public_key() is not None for log in shipped.logs.values())
    approved = [log for log in shipped.logs.values() if log.state in APPROVED]
    assert len({log.operator for log in approved}) >= 6
    assert {log.tiled for log in approved} == {False, True}
    oak = next(log for log in shipped.logs.values() if log.name == "Let's Encrypt 'Oak2026h2'")
    assert (oak.state, oak.since) == ("retired", 1772236800.0)
    assert oak.takes(oak.start or 0) and not oak.takes(oak.end or 0)


def test_logs_are_read_with_states_operators_and_intervals(tmp_path: Path) -> None:
    path = tmp_path / "logs.json"
    path.write_text(json.dumps(log_list(ARGON, YETI, TILES, timestamp=NOW - DAY)))
    found = load_log_list(str(path))
    assert [log.name for log in found.logs.values()] == ["Argon", "Yeti", "Tiles"]
    log = found.logs[YETI.id]
    assert (log.operator, log.state, log.since, log.tiled) == ("Operator B", "usable", NOW - 900 * DAY, False)
    assert log.start is log.end is None and log.takes(NOW)
    assert found.logs[TILES.id].tiled
    assert found.age(NOW) == DAY and not found.stale(NOW) and found.source == str(path)
    assert not found.knows_apple


def test_a_list_of_unknown_age_is_never_certain() -> None:
    for timestamp in (None, "yesterday"):
        listed = log_list(ARGON, timestamp=None) | ({} if timestamp is None else {"log_list_timestamp": timestamp})
        found = read(listed)
        assert found.timestamp is None and found.age(NOW) is None and found.stale(NOW)


def test_intervals_and_operators() -> None:
    interval = {"start_inclusive": rfc3339(NOW), "end_exclusive": rfc3339(NOW + DAY)}
    previous = [{"name": "Second", "end_time": rfc3339(NOW)}, {"name": "First", "end_time": rfc3339(NOW - DAY)}]
    log = read(log_list(Log("Sharded", changes={"temporal_interval": interval, "previous_operators": previous})))
    (found,) = log.logs.values()
    assert [found.takes(NOW + offset) for offset in (-1, 0, DAY - 1, DAY)] == [False, True, True, False]
    operators = [found.operator_at(NOW + offset) for offset in (-2 * DAY, -DAY, -1, 0)]
    assert operators == ["First", "Second", "Second", "Operator A"]


def test_unknown_fields_are_skipped() -> None:
    future = Log(
        "Future",
        changes={
            "state": {"sleeping": {"timestamp": rfc3339(NOW)}},
            "x": [1],
            "mmd": "long",
            "previous_operators": "?",
        },
    )
    listed = log_list(ARGON, future, version="4", colour="blue")
    listed["operators"].append({"name": "New", "quantum_logs": [{"key": 1}]})
    listed["operators"].append("not an operator")
    found = read(listed)
    assert len(found.logs) == 2 and found.notes == ()
    assert found.logs[future.id].state is None
    both = {"state": {"unheard-of": {}, "retired": {"timestamp": 12}}, "temporal_interval": "always"}
    (log,) = read(log_list(Log("Both", changes=both))).logs.values()
    assert (log.state, log.since, log.start) == ("retired", None, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "!"}, "no base64"),
        ({"key": None}, "missing"),
        ({"key": "AAAA"}, "cannot be read"),
        ({"key": "MCowBQYDK2VwAyEA" + "A" * 43 + "="}, "ed25519"),
        ({"log_id": "A" * 43 + "="}, "not the SHA-256"),
    ],
    ids=["base64", "missing", "der", "kind", "id"],
)
def test_a_log_with_a_broken_key_is_noted_and_the_others_are_read(changes: dict[str, Any], words: str) -> None:
    broken = Log("Broken", changes=changes)
    found = read(log_list(broken, YETI))
    (note,) = found.notes
    assert note.startswith("Broken: ") and words in note
    assert found.logs[YETI.id].flaw is None
    # found by the id in the list and by that of its key, which are two where one of them is damaged
    flawed = {log for log in found.logs.values() if log.flaw}
    assert [log.name for log in flawed] == ["Broken"] and flawed.pop().public_key() is None


def test_a_key_that_is_not_on_its_curve_is_none() -> None:
    spoilt = ARGON.spki[:-8] + bytes(8)
    import base64
    import hashlib

    log = Log("Off", changes={"key": base64.b64encode(spoilt).decode()})
    entry = log_list(log)["operators"][0]["logs"][0] | {
        "log_id": base64.b64encode(hashlib.sha256(spoilt).digest()).decode()
    }
    (found,) = read({"operators": [{"name": "A", "logs": [entry]}]}).logs.values()
    assert found.flaw is None and found.public_key() is None


def test_empty_entries_are_skipped() -> None:
    found = read({"operators": [{"logs": ["x", {}, {"log_id": "AAAA"}, YETI.entry()]}]})
    assert list(found.logs) == [YETI.id] and len(found.notes) == 3
    nameless = {name: value for name, value in YETI.entry().items() if name != "log_id"} | {"description": None}
    (log,) = read({"operators": [{"logs": [nameless]}]}).logs.values()
    assert (log.log_id, log.name, log.operator) == (YETI.id, "a log without a name", "an operator without a name")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "no list of logs"),
        (b"null", "no list of logs"),
        (b'{"operators": {}}', "no list of logs"),
        (b'{"operators": [{"id": 0, "name": "Google"}], "logs": []}', "no list of logs"),
        (b'{"operators": [{"name": "A", "logs": []}]}', "no log in it"),
        (
            b'{"operators": [{"name": "A", "logs": [{"description": "X"}]}]}',
            "no log in it that can be used (X: its key",
        ),
        (b'{"operators": [{"name": "\xff"}]}', "not JSON"),
    ],
)
def test_what_is_not_a_log_list_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "logs.json"
    path.write_bytes(content)
    with pytest.raises(LogListError) as caught:
        load_log_list(str(path))
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_unreadable_files_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b" " * (MAX_LIST_BYTES + 1))
    for name, words in (("absent", "No such file"), (".", "directory"), ("huge", "MiB"), ("a\0b", "null")):
        with pytest.raises(LogListError, match=words):
            load_log_list(f"{tmp_path}/{name}")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["key", "log_id", "description", "state", "usable", "timestamp", "temporal_interval", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4), JSON)
@settings(max_examples=100, deadline=None)
def test_random_json_raises_log_list_error_alone(entries: list[Any], timestamp: Any) -> None:
    listed = {"operators": [{"name": timestamp, "logs": entries}], "log_list_timestamp": timestamp}
    try:
        read(listed)
    except LogListError as error:
        assert "\n" not in str(error)
