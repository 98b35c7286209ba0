"""Rules on servers that ask for a client certificate: demanded in TLS, demanded by the application, welcome, or ours refused.

The first flight says only that one is asked for. What becomes of a client without one shows in a completed handshake and
the first answer of the application (``scanner.net.complete``); these rules read both. A 403 or 401 proves nothing about
certificates on a server that never asked for one, so only those that ask are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final

from scanner.diagnosis.case import AUTHENTICATED, CLIENT_AUTH, HTTP, QUIET, Case, flight_of
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.session_refusals import is_for_the_moment
from scanner.model.evidence import Completion, EndpointEvidence, Failure, ServerFlight, Stage
from scanner.times import moment
from scanner.tls.registry_names import alert_name, version_name
from scanner.x509.certificate import Certificate, CertificateError
from scanner.x509.distinguished import name_text
from scanner.x509.extensions import DIGITAL_SIGNATURE

# Of the words of a refusal, what goes into a sentence
MOST_WORDS: Final = 160


class Demand(Enum):
    """What becomes of a client that shows what this one showed."""

    REFUSED = auto()  # TLS ends for want of a certificate, or at the one that was shown
    REFUSED_BEHIND = auto()  # the handshake succeeds, and the application refuses for that reason
    WELCOME = auto()


# The word for certificate as servers say it to people. This and what follows is compiled when it is wanted: most runs never do.
_CERTIFICATE: Final = (
    r"certifi|zertifi|sertifi|sertyfi|certyfi|сертифик|证书|證書|憑證|証明書|인증서|\bcert\b|client[ -]auth"
)
# Statuses that nginx gives to failed and to absent client certificates, and that it shows as 400 by default
_NGINX_STATUSES: Final = frozenset({495, 496})
_REFUSALS: Final = frozenset({401, 403})
_CLIENT_ERRORS: Final = _REFUSALS | {400}
_CERTIFICATE_REQUIRED: Final = 116
# Alerts at a certificate of ours (RFC 8446 section 6.2)
_OF_CERTIFICATES: Final = frozenset({42, 43, 44, 45, 46, 48, 49, 51, _CERTIFICATE_REQUIRED})
# What names a certificate of the client's on a server that has asked for none: more than the word alone, which is on many pages.
_DEMANDED: Final = (
    r"(?:ssl|tls|client|user|klient|客户端|用戶端)[ -]*(?:certifi|zertifi|证书|憑證)|post-handshake auth|\bclient[ -]cert"
    r"|(?:certificate|zertifikat) (?:is |was )?(?:required|needed|erforderlich)|(?:no|valid) (?:client |ssl )?certificate"
)
_TITLE: Final = r"<title[^>]*>(.*?)</title"
_TAG: Final = r"<(style|script)\b.*?</\1[^>]*>|<[^>]*>"
_IN_PAGES: Final = re.IGNORECASE | re.DOTALL
_ENDED: Final = frozenset({Failure.CLOSED, Failure.RESET, Failure.ALERT})
HTTP_ALPN: Final = frozenset({"h2", "http/1.1"})


def client_auth_claims(case: Case) -> Iterator[Claim]:
    """Yield what an address demands that asks for a client certificate."""
    flight = flight_of(case.endpoint)
    if flight is None:
        return
    if flight.negotiation.client_auth is None:
        yield from _behind_claims(case)
        return
    without = case.endpoint.completions.get(CLIENT_AUTH)
    ours = case.endpoint.completions.get(AUTHENTICATED)
    demand = demand_without(case)
    authorities = [name_text(name).text for name in flight.negotiation.client_auth.authorities]
    facts: dict[str, Any] = {"authorities": authorities} if authorities else {}
    if ours is not None:
        shown = _shown(ours, authorities, case.context.at)
        verdict = _rejection(case, ours, flight, shown)
        if verdict is not None:
            yield Claim("client-certificate-rejected", {**_ending(ours, verdict), **facts, **shown})
            return
        if _demand(ours, case.target.protocol, flight) is Demand.WELCOME and demand is not Demand.WELCOME:
            return  # we are known there
    if demand is None or without is None:
        return
    if demand is Demand.WELCOME:
        told = _told_best(case)
        yield Claim(
            "client-certificate-optional", facts if told.waited is None else {**facts, "seconds": round(told.waited, 1)}
        )
    elif demand is Demand.REFUSED:
        yield Claim("client-certificate-required", {**_ending(without, demand), **facts})
    else:
        yield Claim("client-certificate-required-by-application", {**_ending(_told_best(case), demand), **facts})


def _behind_claims(case: Case) -> Iterator[Claim]:
    """Yield what an HTTP answer demands of a server that did not ask for a certificate in its handshake: where one is asked for by
    path, by renegotiation or after the handshake (RFC 8446 section 4.6.2), or only by the application."""
    completions = case.endpoint.completions
    without, ours = completions.get(HTTP), completions.get(AUTHENTICATED)
    if without is None or (how := demanded_behind(without)) is None:
        return
    if ours is None:
        facts = _ending(without, Demand.REFUSED_BEHIND)
        yield Claim("client-certificate-required-by-application", {**facts, "asked": how})
    elif demanded_behind(ours) is not None or (ours.failure is Failure.ALERT and ours.alert in _OF_CERTIFICATES):
        facts = _ending(ours, Demand.REFUSED_BEHIND)
        yield Claim("client-certificate-rejected", {**facts, **_shown(ours, [], case.context.at)})


def demanded_behind(completion: Completion) -> str | None:
    """Return how a client certificate is demanded behind a handshake that did not ask for one; ``None`` if it is not."""
    status = completion.status
    if completion.stage is Stage.DONE:
        named = status in _NGINX_STATUSES or (status in _CLIENT_ERRORS and _names_certificate(completion))
        if not named and not (completion.renegotiated and status in _REFUSALS and completion.challenge is None):
            return None
    elif completion.stage is not Stage.APPLICATION or completion.failure not in _ENDED:
        return None
    elif not completion.renegotiated and completion.alert != _CERTIFICATE_REQUIRED:
        return None
    if completion.renegotiated:
        return "by renegotiation"
    if completion.alert == _CERTIFICATE_REQUIRED or re.search(_AFTER_HANDSHAKE, _text(completion.reply), re.IGNORECASE):
        return "after the handshake"
    return "in its answer"


def required(endpoint: EndpointEvidence, protocol: str) -> bool | None:
    """Return whether this address, which asks for a client certificate, refuses clients without one; ``None`` if unknown."""
    demand = _without(endpoint, protocol)
    return None if demand is None else demand is not Demand.WELCOME


def ours_taken(endpoint: EndpointEvidence, protocol: str) -> bool | None:
    """Return whether this address accepts our certificate; ``None`` if unknown, or if none was shown."""
    ours, flight = endpoint.completions.get(AUTHENTICATED), flight_of(endpoint)
    demand = None if ours is None or flight is None else _demand(ours, protocol, flight)
    return None if demand is None else demand is Demand.WELCOME


def demand_without(case: Case) -> Demand | None:
    """Return what becomes of a client without a certificate; ``None`` if unknown."""
    return _without(case.endpoint, case.target.protocol)


def _without(endpoint: EndpointEvidence, protocol: str) -> Demand | None:
    flight = flight_of(endpoint)
    without = endpoint.completions.get(CLIENT_AUTH)
    if without is None or flight is None:
        return None
    demand = _demand(without, protocol, flight)
    if demand is None and (quiet := endpoint.completions.get(QUIET)) is not None:
        # it hung up on a request that may not be of its protocol: does it hang up on a client that sends nothing?
        return Demand.REFUSED_BEHIND if hung_up(quiet) else _demand(quiet, protocol, flight)
    return demand


def _told_best(case: Case) -> Completion:
    completions = case.endpoint.completions
    return completions.get(QUIET, completions[CLIENT_AUTH])


def _demand(completion: Completion, protocol: str, flight: ServerFlight) -> Demand | None:
    """Return what this completed handshake shows; ``None`` if it failed, or ended so that it shows nothing."""
    if completion.stage is Stage.CLIENT_AUTH:
        return Demand.REFUSED
    if completion.stage is Stage.APPLICATION:
        if completion.failure is None:
            if _speaks_of_certificates(completion):
                return Demand.REFUSED_BEHIND
            # a service that is starting, or has too many clients, has not looked at this one yet
            later = is_for_the_moment(protocol, _words_with_code(completion.reply))
            return None if later else Demand.WELCOME
        if completion.failure in _ENDED:
            # who was asked nothing, or in a protocol that it speaks, does not hang up for another reason
            known = completion.waited is not None or protocol != "tls" or flight.negotiation.alpn in HTTP_ALPN
            return Demand.REFUSED_BEHIND if known else None
        return None  # it has neither answered nor refused in the time that it had
    if completion.stage is not Stage.DONE:
        return None
    status = completion.status
    if status in _NGINX_STATUSES:
        return Demand.REFUSED_BEHIND
    if (status == 400 or status in _REFUSALS) and _speaks_of_certificates(completion):
        return Demand.REFUSED_BEHIND
    if status in _REFUSALS and completion.challenge is None:
        return Demand.REFUSED_BEHIND  # it asked for a certificate and for nothing else to know us by
    return Demand.WELCOME


def hung_up(completion: Completion) -> bool:
    """Return True if the server ended the connection after the handshake and sent nothing."""
    return completion.stage is Stage.APPLICATION and completion.failure in _ENDED


def _rejection(case: Case, ours: Completion, flight: ServerFlight, shown: dict[str, Any]) -> Demand | None:
    """Return why our certificate counts as refused; ``None`` if it does not."""
    demand = _demand(ours, case.target.protocol, flight)
    if demand is Demand.REFUSED:
        return demand
    if demand is not Demand.REFUSED_BEHIND:
        return None
    plain = case.endpoint.completions.get(CLIENT_AUTH)
    same = plain is not None and plain.stage is Stage.DONE and plain.status == ours.status
    if same and not _speaks_of_certificates(ours) and ours.status in _REFUSALS:
        # refused alike with and without: ours is the reason only where something about it can be
        return demand if shown.get("reasons") else None
    return demand


# --- evidence --------------------------------------------------------------------------------------


def _ending(completion: Completion, demand: Demand) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if completion.version is not None:
        facts["version"] = version_name(completion.version)
        facts["version_code"] = completion.version
    if completion.failure is not None:
        facts["failure"] = str(completion.failure)
    if completion.alert is not None:
        facts["alert"] = alert_name(completion.alert)
        facts["alert_code"] = completion.alert
    if completion.status is not None:
        facts["status"] = completion.status
    for name in ("server", "location"):
        value = getattr(completion, name)
        if value is not None:
            facts[name] = value
    words = said(completion)
    if words:
        facts["words"] = words
    if demand is Demand.REFUSED_BEHIND:
        facts["answer"] = _answer(completion, words)
    return facts


def _answer(completion: Completion, words: str) -> str:
    if completion.status is not None:
        # nginx begins its pages with the status
        text = words.removeprefix(str(completion.status)).strip()
        return f"HTTP {completion.status}: {text}" if text else f"HTTP {completion.status}"
    if words:
        return words
    if completion.alert is not None:
        return f"alert {alert_name(completion.alert)}"
    return "the connection is reset" if completion.failure is Failure.RESET else "it hangs up"


def said(completion: Completion) -> str:
    """Return the words of an answer for a sentence: a page's title, else its text; the message of a binary protocol."""
    text = _text(completion.reply)
    title = re.search(_TITLE, text, _IN_PAGES)
    text = title[1] if title is not None and title[1].strip() else re.sub(_TAG, " ", text, flags=_IN_PAGES)
    return " ".join(text.split())[:MOST_WORDS]


