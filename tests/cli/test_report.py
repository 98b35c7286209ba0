"""``tlsweep report`` from outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scanner.report import svg as drawing
from tests.cli.conftest import Call, refused, run_process
from tests.report.conftest import finding, write
from tests.report.reading import check_page


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Two nights: one target failed since."""
    old = write(tmp_path / "old.ndjson", [finding("a.example")])
    return old, write(tmp_path / "new.ndjson", [finding("a.example", "fail", "dns")])


def test_the_page_is_written_to_the_working_directory(
    call: Call, files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("report", files[1], "--since", files[0])
    assert (done.status, done.out) == (0, "") and done.err.startswith("tlsweep: report.html: 0.")
    page = check_page((tmp_path / "report.html").read_text("utf-8"))
    assert page.one("h1").text == "1 of 1 targets fails"
    assert "exists already: --force" in refused(call("report", files[1]))
    assert call("report", files[1], "--force").status == 0


def test_standard_input_and_output(files: tuple[str, str]) -> None:
    done = run_process("report", "-", "--since", files[0], "-o", "-", stdin=Path(files[1]).read_bytes())
    assert done.returncode == 0, done.stderr
    page = check_page(done.stdout.decode())
    assert "standard input" in page.one("footer").text


def test_missing_drawings_are_reported_in_one_line(
    call: Call, files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "why_unavailable", lambda: drawing.MISSING)
    done = call("report", files[1], "-o", tmp_path / "r.html")
    assert done.status == 0 and "pip install vl-convert-python" in done.err.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["/nowhere/f.ndjson"], "cannot read"),
        (["{empty}"], "holds no findings"),
        (["{new}", "--by", "team"], "no finding has a column"),
        (["{new}", "-o", "{new}"], "would overwrite"),
        (["{new}", "--since", "{old}", "-o", "{old}", "--force"], "would overwrite"),
        (["{new}", "-o", "/nowhere/report.html"], "cannot write"),
        (["{new}", "--since", "/nowhere/f.ndjson"], "cannot read"),
    ],
)
def test_unusable_arguments_are_refused(
    call: Call, files: tuple[str, str], tmp_path: Path, words: list[str], reason: str
) -> None:
    (tmp_path / "empty").touch()
    places = {"old": files[0], "new": files[1], "empty": str(tmp_path / "empty")}
    given = [word.format(**places) for word in words]
    if "-o" not in given:
        given += ["-o", str(tmp_path / "report.html")]
    assert reason in refused(call("report", *given))
    assert sorted(os.listdir(tmp_path)) == ["empty", "new.ndjson", "old.ndjson"]
