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
# What stands for a name or number in the middle of a phrase, and how many letters and digits that may have
GAP: Final = "*"
MAX_GAP: Final = 160
# Characters of an unknown text that are compared with known names; the cost is the product of both lengths.
MAX_COMPARED: Final = 120
# How similar a suggested name must be, from 0 to 1.
MIN_SIMILARITY: Final = 0.7
MAX_SUGGESTIONS: Final = 5


# A meaning of this level excludes all of lower ones.
EXCLUSIVE: Final = 3


class Meaning(Struct, frozen=True):
    """One entry; ``codes`` are in order of likelihood, ``level`` is 0 if it only says that something is wrong.

    ``codes`` is empty if the server is not at fault.
    """

    id: str
    codes: tuple[str, ...]
    means: str
    tell: str | None
    names: tuple[str, ...]
    other_names: tuple[str, ...]
    match: tuple[str, ...]
    alerts: frozenset[int]
    sent_alerts: frozenset[int]
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
            other_names=tuple(entry.get("other_names", ())),
            match=tuple(entry["match"]),
            alerts=frozenset(entry.get("alerts", ())),
            sent_alerts=frozenset(entry.get("sent_alerts", ())),
            statuses=frozenset(entry.get("http", ())),
            level=entry.get("level", 1),
        )
        for identifier, entry in meanings_table().items()
        if identifier not in ("numbers", "flags")
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
    sent = {alert for alert in recognised.alerts if recognised.by_client and alert in _sent_by_clients()}
    received = set(recognised.alerts) - sent
    for meaning in meanings():
        if any(_is_of(name, meaning) for name in names) or (
            meaning.alerts & received
            or meaning.sent_alerts & sent
            or meaning.statuses.intersection(recognised.statuses)
        ):
            yield meaning
    rest = recognised.rest
    words = _as_words(text)
    # The longest first, each removed where it matches: "self-signed certificate" is part of another error's text.
    for phrase, meaning in _phrases():
        if phrase[0] == " ":
            if phrase in words:
                yield meaning
        elif GAP in phrase:
            if _has_gapped(rest, phrase.split(GAP)):
                yield meaning
        elif phrase in rest:
            rest = rest.replace(phrase, "\0")
            yield meaning


def _has_gapped(rest: str, parts: Sequence[str]) -> bool:
    """Return whether the parts of a phrase follow one another in ``rest``, at most ``MAX_GAP`` letters apart."""
    start = rest.find(parts[0])
    while start >= 0:
        end = start + len(parts[0])
        for part in parts[1:]:
            place = rest.find(part, end, end + MAX_GAP + len(part))
            if place < 0:
                break
            end = place + len(part)
        else:
            return True
        start = rest.find(parts[0], start + 1)
    return False


def _is_of(name: str, meaning: Meaning) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in meaning.names) and not any(
        fnmatchcase(name, pattern) for pattern in meaning.other_names
    )


@cache
def _sent_by_clients() -> frozenset[int]:
    """Return the alerts that mean something else if it is the client that sends them."""
    return frozenset().union(*(meaning.sent_alerts for meaning in meanings()))


def _as_words(text: str) -> str:
    """Return the words of ``text`` in one case, with a space before and after each."""
    return f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.casefold()).split())} "


@cache
def _phrases() -> tuple[tuple[str, Meaning], ...]:
    found = []
    for meaning in meanings():
        for phrase in meaning.match:
            joined = GAP.join(map(alphanumerics, phrase.split(GAP)))
            if GAP not in joined and len(joined) < (MIN_PHRASE_LETTERS if joined.isascii() else MIN_PHRASE_IDEOGRAPHS):
                joined = _as_words(phrase)
            found.append((joined, meaning))
    return tuple(sorted(found, key=lambda item: -len(item[0])))


def _most_specific(found: Sequence[Meaning]) -> Iterator[Meaning]:
    """Drop the meanings that only say that something is wrong, and those that a more specific one covers."""
    highest = max((meaning.level for meaning in found), default=0)
    least = highest if highest >= EXCLUSIVE else min(1, highest)
    candidates = [meaning for meaning in found if meaning.level >= least]
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
