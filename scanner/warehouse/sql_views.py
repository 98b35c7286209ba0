"""SQL views for the most common questions, written once with placeholders for what differs between dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

# What differs between dialects: a tag from the JSON text (null if absent), whole days between the dates of two times,
# seconds between two times, now in UTC, and each certificate once.
_EXPRESSIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "duckdb": {
        "tag": "json_extract_string({json}, '$.\"{name}\"')",
        "days": "date_diff('day', {a}, {b})",
        "seconds": "date_diff('second', {a}, {b})",
        "now": "CAST(now() AT TIME ZONE 'UTC' AS TIMESTAMP)",
        "certificates": "certificates c",
    },
    "postgres": {
        "tag": "({json} ->> '{name}')",
        "days": "(CAST({b} AS date) - CAST({a} AS date))",
        "seconds": "EXTRACT(EPOCH FROM ({b} - {a}))",
        "now": "(now() AT TIME ZONE 'UTC')",
        "certificates": "certificates c",
    },
    "bigquery": {
        "tag": "JSON_VALUE({json}, '$.\"{name}\"')",
        "days": "DATETIME_DIFF({b}, {a}, DAY)",
        "seconds": "DATETIME_DIFF({b}, {a}, SECOND)",
        "now": "CURRENT_DATETIME('UTC')",
        "certificates": "DATASET.certificates c",
    },
    "snowflake": {
        "tag": "JSON_EXTRACT_PATH_TEXT({json}, '{name}')",
        "days": "DATEDIFF(day, {a}, {b})",
        "seconds": "DATEDIFF(second, {a}, {b})",
        "now": "SYSDATE()",
        "certificates": "certificates c",
    },
    "clickhouse": {
        "tag": "nullIf(JSON_VALUE(ifNull({json}, ''), '$.\"{name}\"'), '')",
        "days": "dateDiff('day', {a}, {b})",
        "seconds": "dateDiff('second', {a}, {b})",
        "now": "now('UTC')",
        # ReplacingMergeTree merges rows with equal keys only eventually
        "certificates": "certificates AS c FINAL",
    },
}

# Inventory columns that name the owner of a service; if one is absent, the other is used.
OWNER: Final = "owner"
TEAM: Final = "team"

# Columns that identify a target across runs: scanner.fleet.keys.IDENTITY.
_TARGET: Final = "host, port, protocol, sni, address, id"


class View(Struct, frozen=True):
    """A view; ``query`` has placeholders for the expressions of a dialect."""

    about: str
    query: str


VIEWS: Final[Mapping[str, View]] = {
    "latest_run": View(
        "The run that began last.",
        "SELECT run, run_date FROM {at}runs\nWHERE first_started = (SELECT max(first_started) FROM {at}runs)",
    ),
    "expiring": View(
        "Certificates that services of the latest run showed, with the days they have left (negative: expired), by owner.",
        "SELECT {owner} AS owner, f.host AS host, f.port AS port, f.protocol AS protocol, f.sni AS sni,\n"
        "  c.not_after AS not_after, {days_left} AS days_left, c.subject AS subject, c.issuer AS issuer,\n"
        "  c.sha256 AS sha256, count(*) AS addresses\n"
        "FROM {at}findings f\n"
        "JOIN {at}latest_run l ON l.run = f.run\n"
        "JOIN {at}chains n ON n.run = f.run AND n.row = f.row\n"
        "JOIN {certificates} ON c.sha256 = n.sha256\n"
        "WHERE n.position = 0 AND n.endpoint >= 0 AND c.not_after IS NOT NULL\n"
        "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    ),
    "causes_by_team": View(
        "Targets of the latest run by team and cause: those that fail for it, and all that it was seen at.",
        "SELECT {team} AS team, d.cause AS cause,\n"
        "  count(DISTINCT CASE WHEN d.severity = 'error' THEN f.row END) AS failing,\n"
        "  count(DISTINCT f.row) AS targets\n"
        "FROM {at}findings f\n"
        "JOIN {at}latest_run l ON l.run = f.run\n"
        "JOIN {at}diagnoses d ON d.run = f.run AND d.row = f.row\n"
        "GROUP BY 1, 2",
    ),
    "failures": View(
        "Each stretch of runs in which a target failed for one cause; ended: when a run first saw it otherwise, ended_with: for"
        " which cause it failed then, null where it did not.",
        "WITH judged AS (\n"
        "  SELECT {target}, cause, started, run,\n"
        "    CASE WHEN LAG(coalesce(cause, '-')) OVER (PARTITION BY {target} ORDER BY started, run)\n"
        "      = coalesce(cause, '-') THEN 0 ELSE 1 END AS begins\n"
        "  FROM {at}findings\n"
        "  WHERE outcome <> 'invalid' AND error IS NULL AND started IS NOT NULL\n"
        "), numbered AS (\n"
        "  SELECT {target}, cause, started,\n"
        "    SUM(begins) OVER (PARTITION BY {target} ORDER BY started, run\n"
        "      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS stretch\n"
        "  FROM judged\n"
        "), stretches AS (\n"
        "  SELECT {target}, cause, stretch, min(started) AS first_seen, max(started) AS last_seen, count(*) AS seen_by\n"
        "  FROM numbered\n"
        "  GROUP BY {target}, cause, stretch\n"
        "), followed AS (\n"
        "  SELECT {target}, cause, first_seen, last_seen, seen_by,\n"
        "    LEAD(first_seen) OVER (PARTITION BY {target} ORDER BY stretch) AS ended,\n"
        "    LEAD(cause) OVER (PARTITION BY {target} ORDER BY stretch) AS ended_with\n"
        "  FROM stretches\n"
        ")\n"
        "SELECT {target}, cause, first_seen, last_seen, seen_by, ended, ended_with\n"
        "FROM followed\n"
        "WHERE cause IS NOT NULL",
    ),
    "time_to_fix": View(
        "Mean days from the first run that saw a failure to the first that saw the target in order, by cause; beside it how many"
        " failures gave way to another cause, and how many are still open.",
        "SELECT cause,\n"
        "  avg(CASE WHEN ended IS NOT NULL AND ended_with IS NULL THEN {fix_seconds} / 86400.0 END) AS mean_days,\n"
        "  count(CASE WHEN ended IS NOT NULL AND ended_with IS NULL THEN 1 END) AS fixed,\n"
        "  count(ended_with) AS became_another,\n"
        "  count(*) - count(ended) AS still_open\n"
        "FROM {at}failures\n"
        "GROUP BY cause",
    ),
}


def create_view(name: str, dialect: str) -> str:
    """Return the statement that creates a view, ending with a semicolon. A view depends only on those before it."""
    words, view = _EXPRESSIONS[dialect], VIEWS[name]
    query = view.query.format(
        at=qualifier(dialect),
        certificates=words["certificates"],
        owner=_tags(words["tag"], OWNER, TEAM),
        team=_tags(words["tag"], TEAM, OWNER),
        days_left=words["days"].format(a=words["now"], b="c.not_after"),
        fix_seconds=words["seconds"].format(a="first_seen", b="ended"),
        target=_TARGET,
    )
    return f"-- {view.about}\nCREATE OR REPLACE VIEW {qualifier(dialect)}{name} AS\n{query};"


def _tags(template: str, *names: str) -> str:
    """Return an expression for the first of these tags that is present."""
    return f"coalesce({', '.join(template.format(json='f.tags', name=name) for name in names)})"


def qualifier(dialect: str) -> str:
    """Return the prefix of table and view names: BigQuery's views have no default dataset."""
    return "DATASET." if dialect == "bigquery" else ""
