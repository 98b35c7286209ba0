"""Which errors of which clients a pasted text names: by their names, by their numbers, by the alerts and statuses in it.

The text is a stranger's: it may be long, broken over lines, coloured, or hostile. It is only searched, with patterns that
take time linear in its length, and only so much of it is looked at.
"""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from msgspec import Struct

from scanner.tls.registry_names import alert_name

# A trace of Java with all its causes has some thousand lines; what decides stands at its beginning or at its end.
LOOKED_AT: Final = 1 << 16

# Sequences that colour a terminal, set its title, or otherwise act instead of showing (ECMA-48)
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


class Known(Struct, frozen=True):
    """An error that has a name: ``group`` is whose ("curl", "nss", ...), ``number`` the one it has there."""

    group: str
    name: str
    number: int | None = None


class Recognised(Struct, frozen=True):
    """What a text names: errors, TLS alerts and HTTP statuses; ``rest`` is the text without what named the alerts."""

    errors: tuple[Known, ...] = ()
    alerts: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    rest: str = ""


def clean(text: str) -> str:
    """``text`` without terminal sequences and control characters, its look-alike forms made one (NFKC), cut in its middle."""
    if len(text) > LOOKED_AT:
        text = f"{text[: LOOKED_AT // 2]}\n{text[-LOOKED_AT // 2 :]}"
    text = unicodedata.normalize("NFKC", _ESCAPES.sub("", text))
    if len(text) > LOOKED_AT:  # a few characters stand for many
        text = text[:LOOKED_AT]
    kept = (character if unicodedata.category(character)[0] != "C" or character == "\n" else " " for character in text)
    return "".join(kept).replace("\u2019", "'")


# --- tables --------------------------------------------------------------------------------------


@cache
def meanings_table() -> Mapping[str, Any]:
    """``scanner/data/meanings.toml``."""
    return tomllib.loads(files("scanner").joinpath("data/meanings.toml").read_text("utf-8"))


@cache
def _errors() -> Mapping[str, Mapping[str, Any]]:
    table: dict[str, Any] = json.loads(files("scanner").joinpath("data/client-errors.json").read_text("utf-8"))
    return table


@cache
def by_name() -> Mapping[str, Known]:
    """All errors, by their whole names."""
    found: dict[str, Known] = {}
    for group, content in _errors().items():
        for name, number in content["names"].items():
            full = content["prefix"] + name
            found.setdefault(full, Known(group, full, number))
    table = meanings_table()
    for group, numbers in table["numbers"].items():
        for number, name in numbers.items():
            found.setdefault(name, Known(group, name, int(number)))
    for identifier, entry in table.items():
        if identifier != "numbers":
            for name in entry["names"]:
                if "*" not in name:
                    found.setdefault(name, Known("other", name))
    return found


# Shorter names are parts of ordinary words.
_LONG_NAME: Final = 16


def in_pieces(rest: str) -> Iterator[Known]:
    """Errors whose long names stand in ``rest`` (letters and digits alone), the longest of those that share a place."""
    for name, known in _long_names():
        if name in rest:
            rest = rest.replace(name, "\0")
            yield known


@cache
def _long_names() -> tuple[tuple[str, Known], ...]:
    names = ((squeezed(name), known) for name, known in by_name().items())
    return tuple(sorted((item for item in names if len(item[0]) >= _LONG_NAME), key=lambda item: -len(item[0])))


@cache
def _by_number() -> Mapping[tuple[str, int], Known]:
    found: dict[tuple[str, int], Known] = {}
    for known in by_name().values():
        if known.number is not None:
            found.setdefault((known.group, known.number), known)
    return found


@cache
def _alert_names() -> Mapping[str, int]:
    """Alerts by their names as they are written without spaces; the longest first."""
    named = {number: alert_name(number) for number in range(256)}
    names = {squeezed(name): number for number, name in named.items() if not name.startswith("0x")}
    names.update(_ALERTS_OTHERWISE)
    return dict(sorted(names.items(), key=lambda item: -len(item[0])))


