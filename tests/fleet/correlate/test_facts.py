"""Facts as findings hold them: read back whole, or not at all."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from scanner.codec.encode import encode_record
from scanner.fleet.correlate.facts import (
    MAX_ITEMS,
    MAX_TEXT,
    Facts,
    PageSighting,
    Reached,
    Sighting,
    Validity,
    Witness,
    facts_from_json,
    recorded_sntp,
    seconds,
    sntp_witness,
)

LOCAL = 1_795_000_000
FULL = Facts(
    LOCAL,
    "a.test",
    (Validity("certificate-expired", "ab", 5, 9),),
    True,
    (Witness("crl", "ca.test", 5, LOCAL, 9), Witness("http-date", "a.test", 5, LOCAL, None, ("address:192.0.2.1",))),
    (PageSighting("a.test", "login.test/x", "login.test"),),
    (Reached("ocsp.ca.test", True),),
    True,
    (Sighting("key", "CN=Box", "a.test", "192.0.2.1 443", LOCAL, "ab", "cd", 5, 9, own_key=True, product="Box"),),
)


def test_facts_come_back_as_they_were() -> None:
    assert facts_from_json(orjson.loads(orjson.dumps(encode_record(FULL)))) == FULL


def test_what_is_not_there_takes_no_room() -> None:
    assert encode_record(Facts(LOCAL)) == {"local": LOCAL}
    (sighting,) = encode_record(FULL)["sightings"]
    assert set(sighting) & {"own_key", "keyed", "named", "product"} == {"own_key", "product"}


def test_text_that_utf_8_cannot_hold_is_escaped() -> None:
    facts = Facts(LOCAL, pages=(PageSighting("a.test", "\ud800", "b.test"),))
    assert encode_record(facts)["pages"] == [{"name": "a.test", "page": "\\ud800", "host": "b.test"}]


def changed(*path: str | int, value: Any) -> Any:
    record: Any = orjson.loads(orjson.dumps(encode_record(FULL)))
    place = record
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return record


@pytest.mark.parametrize(
    "recorded",
    [
        None,
        5,
        [],
        {},
        {"local": "now"},
        {"local": 1.5},
        changed("domain", value="x" * (MAX_TEXT + 1)),
        changed("witnesses", value={}),
        changed("witnesses", value=[{"kind": "crl", "who": "a", "time": 1, "local": 1}] * (MAX_ITEMS + 1)),
        changed("witnesses", 0, "kind", value="oracle"),
        changed("witnesses", 0, "time", value=None),
        changed("witnesses", 1, "via", 0, value=5),
        changed("reach", 0, "reached", value="yes"),
        changed("sightings", 0, "own_key", value=1),
        changed("sightings", 0, "key", value="x" * (MAX_TEXT + 1)),
    ],
)
def test_facts_of_another_shape_are_none(recorded: Any) -> None:
    assert facts_from_json(recorded) is None


def test_fields_of_a_newer_version_are_passed_over() -> None:
    assert facts_from_json({**msgspec.to_builtins(FULL), "weather": "fine"}) == FULL


def test_sntp_witnesses_are_read_from_the_evidence_of_findings() -> None:
    told = {
        "kind": "sntp",
        "who": "ntp time.test",
        "time": "2026-11-23T13:00:00Z",
        "local_time": "2026-11-23T12:00:00Z",
    }
    other = {"kind": "http-date", "who": "a.test", "time": "2026-11-23T13:00:00Z", "local_time": "2026-11-23T12:00:00Z"}
    finding = {
        "diagnoses": [
            {"evidence": {"witnesses": [told, other]}},
            {"evidence": {"clock": {"witnesses": [told, 5, {"kind": "sntp"}, {**told, "who": 5}]}}},
        ]
    }
    (witness,) = recorded_sntp(finding)
    assert (witness.who, witness.time - witness.local) == ("ntp time.test", 3600)
    assert recorded_sntp({"diagnoses": 5}) == ()
    assert sntp_witness("time.test", "192.0.2.9", LOCAL + 3600.4, LOCAL).who == "ntp time.test"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01T00:01:00.900Z", 60),
        ("soon", None),
        (5, None),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_whole_seconds_of_a_time(text: object, expected: int | None) -> None:
    if text == "0001-01-01T00:00:00Z":
        assert seconds(text) == -62_135_596_800
    else:
        assert seconds(text) == expected
