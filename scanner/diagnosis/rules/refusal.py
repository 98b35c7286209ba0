"""Rules on a server that does not complete its flight: one failure, many causes, distinguished by what else it answers.

The follow-ups (``scanner.diagnosis.questions``) change one thing at a time; the first change that helps names the
cause. Where nothing helps, the failure itself names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from scanner.diagnosis.case import Case, followup, works
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.rules.opening import (
    OPENING_FAILURES,
    opening_claims,
    plaintext_facts,
    row_protocol,
    tried_at,
    waited,
)
from scanner.model.evidence import EndpointEvidence, Failure, Negotiation, Probe, Stage
from scanner.starttls.protocols import PROTOCOLS
from scanner.starttls.services import protocol_of_port
from scanner.tls.offers import MODERN, TLS12, UNCOMPUTED_GROUPS
from scanner.tls.registry_names import alert_name, cipher_name, cipher_suite, group_name, scheme_name, version_name

REFUSALS: Final = frozenset({Failure.RESET, Failure.CLOSED, Failure.SILENT, Failure.ALERT, Failure.MALFORMED})
LEGACY_QUESTIONS: Final = ("tls11", "tls10", "ssl3")
SNI_QUESTIONS: Final = ("other-sni", "no-sni")
# A header of the PROXY protocol before anything else, by its version
PROXY_QUESTIONS: Final = ("proxy-v1", "proxy-v2")
# The alert of a server that knows none of the names in ALPN (RFC 7301 section 3.2)
NO_APPLICATION_PROTOCOL: Final = 120

# Alerts (RFC 8446 section 6.2) by what they say when no other hello helps
_ALERTS: Final = {
    0: "closed-during-handshake",  # close_notify
    49: "closed-during-handshake",  # access_denied
    70: "version-rejected",  # protocol_version
    80: "internal-error",
    86: "version-rejected",  # inappropriate_fallback
    90: "closed-during-handshake",  # user_canceled
    112: "sni-unrecognized",
    # the server says that our hello is wrong, which it is not
    10: "malformed-handshake",  # unexpected_message
    20: "malformed-handshake",  # bad_record_mac
    22: "malformed-handshake",  # record_overflow
    47: "malformed-handshake",  # illegal_parameter
    50: "malformed-handshake",  # decode_error
    51: "malformed-handshake",  # decrypt_error
    109: "malformed-handshake",  # missing_extension
    110: "malformed-handshake",  # unsupported_extension
}

_HOW: Final = {
    Failure.RESET: "resets",
    Failure.CLOSED: "closes",
    Failure.SILENT: "ignores",
    Failure.ALERT: "refuses",
    Failure.MALFORMED: "garbles",
    Failure.SESSION_REFUSED: "refuses",
}


def refusal_claims(case: Case) -> Iterator[Claim]:
    """Yield why the handshake at this address did not come to the end of the server's flight."""
    probe = case.probe
    if (header := header_expected(case.endpoint)) is not None:
        yield Claim("proxy-header-expected", failure_facts(case) | {"header": header})
    elif probe.failure in OPENING_FAILURES or (probe.stage is Stage.STARTTLS and probe.failure in REFUSALS):
        yield from opening_claims(case)
    elif probe.failure is Failure.PLAINTEXT:
        yield Claim("plaintext-on-tls-port", plaintext_facts(probe) | row_protocol(case))
    elif probe.failure in REFUSALS:
        facts = failure_facts(case)
        yield from _explained(case, facts) or (_unexplained(case, facts),)


def header_expected(endpoint: EndpointEvidence) -> str | None:
    """Return the version of the PROXY header that a server answers to, and not to a connection without one; ``None`` if none is known."""
    if endpoint.probe.ok:
        return None
    return next((name.removeprefix("proxy-") for name in PROXY_QUESTIONS if works(endpoint, name)), None)


