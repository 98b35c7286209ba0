"""What a person did wrong, or what their files are: one line on standard error, exit status 2, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scanner.cli import UsageProblem


def _known() -> tuple[type[Exception], ...]:
    from scanner.fleet.diff.comparison import DiffError
    from scanner.fleet.stats.run_counts import CountingFailed, UnknownColumn
    from scanner.inventory import InventoryError
    from scanner.inventory.exclude import ExclusionError
    from scanner.net.dns.resolver_config import ResolverConfigError
    from scanner.net.sntp import NtpServerError
    from scanner.output import NotFindings, OutputError
    from scanner.rejudge.certificate_store import CertificatesError
    from scanner.run.pool import WorkersFailed
    from scanner.run.spool import HeldError
    from scanner.trust.certificate_files import ChainFileError
    from scanner.trust.ct_logs import LogListError
    from scanner.trust.stores import StoreError
    from scanner.warehouse.stage import LoadError

    return (
        CertificatesError, CountingFailed, DiffError, ExclusionError, HeldError, UnknownColumn, InventoryError, NotFindings,
        OutputError, ResolverConfigError, ChainFileError, LogListError, NtpServerError, StoreError, LoadError, WorkersFailed,
    )  # fmt: skip


@contextmanager
def one_line_problems() -> Iterator[None]:
    """Turn the rooms' own errors about files and options into ``UsageProblem``."""
    try:
        yield
    except UsageProblem:
        raise
    except Exception as error:
        problem = _problem_in(error, (*_known(), BrokenPipeError))
        if problem is None:
            raise
        if isinstance(problem, BrokenPipeError):
            raise problem from None  # nobody reads standard output any more: `main` knows what that means
        raise UsageProblem(str(problem)) from error


def _problem_in(error: BaseException, known: tuple[type[Exception], ...]) -> BaseException | None:
    """The person's problem inside ``error``, however many nurseries have wrapped it."""
    if isinstance(error, (UsageProblem, *known)):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [_problem_in(inner, known) for inner in error.exceptions]
        if all(found):
            return found[0]
    return None
