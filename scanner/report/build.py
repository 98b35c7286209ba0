"""A report from beginning to end: compare, count, pick, draw, write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from msgspec import Struct

from scanner.output.draft import Draft, refuse
from scanner.report import html_page as page
from scanner.report.changes import changes
from scanner.report.collect import collect
from scanner.report.context import context_of
from scanner.report.csv_export import Beside
from scanner.text import quoted


class Made(Struct, frozen=True):
    """What was written: bytes of the page, rows shown, findings not in order, the file beside it, whether charts are there."""

    output: str
    size: int
    shown: int
    offered: int
    beside: str | None
    drawn: bool

    def words(self) -> str:
        """The same for a person, in one line."""
        text = f"{quoted(self.output, 200)[1:-1]}: {self.size / 1e6:.1f} MB"
        if self.beside is not None:
            text += f", {self.shown:,} of {self.offered:,} findings; all in {quoted(self.beside, 200)[1:-1]}"
        return text


def make(
    paths: Sequence[str],
    output: str,
    *,
    since: Sequence[str] = (),
    by: str | None = None,
    force: bool = False,
    names: Sequence[str] | None = None,
) -> Made:
    """Write the report on the findings in ``paths`` (files of one run, each readable twice where ``since`` is given).

    ``names`` are what the page calls these files, where their paths are none that a person knows.

    Raises ``OutputError``, ``DiffError``, ``UnknownColumn`` and what reading findings raises.
    """
    beside_path = None if output == "-" or _is_special(output) else beside_name(output)
    refuse(output, force=force)
    if beside_path is not None:
        refuse(beside_path, force=force)
    compared = changes(paths, since) if since else None
    with ExitStack() as stack:
        beside = Beside(stack.enter_context(Draft(beside_path, force=force))) if beside_path is not None else None
        collected = collect(paths, by=by, fresh=compared.fresh if compared is not None else (), sink=beside)
        kept, rendered = page.rendered_rows(collected.picker.by_importance(), owners=collected.owner is not None)
        order = sorted(range(len(kept)), key=lambda number: (not kept[number].fresh, *kept[number].place))
        left_out = collected.picker.offered - len(kept)
        named = beside_path if beside is not None and left_out else None
        context = context_of(collected, compared, names or paths, left_out=left_out, beside=named)
        draft = stack.enter_context(Draft(output, force=force))
        for piece in page.render({**context, "rows": [rendered[number] for number in order]}):
            draft.write(piece.encode())
        if beside is not None and named is not None:
            beside.place()
        draft.place()
        return Made(output, draft.size, len(kept), collected.picker.offered, named, bool(context["drawn"]))


def _is_special(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


def beside_name(output: str) -> str:
    """The file for what the page has no room for."""
    stem, suffix = os.path.splitext(output)
    return f"{stem if suffix.lower() in ('.html', '.htm') else output}-findings.csv"
