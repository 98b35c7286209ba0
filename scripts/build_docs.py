"""Write the generated documentation: docs/finding.md, the diagram in docs/architecture.md, the tables in docs/warehouse.md.

python -m scripts.build_docs            # writes all
python -m scripts.build_docs --check    # exit 1 if one is stale
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from scanner.tls import constants
from scanner.tls.events import TRANSITIONS, State
from scanner.warehouse.ddl import column_type, load_commands
from scanner.warehouse.sql_views import VIEWS
from scanner.warehouse.tables import FINDINGS, TABLES, Column
from scripts.generated import write_or_check

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA: Final = ROOT / "scanner" / "data" / "finding.schema.json"
FINDING: Final = ROOT / "docs" / "finding.md"
ARCHITECTURE: Final = ROOT / "docs" / "architecture.md"
WAREHOUSE: Final = ROOT / "docs" / "warehouse.md"
BEGIN: Final = "<!-- made by scripts/build_docs.py from scanner/tls/events.py -->\n"
END: Final = "<!-- end -->\n"

# ServerHello alone leads to one of several states; the label of each
SERVER_HELLOS: Final[dict[State, str]] = {
    State.SERVER_HELLO: "HelloRetryRequest",
    State.ENCRYPTED_EXTENSIONS: "ServerHello of TLS 1.3",
    State.OLD_CERTIFICATE: "ServerHello of TLS 1.2 and older",
}

HEAD: Final = """# The fields of a finding

This page is made from `scanner/model/findings.py` by `scripts/build_docs.py`. The same, for machines: `tlsweep schema finding`.

A findings file holds one JSON object a line (NDJSON, UTF-8). Fields are only ever added within `tlsweep/1`, so a reader
must leave alone what it does not know. A field that is not known is absent or `null`, never guessed. Text from servers,
certificates and inventories is exact: it may hold control characters and must be escaped before it is shown.
"""


def finding_page() -> str:
    """Return the schema of a finding as a page."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    records: dict[str, Mapping[str, Any]] = {"Finding": schema, **schema["$defs"]}
    parts = [HEAD]
    for name in _in_order(records):
        record = records[name]
        parts.append(
            f"\n## {name}\n\n{_prose(record['description'])}\n\n| field | type | what it is |\n| --- | --- | --- |\n"
        )
        for field, about in record["properties"].items():
            text = about.get("description", "")
            always = "" if field in record["required"] or "absent" in text else " May be absent."
            parts.append(f"| `{field}` | {_type(about)} | {_prose(text)}{always} |\n")
    return "".join(parts)


def _in_order(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of the records, each after the one that first mentions it."""
    order = ["Finding"]
    for name in order:
        order += [other for other in dict.fromkeys(_mentioned(records[name]["properties"])) if other not in order]
    return order


def _mentioned(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for value in node.values():
            yield from _mentioned(value)
    elif isinstance(node, list):
        for value in node:
            yield from _mentioned(value)


def _type(about: Mapping[str, Any]) -> str:
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in about:
        return f"`{about['const']}`"
    if "enum" in about:
        return ", ".join(f"`{value}`" for value in about["enum"])
    if "anyOf" in about:
        return " or ".join(_type(one) for one in about["anyOf"])
    kind = about.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"list of {_type(about['items'])}"
    if kind == "object":
        return f"object of {_type(about['additionalProperties'])}"
    return str(kind)


def _prose(text: str) -> str:
    """Convert reStructuredText literals to Markdown, and escape bars, which would end a table cell."""
    return text.replace("``", "`").replace("|", "\\|")


def states() -> str:
    """Return the transitions as a Mermaid diagram."""
    names = {
        value: "".join(word.capitalize() for word in key.split("_"))
        for key, value in vars(constants).items()
        if key in MESSAGES
    }
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.SERVER_HELLO.name}"]
    for (state, kind), following in TRANSITIONS.items():
        for after in following:
            content = SERVER_HELLOS[after] if kind == constants.SERVER_HELLO else names[kind]
            lines.append(f"    {state.name} --> {after.name}: {content}")
    return "\n".join([*lines, f"    {State.COMPLETE.name} --> [*]", "```", ""])


MESSAGES: Final = (
    "SERVER_HELLO",
    "ENCRYPTED_EXTENSIONS",
    "CERTIFICATE",
    "SERVER_KEY_EXCHANGE",
    "CERTIFICATE_REQUEST",
    "SERVER_HELLO_DONE",
    "CERTIFICATE_VERIFY",
    "FINISHED",
    "CERTIFICATE_STATUS",
)


def architecture_page() -> str:
    """Return docs/architecture.md with the current diagram."""
    return _with_part(ARCHITECTURE.read_text("utf-8"), BEGIN, states(), ARCHITECTURE.name)


def _with_part(page: str, mark: str, part: str, name: str) -> str:
    """Return ``page`` with the text between ``mark`` and the next end mark replaced by ``part``."""
    before, found, rest = page.partition(mark)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise SystemExit(f"{name} has lost the marks {mark.strip()} and {END.strip()}")
    return f"{before}{mark}\n{part}\n{END}{after}"


def warehouse_page() -> str:
    """Return docs/warehouse.md with the current tables, views and load commands."""
    page = WAREHOUSE.read_text("utf-8")
    for what, part in (("load commands", _load_commands()), ("views", _views()), ("tables", _tables())):
        page = _with_part(page, f"<!-- made by scripts/build_docs.py: {what} -->\n", part, WAREHOUSE.name)
    return page


def _load_commands() -> str:
    parts = []
    for dialect in ("bigquery", "snowflake", "clickhouse"):
        lines = "\n".join(load_commands(FINDINGS, dialect))
        parts.append(f"{DIALECT_NAMES[dialect]}:\n\n```\n{lines}\n```\n")
    return "\n".join(parts)


DIALECT_NAMES: Final = {"bigquery": "BigQuery", "snowflake": "Snowflake", "clickhouse": "ClickHouse"}


def _views() -> str:
    rows = [f"| `{name}` | {_prose(view.about)} |\n" for name, view in VIEWS.items()]
    return "".join(["| view | what it has |\n| --- | --- |\n", *rows])


def _tables() -> str:
    parts = []
    for table in TABLES:
        rows = [
            f"| `{column.name}`{' (key)' if column.key else ''} | {_sql_type(column)} | {_origin(column)} |\n"
            for column in table.columns
        ]
        parts.append(
            f"### {table.name}\n\n{_prose(table.about)}\n\n| column | type | from |\n| --- | --- | --- |\n{''.join(rows)}"
        )
    return "\n".join(parts)


def _sql_type(column: Column) -> str:
    return column_type(column, "duckdb").removesuffix(" NOT NULL").lower()


def _origin(column: Column) -> str:
    return ", ".join(filter(None, (column.source and f"`{column.source}`", _prose(column.about))))


if __name__ == "__main__":
    write_or_check(
        __doc__, [(FINDING, finding_page()), (ARCHITECTURE, architecture_page()), (WAREHOUSE, warehouse_page())]
    )
