"""The page: one HTML document that needs nothing else, with a policy that lets nothing else in.

Jinja escapes whatever the template prints, without exception but these: the stylesheet and the script, which are ours and
whose hashes are the policy, and the charts, which ``drawing`` has cut down to shapes and words.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined

from scanner.report.table_rows import Row

TEMPLATE: Final = "report.html.jinja"
ROWS: Final = "rows.html.jinja"
STYLE: Final = "report.css"
SCRIPT: Final = "report.js"

# Bytes of all rows of the table of findings: the page stays below 3 MB, whatever the findings hold.
MAX_ROW_BYTES: Final = 2_300_000


@cache
def asset(name: str) -> str:
    """Return the text of a file of the package."""
    return files("scanner").joinpath(f"report/templates/{name}").read_text("utf-8")


def policy(style: str, script: str) -> str:
    """Return the content security policy: what is in the page itself, identified by its hash, and nothing else."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def environment() -> Environment:
    """Return the environment of the templates. Nothing undefined is printed, and everything that is printed is escaped."""
    made = Environment(
        loader=FunctionLoader(asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    made.filters["number"] = lambda value: f"{value:,}"
    made.filters["file_link"] = lambda name: quote(name)
    return made


def rendered_rows(rows: Iterable[Row], *, owners: bool, limit: int = MAX_ROW_BYTES) -> tuple[list[Row], list[Any]]:
    """Return rows with their HTML, in the order given, as many as fit into ``limit`` bytes; ``owners`` have a column."""
    module: Any = environment().get_template(ROWS).module
    kept, rendered, size = [], [], 0
    for row in rows:
        text = module.finding_row(row, owners)
        size += len(text.encode())
        if size > limit:
            break
        kept.append(row)
        rendered.append(text)
    return kept, rendered


def render(context: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page, piece by piece."""
    style, script = asset(STYLE), asset(SCRIPT)
    template = environment().get_template(TEMPLATE)
    return template.generate(**context, style=style, script=script, policy=policy(style, script))
