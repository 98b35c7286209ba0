"""Rules on the dialogue before TLS (STARTTLS): nothing came in our time, the session was refused, or the upgrade was.

What silence means is not known: the server may answer later, or expect TLS from the first byte. So it is reported as what it is,
with the seconds that were waited.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from scanner.diagnosis.case import ENUMERATION, Case, works
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.session_refusals import mask_in, meaning_of, readable
from scanner.model.evidence import EndpointEvidence, Failure, Probe, Stage
from scanner.starttls.base import GREETING, UPGRADES
from scanner.starttls.protocols import PROTOCOLS, upgrades_of
from scanner.starttls.services import protocol_of_port
from scanner.tls.registry_names import alert_name

# What gives a server more time to answer
PATIENCE_OPTION: Final = "--timeout"
# The question whether a port that does not greet answers a hello: then TLS begins with its first byte.
TLS_FIRST: Final = "tls-first"
# What bytes that are TLS are recognised as: also the name of the protocol that is TLS from the first byte.
TLS_RECOGNISED: Final = "tls"
TLS_PROTOCOLS: Final = frozenset(name for name, protocol in PROTOCOLS.items() if not protocol.starttls)
_ENDINGS: Final = {Failure.CLOSED: "hangs up", Failure.RESET: "resets the connection"}
_IN_WORDS: Final = {
    Failure.STARTTLS_NOT_OFFERED: "starttls-not-offered",
    Failure.STARTTLS_MALFORMED: "starttls-not-offered",
    Failure.STARTTLS_REFUSED: "starttls-refused",
    Failure.SESSION_REFUSED: "session-refused",
}
OPENING_FAILURES: Final = frozenset(_IN_WORDS)


def opening_claims(case: Case) -> Iterator[Claim]:
    """Yield why the dialogue before TLS at this address did not lead to TLS."""
    probe = case.probe
    assert probe.failure is not None
    facts: dict[str, Any] = {"protocol": case.target.protocol}
    if tried := tried_at(case.endpoint):
        facts["tried"] = tried
    if probe.awaited is not None and probe.awaited != GREETING:
        facts["awaited"] = probe.awaited
    if works(case.endpoint, TLS_FIRST):
        yield Claim(
            "starttls-not-offered",
            {**facts, **waited(probe), "recognised": "TLS", "recognised_protocol": "tls", **row_protocol(case)},
        )
    elif probe.failure is Failure.SILENT:
        received = _received_facts(probe)
        if received and probe.awaited == GREETING:
            received["partial"] = probe.bytes_received
        yield Claim("no-greeting", {**facts, **waited(probe), **received})
    elif probe.failure in _ENDINGS:
        yield _ended(probe, facts)
    else:
        yield _answered(case, facts)


def row_protocol(case: Case) -> dict[str, Any]:
    """Return the protocol that this target's row should name, by what the port answered; nothing if the row may be right."""
    recognised, asked = case.probe.recognised, case.target.protocol
    named = next(iter(upgrades_of(recognised)), None)
    if recognised == TLS_RECOGNISED or works(case.endpoint, TLS_FIRST):
        named = protocol_of_port(case.target.port, TLS_PROTOCOLS) or f"{asked}s"
        named = named if named in TLS_PROTOCOLS else TLS_RECOGNISED
    return {} if named in (None, asked) else {"row_protocol": named}


def waited(probe: Probe) -> dict[str, Any]:
    """Return how many seconds a server had to answer, and the option that gives it more."""
    seconds = probe.starttls_seconds if probe.stage is Stage.STARTTLS else probe.handshake_seconds
    if seconds is None:
        return {}
    # rounded as in the finding, so that judging it again gives an equal value
    return {"seconds": round(round(seconds, 6), 1), "option": PATIENCE_OPTION}


def plaintext_facts(probe: Probe) -> dict[str, Any]:
    """Return the protocol in which a server answered instead of TLS or of its own, and its first bytes."""
    facts: dict[str, Any] = {}
    if probe.recognised:
        facts["recognised"] = probe.recognised.upper()
        facts["recognised_protocol"] = probe.recognised
    if probe.first_bytes:
        facts["first_bytes"] = probe.first_bytes.hex()
    return facts


def tried_at(endpoint: EndpointEvidence) -> dict[str, str]:
    """Return the questions that were asked at an address, --enumerate's apart, and how each ended in one word."""
    return {
        name: answer_word(answer) for name, answer in endpoint.followups.items() if not name.startswith(ENUMERATION)
    }


def answer_word(probe: Probe) -> str:
    """Return how a connection ended, in one word: "ok", an alert's name, or the failure's."""
    if probe.failure is None:
        return "ok"
    if probe.failure is Failure.ALERT and probe.alert is not None:
        return alert_name(probe.alert[1])
    return str(probe.failure)


def _received_facts(probe: Probe) -> dict[str, Any]:
    if not probe.bytes_received:
        return {}
    facts: dict[str, Any] = {"bytes_received": probe.bytes_received}
    if probe.first_bytes:
        facts["first_bytes"] = probe.first_bytes.hex()
    return facts


def _ended(probe: Probe, facts: dict[str, Any]) -> Claim:
    """Return what an end without an answer shows: that of the session, or of the upgrade where that was asked for last."""
    facts |= {"failure": str(probe.failure), "ended": _ENDINGS[probe.failure], **_received_facts(probe)}  # type: ignore[index]
    if probe.failure is Failure.CLOSED and probe.detail:
        facts["words"] = probe.detail
    if probe.bytes_received and probe.awaited in UPGRADES:
        return Claim("starttls-refused", facts)
    if probe.awaited in UPGRADES:
        facts["request"] = probe.awaited
    return Claim("session-refused", facts)


def _answered(case: Case, facts: dict[str, Any]) -> Claim:
    probe = case.probe
    assert probe.failure is not None
    facts |= plaintext_facts(probe) | row_protocol(case)
    words = readable(case.target.protocol, probe.detail or "")
    if words:
        facts["words"] = words
    if probe.failure is Failure.SESSION_REFUSED:
        meaning = meaning_of(case.target.protocol, words, probe.awaited)
        facts |= {"reason": meaning.reason, "meaning": meaning.meaning}
        if meaning.advice:
            facts["advice"] = meaning.advice
        if meaning.reason == "domain-not-served":
            facts["domain"] = case.target.name
    elif probe.failure is not Failure.STARTTLS_MALFORMED:
        said = words if probe.first_bytes is None else f"{probe.first_bytes.decode('utf-8', 'replace')}\n{words}"
        mask = mask_in(said) if case.target.protocol == "smtp" else None
        if mask is not None:
            facts["mask"] = mask
    return Claim(_IN_WORDS[probe.failure], facts)
