"""The verdict on the local clock: tables of witnesses, honest and lying."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence

import pytest

from scanner.fleet.correlate.facts import Facts, Validity, Witness
from scanner.fleet.correlate.local_clock import MAX_PARTIES, MAX_SHOWN, MIN_WITNESSES, ClockFold, independent

LOCAL = 1_795_000_000
HOUR, DAY, YEAR = 3600, 86_400, 31_536_000


def date(who: str, offset: int, *via: str) -> Witness:
    """A host's word on the present."""
    return Witness("http-date", who, LOCAL + offset, LOCAL, None, via or (f"address:{who}",))


def ntp(who: str, offset: int) -> Witness:
    return Witness("sntp", who, LOCAL + offset, LOCAL)


def sct(who: str, offset: int) -> Witness:
    return Witness("sct", who, LOCAL + offset, LOCAL)


def crl(who: str, made: int, until: int) -> Witness:
    return Witness("crl", who, LOCAL + made, LOCAL, LOCAL + until)


def facts(
    *witnesses: Witness, domain: str = "one.test", validity: tuple[Validity, ...] = (), untrusted: bool = False
) -> Facts:
    return Facts(LOCAL, domain, witnesses=witnesses, validity=validity, untrusted=untrusted)


def early(by: int) -> tuple[Validity, ...]:
    return (Validity("certificate-not-yet-valid", "ab", LOCAL + by, LOCAL + by + YEAR),)


def late(by: int) -> tuple[Validity, ...]:
    return (Validity("certificate-expired", "ab", LOCAL - by - YEAR, LOCAL - by),)


def fold_of(*witnesses: Witness) -> ClockFold:
    fold = ClockFold()
    fold.add(facts(*witnesses))
    return fold


@pytest.mark.parametrize(
    ("witnesses", "state", "offset"),
    [
        pytest.param([], "unknown", None, id="nobody"),
        pytest.param([date("a", 0), date("b", 1)], "unknown", None, id="two are too few"),
        pytest.param([date("a", 0), date("b", 1), date("c", -1)], "confirmed", 0, id="three agree with us"),
        pytest.param([date("a", HOUR), date("b", HOUR + 1), date("c", HOUR)], "wrong", HOUR, id="three against us"),
        pytest.param([date("a", -YEAR), date("b", -YEAR), ntp("n", -YEAR)], "wrong", -YEAR, id="two hosts and SNTP"),
        pytest.param([date("a", 200), date("b", 200), date("c", 200)], "confirmed", 200, id="off, and not by much"),
        pytest.param(
            [date("a", 0), date("b", 0), date("c", 0), date("liar", YEAR)], "confirmed", 0, id="one liar of four"
        ),
        pytest.param(
            [date("a", YEAR), date("b", YEAR), date("c", YEAR), date("liar", 0)], "wrong", YEAR, id="one flatterer"
        ),
        pytest.param([date("a", YEAR), date("b", 2 * YEAR), date("c", 3 * YEAR)], "unknown", None, id="no two agree"),
        pytest.param(
            [date("a", 0), date("b", 0), date("c", 0), date("d", YEAR), date("e", YEAR)],
            "unknown",
            None,
            id="three against two",
        ),
        pytest.param([date("a", YEAR), date("a", YEAR), date("a", YEAR)], "unknown", None, id="one domain"),
        pytest.param(
            [date(who, YEAR, "address:192.0.2.1") for who in "abcde"], "unknown", None, id="five domains, one machine"
        ),
        pytest.param(
            [date(who, YEAR, f"address:{who}", "issuer:CN=Proxy") for who in "abcde"],
            "unknown",
            None,
            id="five domains behind one interceptor",
        ),
        # signed times
        pytest.param([sct("x", HOUR), sct("y", DAY), sct("z", DAY)], "wrong", HOUR, id="three logs ahead"),
        pytest.param([sct("x", HOUR), sct("y", DAY), sct("z", DAY), sct("w", 9 * YEAR)], "wrong", DAY, id="a log astray"),
        pytest.param([sct("x", HOUR), sct("y", DAY)], "unknown", None, id="two logs"),
        pytest.param([sct("x", -HOUR), sct("y", -DAY), sct("z", -DAY)], "unknown", None, id="SCTs of the past"),
        pytest.param([sct("x", HOUR), sct("y", HOUR), date("a", DAY)], "wrong", HOUR, id="two logs and a host"),
        pytest.param(
            [sct("x", HOUR), sct("y", HOUR), sct("z", HOUR), date("a", 0), date("b", 0), date("c", 0)],
            "unknown",
            None,
            id="hosts against logs",
        ),
        pytest.param([crl("x", DAY, 9 * DAY)] * 3, "unknown", None, id="one CA"),
        pytest.param(
            [crl("x", DAY, 9 * DAY), crl("y", DAY, 9 * DAY), sct("z", DAY)], "wrong", DAY, id="two CAs and a log ahead"
        ),
        pytest.param(
            [crl("x", -YEAR, -YEAR + DAY), crl("y", -YEAR, -YEAR + DAY), crl("z", -YEAR, -YEAR + 9 * DAY)],
            "wrong",
            -YEAR + 9 * DAY,
            id="whatever is fetched has been stale for a year",
        ),
        pytest.param(
            [crl("x", -YEAR, -DAY), crl("y", -YEAR, -DAY), crl("z", -YEAR, -DAY), crl("v", -9, DAY), crl("w", -9, DAY)],
            "unknown",
            None,
            id="three stale CAs beside two that are not",
        ),
        pytest.param(
            [crl("x", -HOUR, DAY), crl("y", -HOUR, 2 * DAY), crl("z", -HOUR, 3 * DAY)],
            "confirmed",
            None,
            id="current lists of three CAs",
        ),
    ],
)  # fmt: skip
def test_verdicts_on_the_clock(witnesses: list[Witness], state: str, offset: int | None) -> None:
    verdict = fold_of(*witnesses).verdict()
    assert (verdict.state, verdict.offset) == (state, offset)


