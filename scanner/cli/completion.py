"""What a shell offers for the values of options and arguments. The scripts for the shells are in ``contrib/completions``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Set by the scripts, as click names it, while they ask for completions.
VARIABLE: Final = "_TLSWEEP_COMPLETE"


class FileName(click.types.StringParamType):
    """The type of a file's or directory's name: any text, for which a shell offers files."""

    name = "file"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


FILE_NAME: Final = FileName()

Completer = Callable[[click.Context, click.Parameter, str], list[Any]]


def words(load: Callable[[], Iterable[str]], *, comma: bool = False) -> Completer:
    """Return what offers the words that ``load`` returns; with ``comma`` the last one of a list with commas between."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
        before, separator, last = incomplete.rpartition(",") if comma else ("", "", incomplete)
        return [before + separator + word for word in sorted(load()) if word.startswith(last)]

    return complete


def fail_on_words() -> Iterable[str]:
    """Return what ``--fail-on`` of a scan takes."""
    from scanner.run.fail_on import known_words

    return known_words()


def causes_and_codes() -> Iterable[str]:
    """Return every cause and code."""
    from scanner.run.fail_on import WORDS, known_words

    return known_words() - WORDS
