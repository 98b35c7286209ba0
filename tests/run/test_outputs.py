"""The outputs of a scan with one process, with several, and when it is resumed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from scanner.run.outputs import open_outputs
from scanner.run.worker import Report
from tests.helpers.evidence import answered, at, chain, evidence, verdicts


def finding(row: int, outcome: str = "fail") -> Any:
    diagnoses = [{"severity": "error", "cause": "dns", "code": "servfail"}] if outcome == "fail" else []
    target = {
        "row": row,
        "host": f"h{row}.test",
        "port": 443,
        "protocol": "tls",
        "sni": None,
        "address": None,
        "tags": {},
    }
    return {
        "schema": "tlsweep/1",
        "run": "r",
        "target": target,
        "outcome": outcome,
        "cause": "dns" if diagnoses else None,
        "diagnoses": diagnoses,
    }


def lines(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_findings_are_written_counted_and_matched(tmp_path: Path) -> None:
    path = tmp_path / "findings.ndjson"
    with ExitStack() as files:
        outputs, done = open_outputs(files, str(path), None, force=False, resume=False, fail_on={"dns"})
        assert done is None and outputs.on_judged is None
        matched = []
        for each in (finding(1, "ok"), finding(2)):
            outputs.on_finding(each)
            matched.append(outputs.fail_on.matched)
        assert matched == [False, True]
    assert [each["target"]["row"] for each in lines(path)] == [1, 2]
    assert outputs.counts.total.findings == 2


def test_a_resumed_scan_counts_and_matches_what_is_in_its_output(tmp_path: Path) -> None:
    path, certificates = tmp_path / "findings.ndjson", tmp_path / "certificates.ndjson"
    seen = evidence(at(answered()))
    with ExitStack() as files:
        outputs, _ = open_outputs(files, str(path), str(certificates), force=False, resume=False, fail_on=frozenset())
        assert outputs.on_judged is not None
        outputs.on_judged(seen, verdicts(seen))
        outputs.on_finding(finding(1))
    assert len(lines(certificates)) == len(chain())
    with ExitStack() as files:
        again, done = open_outputs(files, str(path), str(certificates), force=False, resume=True, fail_on={"servfail"})
        assert done is not None and len(done) == 1
        assert again.fail_on.matched and again.counts.total.findings == 1
        assert again.on_judged is not None
        again.on_judged(seen, verdicts(seen))
    assert len(lines(certificates)) == len(chain())


def test_certificates_that_several_processes_report_are_written_once(tmp_path: Path) -> None:
    path, certificates = tmp_path / "findings.ndjson", tmp_path / "certificates.ndjson"
    report = Report(
        rows=[1], lines=[orjson.dumps(finding(1)) + b"\n"], words={"dns"}, certificates=[(b"\1" * 32, b"{}\n")]
    )
    with ExitStack() as files:
        outputs, _ = open_outputs(files, str(path), str(certificates), force=False, resume=False, fail_on={"dns"})
        outputs.on_report(report)
        outputs.on_report(report)
        assert outputs.fail_on.matched
    assert certificates.read_bytes() == b"{}\n"
    assert len(lines(path)) == 2
