"""What the fleet says as a whole, of each run where it is one machine's, and what that changes."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from scanner.fleet.stats import fleet_correlation as module
from scanner.fleet.stats.finding_kinds import kind_of
from scanner.fleet.stats.fleet_correlation import Correlation, seen_of
from scanner.fleet.stats.reclassified import FLEET_CODES
from tests.helpers.made import RUN, certificate, diagnosis, finding, untrusted

AT = 1_795_399_200  # 2026-11-23T02:00:00Z
NAMES = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot")
EARLY = {"mozilla": {"trusted": False, "error": "certificate-not-yet-valid", "path": []}}


def correlated(*findings: dict[str, Any]) -> Correlation:
    found = Correlation()
    for one in findings:
        take(found, one)
    return found


def take(found: Correlation, one: dict[str, Any]) -> None:
    found.targets += 1
    seen = seen_of(one, kind_of(one))
    if seen is not None:
        found.add(seen)


def answers(*answered: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return finding(1, "a.example", observed={"revocation": list(answered)}, **changes)


def answer(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "certificate": "ab",
        "source": "ocsp",
        "url": url,
        "status": "good",
        "this_update": AT - 3600.0,
        "next_update": AT + 3600.0,
        **changes,
    }


def told_time(row: int, name: str, offset: int, **changes: Any) -> dict[str, Any]:
    witness = {
        "kind": "http-date",
        "who": f"{name}.test",
        "time": AT + offset,
        "local": AT,
        "via": [f"address:192.0.2.{row}"],
    }
    facts = {"local": AT, "witnesses": [witness]}
    return finding(row, f"www.{name}.test", address=f"192.0.2.{row}", observed={"facts": facts}, **changes)


def test_no_targets_say_nothing() -> None:
    assert Correlation().to_json() == {
        "clock": {
            "state": "unknown",
            "witnesses": [],
            "targets": 0,
            "said": 0,
            "reclassified": {},
            "otherwise": {},
        },
        "clocks": {},
        "interceptors": [],
        "portals": [],
        "revocation_blocked": None,
        "findings": dict.fromkeys(FLEET_CODES, 0),
    }


def test_an_interceptor_that_findings_do_not_say_yet() -> None:
    box = diagnosis("untrusted-root", root="CN=Box")
    sent = [
        finding(
            row,
            f"www.{name}.test",
            box,
            leaf=certificate(name, issuer="CN=Box"),
            **untrusted("k", "CN=Box", own_key=True),
        )
        for row, name in enumerate(NAMES)
    ]
    (one,) = correlated(*sent).to_json()["interceptors"]
    assert one["issuer"] == "CN=Box" and one["certain"]
    assert (one["targets"], one["said"], one["reclassified"], one["otherwise"]) == (6, 0, {}, {"untrusted-ca": 6})


def test_an_interceptor_that_only_findings_know() -> None:
    """Of a part of a run, too small to see it, or judged by other options."""
    said = diagnosis("issuer-across-unrelated-names", issuer="CN=Box", names=["a", "b", "c"], certificate="aa" * 32)
    (one,) = correlated(finding(1, "a", said, diagnosis("untrusted-root"))).to_json()["interceptors"]
    assert one["issuer"] == "CN=Box" and one["evidence"] == {"names": ["a", "b", "c"]}
    assert one["reclassified"] == {"untrusted-ca": 1}


def test_the_clock_of_each_run_by_itself() -> None:
    """One night it was right, in the next it was not: neither hides the other."""
    right = [told_time(row, name, 0, run="right") for row, name in enumerate(NAMES)]
    wrong = [told_time(row, name, 7200, run="wrong") for row, name in enumerate(NAMES)]
    young = {**certificate("young"), "not_before": "2026-11-23T03:00:00Z"}
    early = diagnosis("certificate-not-yet-valid")
    hurt = [finding(9, "young.example", early, run=run, trust=EARLY, leaf=young) for run in ("right", "wrong")]
    shown = correlated(*right, *wrong, *hurt).to_json()
    assert {run: clock["state"] for run, clock in shown["clocks"].items()} == {"right": "confirmed", "wrong": "wrong"}
    assert shown["clock"]["run"] == "wrong" and shown["clock"]["offset_seconds"] == 7200.0
    assert shown["clock"]["targets"] == 1 and shown["clock"]["otherwise"] == {"expired-or-self-signed": 1}
    assert shown["clocks"]["right"]["targets"] == 0


def test_a_clock_that_findings_say_was_wrong() -> None:
    """They were judged at the right time, so that nothing else in them shows it any more."""
    said = diagnosis(
        "local-clock-wrong",
        offset_seconds=-3600,
        witnesses=[{"kind": "sct", "who": "Log", "time": "2026-11-23T01:00:00Z"}],
        local_time="2026-11-23T02:00:00Z",
    )
    clock = correlated(finding(1, "a.example", said)).to_json()["clock"]
    assert (clock["state"], clock["offset_seconds"], clock["said"]) == ("wrong", -3600.0, 1)
    assert clock["witnesses"][0]["who"] == "Log"
    assert clock["reclassified"] == {"expired-or-self-signed": 1}


def test_a_clock_that_decided_nothing_is_not_judged() -> None:
    """``--at`` gave the moment at which certificates were judged."""
    wrong = [told_time(row, name, 7200, judged_with={"at": 5}) for row, name in enumerate(NAMES)]
    assert correlated(*wrong).to_json()["clocks"] == {}
    quick = Correlation()
    for number in range(5):
        url = f"http://ocsp.ca{number}.test/"
        take(quick, answers(answer(url, this_update=AT + 7200.0), judged_with={"at": 5}))
    assert quick.to_json()["clocks"] == {}


def test_pages_that_findings_say_answer_for_others() -> None:
    said = diagnosis("captive-portal", page="login.example", certificate="aa", names_count=7)
    made = [finding(row, f"h{row}", said, diagnosis("name-not-in-san")) for row in (1, 2)]
    (page,) = correlated(*made, finding(3, "c", diagnosis("captive-portal"))).to_json()["portals"][:1]
    assert page == {
        "to": "login.example",
        "evidence": {"names_count": 7},
        "targets": 2,
        "said": 2,
        "reclassified": {"hostname-mismatch": 2},
        "otherwise": {},
    }


def test_revocation_hosts_that_one_run_cannot_reach() -> None:
    gone = [answer(f"http://crl.ca{number}.test/", blocked=True) for number in range(3)]
    found = correlated(answers(*gone, run="inside"), answers(answer("http://crl.ca1.test/"), run="outside"))
    blocked = found.to_json()["revocation_blocked"]
    assert blocked["runs"] == ["inside"] and blocked["evidence"]["hosts_count"] == 3 and blocked["targets"] == 1
    said = diagnosis("revocation-blocked", urls=["http://a/"], url="http://a/", hosts_count=4, hosts=["a"])
    blocked = correlated(finding(1, "a", said)).to_json()["revocation_blocked"]
    assert blocked["evidence"] == {"hosts_count": 4, "hosts": ["a"]} and blocked["said"] == 1


def test_runs_issuers_and_recorded_verdicts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RUNS", 3)
    monkeypatch.setattr(module, "MAX_RECORDED", 4)
    monkeypatch.setattr(module, "MAX_ISSUERS", 5)
    found = Correlation()
    for number in range(20):
        said = diagnosis("captive-portal", page=f"{number}" * 500, names=["x" * 999] * 99)
        made = finding(1, "a", said, run=f"run{number}", **untrusted(f"k{number}", "CN=x"), leaf=certificate("a"))
        take(found, made)
    assert (len(found._runs), len(found._recorded), len(found._by_issuer)) == (3, 4, 5)
    page = found.to_json()["portals"][0]
    assert len(page["to"]) == 300 and len(page["evidence"]["names"]) == 8 and len(page["evidence"]["names"][0]) == 300
    twice = pickle.loads(pickle.dumps(found))
    twice.merge(found)
    assert (len(twice._runs), len(twice._recorded), len(twice._by_issuer)) == (3, 4, 5) and twice.targets == 40


def test_what_findings_say_and_show_of_one_run_is_one_verdict() -> None:
    """What findings say and what they show of one run is one verdict."""
    said = finding(1, "a", diagnosis("local-clock-wrong", offset_seconds=7200))
    told = [told_time(row, name, 7200) for row, name in enumerate(NAMES)]
    shown = correlated(said, *told).to_json()
    assert list(shown["clocks"]) == [RUN]
    assert shown["clock"]["said"] == shown["clock"]["targets"] == 1 and len(shown["clock"]["witnesses"]) == len(NAMES)
