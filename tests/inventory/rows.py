"""Helpers that read an inventory from bytes with a fixed set of protocols."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scanner.inventory import read_inventory
from scanner.model.evidence import InvalidRow, Target


@dataclass(frozen=True)
class Named:
    port: int | None


PROTOCOLS = {
    "tls": Named(443),
    "https": Named(443),
    "smtp": Named(25),
    "smtps": Named(465),
    "imap": Named(143),
    "postgres": Named(5432),
    "odd": Named(None),
}


def read(
    path: Path, content: bytes | str, *, protocol: str = "tls", port: int | None = None
) -> list[Target | InvalidRow]:
    path = path / "inventory"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = list(read_inventory(str(path), default_protocol=protocol, default_port=port, protocols=PROTOCOLS))
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
    return rows


def target(row: Target | InvalidRow) -> Target:
    assert isinstance(row, Target), row
    return row


def reason(row: Target | InvalidRow) -> str:
    assert isinstance(row, InvalidRow), row
    return row.reason


def hosts(rows: list[Target | InvalidRow]) -> list[str | None]:
    """Return the hosts of usable rows, and ``None`` for each invalid row."""
    return [row.host if isinstance(row, Target) else None for row in rows]
