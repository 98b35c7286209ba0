"""Findings read back from files that may be torn, compressed, or something else altogether."""

from __future__ import annotations

import os
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, BinaryIO, Final, TypeVar

import orjson
from msgspec import Struct

from scanner.errors import TlsweepError
from scanner.lines import StreamBroken, batches_of_lines, blocks, close_binary, open_binary, open_named
from scanner.model.findings import OUTCOMES, SCHEMA
from scanner.text import printable, quoted, shorten

# A finding has a few KB, with a hundred addresses and long chains some hundred KB. Longer lines are not findings.
MAX_FINDING_LINE: Final = 8 * 1024 * 1024

# Without a finding in this many lines a file is not a findings file; reported early instead of after gigabytes.
MAX_LINES_BEFORE_FINDING: Final = 10_000

# Bytes of lines that are parsed together: some 30 findings, which as objects stay in a processor's cache until they are used.
BATCH_BYTES: Final = 128 << 10
# Bytes read at a time of a part of a file.
PART_BLOCK: Final = 256 * 1024

# What reading values raises where they are not shaped like those of our own findings.
BAD_SHAPE_ERRORS: Final = (
    KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError
)  # fmt: skip

_OUTCOMES: Final = frozenset(OUTCOMES)
_SHAPE: Final = itemgetter("schema", "outcome", "target")
_SCHEMAS: Final = frozenset((SCHEMA,))
_OBJECTS: Final = frozenset((dict,))


class NotFindings(TlsweepError):
    """A file cannot be read, or no line in it is a finding."""


class Unreadable(Struct, frozen=True):
    """A line that is not a finding, and why."""

    path: str
    line: int
    reason: str


Made = TypeVar("Made")
# Makes something of the findings in a batch, which are parsed one by one as it asks for them. Raises ``BAD_SHAPE_ERRORS``.
Make = Callable[[Iterator[dict[str, Any]]], Made]
# What was made of a batch, or of one for which ``Make`` raised the findings and the lines that are not findings.
Batch = tuple[Made | None, list[dict[str, Any] | Unreadable]]


def finding_of(raw: bytes) -> dict[str, Any] | str:
    """Return the finding in a line, or why it is not one. Never raises."""
    if len(raw) > MAX_FINDING_LINE:
        return f"longer than {MAX_FINDING_LINE} bytes"
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return "holds zero bytes" if b"\0" in raw else f"not JSON ({shorten(printable(error.msg), 80)})"
    if not isinstance(value, dict):
        return "not an object"
    if value.get("schema") != SCHEMA:
        return f"not of schema {SCHEMA}"
    outcome = value.get("outcome")
    if not isinstance(value.get("target"), dict) or not isinstance(outcome, str) or outcome not in _OUTCOMES:
        return "has no target or no outcome"
    return value


def certificate_of(raw: bytes) -> bytes | str:
    """Return the SHA-256 of the certificate in a line of a ``--certificates`` file, or why it is not one."""
    try:
        value = orjson.loads(raw)
        digest = bytes.fromhex(value["sha256"])
    except (ValueError, TypeError, KeyError):
        return "not a certificate"
    return digest if len(digest) == 32 else "not a certificate"


def certificates_in(path: str) -> set[bytes]:
    """Return the SHA-256 of every certificate in a ``--certificates`` file, to resume it; nothing if it does not exist.

    Torn and other lines are skipped. Raises ``NotFindings`` if the file cannot be read.
    """
    if not os.path.exists(path):
        return set()
    return {digest for digest in map(certificate_of, _lines(path)) if isinstance(digest, bytes)}


def read_certificates(paths: Iterable[str]) -> Iterator[bytes]:
    """Yield the DER of every certificate in ``--certificates`` files; other lines are skipped.

    Raises ``NotFindings`` for a file that cannot be opened or has no certificate.
    """
    for path in paths:
        found = False
        for raw in _lines(path):
            try:
                der = a2b_base64(orjson.loads(raw)["der"], strict_mode=True)
            except (ValueError, TypeError, KeyError):
                continue
            found = True
            yield der
        if not found:
            raise NotFindings(f"{quoted(path, 200)[1:-1]} holds no certificates")


