"""``scanner.records``: classes that are dataclasses to everybody who asks, and cheap to load."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from scanner.records import dataclass, record


@record
class Point:
    x: int
    y: int = 2
    tags: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def both(self) -> tuple[int, int]:
        return self.x, self.y


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    parts: tuple[str, ...] = ()


@dataclass(slots=True)
class Counter:
    count: int = 0
    seen: list[str] = dataclasses.field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    first: int = 1
    second: str


@dataclass(frozen=True, slots=True)
class Own:
    key: str
    noise: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclasses.dataclass(slots=True, unsafe_hash=True)
class Standard:
    """What the standard library makes of the fields of ``Point``."""

    x: int
    y: int = 2
    tags: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def test_made_by_place_by_name_and_by_default() -> None:
    assert Point(1).both == (1, 2)
    assert Point(1, y=3).both == (1, 3)
    assert Point(1, 3, {"a": 1}).tags == {"a": 1}


def test_a_default_is_made_for_each() -> None:
    one, other = Counter(), Counter()
    one.seen.append("a")
    one.count += 1
    assert (other.count, other.seen) == (0, [])


def test_what_is_missing_or_too_much_is_refused_the_first_time_and_later() -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
            Point()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
            Point(1, z=1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="positional"):
            Named(1, "a")  # type: ignore[call-arg]


def test_by_name_alone() -> None:
    assert (Named(second="a").first, Named(second="a").second) == (1, "a")


def test_equal_by_class_and_fields() -> None:
    for _ in range(2):
        assert Point(1) == Point(1, 2)
        assert Point(1) != Point(1, 3)
        other: object = Standard(1)
        assert Point(1) != other
        assert Frozen("a") == Frozen("a", ())


def test_hashed_by_fields_where_they_may_not_change() -> None:
    for _ in range(2):
        assert hash(Frozen("a")) == hash(Frozen("a")) == hash(("a", ()))
    assert {Frozen("a"), Frozen("a")} == {Frozen("a")}
    with pytest.raises(TypeError, match="unhashable"):
        hash(Counter())


def test_methods_of_its_own_are_kept() -> None:
    assert Own("a", 1) == Own("a", 2)
    assert hash(Own("a", 1)) == hash("a")


def test_shown_as_dataclasses_are() -> None:
    for _ in range(2):
        assert repr(Point(1, tags={"a": "b"})) == "Point(x=1, y=2, tags={'a': 'b'})"


def test_no_other_attributes() -> None:
    point = Point(1)
    assert not hasattr(point, "__dict__")
    with pytest.raises(AttributeError):
        point.z = 1  # type: ignore[attr-defined]


def test_the_standard_library_takes_them_for_its_own() -> None:
    point = Point(1)
    assert all(map(dataclasses.is_dataclass, (point, Point, Named)))
    assert dataclasses.asdict(point) == {"x": 1, "y": 2, "tags": {}}
    assert dataclasses.replace(point, y=5) == Point(1, 5)
    assert dataclasses.replace(Named(second="a"), first=4) == Named(first=4, second="a")


def test_fields_are_those_that_the_standard_library_would_make() -> None:
    def told(kind: Any) -> list[tuple[Any, ...]]:
        return [
            (field.name, field.type, field.default, field.default_factory, field.kw_only)
            for field in dataclasses.fields(kind)
        ]

    assert told(Point) == told(Standard)
    assert [field.kw_only for field in dataclasses.fields(Named)] == [True, True]


def test_matched_by_place() -> None:
    match Point(1, 3):
        case Point(x, y):
            assert (x, y) == (1, 3)


def test_survives_pickling_and_copying() -> None:
    for thing in (Point(1, tags={"a": 1}), Frozen("a"), Counter(3, ["x"]), Named(second="a")):
        assert pickle.loads(pickle.dumps(thing)) == thing
        assert copy.deepcopy(thing) == thing


def test_named_as_it_was_written() -> None:
    class Outer:
        pass

    assert Point.__qualname__ == "Point"
    assert Point.__module__ == __name__
    assert Point.__doc__ is None
    assert Point(1).__init__.__qualname__ == "Point.__init__"  # type: ignore[misc]


def test_of_a_derived_class() -> None:
    class Further(Frozen):
        __slots__ = ()

    assert Further("a") == Further("a")
    assert repr(Further("a")) == f"{Further.__qualname__}(name='a', parts=())"
    assert dataclasses.replace(Further("a"), name="b") == Further("b")
