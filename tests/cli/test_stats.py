"""``tlsweep stats`` from outside."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import orjson
import pytest

from scanner.model.findings import CAUSES
from tests.cli.conftest import Call, refused, run_process
from tests.helpers.schema import validate_statistics


@pytest.fixture
def findings(tmp_path: Path, call: Call) -> Path:
    (tmp_path / "hosts.csv").write_text("host,port,owner\n127.0.0.1,9,web\n127.0.0.2,9,mail\n,9,mail\n")
    assert call("scan", tmp_path / "hosts.csv", "-o", tmp_path / "findings.ndjson").status == 0
    return tmp_path / "findings.ndjson"


@pytest.mark.parametrize("form", ["table", "markdown", "prometheus"])
def test_every_format_has_the_counts(form: str, findings: Path, call: Call) -> None:
    shown = call("stats", findings, "--by", "owner", "--format", form)

    assert (shown.status, shown.err) == (0, "")
    for part in ("network", "mail", "web"):
        assert part in shown.out


def test_json_is_one_document(findings: Path, call: Call) -> None:
    counted = orjson.loads(call("stats", findings, "--by", "owner", "--format", "json").out)

    assert counted["schema"] == "tlsweep-stats/1"
    assert counted["outcomes"] == {"ok": 0, "warn": 0, "fail": 2, "invalid": 1}
    assert list(counted["causes"])[: len(CAUSES)] == list(CAUSES)
    assert counted["by"]["owner"]["mail"]["findings"] == 2


def test_json_matches_its_schema(findings: Path, call: Call) -> None:
    columns = ["--by", "owner", "--by", "version", "--by", "domain"]
    counted = orjson.loads(call("stats", findings, *columns, "--format", "json").out)
    validate_statistics(counted)
    jsonschema.validate(counted, orjson.loads(call("schema", "stats").out))


def test_findings_met_twice_are_reported(findings: Path, call: Call) -> None:
    assert "; met twice: 3" in call("stats", findings, findings).out.splitlines()[0]
    assert orjson.loads(call("stats", findings, findings, "--format", "json").out)["repeated"] == 3


def test_lines_of_other_versions_and_zero_bytes_are_counted(findings: Path, call: Call) -> None:
    """Findings are counted; other lines are counted as unreadable."""
    content = findings.read_bytes()
    findings.write_bytes(content.replace(b"tlsweep/1", b"tlsweep/9", 1) + b"\0" * 50 + b"\n" + content[:40])
    shown = call("stats", findings)
    assert shown.status == 0
    told = "2 findings: 0 ok, 0 warn, 1 fail, 1 invalid; 3 unreadable lines"
    assert shown.out.splitlines()[0] == f"{told} (holds zero bytes: 1, not JSON: 1, not of schema tlsweep/1: 1)"


def test_by_takes_columns_that_every_finding_has(findings: Path, call: Call) -> None:
    by = orjson.loads(call("stats", findings, "--by", "port", "--by", "family", "--format", "json").out)["by"]
    assert {column: {value: one["findings"] for value, one in groups.items()} for column, groups in by.items()} == {
        "port": {"9": 3},
        "family": {"IPv4": 2, "": 1},
    }


@pytest.mark.parametrize("workers", ["1", "3", "auto"])
def test_several_processes_count_the_same(workers: str, findings: Path, call: Call) -> None:
    assert call("stats", findings, "--workers", workers).out == call("stats", findings).out
    refused(call("stats", findings, "--workers", "0"))


def test_standard_input_is_counted_with_other_files(findings: Path) -> None:
    done = run_process("stats", "-", findings, "--format", "json", stdin=findings.read_bytes())

    assert orjson.loads(done.stdout)["findings"] == 6


def test_torn_and_foreign_lines_are_counted(findings: Path, call: Call) -> None:
    findings.write_bytes(findings.read_bytes() + b'{"schema":"other"}\n{"schema":"tls')

    assert orjson.loads(call("stats", findings, "--format", "json").out)["unreadable_lines"] == 2


@pytest.mark.parametrize("column", ["", "ownr", "\x1b[31m"])
def test_an_unknown_column_is_refused_with_those_that_exist(column: str, findings: Path, call: Call) -> None:
    assert "owner" in refused(call("stats", findings, "--by", column))


@pytest.mark.parametrize("content", [b"", b"hello\n", b'{"a":1}\n', b"\x1f\x8b\x08", b"host\n"], ids=repr)
def test_a_file_without_findings_is_refused(content: bytes, tmp_path: Path, findings: Path, call: Call) -> None:
    (tmp_path / "other").write_bytes(content)

    refused(call("stats", tmp_path / "other"))
    refused(call("stats", findings, tmp_path / "other"))


def test_unreadable_files_are_refused(tmp_path: Path, findings: Path, call: Call) -> None:
    refused(call("stats", tmp_path / "none"))
    refused(call("stats", tmp_path))
    refused(call("stats", findings, "bad\x00name"))


def test_standard_input_twice_is_refused(findings: Path) -> None:
    done = run_process("stats", "-", "-", stdin=findings.read_bytes())

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1


def test_lang_zh_translates_the_table(findings: Path, call: Call) -> None:
    """Headings follow the language; causes, codes, outcomes and JSON do not."""
    shown = call("stats", findings, "--by", "owner", "--lang", "zh").out
    assert "条结果" in shown and "最常见原因" in shown
    assert "network-blocked" in shown and "owner" in shown
    plain = call("stats", findings, "--format", "json")
    assert call("stats", findings, "--format", "json", "--lang", "zh").out == plain.out
