"""From findings files to a warehouse, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from scanner.output import NotFindings
from scanner.warehouse.loading import FORMS, load, loader_of
from scanner.warehouse.stage import LoadError
from tests.helpers.warehouse import finding, write


def test_what_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a\nb", [finding("a", "dns"), finding("b", row=2), finding("b", row=2)], b"{torn")
    told = load([path], f"duckdb:{tmp_path / 'db'}").splitlines()
    assert told[:3] == [
        "rows loaded: runs 1, findings 2, diagnoses 1, endpoints 2, certificates 2, chains 2",
        "run night-0 of 2026-11-02: ok 1, fail 1",
        "findings about a row that their run had already, left out: 1",
    ]
    assert told[3].startswith(
        f"lines that are no findings, left out: 1 (the first: {tmp_path}/a\\nb, line 4: not JSON ("
    )
    assert len(told) == 4


def test_several_runs_are_told_each(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [finding("a", night=night) for night in range(3)])
    assert load([path], f"parquet:{tmp_path / 'rows'}").splitlines()[1:] == [
        f"run night-{night} of 2026-11-0{night + 2}: ok 1" for night in range(3)
    ]


def test_findings_that_say_nothing_of_their_run(tmp_path: Path) -> None:
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


def test_shards_of_a_run_go_together(tmp_path: Path) -> None:
    shards = [write(tmp_path / f"{n}", [finding(f"{n}.example", row=n)]) for n in range(3)]
    load(shards, f"duckdb:{tmp_path / 'db'}")
    with duckdb.connect(str(tmp_path / "db")) as connection:
        assert connection.execute("SELECT findings, len(files) FROM runs").fetchall() == [(3, 3)]


@pytest.mark.parametrize(
    "url",
    ["", "duckdb", "duckdb:", "parquet:", "sqlite:x", "/tmp/x.duckdb", "postgresql:db", "duckdb:a\0b", "http://x"],
)
def test_urls_of_no_known_kind(url: str) -> None:
    with pytest.raises(LoadError) as refused:
        loader_of(url)
    assert str(refused.value) == f"--to: this is none of {FORMS}"


@pytest.mark.parametrize("url", ["postgres://x/y", "postgresql:///y", "duckdb:x:y", "parquet:./x"])
def test_urls_of_known_kinds(url: str) -> None:
    assert callable(loader_of(url))
