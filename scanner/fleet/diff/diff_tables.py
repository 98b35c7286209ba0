"""What changed between runs, for a reader: tables for the terminal, Markdown, JSON. Written as it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import orjson

from scanner.fleet.diff.comparison import SCHEMA, Diff, Summary
from scanner.fleet.diff.target_states import CATEGORIES, TITLES, Change, TargetState
from scanner.fleet.layout import markdown_table, markdown_text, text_table
from scanner.text import printable, quoted

# Targets of one category that a person is shown; JSON has them all.
MAX_SHOWN: Final = 30
# Those that are counted and not listed for a person: nothing has to be done about them.
COUNTED_ONLY: Final = frozenset({"still_broken"})

_HEADER: Final = ("target", "row", "was", "is", "codes")
_ABSENT: Final = "absent"


def as_json(diff: Diff) -> Iterator[str]:
    """Yield the comparison, schema ``tlsweep-diff/1``: one document, a change a line, so that it need not fit into memory."""
    summary = diff.summary()
    head = {"schema": SCHEMA, "files": [facts.to_json() for facts in summary.files], "counts": dict(summary.counts)}
    yield orjson.dumps(head).decode()[:-1]
    for category in CATEGORIES:
        yield f',\n"{category}":['
        comma = "\n"
        for change in diff.in_category(category):
            yield comma + orjson.dumps(change.to_json()).decode()
            comma = ",\n"
        yield "]"
    yield "}\n"


def as_table(diff: Diff) -> Iterator[str]:
    """Yield tables for the terminal."""
    return _for_a_person(diff, lambda title: printable(title) + "\n", text_table, printable)


def as_markdown(diff: Diff) -> Iterator[str]:
    """Yield Markdown tables (GitHub's dialect), with everything from outside escaped."""
    return _for_a_person(diff, lambda title: f"### {markdown_text(title)}\n\n", markdown_table, markdown_text)


def as_prometheus(diff: Diff) -> Iterator[str]:
    """Yield the counts in the text exposition format 0.0.4, for a textfile collector."""
    summary = diff.summary()
    yield "# HELP tlsweep_diff_targets Targets by what became of them since the earlier run.\n"
    yield "# TYPE tlsweep_diff_targets gauge\n"
    for name, count in summary.counts.items():
        yield f'tlsweep_diff_targets{{change="{name}"}} {count}\n'


FORMATS: Final[Mapping[str, Callable[[Diff], Iterator[str]]]] = {
    "table": as_table,
    "json": as_json,
    "markdown": as_markdown,
    "prometheus": as_prometheus,
}


def _for_a_person(
    diff: Diff, heading: Callable[[str], str], table: Callable[..., str], plain: Callable[[str], str]
) -> Iterator[str]:
    summary = diff.summary()
    yield from (plain(line) + "\n" for line in _files(summary))
    counts = [[TITLES[name], str(summary.counts[name])] for name in CATEGORIES if summary.counts[name]]
    counts.append(["As before, and not failing", str(summary.counts["unchanged"])])
    yield "\n" + table(("what", "targets"), counts, (1,)) + "\n"
    for category in CATEGORIES:
        if category in COUNTED_ONLY or not summary.counts[category]:
            continue
        rows = [_row(change, category) for change in islice(diff.in_category(category), MAX_SHOWN)]
        yield "\n" + heading(TITLES[category])
        yield table(_HEADER, rows, (1,)) + "\n"
        if summary.counts[category] > len(rows):
            yield plain(f"and {summary.counts[category] - len(rows)} more (--format json has them all)") + "\n"


def _files(summary: Summary) -> Iterator[str]:
    for facts in summary.files:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(facts.outcomes.items()))
        words = f"{quoted(facts.path, 200)[1:-1]}: {facts.findings} findings ({outcomes})"
        if len(facts.runs) > 1:
            words += f"; of {len(facts.runs)} runs"
        if facts.duplicates:
            words += f"; {facts.duplicates} about a target that has another one, of a later run or worse, which counts"
        if facts.unreadable_lines:
            words += f"; {facts.unreadable_lines} unreadable line{'' if facts.unreadable_lines == 1 else 's'}"
        yield words


def _row(change: Change, category: str) -> list[str]:
    new = change.new or change.old
    codes = ", ".join(new.codes) if new is not None else ""
    if category == "replaced":
        codes = _replacement(change)
    elif category == "flapping":
        codes = " ".join(change.outcomes)
    row = "" if new is None or new.row is None else str(new.row)
    return [name_of(change.target), row, _words(change.old), _words(change.new), codes]


def _replacement(change: Change) -> str:
    assert change.old is not None and change.new is not None
    until = f"until {(change.new.not_after or '?')[:10]}"
    if change.same_issuer is None:
        return until
    return f"same issuer, {until}" if change.same_issuer else f"now by {change.new.issuer or '(no name)'}, {until}"


def _words(state: TargetState | None) -> str:
    if state is None:
        return _ABSENT
    return state.outcome if state.cause is None else f"{state.outcome} ({state.cause})"


def name_of(target: Mapping[str, Any]) -> str:
    """Return the name of a target for a person; untrusted, as it came."""
    host, port = target.get("host"), target.get("port")
    if not host:
        return str(target.get("id") or "(no host)")
    name = f"[{host}]" if ":" in str(host) else str(host)
    if port is not None:
        name += f":{port}"
    protocol = target.get("protocol")
    if protocol not in (None, "tls", "https"):
        name = f"{protocol}://{name}"
    if target.get("address"):
        name += f" at {target['address']}"
    if target.get("sni") not in (None, host):
        name += f" as {target['sni']}"
    return name
