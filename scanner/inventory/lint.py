"""How an inventory would be read: what each column means, its first rows, and which rows cannot be used. Nothing is contacted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from scanner.inventory.reading import open_inventory
from scanner.inventory.row_parser import ProtocolLike
from scanner.inventory.table_layout import TableLayout
from scanner.model.evidence import InvalidRow, Target
from scanner.starttls.services import AUTO

# Rows that are shown, of the usable ones and of the others: enough to see whether the columns are understood.
SHOWN: Final = 10
# Protocols that are counted by name; there are some twenty.
MAX_PROTOCOLS: Final = 100


class InventoryPreview(Struct):
    """What ``lint`` found. ``remarks`` and ``warnings`` are sentences for the user."""

    layout: TableLayout
    remarks: list[str]
    warnings: list[str]
    rows: list[Target] = field(default_factory=list)
    unusable: list[InvalidRow] = field(default_factory=list)
    targets: int = 0
    invalid: int = 0
    protocols: Counter[str] = field(default_factory=Counter)


def lint(
    path: str,
    *,
    default_protocol: str = AUTO,
    default_port: int | None = None,
    protocols: Mapping[str, ProtocolLike],
    columns: Mapping[str, str] | None = None,
) -> InventoryPreview:
    """Read a whole inventory and return how it is understood. Raises ``InventoryError``."""
    later: list[str] = []
    inventory = open_inventory(
        path,
        default_protocol=default_protocol,
        default_port=default_port,
        protocols=protocols,
        columns=columns,
        log=later.append,
    )
    layout = inventory.layout
    found = InventoryPreview(layout, inventory.remarks(), layout.warnings())
    for row in inventory.rows:
        if isinstance(row, Target):
            found.targets += 1
            name = row.asked_protocol
            if name in found.protocols or len(found.protocols) < MAX_PROTOCOLS:
                found.protocols[name] += 1
            if len(found.rows) < SHOWN:
                found.rows.append(row)
        else:
            found.invalid += 1
            if len(found.unusable) < SHOWN:
                found.unusable.append(row)
    found.remarks += later
    return found
