"""What a pasted error can mean: the entries of ``scanner/data/meanings.toml`` that a text matches, and their codes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scanner.diagnosis.catalogue import CAUSES, CODES, words_of
from scanner.explain.recognise import Recognised, by_name, clean, in_pieces, meanings_table, recognise, squeezed
from scanner.language import ENGLISH

# A phrase of fewer letters and digits is looked for as whole words, since it could begin or end within others.
LETTERS_ENOUGH: Final = 9
# One of Chinese characters says as much with fewer.
IDEOGRAPHS_ENOUGH: Final = 3
# Of an unknown text, so much is compared with what is known: that costs the product of both lengths.
COMPARED: Final = 120
# How alike a name must be to be offered, from 0 to 1.
ALIKE: Final = 0.7
OFFERED: Final = 5


class Meaning(Struct, frozen=True):
    """One entry; ``codes`` in the order of likelihood, ``level`` 0 where it says no more than that something is wrong."""

    id: str
    codes: tuple[str, ...]
    means: str
    tell: str | None
    names: tuple[str, ...]
    match: tuple[str, ...]
    alerts: frozenset[int]
    statuses: frozenset[int]
    level: int


class Reading(Struct, frozen=True):
    """What a text was taken for: the errors in it, the meanings that are left, all their codes once, the likeliest first."""

    recognised: Recognised
    meanings: tuple[Meaning, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """All codes once: in turn the likeliest of each meaning, then each one's second, and so on."""
        longest = max((len(meaning.codes) for meaning in self.meanings), default=0)
        turns = (
            meaning.codes[place] for place in range(longest) for meaning in self.meanings if place < len(meaning.codes)
        )
        return tuple(dict.fromkeys(turns))


@cache
def meanings() -> tuple[Meaning, ...]:
    """All entries, in the order of the file."""
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


def read(text: str) -> Reading:
    """What ``text``, pasted by anybody, can mean; a reading without meanings where nothing in it is known."""
    cleaned = clean(text)
    recognised = recognise(cleaned)
    found = {meaning.id for meaning in _matching(cleaned, recognised)}
    if not found and not recognised.errors:
        # a name that a terminal has broken in two
        recognised = replace(recognised, errors=tuple(in_pieces(recognised.rest)))
        found = {meaning.id for meaning in _matching(cleaned, recognised)}
    ordered = [meaning for meaning in meanings() if meaning.id in found]
    return Reading(recognised, tuple(_sharpest(ordered)))


def _matching(text: str, recognised: Recognised) -> Iterator[Meaning]:
    names = [known.name for known in recognised.errors]
    for meaning in meanings():
        if any(fnmatchcase(name, pattern) for pattern in meaning.names for name in names) or (
            meaning.alerts.intersection(recognised.alerts) or meaning.statuses.intersection(recognised.statuses)
        ):
            yield meaning
    rest = recognised.rest
    words = f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.casefold()).split())} "
    # The longest first, each taken out where it was found: "self-signed certificate" is part of another error's text.
    for phrase, meaning in _phrases():
        if phrase[0] == " ":
            if phrase in words:
                yield meaning
        elif phrase in rest:
            rest = rest.replace(phrase, "\0")
            yield meaning


@cache
def _phrases() -> tuple[tuple[str, Meaning], ...]:
    found = []
    for meaning in meanings():
        for phrase in meaning.match:
            joined = squeezed(phrase)
            if len(joined) < (LETTERS_ENOUGH if joined.isascii() else IDEOGRAPHS_ENOUGH):
                joined = f" {' '.join(''.join(c if c.isalnum() else ' ' for c in phrase.casefold()).split())} "
            found.append((joined, meaning))
    return tuple(sorted(found, key=lambda item: -len(item[0])))


def _sharpest(found: Sequence[Meaning]) -> Iterator[Meaning]:
    """Without those that only say that something is wrong, where others say what, and those that others sharpen."""
    said = [meaning for meaning in found if meaning.level > 0] or list(found)
    for meaning in said:
        if not any(other.level > meaning.level and set(other.codes) & set(meaning.codes) for other in said):
            yield meaning


# --- what is not known ---------------------------------------------------------------------------


def nearest(text: str) -> tuple[str, ...]:
    """Causes, codes and names of errors that resemble ``text``; none where nothing does."""
    cleaned = " ".join(clean(text).split())[:COMPARED]
    wanted = [cleaned, *sorted(set(cleaned.split()), key=len, reverse=True)[:OFFERED]]
    found: dict[str, None] = {}
    for place, word in enumerate(wanted):
        # a word inside of a longer text must be a long one to say anything
        if len(word) > 3 and (place == 0 or len(word) > LETTERS_ENOUGH):
            for key in difflib.get_close_matches(squeezed(word), _known_words(), OFFERED, ALIKE):
                found.setdefault(_known_words()[key])
    return tuple(found)[:OFFERED]


@cache
def _known_words() -> dict[str, str]:
    return {squeezed(word): word for word in (*by_name(), *CODES, *CAUSES)}


def about(text: str, language: str = ENGLISH) -> tuple[str, ...]:
    """Codes whose own name or title, in ``language`` or in English, has every word of ``text``: for a search by words."""
    words = [squeezed(word) for word in clean(text).split()[:8]]
    if not words or not all(len(word) > 1 for word in words):
        return ()
    names = {code: squeezed(f"{code} {entry.title} {words_of(code, language).title}") for code, entry in CODES.items()}
    return tuple(code for code, name in names.items() if all(word in name for word in words))
