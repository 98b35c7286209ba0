"""The baseline holds the publicly trusted certificates of an earlier run, within limits, whatever else its file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from scanner.model.evidence import Elsewhere, Evidence, Target
from scanner.output import NotFindings
from scanner.run.baseline import Baseline, read_baseline
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.evidence import HOST, answered, at, evidence, finding_of, issuing, leaf, root, target, verifier

PUBLIC = frozenset({root().sha256})


def found(seen: Evidence, by: ChainVerifier | None = None) -> dict[str, Any]:
    again: dict[str, Any] = orjson.loads(orjson.dumps(finding_of(seen, by=by or verifier(public=True))))
    return again


def test_a_publicly_trusted_certificate_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "old.ndjson"
    file.write_bytes(orjson.dumps(found(evidence(answered()))) + b"\nnot a finding\n")
    baseline = read_baseline(str(file), PUBLIC)
    assert len(baseline) == 1
    assert baseline.seen(target()) == Elsewhere("the run run-1", leaf().sha256, issuing().parsed.subject)
    for other in (target(port=8443), target("other.example.org"), target(protocol="smtp"), target(sni="x.example")):
        assert baseline.seen(other) is None


def test_a_certificate_that_was_not_publicly_trusted_is_not_kept() -> None:
    baseline = Baseline(PUBLIC)
    box = pki.root("Box CA")
    for seen, by in (
        (evidence(at(answered([pki.certificate(HOST, issuer=box), box]))), None),
        (evidence(at(answered([pki.certificate(HOST, issuer=box), box]))), verifier(box)),
        (evidence(), None),
    ):
        baseline.add(found(seen, by))
    assert len(baseline) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"target": None},
        {"endpoints": None},
        {"endpoints": [7, {"trust": []}, {"trust": {"a": {"trusted": True}}, "chain": []}]},
        {"certificates": [{"sha256": leaf().sha256}]},
        {"certificates": []},
    ],
)
def test_findings_of_another_shape_are_ignored(change: dict[str, Any]) -> None:
    baseline = Baseline(PUBLIC)
    baseline.add({**found(evidence(answered())), **change})
    assert len(baseline) == 0


def test_targets_and_names_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.run.baseline.MAX_TARGETS", 1)
    monkeypatch.setattr("scanner.run.baseline.MAX_TEXTS", 1)
    baseline = Baseline(PUBLIC)
    record = found(evidence(answered()))
    for host in (HOST, "b.example", HOST):
        baseline.add({**record, "target": {**record["target"], "host": host}})
    assert len(baseline) == 1
    assert baseline.seen(Target(row=9, host=HOST, port=443, protocol="https", sni=HOST)) is not None


def test_a_file_without_findings_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("hello\n")
    with pytest.raises(NotFindings):
        read_baseline(str(file), PUBLIC)
