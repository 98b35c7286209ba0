"""What all targets with one chain have in common: described once, and kept as long as the verdict on the chain is.

Problem: a fleet of ten thousand hosts has some hundreds of chains, and its findings repeat, word for word, what these decide:
which certificates came, which stores trust them, what is wrong with them. Describing that anew for each target cost more
than verifying its certificates.

Design: parts are kept, not findings, and every finding, of a healthy target or a broken one, is put together from them
(``assembly``). What a negotiation decides alone are memoised functions of it, which need no help from here:
it is a frozen record. The part of a chain goes by ``ChainVerdict.identity``, which verdicts on one chain for different names
share, so that the verifier's caches bound it. What depends on more than the chain (the moment, what came with it, what
was looked up) is a report, which is kept with all that it depends on, its setting; and only the last one, since targets with
one chain come at nearly one moment in one setting.

What breaks if touched: records of a part are in all findings that have it, so nobody may change them. Whatever a report
depends on beside the chain must be in its setting.
"""

from __future__ import annotations

from typing import Any, cast

from msgspec import Struct

from scanner.codec.json_safe import safe_text
from scanner.diagnosis.claim import Claim
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict
from scanner.model.evidence import FetchedIssuer, Negotiation, RevocationAnswer
from scanner.model.findings import CertificateSource, EndpointRecord, TrustRecord
from scanner.trust.interceptors import by_issuer
from scanner.trust.transparency import Transparency, TransparencyVerdict
from scanner.trust.untrusted_issuer import reaches_anchor
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate

Answers = tuple[RevocationAnswer, ...]


class ChainSetting(Struct, frozen=True):
    """All that claims on a chain depend on beside the chain: what came with it, what was looked up, the moment, the options.

    ``at`` is in whole seconds, as certificates have them. ``sent``: certificates came with the flight. ``browsers``: browsers speak
    the target's protocol. ``answered``: the first connection gave the flight; ``transports_key``: it chose RSA key transport;
    ``has_another_key``: to a browser's schemes the server shows another certificate. ``answers`` and ``issuers`` are what was
    looked up; ``clock`` is what the fleet says of ours. The rest is of the context.
    """

    at: float
    negotiation: Negotiation
    sent: bool
    staple: bytes | None
    scts: tuple[bytes, ...]
    answers: tuple[RevocationAnswer, ...]
    issuers: tuple[FetchedIssuer, ...]
    browsers: bool
    answered: bool
    transports_key: bool
    has_another_key: bool
    clock: ClockVerdict
    public: bool
    expiry_warning_days: float | None
    revocation: str
    transparency: Transparency | None


class ChainReport:
    """What rules say of a chain in a setting. ``failed`` names bugs of ours that cost a part of it. ``fields``
    are those of an endpoint's record that the report decides, ``outline`` the claims merged by code, for where there are no others:
    each is made when it is first wanted, by ``assembly`` and ``conclusion``.
    """

    __slots__ = ("claims", "failed", "fields", "outline", "setting", "staple", "transparency")

    def __init__(
        self,
        setting: ChainSetting,
        claims: tuple[Claim, ...],
        failed: tuple[str, ...],
        transparency: TransparencyVerdict | None,
        staple: RevocationAnswer | None,
    ) -> None:
        self.setting = setting
        self.claims = claims
        self.failed = failed
        self.transparency = transparency
        self.staple = staple
        self.fields: EndpointRecord | None = None
        self.outline: Any = None


class ChainPart:
    """What findings say of one chain. ``sent`` is its DER, ``certificates`` what was sent, both empty where something of it cannot
    be parsed; ``completing`` are certificates that a path needed and the server did not send. ``is_strange``: something in
    between may have made the chain; ``tells_alike``: of targets with the chain and no more, the fleet learns the same.
    """

    __slots__ = (
        "certificates",
        "chain",
        "completing",
        "facts",
        "facts_record",
        "is_strange",
        "reports",
        "sent",
        "tells_alike",
        "trust",
    )

    def __init__(self, verdict: ChainVerdict) -> None:
        sent = [certificate for certificate in verdict.sent if certificate is not None]
        whole = len(sent) == len(verdict.sent)
        self.sent = tuple([certificate.der for certificate in sent]) if whole else ()
        self.certificates = tuple(sent) if whole else ()
        self.chain = [certificate.sha256 for certificate in sent]
        # no public CA is involved, and no store trusts it, or the issuer is a known interceptor: not a private CA's many
        self.is_strange = not verdict.publicly_trusted and (
            not verdict.trusted
            or (verdict.leaf is not None and by_issuer(verdict.leaf.issuer_name.attributes) is not None)
        )
        self.trust = trust_records(verdict)
        self.completing = _completing(verdict)
        # what a target tells the fleet by these answers on revocation, second and domain; and facts as a finding holds them
        self.tells_alike = _tells_alike(verdict)
        self.facts: tuple[tuple[Answers, int, str], Struct | None] | None = None
        self.facts_record: tuple[Struct, dict[str, Any]] | None = None
        # the last report, by whether browsers speak the protocol: a fleet has web and mail servers with one chain
        self.reports: dict[bool, ChainReport] = {}


def part_of(verdict: ChainVerdict) -> ChainPart:
    """Return what all findings with this chain have in common, whatever name was asked for."""
    identity = verdict.identity
    part: ChainPart | None = identity.part
    if part is None:
        part = identity.part = ChainPart(verdict)
    return part


def _tells_alike(verdict: ChainVerdict) -> bool:
    """Return whether the chain alone is what tells the fleet something: neither its issuer nor promises of logs are evidence."""
    if verdict.trusted:
        return True
    if verdict.leaf is None or not reaches_anchor(verdict):
        return False
    return all(
        problem.code != "certificate-not-yet-valid" for store in verdict.stores.values() for problem in store.problems
    )


def trust_records(verdict: ChainVerdict) -> dict[str, TrustRecord]:
    """Return the answer of each store, by its name."""
    trust: dict[str, TrustRecord] = {}
    for name, store in verdict.stores.items():
        record: TrustRecord = {"trusted": store.trusted, "anchor": store.anchor, "path": list(store.path)}
        if store.problems:
            record["error"] = store.problems[0].code
            if len(store.problems) > 1:
                record["errors"] = list(dict.fromkeys(problem.code for problem in store.problems))
        trust[safe_text(name)] = record
    return trust


def _completing(verdict: ChainVerdict) -> tuple[tuple[Certificate, CertificateSource], ...]:
    if verdict.trusted:
        return ()
    source = {sha256: source for store in verdict.stores.values() for sha256, source in store.completed_from.items()}
    return tuple(
        (certificate, cast(CertificateSource, source[certificate.sha256]))
        for certificate in verdict.path
        if certificate.sha256 in source
    )
