"""FleetStats of parts add up to those of the whole, in any order; nothing in a file is too odd to be counted."""

from __future__ import annotations

import pickle
import subprocess
import sys
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.fleet.stats.fleet_stats import FleetStats
from scanner.fleet.stats.stats_tables import FORMATS
from scanner.output import Unreadable
from tests.helpers.hostile import hostile_finding
from tests.helpers.made import certificate, diagnosis, finding, invalid, sha256, untrusted
from tests.helpers.schema import validate_statistics

COLUMNS = ("owner", "issuer", "version", "server", "domain")
OFFSET = "2026-11-26T02:00:00.000Z"


LOCAL = 1_795_399_200


def date_of(name: str, address: str, offset: int) -> dict[str, Any]:
    """What a server tells that told the time, so many seconds off."""
    via = [f"address:{address}", f"certificate:{sha256(name)}"]
    told = {"kind": "http-date", "who": name, "time": LOCAL + offset, "local": LOCAL, "via": via}
    return {"facts": {"local": LOCAL, "witnesses": [told]}}


def estate() -> list[dict[str, Any]]:
    """A small one with everything that statistics tell of."""
    early = {"mozilla": {"trusted": False, "error": "certificate-not-yet-valid", "path": []}}
    young = {**certificate("young"), "not_before": "2026-11-24T02:00:00Z"}
    expired = diagnosis("intermediate-expired", certificate="ca" * 32, subject="CN=Old CA", leaf=False)
    box = diagnosis("untrusted-root", root="CN=Box")
    across = diagnosis("issuer-across-unrelated-names", issuer="CN=Box", names_count=3)
    made = [finding(row, f"h{row}.shop.example", tags={"owner": "web" if row % 3 else None}) for row in range(1, 9)]
    made += [finding(row, f"e{row}.shop.example", expired, tags={"owner": "web"}) for row in range(9, 13)]
    made += [
        finding(
            row,
            f"www.{name}.test",
            *((across, box) if row % 2 else (box,)),
            leaf=certificate(name, issuer="CN=Box"),
            **untrusted("box", "CN=Box", own_key=True),
        )
        for row, name in enumerate(("alpha", "bravo", "charlie", "delta", "echo"), 13)
    ]
    made += [
        finding(
            row,
            f"www.{name}.test",
            attempts=2,
            observed=date_of(f"{name}.test", f"192.0.2.{row}", 86_400 * 2),
            address=f"192.0.2.{row}",
            run="slow",
        )
        for row, name in enumerate(("golf", "hotel", "india", "juliett"), 18)
    ]
    made += [
        finding(22, "www.kilo.test", diagnosis("certificate-not-yet-valid"), run="slow", trust=early, leaf=young),
        invalid(23),
        finding(24, "www.lima.test", run="blocked", observed={"revocation": blocked("a.test", "b.test", "c.test")}),
        finding(25, "www.mike.test", observed={"revocation": answered("http://ocsp.ca.test/")}),
        finding(26, "november.test", diagnosis("nxdomain"), endpoints=[], certificates=[], started=OFFSET),
    ]
    return made + made[:2]


def blocked(*hosts: str) -> list[dict[str, Any]]:
    return [
        {"certificate": "ab", "source": "crl", "url": f"http://crl.{host}/", "status": "unavailable", "blocked": True}
        for host in hosts
    ]


def answered(*urls: str) -> list[dict[str, Any]]:
    return [
        {
            "certificate": "ab",
            "source": "ocsp",
            "url": url,
            "status": "good",
            "this_update": 1_795_390_000.0,
            "next_update": 1_795_990_000.0,
        }
        for url in urls
    ]


def folded(findings: list[dict[str, Any]], size: int = 1000) -> FleetStats:
    statistics = FleetStats(COLUMNS)
    for start in range(0, len(findings), size):
        statistics.add_batch(findings[start : start + size])
    return statistics


def shown(statistics: FleetStats) -> Any:
    read = orjson.loads(orjson.dumps(statistics.to_json()))
    validate_statistics(read)
    return read


WHOLE = shown(folded(estate()))


def test_all_counts_of_an_estate() -> None:
    assert list(WHOLE)[:7] == ["schema", "findings", "unreadable_lines", "runs", "outcomes", "causes", "by"]
    assert WHOLE["findings"] == 28 and WHOLE["repeated"] == 2
    assert WHOLE["outcomes"] == {"ok": 16, "warn": 0, "fail": 11, "invalid": 1}
    assert WHOLE["outcome_shares"]["fail"] == round(11 / 28, 6)
    assert WHOLE["codes"]["intermediate-expired"] == {
        "cause": "chain-validation",
        "targets": 4,
        "share": round(4 / 28, 6),
    }
    assert next(iter(WHOLE["codes"])) == "untrusted-root"
    assert WHOLE["last_started"] == "2026-11-26T02:00:00Z"
    assert {value: group["findings"] for value, group in WHOLE["by"]["owner"].items()} == {"": 16, "web": 12}
    assert WHOLE["shared_causes"][0]["code"] == "untrusted-root" and WHOLE["shared_causes"][0]["targets"] == 5
    assert WHOLE["expiry"]["by_week"] == {"2027-W06": 26} and WHOLE["expiry"]["within_days"]["90"] == 26
    assert WHOLE["latency_ms"]["handshake"]["count"] == 26