def _lines(path: str) -> Iterator[bytes]:
    """Yield the lines of a file, as far as it can be read."""
    try:
        file = open_binary(path)
    except (OSError, ValueError) as error:
        raise NotFindings(f"cannot read {quoted(path, 200)[1:-1]}: {error}") from error
    try:
        for batch in batches_of_lines(blocks(file), MAX_FINDING_LINE):
            yield from batch
    except StreamBroken as error:
        if not error.truncated:
            raise NotFindings(f"{quoted(path, 200)[1:-1]} {error.reason}") from error
    finally:
        close_binary(file)


def read_findings(paths: Iterable[str]) -> Iterator[dict[str, Any] | Unreadable]:
    """Yield every finding in the files (``-``: standard input; plain, gzip or zstd by content), and an ``Unreadable`` for each
    line that is not one; blank lines are passed over.

    A torn end of a compressed file is no error, only its torn last line is unreadable. Raises ``NotFindings`` for a file
    that cannot be opened or in which no line is a finding.
    """
    for findings, others in read_batches(paths, list_of_findings):
        yield from findings or others


def read_batches(paths: Iterable[str], make: Make[Made], *, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch[Made]]:
    """Like ``read_findings``, but yield what ``make`` makes of some findings together.

    ``make`` may drop each finding before it asks for the next one, which keeps memory small and in the processor's cache. Where
    it raises one of ``BAD_SHAPE_ERRORS``, its findings are yielded by themselves instead.
    """
    for path in paths:
        yield from _read(path, 0, None, make, batch_bytes)


def read_part(
    path: str, start: int, end: int, make: Make[Made], *, batch_bytes: int = BATCH_BYTES
) -> Iterator[Batch[Made]]:
    """Like ``read_batches``, for the lines that begin at the bytes from ``start`` up to ``end`` of a file that is not compressed.

    A part without a finding is no error; line numbers are those within the part.
    """
    return _read(path, start, end, make, batch_bytes)


def _part(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of the lines that begin in the part; a line that begins before ``start`` belongs to the part before."""
    position = start
    if start:
        file.seek(start - 1)
        position = start - 1 + len(file.readline())
    while position < end:
        block = file.read(min(PART_BLOCK, end - position))
        if not block:
            return
        position += len(block)
        if position >= end and not block.endswith(b"\n"):
            block += file.readline()
        yield block


def _read(path: str, start: int, end: int | None, make: Make[Any], batch_bytes: int) -> Iterator[Batch[Any]]:
    file, shown = open_named(path, NotFindings)
    number = 0
    found = False
    try:
        source = blocks(file) if end is None else _part(file, start, end)
        for batch in _batches(batches_of_lines(source, MAX_FINDING_LINE, with_ends=True), batch_bytes):
            try:
                made = make(map(orjson.loads, batch))
            except BAD_SHAPE_ERRORS:
                pass
            else:
                number += len(batch)
                found = True
                yield made, []
                continue
            for raw in batch:
                number += 1
                if not raw.strip():
                    continue
                item = finding_of(raw.removesuffix(b"\n"))
                if not isinstance(item, str):
                    found = True
                    yield None, [item]
                    continue
                if not found and end is None and number >= MAX_LINES_BEFORE_FINDING:
                    raise NotFindings(f"{shown} holds no findings: none in its first {number} lines")
                yield None, [Unreadable(path, number, item)]
    except StreamBroken as error:
        if not error.truncated:
            if not found:
                raise NotFindings(f"{shown} {error.reason}") from error
            yield None, [Unreadable(path, number + 1, f"the file {error.reason}")]
    finally:
        close_binary(file)
    if not found and end is None:
        raise NotFindings(f"{shown} holds no findings")


def _batches(lists: Iterable[list[bytes]], least: int) -> Iterator[list[bytes]]:
    """Yield lines in lists of ``least`` bytes or a little more; the last one may have less."""
    batch: list[bytes] = []
    size = 0
    try:
        for lines in lists:
            step = max(1, len(lines) * least // sum(map(len, lines)))
            for start in range(0, len(lines), step):
                part = lines[start : start + step]
                batch += part
                size += sum(map(len, part))
                if size >= least:
                    yield batch
                    batch, size = [], 0
    except StreamBroken:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def list_of_findings(findings: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings of a batch in which every line is one, the common case. Raises ``BAD_SHAPE_ERRORS`` otherwise."""
    found = list(findings)
    schemas, outcomes, targets = zip(*map(_SHAPE, found), strict=True)
    if {*schemas} == _SCHEMAS and _OUTCOMES.issuperset(outcomes) and {*map(type, targets)} == _OBJECTS:
        return found
    raise ValueError
