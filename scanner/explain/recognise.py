"""Recognises client errors, TLS alerts and HTTP statuses in a pasted text, by name or by number.

The text is untrusted: it may be long, wrapped, coloured, or hostile. It is only searched, up to a maximum length, and
with patterns that take linear time.
"""

from __future__ import annotations

import hashlib
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
    """The errors, TLS alerts and HTTP statuses that a text names; ``rest`` is the text without the alerts.

    ``by_client`` is true if it was the client that sent the alerts: its trace shows them going out, or a server's log
    shows them coming in.
    """

    errors: tuple[KnownError, ...] = ()
    alerts: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    rest: str = ""
    by_client: bool = False


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
    for group, content in _errors()["groups"].items():
        for name, number in content["names"].items():
            full = content["prefix"] + name
            found.setdefault(full, KnownError(group, full, number))
    table = meanings_table()
    for group, numbers in table["numbers"].items():
        for number, name in numbers.items():
            found.setdefault(name, KnownError(group, name, int(number, 0)))
    for group, bits in table["flags"].items():
        for name in bits.values():
            found.setdefault(name, KnownError(group, name))
    for identifier, entry in table.items():
        if identifier not in ("numbers", "flags"):
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


# --- messages ------------------------------------------------------------------------------------

# Some 900 short messages are known by digests of their letters and digits: which message belongs to which error is a
# fact, the messages themselves belong to their projects and are not copied. A text is cut where messages begin or end
# (lines, colons, brackets, quotes); every run of a few pieces is looked up, since a message has such marks inside too.

_PIECE_ENDS: Final = re.compile(r"[\n:;,.!?\"'`()\[\]{}<>|=\u2018-\u201f\u3001\u3002]+")
# Pieces of one message; NSS has one of eleven.
MAX_PIECES: Final = 12
# Letters and digits of a message
MAX_MESSAGE: Final = 400


def message_digest(letters: str) -> str:
    """Return the digest under which a message is known, of its letters and digits."""
    return hashlib.blake2b(letters.encode(), digest_size=8).hexdigest()


def _by_message(text: str) -> Iterator[str]:
    """Yield the names of the errors whose messages occur in ``text``; short ones only if they are all of it."""
    known: Mapping[str, str] = _errors()["messages"]
    names = _by_letters()
    whole = alphanumerics(text)
    if (name := names.get(whole) or known.get(message_digest(whole))) is not None:
        yield name
        return
    pieces = [letters for piece in _PIECE_ENDS.split(text) if (letters := alphanumerics(piece))]
    for place in range(len(pieces)):
        joined = ""
        for piece in pieces[place : place + MAX_PIECES]:
            joined += piece
            if len(joined) > MAX_MESSAGE:
                break
            if (
                len(joined) >= MIN_LONG_NAME
                and (name := names.get(joined) or known.get(message_digest(joined))) is not None
            ):
                yield name


@cache
def _by_letters() -> Mapping[str, str]:
    """Return the errors whose message has the letters and digits of the name, as nearly all of OpenSSL's reasons do."""
    return {
        alphanumerics(name): content["prefix"] + name
        for content in _errors()["groups"].values()
        if content["prefix"]
        for name in content["names"]
    }


# --- alerts --------------------------------------------------------------------------------------


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
    "unrecognisedname": 112,
    "peerdoesnotrecognizeandtrusttheca": 48,
    "nocertificate": 41,
    "ssl3nocertificate": 41,
    "usercancelled": 90,
    "certunobtainable": 111,
    "badcertstatusresponse": 113,
    "badcerthashvalue": 114,
    "encryptedclienthellorequired": 121,
}


def alphanumerics(text: str) -> str:
    """Return the letters and digits of ``text`` in one case, so that line breaks, spaces and hyphens do not matter.

    NUL, which ``sanitise`` removes, stays: it stands for what was cut out.
    """
    return "".join(c for c in text.casefold() if c.isalnum() or c == "\0")


# --- patterns ------------------------------------------------------------------------------------

