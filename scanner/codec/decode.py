"""Decodes JSON values into records, strictly: a file of findings may hold anything, and whatever is wrong raises one error.

Bytes are base64, enumerations their values, keys of mappings text. Fields that a record does not have are ignored: a newer
version may have written them. Floats are not checked to be finite, since ``orjson`` reads neither infinities nor NaN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Struct

from scanner.errors import TlsweepError

_T = TypeVar("_T")

# msgspec says where a value is wrong by a path such as `$.endpoints[0].stage`, whose last name is the field.
_FIELD: Final = re.compile(r"\.(\w+)(?:\[[^\]]*\])*`$")
_MISSING: Final = re.compile(r"missing required field `(\w+)`")


class RecordedError(TlsweepError):
    """A finding cannot be judged again. The message says why, for a person."""


def decode(value: Any, kind: type[_T], name: str) -> _T:
    """Convert ``value`` to ``kind``. Raises ``RecordedError`` with the name of the innermost wrong field, or ``name``."""
    try:
        return msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError as error:
        message = str(error)
        if missing := _MISSING.search(message):
            raise RecordedError(f"{missing[1]}: missing") from None
        found = _FIELD.search(message)
        raise RecordedError(f"{found[1] if found else name}: not what a finding has there") from None


def decode_fields(values: Any, kind: type[Struct], without: Iterable[str], name: str = "observed") -> dict[str, Any]:
    """Convert the fields of ``kind`` that the JSON object ``values`` has, except ``without``. Raises ``RecordedError``."""
    found = decode(values, _all_optional(kind, frozenset(without)), name)
    return {name: value for name, value in msgspec.structs.asdict(found).items() if value is not UNSET}


@cache
def _all_optional(kind: type[Struct], without: frozenset[str]) -> type[Struct]:
    """Make a record type with the fields of ``kind``, all of them optional."""
    return msgspec.defstruct(
        kind.__name__,
        [(field.name, field.type, UNSET) for field in msgspec.structs.fields(kind) if field.name not in without],
    )
