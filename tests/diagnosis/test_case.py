"""Small helpers of the rules."""

from __future__ import annotations

from scanner.diagnosis.case import Case, Context, followup, moment, works
from scanner.evidence import Failure
from tests.helpers.evidence import answered, at, evidence, failed, target


def test_followups() -> None:
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
