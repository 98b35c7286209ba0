"""Exceptions of our own: told apart from what must pass, and described in one line.

A guard is ``except BaseException as error: bugs.append(describe_caught("what failed", error))``. It stands around a part
of the judgement that the rest can do without: each rule, each follow-up, each enquiry.
"""

from __future__ import annotations

from typing import Final

# Characters of an exception's own words: they may hold a stranger's bytes, in any number.
MAX_WORDS: Final = 500


def describe_bug(error: BaseException) -> str:
    """One line for the finding: what kind of exception, its words, and where it was raised."""
    error = innermost(error)
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" in {code.co_name} ({code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
        trace = trace.tb_next
    words = " ".join(str(error).split())
    if len(words) > MAX_WORDS:
        words = words[: MAX_WORDS - 1] + "…"
    return f"{type(error).__name__}: {words}{place}"


def innermost(error: BaseException) -> BaseException:
    """The first exception that is no group: a nursery wraps what its tasks raise."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def describe_caught(what: str, error: BaseException) -> str:
    """``describe_bug`` after the name of what failed. Raises ``error`` again where it is no bug: a cancellation, an interrupt."""
    if not is_bug(error):
        raise error
    return f"{what}: {describe_bug(error)}"


def is_bug(error: BaseException) -> bool:
    """Whether this is an exception, or a panic of compiled code, and nothing that is meant to end a task or the process."""
    if isinstance(error, Exception):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_bug, error.exceptions))
    # what ``cryptography`` raises where its Rust code panics; the class can be imported from nowhere
    return type(error).__name__ == "PanicException"


def joined(*bugs: str | None) -> str | None:
    """Several bugs as one text; ``None`` where there is none."""
    return "; ".join(dict.fromkeys(bug for bug in bugs if bug)) or None