def failure_facts(case: Case) -> dict[str, Any]:
    """Return how the first probe failed and which questions were asked since: evidence of all refusals."""
    probe = case.probe
    assert probe.failure is not None
    facts: dict[str, Any] = {"failure": str(probe.failure), "how": _HOW[probe.failure]}
    if probe.alert is not None:
        facts["alert"] = alert_name(probe.alert[1])
        facts["alert_code"] = probe.alert[1]
    if probe.sni is not None:
        facts["sni"] = probe.sni
    if probe.detail:
        facts["detail"] = probe.detail
    if probe.bytes_received:
        facts["bytes_received"] = probe.bytes_received
    if probe.failure is Failure.SILENT:
        facts |= waited(probe)
    tried = tried_at(case.endpoint)
    if tried:
        facts["tried"] = tried
        newer = [name for name in tried if name not in LEGACY_QUESTIONS]
        older = [name for name in tried if name in LEGACY_QUESTIONS]
        facts["offers"] = [_OFFER_WORDS[name] for name in (*newer, "-".join(older)) if name in _OFFER_WORDS]
    return facts


# How an offer differs from the first, for people
_OFFER_WORDS: Final = {
    "small": "no post-quantum share",
    "two-shares": "two key shares, none of them post-quantum",
    "no-status": "no request for a staple",
    "other-sni": "another server name",
    "no-sni": "no server name",
    "no-alpn": "no ALPN",
    "all-suites": "every cipher suite",
    "all-groups": "every group",
    "all-schemes": "every signature scheme",
    "everything": "every suite, group and signature scheme, no ALPN",
    "proxy-v1": "a PROXY header first",
    "tls12": "TLS 1.2 alone",
    "tls12-everything": "TLS 1.2 with every suite and group",
    "tls10": "TLS 1.0",
    "tls11-tls10-ssl3": "TLS 1.1, TLS 1.0, SSL 3.0",
}


def _explained(case: Case, facts: dict[str, Any]) -> list[Claim]:
    endpoint, probe = case.endpoint, case.probe
    if name_is_the_reason(endpoint):
        if probe.failure in (Failure.RESET, Failure.SILENT):
            return [Claim("sni-filtered", facts)]
        return [Claim("sni-unrecognized", facts)]
    if works(endpoint, "no-alpn"):
        return [Claim("no-shared-alpn", facts | alpn_facts(case.target.protocol))]
    if works(endpoint, "small"):
        if followup(endpoint, "two-shares") is not None and not works(endpoint, "two-shares"):
            return [_unexplained(case, facts | {"breaks_on": TWO_SHARES})]
        return [Claim("large-hello-dropped", facts)]
    if works(endpoint, "tls12"):
        return [Claim("version-intolerant", facts)]
    if works(endpoint, "no-status"):
        return [_unexplained(case, facts | {"breaks_on": STATUS_REQUEST})]
    if any(works(endpoint, name) for name in _LISTS):
        return _mismatch(case, facts)
    if works(endpoint, "tls12-everything"):
        # Without TLS 1.3 a current client's lists are refused too, so it is they that are the reason.
        return _mismatch(case, facts)
    if (asked := _group_asked_for(endpoint)) is not None:
        return [Claim("no-shared-group", facts | _choice_facts(asked))]
    legacy = [answer for name in LEGACY_QUESTIONS if (answer := followup(endpoint, name)) is not None and answer.ok]
    if legacy:
        return [Claim("legacy-version-only", {**facts, **_legacy_facts(legacy)})]
    return []


def name_is_the_reason(endpoint: EndpointEvidence) -> bool:
    """Return whether the address answers another server_name, or none, and not this one.

    Against a reset or silence any answer of TLS proves it, an alert too; against an alert only a whole flight does,
    since a server may well refuse an unknown name for its own reasons.
    """
    for name in SNI_QUESTIONS:
        answer = followup(endpoint, name)
        if answer is None or answer.sni == endpoint.probe.sni:
            continue
        if answer.ok:
            return True
        if endpoint.probe.failure in (Failure.RESET, Failure.SILENT) and answer.failure is Failure.ALERT:
            return True
    return False


