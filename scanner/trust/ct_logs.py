"""Reads lists of Certificate Transparency logs in version 3 of Google's format: those of RFC 6962 and tiled ones.

Unknown fields are skipped. An entry that cannot be used is kept with its ``flaw``, which is then reported for
certificates with SCTs of that log. Only what is not a log list at all is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.errors import TlsweepError
from scanner.shipped import shipped
from scanner.times import DAY
from scanner.x509 import certificate_fields as fields
from scanner.x509 import der

LogKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

# Google's list of all logs that ever existed has some 200 KB.
MAX_LIST_BYTES: Final = 16 << 20
# Chrome considers its own list current for ten weeks (policy of July 2026); after that it enforces nothing.
STALE_AFTER: Final = 70 * DAY

State = Literal["pending", "qualified", "usable", "readonly", "retired", "rejected"]
STATES: Final[frozenset[str]] = frozenset(("pending", "qualified", "usable", "readonly", "retired", "rejected"))
# States in which a log's SCTs count now.
APPROVED: Final[frozenset[str]] = frozenset(("qualified", "usable", "readonly"))


class LogListError(TlsweepError):
    """A log list cannot be used; the message is one line for a person."""


class CtLog(Struct, frozen=True):
    """One log. Times are seconds since the epoch; ``None`` where the list does not say.

    ``state`` is the log's state for the owner of the list and ``since`` when it began; ``apple_state`` and
    ``apple_since`` are Apple's, if the list has them. ``start`` and ``end`` bound the notAfter of the certificates
    that it accepts, ``end`` exclusive. ``previous_operators`` are (name, until), oldest first. ``flaw`` says why
    nothing can be verified with its key.
    """

    log_id: bytes
    name: str
    operator: str
    key: bytes
    tiled: bool = False
    state: str | None = None
    since: float | None = None
    apple_state: str | None = None
    apple_since: float | None = None
    start: float | None = None
    end: float | None = None
    previous_operators: tuple[tuple[str, float], ...] = ()
    flaw: str | None = None

    def operator_at(self, time: float) -> str:
        """Return who ran it at ``time``."""
        return next((name for name, until in self.previous_operators if time < until), self.operator)

    def takes(self, not_after: float) -> bool:
        """Return whether it accepts certificates that expire then."""
        return (self.start is None or not_after >= self.start) and (self.end is None or not_after < self.end)

    def public_key(self) -> LogKey | None:
        """Return its key, as ``cryptography`` has it; ``None`` if it cannot be used."""
        return None if self.flaw is not None else _public_key(self.key)


# The keys of a list: loading one takes 5 microseconds, and each certificate has SCTs of two or three logs.
@bounded_memo(1024, None)
def _public_key(spki: bytes) -> LogKey | None:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) else None


class LogList:
    """Logs by their id. ``timestamp`` is when the list was made (``None``: not known), ``source`` names it.

    ``notes`` are sentences about entries that cannot be used. ``knows_apple``: the list has Apple's states.
    """

    def __init__(
        self, logs: Mapping[bytes, CtLog], *, timestamp: float | None, source: str, notes: tuple[str, ...] = ()
    ):
        self.logs = logs
        self.timestamp = timestamp
        self.source = source
        self.notes = notes
        self.knows_apple = any(log.apple_state is not None for log in logs.values())

    def age(self, at: float) -> float | None:
        """Return the seconds since it was made; ``None`` if that is not known."""
        return None if self.timestamp is None else at - self.timestamp

    def stale(self, at: float) -> bool:
        """Return True if it is too old, or of unknown age, to be certain at that moment."""
        return self.timestamp is None or at - self.timestamp >= STALE_AFTER


def load_log_list(path: str | None) -> LogList:
    """Read the log list in a file, or the shipped one; raises only ``LogListError``."""
    if path is None:
        return log_list_untrusted(shipped("ct-logs.json"), "shipped")
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_LIST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise LogListError(f"log list {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_LIST_BYTES:
        raise LogListError(f"log list {path}: more than {MAX_LIST_BYTES >> 20} MiB")
    return log_list_untrusted(content, path)


def log_list_untrusted(content: bytes, source: str) -> LogList:
    """Read a log list; raises only ``LogListError``. ``source`` names it in messages."""
    try:
        listed = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise LogListError(f"log list {source}: not JSON ({error.msg} at line {error.lineno})") from None
    operators = listed.get("operators") if isinstance(listed, dict) else None
    if not isinstance(operators, list) or not any(isinstance(entry, dict) and _kinds(entry) for entry in operators):
        raise LogListError(f"log list {source}: no list of logs by operator, as version 3 of the format has it")
    logs: dict[bytes, CtLog] = {}
    damaged: dict[bytes, CtLog] = {}
    notes: list[str] = []
    for operator, tiled, entry in _entries(operators):
        log = _log(operator, tiled, entry, notes)
        if log is not None:
            logs.setdefault(log.log_id, log)
            if log.flaw is not None and log.key:
                # if only the id is damaged, SCTs still name the log by the hash of its key (RFC 6962 section 3.2)
                damaged.setdefault(hashlib.sha256(log.key).digest(), log)
    for log_id, log in damaged.items():
        logs.setdefault(log_id, log)
    if not any(log.flaw is None for log in logs.values()):
        why = f" ({notes[0]})" if notes else ""
        raise LogListError(f"log list {source}: no log in it that can be used{why}")
    return LogList(logs, timestamp=_time(listed.get("log_list_timestamp")), source=source, notes=tuple(notes))


def _kinds(operator: Mapping[str, Any]) -> list[str]:
    return [kind for kind in ("logs", "tiled_logs") if isinstance(operator.get(kind), list)]


def _entries(operators: list[Any]) -> Iterator[tuple[Mapping[str, Any], bool, Any]]:
    for operator in operators:
        if isinstance(operator, dict):
            for kind in _kinds(operator):
                for entry in operator[kind]:
                    yield operator, kind == "tiled_logs", entry


def _log(operator: Mapping[str, Any], tiled: bool, entry: Any, notes: list[str]) -> CtLog | None:
    """Read one entry, and add to ``notes`` what is wrong with it; ``None`` if not even its id is known."""
    if not isinstance(entry, dict):
        notes.append("an entry that is no log")
        return None
    key, log_id = _bytes(entry.get("key")), _bytes(entry.get("log_id"))
    name = str(entry.get("description") or entry.get("url") or entry.get("submission_url") or "a log without a name")
    flaw = _flaw_of_key(key, log_id)
    if flaw is not None:
        notes.append(f"{name}: {flaw}")
    if log_id is None or len(log_id) != 32:
        if not key:
            return None
        log_id = hashlib.sha256(key).digest()
    state, since = _state(entry.get("state"))
    apple_state, apple_since = _state(entry.get("x_apple_state"))
    interval = entry.get("temporal_interval")
    interval = interval if isinstance(interval, dict) else {}
    return CtLog(
        log_id,
        name,
        str(operator.get("name") or "an operator without a name"),
        key or b"",
        tiled,
        state,
        since,
        apple_state,
        apple_since,
        _time(interval.get("start_inclusive")),
        _time(interval.get("end_exclusive")),
        _previous(entry.get("previous_operators")),
        flaw,
    )


def _flaw_of_key(key: bytes | None, log_id: bytes | None) -> str | None:
    if not key:
        return "its key is missing or is no base64"
    try:
        _, _, kind = fields.key_untrusted(key, [])
    except der.DerError as error:
        return f"its key cannot be read ({error})"
    if kind != "ec:P-256" and not kind.startswith("rsa:"):
        return f"its key is of a kind that logs do not have ({kind})"
    if log_id is not None and hashlib.sha256(key).digest() != log_id:
        return "its id is not the SHA-256 of its key"
    return None


def _bytes(value: Any) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _state(value: Any) -> tuple[str | None, float | None]:
    """Return the state and when it began; ``None`` for an unknown one."""
    if isinstance(value, dict):
        for name, entry in value.items():
            if name in STATES:
                return name, _time(entry.get("timestamp")) if isinstance(entry, dict) else None
    return None, None


def _previous(value: Any) -> tuple[tuple[str, float], ...]:
    found = []
    for entry in value if isinstance(value, list) else ():
        until = _time(entry.get("end_time")) if isinstance(entry, dict) else None
        if until is not None and isinstance(entry.get("name"), str):
            found.append((entry["name"], until))
    return tuple(sorted(found, key=lambda item: item[1]))


def _time(value: Any) -> float | None:
    """Return an RFC 3339 time as seconds since the epoch; ``None`` if it is not one."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
