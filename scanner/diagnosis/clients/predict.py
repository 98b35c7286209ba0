"""What each client would say to a target: predicted from the codes and their evidence, by table.

Every client checks in an order of its own and says what it meets first, so the orders are tables too. The texts are in
``scanner.diagnosis.clients.texts``, what depends on the evidence in ``client_evidence``. What is not known of a client
is left out, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from scanner.diagnosis.case import BROWSER_PROTOCOLS
from scanner.diagnosis.catalogue import CODES, rank
from scanner.diagnosis.clients.by_evidence import texts_of
from scanner.diagnosis.clients.endings import BROWSERS, CLIENTS, OK
from scanner.diagnosis.wording import words
from scanner.model.evidence import Stage, Target
from scanner.model.findings import DiagnosisRecord

_FIELD: Final = re.compile(r"\{([a-z_]+)\}")

# --- in which order a client finds fault with certificates ----------------------------------------

_CHAIN: Final = (
    "unsupported-algorithm", "self-signed-leaf", "untrusted-root", "intermediate-not-sent", "intermediate-unobtainable", "issuer-unknown",
)  # fmt: skip
_EXTENSIONS: Final = (
    "unknown-critical-extension", "issuer-not-a-ca", "path-length-exceeded", "too-many-certificates",
    "wrong-key-usage", "not-for-server-auth",
)  # fmt: skip
_STRENGTH: Final = ("weak-key", "weak-signature")
_NAMES: Final = ("name-not-in-san", "wildcard-depth", "common-name-only", "default-certificate")
_REVOKED: Final = (
    "revoked-ocsp-staple",
    "revoked-ocsp",
    "revoked-crl",
    "must-staple-missing",
    "no-scts",
    "too-few-scts",
)
_OWN_DATES: Final = ("certificate-expired", "certificate-not-yet-valid", "local-clock-wrong")
_DATES: Final = ("bad-signature", "intermediate-expired", *_OWN_DATES, *_REVOKED)
_LAST: Final = ("name-constraint-violated", "key-mismatch")
_REVOCATION: Final = ("revoked-ocsp-staple", "staple-invalid", "revoked-ocsp", "must-staple-missing")

# verify_chain() of OpenSSL builds, looks at extensions, strength and name, and only then at signatures and dates.
_OPENSSL: Final = ("malformed-certificate", *_CHAIN, *_EXTENSIONS, *_STRENGTH, *_NAMES, *_DATES, *_LAST)
_ORDER: Final[Mapping[str, tuple[str, ...]]] = {
    "openssl": _OPENSSL,
    "python": _OPENSSL,
    # curl looks at the name itself, after the handshake
    "curl": ("malformed-certificate", *_CHAIN, *_EXTENSIONS, *_STRENGTH, *_DATES, *_LAST, *_NAMES),
    # Verify() of Go: the leaf's own dates and name before any chain
    "go": ("malformed-certificate", *_OWN_DATES, "unknown-critical-extension",
           *_NAMES, *_CHAIN, *_DATES, *_EXTENSIONS, *_STRENGTH, *_LAST),
    "java": ("malformed-certificate", *_CHAIN, *_DATES, *_EXTENSIONS, *_STRENGTH, "name-constraint-violated", *_NAMES),
    # Node lets OpenSSL go on and keeps its last error, so what is looked at last comes first; the name comes after all
    "node": ("malformed-certificate", "key-mismatch", "name-constraint-violated", *_OWN_DATES,
             "intermediate-expired", "bad-signature", *_STRENGTH, *_EXTENSIONS, *_CHAIN, *_NAMES),
    # Chromium reports the most serious of all it found
    "chrome": ("revoked-ocsp-staple", "malformed-certificate", *_EXTENSIONS, *_CHAIN, "bad-signature", *_NAMES, "name-constraint-violated",
               "weak-signature", "weak-key", *_DATES),
    # Firefox: trust, then the name, then the dates
    "firefox": ("malformed-certificate", "bad-signature", *_CHAIN, *_EXTENSIONS, *_STRENGTH, "name-constraint-violated",
                "intermediate-expired", *_REVOCATION, *_NAMES, *_DATES),
    "gnutls": ("malformed-certificate", *_CHAIN, *_EXTENSIONS, *_STRENGTH, *_DATES, *_LAST, *_NAMES),
}  # fmt: skip
# What programs speak; the others are libraries, with which clients of nearly all protocols are written.
_MAIL: Final = frozenset({"smtp", "smtps", "imap", "imaps", "pop3", "pop3s"})
_FILES: Final = frozenset({"ftp", "ftps", "ldap", "ldaps"})
_SPEAKS: Final[Mapping[str, frozenset[str]]] = {
    "curl": BROWSER_PROTOCOLS | _MAIL | _FILES,
    **dict.fromkeys(BROWSERS, BROWSER_PROTOCOLS),
}
# Upgrades to TLS that a client does not know
_SPEAKS_NOT: Final[Mapping[str, frozenset[str]]] = {
    "openssl": frozenset({"mssql", "rdp"}),
    "gnutls": frozenset({"mssql", "rdp", "mysql", "irc", "xmpp-server"}),
}
_LIBRARIES_SPEAK_NOT: Final = frozenset({"rdp"})

# Who takes another certificate for the leaf never looks at the leaf. A code that stands in an order twice counts where it stands first.
_PLACE: Final = {
    client: {code: place for place, code in enumerate(dict.fromkeys(("chain-misordered", *order)))}
    for client, order in _ORDER.items()
}


def predict(target: Target, diagnoses: Iterable[DiagnosisRecord]) -> dict[str, str]:
    """Return what each client that speaks the protocol says, ``"ok"`` if it accepts; nothing if all of them accept."""
    errors = [record for record in diagnoses if record["severity"] == "error" or _is_refusal_by_few(record)]
    said: dict[str, str] = {}
    for client in CLIENTS:
        if not _speaks(client, target.protocol):
            continue
        answer = _says(client, target, errors)
        if answer is not None:
            said[client] = answer
    return {} if all(text == OK for text in said.values()) else said


def _of_the_same_path(evidence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return further evidence on one code that is not of another address."""
    return [each for each in evidence.get("also", ()) if "address" not in each]


