from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from tests.torture.rows import KINDS, MOST_ROWS, SLOW, make_rows, resolve, resolver_records, write_inventory


def test_rows_of_a_seed_are_always_the_same() -> None:
    assert make_rows(500, seed=3) == make_rows(500, seed=3)
    assert make_rows(500, seed=3) != make_rows(500, seed=4)


def test_most_rows_are_healthy_and_every_common_kind_is_present() -> None:
    kinds = Counter(row.kind.name for row in make_rows(2000))
    assert set(kinds) == {kind.name for kind in KINDS.values() if kind.share} - SLOW
    assert sum(times for kind, times in kinds.items() if KINDS[kind].truth.outcome == "ok") > 1800


@pytest.mark.parametrize("count", [60, 1000])
def test_slow_and_hostile_kinds_are_included_on_request(count: int) -> None:
    rows = make_rows(count, slow=True, hostile=True)
    kinds = {row.kind.name for row in rows}
    assert len(rows) == count
    assert kinds >= SLOW | {kind.name for kind in KINDS.values() if kind.hostile}


def test_numbers_follow_the_order_and_no_two_rows_share_an_address() -> None:
    rows = make_rows(3000, slow=True)
    assert [row.number for row in rows] == list(range(3000))
    assert len({row.address for row in rows}) == len({row.host for row in rows}) == 3000


@pytest.mark.parametrize("count", [0, MOST_ROWS + 1])
def test_other_counts_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to"):
        make_rows(count)


def test_rows_by_name_have_no_address_in_the_inventory(tmp_path: Path) -> None:
    rows = make_rows(300)
    write_inventory(tmp_path / "inventory.csv", rows)
    with (tmp_path / "inventory.csv").open(encoding="ascii", newline="") as file:
        written = list(csv.DictReader(file))
    for row, line in zip(rows, written, strict=True):
        assert line["id"] == str(row.number)
        assert line["host"] == row.host
        assert line["address"] == ("" if row.kind.by_name else row.address)


def test_resolvers_know_all_names_except_those_of_nxdomain() -> None:
    rows = make_rows(1000)
    for row in rows:
        assert resolve(row.host) == (None if row.kind.name == "nxdomain" else row.address)
        assert resolve(row.host.upper() + ".") == resolve(row.host)
    assert dict(resolver_records(rows)) == {
        row.host: row.address for row in rows if row.kind.name in ("named", "smtp-named")
    }


@pytest.mark.parametrize(
    "name", ["", ".", "farm.test", "named-.farm.test", "named-1.other.test", "no-such-kind-1.farm.test"]
)
def test_other_names_do_not_exist(name: str) -> None:
    assert resolve(name) is None
