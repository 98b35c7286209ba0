"""Findings judged again are written in their order, those that cannot be judged as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from scanner.output import NotFindings
from scanner.rejudge.judging_options import JudgingOptions
from scanner.rejudge.rewrite import rewrite

INVALID: dict[str, Any] = {
    "schema": "tlsweep/1",
    "run": "r",
    "target": {"row": 1, "host": None},
    "outcome": "invalid",
    "cause": None,
    "diagnoses": [],
    "error": "no host",
}
UNKNOWN = {**INVALID, "target": {"row": 2, "host": "a.test"}, "outcome": "fail", "endpoints": 7}


def test_every_finding_is_written_and_passed_on(tmp_path: Path) -> None:
    before, after = tmp_path / "before.ndjson", tmp_path / "after.ndjson"
    before.write_bytes(orjson.dumps(INVALID) + b"\nnot a finding\n" + orjson.dumps(UNKNOWN) + b"\n")
    seen: list[Any] = []
    changes = rewrite([str(before)], JudgingOptions({}, log=print), (), str(after), force=False, on_finding=seen.append)
    assert [orjson.loads(line) for line in after.read_bytes().splitlines()] == seen == [INVALID, UNKNOWN]
    assert (changes.same, changes.unjudged, changes.unreadable) == (1, 1, 1)


def test_an_input_without_findings_leaves_no_output(tmp_path: Path) -> None:
    before, after = tmp_path / "before.ndjson", tmp_path / "after.ndjson"
    before.write_text("hello\n")
    with pytest.raises(NotFindings):
        rewrite([str(before)], JudgingOptions({}, log=print), (), str(after), force=False, on_finding=print)
    assert not after.exists()