# As Go and others put them
_ALERTS_OTHERWISE: Final = {
    "protocolversionnotsupported": 70,
    "insufficientsecuritylevel": 71,
    "errordecodingmessage": 50,
    "errordecryptingmessage": 51,
    "unknowncertificateauthority": 48,
    "unknowncertificate": 46,
    "expiredcertificate": 45,
    "revokedcertificate": 44,
    "unsupportedcertificate": 43,
    "usercanceled": 90,
    "unrecognizedname": 112,
    "peerdoesnotrecognizeandtrusttheca": 48,
}


def squeezed(text: str) -> str:
    """The letters and digits of ``text``, in one case: what is broken over lines, spaced or joined looks the same."""
    return "".join(filter(str.isalnum, text.casefold()))


# --- patterns ------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{4,80}")
_OPENSSL_CODE: Final = re.compile(r"\b(?:error:|0x)?(0A[0-9A-F]{6}|14[0-9A-F]{6})\b", re.I)
_REASON: Final = re.compile(r"\bSSL routines:[^:\n]{0,80}:([^:\n]{3,80})", re.I)
_PYTHON: Final = re.compile(r"\[(?:SSL|X509)\s*:\s*([A-Z0-9_/]{3,80})\]")
_NODE: Final = re.compile(r"\bERR_SSL_([A-Z0-9_/]{3,80})")
_CURL_WORDS: Final = (
    r"curl error|curlcode|curl_errno|libcurl error|curl exit (?:code|status)|curl[^\n]{0,60}exit (?:code|status)"
)
_APPLE_WORDS: Final = r"OSStatus|NSURLErrorDomain|CFStream|CFNetwork|SecureTransport|Code ?=|errSSL"
_VERIFY_WORDS: Final = r"verify error:\s*num\s*=|verify return code:|verify result:|^error"
_NUMBERS: Final = (
    ("openssl-verify", re.compile(rf"(?:{_VERIFY_WORDS})\s*(\d{{1,3}})\b", re.I | re.M)),
    ("curl", re.compile(r"\bcurl\s*:?\s*\(\s*(\d{1,3})\s*\)", re.I)),
    ("curl", re.compile(rf"\b(?:{_CURL_WORDS}) *:?=? *\(?(\d{{1,3}})\b", re.I)),
    ("windows", re.compile(r"(?<![0-9A-Fa-f])(?:0x)?(8009[0-9A-F]{4}|800B[0-9A-F]{4})(?![0-9A-Fa-f])", re.I)),
    ("windows", re.compile(r"(-214\d{7})\b")),
    ("nss", re.compile(r"(?<![\d.])(-(?:8\d{3}|12\d{3}|16[34]\d{2}))\b")),
    ("chrome", re.compile(r"\bnet_error:? *=? *(-\d{1,3})\b", re.I)),
    ("gnutls", re.compile(r"\bgnutls[^\n]{0,40}?(-\d{1,4})\b", re.I)),
    ("apple", re.compile(rf"(?:{_APPLE_WORDS})[^\n]{{0,60}}?(-\d{{4,5}})\b", re.I)),
    ("apple", re.compile(r"(?<![\d.])(-98\d{2})\b")),
    ("errno", re.compile(r"\b(?:errno|os error|error number)\b *\]?[ :=(]*(-?\d{1,3})\b", re.I)),
    ("winsock", re.compile(r"(?<!\d)(1[0-2][01]\d{2})(?!\d)")),
)
_ALERT_NUMBERS: Final = (
    re.compile(r"\balert(?: number)?\s*[(\[]?\s*(\d{1,3})\b", re.I),
    re.compile(r"\bTLS alert,[^\n(]{0,60}\((\d{3})\)", re.I),
    re.compile(r"\bfatal alert[^\n\d]{0,40}(\d{1,3})\b", re.I),
)
_ABOUT_ALERTS: Final = re.compile(r"alert|remote error: tls", re.I)
_STATUS: Final = re.compile(
    r"\b(?:HTTP(?:/[\d.]+)?|status(?: code)?|error|code)[ :=]*(4\d{2})\b|(?<![\d.])(49[56])(?![\d.])", re.I
)
_BARE: Final = re.compile(r"\s*\(?(-?\d{1,10}|0x[0-9A-F]{8})\)?\s*", re.I)


