"""Views that answer the usual questions. Written once, in SQL that all dialects share but for a few expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# What differs: a tag out of the JSON text, whole days between two times, now in UTC.
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "duckdb": {
        "tag": "json_extract_string({json}, '$.\"{name}\"')",
        "days": "date_diff('day', {a}, {b})",
        "now": "CAST(now() AT TIME ZONE 'UTC' AS TIMESTAMP)",
    },
    "postgres": {
        "tag": "({json} ->> '{name}')",
        "days": "(CAST({b} AS date) - CAST({a} AS date))",
        "now": "(now() AT TIME ZONE 'UTC')",
    },
    "bigquery": {
        "tag": "JSON_VALUE({json}, '$.\"{name}\"')",
        "days": "DATETIME_DIFF({b}, {a}, DAY)",
        "now": "CURRENT_DATETIME('UTC')",
    },
    "snowflake": {
        "tag": 'PARSE_JSON({json}):"{name}"::VARCHAR',
        "days": "DATEDIFF(day, {a}, {b})",
        "now": "SYSDATE()",
    },
    "clickhouse": {
        "tag": "JSONExtractString(ifNull({json}, ''), '{name}')",
        "days": "dateDiff('day', {a}, {b})",
        "now": "now('UTC')",
    },
}

# The column of the inventory that says whose a service is; write another name here where it is called otherwise.
OWNER: Final = "owner"
TEAM: Final = "team"

_VIEWS: Final[Mapping[str, tuple[str, str]]] = {
    "latest_run": (
        "The run that began last.",
        "SELECT run, run_date FROM runs WHERE first_started = (SELECT max(first_started) FROM runs)",
    ),
    "expiring": (
        "Services of the latest run with the days that their certificate has left, by owner: add WHERE days_left <= N.",
        "SELECT {owner} AS owner, f.host, f.port, f.protocol, c.not_after, {days_left} AS days_left, c.subject, c.issuer,\n"
        "  c.sha256\n"
        "FROM findings f\n"
        "JOIN latest_run l ON l.run = f.run\n"
        "JOIN certificates c ON c.sha256 = f.leaf",
    ),
    "causes_by_team": (
        "Targets of the latest run by team and cause, the worst first.",
        "SELECT {team} AS team, d.cause, d.code, d.severity, count(DISTINCT f.{row}) AS targets\n"
        "FROM findings f\n"
        "JOIN latest_run l ON l.run = f.run\n"
        "JOIN diagnoses d ON d.run = f.run AND d.{row} = f.{row}\n"
        "GROUP BY 1, 2, 3, 4\n"
        "ORDER BY 5 DESC",
    ),
    "failures": (
        "Each stretch of runs in which a target failed for one cause: first and last run that saw it, and the run that did not.",
        "SELECT host, port, protocol, sni, address, id, cause, min(started) AS first_seen, max(started) AS last_seen,\n"
        "  min(next_ok) AS fixed_by\n"
        "FROM (\n"
        "  SELECT f.host, f.port, f.protocol, f.sni, f.address, f.id, f.cause, f.started,\n"
        "    (SELECT min(o.started) FROM findings o\n"
        "     WHERE o.host = f.host AND o.port = f.port AND o.protocol = f.protocol AND o.started > f.started\n"
        "       AND (o.cause IS NULL OR o.cause <> f.cause)) AS next_ok\n"
        "  FROM findings f WHERE f.cause IS NOT NULL\n"
        ") seen\n"
        "GROUP BY host, port, protocol, sni, address, id, cause, next_ok",
    ),
    "time_to_fix": (
        "Mean days from the first run that saw a failure to the first that did not, by cause; what is still open is counted apart.",
        "SELECT cause, avg({fix_days}) AS mean_days, count(fixed_by) AS fixed,\n"
        "  count(*) - count(fixed_by) AS still_open\n"
        "FROM failures\n"
        "GROUP BY cause",
    ),
}


def views(dialect: str) -> list[str]:
    """The statements that make the views, in the order in which they stand on each other."""
    words = _WORDS[dialect]
    parts = {
        "owner": words["tag"].format(json="f.tags", name=OWNER),
        "team": words["tag"].format(json="f.tags", name=TEAM),
        "days_left": words["days"].format(a=words["now"], b="c.not_after"),
        "fix_days": words["days"].format(a="first_seen", b="fixed_by"),
        "row": quoted("row", dialect),
    }
    return [
        f"-- {about}\nCREATE OR REPLACE VIEW {name} AS\n{query.format(**parts)};"
        for name, (about, query) in _VIEWS.items()
    ]


def view_names() -> tuple[str, ...]:
    """The views, in the order in which they stand on each other."""
    return tuple(_VIEWS)


# Words of SQL that these tables use as names of columns.
_RESERVED: Final = {
    "duckdb": frozenset({"position", "row"}),
    "postgres": frozenset({"position", "row"}),
    "bigquery": frozenset({"row", "rows"}),
    "snowflake": frozenset({"row", "rows"}),
    "clickhouse": frozenset[str](),
}


def quoted(name: str, dialect: str) -> str:
    """A column's name as it can stand in a statement."""
    if name not in _RESERVED[dialect]:
        return name
    return f"`{name}`" if dialect == "bigquery" else f'"{name.upper() if dialect == "snowflake" else name}"'
