"""Converts a finding into rows of the warehouse's tables. Values of an unexpected type become null.

The rows lack ``run_date``, which is known only once all of a run has been read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from scanner.fleet.keys import domain_of, leaf_of, records_in
from scanner.model.findings import CertificateRecord, DiagnosisRecord, EndpointRecord, Finding
from scanner.warehouse.tables import CERTIFICATES, DIAGNOSES, ENDPOINTS, FINDINGS, ColumnType, Table

Row = dict[str, Any]

_INTEGERS: Final = range(-(2**63), 2**63)
_SHA256_DIGITS: Final = 64
# DuckDB reads JSON of up to 128 levels; our own findings have far fewer.
MAX_DEPTH: Final = 100


class _RowReader:
    """Reads the columns of a table from a record in a finding, at the paths that are the columns' sources.

    ``prefix`` is the path of the record, ``known`` the names of its fields. Other fields go into the column ``more``.
    """

    def __init__(self, table: Table, prefix: str, known: Set[str]) -> None:
        self._known = known
        self._fields: list[tuple[str, str, Callable[[Any], Any]]] = []  # column, field, conversion
        # name of a nested record -> the columns that are read from it, by field
        self._nested: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {}
        for column in table.columns:
            if not column.source or not column.source.startswith(prefix):
                continue
            outer, nested, field = column.source.removeprefix(prefix).partition(".")
            if nested:
                self._nested.setdefault(outer, {})[field] = column.name, _CONVERTERS[column.kind]
            else:
                self._fields.append((column.name, outer, _CONVERTERS[column.kind]))

    def read(self, record: Mapping[str, Any], **derived: Any) -> Row:
        """Return a row; ``derived`` has the columns that are not read from the record."""
        get = record.get
        row = {name: convert(get(field)) for name, field, convert in self._fields}
        more = _unknown_fields(record, self._known)
        for outer, columns in self._nested.items():
            inner = _mapping(record.get(outer))
            for field, (name, convert) in columns.items():
                row[name] = convert(inner.get(field))
            if other := _unknown_fields(inner, columns.keys()):
                more = {**(more or {}), outer: other}
        row["more"] = more
        row.update(derived)
        return row


def finding_row(finding: Mapping[str, Any], run: str, row: int) -> Row:
    """Return the row of ``findings``."""
    identifier, leaf = _mapping(finding.get("target")).get("id"), leaf_of(finding)
    return _FINDING.read(
        finding,
        run=run,
        row=row,
        id=None if identifier is None else str(identifier),
        domain=domain_of(finding),
        leaf=None if leaf is None else _text(leaf.get("sha256")),
    )


def diagnosis_rows(finding: Mapping[str, Any], run: str, row: int) -> Iterator[Row]:
    """Yield the rows of ``diagnoses``."""
    for position, diagnosis in enumerate(records_in(finding.get("diagnoses"))):
        yield _DIAGNOSIS.read(diagnosis, run=run, row=row, position=position)


def endpoint_rows(finding: Mapping[str, Any], run: str, row: int) -> Iterator[Row]:
    """Yield the rows of ``endpoints``."""
    for position, endpoint in enumerate(records_in(finding.get("endpoints"))):
        trust = _mapping(endpoint.get("trust"))
        trusted = any(_mapping(store).get("trusted") is True for store in trust.values()) if trust else None
        yield _ENDPOINT.read(endpoint, run=run, row=row, position=position, trusted=trusted)


def chain_rows(finding: Mapping[str, Any], run: str, row: int) -> Iterator[Row]:
    """Yield the rows of ``chains``."""
    sent = set()
    for number, endpoint in enumerate(records_in(finding.get("endpoints"))):
        for place, sha256 in enumerate(_texts(endpoint.get("chain")) or ()):
            sent.add(sha256)
            yield {
                "run": run, "row": row, "endpoint": number, "position": place,
                "address": _text(endpoint.get("address")), "sha256": sha256, "source": None,
            }  # fmt: skip
    for place, certificate in enumerate(records_in(finding.get("certificates"))):
        unsent = _text(certificate.get("sha256"))
        if unsent is not None and unsent not in sent:
            yield {
                "run": run, "row": row, "endpoint": -1, "position": place,
                "address": None, "sha256": unsent, "source": _text(certificate.get("source")),
            }  # fmt: skip


def certificates_of(finding: Mapping[str, Any]) -> Iterator[tuple[str, bool, Mapping[str, Any]]]:
    """Yield (SHA-256, whether it has its DER, record) for each certificate of a finding that has a SHA-256."""
    for record in records_in(finding.get("certificates")):
        sha256 = record.get("sha256")
        if isinstance(sha256, str) and len(sha256) == _SHA256_DIGITS:
            yield sha256, isinstance(record.get("der"), str), record


def certificate_row(record: Mapping[str, Any]) -> Row:
    """Return a row of ``certificates``."""
    return _CERTIFICATE.read(record)


class TooDeep(Exception):
    """A value is nested more deeply than databases can read."""


def encode_row(row: Row) -> bytes:
    """Return a row as a line of JSON. Raises ``TooDeep`` if a value has ``MAX_DEPTH`` levels or more."""
    try:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # orjson can read four times as many levels as it can write
        raise TooDeep from None
    # every level takes a bracket, so hardly any row needs the walk
    if line.count(b"[") + line.count(b"{") >= MAX_DEPTH and not _is_shallow(row):
        raise TooDeep
    return line


# --- values ------------------------------------------------------------------------------------------


def timestamp(value: Any) -> str | None:
    """Convert an RFC 3339 time to UTC in the form that all databases read, ``2026-11-23 06:00:00.000``.

    Returns ``None`` for any other value.
    """
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        if value[4:5] + value[7:8] + value[10:11] + value[19:20] + value[23:] == "--T.Z":
            return f"{value[:10]} {value[11:23]}"  # the form that our findings have
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return found.isoformat(" ", "milliseconds")


def _is_shallow(value: Any) -> bool:
    """Return whether a value has fewer than ``MAX_DEPTH`` levels. Walks level by level, without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return True
    return False


def _unknown_fields(record: Mapping[str, Any], known: Set[str]) -> Row | None:
    if record.keys() <= known:
        return None
    return {name: record[name] for name in record if name not in known}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


_CONVERTERS: Final[Mapping[ColumnType, Callable[[Any], Any]]] = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: lambda value: value if type(value) is int and value in _INTEGERS else None,
    ColumnType.DOUBLE: lambda value: float(value) if type(value) in (int, float) else None,
    ColumnType.BOOLEAN: lambda value: value if isinstance(value, bool) else None,
    ColumnType.TIMESTAMP: timestamp,
    ColumnType.TEXTS: _texts,
    ColumnType.JSON: lambda value: value,
}
_FINDING: Final = _RowReader(FINDINGS, "", Finding.__annotations__.keys())
_DIAGNOSIS: Final = _RowReader(DIAGNOSES, "diagnoses[].", DiagnosisRecord.__annotations__.keys())
_ENDPOINT: Final = _RowReader(ENDPOINTS, "endpoints[].", EndpointRecord.__annotations__.keys())
_CERTIFICATE: Final = _RowReader(CERTIFICATES, "certificates[].", CertificateRecord.__annotations__.keys())
