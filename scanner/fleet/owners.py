"""Which column of an inventory tells whose a target is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# By what inventories call them, the likeliest first.
OWNER_COLUMNS: Final = (
    "owner", "owners", "service_owner", "team", "owned_by", "responsible", "squad", "contact", "department",
    "business_unit", "maintainer", "app_owner", "application_owner",
)  # fmt: skip


def owner_column(names: Iterable[str]) -> str | None:
    """Return the column of the inventory that names the owner of a target, by its name; ``None`` if there is none."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.strip().lower().replace(" ", "_").replace("-", "_"), name)
    return next((found[name] for name in OWNER_COLUMNS if name in found), None)
