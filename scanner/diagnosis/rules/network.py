"""Rules on reaching an address at all: the TCP connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from scanner.diagnosis.case import Case
from scanner.diagnosis.claim import Claim
from scanner.model.evidence import CONNECT_FAILURES, EndpointEvidence, Failure

_CODES: Final = {
    Failure.CONNECT_TIMEOUT: "connect-timeout",
    Failure.CONNECTION_REFUSED: "connection-refused",
    Failure.NETWORK_UNREACHABLE: "network-unreachable",
    Failure.HOST_UNREACHABLE: "host-unreachable",
    # Any other error of connect(2), such as a rule of this machine's packet filter (EPERM)
    Failure.CONNECT_ERROR: "network-unreachable",
}


# What the network answered, where the error says more than "host unreachable"
_ANSWERS: Final = {
    "EACCES": "administratively prohibited",
    "ENOPROTOOPT": "protocol unreachable",
    "EPROTO": "parameter problem",
}


def connect_claims(case: Case) -> Iterator[Claim]:
    """Yield why no TCP connection to this address was made."""
    probe = case.probe
    code = None if probe.failure is None else _CODES.get(probe.failure)
    if code is None:
        return
    facts: dict[str, Any] = {"port": case.target.port}
    if probe.detail:
        facts["detail"] = probe.detail
        if probe.detail in _ANSWERS:
            facts["answer"] = _ANSWERS[probe.detail]
    if probe.connect_seconds is not None:
        # rounded as in the finding, so that judging it again gives an equal value
        facts["seconds"] = round(round(probe.connect_seconds, 6), 3)
    yield Claim(code, facts)


def unreachable(endpoint: EndpointEvidence) -> bool:
    """Return whether no TCP connection to this address was made."""
    return endpoint.probe.failure in CONNECT_FAILURES


def partly_unreachable(endpoints: Sequence[EndpointEvidence]) -> Claim | None:
    """Return ``some-addresses-unreachable`` if at least one address of several accepts connections."""
    dead = [endpoint for endpoint in endpoints if unreachable(endpoint)]
    if not dead or len(dead) == len(endpoints):
        return None
    return Claim(
        "some-addresses-unreachable",
        {
            "total": len(endpoints),
            "unreachable_count": len(dead),
            "unreachable": {endpoint.address: str(endpoint.probe.failure) for endpoint in dead},
            "first": dead[0].address,
        },
    )
