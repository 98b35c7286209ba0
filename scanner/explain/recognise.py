"""Recognises client errors, TLS alerts and HTTP statuses in a pasted text, by name or by number.

The text is untrusted: it may be long, wrapped, coloured, or hostile. It is only searched, up to a maximum length, and
with patterns that take linear time.
"""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from msgspec import Struct

from scanner.shipped import shipped
from scanner.tls.registry_names import alert_name

# A Java stack trace with all its causes has some thousand lines, the first and last of which name the error.
MAX_TEXT: Final = 1 << 16

# Terminal control sequences (ECMA-48), which set colours, titles and the like
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


class KnownError(Struct, frozen=True):
    """A named error; ``group`` is the software that defines it ("curl", "nss", ...) and its ``number``."""

    group: str
    name: str
    number: int | None = None


class Recognised(Struct, frozen=True):
    """The errors, TLS alerts and HTTP statuses that a text names; ``rest`` is the text without the alerts."""

    errors: tuple[KnownError, ...] = ()
    alerts: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    rest: str = ""


def sanitise(text: str) -> str:
    """Remove terminal sequences and control characters, normalise to NFKC, and cut the middle of a long text."""
    if len(text) > MAX_TEXT:
        text = f"{text[: MAX_TEXT // 2]}\n{text[-MAX_TEXT // 2 :]}"
    text = unicodedata.normalize("NFKC", _ESCAPES.sub("", text))
    if len(text) > MAX_TEXT:  # NFKC expands some characters
        text = text[:MAX_TEXT]
    kept = (character if unicodedata.category(character)[0] != "C" or character == "\n" else " " for character in text)
    return "".join(kept).replace("\u2019", "'")


# --- tables --------------------------------------------------------------------------------------


@cache
def meanings_table() -> Mapping[str, Any]:
    """Return ``scanner/data/meanings.toml``."""
    return tomllib.loads(shipped("meanings.toml").decode())


@cache
def _errors() -> Mapping[str, Mapping[str, Any]]:
    table: dict[str, Any] = json.loads(shipped("client-errors.json"))
    return table


@cache
def by_name() -> Mapping[str, KnownError]:
    """Return all errors by their full names."""
    found: dict[str, KnownError] = {}
    for group, content in _errors().items():
        for name, number in content["names"].items():
            full = content["prefix"] + name
            found.setdefault(full, KnownError(group, full, number))
    table = meanings_table()
    for group, numbers in table["numbers"].items():
        for number, name in numbers.items():
            found.setdefault(name, KnownError(group, name, int(number)))
    for identifier, entry in table.items():
        if identifier != "numbers":
            for name in entry["names"]:
                if "*" not in name:
                    found.setdefault(name, KnownError("other", name))
    return found


# Shorter names may be parts of ordinary words.
MIN_LONG_NAME: Final = 16


def long_names_in(rest: str) -> Iterator[KnownError]:
    """Yield the errors whose long names occur in ``rest`` (letters and digits only), the longest where they overlap."""
    for name, known in _long_names():
        if name in rest:
            rest = rest.replace(name, "\0")
            yield known


@cache
def _long_names() -> tuple[tuple[str, KnownError], ...]:
    names = ((alphanumerics(name), known) for name, known in by_name().items())
    return tuple(sorted((item for item in names if len(item[0]) >= MIN_LONG_NAME), key=lambda item: -len(item[0])))


@cache
def _by_number() -> Mapping[tuple[str, int], KnownError]:
    found: dict[tuple[str, int], KnownError] = {}
    for known in by_name().values():
        if known.number is not None:
            found.setdefault((known.group, known.number), known)
    return found


@cache
def _alert_names() -> Mapping[str, int]:
    """Return the alerts by their names in letters and digits only, the longest first."""
    named = {number: alert_name(number) for number in range(256)}
    names = {alphanumerics(name): number for number, name in named.items() if not name.startswith("0x")}
    names.update(_OTHER_ALERT_NAMES)
    return dict(sorted(names.items(), key=lambda item: -len(item[0])))


