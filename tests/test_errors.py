"""Which exceptions are bugs, which are reported, and how they are described."""

from __future__ import annotations

import pytest
import trio

from scanner.errors import MAX_MESSAGE, TlsweepError, describe_bug, describe_caught, is_bug, joined, reported_error
from tests.helpers.scanning import healthy


class PanicException(BaseException):
    """As ``pyo3_runtime`` has it, which cannot be imported."""


def test_a_bug_is_described_with_its_place() -> None:
    with pytest.raises(AttributeError) as caught:
        healthy(None)  # type: ignore[arg-type]
    assert describe_bug(caught.value).startswith(
        "AttributeError: 'NoneType' object has no attribute 'sni' in healthy (scanning.py:"
    )
    assert describe_bug(ValueError("bare")) == "ValueError: bare"


def test_interrupts_and_exits_are_not_bugs() -> None:
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


def test_the_message_of_a_bug_is_one_limited_line() -> None:
    words = describe_bug(ValueError("two\nlines " + "x" * 100_000))
    assert words.startswith("ValueError: two lines xxx") and len(words) == len("ValueError: ") + MAX_MESSAGE


def test_several_bugs_are_joined() -> None:
    assert joined(None, "", None) is None
    assert joined("a", None, "b", "a") == "a; b"


def test_a_reported_error_is_found_in_groups_without_bugs() -> None:
    first, second = TlsweepError("first"), TlsweepError("second")
    assert reported_error(first) is first
    assert reported_error(ExceptionGroup("outer", [ExceptionGroup("inner", [first]), second])) is first
    assert reported_error(ValueError("ours")) is None
    assert reported_error(ExceptionGroup("mixed", [first, ValueError("ours")])) is None
