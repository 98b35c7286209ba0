"""Statistics for a reader: a table for the terminal, Markdown, Prometheus' text format, JSON.

Values come from inventories and files of strangers, so each format escapes what would act in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson

from scanner.fleet.stats import Stats, largest_first
from scanner.fleet.tally import OUTCOMES, CauseCount, Tally
from scanner.text import display_width, pad, printable, shorten

# Groups shown to a person, the largest first; JSON and Prometheus have them all.
MAX_GROUPS_SHOWN: Final = 50

# Columns that a value may take in a table.
MAX_CELL: Final = 40
# Width that the list in the last column may take; it goes on below. A table then fits into 120 columns.
LAST_COLUMN: Final = 64

NO_VALUE: Final = "(none)"


def as_json(stats: Stats) -> str:
    """The statistics as indented JSON, schema ``tlsweep-stats/1``."""
    return orjson.dumps(stats.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_table(stats: Stats) -> str:
    """The statistics as tables of plain text."""
    total = stats.total
    parts = [_headline(stats), ""]
    rows = [
        [name, str(count.targets), _percent(count.targets, total.findings), str(count.primary), _codes_text(count)]
        for name, count in _met(total)
    ]
    if rows:
        parts.append(text_table(("cause", "targets", "share", "primary", "codes"), rows, right=(1, 2, 3)))
    else:
        parts.append("No diagnosis at all.")
    for column, groups in stats.by.items():
        names, group_rows, left_out = _group_rows(groups)
        parts += ["", text_table((printable(column), *names), group_rows, right=range(1, 7))]
        if left_out:
            parts.append(f"and {left_out} smaller groups (--format json has them all)")
    return "\n".join(parts) + "\n"


def as_markdown(stats: Stats) -> str:
    """The statistics as Markdown tables (GitHub's dialect), with everything from outside escaped."""
    total = stats.total
    parts = [_headline(stats), ""]
    rows = [
        [name, str(count.targets), _percent(count.targets, total.findings), str(count.primary), _codes_text(count)]
        for name, count in _met(total)
    ]
    parts.append(markdown_table(("cause", "targets", "share", "primary", "codes"), rows, right=(1, 2, 3)))
    for column, groups in stats.by.items():
        names, group_rows, left_out = _group_rows(groups)
        parts += ["", markdown_table((column, *names), group_rows, right=range(1, 7))]
        if left_out:
            parts += ["", f"and {left_out} smaller groups"]
    return "\n".join(parts) + "\n"


def as_prometheus(stats: Stats) -> str:
    """The statistics in the text exposition format 0.0.4, for a textfile collector."""
    lines: list[str] = []
    total = stats.total

    def metric(name: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} gauge")
        for labels, value in samples:
            inside = ",".join(f'{label}="{prometheus_label(text)}"' for label, text in labels.items())
            lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")

    metric("tlsweep_findings", "Targets by outcome.", [({"outcome": o}, total.outcomes[o]) for o in OUTCOMES])
    metric("tlsweep_unreadable_lines", "Lines that held no finding.", [({}, stats.unreadable_lines)])
    causes = total.in_order()
    metric(
        "tlsweep_cause_targets",
        "Targets with any diagnosis of the cause.",
        [({"cause": n}, c.targets) for n, c in causes],
    )
    metric(
        "tlsweep_cause_primary",
        "Targets whose finding is named by the cause.",
        [({"cause": n}, c.primary) for n, c in causes],
    )
    metric(
        "tlsweep_code_targets",
        "Targets with a diagnosis of the code.",
        [({"cause": n, "code": code}, count) for n, c in causes for code, count in sorted(c.codes.items())],
    )
    groups = [(column, value, tally) for column, values in stats.by.items() for value, tally in largest_first(values)]
    if groups:
        metric(
            "tlsweep_group_findings",
            "Targets by outcome and value of an inventory column.",
            [({"column": c, "value": v, "outcome": o}, t.outcomes[o]) for c, v, t in groups for o in OUTCOMES],
        )
        metric(
            "tlsweep_group_cause_targets",
            "Targets with any diagnosis of the cause, by value of an inventory column.",
            [({"column": c, "value": v, "cause": n}, count.targets) for c, v, t in groups for n, count in _met(t)],
        )
    return "\n".join(lines) + "\n"


FORMATS: Final[dict[str, Callable[[Stats], str]]] = {
    "table": as_table,
    "json": as_json,
    "markdown": as_markdown,
    "prometheus": as_prometheus,
}


def prometheus_label(text: str) -> str:
    """A label's value: backslash, quote and line feed escaped, as the format demands; what is not UTF-8 replaced."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return escaped.encode("utf-8", "replace").decode("utf-8")


_MARKDOWN_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;", ".": "."}
_MARKDOWN_MARKS: Final = re.compile(r"[\\`*_{}\[\]()#+!|~$]")


def markdown_text(text: str) -> str:
    """Text that shows as itself inside a Markdown table cell: no markup, HTML, link, mention or line break."""
    escaped = _MARKDOWN_MARKS.sub(r"\\\g<0>", printable(text))
    return "".join(_MARKDOWN_ENTITIES.get(character, character) for character in escaped)


def _headline(stats: Stats) -> str:
    total = stats.total
    outcomes = ", ".join(f"{total.outcomes[name]:,} {name}" for name in OUTCOMES)
    unreadable = f"; {stats.unreadable_lines:,} unreadable lines" if stats.unreadable_lines else ""
    return f"{total.findings:,} findings: {outcomes}{unreadable}"


def _met(tally: Tally) -> list[tuple[str, CauseCount]]:
    """Causes that some target has, the most frequent first."""
    return sorted((item for item in tally.in_order() if item[1].targets), key=lambda item: -item[1].targets)


def _codes_text(count: CauseCount) -> str:
    ordered = sorted(count.codes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{code} {number}" for code, number in ordered)


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "-"


_GROUP_COLUMNS: Final = ("targets", *OUTCOMES, "failing", "most frequent causes")


def _group_rows(groups: Mapping[str, Tally]) -> tuple[tuple[str, ...], list[list[str]], int]:
    ordered = largest_first(groups)
    rows = []
    for value, tally in ordered[:MAX_GROUPS_SHOWN]:
        causes = ", ".join(f"{name} {count.targets}" for name, count in _met(tally)[:3])
        counts = [str(tally.outcomes[outcome]) for outcome in OUTCOMES]
        failing = _percent(tally.outcomes["fail"], tally.findings)
        rows.append([value or NO_VALUE, str(tally.findings), *counts, failing, causes])
    return _GROUP_COLUMNS, rows, max(len(ordered) - MAX_GROUPS_SHOWN, 0)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table for the terminal, whatever the cells hold; columns of ``right`` are numbers, the last one may fold."""
    last = len(header) - 1
    shown = [
        [printable(cell) if index == last else shorten(printable(cell), MAX_CELL) for index, cell in enumerate(row)]
        for row in (header, *rows)
    ]
    widths = [max(display_width(row[index]) for row in shown) for index in range(len(header))]
    lines = []
    for row in shown:
        first, *rest = _folded(row[last])
        cells = [pad(cell, widths[index], right=index in right) for index, cell in enumerate((*row[:last], first))]
        lines.append("  ".join(cells).rstrip())
        lines += [" " * (sum(widths[:last]) + 2 * last) + line for line in rest]
    lines.insert(1, "  ".join("-" * width for width in widths[:-1]) + "  " + "-" * len(header[-1]))
    return "\n".join(lines)


def _folded(text: str) -> list[str]:
    """A list of words as lines, broken after commas."""
    lines = [""]
    for part in text.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if lines[-1] and display_width(joined) > LAST_COLUMN:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return lines


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table in GitHub's Markdown, whatever the cells hold; columns of ``right`` are numbers."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"

    rule = "| " + " | ".join("---:" if index in right else "---" for index in range(len(header))) + " |"
    return "\n".join([line(header), rule, *map(line, rows)])
