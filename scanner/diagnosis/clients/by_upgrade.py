"""What each client says where a connection never comes to TLS: an upgrade that is not offered, refused, or a session that is.

Only curl and OpenSSL's s_client have words of their own for it; libraries leave the dialogue to their users. The words are
of curl 7.88 and OpenSSL 3.0, asked of servers that answer so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from scanner.diagnosis.clients.texts import UPGRADE_TEXTS
from scanner.model.evidence import Target

# The first line of an answer of SMTP or FTP
_REPLY: Final = re.compile(r"(\d{3})[ -]")
# s_client looks for the word in these protocols' answers, and goes on without it; in the others it does not look.
_LOOKS_FOR_IT: Final = frozenset({"smtp", "imap"})
# What s_client says to a session that is refused; in other protocols it depends on what comes of the hello that it sends all the same
_S_CLIENT_OF_SESSION: Final[Mapping[str, str]] = {
    **dict.fromkeys(("smtp", "lmtp", "imap", "nntp", "sieve"), "Didn't find STARTTLS in server response"),
    "irc": "Server does not support STARTTLS.",
    "mysql": "Only MySQL protocol version 10 is supported.",
}
# What curl says where the server hangs up
_CUT: Final = "(56) response reading failed"
_READS_REPLIES: Final = frozenset({"smtp", "imap", "pop3"})
_NOT_FOUND: Final = "Didn't find STARTTLS in server response"
_PLAIN_ANSWER: Final = "SSL routines::wrong version number"


def not_offered(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return what each client says to ``starttls-not-offered``."""
    protocol = target.protocol
    return _texts(protocol, "not-offered", _NOT_FOUND if protocol in _LOOKS_FOR_IT else _PLAIN_ANSWER)


def refused(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return what each client says to ``starttls-refused``."""
    if evidence.get("failure") is not None:
        return _cut(evidence, target)
    return _texts(target.protocol, "refused", _PLAIN_ANSWER, _reply(evidence))


def session_refused(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return what each client says to ``session-refused``."""
    openssl = _S_CLIENT_OF_SESSION.get(target.protocol)
    if evidence.get("failure") is not None:
        said = _cut(evidence, target)
        return said if openssl is None or target.protocol == "mysql" else {**said, "openssl": openssl}
    reply, what = _reply(evidence), "greeting" if evidence.get("awaited") is None else "session"
    if target.protocol == "ftp" and reply == "421" and what == "greeting":
        what = "closing"
    return _texts(target.protocol, what, openssl, reply)


def _cut(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    return {"curl": _CUT} if evidence["failure"] == "closed" and target.protocol in _READS_REPLIES else {}


def _texts(protocol: str, what: str, openssl: str | None, reply: str | None = None) -> dict[str, str]:
    curl = UPGRADE_TEXTS.get(protocol, {}).get(what)
    texts = {} if openssl is None else {"openssl": openssl}
    if curl is not None and (reply is not None or "{reply}" not in curl):
        texts["curl"] = curl.replace("{reply}", reply or "")
    return texts


def _reply(evidence: Mapping[str, Any]) -> str | None:
    found = _REPLY.match(f"{evidence.get('words', '')} ")
    return found[1] if found else None