# What some clients do not send and a server may fail on, in the words of its evidence
TWO_SHARES: Final = "two key shares"
STATUS_REQUEST: Final = "status_request"
# What was offered in longer lists, the shortest changes first
_LISTS: Final = ("all-suites", "all-groups", "all-schemes", "everything")
# Who does not take a certificate or a signature of a scheme that no browser offers
_SCHEME_REFUSED_BY: Final = ["Chrome", "Firefox", "Go", "Java", "OpenSSL"]


def strange_choices(negotiation: Negotiation) -> tuple[str, ...]:
    """Return which lists of ours hold what the server chose and a current browser does not offer: suites, groups, schemes."""
    chosen = (
        ("all-suites", negotiation.cipher, MODERN.suites),
        ("all-groups", negotiation.group, MODERN.groups),
        ("all-schemes", negotiation.signature_scheme, MODERN.schemes),
    )
    return tuple([name for name, choice, offered in chosen if choice is not None and choice not in offered])


def _mismatch(case: Case, facts: dict[str, Any]) -> list[Claim]:
    """Return what was missing in the lists of our hello, by what the server chose when it was offered more."""
    endpoint = case.endpoint
    answers = [followup(endpoint, name) for name in (*_LISTS, "tls12-everything")]
    chosen = next((answer.flight for answer in answers if answer is not None and answer.ok and answer.flight), None)
    if chosen is None:
        return []
    details = facts | _choice_facts(chosen.negotiation)
    needed = [name for name in _LISTS[:-1] if works(endpoint, name)] or strange_choices(chosen.negotiation)
    claims = []
    if "all-suites" in needed:
        claims.append(Claim("no-shared-cipher", details))
    if "all-groups" in needed:
        claims.append(Claim("no-shared-group", details))
    if "all-schemes" in needed:
        claims.append(Claim("no-shared-signature-scheme", details | {"refused_by": _SCHEME_REFUSED_BY}))
    return claims or [Claim("handshake-failure", details)]


def _choice_facts(chosen: Negotiation) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if chosen.version is not None:
        facts["version"] = version_name(chosen.version)
    if chosen.cipher is not None:
        facts["cipher"] = cipher_name(chosen.cipher)
        facts["cipher_code"] = chosen.cipher
        if cipher_suite(chosen.cipher).auth == "anon":
            facts["anonymous_cipher"] = facts["cipher"]
    if chosen.group is not None:
        facts["group"] = group_name(chosen.group)
    if chosen.dh_bits is not None:
        facts["dh_bits"] = chosen.dh_bits
    if chosen.signature_scheme is not None:
        facts["scheme"] = scheme_name(chosen.signature_scheme)
    return facts


def _group_asked_for(endpoint: EndpointEvidence) -> Negotiation | None:
    """Return what a server chose that asked for a share in a group of TLS 1.3 which cannot be computed here, if it did."""
    answer = followup(endpoint, "everything")
    if answer is None or answer.flight is None or not answer.flight.negotiation.hello_retry:
        return None
    chosen = answer.flight.negotiation
    return chosen if chosen.group in UNCOMPUTED_GROUPS else None


def alpn_facts(protocol: str) -> dict[str, Any]:
    """Return which names a hello for the protocol offers in ALPN."""
    return {"offered": [name.decode("ascii") for name in PROTOCOLS[protocol].alpn]}


def _legacy_facts(answers: list[Probe]) -> dict[str, Any]:
    flights = [answer.flight for answer in answers if answer.flight is not None]
    versions = dict.fromkeys(
        version_name(flight.negotiation.version) for flight in flights if flight.negotiation.version is not None
    )
    facts: dict[str, Any] = {"versions": list(versions)}
    ciphers = list(
        dict.fromkeys(
            cipher_name(flight.negotiation.cipher) for flight in flights if flight.negotiation.cipher is not None
        )
    )
    if ciphers:
        facts["ciphers"] = ciphers
    return facts


