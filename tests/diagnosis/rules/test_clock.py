"""Clocks: whose is wrong, and what that explains."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scanner.diagnosis.case import Context
from scanner.diagnosis.engine import Diagnosis, diagnose
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict, FleetVerdict
from scanner.model.evidence import Completion, Stage
from tests.helpers import pki
from tests.helpers.evidence import AT, answered, at, codes, evidence, issuing, proof, verdicts

DAY, HOUR = 86_400.0, 3600.0
WITNESSES = tuple({"kind": "http-date", "who": f"d{number}.test"} for number in range(3))
CONFIRMED = ClockVerdict("confirmed", 0.0, WITNESSES, 300.0)


def wrong(offset: float, margin: float | None = 300.0) -> ClockVerdict:
    return ClockVerdict("wrong", offset, WITNESSES, margin)


def leaf(begins: float, ends: float) -> pki.Issued:
    """A leaf valid from and until so many seconds after ``AT``."""
    return pki.certificate("www.example.org", issuer=issuing(), not_before=AT + begins, not_after=AT + ends)


def diagnosed(clock: ClockVerdict, certificate: pki.Issued, *, date: float | None = None, **changes: Any) -> Diagnosis:
    """The diagnosis under what the fleet says of the clock, which itself said ``AT``; ``date`` is the server's."""
    endpoint = at(answered([certificate, issuing()], **changes))
    if date is not None:
        http = Completion(Stage.DONE, status=200, date=date, local_time=AT + 1)
        endpoint = replace(endpoint, completions={"http": http})
    seen = evidence(endpoint)
    moment = clock.corrected(AT)
    return diagnose(seen, verdicts(seen, when=moment), Context(at=moment, fleet=FleetVerdict(clock=clock)))


@pytest.mark.parametrize(
    ("begins", "ends", "clock", "found"),
    [
        # our clock is behind
        (DAY, 99 * DAY, wrong(3 * DAY), ["local-clock-wrong"]),
        (9 * DAY, 99 * DAY, wrong(3 * DAY), ["certificate-not-yet-valid"]),
        (-9 * DAY, 99 * DAY, wrong(3 * DAY), []),
        (-9 * DAY, -DAY, wrong(3 * DAY), ["certificate-expired"]),
        # valid by our clock, and expired in truth
        (-99 * DAY, DAY, wrong(3 * DAY), ["certificate-expired"]),
        # our clock is ahead
        (-99 * DAY, -DAY, wrong(-3 * DAY), ["local-clock-wrong", "expires-soon?"]),
        (-99 * DAY, -9 * DAY, wrong(-3 * DAY), ["certificate-expired"]),
        # at least three days behind
        (DAY, 99 * DAY, wrong(3 * DAY, None), ["local-clock-wrong"]),
        (9 * DAY, 99 * DAY, wrong(3 * DAY, None), ["local-clock-wrong", "certificate-not-yet-valid"]),
        # our clock is right, or nobody knows
        (DAY, 99 * DAY, CONFIRMED, ["certificate-not-yet-valid"]),
        (-99 * DAY, -DAY, ClockVerdict(), ["certificate-expired"]),
    ],
)
def test_local_clock_is_blamed_if_it_explains_the_verdict(
    begins: float, ends: float, clock: ClockVerdict, found: list[str]
) -> None:
    assert codes(diagnosed(clock, leaf(begins, ends))) == found


def test_claim_on_our_clock_has_its_witnesses() -> None:
    diagnosis = diagnosed(wrong(3 * DAY), leaf(DAY, 99 * DAY))
    assert (diagnosis.outcome, diagnosis.cause) == ("fail", "clock-skew")
    told = proof(diagnosis, "local-clock-wrong")
    assert told["local_time"] == "2026-11-23T12:00:00Z"
    assert told["agreed_time"] == "2026-11-26T12:00:00Z"
    assert (told["direction"], told["offset"], told["by_local_clock"]) == ("behind", "3 days", "not valid yet")
    assert told["witnesses"] == [dict(witness) for witness in WITNESSES]
    assert diagnosis.diagnoses[0]["summary"] == (
        "The clock of the machine that scanned is 3 days behind, so the certificate for CN=www.example.org looks"
        " not valid yet; 3 independent witnesses say so."
    )
    assert (
        proof(diagnosed(wrong(3 * DAY, None), leaf(DAY, 99 * DAY)), "local-clock-wrong")["offset"] == "at least 3 days"
    )


