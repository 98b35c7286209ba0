"""Builds a report: compare, count, pick, draw, write."""

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
from scanner.report.csv_export import CsvExport
from scanner.text import quoted


class BuiltReport(Struct, frozen=True):
    """What was written: bytes of the page, rows shown, findings that are not ok, the CSV file next to it, why it has no charts."""

    output: str
    size: int
    shown: int
    offered: int
    csv: str | None
    no_charts: str | None

    def summary_line(self) -> str:
        """Return what was written, in one line for a person."""
        text = f"{quoted(self.output, 200)[1:-1]}: {self.size / 1e6:.1f} MB"
        if self.csv is not None:
            text += f", {self.shown:,} of {self.offered:,} findings; all in {quoted(self.csv, 200)[1:-1]}"
        return text


def build(
    paths: Sequence[str],
    output: str,
    *,
    since: Sequence[str] = (),
    by: str | None = None,
    force: bool = False,
    names: Sequence[str] | None = None,
) -> BuiltReport:
    """Write the report on the findings in ``paths`` (files of one run, each readable twice where ``since`` is given).

    ``names`` are what the page calls these files, where a person does not know their paths.

    Raises ``OutputError``, ``DiffError``, ``UnknownColumn`` and what reading findings raises.
    """
    special = output == "-" or (os.path.exists(output) and not os.path.isfile(output))
    csv_path = None if special else csv_name(output)
    refuse(output, force=force)
    if csv_path is not None:
        refuse(csv_path, force=force)
    compared = changes(paths, since) if since else None
    with ExitStack() as stack:
        csv = CsvExport(stack.enter_context(Draft(csv_path, force=force))) if csv_path is not None else None
        collected = collect(paths, by=by, fresh=compared.fresh if compared is not None else (), sink=csv)
        kept, rendered = page.rendered_rows(collected.picker.by_importance(), owners=collected.owner is not None)
        order = sorted(range(len(kept)), key=lambda number: (not kept[number].fresh, *kept[number].place))
        left_out = collected.picker.offered - len(kept)
        named = csv_path if csv is not None and left_out else None
        context = context_of(collected, compared, names or paths, left_out=left_out, csv_path=named)
        draft = stack.enter_context(Draft(output, force=force))
        for piece in page.render({**context, "rows": [rendered[number] for number in order]}):
            draft.write(piece.encode())
        if csv is not None and named is not None:
            csv.place()
        draft.place()
        return BuiltReport(output, draft.size, len(kept), collected.picker.offered, named, context["no_charts"])


def csv_name(output: str) -> str:
    """Return the path of the CSV file for what the page has no room for."""
    stem, suffix = os.path.splitext(output)
    return f"{stem if suffix.lower() in ('.html', '.htm') else output}-findings.csv"
