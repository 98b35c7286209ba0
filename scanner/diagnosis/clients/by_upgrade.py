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
# Answers of SMTP to a greeting that is not one: the others come to EHLO
_AT_THE_GREETING: Final = frozenset({"421", "554"})
# s_client looks for the word in these protocols' answers, and goes on without it; in the others it does not look.
_LOOKS_FOR_IT: Final = frozenset({"smtp", "imap"})
_NOT_FOUND: Final = "Didn't find STARTTLS in server response"
_PLAIN_ANSWER: Final = "SSL routines::wrong version number"


def not_offered(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return what each client says to ``starttls-not-offered``."""
    protocol = target.protocol
    return _texts(protocol, "not-offered", _NOT_FOUND if protocol in _LOOKS_FOR_IT else _PLAIN_ANSWER)


def refused(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return what each client says to ``starttls-refused``."""
    reply = _reply(evidence)
    if target.protocol == "smtp" and reply in _AT_THE_GREETING:
        return session_refused(evidence, target)
    return _texts(target.protocol, "refused", _PLAIN_ANSWER, reply)


def session_refused(evidence: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return what each client says to ``session-refused``."""
    reply = _reply(evidence)
    at_the_greeting = target.protocol != "smtp" or reply in _AT_THE_GREETING
    openssl = _NOT_FOUND if target.protocol in _LOOKS_FOR_IT else _PLAIN_ANSWER
    return _texts(target.protocol, "greeting" if at_the_greeting else "session", openssl, reply)


def _texts(protocol: str, what: str, openssl: str, reply: str | None = None) -> dict[str, str]:
    curl = UPGRADE_TEXTS.get(protocol, {}).get(what)
    texts = {"openssl": openssl}
    if curl is not None and (reply is not None or "{reply}" not in curl):
        texts["curl"] = curl.replace("{reply}", reply or "")
    return texts


def _reply(evidence: Mapping[str, Any]) -> str | None:
    found = _REPLY.match(f"{evidence.get('words', '')} ")
    return found[1] if found else None