def _text(reply: bytes) -> str:
    if reply[:1] == b"E" and b"\0" in reply[1:5]:
        return _message_of_postgres(reply)
    if reply[:1] == b"\x30":
        return _message_of_ldap(reply)
    return reply.decode("utf-8", "replace")


def _words_with_code(reply: bytes) -> str:
    """Return the words of a refusal with the code of their protocol first."""
    if reply[:1] == b"E" and b"\0" in reply[1:5]:
        fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in reply[5:].split(b"\0") if part}
        return " ".join(fields[key] for key in (b"S", b"C", b"M") if key in fields)
    if reply[:1] == b"\x30" and (found := re.search(rb"\x0a\x01(.)", reply, re.DOTALL)) is not None:
        return f"{found[1][0]} {_message_of_ldap(reply)}"
    return reply.decode("utf-8", "replace")


def _message_of_postgres(reply: bytes) -> str:
    """Return the M field of an ErrorResponse."""
    return next((part[1:].decode("utf-8", "replace") for part in reply[5:].split(b"\0") if part[:1] == b"M"), "")


def _message_of_ldap(reply: bytes) -> str:
    """Return the diagnosticMessage of an LDAPResult (RFC 4511 section 4.1.9): after resultCode and a matchedDN of up to 127 bytes."""
    found = re.search(rb"\x0a\x01.\x04([\x00-\x7f])", reply, re.DOTALL)
    if found is None:
        return ""
    message = reply[found.end() + found[1][0] :]
    short = message[1:2] < b"\x80"
    return message[2:].decode("utf-8", "replace") if short else message[3:].decode("utf-8", "replace")


