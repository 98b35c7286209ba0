"""Write the JSON Schemas of a finding and of statistics, made from the record types of ``scanner.model.findings`` and
``scanner.fleet.stats.stats_schema``.

    python -m scripts.build_schema            # writes scanner/data/{finding,stats}.schema.json
    python -m scripts.build_schema --check    # exit 1 if one is stale

The string below each field becomes its description. Only the constructs that these types use are supported.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import (
    Any,
    Final,
    Literal,
    NamedTuple,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from scanner.fleet.stats import run_counts, stats_schema
from scanner.model import findings
from scripts.generated import write_or_check

DATA: Final = Path(__file__).resolve().parent.parent / "scanner" / "data"


class Source(NamedTuple):
    """The source of one schema."""

    module: ModuleType
    record: Any
    schema: str
    title: str


SOURCES: Final[dict[str, Source]] = {
    "finding": Source(findings, findings.Finding, findings.SCHEMA, "Finding"),
    "stats": Source(stats_schema, stats_schema.StatisticsRecord, run_counts.SCHEMA, "Statistics"),
}

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def build(what: str = "finding") -> str:
    """Return the schema as text. Unknown fields are allowed, since fields are only ever added within a version."""
    source = SOURCES[what]
    definitions: dict[str, Any] = {}
    root = _record(source.record, definitions, field_texts(source.module))
    name = f"urn:{source.schema.replace('/', ':')}"
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{name}:finding" if what == "finding" else name,
        "title": source.title,
        **root,
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def field_texts(module: ModuleType = findings) -> dict[tuple[str, str], str]:
    """Return the string below each (class, field) in the source."""
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    texts: dict[tuple[str, str], str] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        # inherited fields have their text in the other record
        bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
        texts |= {(node.name, field): text for (owner, field), text in texts.items() if owner in bases}
        for field, below in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                texts[node.name, field.target.id] = " ".join(below.value.value.split())
    return texts


def _record(record: Any, definitions: dict[str, Any], texts: dict[tuple[str, str], str]) -> dict[str, Any]:
    properties, required = {}, []
    for name, hint in get_type_hints(record, include_extras=True).items():
        optional = get_origin(hint) is NotRequired
        schema = _type(get_args(hint)[0] if optional else hint, definitions, texts)
        text = texts.get((record.__name__, name))
        properties[name] = {**schema, "description": text} if text else schema
        if not optional:
            required.append(name)
    return {
        "description": " ".join((record.__doc__ or "").split()),
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _type(hint: Any, definitions: dict[str, Any], texts: dict[tuple[str, str], str]) -> dict[str, Any]:
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin in (Union, UnionType):
        if all(argument in _PLAIN for argument in arguments):
            return {"type": [_PLAIN[argument] for argument in arguments]}
        return {"anyOf": [_type(argument, definitions, texts) for argument in arguments]}
    if origin is list:
        return {"type": "array", "items": _type(arguments[0], definitions, texts)}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": _type(arguments[1], definitions, texts)}
    if is_typeddict(hint):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}
            definitions[hint.__name__] = _record(hint, definitions, texts)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    raise TypeError(f"no JSON Schema is known for {hint!r}")


if __name__ == "__main__":
    write_or_check(__doc__, ((DATA / f"{what}.schema.json", build(what)) for what in SOURCES))
