"""Builders of evidence with healthy defaults.

``answered()`` is a probe with a whole flight, ``failed(Failure.RESET)`` one that failed; ``evidence(...)`` combines
endpoints, and ``diagnosed(...)`` diagnoses them with the real verifier and a store that has ``root()``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from scanner.diagnosis import finding
from scanner.diagnosis.case import Context, flight_of
from scanner.diagnosis.engine import Diagnosis, diagnose
from scanner.model.evidence import (
    DnsAnswer,
    DnsStatus,
    EndpointEvidence,
    Evidence,
    Failure,
    Negotiation,
    Probe,
    ServerFlight,
    Stage,
    Target,
)
from scanner.model.findings import Finding
from scanner.trust.intermediates import Intermediates
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki

HOST = "www.example.org"
ADDRESS = "192.0.2.1"
AT = pki.NOW


@cache
def root() -> pki.Issued:
    """Return the trusted root."""
    return pki.root("Trusted Root")


@cache
def issuing() -> pki.Issued:
    """Return the intermediate that issues the leaves."""
    return pki.certificate("Issuing CA", issuer=root(), ca=True, not_after=AT + 1000 * pki.DAY)


@cache
def leaf(host: str = HOST) -> pki.Issued:
    """Return a healthy leaf for ``host``."""
    return pki.certificate(host, issuer=issuing())


@cache
def chain(host: str = HOST) -> tuple[bytes, ...]:
    """Return a healthy chain for ``host``."""
    return leaf(host).der, issuing().der


def target(host: str = HOST, *, protocol: str = "https", port: int = 443, **changes: Any) -> Target:
    """Return a target; for an IP address it sends no server_name."""
    is_ip = ":" in host or host.replace(".", "").isdigit()
    given: dict[str, Any] = {"sni": None if is_ip else host, "host_is_ip": is_ip, **changes}
    return Target(row=1, host=host, port=port, protocol=protocol, **given)


def flight(certificates: Sequence[bytes | pki.Issued] | None = None, **changes: Any) -> ServerFlight:
    """Return a whole TLS 1.3 flight."""
    of_flight = {name: changes.pop(name) for name in ("random", "ocsp_response", "scts") if name in changes}
    given: dict[str, Any] = {
        "version": 0x0304,
        "cipher": 0x1301,
        "group": 0x11EC,
        "signature_scheme": 0x0403,
        "signature_valid": True,
        "finished_valid": True,
        "complete": True,
        **changes,
    }
    sent = chain() if certificates is None else [c if isinstance(c, bytes) else c.der for c in certificates]
    return ServerFlight(Negotiation(**given), certificates=tuple(sent), **of_flight)


def answered(
    certificates: Sequence[bytes | pki.Issued] | None = None,
    *,
    offer: str = "modern",
    sni: str | None = HOST,
    **changes: Any,
) -> Probe:
    """Return a probe that read a whole flight."""
    return Probe(
        offer,
        sni,
        Stage.DONE,
        flight=flight(certificates, **changes),
        connect_seconds=0.003,
        handshake_seconds=0.01,
        bytes_received=2000,
    )


def failed(
    failure: Failure,
    *,
    alert: int | None = None,
    stage: Stage = Stage.HELLO,
    offer: str = "modern",
    sni: str | None = HOST,
    **changes: Any,
) -> Probe:
    """Return a failed probe; ``alert`` is the description of a fatal alert."""
    return Probe(offer, sni, stage, failure, alert=None if alert is None else (2, alert), **changes)


def alerted(alert: int, **changes: Any) -> Probe:
    """Return a probe that ended with a fatal alert."""
    return failed(Failure.ALERT, alert=alert, bytes_received=7, **changes)


def at(probe: Probe, address: str = ADDRESS, *, accepted: Any = None, **followups: Any) -> EndpointEvidence:
    """Return the evidence of an address; follow-ups are by name, with ``_`` for ``-``."""
    return EndpointEvidence(
        address, probe, {name.replace("_", "-"): answer for name, answer in followups.items()}, accepted
    )


def dns(status: DnsStatus = DnsStatus.NOERROR, addresses: Sequence[str] = (ADDRESS,), **changes: Any) -> DnsAnswer:
    """Return a DNS answer."""
    if status is not DnsStatus.NOERROR:
        addresses = ()
    return DnsAnswer(status, tuple(addresses), resolver="192.0.2.53", **changes)


def evidence(
    *endpoints: EndpointEvidence | Probe,
    of: Target | None = None,
    answer: DnsAnswer | None = None,
    bug: str | None = None,
) -> Evidence:
    """Return the evidence of a target; a bare probe is at ``ADDRESS``."""
    placed = tuple(endpoint if isinstance(endpoint, EndpointEvidence) else at(endpoint) for endpoint in endpoints)
    return Evidence(of or target(), AT, answer or dns(addresses=[e.address for e in placed]), placed, 0.05, 1, bug)


def verifier(
    *anchors: pki.Issued, public: bool = False, stores: Mapping[str, Sequence[pki.Issued]] | None = None
) -> ChainVerifier:
    """Return a verifier with one store of these anchors (by default ``root()``), or with several ``stores``."""
    given = stores or {"test": anchors or (root(),)}
    return ChainVerifier(
        [pki.store(*members, name=name) for name, members in given.items()],
        public_roots=frozenset({root().sha256}) if public else frozenset(),
        intermediates=Intermediates(),
    )


def verdicts(seen: Evidence, by: ChainVerifier | None = None, when: float = AT) -> list[ChainVerdict | None]:
    """Return the verdict on the chain of each endpoint."""
    by = by or verifier()
    found: list[ChainVerdict | None] = []
    for endpoint in seen.endpoints:
        sent = flight_of(endpoint)
        found.append(
            by.verify(sent.leaf_first, name=seen.target.name, at=when)
            if sent is not None and sent.certificates
            else None
        )
    return found


def diagnosed(seen: Evidence | Probe, by: ChainVerifier | None = None, **context: Any) -> Diagnosis:
    """Return the diagnosis of evidence, or of a single probe."""
    if isinstance(seen, Probe):
        seen = evidence(seen)
    return diagnose(seen, verdicts(seen, by), Context(at=AT, **context))


def finding_of(
    seen: Evidence, said: Sequence[ChainVerdict | None] | None = None, by: ChainVerifier | None = None, **options: Any
) -> Finding:
    """The finding of what was seen, by these verdicts or those of ``by``; ``options`` are of the context, or of ``finding_of``."""
    given = {name: options.pop(name) for name in ("failed", "facts", "fragments", "judged_with") if name in options}
    said = verdicts(seen, by) if said is None else said
    return finding.finding_of(seen, said, Context(**{"at": AT, **options}), "run-1", **given)


def codes(diagnosis: Diagnosis) -> list[str]:
    """Return the codes in order, warnings with "?" and notes with ".": ``["certificate-expired", "chain-has-extras?"]``."""
    marks = {"error": "", "warning": "?", "note": "."}
    return [record["code"] + marks[record["severity"]] for record in diagnosis.diagnoses]


def proof(diagnosis: Diagnosis, code: str) -> dict[str, Any]:
    """Return the evidence of one code."""
    return next(record["evidence"] for record in diagnosis.diagnoses if record["code"] == code)