def test_current_lists_confirm_to_days_and_dates_to_minutes() -> None:
    lists = fold_of(crl("x", -HOUR, DAY), crl("y", -HOUR, 2 * DAY), crl("z", -HOUR, 3 * DAY))
    assert lists.verdict().margin == 3 * DAY
    assert not lists.is_final
    assert fold_of(date("a", 0), date("b", 0), date("c", 0)).verdict().margin == 300


def test_the_kindest_statement_of_a_party_counts() -> None:
    """Two hosts of one domain that disagree are one voice, and it is for us."""
    assert fold_of(date("a", YEAR), date("a", 0), date("b", 0), date("c", 0)).verdict().state == "confirmed"
    assert fold_of(date("a", YEAR), date("a", 0), date("b", YEAR), date("c", YEAR)).verdict().state == "unknown"


def test_many_certificates_are_one_weak_voice() -> None:
    fold = ClockFold()
    for number in range(20):
        fold.add(facts(domain=f"d{number}.test", validity=early(DAY)))
    assert fold.verdict().state == "unknown"  # not even twenty decide alone
    fold.add(facts(sct("x", DAY), sct("y", DAY)))
    assert fold.verdict().state == "wrong"


def test_untrusted_certificates_do_not_count() -> None:
    fold = ClockFold()
    for number in range(20):
        fold.add(facts(domain=f"d{number}.test", validity=early(DAY), untrusted=True))
    fold.add(facts(sct("x", DAY), sct("y", DAY)))
    assert fold.verdict().state == "unknown"


def server(number: int, offset: int, *, validity: tuple[Validity, ...] = (), untrusted: bool = False) -> Facts:
    """A server of one estate on its own address, with a certificate that is out of its time by our clock."""
    told = date("one.test", offset, f"address:192.0.2.{number}", f"certificate:{number}")
    return facts(told, validity=validity, untrusted=untrusted)


def estate(count: int, offset: int, validity: tuple[Validity, ...]) -> ClockFold:
    fold = ClockFold()
    for number in range(count):
        fold.add(server(number, offset + number, validity=validity))
    return fold


AHEAD = estate(7, -400 * DAY, late(310 * DAY))