# How OpenSSL, GnuTLS and Go call alerts in their sources
_ALERT_TOKEN: Final = re.compile(
    r"\b(?:(?:GNUTLS_A|SSL3?_AD|TLS1_AD|TLS13_AD)_([A-Z0-9_]{5,40})|alert([A-Z]\w{5,40}))\b"
)
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
_EVENT_WORDS: Final = (
    r"schannel|event ?(?:id)?|\u4e8b\u4ef6|ereignis|\u00e9v\u00e9nement|evento|\u0441\u043e\u0431\u044b\u0442\u0438"
)
_NUMBERS: Final = (
    ("openssl-verify", re.compile(rf"(?:{_VERIFY_WORDS})\s*(\d{{1,3}})\b", re.I | re.M)),
    ("curl", re.compile(r"\bcurl\s*:?\s*\(\s*(\d{1,3})\s*\)", re.I)),
    ("curl", re.compile(rf"\b(?:{_CURL_WORDS}) *:?=? *\(?(\d{{1,3}})\b", re.I)),
    (
        "windows",
        re.compile(r"(?<![0-9A-Fa-f])(?:0x)?(8009[0-9A-F]{4}|800B[0-9A-F]{4}|8007[0-9A-F]{4})(?![0-9A-Fa-f])", re.I),
    ),
    ("windows", re.compile(r"(-214\d{7})(?!\d)")),
    ("nss", re.compile(r"(?<![\d.])(-(?:8\d{3}|12\d{3}|16[34]\d{2}))\b")),
    ("chrome", re.compile(r"\bnet_error:? *=? *(-\d{1,3})\b", re.I)),
    ("gnutls", re.compile(r"\bgnutls[^\n]{0,40}?(-\d{1,4})\b", re.I)),
    ("apple", re.compile(rf"(?:{_APPLE_WORDS})[^\n]{{0,60}}?(-\d{{4,5}})\b", re.I)),
    ("apple", re.compile(r"(?<![\d.])(-98\d{2})\b")),
    ("errno", re.compile(r"\b(?:errno|os error|error number)\b *\]?[ :=(]*(-?\d{1,3})\b", re.I)),
    ("winsock", re.compile(r"(?<!\d)(1[0-2][01]\d{2})(?!\d)")),
    ("winsock", re.compile(r"(?<![0-9A-Fa-f])(0x2[EF][0-9A-F]{2})(?![0-9A-Fa-f])", re.I)),
    ("mbedtls", re.compile(r"(?<!\w)-(0x[0-7][0-9A-F]{3})\b", re.I)),
    ("schannel-event", re.compile(rf"(?:{_EVENT_WORDS})[^\n]{{0,60}}?\b(368[678]\d)(?!\d)", re.I)),
    ("schannel-event", re.compile(r"(?<!\d)(368[678]\d)\b[^\n]{0,60}?\bschannel", re.I)),
)
# Sets of bits: the table of the bits, what stands before the number
_FLAGS: Final = (
    ("gnutls-verify", re.compile(r"(?:untrusted or revoked|verif\w+ status|status)\W{1,4}(0x[0-9A-F]{1,8})\b", re.I)),
    ("cert-trust", re.compile(r"(?:dwErrorStatus|TrustStatus|ErrorStatus)\W{1,4}(?:0x)?([0-9A-F]{1,8})\b", re.I)),
    ("policy-errors", re.compile(r"(?:SslPolicyErrors|policyErrors)\W{1,4}(?:0x)?(\d)\b", re.I)),
)
_ALERT_NUMBERS: Final = (
    re.compile(r"\balert(?: number)?\s*[(\[]?\s*(\d{1,3})\b", re.I),
    re.compile(r"\bTLS alert,[^\n(]{0,60}\((\d{3})\)", re.I),
    re.compile(r"\bfatal (?:alert|error)[^\n\d]{0,40}(\d{1,3})\b", re.I),
    re.compile(r"\bTlsFatalAlert\w*[^\n\d]{0,60}\((\d{1,3})\)"),
)
_MENTIONS_ALERT: Final = re.compile(r"alert|remote error: tls", re.I)
_STATUS_WORDS: Final = (
    r"\bHTTP(?:/[\d.]+)?|\bstatus(?: code)?|\berror|\bcode|\u9519\u8bef|\u932f\u8aa4|\u9519\u8bef\u4ee3\u7801|"
    r"\u30a8\u30e9\u30fc|fehler|erreur|\u043e\u0448\u0438\u0431\u043a\u0430"
)
_STATUS: Final = re.compile(
    rf"(?:{_STATUS_WORDS})[ :=#]*((?:4|52|53)\d{{1,2}})(?!\d)|(?<![\d.])(49[56])(?![\d.])", re.I
)
# What Cloudflare answers in the place of a server that it cannot reach
_GATEWAY_STATUS: Final = re.compile(r"(?<![\d.])(5[23]\d)(?![\d.])")
_NUMBER_ONLY: Final = re.compile(r"\s*\(?(-?\d{1,10}|0x[0-9A-F]{8})\)?\s*", re.I)
# A server's log: what it receives comes from clients.
_SERVER_LOG: Final = re.compile(
    r"SSL_accept|SSL3_ACCEPT|while (?:SSL|TLS)? ?handshaking, client|TLS handshake error from|smtpd\[|\bAH0\d{4}\b|"
    r"\[client [\da-f.:]+|(?:imap|pop3|submission|managesieve)-login|remote client application|from client|"
    r"TLS server: |received CLIENT ALERT|SSL library problem: [^\n]*accept|\bslapd\[",
    re.I,
)
# What whoever wrote the text has sent itself
_SENT: Final = re.compile(
    r"\(OUT\), TLS alert|generated (?:CLIENT|SERVER) ALERT|alert was generated and sent|SSL3 alert write|"
    r"\bsend(?:ing)? (?:a )?(?:TLS |SSL )?(?:fatal )?alert|>>> [^\n]*alert|TlsFatalAlert\b(?!Received)|SEND TLS[^\n]*ALERT",
    re.I,
)


