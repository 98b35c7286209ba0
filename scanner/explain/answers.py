"""The answers of ``tlsweep explain`` about a cause, a code, a pasted error, or words to search for.

Answers are dictionaries in the form of ``--json``; ``kind`` distinguishes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, Literal, TypedDict

from scanner.diagnosis.catalogue import CAUSES, CODES, Code, cause_texts, translated, words_of
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.clients.texts import RELEASES
from scanner.diagnosis.wording import Wording
from scanner.explain.fixes import recipes_for
from scanner.explain.meanings import Interpretation, interpret, meanings, search, similar_names
from scanner.explain.recognise import alphanumerics, sanitise
from scanner.language import ENGLISH
from scanner.model.evidence import Target
from scanner.model.findings import Cause, DiagnosisRecord, Severity
from scanner.tls.registry_names import alert_name

# Placeholders for the host in answers that are not about a particular one.
HOST: Final = "HOST"
ADDRESS: Final = "ADDRESS"
_PLACEHOLDER_TARGET: Final = Target(row=1, host=HOST, port=443, protocol="https", sni=HOST)
# Placeholders for the evidence that confirmation commands and client messages quote
_PLACEHOLDERS: Final[Mapping[str, Any]] = {
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
# Client errors listed for one code.
MAX_ERRORS: Final = 24


class FixRecord(TypedDict):
    """A fix, and for each software the lines of text, commands and settings that apply it."""

    title: str
    software: dict[str, list[str]]


class CodeBrief(TypedDict):
    """The summary of a code."""

    code: str
    cause: Cause
    severity: Severity
    title: str
    proof: str
    confirm: str | None


class CodeAnswer(CodeBrief):
    """All about a code.

    ``clients`` has each client's message where it does not depend on the host, ``releases`` those that it holds for.
    """

    kind: Literal["code"]
    meaning: str
    remedy: str
    clients: dict[str, str]
    releases: dict[str, str]
    fixes: list[FixRecord]
    errors: list[str]


class CauseAnswer(TypedDict):
    """A cause, its codes, and how to tell it from similar ones."""

    kind: Literal["cause"]
    cause: Cause
    title: str
    means: str
    tell: str
    codes: list[CodeBrief]
    fixes: list[FixRecord]


class RecognisedRecord(TypedDict):
    """An error that the text names, with its number if it has one."""

    whose: str
    name: str
    number: int | None


class MeaningRecord(TypedDict):
    """One possible meaning of the text, with its codes in order of likelihood."""

    means: str
    tell: str | None
    codes: list[str]


class ErrorAnswer(TypedDict):
    """A pasted error: the errors recognised in it, their possible meanings, and all codes, the likeliest first."""

    kind: Literal["error"]
    recognised: list[RecognisedRecord]
    meanings: list[MeaningRecord]
    codes: list[CodeBrief]
    check: str


class SearchAnswer(TypedDict):
    """Codes whose name or title contains the words."""

    kind: Literal["search"]
    codes: list[CodeBrief]


class UnknownAnswer(TypedDict):
    """A text without anything known; ``nearest`` has similar names."""

    kind: Literal["unknown"]
    recognised: list[RecognisedRecord]
    nearest: list[str]


Answer = CodeAnswer | CauseAnswer | ErrorAnswer | SearchAnswer | UnknownAnswer


def explain(text: str, language: str = ENGLISH) -> Answer:
    """Explain ``text``: the name of a cause or code in any spelling, an error, or words to search for.

    Texts on causes and codes are in ``language``; recipes and the meanings of errors are in English.
    """
    word = alphanumerics(sanitise(text))
    names = _by_spelling(language)
    if word in names:
        name = names[word]
        return code_answer(CODES[name], language) if name in CODES else cause_answer(name, language)
    interpretation = interpret(text)
    if interpretation.meanings:
        return _error_answer(interpretation, language)
    if codes := search(text, language):
        return {"kind": "search", "codes": [brief(CODES[code], language) for code in codes]}
    return {"kind": "unknown", "recognised": _recognised_records(interpretation), "nearest": list(similar_names(text))}


@cache
def _by_spelling(language: str) -> dict[str, str]:
    titles = {} if language == ENGLISH else {words_of(code, language).title: code for code in CODES}
    titles |= {cause_words(cause, language)["title"]: cause for cause in CAUSES}
    return {
        alphanumerics(name): found for name, found in {**titles, **{name: name for name in (*CODES, *CAUSES)}}.items()
    }


# --- codes and causes ----------------------------------------------------------------------------


def brief(code: Code, language: str = ENGLISH) -> CodeBrief:
    """Return the summary of ``code``."""
    words = words_of(code.code, language)
    return {
        "code": code.code,
        "cause": code.cause,
        "severity": code.severity,
        "title": words.title,
        "proof": words.proof,
        "confirm": Wording(_PLACEHOLDER_TARGET, HOST).confirm(code.code, _PLACEHOLDERS),
    }


def code_answer(code: Code, language: str = ENGLISH) -> CodeAnswer:
    """Return the full answer about ``code``."""
    clients = _clients(code)
    return {
        "kind": "code",
        **brief(code, language),
        "meaning": cause_words(code.cause, language)["means"],
        "remedy": Wording(_PLACEHOLDER_TARGET, ADDRESS, language=language).remedy(code.code, {}),
        "clients": clients,
        "releases": {client: RELEASES[client] for client in clients},
        "fixes": _fixes([code.code]),
        "errors": list(_errors_of(code.code))[:MAX_ERRORS],
    }


def cause_answer(name: str, language: str = ENGLISH) -> CauseAnswer:
    """Return the full answer about the cause ``name``."""
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


def cause_words(name: str, language: str = ENGLISH) -> Mapping[str, str]:
    """Return title, means and tell of the cause ``name``."""
    words: Mapping[str, str] = (cause_texts() if language == ENGLISH else translated(language)["causes"])[name]
    return words


def _clients(code: Code) -> dict[str, str]:
    if code.severity != "error":
        return {}
    record = DiagnosisRecord(
        code=code.code,
        cause=code.cause,
        severity=code.severity,
        summary="",
        evidence=dict(_PLACEHOLDERS),
        endpoints=[ADDRESS],
    )
    return predict(_PLACEHOLDER_TARGET, [record])


def _fixes(codes: Iterable[str]) -> list[FixRecord]:
    return [
        {"title": recipe.title, "software": {name: list(lines) for name, lines in recipe.steps.items()}}
        for recipe in recipes_for(codes)
    ]


def _errors_of(code: str) -> Iterable[str]:
    """Yield the errors whose likeliest reason is this code, then those whose second likeliest it is."""
    for place in range(2):
        for meaning in meanings():
            if meaning.codes[place : place + 1] == (code,) and meaning.level > 0:
                yield from (name for name in meaning.names if "*" not in name)
                yield from meaning.match[:4]


def with_releases(said: Mapping[str, str]) -> dict[str, str]:
    """Return what clients say, each client named with the releases that it holds for."""
    return {f"{client} {RELEASES[client]}" if client in RELEASES else client: text for client, text in said.items()}


# --- errors --------------------------------------------------------------------------------------


def _error_answer(interpretation: Interpretation, language: str) -> ErrorAnswer:
    return {
        "kind": "error",
        "recognised": _recognised_records(interpretation),
        "meanings": [
            {"means": meaning.means, "tell": meaning.tell, "codes": list(meaning.codes)}
            for meaning in interpretation.meanings
        ],
        "codes": [brief(CODES[code], language) for code in interpretation.codes],
        "check": CHECK,
    }


def _recognised_records(interpretation: Interpretation) -> list[RecognisedRecord]:
    found = interpretation.recognised
    return [
        *(RecognisedRecord(whose=known.group, name=known.name, number=known.number) for known in found.errors),
        *(RecognisedRecord(whose="alert", name=alert_name(number), number=number) for number in found.alerts),
        *(RecognisedRecord(whose="http", name=f"HTTP {number}", number=number) for number in found.statuses),
    ]