def with_facts(*told: Facts, valid: Sequence[int] = ()) -> ClockFold:
    """An estate that says our clock is 400 days ahead, and what else the run has: facts, and since when valid certificates are."""
    fold = ClockFold()
    fold.merge(AHEAD)
    for each in told:
        fold.add(each)
    for begun in valid:
        fold.add_valid(LOCAL + begun)
    return fold


@pytest.mark.parametrize(
    ("fold", "wrong"),
    [
        pytest.param(AHEAD, True, id="expired by our clock alone"),
        pytest.param(estate(5, 45 * DAY, early(15 * DAY)), True, id="not yet valid by our clock alone"),
        pytest.param(estate(4, -400 * DAY, late(310 * DAY)), False, id="too few"),
        pytest.param(estate(7, -400 * DAY, late(401 * DAY)), False, id="expired by their time too"),
        pytest.param(estate(7, -200, late(100)), False, id="off by minutes"),
        pytest.param(estate(7, 0, late(310 * DAY)), False, id="they agree with us"),
        pytest.param(with_facts(server(99, 0)), True, id="one of eight agrees with us"),
        pytest.param(with_facts(*(server(90 + n, 0) for n in range(4))), False, id="four agree with us"),
        pytest.param(with_facts(facts(crl("ca.test", -DAY, DAY))), True, id="one list of yesterday"),
        pytest.param(
            with_facts(facts(*(crl(f"ca{n}.test", -DAY, DAY) for n in range(4)))), False, id="four lists of yesterday"
        ),
        pytest.param(with_facts(valid=[-900 * DAY, -500 * DAY]), True, id="certificates that are valid by both"),
        pytest.param(with_facts(valid=[-30 * DAY]), False, id="a certificate of last month"),
        pytest.param(with_facts(valid=[-900 * DAY] * 4), False, id="many that are valid by our clock"),
        pytest.param(
            with_facts(facts(validity=(Validity("certificate-expired", "cd", LOCAL - 99 * DAY, LOCAL - DAY),))),
            False,
            id="one that expired yesterday and began last month",
        ),
    ],
)
def test_an_estate_contradicts_our_clock(fold: ClockFold, wrong: bool) -> None:
    assert fold.verdict().state != "wrong" and not fold.is_final  # never while the run goes on
    verdict = fold.verdict(whole_run=True)
    assert (verdict.state == "wrong") is wrong
    assert (verdict.servers is not None) is wrong


def test_merging_keeps_every_server_of_an_estate() -> None:
    assert with_facts().verdict(whole_run=True).servers == AHEAD.verdict(whole_run=True).servers == 7


def test_servers_of_an_estate_have_one_voice_for_each_address() -> None:
    fold = ClockFold()
    for _ in range(9):
        fold.add(server(1, -400 * DAY, validity=late(310 * DAY)))
        fold.add(server(2, -400 * DAY, validity=late(310 * DAY), untrusted=True))
    assert fold.verdict(whole_run=True).state == "unknown"


def test_an_estate_is_heard_in_any_order_and_division() -> None:
    told = [server(n, -400 * DAY + n, validity=late(310 * DAY)) for n in range(6)]
    told += [server(n, -400 * DAY - n) for n in range(3)]
    whole = None
    for seed in range(5):
        random.Random(seed).shuffle(told)
        one, other = ClockFold(), ClockFold()
        for number, each in enumerate(told):
            (one if number % 2 else other).add(each)
        one.add_valid(LOCAL - 500 * DAY)
        one.merge(pickle.loads(pickle.dumps(other)))
        verdict = one.verdict(whole_run=True)
        assert whole in (None, verdict)
        whole = verdict


def test_independent_witnesses_come_before_an_estate() -> None:
    fold = with_facts(facts(date("a", 0), date("b", 0), date("c", 0)))
    assert fold.verdict(whole_run=True).state == "confirmed"


def test_expired_certificates_and_stale_lists() -> None:
    fold = fold_of(crl("x", -YEAR, -YEAR), crl("y", -YEAR, -YEAR))
    for number in range(5):
        fold.add(facts(domain=f"d{number}.test", validity=late(90 * DAY)))
    verdict = fold.verdict()
    assert (verdict.state, verdict.offset) == ("wrong", -90 * DAY)


