"""Files read by several processes are counted as by one."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import orjson
import pytest

from scanner.fleet.stats import parallel as module
from scanner.fleet.stats.parallel import fold_files, parts_of
from scanner.fleet.stats.run_counts import CountingFailed, UnknownColumn
from scanner.output import NotFindings
from tests.fleet.stats.test_fleet_stats import COLUMNS, estate


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two files, one compressed; the plain one has a foreign line, and its last is torn."""
    monkeypatch.setattr(module, "LEAST_PART", 4096)
    lines = [orjson.dumps(one) for one in estate()]
    (tmp_path / "plain").write_bytes(b"\n".join([*lines, b"{}", *lines[:9], lines[0][:99]]))
    (tmp_path / "packed").write_bytes(gzip.compress(b"\n".join(lines)))
    return [str(tmp_path / "plain"), str(tmp_path / "packed")]


def test_several_processes_count_as_one(files: list[str]) -> None:
    assert len(parts_of(files[0], 3)) == 3
    alone, together = fold_files(files, COLUMNS, 1, 20), fold_files(files, COLUMNS, 3, 20)
    assert alone.to_json() == together.to_json()
    assert alone.series is not None and together.series is not None and len(alone.series.targets()) == 20
    assert alone.series.targets() == together.series.targets()
    assert alone.series.certificates() == together.series.certificates()
    assert together.counts.total.findings == 2 * len(estate()) + 9 and together.counts.unreadable_lines == 2
    together.counts.require_columns()


def test_plain_files_are_cut_into_parts(tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    size = (tmp_path / "plain").stat().st_size
    (first, second) = parts_of(files[0], 2)
    assert first == (files[0], 0, size // 2) and second == (files[0], size // 2, size)
    for whole in (files[1], "-", str(tmp_path), str(tmp_path / "none")):
        assert parts_of(whole, 4) == [(whole, 0, -1)]
    monkeypatch.setattr(module, "ENOUGH", size // 10)
    assert len(parts_of(files[0], 2)) == 2 * module.PARTS_EACH and len(parts_of(files[0], 4)) == 10
    monkeypatch.setattr(module, "LEAST_PART", size)
    monkeypatch.setattr(module, "ENOUGH", 8 * size)
    assert len(parts_of(files[0], 4)) == 1


def test_a_file_without_findings_is_an_error(tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "other").write_bytes(b"host\n" * 5000)
    with pytest.raises(NotFindings, match="other holds no findings"):
        fold_files([*files, str(tmp_path / "other")], (), 2)
    with pytest.raises(NotFindings, match="cannot read"):
        fold_files([*files, str(tmp_path / "none")], (), 2)


def ends(*_: object, **__: object) -> None:
    """What the kernel does to a process when memory is short."""
    os._exit(9)


def test_a_process_ended_from_outside_is_reported(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fold_part", ends)
    with pytest.raises(CountingFailed, match="ended from outside"):
        fold_files(files, (), 2)


def test_columns_that_no_part_has(files: list[str]) -> None:
    with pytest.raises(UnknownColumn, match="there are: owner"):
        fold_files(files, ["ownr"], 2).counts.require_columns()
