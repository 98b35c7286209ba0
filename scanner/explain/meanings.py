"""Finds the possible meanings of a pasted error: the entries of ``scanner/data/meanings.toml`` that match it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scanner.diagnosis.catalogue import CAUSES, CODES, words_of
from scanner.explain.recognise import (
    Recognised,
    alphanumerics,
    by_name,
    long_names_in,
    meanings_table,
    recognise,
    sanitise,
)
from scanner.language import ENGLISH

# Shorter phrases must match whole words, since they may occur inside other words.
MIN_PHRASE_LETTERS: Final = 9
# The corresponding length of phrases in Chinese.
MIN_PHRASE_IDEOGRAPHS: Final = 3
# Characters of an unknown text that are compared with known names; the cost is the product of both lengths.
MAX_COMPARED: Final = 120
# How similar a suggested name must be, from 0 to 1.
MIN_SIMILARITY: Final = 0.7
MAX_SUGGESTIONS: Final = 5


class Meaning(Struct, frozen=True):
    """One entry; ``codes`` are in order of likelihood, ``level`` is 0 if it only says that something is wrong."""

    id: str
    codes: tuple[str, ...]
    means: str
    tell: str | None
    names: tuple[str, ...]
    match: tuple[str, ...]
    alerts: frozenset[int]
    statuses: frozenset[int]
    level: int


class Interpretation(Struct, frozen=True):
    """The errors recognised in a text, and its possible meanings."""

    recognised: Recognised
    meanings: tuple[Meaning, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """All codes without duplicates: the likeliest of each meaning, then the second likeliest of each, and so on."""
        longest = max((len(meaning.codes) for meaning in self.meanings), default=0)
        turns = (
            meaning.codes[place] for place in range(longest) for meaning in self.meanings if place < len(meaning.codes)
        )
        return tuple(dict.fromkeys(turns))


@cache
def meanings() -> tuple[Meaning, ...]:
    """Return all entries, in the order of the file."""
    return tuple(
        Meaning(
            id=identifier,
            codes=tuple(entry["codes"]),
            means=entry["means"],
            tell=entry.get("tell"),
            names=tuple(entry["names"]),
            match=tuple(entry["match"]),
            alerts=frozenset(entry.get("alerts", ())),
            statuses=frozenset(entry.get("http", ())),
            level=entry.get("level", 1),
        )
        for identifier, entry in meanings_table().items()
        if identifier != "numbers"
    )


def interpret(text: str) -> Interpretation:
    """Return the possible meanings of a pasted ``text``; there are none if nothing in it is known."""
    cleaned = sanitise(text)
    recognised = recognise(cleaned)
    found = {meaning.id for meaning in _matching(cleaned, recognised)}
    if not found and not recognised.errors:
        # a terminal may have wrapped a name
        recognised = replace(recognised, errors=tuple(long_names_in(recognised.rest)))
        found = {meaning.id for meaning in _matching(cleaned, recognised)}
    ordered = [meaning for meaning in meanings() if meaning.id in found]
    return Interpretation(recognised, tuple(_most_specific(ordered)))


def _matching(text: str, recognised: Recognised) -> Iterator[Meaning]:
    names = [known.name for known in recognised.errors]
    for meaning in meanings():
        if any(fnmatchcase(name, pattern) for pattern in meaning.names for name in names) or (
            meaning.alerts.intersection(recognised.alerts) or meaning.statuses.intersection(recognised.statuses)
        ):
            yield meaning
    rest = recognised.rest
    words = _as_words(text)
    # The longest first, each removed where it matches: "self-signed certificate" is part of another error's text.
    for phrase, meaning in _phrases():
        if phrase[0] == " ":
            if phrase in words:
                yield meaning
        elif phrase in rest:
            rest = rest.replace(phrase, "\0")
            yield meaning


def _as_words(text: str) -> str:
    """Return the words of ``text`` in one case, with a space before and after each."""
    return f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.casefold()).split())} "


@cache
def _phrases() -> tuple[tuple[str, Meaning], ...]:
    found = []
    for meaning in meanings():
        for phrase in meaning.match:
            joined = alphanumerics(phrase)
            if len(joined) < (MIN_PHRASE_LETTERS if joined.isascii() else MIN_PHRASE_IDEOGRAPHS):
                joined = _as_words(phrase)
            found.append((joined, meaning))
    return tuple(sorted(found, key=lambda item: -len(item[0])))


def _most_specific(found: Sequence[Meaning]) -> Iterator[Meaning]:
    """Drop the meanings that only say that something is wrong, and those that a more specific one covers."""
    candidates = [meaning for meaning in found if meaning.level > 0] or list(found)
    for meaning in candidates:
        if not any(other.level > meaning.level and set(other.codes) & set(meaning.codes) for other in candidates):
            yield meaning


# --- suggestions ---------------------------------------------------------------------------------


def similar_names(text: str) -> tuple[str, ...]:
    """Return the causes, codes and error names that are most similar to ``text``."""
    cleaned = " ".join(sanitise(text).split())[:MAX_COMPARED]
    wanted = [cleaned, *sorted(set(cleaned.split()), key=len, reverse=True)[:MAX_SUGGESTIONS]]
    found: dict[str, None] = {}
    for place, word in enumerate(wanted):
        # a word within a longer text has to be long to be meaningful
        if len(word) > 3 and (place == 0 or len(word) > MIN_PHRASE_LETTERS):
            for key in difflib.get_close_matches(alphanumerics(word), _names_by_key(), MAX_SUGGESTIONS, MIN_SIMILARITY):
                found.setdefault(_names_by_key()[key])
    return tuple(found)[:MAX_SUGGESTIONS]


@cache
def _names_by_key() -> dict[str, str]:
    return {alphanumerics(word): word for word in (*by_name(), *CODES, *CAUSES)}


def search(text: str, language: str = ENGLISH) -> tuple[str, ...]:
    """Return the codes whose name or title, in ``language`` or in English, contains every word of ``text``."""
    words = [alphanumerics(word) for word in sanitise(text).split()[:8]]
    if not words or not all(len(word) > 1 for word in words):
        return ()
    names = {
        code: alphanumerics(f"{code} {entry.title} {words_of(code, language).title}") for code, entry in CODES.items()
    }
    return tuple(code for code, name in names.items() if all(word in name for word in words))
