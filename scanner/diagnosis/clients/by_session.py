"""What each client says where a session ends before TLS: by the protocol, and by what was answered.

Seen with curl 7.88 and 8, and OpenSSL 3: ``tests/clients/test_refused_sessions.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scanner.model.evidence import Target

_NOT_FOUND: Final = "Didn't find STARTTLS in server response"
_EOF: Final = "SSL routines::unexpected eof while reading"
_OPENSSL: Final[Mapping[str, str]] = {
    **dict.fromkeys(("smtp", "lmtp", "imap", "nntp", "sieve"), _NOT_FOUND),
    **dict.fromkeys(("pop3", "ftp"), _EOF),
    "irc": "Server does not support STARTTLS.",
    "mysql": "Only MySQL protocol version 10 is supported.",
}
_CLOSING: Final = "421"


def session_refused(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return what each client says to a session that the server refuses or ends; a client of which it is not known is left out."""
    protocol = target.protocol
    texts: dict[str, str] = {}
    openssl = _OPENSSL.get(protocol)
    if openssl is not None and (protocol != "mysql" or evidence.get("failure") is None):
        texts["openssl"] = openssl
    curl = _curl(protocol, evidence)
    if curl is not None:
        texts["curl"] = curl
    return texts


def _curl(protocol: str, evidence: Mapping[str, Any]) -> str | None:
    failure = evidence.get("failure")
    if failure is not None:
        mail = protocol in ("smtp", "imap", "pop3")
        return "(56) response reading failed" if failure == "closed" and mail else None
    code, awaited = str(evidence.get("words", ""))[:3], evidence.get("awaited")
    if protocol == "smtp":
        if awaited is not None:
            return f"(9) Remote access denied: {code}"
        return f"(8) Got unexpected smtp-server response: {code}"
    if protocol in ("imap", "pop3"):
        return f"(8) Got unexpected {protocol}-server response" if awaited is None else None
    if protocol == "ftp" and awaited is None:
        # curl calls the code for "closing" a timeout
        return (
            "(28) Timeout was reached"
            if code == _CLOSING
            else f"(8) Got a {code} ftp-server response when 220 was expected"
        )
    return None


def upgrade_refused(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return what each client says to a server that takes the session and refuses TLS."""
    if evidence.get("failure") is not None:
        return {}
    return {"curl": "(64) STARTTLS denied"} if target.protocol in ("smtp", "imap", "pop3") else {}
