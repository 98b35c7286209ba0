"""Measures what verification costs a fleet that shares its certificates: each distinct chain is verified once per run.

No network is involved: the evidence of each target is as a probe returns it (its own bytes, as from a socket), and passes
through the same steps as in a run, from verification to the line of the findings file. Three variants alternate in one
process:

- *judged*: chains, SCTs and revocation answers are verified;
- *given*: like *judged*, but the verdict of each chain and name is given beforehand;
- *unjudged*: verdicts are given beforehand, and neither SCTs nor revocation are checked.

Compare with the cost of a whole scan per target (``python -m benchmarks compare``).
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from benchmarks.measure import table
from scanner.codec.certificate_dedup import Fragments
from scanner.model.config import ScanConfig
from scanner.model.evidence import (
    DnsAnswer,
    DnsStatus,
    EndpointEvidence,
    Evidence,
    Negotiation,
    Probe,
    RevocationAnswer,
    ServerFlight,
    Stage,
    Target,
)
from scanner.model.findings import Finding
from scanner.net.pacing import Pacer
from scanner.output import dumps_line
from scanner.run.judgement import Judgement, TargetJudgement
from scanner.run.observed_target import Observed
from scanner.run.scan import Callbacks, Scan
from scanner.trust.ct_logs import log_list_untrusted
from scanner.trust.intermediates import Intermediates
from scanner.trust.transparency import Transparency
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki, scts

CHAINS: Final = 10
# Targets per turn of a variant: long enough to be measured, and short compared with disturbances.
TARGETS_PER_TURN: Final = 250
LOGS: Final = (scts.ARGON, scts.XENON, scts.YETI)
AT: Final = pki.NOW

Chains = Sequence[tuple[bytes, ...]]


class _PrecomputedVerifier:
    """A verifier that returns verdicts computed beforehand, by leaf and name."""

    def __init__(self, verifier: ChainVerifier) -> None:
        self._verifier = verifier
        self._known: dict[tuple[int, str | None], ChainVerdict] = {}
        self.chain = 0

    @property
    def intermediates(self) -> Intermediates:
        return self._verifier.intermediates

    def learn(self, number: int, chain: tuple[bytes, ...], name: str) -> None:
        self._known[number, name] = self._verifier.verify(chain, name=name, at=AT)

    def verify(self, chain: tuple[bytes, ...], *, name: str | None, at: float) -> ChainVerdict:
        return self._known[self.chain, name]


def _chains() -> tuple[pki.Issued, list[tuple[bytes, ...]]]:
    root = pki.root("Benchmark Root")
    made: list[tuple[bytes, ...]] = []
    for number in range(CHAINS):
        issuing = pki.authority(f"Issuing {number % 3}", root)
        leaf = scts.with_scts(LOGS, f"*.fleet{number}.example", issuer=issuing)
        made.append((leaf.der, issuing.der))
    return root, made


def _answers(verifier: ChainVerifier, chain: tuple[bytes, ...]) -> tuple[RevocationAnswer, ...]:
    path = verifier.verify(chain, name=None, at=AT).path
    return tuple(
        RevocationAnswer(
            certificate.sha256,
            "crl",
            f"http://crl.example/{place}",
            "good",
            this_update=AT - 3600,
            next_update=AT + 86400,
        )
        for place, certificate in enumerate(path[:-1])
    )


def make_evidence(number: int, chain: tuple[bytes, ...], answers: tuple[RevocationAnswer, ...]) -> Evidence:
    """Return the evidence of one target as a probe returns it; only the revocation answers are shared."""
    host = f"h{number}.fleet{number % CHAINS}.example"
    flight = ServerFlight(
        Negotiation(
            version=0x0304,
            cipher=0x1301,
            group=0x11EC,
            alpn="h2",
            sni_acknowledged=True,
            signature_scheme=0x0403,
            signature_valid=True,
            finished_valid=True,
            complete=True,
        ),
        random=number.to_bytes(32, "big"),
        certificates=tuple([bytes(bytearray(certificate)) for certificate in chain]),
    )
    probe = Probe(
        "modern", host, Stage.DONE, flight=flight, connect_seconds=0.001, handshake_seconds=0.004, bytes_received=4000
    )
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Evidence(
        Target(number, host, 443, "https", host),
        AT,
        DnsAnswer(DnsStatus.NOERROR, (address,), resolver="192.0.2.53"),
        (EndpointEvidence(address, probe),),
        0.005,
        revocation=answers,
    )


def make_variant(verifier: Any, transparency: Transparency | None, mode: str) -> tuple[Scan, list[int]]:
    config = ScanConfig(revocation=cast(Any, mode))
    sizes = [0]

    def emit(finding: Finding) -> None:
        sizes[0] += len(dumps_line(finding))

    pacer = Pacer(
        concurrency=1, rate=None, concurrency_per_address=None, rate_per_address=None, polite_to_loopback=False
    )
    judgement = Judgement(config, verifier, run_id="bench", transparency=transparency, fragments=Fragments())
    return Scan(config, judgement, pacer, Callbacks(on_finding=emit), clock=lambda: AT), sizes


def judging(*, hosts: int, rounds: int) -> list[dict[str, Any]]:
    """Run ``hosts`` targets through all variants in each round, a portion each in turn."""
    title = f"Judging: {hosts} hosts under {CHAINS} certificates, {rounds} rounds"
    print(f"\n{title}", flush=True)
    root, chains = _chains()
    spent: dict[str, list[float]] = {"judged": [], "given": [], "unjudged": []}
    for _ in range(rounds):
        for variant, seconds in _round(root, chains, hosts).items():
            spent[variant].append(seconds)
    middle = {variant: statistics.median(seconds) / hosts * 1e6 for variant, seconds in spent.items()}
    ratios = {
        variant: statistics.median(one / other for one, other in zip(spent["judged"], spent[variant], strict=True))
        for variant in ("given", "unjudged")
    }
    rows = [
        (variant, f"{cost:.0f}", "" if variant == "judged" else f"{ratios[variant]:.3f}")
        for variant, cost in middle.items()
    ]
    print(table(("", "CPU µs/target", "judged to this"), rows))
    for variant in ratios:
        added = statistics.median(one - other for one, other in zip(spent["judged"], spent[variant], strict=True))
        print(f"judged is {added / hosts * 1e6:.1f} µs a target more than {variant}")
    return [{"title": title, "microseconds": middle, "ratios": ratios, "all": spent}]


def _round(root: pki.Issued, chains: Chains, hosts: int) -> Mapping[str, float]:
    listed = log_list_untrusted(json.dumps(scts.log_list(*LOGS)).encode(), "benchmark")

    # each variant has its own verifier and logs, so that none uses the caches of another
    def verifier() -> ChainVerifier:
        return ChainVerifier(
            [pki.store(root)], public_roots=frozenset({root.sha256}), intermediates=Intermediates(shipped=False)
        )

    answers = [_answers(verifier(), chain) for chain in chains]
    given, unjudged = _PrecomputedVerifier(verifier()), _PrecomputedVerifier(verifier())
    variants: dict[str, tuple[Scan, list[int], Any]] = {
        "judged": (*make_variant(verifier(), Transparency(listed), "online"), None),
        "given": (*make_variant(given, Transparency(listed), "online"), given),
        "unjudged": (*make_variant(unjudged, None, "off"), unjudged),
    }
    for precomputed in (given, unjudged):
        for number in range(hosts):
            precomputed.learn(number % CHAINS, chains[number % CHAINS], f"h{number}.fleet{number % CHAINS}.example")
    spent = dict.fromkeys(variants, 0.0)
    gc.collect()
    order = list(variants)
    for start in range(0, hosts, TARGETS_PER_TURN):
        order.append(order.pop(0))  # no variant is always the first
        for variant in order:
            scan, _, precomputed = variants[variant]
            portion = [
                make_evidence(
                    number, chains[number % CHAINS], () if variant == "unjudged" else answers[number % CHAINS]
                )
                for number in range(start, min(start + TARGETS_PER_TURN, hosts))
            ]
            spent[variant] += _conclude(scan, portion, precomputed)
    for _, sizes, _ in variants.values():
        assert sizes[0] > 500 * hosts, "findings are missing"
    return spent


def _conclude(scan: Scan, portion: Sequence[Evidence], precomputed: _PrecomputedVerifier | None) -> float:
    """Return the CPU seconds from evidence to encoded findings, as in a run, including the choice of follow-ups."""
    begun = time.process_time()
    for evidence in portion:
        if precomputed is not None:
            precomputed.chain = evidence.target.row % CHAINS
        (endpoint,) = evidence.endpoints
        judging = TargetJudgement(scan.judgement)
        question = judging.next_question(evidence.target, endpoint, evidence.started)
        assert question is None
        scan._conclude(Observed(evidence, False, judging.verdicts(evidence)), final=False)
    return time.process_time() - begun