def recognise(text: str) -> Recognised:
    """What ``text`` names; ``text`` is as ``clean`` gives it."""
    errors: dict[Known, None] = {}
    bare = _BARE.fullmatch(text)
    if bare is not None:
        return _of_number(bare[1])
    for known in _named(text):
        errors.setdefault(known)
    numbers = _by_number()
    for group, pattern in _NUMBERS:
        for found in pattern.finditer(text):
            number = int(found[1], 16) if found[1][:4].upper() in ("8009", "800B") else int(found[1])
            if group == "windows":
                number &= 0xFFFFFFFF
            if (group, number) in numbers:
                errors.setdefault(numbers[group, number])
    alerts = dict.fromkeys(_alerts(text))
    for known in list(errors):
        if known.group == "openssl" and known.number is not None and known.number > _OPENSSL_ALERTS:
            alerts.setdefault(known.number - _OPENSSL_ALERTS)
            del errors[known]
    rest = squeezed(text)
    if alerts or _ABOUT_ALERTS.search(text):
        rest = _without_alert_names(rest, alerts)
    statuses = tuple(dict.fromkeys(int(found[1] or found[2]) for found in _STATUS.finditer(text)))
    return Recognised(tuple(errors), tuple(alerts), statuses, rest)


# OpenSSL's reason for an alert that came is the alert's number and this.
_OPENSSL_ALERTS: Final = 1000


def _named(text: str) -> Iterator[Known]:
    names = by_name()
    for found in _TOKEN.finditer(text):
        known = names.get(found[0]) or names.get(found[0].upper()) if len(found[0]) > 7 else names.get(found[0])
        if known is not None:
            yield known
    for found in _OPENSSL_CODE.finditer(text):
        code = int(found[1], 16)
        # OpenSSL 1: library, function, reason in 8, 12 and 12 bits; 3: library in the upper 9 of 32, the reason below
        reason = code & 0xFFF if code >> 24 == 0x14 else code & 0x7FFFFF
        known = _by_number().get(("openssl", reason))
        if known is not None:
            yield known
    reasons = _reasons()
    for pattern in (_REASON, _PYTHON, _NODE):
        for found in pattern.finditer(text):
            known = reasons.get(squeezed(found[1])) or reasons.get(
                squeezed(found[1]).replace("ssltlsalert", "sslv3alert")
            )
            if known is not None and f"ERR_SSL_{found[1]}" not in names:
                yield known


@cache
def _reasons() -> Mapping[str, Known]:
    return {
        squeezed(known.name.removeprefix("SSL_R_")): known for known in by_name().values() if known.group == "openssl"
    }


def _alerts(text: str) -> Iterator[int]:
    for pattern in _ALERT_NUMBERS:
        for found in pattern.finditer(text):
            number = int(found[1])
            number = number & 0xFF if number >= 256 else number  # curl -v: level and number in one
            if number in _alert_names().values():
                yield number


def _without_alert_names(rest: str, alerts: dict[int, None]) -> str:
    """``rest`` without the alerts' names, which other texts use too; each that is found is added to ``alerts``."""
    for name, number in _alert_names().items():
        for form in (f"alert{name}", f"fatalalert{name}", f"remoteerrortls{name}", f"received{name}", name):
            if form in rest and (form != name or number in alerts):
                rest = rest.replace(form, "\0")
                alerts.setdefault(number)
                break
    return rest


def _of_number(word: str) -> Recognised:
    """A number alone: whatever has it."""
    number = int(word, 16) if word[:2].lower() == "0x" else int(word)
    groups = ("curl", "windows", "nss", "chrome", "gnutls", "apple", "winsock")
    numbers = _by_number()
    unsigned = number & 0xFFFFFFFF if number < -(1 << 20) else number
    errors = tuple(
        numbers[group, value] for group in groups for value in {number, unsigned} if (group, value) in numbers
    )
    alerts = (number,) if number in _alert_names().values() else ()
    return Recognised(errors, alerts, (number,) if number in (495, 496) else (), "")
