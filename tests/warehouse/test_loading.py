"""Loading findings files into a warehouse, and the summary of the load."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from scanner.output import NotFindings
from scanner.warehouse.loading import URL_FORMS, load, loader_for
from scanner.warehouse.stage import LoadError
from tests.helpers.warehouse import finding, write


def test_the_summary_counts_rows_and_what_was_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a\nb", [finding("a", "dns"), finding("b", row=2), finding("b", row=2)], b"{torn")
    result = load([path], f"duckdb:{tmp_path / 'db'}").splitlines()
    assert result[:3] == [
        "rows loaded: runs 1, findings 2, diagnoses 1, endpoints 2, certificates 2, chains 2",
        "run night-0 of 2026-11-02: ok 1, fail 1",
        "findings about a row that their run had already, left out: 1",
    ]
    assert result[3].startswith(
        f"lines that are no findings, left out: 1 (the first: {tmp_path}/a\\nb, line 4: not JSON ("
    )
    assert len(result) == 4


def test_each_run_has_a_line_in_the_summary(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [finding("a", night=night) for night in range(3)])
    assert load([path], f"parquet:{tmp_path / 'rows'}").splitlines()[1:] == [
        f"run night-{night} of 2026-11-0{night + 2}: ok 1" for night in range(3)
    ]


def test_findings_without_a_run_are_not_loaded(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [finding("a", run="")])
    with pytest.raises(LoadError, match="does not say of which run"):
        load([path], f"duckdb:{tmp_path / 'db'}")
    assert not (tmp_path / "db").exists()


def test_one_bad_file_loads_nothing(tmp_path: Path) -> None:
    good = write(tmp_path / "good", [finding("a")])
    (tmp_path / "empty").touch()
    with pytest.raises(NotFindings):
        load([good, str(tmp_path / "empty")], f"duckdb:{tmp_path / 'db'}")
    assert not (tmp_path / "db").exists()


def test_shards_of_a_run_are_loaded_as_one_run(tmp_path: Path) -> None:
    shards = [write(tmp_path / f"{n}", [finding(f"{n}.example", row=n)]) for n in range(3)]
    load(shards, f"duckdb:{tmp_path / 'db'}")
    with duckdb.connect(str(tmp_path / "db")) as connection:
        assert connection.execute("SELECT findings, len(files) FROM runs").fetchall() == [(3, 3)]


@pytest.mark.parametrize(
    "url",
    ["", "duckdb", "duckdb:", "parquet:", "sqlite:x", "/tmp/x.duckdb", "postgresql:db", "duckdb:a\0b", "http://x"],
)
def test_unknown_urls_are_refused(url: str) -> None:
    with pytest.raises(LoadError) as refused:
        loader_for(url)
    assert str(refused.value) == f"--to: this is none of {URL_FORMS}"


@pytest.mark.parametrize("url", ["postgres://x/y", "postgresql:///y", "duckdb:x:y", "parquet:./x"])
def test_known_urls_are_accepted(url: str) -> None:
    assert callable(loader_for(url))
