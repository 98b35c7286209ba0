"""What an inventory's user is told about its columns."""

from __future__ import annotations

import pytest

from scanner.inventory.table_layout import MAX_NAMED, TableLayout, unused_by_content


def test_the_meaning_of_each_column_is_said_in_one_line() -> None:
    layout = TableLayout("CSV", ";", {"port": "TCP Port", "host": "FQDN"}, tags=["Owner", "Notes"])
    assert layout.remarks() == [
        'the inventory is CSV (semicolons): "FQDN" is the host, "TCP Port" is the port; carried along as tags: "Owner", "Notes"'
    ]
    assert layout.remarks(brief=True) == layout.remarks()


def test_what_goes_without_saying_may_be_left_out() -> None:
    layout = TableLayout("CSV", ",", {"host": "Host", "port": "port"}, tags=["owner"])
    assert layout.remarks() and not layout.remarks(brief=True)
    assert TableLayout().remarks() == []


def test_titles_and_doubled_columns_are_always_said() -> None:
    layout = TableLayout(
        "CSV", ",", {"host": "host"}, titles=[(1, "Servers"), (2, "2026")], renamed=[("Notes", "Notes (2)")]
    )
    assert [line.partition(":")[0] for line in layout.remarks(brief=True)] == [
        "2 lines above its header passed over",
        'the column "Notes" is there twice',
    ]


def test_hundreds_of_tags_and_hostile_names_stay_one_short_line() -> None:
    tags = [f"\x1b[2J{number}" + "x" * 500 for number in range(300)]
    (line,) = TableLayout("CSV", ",", {"host": "FQDN"}, tags=tags).remarks()
    assert line.isprintable() and len(line) < 1000 and line.endswith(f"and {300 - MAX_NAMED} more")


def test_an_unused_column_is_a_warning_that_says_what_uses_it() -> None:
    layout = TableLayout("CSV", ",", {"host": "fqdn"}, {"Listener": "port", "name": "host", "domain": "host"})
    assert layout.warnings() == [
        'the columns "name", "domain" look like a host and are not used; "fqdn" is (--column host="name" uses the first)',
        'the column "Listener" looks like a port and is not used (--column port="Listener" uses it)',
    ]


@pytest.mark.parametrize(
    ("cells", "looks"),
    [
        (["192.0.2.1", "2001:db8::1"], "address"),
        (["8443", "443", "N/A"], "port"),
        (["HTTPS", "smtp"], "protocol"),
        (["a.example", "https://b.example/x", "c.example:8443"], "host"),
        (["web01", "web02"], None),
        (["8", "16"], None),
        (["1.2", "3.4"], None),
        (["443", "no"], None),
        (["192.0.2.1", "", "", ""], None),
        (["web", "website"], None),
        (["", "-"], None),
        (["x" * 100_000], None),
    ],
)
def test_columns_are_recognised_by_their_cells(cells: list[str], looks: str | None) -> None:
    found = unused_by_content([{"Column": cell} for cell in cells], {})
    assert found == ({} if looks is None else {"Column": looks})
    assert looks is None or not unused_by_content([{"Column": cell} for cell in cells], {looks: "Other"})
