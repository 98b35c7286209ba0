"""The owner's column is found, whatever an inventory calls it."""

from __future__ import annotations

import pytest

from scanner.fleet.owners import OWNER_COLUMNS, owner_column


@pytest.mark.parametrize(
    ("names", "column"),
    [
        (["owner"], "owner"),
        (["site"], None),
        (["Service Owner", "team"], "Service Owner"),
        (["Team", "OWNER"], "OWNER"),
        (["Business-Unit "], "Business-Unit "),
        (["owner", "Owner"], "owner"),
        ([], None),
    ],
)
def test_the_likeliest_column_is_taken(names: list[str], column: str | None) -> None:
    assert owner_column(names) == column


def test_every_listed_name_is_found() -> None:
    assert [owner_column(["site", name.upper().replace("_", " ")]) for name in OWNER_COLUMNS] == [
        name.upper().replace("_", " ") for name in OWNER_COLUMNS
    ]
