"""What is put together from parts made before is what the rules and the long way make of the same target, byte for byte."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scanner.codec.certificate_dedup import Fragments
from scanner.diagnosis import readymade as module
from scanner.diagnosis.assemble import finding
from scanner.diagnosis.case import Context
from scanner.diagnosis.engine import diagnose
from scanner.diagnosis.healthy import plainly_healthy
from scanner.diagnosis.readymade import MAX_SHAPES, ReadyMade
from scanner.model.evidence import (
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
from tests.helpers.evidence import AT, HOST, answered, issuing, root, target

LOGS = (scts.ARGON, scts.XENON, scts.YETI)
LIST = log_list_untrusted(json.dumps(scts.log_list(*LOGS)).encode(), "tests")

CHAINS: dict[str, tuple[bytes, ...]] = {
    "host": (pki.certificate(HOST, issuer=issuing()).der, issuing().der),
    "wildcard": (pki.certificate("*.example.org", issuer=issuing()).der, issuing().der),
    "with-scts": (scts.with_scts(LOGS, "*.example.org", issuer=issuing()).der, issuing().der),
    "one-sct": (scts.with_scts(LOGS[:1], "*.example.org", issuer=issuing()).der, issuing().der),
    "ends-soon": (pki.certificate("*.example.org", issuer=issuing(), not_after=AT + 3 * pki.DAY).der, issuing().der),
    "twice": (pki.certificate("*.example.org", issuer=issuing()).der, issuing().der, issuing().der),
}


def answer(source: Any, status: Any, **facts: Any) -> RevocationAnswer:
    """An answer about a leaf of the two kinds that most tests have."""
    leaf = CHAINS["wildcard" if source == "ocsp" else "with-scts"][0]
    return RevocationAnswer(hashlib.sha256(leaf).hexdigest(), source, f"http://{source}.example/", status, **facts)


# Values that a part of the evidence may take beside its plain one
FLIGHT: dict[str, list[Any]] = {
    "version": [0x0303],
    "cipher": [0x1302, 0xC02F],
    "group": [0x001D, 0x0017],
    "alpn": ["h2", "http/1.1", "h\udcff"],
    "sni_acknowledged": [True, False],
    "hello_retry": [True],
    "random": [b"\x01" * 32, b"\xfe" * 32],
    "signature_scheme": [0x0804],
    "finished_valid": [None],
    "ocsp_response": [b"no staple"],
    "scts": [(b"none",)],
}
PROBE: dict[str, list[Any]] = {
    "offer": ["small"],
    "sni": [None, "other.example.org"],
    "stage": [Stage.APPLICATION],
    "alert": [(1, 112)],
    "detail": ["a word"],
    "recognised": ["http"],
    "first_bytes": [b"\x00"],
    "bytes_received": [5000],
    "connect_seconds": [0.0123456, None],
    "starttls_seconds": [0.5],
    "handshake_seconds": [1.00049, None],
}
TARGET: dict[str, list[Any]] = {
    "protocol": ["tls", "smtp"],
    "sni": ["WWW.example.org"],
    "address": ["192.0.2.1"],
    "id": [7, "seven", 2**70],
    "tags": [{"owner": "web"}, {"owner": "wéb\udc80", "n": 2**80}, {"nested": {"a": [1]}}],
}
_OK = DnsAnswer(DnsStatus.NOERROR, ("192.0.2.1",), resolver="192.0.2.53")
EVIDENCE: dict[str, list[Any]] = {
    "dns": [
        _OK,
        replace(_OK, addresses=("10.0.0.1",)),
        replace(_OK, source="hosts", cname=("a.example",), detail="x"),
        replace(_OK, caa=((0, "issue", "other.example"),), caa_owner="example.org"),
        replace(_OK, authenticated=True, tlsa=((3, 1, 1, b"\x00" * 32),)),
        replace(_OK, authenticated=True, caa=(), tlsa=()),
    ],
    "duration": [1.23456789],
    "attempts": [2],
    "bug": ["our own"],
    "started": [AT + 0.0004, AT + 0.9999],
    "issuers": [(FetchedIssuer("00", "http://ca.example/"),)],
    "revocation": [
        (RevocationAnswer("00", "crl", "http://crl.example/", "good", this_update=AT - 60),),
        (answer("ocsp", "good", produced_at=AT - 7.5, responder="CN=x"), answer("crl", "good", next_update=AT + 9)),
        (answer("crl", "good"), answer("ocsp", "unavailable", error="refused")),
        (answer("ocsp", "unavailable", error="no route", blocked=True), answer("crl", "good")),
        (answer("ocsp", "revoked", revoked_at=AT - 5, reason="keyCompromise"),),
    ],
    "elsewhere": [(Elsewhere("an earlier run", "00", "CN=x"),)],
}
KINDS = {"flight": FLIGHT, "probe": PROBE, "target": TARGET, "evidence": EVIDENCE}
CHANGES = [(where, name, value) for where, kind in KINDS.items() for name, values in kind.items() for value in values]
Change = tuple[str, str, Any]


def evidence_of(kind: str, changes: list[Change]) -> Evidence:
    parts: dict[str, dict[str, Any]] = {"flight": {}, "probe": {}, "target": {}, "evidence": {}}
    for where, name, value in changes:
        parts[where][name] = value
    probe = answered()
    assert probe.flight is not None
    flight = replace(probe.flight, certificates=CHAINS[kind], **parts["flight"])
    probe = replace(probe, flight=flight, **parts["probe"])
    row = replace(target(), **parts["target"])
    given: dict[str, Any] = {"started": AT, "duration": 0.25, **parts["evidence"]}
    return Evidence(row, endpoints=(EndpointEvidence("192.0.2.1", probe),), **given)


class Both:
    """The same targets both ways, each with what an output remembers."""

    def __init__(self, *, public: bool, days: float | None = None) -> None:
        roots = frozenset({root().sha256}) if public else frozenset[str]()
        self.verifier = ChainVerifier(
            [pki.store(root())], public_roots=roots, intermediates=Intermediates(shipped=False)
        )
        transparency = Transparency(LIST) if public else None
        self.context = Context(at=AT, transparency=transparency, expiry_warning_days=days)
        self.long, self.short = Fragments(), Fragments()
        self.ready = ReadyMade("run", self.context, fragments=self.short, judged_with={"at": 1.0})
        self.made = 0

    def see(self, evidence: Evidence, at: float = AT) -> None:
        """Wherever there is a finding ready-made it is the other's, in the same bytes."""
        endpoint = evidence.endpoints[0]
        assert endpoint.probe.flight is not None
        verdict = self.verifier.verify(endpoint.probe.flight.certificates, name=evidence.target.name, at=at)
        if not plainly_healthy(endpoint, verdict):
            return
        ready = self.ready.finding(evidence, verdict, at)
        context = replace(self.context, at=at)
        diagnosis = diagnose(evidence, [verdict], context)
        if ready is None:
            return
        self.made += 1
        assert not diagnosis.diagnoses and diagnosis.error is None
        assembled = finding(
            evidence,
            [verdict],
            diagnosis,
            "run",
            fragments=self.long,
            judged_with={"at": 1.0},
            context=context,
        )
        assert orjson.dumps(ready) == orjson.dumps(assembled)


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("kind", ["host", "wildcard", "with-scts", "twice"])
def test_most_targets_find_theirs_ready_made(kind: str, public: bool) -> None:
    both = Both(public=public)
    for _ in range(4):
        both.see(evidence_of(kind, []))
    assert both.made == (0 if kind == "twice" or (public and kind != "with-scts") else 4)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[1]}={change[2]!r:.30}")
