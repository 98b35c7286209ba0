"""Recipes that fix a code, for each kind of software, from ``scanner/data/fixes.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from msgspec import Struct

from scanner.shipped import shipped

# In the order in which they are shown
SOFTWARE: Final[Mapping[str, str]] = {
    "nginx": "nginx",
    "apache": "Apache httpd",
    "haproxy": "HAProxy",
    "iis": "IIS",
    "java": "Java",
    "linux": "Linux",
    "windows": "Windows",
    "macos": "macOS",
    "client": "Clients",
    "renewal": "Automated renewal",
}


class Recipe(Struct, frozen=True):
    """A fix (``title``), and for each software the lines of text, commands and settings that apply it."""

    id: str
    title: str
    codes: frozenset[str]
    steps: Mapping[str, tuple[str, ...]]


@cache
def recipes() -> tuple[Recipe, ...]:
    """Return all recipes, in the order of the file."""
    table: dict[str, dict[str, Any]] = tomllib.loads(shipped("fixes.toml").decode())
    return tuple(
        Recipe(
            id=identifier,
            title=entry["title"],
            codes=frozenset(entry["codes"]),
            steps={name: tuple(entry[name].strip().splitlines()) for name in SOFTWARE if name in entry},
        )
        for identifier, entry in table.items()
    )


def recipes_for(codes: Iterable[str]) -> tuple[Recipe, ...]:
    """Return the recipes that fix any of ``codes``, those that fix most of them first."""
    wanted = frozenset(codes)
    found = [recipe for recipe in recipes() if recipe.codes & wanted]
    return tuple(sorted(found, key=lambda recipe: -len(recipe.codes & wanted)))
