"""A finding does not depend on what was judged before: parts that targets share hold nothing of one of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scanner.caching import clear_all
from scanner.diagnosis.case import Context
from scanner.diagnosis.finding import finding_of
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict, FleetVerdict
from scanner.model.evidence import (
    Completion,
    DnsAnswer,
    DnsStatus,
    Elsewhere,
    EndpointEvidence,
    Evidence,
    FetchedIssuer,
    RevocationAnswer,
    Stage,
)
from scanner.trust.ct_logs import log_list_untrusted
from scanner.trust.intermediates import Intermediates
from scanner.trust.transparency import Transparency
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki, scts
from tests.helpers.evidence import AT, HOST, alerted, answered, issuing, root, target

LOGS = (scts.ARGON, scts.XENON, scts.YETI)
LIST = log_list_untrusted(json.dumps(scts.log_list(*LOGS)).encode(), "tests")
EXPIRED_CA = pki.certificate("Expired CA", issuer=root(), ca=True, not_after=AT - 5 * pki.DAY)

CHAINS: dict[str, tuple[bytes, ...]] = {
    "healthy": (pki.certificate("*.example.org", issuer=issuing()).der, issuing().der),
    "with SCTs": (scts.with_scts(LOGS, "*.example.org", issuer=issuing()).der, issuing().der),
    "ends soon": (pki.certificate("*.example.org", issuer=issuing(), not_after=AT + 3 * pki.DAY).der, issuing().der),
    "expired issuer": (pki.certificate("*.example.org", issuer=EXPIRED_CA).der, EXPIRED_CA.der),
    "another leaf of it": (pki.certificate("*.example.org", issuer=EXPIRED_CA, serial=77).der, EXPIRED_CA.der),
    "unknown issuer": (pki.certificate("*.example.org", issuer=pki.root("Unknown")).der,),
    "malformed": (pki.certificate("*.example.org", issuer=root()).der, b"no certificate"),
}


def answer(status: Any, **facts: Any) -> RevocationAnswer:
    leaf = hashlib.sha256(CHAINS["healthy"][0]).hexdigest()
    return RevocationAnswer(leaf, "ocsp", "http://ocsp.example/", status, **facts)


_OK = DnsAnswer(DnsStatus.NOERROR, ("192.0.2.1",), resolver="192.0.2.53:53")
NEGOTIATION: dict[str, list[Any]] = {
    "version": [0x0303, 0x0301],
    "cipher": [0x1302, 0xC02F, 0x009C],
    "dh_bits": [512],
    "alpn": ["h2", "h\udcff"],
    "hello_retry": [True],
    "signature_scheme": [0x0804, 0x0201],
    "signature_valid": [False],
    "finished_valid": [False, None],
}
FLIGHT: dict[str, list[Any]] = {
    "random": [b"\x01" * 32],
    "ocsp_response": [b"no staple"],
    "scts": [(b"none",)],
}
ENDPOINT: dict[str, list[Any]] = {
    "address": ["2001:db8::1"],
    "followups": [{"forward-secret": alerted(40)}, {"default-certificate": answered(CHAINS["healthy"])}],
    "completions": [{"http": Completion(Stage.DONE, status=200, date=AT - 4000, local_time=AT)}],
}
TARGET: dict[str, list[Any]] = {
    "host": ["other.example.org", "www.elsewhere.example", "strange'name.example.org"],
    "protocol": ["smtp"],
    "port": [8443],
    "sni": [None, "www.example.com"],
    "tags": [{"owner": "web"}],
}
EVIDENCE: dict[str, list[Any]] = {
    "dns": [_OK, replace(_OK, caa=((0, "issue", "other.example"),)), replace(_OK, resolver=None)],
    "bug": ["our own"],
    "doubt": ["in doubt"],
    "issuers": [(FetchedIssuer("00", "http://ca.example/"),)],
    "revocation": [(answer("good", produced_at=AT - 7),), (answer("revoked", revoked_at=AT - 5),)],
    "elsewhere": [(Elsewhere("an earlier run", "00", "CN=x"),)],
}
CONTEXT: dict[str, list[Any]] = {
    "at": [AT + 0.5, AT + 86400, AT + 10**9],
    "language": ["zh"],
    "expiry_warning_days": [4000.0],
    "public": [False],
    "revocation": ["off"],
    "fleet": [FleetVerdict(clock=ClockVerdict("confirmed", 1.0, margin=5.0))],
}
KINDS = {
    "negotiation": NEGOTIATION, "flight": FLIGHT, "endpoint": ENDPOINT, "target": TARGET, "evidence": EVIDENCE, "context": CONTEXT,
}  # fmt: skip
CHANGES = [(where, name, value) for where, kind in KINDS.items() for name, values in kind.items() for value in values]
Change = tuple[str, str, Any]


def case(kind: str, changes: list[Change]) -> tuple[Evidence, Context]:
    parts: dict[str, dict[str, Any]] = {where: {} for where in KINDS}
    for where, name, value in changes:
        parts[where][name] = value
    row = target(HOST)
    if "host" in parts["target"]:
        parts["target"].setdefault("sni", parts["target"]["host"])
    row = replace(row, **parts["target"])
    probe = answered(sni=row.sni)
    assert probe.flight is not None
    negotiation = replace(probe.flight.negotiation, **parts["negotiation"])
    flight = replace(probe.flight, negotiation=negotiation, certificates=CHAINS[kind], **parts["flight"])
    endpoint = EndpointEvidence(**{"address": "192.0.2.1", "probe": replace(probe, flight=flight), **parts["endpoint"]})
    evidence = Evidence(row, AT, endpoints=(endpoint,), duration=0.25, **parts["evidence"])
    return evidence, Context(**{"at": AT, "transparency": _TRANSPARENCY, **parts["context"]})


_TRANSPARENCY = Transparency(LIST)


def verifier() -> ChainVerifier:
    return ChainVerifier(
        [pki.store(root())], public_roots=frozenset({root().sha256}), intermediates=Intermediates(shipped=False)
    )


def written(by: ChainVerifier, evidence: Evidence, context: Context) -> bytes:
    flight = evidence.endpoints[0].probe.flight
    assert flight is not None
    verdict = by.verify(flight.certificates, name=evidence.target.name, at=context.at)
    return orjson.dumps(finding_of(evidence, [verdict], context, "run"))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[1]}={change[2]!r:.30}")
@pytest.mark.parametrize("kind", ["with SCTs", "expired issuer"])
def test_one_change_is_seen_and_leaves_nothing_behind(kind: str, change: Change) -> None:
    cases = [case(kind, changes) for changes in ([], [change], [], [change])]
    clear_all()
    alone = [written(verifier(), *each) for each in cases[:2]]
    clear_all()
    shared = verifier()
    assert [written(shared, *each) for each in cases] == alone * 2


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(CHAINS)), st.lists(st.sampled_from(CHANGES), max_size=4)),
        min_size=2,
        max_size=8,
    )
)
@settings(max_examples=300)
def test_any_targets_in_any_order(targets: list[tuple[str, list[Change]]]) -> None:
    cases = [case(kind, changes) for kind, changes in targets]
    alone = []
    for each in cases:
        clear_all()
        alone.append(written(verifier(), *each))
    shared = verifier()
    assert [written(shared, *each) for each in cases] == alone
    assert [written(shared, *each) for each in reversed(cases)] == alone[::-1]
