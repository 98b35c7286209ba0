"""Values of JSON decoded as types of ours, by ``msgspec``: strictly, and with one error for whatever a file may hold.

Bytes are base64, enumerations their values, keys of mappings text. Fields that a record does not have are passed over: a newer
version may have written them. Infinities and what is not a number are not looked for: ``orjson`` reads none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Struct

_T = TypeVar("_T")

# Where in a message of msgspec the field stands that is wrong: the last name of a path such as `$.endpoints[0].stage`.
_FIELD: Final = re.compile(r"\.(\w+)(?:\[[^\]]*\])*`$")
_MISSING: Final = re.compile(r"missing required field `(\w+)`")


class RecordedError(Exception):
    """A finding cannot be judged again; the message says why, in words for a person."""


def decode(value: Any, kind: type[_T], name: str) -> _T:
    """``value`` as ``kind``. Raises ``RecordedError``, which names the field that is wrong: ``name``, or one below it."""
    try:
        return msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError as error:
        message = str(error)
        if missing := _MISSING.search(message):
            raise RecordedError(f"{missing[1]}: missing") from None
        found = _FIELD.search(message)
        raise RecordedError(f"{found[1] if found else name}: not what a finding has there") from None


def decode_fields(values: Any, kind: type[Struct], without: Iterable[str], name: str = "observed") -> dict[str, Any]:
    """Those of the fields of ``kind`` that the JSON object ``values`` has, but for some. Raises ``RecordedError``."""
    found = decode(values, _all_optional(kind, frozenset(without)), name)
    return {name: value for name, value in msgspec.structs.asdict(found).items() if value is not UNSET}


@cache
def _all_optional(kind: type[Struct], without: frozenset[str]) -> type[Struct]:
    """A record with the fields of ``kind``, none of which need be there."""
    return msgspec.defstruct(
        kind.__name__,
        [(field.name, field.type, UNSET) for field in msgspec.structs.fields(kind) if field.name not in without],
    )
