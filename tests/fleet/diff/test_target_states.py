"""What became of a target, where the outcome alone does not tell: severities, certificates, rows that cannot be used."""

from __future__ import annotations

import random
from typing import Any

import pytest

from scanner.fleet.diff.target_states import (
    MAX_CODES,
    MAX_LEAVES,
    Change,
    TargetState,
    categories_of,
    change_of,
    row_of,
)
from tests.fleet.diff.test_comparison import A, B, seen

C = "cc" * 32
E, W, N = "error", "warning", "note"


def state(finding: dict[str, Any]) -> TargetState:
    """As the table gives it back."""
    return TargetState(*row_of(0, finding)[4:])


def became(old: dict[str, Any], new: dict[str, Any], *before: str) -> tuple[set[str], Change]:
    """The categories, and the change; ``before`` are outcomes of runs in between."""
    change = change_of({}, state(old), state(new), (old["outcome"], *before, new["outcome"]))
    return set(categories_of(change)), change


def judged(outcome: str, *diagnoses: tuple[str, str], cause: str | None = None) -> dict[str, Any]:
    finding = seen("a.example", outcome, cause)
    return {**finding, "diagnoses": [{"code": code, "severity": severity} for code, severity in diagnoses]}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (judged("warn", ("a", W)), judged("warn", ("a", W)), set()),
        (judged("warn", ("a", W)), judged("warn", ("a", W), ("b", W)), {"worse"}),
        (judged("warn", ("a", W), ("b", W)), judged("warn", ("b", W)), {"better"}),
        (judged("warn", ("a", W)), judged("warn", ("b", W)), {"better", "worse"}),
        (judged("warn", ("a", W), ("b", W)), judged("warn", ("b", W), ("a", W)), set()),
        (judged("ok", ("a", N)), judged("ok", ("b", N)), set()),
        (judged("fail", ("a", E)), judged("fail", ("a", E), ("b", E)), {"still_broken", "worse"}),
        (judged("fail", ("a", E), ("a", E)), judged("fail", ("a", E)), {"still_broken", "better"}),
        (judged("fail", ("a", E), ("b", W)), judged("fail", ("a", E), ("b", E)), {"still_broken", "worse"}),
        (judged("fail", ("a", E), cause="x"), judged("fail", ("b", E), cause="y"), {"changed"}),
        (judged("ok"), judged("fail", ("a", E)), {"new"}),
        (judged("fail", ("a", E)), judged("warn", ("b", W)), {"fixed"}),
        # an outcome that no diagnosis explains, as another program may write it
        (judged("ok"), judged("warn"), {"worse"}),
        (judged("warn"), judged("ok"), {"better"}),
    ],
)
def test_severities(old: dict[str, Any], new: dict[str, Any], expected: set[str]) -> None:
    assert became(old, new)[0] == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("fail", "invalid", {"worse"}),
        ("ok", "invalid", {"worse"}),
        ("warn", "invalid", {"worse"}),
        ("invalid", "ok", {"better"}),
        ("invalid", "fail", {"new"}),
        ("invalid", "invalid", set()),
    ],
)
def test_a_row_that_cannot_be_used_is_never_a_fixed_server(old: str, new: str, expected: set[str]) -> None:
    assert became(judged(old), judged(new))[0] == expected


def test_a_row_that_could_not_be_used_once_does_not_flap() -> None:
    assert "flapping" not in became(judged("fail"), judged("fail"), "invalid")[0]
    assert "flapping" in became(judged("fail"), judged("fail"), "invalid", "ok")[0]


def serving(*leaves: str, issuers: dict[str, Any] | None = None) -> dict[str, Any]:
    issuers = issuers or {}
    records = [{"sha256": leaf, "issuer": issuers.get(leaf, "CN=One"), "not_after": "2027"} for leaf in set(leaves)]
    return {**seen("a.example"), "endpoints": [{"chain": [leaf]} for leaf in leaves], "certificates": records}


@pytest.mark.parametrize(
    ("old", "new", "gone_and_come"),
    [
        ((A,), (B,), (A, B)),
        ((A, B), (B, A), None),
        ((A, B), (B,), None),
        ((A,), (B, A), None),
        ((A, B), (C, A), (B, C)),
        ((B, A, A), (A, C, A), (B, C)),
        ((), (A,), None),
        ((A,), (), None),
    ],
)
def test_which_certificate_was_replaced(
    old: tuple[str, ...], new: tuple[str, ...], gone_and_come: tuple[str, str] | None
) -> None:
    categories, change = became(serving(*old), serving(*new))
    assert categories == ({"replaced"} if gone_and_come else set())
    assert change.old is not None and change.new is not None
    if gone_and_come:
        assert (change.old.leaf, change.new.leaf) == gone_and_come


def test_the_issuer_is_that_of_the_certificate_that_was_replaced() -> None:
    issuers = {A: "CN=One", B: "CN=Two", C: "CN=Two"}
    assert became(serving(A, B, issuers=issuers), serving(A, C, issuers=issuers))[1].same_issuer is True
    assert became(serving(B, A, issuers=issuers), serving(B, C, issuers=issuers))[1].same_issuer is False
    unknown = became(serving(A, issuers={A: None}), serving(B, issuers={B: None}))[1]
    assert unknown.to_json()["same_issuer"] is None


def test_what_is_kept_of_one_finding_is_bounded() -> None:
    many = judged("fail", *((f"code-{number}", E) for number in range(1000)))
    assert len(state(many).codes) == MAX_CODES
    assert len(state(serving(*(f"{number:064x}" for number in range(200)))).leaves) == MAX_LEAVES


def test_hostile_findings_never_raise() -> None:
    rng = random.Random(7)
    odd: list[Any] = [None, 5, -1.5, True, "", "x,y.\0", [], {}, [[]], [{}], {"sha256": A}, [A], "\x1b[31m"]
    keys = ("run", "cause", "diagnoses", "endpoints", "certificates")
    for _ in range(500):
        pair = []
        for _ in range(2):
            finding = seen("a.example", rng.choice(("ok", "fail", "invalid")))
            finding.update({key: rng.choice(odd) for key in keys if rng.random() < 0.5})
            finding["target"] = {key: rng.choice(odd) for key in ("host", "port", "sni", "id", "row")}
            if rng.random() < 0.5:
                finding["diagnoses"] = [{"code": rng.choice(odd), "severity": rng.choice([*odd, E])} for _ in range(3)]
                finding["endpoints"] = [{"chain": rng.choice(odd)}, rng.choice(odd)]
            pair.append(finding)
        became(pair[0], pair[1])[1].to_json()
