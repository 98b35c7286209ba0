"""The address about which there is nothing to say, told at a glance.

Most of a fleet is in order. Asking each rule about each of its addresses costs more than judging its certificates, so what is
plainly healthy is recognised first. It may be too careful (then the rules are asked), never too generous: a test holds
it against the rules.
"""

from __future__ import annotations

from typing import Final

from scanner.model.evidence import EndpointEvidence
from scanner.tls.offers import BROWSER_SCHEMES, ECDHE_AEAD, MODERN_GROUPS, TLS12, TLS13, TLS13_SUITES
from scanner.trust.verdicts import ChainVerdict

_VERSIONS: Final = frozenset((TLS13, TLS12))
_CIPHERS: Final = frozenset((*TLS13_SUITES, *ECDHE_AEAD))
_GROUPS: Final = frozenset(MODERN_GROUPS)
_SCHEMES: Final = frozenset(BROWSER_SCHEMES)
# Kinds of keys that every client takes; their sizes are the judge's matter.
_KEYS: Final = frozenset(("ec:P-256", "ec:P-384"))


def plainly_healthy(endpoint: EndpointEvidence, verdict: ChainVerdict | None) -> bool:
    """Nothing about this address but the time left, CAA and DANE can be worth a word or a follow-up."""
    probe = endpoint.probe
    flight = probe.flight
    if verdict is None or flight is None or probe.failure is not None or endpoint.followups:
        return False
    leaf = verdict.leaf
    if not verdict.in_order or leaf is None or endpoint.accepted or endpoint.completions:
        return False
    return (
        flight.negotiation.complete
        and flight.negotiation.version in _VERSIONS
        and flight.negotiation.cipher in _CIPHERS
        and flight.negotiation.group in _GROUPS
        and flight.negotiation.dh_bits is None
        and flight.negotiation.signature_scheme in _SCHEMES
        and flight.negotiation.signature_valid is True
        and flight.negotiation.finished_valid is not False
        and flight.negotiation.client_auth is None
        and bool(flight.certificates)
        and (leaf.key in _KEYS or leaf.key.startswith("rsa:"))
    )
