"""What ``tlsweep explain`` answers, as plain records: for a cause, a code, a pasted error, or words to search by.

The shapes are those of its ``--json``; ``kind`` says which one it is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, TypedDict

from scanner.diagnosis.catalogue import CAUSES, CODES, Code, translated, words_of
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.wording import Wording
from scanner.explain.fixes import recipes_for
from scanner.explain.meanings import Reading, about, meanings, nearest, read
from scanner.explain.recognise import clean, squeezed
from scanner.language import ENGLISH
from scanner.model.evidence import Target
from scanner.model.findings import Cause, DiagnosisRecord, Severity
from scanner.tls.registry_names import alert_name

# A general answer speaks of somebody's host: these words stand for it.
HOST: Final = "HOST"
ADDRESS: Final = "ADDRESS"
_ANYWHERE: Final = Target(row=1, host=HOST, port=443, protocol="https", sni=HOST)
# Facts of one host that a general answer does not know, by the words that stand for them
_STAND_INS: Final[Mapping[str, Any]] = {
    "not_after": "DATE",
    "not_before": "DATE",
    "nearest": ["OTHER-NAMES"],
    "signature": "SHA1withRSA",
    "key": "RSA 1024 bits",
    "owner": HOST,
    "first": ADDRESS,
    "url": "URL",
    "sent": "N",
}
CHECK: Final = "tlsweep check HOST[:PORT]"
# Of the names of errors that can mean a code, so many are shown.
ERRORS_SHOWN: Final = 24


class FixRecord(TypedDict):
    """What is done, and how with each software: lines of text, commands and settings among them."""

    title: str
    software: dict[str, list[str]]


class CodeBrief(TypedDict):
    """A code in short."""

    code: str
    cause: Cause
    severity: Severity
    title: str
    proof: str
    confirm: str | None


class CodeAnswer(CodeBrief):
    """Everything about a code; ``clients`` is what each says to it where that does not depend on the host."""

    kind: Literal["code"]
    meaning: str
    remedy: str
    clients: dict[str, str]
    fixes: list[FixRecord]
    errors: list[str]


class CauseAnswer(TypedDict):
    """A cause, its codes, and how it is told from its neighbours."""

    kind: Literal["cause"]
    cause: Cause
    title: str
    means: str
    tell: str
    codes: list[CodeBrief]
    fixes: list[FixRecord]


class RecognisedRecord(TypedDict):
    """An error that the text names; ``number`` where it has one."""

    whose: str
    name: str
    number: int | None


class MeaningRecord(TypedDict):
    """One thing that the text can mean, its codes in the order of likelihood."""

    means: str
    tell: str | None
    codes: list[str]


class ErrorAnswer(TypedDict):
    """A pasted error: what it was taken for, what it can mean, and all codes, the likeliest first."""

    kind: Literal["error"]
    recognised: list[RecognisedRecord]
    meanings: list[MeaningRecord]
    codes: list[CodeBrief]
    check: str


class SearchAnswer(TypedDict):
    """Codes whose names or titles have the words."""

    kind: Literal["search"]
    codes: list[CodeBrief]


class UnknownAnswer(TypedDict):
    """Nothing in the text is known; ``nearest`` are names that resemble it."""

    kind: Literal["unknown"]
    recognised: list[RecognisedRecord]
    nearest: list[str]


Answer = CodeAnswer | CauseAnswer | ErrorAnswer | SearchAnswer | UnknownAnswer


def explain(text: str, language: str = ENGLISH) -> Answer:
    """The answer to ``text``: the name of a cause or code however it is spelt, an error, or words to search by.

    Words on causes and codes are in ``language``; recipes and what errors mean are English.
    """
    word = squeezed(clean(text))
    names = _named(language)
    if word in names:
        name = names[word]
        return code_answer(CODES[name], language) if name in CODES else cause_answer(name, language)
    reading = read(text)
    if reading.meanings:
        return _error(reading, language)
    if codes := about(text, language):
        return {"kind": "search", "codes": [brief(CODES[code], language) for code in codes]}
    return {"kind": "unknown", "recognised": _recognised(reading), "nearest": list(nearest(text))}


@cache
def _named(language: str) -> dict[str, str]:
    titles = {} if language == ENGLISH else {words_of(code, language).title: code for code in CODES}
    titles |= {cause_words(cause, language)["title"]: cause for cause in CAUSES}
    return {squeezed(name): found for name, found in {**titles, **{name: name for name in (*CODES, *CAUSES)}}.items()}


# --- codes and causes ----------------------------------------------------------------------------


def brief(code: Code, language: str = ENGLISH) -> CodeBrief:
    """``code`` in short."""
    words = words_of(code.code, language)
    return {
        "code": code.code,
        "cause": code.cause,
        "severity": code.severity,
        "title": words.title,
        "proof": words.proof,
        "confirm": Wording(_ANYWHERE, HOST).confirm(code.code, _STAND_INS),
    }


def code_answer(code: Code, language: str = ENGLISH) -> CodeAnswer:
    """Everything about ``code``."""
    return {
        "kind": "code",
        **brief(code, language),
        "meaning": cause_words(code.cause, language)["means"],
        "remedy": Wording(_ANYWHERE, ADDRESS, language=language).remedy(code.code, {}),
        "clients": _clients(code),
        "fixes": _fixes([code.code]),
        "errors": list(_errors_of(code.code))[:ERRORS_SHOWN],
    }


def cause_answer(name: str, language: str = ENGLISH) -> CauseAnswer:
    """Everything about the cause ``name``."""
    words = cause_words(name, language)
    codes = [code for code in CODES.values() if code.cause == name]
    return {
        "kind": "cause",
        "cause": codes[0].cause,
        "title": words["title"],
        "means": words["means"],
        "tell": words["tell"],
        "codes": [brief(code, language) for code in codes],
        "fixes": _fixes(code.code for code in codes),
    }


@cache
def causes() -> Mapping[str, Mapping[str, str]]:
    """``scanner/data/causes.toml``: title, means and tell of each cause."""
    return tomllib.loads(files("scanner").joinpath("data/causes.toml").read_text("utf-8"))


def cause_words(name: str, language: str = ENGLISH) -> Mapping[str, str]:
    """Title, means and tell of the cause ``name``."""
    words: Mapping[str, str] = (causes() if language == ENGLISH else translated(language)["causes"])[name]
    return words


def _clients(code: Code) -> dict[str, str]:
    if code.severity != "error":
        return {}
    record = DiagnosisRecord(
        code=code.code,
        cause=code.cause,
        severity=code.severity,
        summary="",
        evidence=dict(_STAND_INS),
        endpoints=[ADDRESS],
    )
    return predict(_ANYWHERE, [record])


def _fixes(codes: Iterable[str]) -> list[FixRecord]:
    return [
        {"title": recipe.title, "software": {name: list(lines) for name, lines in recipe.steps.items()}}
        for recipe in recipes_for(codes)
    ]


def _errors_of(code: str) -> Iterable[str]:
    """Names of errors that this code is the likeliest reason of, then those that it is the second likeliest of."""
    for place in range(2):
        for meaning in meanings():
            if meaning.codes[place : place + 1] == (code,) and meaning.level > 0:
                yield from (name for name in meaning.names if "*" not in name)
                yield from meaning.match[:4]


# --- errors --------------------------------------------------------------------------------------


def _error(reading: Reading, language: str) -> ErrorAnswer:
    return {
        "kind": "error",
        "recognised": _recognised(reading),
        "meanings": [
            {"means": meaning.means, "tell": meaning.tell, "codes": list(meaning.codes)} for meaning in reading.meanings
        ],
        "codes": [brief(CODES[code], language) for code in reading.codes],
        "check": CHECK,
    }


def _recognised(reading: Reading) -> list[RecognisedRecord]:
    found: list[RecognisedRecord] = [
        {"whose": known.group, "name": known.name, "number": known.number} for known in reading.recognised.errors
    ]
    found += [{"whose": "alert", "name": alert_name(number), "number": number} for number in reading.recognised.alerts]
    return found + [
        {"whose": "http", "name": f"HTTP {number}", "number": number} for number in reading.recognised.statuses
    ]
