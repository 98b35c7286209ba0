"""The languages of words for people: which one is wanted, and short phrases in it.

The catalogue's words on causes and codes are in ``scanner/data/catalogue.toml`` and ``catalogue.zh.toml``; the phrases between
them (headings, labels) are in ``phrases.zh.toml``, by the English one. Codes, causes and keys are the same in all languages.
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


def of_locale(environ: Mapping[str, str]) -> str:
    """The language of the locale that ``environ`` names, English where there are no words in it."""
    locale = next((environ[name] for name in _VARIABLES if environ.get(name)), "")
    language = locale.replace("-", "_").partition("_")[0].partition(".")[0].lower()
    return language if language in LANGUAGES else ENGLISH


class _Spoken:
    """The language of this process: a person's choice, made once at its start."""

    language = ENGLISH


def speak(language: str) -> None:
    """From now on phrases are in ``language``."""
    _Spoken.language = language


def spoken() -> str:
    """The language of this process."""
    return _Spoken.language


def say(phrase: str, language: str | None = None) -> str:
    """``phrase``, which is English, in ``language`` (``None``: the one that is spoken); as it is where there is no other."""
    wanted = language or _Spoken.language
    return phrase if wanted == ENGLISH else _phrases(wanted).get(phrase, phrase)


@cache
def _phrases(language: str) -> Mapping[str, str]:
    import tomllib  # English needs none

    text = shipped(f"phrases.{language}.toml").decode()
    table: dict[str, str] = tomllib.loads(text)
    return table
