"""What an inventory would be read as."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.inventory import InventoryError
from scanner.inventory.lint import SHOWN, lint
from scanner.starttls import PROTOCOLS


def test_columns_rows_and_unusable_rows_are_found(tmp_path: Path) -> None:
    path = tmp_path / "cmdb.csv"
    lines = "".join(f"h{number}.example;{25 if number % 2 else 2525};x\n" for number in range(50))
    path.write_text("FQDN;TCP Port;listener\n" + lines + "n/a;443;y\na b;443;y\n" * 10)
    found = lint(str(path), protocols=PROTOCOLS)
    assert found.layout.used == {"host": "FQDN", "port": "TCP Port"} and found.layout.examples["TCP Port"] == [
        "2525",
        "25",
    ]
    assert (found.targets, found.invalid, len(found.rows), len(found.unusable)) == (50, 20, SHOWN, SHOWN)
    assert found.protocols == {"smtp": 25, "auto": 25}
    assert "empty" in found.unusable[0].reason and "space" in found.unusable[1].reason


def test_what_turns_out_late_is_among_the_remarks(tmp_path: Path) -> None:
    path = tmp_path / "hosts.csv"
    path.write_bytes(b"host,owner\n" + b"a.example,web\n" * 60_000 + "b.example,Jürgen\n".encode("cp1252"))
    assert "Windows-1252" in lint(str(path), protocols=PROTOCOLS).remarks[-1]


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", '[{"host":1}]'])
def test_an_inventory_that_cannot_be_used_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(content)
    with pytest.raises(InventoryError):
        lint(str(path), protocols=PROTOCOLS)
