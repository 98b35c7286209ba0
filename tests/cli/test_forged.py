"""Forged findings cost only their line, whatever command reads them, and nothing in them is printed unescaped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from scanner.demo.fleet import Fleet
from scanner.output import MAX_FINDING_LINE
from tests.cli.conftest import Call, run_process
from tests.helpers.forged import forged, paths, replaced

# Each field of each finding by each value would be a hundred thousand lines; a prime meets all fields and all values.
EVERY = 29
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture(scope="module")
def files(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a file of real findings, and one of these followed by forged ones."""
    place = tmp_path_factory.mktemp("forged")
    real, false = place / "real.ndjson", place / "forged.ndjson"
    done = run_process(
        "scan", fleet.inventory, "-o", real, "--resolver", fleet.resolver, "--trust-store", fleet.roots, "--no-progress",
        "--connect-timeout", "1.5", "--timeout", "4", "--retries", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    findings = [orjson.loads(line) for line in real.read_bytes().splitlines()]
    with false.open("wb") as file:
        file.write(real.read_bytes())
        file.writelines(forged(findings, every=EVERY))
        file.write(b'{"schema":"tlsweep/1","x":"' + b"x" * (MAX_FINDING_LINE + 1) + b'"}\n')
    return real, false


def harmless(text: str) -> None:
    found = CONTROL.search(text)
    assert found is None, text[max(found.start() - 80, 0) : found.end() + 20]
    assert "Traceback" not in text
    assert "fault of tlsweep" not in text


COMMANDS = (
    ["stats", "FORGED", "--by", "owner", "--by", "issuer", "--by", "version", "--by", "id"],
    ["stats", "FORGED", "--by", "host", "--by", "server", "--format", "markdown"],
    ["stats", "FORGED", "--by", "owner", "--format", "json"],
    ["stats", "FORGED", "--workers", "2"],
    ["diff", "REAL", "FORGED"],
    ["diff", "FORGED", "REAL", "--format", "json"],
    ["diff", "REAL", "FORGED", "REAL", "--format", "markdown"],
    ["load", "FORGED", "--to", "duckdb:PLACE/estate.duckdb"],
    ["load", "FORGED", "--to", "parquet:PLACE/estate"],
    ["diagnose", "FORGED", "-o", "PLACE/again.ndjson"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_forged_findings_cost_their_lines(
    words: list[str], files: tuple[Path, Path], tmp_path: Path, call: Call
) -> None:
    if words[0] == "load":
        pytest.importorskip("duckdb")
    names = {"REAL": str(files[0]), "FORGED": str(files[1])}
    shown = call(*(names.get(word, word.replace("PLACE", str(tmp_path))) for word in words))

    assert shown.status == 0, shown.err
    # JSON is for machines and exact
    harmless(re.sub("[\x7f-\x9f\u202e]", "", shown.out) if "json" in words else shown.out)
    harmless(shown.err)


def test_forged_names_do_not_add_lines_to_prometheus_output(files: tuple[Path, Path], call: Call) -> None:
    shown = call("stats", files[1], "--by", "owner", "--format", "prometheus")

    assert shown.status == 0
    for line in shown.out.rstrip("\n").split("\n"):
        assert re.fullmatch(r'# .*|[a-z_]+(\{([a-z0-9_]+="([^"\\\n]|\\["\\n])*",?)+\})? \S+', line), line


@pytest.mark.parametrize("since", [False, True])
def test_the_report_escapes_forged_texts(since: bool, files: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    # in a process of its own: a drawing library that takes offence ends it
    done = run_process("report", files[1], *(["--since", files[0]] if since else []), "-o", page)

    assert done.returncode == 0, done.stderr
    harmless(done.stderr.decode())
    text = page.read_text("utf-8")
    harmless(text)
    assert "<script>alert" not in text
    beside = tmp_path / "report-findings.csv"
    if beside.exists():
        for row in csv.reader(io.StringIO(beside.read_bytes().decode(), newline="")):
            for cell in row:
                harmless(cell)
                assert not cell.startswith(("=", "+", "-", "@"))


def test_the_generator_forges_what_it_says() -> None:
    finding = {"a": {"b": [1, 2, 3]}, "c": "x"}
    assert list(paths(finding)) == [("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1), ("c",)]
    assert replaced(finding, ("a", "b", 1), None) == {"a": {"b": [1, None, 3]}, "c": "x"}
    lines: Iterator[bytes] = forged([finding])
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
