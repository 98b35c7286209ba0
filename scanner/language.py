"""The language of text for people: which language is wanted, and short phrases in it.

The catalogue's texts on causes and codes are in ``scanner/data/catalogue.toml`` and ``catalogue.zh.toml``; the phrases around
them (headings, labels) are in ``phrases.zh.toml``, keyed by the English phrase. Codes, causes and keys are not translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from scanner.shipped import shipped

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "zh")

# POSIX (XBD 8.2): the first of these that is set and not empty decides.
_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")


def locale_language(environ: Mapping[str, str]) -> str:
    """Return the language of the locale that ``environ`` names, or English if there is no translation."""
    locale = next((environ[name] for name in _VARIABLES if environ.get(name)), "")
    language = locale.replace("-", "_").partition("_")[0].partition(".")[0].lower()
    return language if language in LANGUAGES else ENGLISH


class _Current:
    """The language of this process: the user's choice, made once at its start."""

    language = ENGLISH


def set_language(language: str) -> None:
    """Set the language of this process."""
    _Current.language = language


def current_language() -> str:
    """Return the language of this process."""
    return _Current.language


def translate(phrase: str, language: str | None = None) -> str:
    """Return an English phrase in ``language`` (default: that of this process), or unchanged if there is no translation."""
    wanted = language or _Current.language
    return phrase if wanted == ENGLISH else _phrases(wanted).get(phrase, phrase)


@cache  # of shipped files, one for each language
def _phrases(language: str) -> Mapping[str, str]:
    import tomllib  # not needed for English

    text = shipped(f"phrases.{language}.toml").decode()
    table: dict[str, str] = tomllib.loads(text)
    return table
