"""Small helpers of the rules."""

from __future__ import annotations

from scanner.diagnosis.case import Case, Context, accepted_from, accepted_of, followup, works
from scanner.model.evidence import EndpointEvidence, Failure
from scanner.times import moment
from tests.helpers.evidence import answered, at, evidence, failed, target


def test_followup_works_if_a_whole_flight_came() -> None:
    endpoint = at(failed(Failure.RESET), small=answered(), tls12=failed(Failure.RESET))
    assert works(endpoint, "small") and not works(endpoint, "tls12") and not works(endpoint, "tls11")
    assert followup(endpoint, "tls11") is None


def test_browsers_speak_two_protocols() -> None:
    endpoint = at(answered())
    for protocol, expected in (("https", True), ("tls", True), ("smtp", False)):
        seen = evidence(endpoint, of=target(protocol=protocol))
        assert Case(seen, endpoint, None, Context(at=0.0)).browsers is expected


def test_moments() -> None:
    assert moment(0) == "1970-01-01T00:00:00Z"
    assert moment(1e30) == "9999-12-31T23:59:59Z"
    assert moment(-1e30) == "0001-01-01T00:00:00Z"


def test_an_answer_of_a_version_that_was_not_offered_does_not_work() -> None:
    """Asked for TLS 1.2 alone, an old server answers with TLS 1.0: read to its end, and no client goes on."""
    endpoint = at(failed(Failure.RESET), tls12=answered(offer="tls12", version=0x0301))
    assert not works(endpoint, "tls12")
    assert works(at(failed(Failure.RESET), tls12=answered(offer="tls12", version=0x0303)), "tls12")


def test_accepted_suites_are_read_from_the_questions() -> None:
    """What was enumerated is read from the questions, unless the evidence holds it already."""
    asked = {
        "enumerate-0304-0": answered(version=0x0304, cipher=0x1301),
        "enumerate-0303-0": answered(version=0x0303, cipher=0xC02F),
        "enumerate-0303-1": answered(version=0x0303, cipher=0xC030),
        "enumerate-0303-2": failed(Failure.ALERT),
        "enumerate-0301-0": failed(Failure.ALERT),
        "small": answered(),
    }
    found = {0x0304: (0x1301,), 0x0303: (0xC02F, 0xC030), 0x0301: ()}
    assert accepted_from(asked) == found
    assert accepted_of(EndpointEvidence("192.0.2.1", answered(), asked)) == found
    assert accepted_of(at(answered(), accepted={0x0304: (0x1302,)})) == {0x0304: (0x1302,)}
    assert accepted_of(at(answered(), small=answered())) is None
