"""Outputs that would overwrite something that the command reads are refused before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from scanner.errors import UsageProblem


def same_file(one: str, other: str) -> bool:
    """Return whether both paths lead to one file, whether it exists or not."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def refuse_overwriting(option: str, path: str, inputs: Iterable[tuple[str, str | None]]) -> None:
    """Raise ``UsageProblem`` if ``path``, the value of ``option``, is one of the inputs: pairs of what it is and its path."""
    for what, read in inputs:
        if read not in (None, "-") and same_file(path, read):
            raise UsageProblem(f"--{option} would overwrite {what}: name another file")


def refuse_scan_outputs(given: dict[str, Any], inventory: str) -> None:
    """Raise ``UsageProblem`` if an output of a scan is also one of its inputs, or its other output."""
    inputs = [("the inventory", inventory)]
    for option in ("exclude", "public_roots", "ct_logs", "trust_store", "earlier"):
        paths = given[option] if isinstance(given[option], tuple) else (given[option],)
        inputs += [("--" + option.replace("_", "-"), path) for path in paths]
    outputs = {name: given[name] for name in ("output", "certificates") if given[name] not in (None, "-")}
    for name, path in outputs.items():
        refuse_overwriting(name, path, inputs)
    if len(outputs) == 2 and same_file(*outputs.values()):
        raise UsageProblem("--output and --certificates name the same file")
    if given["certificates"] == "-" and given["output"] in (None, "-"):
        raise UsageProblem("findings and certificates cannot both go to standard output")
