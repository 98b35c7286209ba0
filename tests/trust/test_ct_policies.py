"""Chrome's and Apple's policies, clause by clause."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.trust.ct_logs import CtLog
from scanner.trust.ct_policies import (
    APPLE_SINCE,
    CHROME_SINCE,
    Source,
    VerifiedSct,
    apple,
    apple_standing,
    chrome,
    exempt,
    logs_needed,
    standing,
)
from tests.helpers.pki import DAY, NOW

SHORT, LONG = 90 * DAY, 200 * DAY
ISSUED = NOW - 10 * DAY


def log(name: str, operator: str, **changes: Any) -> CtLog:
    return CtLog(
        name.encode().ljust(32), name, operator, b"", **{"state": "usable", "since": NOW - 900 * DAY, **changes}
    )


A1, A2, A3 = (log(f"a{n}", "A") for n in range(3))
B1, B2 = (log(f"b{n}", "B", tiled=n == 1) for n in range(2))
GONE = log("gone", "B", state="retired", since=NOW - 5 * DAY)
LONG_GONE = log("long gone", "B", state="retired", since=NOW - 300 * DAY)


def promises(*logs: CtLog, source: Source = "certificate", at: float = ISSUED) -> list[VerifiedSct]:
    return [VerifiedSct(item, source, at) for item in logs]


def test_certificates_of_more_than_180_days_need_three_logs() -> None:
    assert [logs_needed(days * DAY) for days in (1, 90, 180)] == [2, 2, 2]
    assert logs_needed(180 * DAY + 1) == logs_needed(398 * DAY) == 3


@pytest.mark.parametrize(
    ("state", "since", "expected"),
    [
        ("qualified", None, "approved"),
        ("usable", NOW + DAY, "approved"),
        ("readonly", NOW - DAY, "approved"),
        ("retired", NOW - DAY, "once"),
        ("retired", NOW + DAY, "approved"),
        ("retired", None, "once"),
        ("rejected", NOW - DAY, "never"),
        ("rejected", NOW + DAY, "approved"),
        ("rejected", None, "never"),
        ("pending", NOW - DAY, "never"),
        (None, None, "never"),
    ],
)
def test_the_standing_of_a_log_depends_on_its_state_and_the_moment(
    state: str | None, since: float | None, expected: str
) -> None:
    assert standing(state, since, NOW, NOW - DAY) == expected
    assert standing(state, since, NOW, None) == expected


@pytest.mark.parametrize(
    ("logs", "lifetime", "complies"),
    [
        ((A1, B1), SHORT, True),
        ((A1, B2), SHORT, True),
        ((B1, B2), SHORT, False),  # one operator
        ((A1,), SHORT, False),
        ((A1, A1), SHORT, False),  # one log twice
        ((), SHORT, False),
        ((A1, B1), LONG, False),
        ((A1, A2, B1), LONG, True),
        ((A1, A2, A3), LONG, False),
        ((A1, GONE), SHORT, True),  # made before it was retired
        ((A1, LONG_GONE), SHORT, False),
        ((GONE,), SHORT, False),
        ((GONE, LONG_GONE), SHORT, False),  # none of a log in use
    ],
)
def test_chrome_counts_embedded_scts_by_logs_and_operators(
    logs: tuple[CtLog, ...], lifetime: float, complies: bool
) -> None:
    verdict = chrome(promises(*logs), lifetime, NOW, None)
    assert verdict.complies is complies
    assert (verdict.reason is None) is complies
    assert verdict.as_json()["needed"] == logs_needed(lifetime)


def test_chrome_counts_no_scts_of_staples() -> None:
    assert chrome(promises(A1, B1, source="staple"), SHORT, NOW, None).count == 0
    assert not chrome([*promises(A1), *promises(B1, source="staple")], SHORT, NOW, None).complies


def test_chrome_counts_scts_of_the_tls_extension() -> None:
    assert chrome(promises(A1, B1, source="tls"), LONG, NOW, None).complies
    alone = chrome(promises(A1, source="tls"), LONG, NOW, None)
    assert (alone.complies, alone.needed, alone.count) == (False, 2, 1)
    assert not chrome(promises(A1, A2, source="tls"), LONG, NOW, None).complies
    # in the handshake a retired log counts for nothing
    assert not chrome(promises(A1, GONE, source="tls"), LONG, NOW, None).complies
    # both together
    assert chrome([*promises(A1), *promises(B1, source="tls")], LONG, NOW, None).complies
    assert chrome([*promises(A1, A2, B1), *promises(A1, source="tls")], LONG, NOW, None).complies


def test_chrome_counts_a_retired_log_only_for_certificates_issued_before() -> None:
    late = [*promises(A1, at=NOW - 3 * DAY), *promises(GONE, at=NOW - 6 * DAY)]
    assert not chrome(late, SHORT, NOW, None).complies
    early = [*promises(A1, at=NOW - 7 * DAY), *promises(GONE, at=NOW - 6 * DAY)]
    assert chrome(early, SHORT, NOW, None).complies
    after = [*promises(A1, at=NOW - 7 * DAY), *promises(GONE, at=NOW - 4 * DAY)]
    assert not chrome(after, SHORT, NOW, None).complies


def test_a_log_s_operator_is_the_one_at_the_time_of_the_sct() -> None:
    sold = log("sold", "B", previous_operators=(("A", NOW - 20 * DAY),))
    assert chrome(promises(A1, sold), SHORT, NOW, None).complies
    assert not chrome(promises(A1, sold, at=NOW - 30 * DAY), SHORT, NOW, None).complies


@pytest.mark.parametrize(
    ("logs", "lifetime", "complies"),
    [
        ((A1, B1), SHORT, True),
        ((A1, A2), SHORT, False),  # one of each operator counts
        ((A1, A2, B1), LONG, True),  # two of each
        ((A1, A2, A3), LONG, False),
        ((A1, B1), LONG, False),
        ((A1, GONE), SHORT, True),
        ((A1, LONG_GONE), SHORT, False),
        ((GONE,), SHORT, False),
        ((), SHORT, False),
        ((A1, B2), SHORT, True),
        ((B2, log("tiles", "C", tiled=True)), SHORT, False),  # none of RFC 6962
    ],
)
def test_apple_counts_embedded_scts_by_logs_and_operators(
    logs: tuple[CtLog, ...], lifetime: float, complies: bool
) -> None:
    verdict = apple(promises(*logs), lifetime, NOW, None, known=False)
    assert verdict.complies is complies
    assert (verdict.reason is None) is complies


def test_apple_counts_scts_of_staples_and_the_tls_extension() -> None:
    for source in ("tls", "staple"):
        assert apple([*promises(A1), *promises(A2, source=source)], LONG, NOW, None, known=False).complies
        assert apple(promises(A1, A2, source=source), LONG, NOW, None, known=False).complies
        assert not apple(promises(A1, source=source), LONG, NOW, None, known=False).complies
        tiles = log("tiles", "C", tiled=True)
        assert not apple(promises(B2, tiles, source=source), LONG, NOW, None, known=False).complies


def test_apple_s_state_of_a_log_decides_where_it_is_known() -> None:
    approved = log("x", "X", apple_state="usable")
    assert apple_standing(approved, NOW, None, known=True) == "approved"
    assert apple_standing(log("x", "X", apple_state="rejected"), NOW, None, known=True) == "never"
    assert apple_standing(log("x", "X", apple_state="pending"), NOW, None, known=True) == "unknown"
    assert apple_standing(log("x", "X"), NOW, None, known=True) == "unknown"
    assert apple_standing(log("x", "X"), NOW, None, known=False) == "approved"
    assert apple_standing(log("x", "X", state=None), NOW, None, known=True) == "never"
    assert apple_standing(log("x", "X", apple_state="usable", state="retired"), NOW, None, known=True) == "unknown"


def test_apple_s_verdict_is_open_where_its_state_of_a_log_is_not_known() -> None:
    sure = log("sure", "A", apple_state="usable")
    new = log("new", "B", apple_state="pending")
    verdict = apple(promises(sure, new), SHORT, NOW, None, known=True)
    assert verdict.complies is None and "new" in (verdict.reason or "")
    # whatever it holds of the second, it is not enough
    assert apple(promises(sure, new), LONG, NOW, None, known=True).complies is False
    # and here it does not matter
    third = log("third", "C", apple_state="usable")
    assert apple(promises(sure, new, third), SHORT, NOW, None, known=True).complies is True


def test_apple_counts_what_was_made_before_it_retired_a_log() -> None:
    sure = log("sure", "A", apple_state="usable")
    retired = log("r", "B", state="usable", apple_state="retired", apple_since=NOW - 5 * DAY)
    assert apple(promises(sure, retired), SHORT, NOW, None, known=True).complies is True
    assert apple(promises(sure, retired, at=NOW - 4 * DAY), SHORT, NOW, None, known=True).complies is False


DROPPED = [log(f"dropped {owner}", owner, state="rejected", since=None) for owner in ("A", "B")]


def test_logs_that_left_use_on_a_day_that_the_list_does_not_give_may_have_counted_before_it_was_made() -> None:
    shown = promises(*DROPPED, at=NOW - 400 * DAY)
    made = NOW - 30 * DAY
    assert standing("rejected", None, made - DAY, made) == standing("retired", None, made - DAY, made) == "unknown"
    for verdict in (
        chrome(shown, SHORT, made - 300 * DAY, made),
        apple(shown, SHORT, made - 300 * DAY, made, known=False),
    ):
        assert verdict.complies is None and "dropped A, dropped B is not known" in (verdict.reason or "")
    assert chrome(shown, SHORT, NOW, made).complies is False
    assert apple(shown, SHORT, NOW, made, known=False).complies is False


def test_what_is_too_little_with_such_logs_too_is_too_little() -> None:
    shown = promises(*DROPPED, at=NOW - 400 * DAY)
    assert chrome(shown, LONG, NOW - 300 * DAY, NOW).complies is False
    assert chrome([*shown, *promises(A1, B1)], SHORT, NOW - 300 * DAY, NOW).complies is True


def test_certificates_older_than_the_policies_need_no_scts() -> None:
    verdict = exempt(CHROME_SINCE - DAY, CHROME_SINCE)
    assert verdict is not None and verdict.complies
    assert exempt(CHROME_SINCE, CHROME_SINCE) is None
    assert CHROME_SINCE < APPLE_SINCE
