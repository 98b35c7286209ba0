"""What a rule on one address is given: what was seen there and at its target, the verdict on its certificates, the context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from scanner.diagnosis.parts import ChainReport, part_of
from scanner.fleet.correlate.fleet_verdicts import FleetVerdict
from scanner.model.evidence import EndpointEvidence, Evidence, Probe, ServerFlight, Target
from scanner.tls.offers import OFFERS
from scanner.trust.transparency import Transparency
from scanner.trust.verdicts import ChainVerdict

# Protocols that browsers speak; for any other, what a browser would refuse decides nothing.
BROWSER_PROTOCOLS: Final = frozenset({"tls", "https"})

# Names of the questions of ``--enumerate`` begin with this, then version (hex) and count: "enumerate-0303-4".
ENUMERATION: Final = "enumerate-"

# Questions that complete the handshake: what becomes of a client without a certificate, of ours, and what HTTP answers
CLIENT_AUTH: Final = "client-auth"
AUTHENTICATED: Final = "authenticated"
HTTP: Final = "http"
# Nothing is asked: does the handshake come to its end?
FINISH: Final = "finish"
# As the first, but nothing is sent after the handshake: does the server hang up nevertheless?
QUIET: Final = "client-auth-quiet"


# The name of the ClientHello in evidence whose certificates come from a file.
FILE_OFFER: Final = "file"

NO_FLEET: Final = FleetVerdict()


class Context(Struct, frozen=True, kw_only=True):
    """What judging needs beside the evidence.

    ``at`` is the moment of judgement. ``expiry_warning_days`` None is the default: the smaller of 30 days and a third
    of the certificate's lifetime. ``public`` False turns off what is only demanded of the public web (lifetimes,
    private addresses of public names). ``fleet`` is what all targets together say, as far as it is known. ``revocation`` is
    what may be looked at: nothing, staples, or answers of responders and lists too. ``transparency`` judges SCTs; without
    it there are no claims about them.
    """

    at: float
    # of the words for people (scanner.language)
    language: str = "en"
    expiry_warning_days: float | None = None
    public: bool = True
    fleet: FleetVerdict = NO_FLEET
    revocation: Literal["off", "staple", "online"] = "online"
    transparency: Transparency | None = None


class Case:
    """One address of a target: what was seen there, and the verdict on its certificates, if any came.

    ``flight`` is the one that counts for the address (``flight_of``); ``part`` is what findings say of its chain, ``report`` what
    rules say of it, once asked.
    """

    __slots__ = ("context", "endpoint", "evidence", "flight", "part", "report", "verdict")

    def __init__(
        self, evidence: Evidence, endpoint: EndpointEvidence, verdict: ChainVerdict | None, context: Context
    ) -> None:
        self.evidence = evidence
        self.endpoint = endpoint
        self.verdict = verdict
        self.context = context
        self.flight = flight_of(endpoint)
        self.part = None if verdict is None else part_of(verdict)
        self.report: ChainReport | None = None

    @property
    def target(self) -> Target:
        return self.evidence.target

    @property
    def probe(self) -> Probe:
        return self.endpoint.probe

    @property
    def browsers(self) -> bool:
        """Return whether browsers speak this target's protocol."""
        return self.evidence.target.protocol in BROWSER_PROTOCOLS


def cases_of(evidence: Evidence, verdicts: Sequence[ChainVerdict | None], context: Context) -> list[Case]:
    """Return a case for each address. ``verdicts`` is parallel to ``evidence.endpoints``; a missing one counts as ``None``."""
    return [
        Case(evidence, endpoint, verdicts[place] if place < len(verdicts) else None, context)
        for place, endpoint in enumerate(evidence.endpoints)
    ]


def followup(endpoint: EndpointEvidence, name: str) -> Probe | None:
    """Return the answer to the question ``name``, if it was asked."""
    return endpoint.followups.get(name)


def works(endpoint: EndpointEvidence, name: str) -> bool:
    """Return True if the question ``name`` was answered with a whole flight, of a version that was offered.

    Servers older than TLS 1.3 answer a hello that offers TLS 1.2 alone with TLS 1.0, if that is all they have: the client
    is to refuse it (RFC 5246 appendix E.1).
    """
    probe = endpoint.followups.get(name)
    if probe is None or not probe.ok:
        return False
    offer = OFFERS.get(probe.offer)
    return offer is None or probe.flight is None or probe.flight.negotiation.version in offer.versions


def accepted_from(followups: Mapping[str, Probe]) -> dict[int, tuple[int, ...]]:
    """Return what ``--enumerate`` found: version -> suites, in the order in which the server chose them.

    A version that was asked for and refused is there with no suites.
    """
    found: dict[int, list[int]] = {}
    for name, answer in followups.items():
        if not name.startswith(ENUMERATION):
            continue
        version = int(name.split("-")[1], 16)
        suites = found.setdefault(version, [])
        flight = answer.flight
        if (
            answer.ok
            and flight is not None
            and flight.negotiation.version == version
            and flight.negotiation.cipher is not None
        ):
            if flight.negotiation.cipher not in suites:
                suites.append(flight.negotiation.cipher)
    return {version: tuple(suites) for version, suites in found.items()}


def accepted_of(endpoint: EndpointEvidence) -> Mapping[int, tuple[int, ...]] | None:
    """Return the suites that this address accepts, by version, if that was asked."""
    if endpoint.accepted is not None:
        return endpoint.accepted
    return accepted_from(endpoint.followups) or None if endpoint.followups else None


def flight_of(endpoint: EndpointEvidence) -> ServerFlight | None:
    """Return the flight that counts for this address: the first probe's, else the first of a follow-up that got one.

    Only a follow-up with the same server_name counts: another name may well get another certificate.
    """
    first = endpoint.probe
    if first.failure is None or (first.flight is not None and first.flight.certificates):
        return first.flight
    for probe in endpoint.followups.values():
        if probe.ok and probe.sni == first.sni and probe.flight is not None:
            return probe.flight
    return first.flight