def _is_refusal_by_few(record: DiagnosisRecord) -> bool:
    """Return whether this is a warning about clients that are not mainstream: they refuse all the same."""
    return record["severity"] == "warning" and record["evidence"].get("refused_by") == ["GnuTLS"]


def _speaks(client: str, protocol: str) -> bool:
    spoken = _SPEAKS.get(client)
    return protocol not in _SPEAKS_NOT.get(client, _LIBRARIES_SPEAK_NOT) if spoken is None else protocol in spoken


def _says(client: str, target: Target, errors: Sequence[DiagnosisRecord]) -> str | None:
    known = True
    sentences: list[str] = []
    for record in sorted(errors, key=lambda record: _meets(client, record["code"])):
        texts = texts_of(record["code"], record["evidence"], target)
        if texts is None:
            continue  # it comes with other codes that tell what clients say
        text = texts.get(client)
        if text is None:
            known = False
            break
        if text == OK:
            # of several certificates with this fault, it may mind another than the first
            others = [texts_of(record["code"], each, target) for each in _of_the_same_path(record["evidence"])]
            text = next((each[client] for each in others if each and each.get(client, OK) != OK), OK)
        if text == OK:
            continue
        filled = _filled(text, record, target)
        if client != "gnutls" or not _is_verdict(filled):
            if sentences:
                break  # it has given up before
            return filled
        if filled not in sentences:
            sentences.append(filled)
    if sentences:
        return " ".join(("The certificate is NOT trusted.", *sentences))
    return OK if known else None


def _is_verdict(text: str) -> bool:
    return text.startswith(
        ("The certificate", "The signature in", "The name in", "The revocation or", "The received OCSP")
    )


def _meets(client: str, code: str) -> tuple[int, int, tuple[int, int]]:
    """Return the place at which a client finds a fault: the connection, then certificates in the client's own order, then the rest."""
    stage = CODES[code].stage
    if stage is not Stage.CERTIFICATE:
        return 2 if stage in _AFTER_CERTIFICATES else 0, 0, rank(code)
    return 1, _PLACE[client].get(code, len(_PLACE[client])), rank(code)


_AFTER_CERTIFICATES: Final = frozenset({Stage.CLIENT_AUTH, Stage.APPLICATION})


def _filled(text: str, record: DiagnosisRecord, target: Target) -> str:
    endpoints = record.get("endpoints") or [target.address or target.host]
    facts: dict[str, Any] = {
        "host": target.host,
        "name": target.name,
        "port": target.port,
        "address": f"[{endpoints[0]}]" if ":" in endpoints[0] else endpoints[0],
        "common_name_of_subject": _common_name(str(record["evidence"].get("subject", ""))),
        **record["evidence"],
    }
    return _FIELD.sub(lambda found: words(facts.get(found[1], ""), last=", "), text)


_COMMON_NAME: Final = re.compile(r"(?:^|,)CN=([^,\\]*)")


def _common_name(subject: str) -> str:
    """Return the common name in a subject, as Go names a CA; the whole subject if it has none."""
    found = _COMMON_NAME.search(subject)
    return found[1] if found else subject
