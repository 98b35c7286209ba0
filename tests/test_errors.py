"""Exceptions of our own: what is one, and the line that describes it."""

from __future__ import annotations

import pytest
import trio

from scanner.errors import MAX_MESSAGE, TlsweepError, describe_bug, describe_caught, is_bug, joined, reported_error
from tests.helpers.scanning import healthy


class PanicException(BaseException):
    """As ``pyo3_runtime`` has it, which cannot be imported."""


def test_a_bug_says_where_it_is() -> None:
    with pytest.raises(AttributeError) as caught:
        healthy(None)  # type: ignore[arg-type]
    assert describe_bug(caught.value).startswith(
        "AttributeError: 'NoneType' object has no attribute 'sni' in healthy (scanning.py:"
    )
    assert describe_bug(ValueError("bare")) == "ValueError: bare"


def test_what_is_meant_to_end_something_passes() -> None:
    for error in (KeyboardInterrupt(), SystemExit(3), BaseExceptionGroup("", [ValueError("x"), KeyboardInterrupt()])):
        assert not is_bug(error)
        with pytest.raises(type(error)):
            describe_caught("anything", error)


def test_a_panic_of_compiled_code_is_a_bug() -> None:
    assert describe_caught("certificate", PanicException("index out of bounds")) == (
        "certificate: PanicException: index out of bounds"
    )
    assert is_bug(BaseExceptionGroup("", [PanicException("x"), ValueError("y")]))


def test_a_cancelled_task_stays_cancelled() -> None:
    async def guarded() -> None:
        try:
            await trio.sleep_forever()
        except BaseException as error:
            describe_caught("sleep", error)
            raise AssertionError("the cancellation was swallowed") from error

    async def main() -> None:
        with trio.move_on_after(0.01) as scope:
            await guarded()
        assert scope.cancelled_caught

    trio.run(main)


def test_the_words_of_an_exception_are_one_line_with_an_end() -> None:
    words = describe_bug(ValueError("two\nlines " + "x" * 100_000))
    assert words.startswith("ValueError: two lines xxx") and len(words) == len("ValueError: ") + MAX_MESSAGE


def test_several_are_one_text() -> None:
    assert joined(None, "", None) is None
    assert joined("a", None, "b", "a") == "a; b"


def test_an_error_for_a_person_is_found_inside_nurseries_unless_a_bug_is_beside_it() -> None:
    first, second = TlsweepError("first"), TlsweepError("second")
    assert reported_error(first) is first
    assert reported_error(ExceptionGroup("outer", [ExceptionGroup("inner", [first]), second])) is first
    assert reported_error(ValueError("ours")) is None
    assert reported_error(ExceptionGroup("mixed", [first, ValueError("ours")])) is None