def recognise(text: str) -> Recognised:
    """Return the errors, alerts and statuses named in a sanitised ``text``."""
    errors: dict[KnownError, None] = {}
    bare = _NUMBER_ONLY.fullmatch(text)
    if bare is not None:
        return _recognise_number(bare[1])
    for known in _errors_by_name_or_code(text):
        errors.setdefault(known)
    for group, pattern in _NUMBERS:
        for found in pattern.finditer(text):
            if (numbered := _numbered(group, _integer(found[1]))) is not None:
                errors.setdefault(numbered)
    for known in _flagged(text):
        errors.setdefault(known)
    alerts = dict.fromkeys(_alerts(text))
    for name in _by_message(text):
        if (number := _alert_called(name)) is not None:
            alerts.setdefault(number)
        else:
            errors.setdefault(by_name()[name])
    for known in list(errors):
        if known.group == "openssl" and known.number is not None and known.number > _OPENSSL_ALERT_OFFSET:
            alerts.setdefault(known.number - _OPENSSL_ALERT_OFFSET)
            del errors[known]
    rest = alphanumerics(_NAME_TOKEN.sub(lambda token: "\0" if _named(token[0]) else token[0], text))
    if alerts or _MENTIONS_ALERT.search(text):
        rest = _without_alert_names(rest, alerts)
    by_client = (_SERVER_LOG.search(text) is None) is (_SENT.search(text) is not None)
    return Recognised(tuple(errors), tuple(alerts), tuple(_statuses(text)), rest, by_client)


def _integer(digits: str) -> int:
    """Return the number of an error in decimal or hexadecimal, with or without ``0x``."""
    plain = digits.removeprefix("0x").removeprefix("0X")
    is_hexadecimal = plain != digits or (len(plain) == 8 and plain[:1] == "8")
    return int(plain, 16 if is_hexadecimal else 10)


# HRESULTs of this facility carry an error of Win32 (Winsock, WinHTTP) in their lower half.
_WIN32_FACILITY: Final = 0x8007


def _numbered(group: str, number: int) -> KnownError | None:
    """Return the error ``number`` of a group."""
    if group == "windows":
        number &= 0xFFFFFFFF
        if number >> 16 == _WIN32_FACILITY:
            group, number = "winsock", number & 0xFFFF
    return _by_number().get((group, number))