# Names that Go and others use
_OTHER_ALERT_NAMES: Final = {
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


def alphanumerics(text: str) -> str:
    """Return the letters and digits of ``text`` in one case, so that line breaks, spaces and hyphens do not matter."""
    return "".join(filter(str.isalnum, text.casefold()))


# --- patterns ------------------------------------------------------------------------------------

_NAME_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{4,80}")
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
_MENTIONS_ALERT: Final = re.compile(r"alert|remote error: tls", re.I)
_STATUS: Final = re.compile(
    r"\b(?:HTTP(?:/[\d.]+)?|status(?: code)?|error|code)[ :=]*(4\d{2})\b|(?<![\d.])(49[56])(?![\d.])", re.I
)
_NUMBER_ONLY: Final = re.compile(r"\s*\(?(-?\d{1,10}|0x[0-9A-F]{8})\)?\s*", re.I)


def recognise(text: str) -> Recognised:
    """Return the errors, alerts and statuses named in a sanitised ``text``."""
    errors: dict[KnownError, None] = {}
    bare = _NUMBER_ONLY.fullmatch(text)
    if bare is not None:
        return _recognise_number(bare[1])
    for known in _errors_by_name_or_code(text):
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
        if known.group == "openssl" and known.number is not None and known.number > _OPENSSL_ALERT_OFFSET:
            alerts.setdefault(known.number - _OPENSSL_ALERT_OFFSET)
            del errors[known]
    rest = alphanumerics(text)
    if alerts or _MENTIONS_ALERT.search(text):
        rest = _without_alert_names(rest, alerts)
    statuses = tuple(dict.fromkeys(int(found[1] or found[2]) for found in _STATUS.finditer(text)))
    return Recognised(tuple(errors), tuple(alerts), statuses, rest)


# OpenSSL's reason code for a received alert is the alert's number plus this.
_OPENSSL_ALERT_OFFSET: Final = 1000


def _errors_by_name_or_code(text: str) -> Iterator[KnownError]:
    names = by_name()
    for found in _NAME_TOKEN.finditer(text):
        known = names.get(found[0]) or names.get(found[0].upper()) if len(found[0]) > 7 else names.get(found[0])
        if known is not None:
            yield known
    for found in _OPENSSL_CODE.finditer(text):
        code = int(found[1], 16)
        # OpenSSL 1: library, function and reason in 8, 12 and 12 bits; OpenSSL 3: library and reason in 9 and 23 bits
        reason = code & 0xFFF if code >> 24 == 0x14 else code & 0x7FFFFF
        known = _by_number().get(("openssl", reason))
        if known is not None:
            yield known
    reasons = _reasons()
    for pattern in (_REASON, _PYTHON, _NODE):
        for found in pattern.finditer(text):
            reason_text = alphanumerics(found[1])
            known = reasons.get(reason_text) or reasons.get(reason_text.replace("ssltlsalert", "sslv3alert"))
            if known is not None and f"ERR_SSL_{found[1]}" not in names:
                yield known


@cache
def _reasons() -> Mapping[str, KnownError]:
    return {
        alphanumerics(known.name.removeprefix("SSL_R_")): known
        for known in by_name().values()
        if known.group == "openssl"
    }


def _alerts(text: str) -> Iterator[int]:
    for pattern in _ALERT_NUMBERS:
        for found in pattern.finditer(text):
            number = int(found[1])
            number = number & 0xFF if number >= 256 else number  # curl -v prints level and number as one
            if number in _alert_names().values():
                yield number


def _without_alert_names(rest: str, alerts: dict[int, None]) -> str:
    """Return ``rest`` without the names of alerts, which other errors contain too; add those found to ``alerts``."""
    for name, number in _alert_names().items():
        for form in (f"alert{name}", f"fatalalert{name}", f"remoteerrortls{name}", f"received{name}", name):
            if form in rest and (form != name or number in alerts):
                rest = rest.replace(form, "\0")
                alerts.setdefault(number)
                break
    return rest


def _recognise_number(word: str) -> Recognised:
    """Return every error, alert and status that has the number ``word``."""
    number = int(word, 16) if word[:2].lower() == "0x" else int(word)
    groups = ("curl", "windows", "nss", "chrome", "gnutls", "apple", "winsock")
    numbers = _by_number()
    unsigned = number & 0xFFFFFFFF if number < -(1 << 20) else number
    errors = tuple(
        numbers[group, value] for group in groups for value in {number, unsigned} if (group, value) in numbers
    )
    alerts = (number,) if number in _alert_names().values() else ()
    return Recognised(errors, alerts, (number,) if number in (495, 496) else (), "")
