"""The two kinds of exception that reach the top: mistakes that a person can mend, and bugs.

``TlsweepError`` is the base of every error that is reported to a person: its text is one line, printed without a traceback.
Anything else that escapes is a bug. A bug must not cost more than the part of a finding that depends on it, so each rule,
each follow-up and each lookup has a guard::

    except BaseException as error:  # noqa: BLE001
        bugs.append(describe_caught("what failed", error))
"""

from __future__ import annotations

from typing import Final

# Characters kept of an exception's message, which may quote any number of a peer's bytes.
MAX_MESSAGE: Final = 500


class TlsweepError(Exception):
    """Base of the errors that are reported to a person. The text is one line that says what is wrong, and with which file."""

    exit_status = 2  # of the command that it ends


class UsageProblem(TlsweepError):
    """The command or its options cannot be used."""


def describe_bug(error: BaseException) -> str:
    """Return one line for a finding's ``error``: the kind of exception, its message, and where it was raised."""
    error = innermost(error)
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" in {code.co_name} ({code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
        trace = trace.tb_next
    message = " ".join(str(error).split())
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 1] + "…"
    return f"{type(error).__name__}: {message}{place}"


def innermost(error: BaseException) -> BaseException:
    """Return the first exception that is not a group; nurseries wrap what their tasks raise."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def reported_error(error: BaseException) -> TlsweepError | None:
    """Return the ``TlsweepError`` to report for ``error``, which may be a group of them; ``None`` if any part is a bug."""
    if isinstance(error, BaseExceptionGroup):
        found = [reported_error(inner) for inner in error.exceptions]
        return found[0] if None not in found else None
    return error if isinstance(error, TlsweepError) else None


def describe_caught(what: str, error: BaseException) -> str:
    """Return ``describe_bug`` prefixed with the name of what failed. Raise ``error`` again if it is not a bug: a cancellation
    or an interrupt."""
    if not is_bug(error):
        raise error
    return f"{what}: {describe_bug(error)}"


def is_bug(error: BaseException) -> bool:
    """Return whether this is an exception or a panic of compiled code, rather than what ends a task or the process."""
    if isinstance(error, Exception):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_bug, error.exceptions))
    # raised by `cryptography` when its Rust code panics; the class cannot be imported
    return type(error).__name__ == "PanicException"


def joined(*bugs: str | None) -> str | None:
    """Return several bugs as one text, without repetitions; ``None`` if there are none."""
    return "; ".join(dict.fromkeys(bug for bug in bugs if bug)) or None
