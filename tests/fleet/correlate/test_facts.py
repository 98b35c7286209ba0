"""Facts as findings hold them: read back whole, or not at all. How they are put together: what counts, what marks addresses of
one operator, and what is left out."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import orjson
import pytest

from scanner.codec.encode import encode_record
from scanner.fleet.correlate.facts import (
    MAX_ITEMS,
    MAX_TEXT,
    Facts,
    FactsBuilder,
    PageSighting,
    Reached,
    Sighting,
    Validity,
    Witness,
    facts_from_json,
    recorded_sntp,
    seconds,
    sntp_witness,
    top_issuer,
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


# --- put together -----------------------------------------------------------------------------------

LEAF = ("ab", 5, 9)
NONE = frozenset[str]()


def builder() -> FactsBuilder:
    return FactsBuilder("www.a.example", LOCAL)


def test_nothing_taken_in_is_no_facts() -> None:
    assert builder().facts() is None
    healthy = builder()
    assert healthy.chain(NONE, [("CN=a", "CN=b")], LEAF) == "certificate:ab"
    assert healthy.facts() is None


def test_a_certificate_out_of_its_time_is_of_the_target_s_domain() -> None:
    found = builder()
    codes = frozenset({"certificate-expired"})
    assert found.chain(codes, [("CN=a", "CN=b")], LEAF) == "certificate:ab"
    assert found.facts() == Facts(LOCAL, "a.example", (Validity("certificate-expired", *LEAF),))


def test_addresses_under_one_untrusted_issuer_share_its_mark() -> None:
    found = builder()
    codes = frozenset({"untrusted-root"})
    assert found.chain(codes, [("CN=a", "CN=b"), ("CN=b", "CN=c")], LEAF) == "issuer:CN=c"
    assert (found.untrusted, found.incomplete) == (True, False)
    long = found.chain(codes, [("CN=a", "x" * 100_000)], LEAF)
    assert long is not None and len(long) == MAX_TEXT
    assert found.chain(frozenset({"issuer-unknown"}), [("CN=a", "CN=a")], LEAF) == "certificate:ab"
    assert (found.untrusted, found.incomplete) == (True, True)
    assert found.chain(codes, [], None) is None


def test_answers_count_unless_an_issuer_is_untrusted() -> None:
    found = builder()
    found.answer("crl", "http://crl.ca.example/1", (5.9, None), 9.9)
    found.answer("ocsp", "http://ocsp.ca.example/", (None, None), 9.0)
    found.answer("ocsp", "no address", (5.0, 6.0), 9.0)
    found.reached("http://crl.ca.example/1", True)
    assert found.facts() == Facts(
        LOCAL, witnesses=(Witness("crl", "ca.example", 5, LOCAL, 9),), reach=(Reached("crl.ca.example", True),)
    )
    found = builder()
    found.untrusted = True
    found.answer("crl", "http://crl.ca.example/1", (5.9, None), 9.9)
    assert found.facts() == Facts(LOCAL, "a.example", untrusted=True)


def test_dates_and_scts() -> None:
    found = builder()
    found.date("192.0.2.1", None, 5.0, None)
    found.date("192.0.2.1", 7.5, 5.5, "certificate:ab")
    found.sct("Operator", LOCAL)
    found.sct("Operator", LOCAL + 1.5)
    facts = found.facts()
    assert facts is not None and facts.witnesses == (
        Witness("http-date", "a.example", 7, 5, None, ("address:192.0.2.1", "certificate:ab")),
        Witness("sct", "Operator", LOCAL + 1, LOCAL),
    )


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ([], None),
        ([(None, None)], None),
        ([("CN=a", "CN=a")], None),
        ([("CN=a", "CN=b")], "CN=b"),
        ([("CN=a", "CN=b"), ("CN=b", "CN=c")], "CN=c"),
        ([("CN=a", "CN=b"), ("CN=c", "CN=c"), ("CN=b", "CN=c")], "CN=c"),
        ([("CN=a", "CN=b"), ("CN=b", "CN=c"), ("CN=c", "CN=b")], "CN=b"),  # a circle ends somewhere
        ([("CN=a", "CN=b"), (None, None), ("CN=x", "CN=y")], "CN=b"),
    ],
)
def test_the_topmost_issuer_of_what_was_sent(sent: list[tuple[str | None, str | None]], key: str | None) -> None:
    assert top_issuer(sent) == key


def test_reading_statistics_loads_no_cryptography() -> None:
    code = "import sys, scanner.fleet.stats.parallel; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert {"cryptography", "scanner.fleet.correlate.gather"} & set(done.stdout.split()) == set()