def _flagged(text: str) -> Iterator[KnownError]:
    """Yield the errors whose bits are set in a number that is a set of flags."""
    tables: Mapping[str, Mapping[str, str]] = meanings_table()["flags"]
    for table, pattern in _FLAGS:
        for found in pattern.finditer(text):
            bits = int(found[1], 16)
            for bit, name in tables[table].items():
                if bits & int(bit, 0):
                    yield by_name()[name]


def _statuses(text: str) -> dict[int, None]:
    found = dict.fromkeys(int(match[1] or match[2]) for match in _STATUS.finditer(text))
    if "cloudflare" in text.casefold():
        found |= dict.fromkeys(int(match[1]) for match in _GATEWAY_STATUS.finditer(text))
    return found


# OpenSSL's reason code for a received alert is the alert's number plus this.
_OPENSSL_ALERT_OFFSET: Final = 1000


def _errors_by_name_or_code(text: str) -> Iterator[KnownError]:
    names = by_name()
    for found in _NAME_TOKEN.finditer(text):
        if (known := _named(found[0])) is not None:
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


def _named(token: str) -> KnownError | None:
    """Return the error with this name, a long one in any case of letters."""
    names = by_name()
    return names.get(token) or (names.get(token.upper()) if len(token) > 7 else None)


@cache
def _reasons() -> Mapping[str, KnownError]:
    return {
        alphanumerics(known.name.removeprefix("SSL_R_")): known
        for known in by_name().values()
        if known.group == "openssl"
    }


def _alert_called(name: str) -> int | None:
    """Return the alert with this name in the sources of OpenSSL, GnuTLS or Go."""
    if (found := _ALERT_TOKEN.fullmatch(name)) is None:
        return None
    return _alert_names().get(alphanumerics(found[1] or found[2]))


# What may stand before the name of an alert where the text is nothing else
_ALERT_WORDS: Final = frozenset(
    ("tls", "ssl", "sslv3", "tlsv1", "tlsv13", "received", "remote", "error", "fatal", "alert", "a")
)


def _whole_alert(text: str) -> int | None:
    """Return the alert that is all that ``text`` names, in words of any client."""
    words = re.split(r"[\W_]+", text.casefold()) if len(text) < MAX_MESSAGE else []
    for place, word in enumerate(words):
        if (number := _alert_names().get("".join(words[place:]))) is not None:
            return number
        if word not in _ALERT_WORDS:
            break
    return None


def _alerts(text: str) -> Iterator[int]:
    if (whole := _whole_alert(text)) is not None:
        yield whole
    for token in _ALERT_TOKEN.finditer(text):
        if (called := _alert_called(token[0])) is not None:
            yield called
    for pattern in _ALERT_NUMBERS:
        for found in pattern.finditer(text):
            number = int(found[1])
            number = number & 0xFF if number >= 256 else number  # curl -v prints level and number as one
            if number in _alert_names().values():
                yield number


def _without_alert_names(rest: str, alerts: dict[int, None]) -> str:
    """Return ``rest`` without the names of alerts, which other errors contain too; add those found to ``alerts``."""
    for name, number in _alert_names().items():
        for form in (f"alert{name}", f"alertfatal{name}", f"remoteerrortls{name}", f"received{name}", name):
            if form in rest and (form != name or number in alerts):
                rest = rest.replace(form, "\0")
                alerts.setdefault(number)
                break
    return rest


def _recognise_number(word: str) -> Recognised:
    """Return every error, alert and status that has the number ``word``."""
    number = int(word, 16) if word[:2].lower() == "0x" else int(word)
    unsigned = number & 0xFFFFFFFF if number < -(1 << 20) else number
    errors = dict.fromkeys(
        known
        for group in ("curl", "windows", "nss", "chrome", "gnutls", "apple", "winsock", "schannel-event")
        for value in dict.fromkeys((number, unsigned))
        if (known := _numbered(group, value)) is not None
    )
    alerts = (number,) if number in _alert_names().values() else ()
    status = number in (495, 496) or number // 10 in (52, 53)
    return Recognised(tuple(errors), alerts, (number,) if status else (), "")