def _speaks_of_certificates(completion: Completion) -> bool:
    return re.search(_CERTIFICATE, _text(completion.reply), re.IGNORECASE) is not None


# Of Apache's answer to a client of TLS 1.3 that it cannot ask
_AFTER_HANDSHAKE: Final = "post-handshake auth"


def _names_certificate(completion: Completion) -> bool:
    return re.search(_DEMANDED, _text(completion.reply), re.IGNORECASE) is not None


def _shown(ours: Completion, authorities: list[str], at: float) -> dict[str, Any]:
    """Return our certificate, and what about it the server may reject."""
    chain = []
    for data in ours.offered:
        try:
            chain.append(Certificate.parse_untrusted(data))
        except CertificateError:
            continue
    if not chain:
        return {}
    leaf = chain[0]
    reasons = []
    names = {name for certificate in chain for name in (certificate.issuer, certificate.subject)}
    if authorities and not names & set(authorities):
        reasons.append("issuer-not-accepted")
    if at > leaf.not_after:
        reasons.append("expired")
    if at < leaf.not_before:
        reasons.append("not-yet-valid")
    purposes = leaf.extended_key_usage
    if purposes is not None and not {"clientAuth", "anyExtendedKeyUsage"} & set(purposes):
        reasons.append("not-for-client-auth")
    if leaf.key_usage is not None and not leaf.key_usage & DIGITAL_SIGNATURE:
        reasons.append("not-for-signatures")
    facts: dict[str, Any] = {
        "subject": leaf.subject,
        "issuer": leaf.issuer,
        "certificate": leaf.sha256,
        "not_before": moment(leaf.not_before),
        "not_after": moment(leaf.not_after),
    }
    if reasons:
        facts["reasons"] = reasons
        facts["because"] = [_REASONS[reason] for reason in reasons]
    return facts


_REASONS: Final = {
    "issuer-not-accepted": "none of the CAs that the server names has issued it",
    "expired": "it has expired",
    "not-yet-valid": "it is not valid yet",
    "not-for-client-auth": "its extended key usage has no clientAuth",
    "not-for-signatures": "its key usage has no digitalSignature",
}

__all__ = [
    "Demand",
    "client_auth_claims",
    "demand_without",
    "demanded_behind",
    "hung_up",
    "ours_taken",
    "required",
    "said",
]