def test_verdicts_on_the_fleet() -> None:
    correlation = WHOLE["correlation"]
    (box,) = correlation["interceptors"]
    assert box["issuer"] == "CN=Box" and box["certain"] and box["evidence"]["names_count"] == 5
    assert (box["targets"], box["said"]) == (5, 3)
    assert box["reclassified"] == {"untrusted-ca": 3} and box["otherwise"] == {"untrusted-ca": 2}
    clock = correlation["clock"]
    assert (clock["run"], clock["state"], clock["offset_seconds"]) == ("slow", "wrong", 172_800.0)
    assert clock["targets"] == 1 and clock["otherwise"] == {"expired-or-self-signed": 1}
    gone = correlation["revocation_blocked"]
    assert gone["runs"] == ["blocked"] and gone["evidence"]["hosts_count"] == 3 and gone["targets"] == 1


@settings(max_examples=25, deadline=None)
@given(st.permutations(estate()), st.lists(st.integers(0, 30), max_size=4), st.integers(1, 9))
def test_parts_add_up_in_any_order(findings: list[dict[str, Any]], cuts: list[int], size: int) -> None:
    edges = [0, *sorted(cuts), len(findings)]
    parts = [folded(findings[start:end], size) for start, end in pairwise(edges)]
    total = FleetStats(COLUMNS)
    for part in parts[::-1]:
        total.merge(pickle.loads(pickle.dumps(part)))
    assert shown(total) == WHOLE


def test_statistics_can_be_pickled() -> None:
    folded = FleetStats(COLUMNS)
    folded.add_batch(estate())
    assert pickle.loads(pickle.dumps(folded)).to_json() == folded.to_json()
    folded.add_batch(estate())
    assert pickle.loads(pickle.dumps(folded)).counts.total.findings == 2 * len(estate())


def test_counting_one_by_one_gives_the_same() -> None:
    statistics = FleetStats(COLUMNS)
    for one in estate():
        statistics.add(one)
    assert shown(statistics) == WHOLE


def test_unreadable_lines_are_counted_by_reason() -> None:
    statistics = FleetStats()
    for reason in ("not JSON (unexpected end)", "not JSON (a lone surrogate)", "not an object"):
        statistics.add_line(Unreadable("f", 1, reason))
    other = FleetStats()
    other.add({"schema": "tlsweep/1"})
    statistics.merge(other)
    assert statistics.counts.unreadable_lines == 4
    assert shown(statistics)["unreadable"] == {"not JSON": 2, "has no target or no outcome": 1, "not an object": 1}


def test_reasons_beyond_the_limit_count_under_one_name() -> None:
    statistics = FleetStats()
    for number in range(100):
        statistics.add_line(Unreadable("f", 1, f"reason {number}"))
    assert len(statistics.unreadable) == 21 and statistics.unreadable["(other reasons)"] == 80


def test_a_start_that_is_no_time_is_not_reported() -> None:
    statistics = folded([finding(started="9999-99-99T99:99:99Z")])
    assert statistics.last_started() is None and shown(statistics)["last_started"] is None
    assert "expired" not in shown(statistics)["expiry"]


KEYS = (
    "code", "cause", "severity", "evidence", "tags", "row", "host", "address", "chain", "trust", "timing_ms", "sha256",
    "not_after", "connect", "observed", "completions", "revocation", "url", "untrusted_issuer", "key",
)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["2026-11-23T02:00:00Z", "https://a.example/", "trusted", "error"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
FULL = {**estate()[12], "observed": {"revocation": answered("http://a.test/")}, "judged_with": {}}


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(FULL)), JSON, min_size=1, max_size=3), st.sampled_from(estate()))
def test_no_value_of_any_field_is_too_odd(changes: dict[str, Any], base: dict[str, Any]) -> None:
    """It is counted, as a finding or as none, and so is the sound one beside it."""
    sound = finding(77, "sound.example")
    odd = orjson.loads(orjson.dumps({**base, **changes}))
    statistics = folded([sound, odd])
    assert statistics.counts.total.findings + statistics.counts.unreadable_lines == 2
    assert statistics.expiry.days["2027-02-11"] >= 1
    read = shown(statistics)
    for render in FORMATS.values():
        render(statistics.counts, statistics)
    left, right = folded([odd]), folded([sound])
    left.merge(right)
    assert shown(left) == read


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["endpoints", "certificates", "diagnoses", "observed", "target"]), min_size=1),
    JSON,
    st.data(),
)
def test_no_value_within_a_field_is_too_odd(where: list[str], value: Any, data: st.DataObject) -> None:
    odd = orjson.loads(orjson.dumps(FULL))
    for name in where:
        inner = odd[name]
        while isinstance(inner, (dict, list)) and inner and data.draw(st.booleans()):
            keys = sorted(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(inner[key], (dict, list)) or not inner[key]:
                inner[key] = value
                break
            inner = inner[key]
    statistics = folded([odd, finding(77, "sound.example")])
    assert statistics.counts.total.findings + statistics.counts.unreadable_lines == 2
    shown(statistics)


def test_hostile_texts_are_escaped_in_every_format() -> None:
    statistics = FleetStats(["owner", "host", "server"])
    statistics.add_batch([hostile_finding(number) for number in range(30)])
    assert statistics.counts.total.findings == 30
    shown(statistics)
    for form, render in FORMATS.items():
        text = render(statistics.counts, statistics)
        if form != "json":
            assert not any(ord(character) < 32 and character != "\n" for character in text) or form == "prometheus"


def test_only_statistics_over_the_same_columns_add_up() -> None:
    with pytest.raises(ValueError, match="different columns"):
        FleetStats(["owner"]).merge(FleetStats())


def test_a_scan_loads_none_of_it() -> None:
    code = "import sys, scanner.run.inventory_scan; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert {"scanner.fleet.stats.fleet_stats"} & set(done.stdout.split()) == set()