@pytest.mark.parametrize("kind", ["wildcard", "with-scts"])
def test_one_change(kind: str, change: Change) -> None:
    both = Both(public=kind == "with-scts")
    for changes in ([], [change], [], [change]):
        both.see(evidence_of(kind, changes))
    assert both.made >= 2


@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(sorted(CHAINS)), st.lists(st.sampled_from(CHANGES), max_size=3)), max_size=8),
    st.sampled_from([None, 0.0, 45.0, 4000.0]),
)
@settings(max_examples=200, deadline=None)
def test_any_changes_in_any_order(public: bool, targets: list[tuple[str, list[Change]]], days: float | None) -> None:
    both = Both(public=public, days=days)
    for kind, changes in targets:
        both.see(evidence_of(kind, changes))


@pytest.mark.parametrize("public", [False, True])
def test_what_time_changes_is_seen(public: bool) -> None:
    both = Both(public=public)
    leaf = both.verifier.verify(CHAINS["with-scts"], name=HOST, at=AT).leaf
    assert leaf is not None
    for moment in (
        *(
            AT,
            AT + 1.5,
            leaf.not_after - 40 * pki.DAY,
            leaf.not_after - 30 * pki.DAY,
            leaf.not_after - 29.999 * pki.DAY,
        ),
        *(leaf.not_after - 1, leaf.not_after, leaf.not_after + 0.5, leaf.not_after + 1, leaf.not_before, AT),
    ):
        both.see(evidence_of("with-scts", []), at=moment)
    assert both.made >= 3


def test_an_issuer_that_may_be_a_middlebox_is_for_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "by_issuer", lambda attributes: object())
    both = Both(public=False)
    both.see(evidence_of("wildcard", []))
    assert not both.made


def test_verdicts_on_other_certificates_are_not_taken() -> None:
    both = Both(public=False)
    evidence = evidence_of("wildcard", [])
    verdict = both.verifier.verify(CHAINS["host"], name=HOST, at=AT)
    assert both.ready.finding(evidence, verdict, AT) is None


def test_good_answers_on_revocation_are_no_reason_to_ask_the_rules() -> None:
    both = Both(public=False)
    good, bad = EVIDENCE["revocation"][1], EVIDENCE["revocation"][4]
    for answers in (good, good, bad, good, ()):
        both.see(evidence_of("wildcard", [("evidence", "revocation", answers)]))
    assert both.made == 4


def test_what_is_remembered_is_bounded() -> None:
    both = Both(public=False)
    for number in range(2 * MAX_SHAPES + 3):
        both.see(evidence_of("wildcard", [("flight", "alpn", f"x{number}")]))
    assert len(both.ready._shapes) <= MAX_SHAPES
    assert both.made == 2 * MAX_SHAPES + 3
