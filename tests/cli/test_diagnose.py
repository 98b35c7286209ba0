"""``tlsweep diagnose`` from outside."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from tests.cli.conftest import Call, refused, run_process
from tests.helpers import pki
from tests.helpers.evidence import leaf
from tests.rejudge.test_judging import SEEN, run
from tests.rejudge.test_judging import roots as roots_of_the_run

roots = roots_of_the_run


@pytest.fixture
def findings(roots: Path) -> Path:
    return run(roots, *SEEN)


def test_unchanged_findings_are_written_byte_for_byte_and_counted(findings: Path, tmp_path: Path, call: Call) -> None:
    output = tmp_path / "again.ndjson"
    done = call("diagnose", findings, "-o", output)

    assert (done.status, done.out) == (0, "")
    assert done.err.splitlines() == [
        f"tlsweep: trusting what the run trusted: {findings.with_name('roots.pem')}",
        f"tlsweep: {len(SEEN)} findings judged again: {len(SEEN)} the same, 0 changed",
    ]
    assert output.read_bytes() == findings.read_bytes()


def test_findings_are_read_from_a_pipe_and_written_to_one(findings: Path) -> None:
    done = run_process("diagnose", "-", stdin=gzip.compress(findings.read_bytes()))

    assert (done.returncode, done.stdout) == (0, findings.read_bytes())


def test_a_compressed_output_is_a_findings_file_again(findings: Path, tmp_path: Path, call: Call) -> None:
    assert call("diagnose", findings, "-o", tmp_path / "a.ndjson.zst").status == 0
    assert call("diagnose", tmp_path / "a.ndjson.zst").out.encode() == findings.read_bytes()


def test_given_options_override_those_of_the_run(findings: Path, roots: Path, call: Call) -> None:
    assert call("diagnose", findings, "--fail-on", "revoked").status == 0
    done = call("diagnose", findings, "--at", "2099-01-01", "--fail-on", "certificate-expired")
    assert done.status == 1 and "changed (" in done.err
    assert all(finding["judged_with"] == {"at": 4070908800.0} for finding in map(orjson.loads, done.out.splitlines()))

    roots.write_text(pki.root("Another").pem)
    assert "untrusted-ca" in call("diagnose", findings).err


def test_files_of_the_run_are_found_beside_the_findings(findings: Path, tmp_path: Path, call: Call) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in (findings, findings.with_name("roots.pem")):
        path.rename(moved / path.name)
    done = call("diagnose", moved / findings.name)
    assert done.status == 0 and f"trusting what the run trusted: {moved}" in done.err and " 0 changed" in done.err


def test_certificates_missing_from_the_findings_come_from_another_file(
    findings: Path, tmp_path: Path, call: Call
) -> None:
    first, second = findings.read_bytes().splitlines(keepends=True)[:2]
    part, beside = tmp_path / "part.ndjson", tmp_path / "certificates.ndjson"
    part.write_bytes(second + b"garbage\n")
    beside.write_bytes(b"\n".join(orjson.dumps(entry) for entry in orjson.loads(first)["certificates"]))

    done = call("diagnose", part)
    assert (done.status, done.out.encode()) == (0, second)  # as it was
    log = done.err.splitlines()
    assert log[2:-1] == [
        "tlsweep: 1 finding is as it was, since it cannot be judged again (first: www.example.org: the certificate "
        f"'{leaf().sha256[:16]}' is in none of the files)",
    ]
    assert log[-1].startswith("tlsweep: 1 line left out: no finding (first: line 2: not JSON")
    assert " 1 the same" in call("diagnose", part, "--certificates", beside).err


def test_inputs_and_existing_outputs_are_not_overwritten(
    findings: Path, roots: Path, tmp_path: Path, call: Call
) -> None:
    before = findings.read_bytes()
    assert "exists already" in refused(call("diagnose", findings, "-o", roots))
    for path in (findings, roots):
        assert "would overwrite" in refused(call("diagnose", findings, "-o", path, "--force", "--trust-store", roots))
    assert findings.read_bytes() == before
    assert call("diagnose", findings, "-o", tmp_path / "new").status == 0
    assert call("diagnose", findings, "-o", tmp_path / "new", "--force").status == 0


def test_unusable_files_are_refused_in_one_line(findings: Path, tmp_path: Path, call: Call) -> None:
    assert "no findings" in refused(call("diagnose", "/dev/null"))
    assert "cannot read" in refused(call("diagnose", tmp_path / "gone"))
    assert "cannot read" in refused(call("diagnose", tmp_path))
    assert "gone.pem" in refused(call("diagnose", findings, "--trust-store", tmp_path / "gone.pem"))
    assert "gone.json" in refused(call("diagnose", findings, "--ct-logs", tmp_path / "gone.json"))
    assert "no certificates" in refused(call("diagnose", findings, "--certificates", findings.with_name("roots.pem")))
    assert "neither a cause nor a code" in refused(call("diagnose", findings, "--fail-on", "x"))
    assert "--at" in refused(call("diagnose", findings, "--at", "noon"))