@pytest.mark.parametrize("offset", [400 * DAY, -400 * DAY])
def test_both_readings_are_given_where_only_an_estate_speaks(offset: float) -> None:
    clock = ClockVerdict("wrong", offset, WITNESSES, 300.0, servers=7)
    diagnosis = diagnosed(clock, leaf(offset - 9 * DAY, offset + 99 * DAY))
    ours, theirs = ("behind", "ahead") if offset > 0 else ("ahead", "behind")
    said = diagnosis.diagnoses[0]
    assert said["code"] == "local-clock-wrong"
    assert f"is 400 days {ours}" in said["summary"]
    assert f"7 servers that agree with each other are all 400 days {theirs}" in said["summary"]
    assert (
        "--ntp" in said["remedy"]
        and "--ntp" not in diagnosed(wrong(3 * DAY), leaf(DAY, 99 * DAY)).diagnoses[0]["remedy"]
    )


def test_an_intermediate_out_of_its_time_is_explained_too() -> None:
    young = pki.certificate("Young CA", issuer=pki.root("Trusted Root"), ca=True, not_before=AT + DAY)
    certificate = pki.certificate("www.example.org", issuer=young)
    seen = evidence(at(answered([certificate, young])))
    clock = wrong(3 * DAY)
    when = clock.corrected(AT)
    diagnosis = diagnose(seen, verdicts(seen, when=when), Context(at=when, fleet=FleetVerdict(clock=clock)))
    assert codes(diagnosis) == ["local-clock-wrong"]
    assert proof(diagnosis, "local-clock-wrong")["certificate"] == young.sha256


@pytest.mark.parametrize("clock", [CONFIRMED, ClockVerdict("confirmed", None, WITNESSES, 3 * DAY)])
def test_what_an_expired_certificate_rests_on(clock: ClockVerdict) -> None:
    told = proof(diagnosed(clock, leaf(-99 * DAY, -9 * DAY)), "certificate-expired")["clock"]
    assert told["state"] == "confirmed"
    assert told["within_seconds"] == clock.margin
    assert len(told["witnesses"]) == 3


def test_evidence_says_that_the_clock_is_unknown() -> None:
    told = proof(
        diagnosed(ClockVerdict("unknown", None, WITNESSES[:1]), leaf(DAY, 9 * DAY)), "certificate-not-yet-valid"
    )
    assert told["clock"] == {"state": "unknown", "witnesses": [dict(WITNESSES[0])]}
    assert "clock" not in proof(diagnosed(ClockVerdict(), leaf(DAY, 9 * DAY)), "certificate-not-yet-valid")


# --- the server's clock ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "date", "offset"),
    [
        (CONFIRMED, AT, None),
        (CONFIRMED, AT + 300, None),
        (CONFIRMED, AT + 302, 301),
        (CONFIRMED, AT - 2 * HOUR, -7201),
        (replace(CONFIRMED, offset=60.0), AT + 302, None),
        # nobody knows the time
        (ClockVerdict(), AT + HOUR, None),
        (wrong(3 * DAY, None), AT + HOUR, None),
        # it is right, and we are not
        (wrong(HOUR), AT + HOUR, None),
        (wrong(HOUR), AT, -3601),
        # we know the time to a day only
        (ClockVerdict("confirmed", None, WITNESSES, DAY), AT + HOUR, None),
        (ClockVerdict("confirmed", None, WITNESSES, DAY), AT - 9 * DAY, round(-9 * DAY) - 1),
    ],
)
def test_a_server_whose_clock_is_off(clock: ClockVerdict, date: float, offset: int | None) -> None:
    diagnosis = diagnosed(clock, leaf(-9 * DAY, 90 * DAY), date=date)
    assert codes(diagnosis) == ([] if offset is None else ["remote-clock-wrong?"])
    if offset is not None:
        told = proof(diagnosis, "remote-clock-wrong")
        assert told["offset_seconds"] == offset
        assert told["source"] == "http-date"
        assert diagnosis.outcome == "warn"


def test_the_clock_in_tls12_randoms() -> None:
    def random(seconds: float, fill: bytes) -> bytes:
        return int(seconds).to_bytes(4, "big") + fill * 28

    def seen(first: float, second: float, version: int = 0x0303) -> list[str]:
        old: dict[str, Any] = {"version": version, "cipher": 0xC02F}
        endpoint = at(
            answered([leaf(-DAY, 90 * DAY), issuing()], random=random(first, b"a"), **old),
            no_sha1=answered([leaf(-DAY, 90 * DAY), issuing()], random=random(second, b"b"), **old),
        )
        what = evidence(endpoint)
        return codes(diagnose(what, verdicts(what), Context(at=AT, fleet=FleetVerdict(clock=CONFIRMED))))

    assert "remote-clock-wrong?" in seen(AT - DAY, AT - DAY + 1)
    assert "remote-clock-wrong?" not in seen(AT - DAY, AT - 9 * DAY)  # random bytes
    assert "remote-clock-wrong?" not in seen(AT, AT)
    assert "remote-clock-wrong?" not in seen(AT - DAY, AT - DAY + 1, 0x0304)
