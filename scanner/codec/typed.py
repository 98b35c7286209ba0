"""Values of JSON as records of the evidence: each read as the type that its field has, or refused.

Bytes stand as base64, enumerations as their values, certificates as their SHA-256. Fields that a record does not have are
passed over: a newer version may have written them.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

# The certificate (DER) with a SHA-256 in lower-case hex, or None where it is not known.
CertificateOf = Callable[[str], bytes | None]
Reader = Callable[[Any, "Reading"], Any]


class RecordedError(Exception):
    """A finding cannot be judged again; the message says why, in words for a person."""


class Reading:
    """One finding being read: each of its certificates is asked for once, however often it is named."""

    __slots__ = ("_certificate_of", "_known")

    def __init__(self, certificate_of: CertificateOf) -> None:
        self._certificate_of = certificate_of
        self._known: dict[str, bytes] = {}

    def certificate(self, sha256: str) -> bytes:
        known = self._known.get(sha256)
        if known is None:
            known = self._certificate_of(sha256)
            if known is None:
                raise RecordedError(f"the certificate {sha256[:16]!a} is in none of the files")
            self._known[sha256] = known
        return known


def known(kind: type, values: Mapping[str, Any], reading: Reading, without: frozenset[str]) -> dict[str, Any]:
    readers = readers_of(kind)
    return {
        name: _read(name, readers[name], value, reading)
        for name, value in values.items()
        if name in readers and name not in without
    }


_ABSENT: Final = object()


def take(record: Mapping[str, Any], name: str, hint: Any, reading: Reading, *, default: Any = _ABSENT) -> Any:
    """One field of a JSON object, as the type ``hint`` has it."""
    value = record.get(name, _ABSENT)
    if value is _ABSENT:
        if default is _ABSENT:
            raise RecordedError(f"{name}: missing")
        return default
    return _read(name, reader_of(hint), value, reading)


def _read(name: str, reader: Reader, value: Any, reading: Reading) -> Any:
    try:
        return reader(value, reading)
    except RecordedError:
        raise
    except (TypeError, ValueError):
        raise RecordedError(f"{name}: not what a finding has there") from None


@cache
def readers_of(kind: Any) -> dict[str, Reader]:
    hints = get_type_hints(kind)
    return {name: _certificates if name == "certificates" else reader_of(hint) for name, hint in hints.items()}


def _certificates(value: Any, reading: Reading) -> tuple[bytes, ...]:
    return tuple(reading.certificate(_text(sha256, reading)) for sha256 in _list(value))


@cache
def reader_of(hint: Any) -> Reader:
    """What reads a value of the type ``hint`` from JSON; raises ``TypeError`` or ``ValueError`` where it is of another."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _any_of(
            [reader_of(argument) for argument in arguments if argument is not NoneType], NoneType in arguments
        )
    if origin is Literal:
        return _one_of(arguments)
    if origin is tuple:
        items = [reader_of(argument) for argument in arguments if argument is not Ellipsis]
        return _many(items[0]) if Ellipsis in arguments else _exactly(items)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_number_as_text if arguments[0] is int else _text, reader_of(arguments[1]))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda value, reading: hint(_text(value, reading))
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _record(hint)
    raise AssertionError(f"no reader for {hint!r}")


def _text(value: Any, _: Reading) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _bool(value: Any, _: Reading) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _int(value: Any, _: Reading) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _float(value: Any, _: Reading) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise TypeError
    return float(value)


def _bytes(value: Any, reading: Reading) -> bytes:
    return a2b_base64(_text(value, reading), strict_mode=True)


def _number_as_text(value: Any, reading: Reading) -> int:
    return int(_text(value, reading)[:20])


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError
    return value


_SIMPLE: Final[Mapping[Any, Reader]] = {
    str: _text,
    bool: _bool,
    int: _int,
    float: _float,
    bytes: _bytes,
    Any: lambda value, _: value,
}


def _any_of(readers: list[Reader], none: bool) -> Reader:
    def read(value: Any, reading: Reading) -> Any:
        if none and value is None:
            return None
        for reader in readers[:-1]:
            try:
                return reader(value, reading)
            except (TypeError, ValueError):
                continue
        return readers[-1](value, reading)

    return read


def _one_of(values: tuple[Any, ...]) -> Reader:
    def read(value: Any, _: Reading) -> Any:
        if value not in values:
            raise ValueError
        return value

    return read


def _many(item: Reader) -> Reader:
    return lambda value, reading: tuple([item(entry, reading) for entry in _list(value)])


def _exactly(items: list[Reader]) -> Reader:
    return lambda value, reading: tuple([item(entry, reading) for item, entry in zip(items, _list(value), strict=True)])


def _mapping(key: Reader, item: Reader) -> Reader:
    def read(value: Any, reading: Reading) -> dict[Any, Any]:
        if type(value) is not dict:
            raise TypeError
        return {key(name, reading): item(entry, reading) for name, entry in value.items()}

    return read


def _record(kind: Any) -> Reader:
    def read(value: Any, reading: Reading) -> Any:
        if type(value) is not dict:
            raise TypeError
        return kind(**known(kind, value, reading, frozenset()))

    return read