def _unexplained(case: Case, facts: dict[str, Any]) -> Claim:
    probe = case.probe
    began = probe.bytes_received > 0 or probe.flight is not None
    if probe.failure is Failure.ALERT:
        code = "handshake-failure" if probe.alert is None else _ALERTS.get(probe.alert[1], "handshake-failure")
        return Claim(code, facts)
    if probe.failure is Failure.MALFORMED:
        if probe.first_bytes:
            facts["first_bytes"] = probe.first_bytes.hex()
        return Claim("malformed-handshake", facts)
    if not began and probe.stage is Stage.HELLO:
        facts |= _plain_start(case)
    if probe.failure is Failure.SILENT:
        return Claim("silent-after-hello", facts)
    if probe.failure is Failure.RESET and not began:
        return Claim("reset-after-hello", facts)
    return Claim("closed-during-handshake", facts)


def _plain_start(case: Case) -> dict[str, Any]:
    """Return which protocol that starts in plain text the port may have, where a hello was answered by nothing at all.

    LDAP, PostgreSQL, SQL Server, RDP and XMPP wait for their client's first words, and hang up on a ClientHello.
    """
    usual = protocol_of_port(case.target.port, PROTOCOLS)
    if usual is not None and PROTOCOLS[usual].starttls and not PROTOCOLS[case.target.protocol].starttls:
        return {"port_protocol": usual}
    return {"protocol_found_out": "tls"} if case.target.auto else {}


def finish_claims(case: Case) -> Iterator[Claim]:
    """Yield how a handshake below TLS 1.3 ended after our own flight. One that was cut was tried again (``scanner.net.observe``)."""
    if case.evidence.doubt is not None:
        return
    flight = case.flight
    for question, completion in case.endpoint.completions.items():
        if not completion.answered or completion.failure is None or completion.presented:
            continue
        facts: dict[str, Any] = {
            "failure": str(completion.failure),
            "after": "the client's key exchange",
            "question": question,
        }
        if flight is not None and flight.negotiation.cipher is not None:
            facts["cipher"] = cipher_name(flight.negotiation.cipher)
        if completion.failure is Failure.MALFORMED:
            yield Claim(
                "malformed-handshake", {**facts, "detail": f"{completion.detail} after the client's key exchange"}
            )
            return
        if completion.alert is not None:
            facts |= {"alert": alert_name(completion.alert), "alert_code": completion.alert}
        elif completion.failure is Failure.SILENT:
            facts["waited"] = round(completion.seconds, 1)
        facts["breaks"] = _BREAKS[completion.failure]
        yield Claim("closed-during-handshake", facts)
        return


_BREAKS: Final = {
    Failure.RESET: "resets the connection",
    Failure.CLOSED: "closes the connection",
    Failure.SILENT: "falls silent",
    Failure.ALERT: "sends an alert",
}


def legacy_claims(case: Case) -> tuple[Claim, ...]:
    """Return ``legacy-version-only`` where a server answers our offer of TLS 1.3 and 1.2 with an older version of its own."""
    flight = case.probe.flight
    if flight is None or flight.negotiation.version is None or not 0 < flight.negotiation.version < TLS12:
        return ()
    versions = [flight.negotiation.version]
    for name in LEGACY_QUESTIONS:
        answer = followup(case.endpoint, name)
        if (
            answer is not None
            and answer.ok
            and answer.flight is not None
            and answer.flight.negotiation.version is not None
        ):
            versions.append(answer.flight.negotiation.version)
    facts: dict[str, Any] = {"versions": [version_name(version) for version in sorted(set(versions), reverse=True)]}
    if flight.negotiation.cipher is not None:
        facts["ciphers"] = [cipher_name(flight.negotiation.cipher)]
    return (Claim("legacy-version-only", facts),)
