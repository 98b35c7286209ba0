"""Cases of the cause ``network-blocked`` that end before TLS."""

from __future__ import annotations

import pytest

from scanner.diagnosis.clients.endings import CLIENTS
from scanner.model.evidence import Failure, Stage
from tests.helpers import pki
from tests.helpers.evidence import AT, answered, at, codes, diagnosed, evidence, failed, issuing, proof

V6 = "2001:db8::1"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure.CONNECT_TIMEOUT, "connect-timeout"),
        (Failure.CONNECTION_REFUSED, "connection-refused"),
        (Failure.NETWORK_UNREACHABLE, "network-unreachable"),
        (Failure.HOST_UNREACHABLE, "host-unreachable"),
        (Failure.CONNECT_ERROR, "network-unreachable"),
    ],
)
def test_each_failure_to_connect_has_its_code(failure: Failure, code: str) -> None:
    """Each way of not connecting has its code; browsers and libraries all fail."""
    diagnosis = diagnosed(failed(failure, stage=Stage.CONNECT, detail="EPERM"))
    assert codes(diagnosis) == [code]
    assert (diagnosis.outcome, diagnosis.cause, diagnosis.stage) == ("fail", "network-blocked", Stage.CONNECT)
    assert set(diagnosis.clients) == set(CLIENTS) and "ok" not in diagnosis.clients.values()
    assert diagnosis.diagnoses[0]["endpoints"] == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("detail", "answer"),
    [
        ("EACCES", "administratively prohibited"),
        ("ENOPROTOOPT", "protocol unreachable"),
        ("EPROTO", "parameter problem"),
        ("EHOSTUNREACH", None),
    ],
)
def test_what_the_network_answered_is_reported(detail: str, answer: str | None) -> None:
    diagnosis = diagnosed(failed(Failure.HOST_UNREACHABLE, stage=Stage.CONNECT, detail=detail))
    said = diagnosis.diagnoses[0]
    assert proof(diagnosis, "host-unreachable").get("answer") == answer
    assert (answer or "reports host unreachable") in said["summary"]
    assert (
        (answer is None) == ("answer" not in said["evidence"]) == ("firewall or a route rejects" not in said["remedy"])
    )
    assert ("ermission denied" in diagnosis.clients["python"]) == (detail == "EACCES")


def test_target_without_reachable_address_fails() -> None:
    """Two addresses, both dead in ways of their own: two errors, each with its address."""
    diagnosis = diagnosed(
        evidence(
            at(failed(Failure.CONNECT_TIMEOUT, stage=Stage.CONNECT)),
            at(failed(Failure.NETWORK_UNREACHABLE, stage=Stage.CONNECT), V6),
        )
    )
    assert codes(diagnosis) == ["connect-timeout", "network-unreachable"]
    assert [record["endpoints"] for record in diagnosis.diagnoses] == [["192.0.2.1"], [V6]]


def test_one_address_of_two_dead_only_warns() -> None:
    """Clients go on to the other address, so the dead one decides nothing."""
    diagnosis = diagnosed(evidence(at(failed(Failure.CONNECT_TIMEOUT, stage=Stage.CONNECT), V6), at(answered())))
    assert codes(diagnosis) == ["some-addresses-unreachable?"]
    assert (diagnosis.outcome, diagnosis.stage) == ("warn", Stage.DONE)
    assert diagnosis.diagnoses[0]["endpoints"] == [V6]
    assert proof(diagnosis, "some-addresses-unreachable")["unreachable"] == {V6: "connect-timeout"}


def test_the_living_address_decides() -> None:
    """One dead, the other expired: the certificate is what a client meets."""
    old = pki.certificate("www.example.org", issuer=issuing(), not_after=AT - 3 * pki.DAY)
    diagnosis = diagnosed(
        evidence(at(failed(Failure.CONNECT_TIMEOUT, stage=Stage.CONNECT), V6), at(answered((old, issuing()))))
    )
    assert codes(diagnosis) == ["some-addresses-unreachable?", "certificate-expired"]
    assert diagnosis.cause == "expired-or-self-signed"
