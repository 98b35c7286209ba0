"""``tlsweep inventory --lint``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call, refused


@pytest.fixture
def cmdb(tmp_path: Path) -> Path:
    path = tmp_path / "cmdb.csv"
    path.write_text(
        "Servers 2026;;;\nFQDN;TCP Port;Service Owner;Listener\nwww.a.example;8443;Web Team;8443\n"
        "mx.a.example;587;Mail;25\ndb.a.example;5433;DBA;993\nn/a;443;?;\n"
    )
    return path


def test_columns_and_first_rows_are_shown(cmdb: Path, call: Call) -> None:
    shown = call("inventory", "--lint", cmdb)
    assert (shown.status, shown.err) == (0, "")
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["FQDN", "host", "www.a.example,", "mx.a.example,", "db.a.example"] in lines
    assert ["Service", "Owner", "tag", "Web", "Team,", "Mail,", "DBA"] in lines
    assert ["2", "mx.a.example", "587", "smtp"] in lines
    assert ["3", "db.a.example", "5433", "auto", "(TLS", "first)"] in lines
    assert "3 rows can be scanned (tls 1, smtp 1, auto 1)" in shown.out
    assert "row 4, line 6: the host is empty" in shown.out and '"Servers 2026"' in shown.out


def test_a_column_that_looks_like_a_port_is_a_warning_until_it_is_used(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "hosts.csv"
    path.write_text("host;listener\na.example;8443\n")
    assert "warning: the column" in call("inventory", "--lint", path).out
    used = call("inventory", "--lint", path, "--column", "port=Listener").out
    assert "warning" not in used and "8443" in used


def test_no_line_is_wider_than_the_terminal(cmdb: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, call("inventory", "--lint", cmdb).out.splitlines())) <= 80


def test_hostile_cells_are_shown_as_text(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "hosts.csv"
    path.write_text("host,ow\x1b[2Jner,[red]x\na.example,\x1b[31m,[bold]y\n\x1b]0;x\x07,1,2\n")
    shown = call("inventory", "--lint", path)
    assert "\x1b" not in shown.out and "[red]x" in shown.out and "[bold]y" in shown.out


@pytest.mark.parametrize(
    "words",
    [
        ("--lint", "{tmp}/none.csv"),
        ("--lint", "{tmp}/empty.csv"),
        ("--lint", "{tmp}/cmdb.csv", "--column", "port=Nothing"),
        ("--lint", "{tmp}/cmdb.csv", "--column", "owner=Listener"),
        ("--lint", "{tmp}/cmdb.csv", "--column", "port=a", "--column", "port=b"),
        ("--lint", "{tmp}/cmdb.csv", "--protocol", "gopher"),
    ],
)
def test_what_cannot_be_used_is_one_line(words: tuple[str, ...], cmdb: Path, call: Call) -> None:
    (cmdb.parent / "empty.csv").write_text("")
    refused(call("inventory", *(word.format(tmp=cmdb.parent) for word in words)))
