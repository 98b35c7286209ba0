"""Dataclasses that cost next to nothing to load: their methods are written when they are first wanted.

``dataclasses.dataclass`` compiles the source of four to seven methods for each class, 0.7 ms of it, and a scan loads some
hundred classes of which one target needs a third. Here a class gets its slots at once; ``__init__``, ``__eq__``,
``__hash__`` and ``__repr__`` are compiled, each by itself, by the first call of it, and are then what ``dataclasses`` would have
made. ``fields``, ``replace``, ``asdict`` and ``is_dataclass`` of the standard library take these classes as their own.

What is not done, because nothing here wants it: fields of base classes, ``__post_init__``, ``InitVar``, ``ClassVar`` and order.
``frozen`` is held by type checkers alone: at run time it would set each field by a call, and a target makes some fifty records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, field, make_dataclass
from inspect import get_annotations
from typing import Any, Final, TypeVar, dataclass_transform

_T = TypeVar("_T")

# Where a class keeps what it was declared with, until its methods are written.
_DECLARED: Final = "__declared__"


@dataclass_transform(field_specifiers=(field,))
def dataclass(*, slots: bool, frozen: bool = False, kw_only: bool = False) -> Callable[[type[_T]], type[_T]]:
    """``dataclasses.dataclass`` for slotted classes, which is why ``slots`` must be true."""
    assert slots
    return lambda cls: _slotted(cls, kw_only=kw_only, hashable=frozen)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_T]) -> type[_T]:
    """A slotted class that type checkers hold to be frozen."""
    return _slotted(cls, kw_only=False, hashable=True)


class _Declared:
    """The fields of one class: their types as they were written, and their defaults."""

    __slots__ = ("defaults", "kw_only", "types")

    def __init__(self, types: dict[str, Any], defaults: dict[str, Any], kw_only: bool) -> None:
        self.types = types
        self.defaults = defaults
        self.kw_only = kw_only

    def fields(self) -> Iterable[tuple[str, Any, Any]]:
        """As ``make_dataclass`` takes them."""
        for name, kind in self.types.items():
            default = self.defaults.get(name, MISSING)
            yield name, kind, default if isinstance(default, Field) else field(default=default)


class _Fields:
    """The attribute by which ``dataclasses`` knows its own: made when it is asked for."""

    def __get__(self, instance: object, owner: type) -> dict[str, Field[Any]]:
        owner, declared = _declared(owner)
        # without a text of its own the class would get one of its signature, which takes longer than all the rest
        made: Any = make_dataclass(
            owner.__name__,
            declared.fields(),
            namespace={"__doc__": "Only for its fields."},
            init=False,
            repr=False,
            eq=False,
            match_args=False,
            kw_only=declared.kw_only,
        )
        found: dict[str, Field[Any]] = made.__dataclass_fields__
        setattr(owner, "__dataclass_fields__", found)  # noqa: B010 - mypy knows nothing of such an attribute
        return found


def _declared(kind: type) -> tuple[type, _Declared]:
    """The class that was declared, ``kind`` or what it is derived from, and as what."""
    owner = next(cls for cls in kind.__mro__ if _DECLARED in cls.__dict__)
    return owner, owner.__dict__[_DECLARED]


def _slotted(cls: type[_T], *, kw_only: bool, hashable: bool) -> type[_T]:
    """``cls`` made anew with a slot for each field."""
    body = dict(cls.__dict__)
    types = get_annotations(cls)
    defaults = {name: body.pop(name) for name in types if name in body}
    # of what ``field`` can say of a field, only how its default is made
    assert all(
        default.repr and default.compare and default.init for default in defaults.values() if isinstance(default, Field)
    )
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    body["__slots__"] = tuple(types)
    body["__match_args__"] = () if kw_only else tuple(types)
    body[_DECLARED] = _Declared(types, defaults, kw_only)
    body["__dataclass_fields__"] = _Fields()
    body.setdefault("__init__", _first_init)
    body.setdefault("__repr__", _first_repr)
    body.setdefault("__eq__", _first_eq)
    if body.get("__hash__") is None:
        body["__hash__"] = _first_hash if hashable else None
    made: Any = type(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    found: type[_T] = made
    return found


def _init(declared: _Declared) -> str:
    parameters = ["self", "*"] if declared.kw_only else ["self"]
    lines = []
    for name in declared.types:
        default = declared.defaults.get(name, MISSING)
        parameters.append(name if default is MISSING else f"{name}=_default_{name}")
        # what stands for "not given", where a value is made for each instance, is the declaration itself
        value = f"_make_{name}() if {name} is _default_{name} else {name}" if isinstance(default, Field) else name
        lines.append(f"  self.{name} = {value}\n")
    return f"({', '.join(parameters)}):\n" + ("".join(lines) or "  pass\n")


def _eq(declared: _Declared) -> str:
    return (
        "(self, other):\n"
        f"  if other.__class__ is self.__class__:\n    return {_values(declared, 'self')} == {_values(declared, 'other')}\n"
        "  return NotImplemented\n"
    )


def _hash(declared: _Declared) -> str:
    return f"(self):\n  return hash({_values(declared, 'self')})\n"


def _repr(declared: _Declared) -> str:
    shown = ", ".join(f"{name}={{self.{name}!r}}" for name in declared.types)
    return f'(self):\n  return f"{{self.__class__.__qualname__}}({shown})"\n'


def _values(declared: _Declared, of: str) -> str:
    return "(" + "".join(f"{of}.{name}, " for name in declared.types) + ")"


def _written(self: object, name: str, source: Callable[[_Declared], str]) -> Any:
    """The method ``name`` of the class of ``self``, compiled and put into its place."""
    kind, declared = _declared(type(self))
    known: dict[str, Any] = {}
    for field_name, default in declared.defaults.items():
        known[f"_default_{field_name}"] = default
        if isinstance(default, Field):
            known[f"_make_{field_name}"] = default.default_factory
    exec(compile(f"def {name}{source(declared)}", f"<{kind.__module__}.{kind.__qualname__}>", "exec"), known)
    method = known.pop(name)
    method.__module__ = kind.__module__
    method.__qualname__ = f"{kind.__qualname__}.{name}"
    setattr(kind, name, method)
    return method


def _first_init(self: object, /, *given: Any, **named: Any) -> None:
    _written(self, "__init__", _init)(self, *given, **named)


def _first_eq(self: object, other: object) -> Any:
    return _written(self, "__eq__", _eq)(self, other)


def _first_hash(self: object) -> Any:
    return _written(self, "__hash__", _hash)(self)


def _first_repr(self: object) -> Any:
    return _written(self, "__repr__", _repr)(self)