@pytest.mark.parametrize(
    ("offsets", "settled"),
    [
        ([HOUR] * 3, True),
        ([HOUR] * 3 + [0], False),
        ([HOUR] * 5 + [0], True),
        ([HOUR] * 6 + [0, 0], False),
        ([0], False),
    ],
)
def test_settled_only_when_nothing_contradicts_much(offsets: list[int], settled: bool) -> None:
    fold = fold_of(*[date(f"d{number}.test", offset) for number, offset in enumerate(offsets)])
    assert (fold.is_final, fold.wants_witnesses) == (settled, not settled)


def test_targets_that_the_clock_concerns() -> None:
    fold = ClockFold()
    assert fold.concerns(facts(validity=early(DAY)))
    assert fold.concerns(facts(date("a", HOUR)))
    assert not fold.concerns(facts(date("a", 10)))
    assert not fold.concerns(facts(sct("a", HOUR)))


def test_a_given_moment_leaves_the_clock_out_of_it() -> None:
    fold = ClockFold(judge=False)
    told = facts(*[date(who, YEAR) for who in "abcdef"], validity=early(DAY))
    fold.add(told)
    assert fold.verdict().state == "unknown"
    assert not fold.concerns(told)
    assert not fold.wants_witnesses


def test_order_and_division_do_not_matter() -> None:
    witnesses = [date(who, random.Random(who).choice([HOUR, HOUR + 5, 0])) for who in "abcdefgh"]
    witnesses += [sct("x", HOUR), sct("x", 5), crl("y", -HOUR, DAY), crl("y", -DAY, HOUR), date("a", 7), ntp("n", HOUR)]
    whole = fold_of(*witnesses).verdict()
    for seed in range(20):
        shuffled = random.Random(seed).sample(witnesses, len(witnesses))
        one, other = fold_of(*shuffled[:5]), fold_of(*shuffled[5:])
        one.merge(pickle.loads(pickle.dumps(other)))
        assert one.verdict() == whole


def test_memory_is_bounded_and_evidence_short() -> None:
    fold = ClockFold()
    for number in range(3 * MAX_PARTIES):
        who = f"d{number}.test"
        fold.add(facts(date(who, HOUR), sct(who, HOUR), crl(who, 0, DAY), domain=who, validity=early(DAY)))
    assert len(pickle.dumps(fold)) < MAX_PARTIES * 600
    assert len(fold.verdict().witnesses) == MAX_SHOWN


def test_witnesses_in_the_evidence() -> None:
    verdict = fold_of(date("a.test", HOUR), date("b.test", HOUR), date("c.test", HOUR)).verdict()
    assert verdict.witnesses[0] == {
        "kind": "http-date",
        "who": "a.test",
        "time": "2026-11-18T12:06:40Z",
        "local_time": "2026-11-18T11:06:40Z",
    }
    assert len(verdict.witnesses) == MIN_WITNESSES


def test_of_witnesses_with_one_mark_the_nearest_counts() -> None:
    near, far = date("a", 1, "address:1"), date("b", HOUR, "address:1")
    assert independent([far, near]) == [near]


def test_times_beyond_the_calendar() -> None:
    verdict = fold_of(*[date(who, 10**15) for who in "abc"]).verdict()
    assert verdict.state == "wrong"
    assert verdict.witnesses[0]["time"] == "9999-12-31T23:59:59Z"


def test_hearing_tells_whether_anything_changed() -> None:
    fold = fold_of(crl("ca.test", -100, 1000))
    assert fold.add_witness(crl("other.test", -100, 1000))
    assert not fold.add_witness(crl("ca.test", -100, 1000))
    assert fold.add_witness(crl("ca.test", -99, 0)) and fold.add_witness(crl("ca.test", -200, 1001))
    assert not fold.add_witness(crl("ca.test", -101, 999))
    assert fold.add(facts(domain="a.test", validity=early(DAY)))
    assert not fold.add(facts(domain="a.test", validity=early(DAY)))
    assert not ClockFold(judge=False).add_witness(crl("ca.test", 5, 5))
