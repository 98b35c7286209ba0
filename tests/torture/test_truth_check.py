from __future__ import annotations

import json
from typing import Any

from tests.torture.rows import KINDS, Row
from tests.torture.truth_check import count_wrong

ROWS = [Row(0, KINDS["tls13"]), Row(1, KINDS["closed"]), Row(2, KINDS["drip"]), Row(3, KINDS["garbage-staple"])]


def line(number: int, outcome: str = "ok", cause: str | None = None, codes: tuple[str, ...] = (), **more: Any) -> bytes:
    target = {"row": number + 1, "id": str(number)}
    diagnoses = [{"code": code} for code in codes]
    return json.dumps({"target": target, "outcome": outcome, "cause": cause, "diagnoses": diagnoses, **more}).encode()


TRUE = [
    line(0),
    line(1, "fail", "network-blocked", ("connection-refused",)),
    line(2, "fail", "network-blocked", ("silent-after-hello",)),
    line(3, "fail", "hostname-mismatch", ("staple-invalid", "name-not-in-san")),
]


def test_true_findings_are_not_counted() -> None:
    counts = count_wrong(ROWS, reversed(TRUE))
    assert not counts.false
    assert not counts.not_judged
    assert (counts.missing, counts.doubled, counts.unreadable) == (0, 0, 0)


def test_another_outcome_cause_or_code_is_false() -> None:
    for number, wrong in (
        (0, line(0, "fail", "network-blocked", ("connect-timeout",))),
        (0, line(0, "warn", None, ("expires-soon",))),
        (0, line(0, "ok", None, ("store-differs",))),
        (1, line(1, "fail", "network-blocked", ("connect-timeout",))),
        (2, line(2)),
        (3, line(3, "fail", "revoked", ("staple-invalid",))),
    ):
        counts = count_wrong(ROWS, [*TRUE[:number], wrong, *TRUE[number + 1 :]])
        assert counts.false.total() == 1, wrong
        assert not counts.not_judged


def test_false_findings_are_named_by_what_they_say() -> None:
    counts = count_wrong(ROWS, [line(0, "fail", "dns", ("dns-timeout",))])
    assert dict(counts.false) == {"tls13: fail dns dns-timeout": 1}


def test_a_target_that_was_not_judged_is_not_false() -> None:
    counts = count_wrong(ROWS, [line(0, "warn", error="the network was gone"), *TRUE[1:]])
    assert not counts.false
    assert counts.not_judged.total() == 1


def test_not_judged_needs_a_reason_and_no_cause() -> None:
    for wrong in (line(0, "warn"), line(0, "fail", error="x"), line(0, "warn", "dns", ("dns-timeout",), error="x")):
        assert count_wrong(ROWS, [wrong]).false.total() == 1


def test_blaming_the_local_clock_is_not_false() -> None:
    wrong = line(0, "fail", "clock-skew", ("local-clock-wrong", "certificate-expired"))
    counts = count_wrong(ROWS, [wrong])
    assert not counts.false
    assert counts.not_judged.total() == 1


def test_rows_without_and_with_several_findings_are_counted() -> None:
    counts = count_wrong(ROWS, [TRUE[0], TRUE[0], TRUE[0], TRUE[2]])
    assert (counts.missing, counts.doubled) == (2, 1)


def test_lines_that_are_not_findings_of_this_inventory_are_unreadable() -> None:
    garbage = [b"", b"{", b"[]", b"null", b"\xff", line(4), b'{"target": {"id": null}}', TRUE[0][:-20]]
    counts = count_wrong(ROWS, [*garbage, *TRUE])
    assert counts.unreadable == len(garbage)
    assert not counts.false
    assert counts.missing == 0
