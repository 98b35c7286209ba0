"""Which connection to make next at an address, or none: one change at a time, until the cause is plain.

A target that is in order leaves no question, so a healthy fleet costs one connection a target. Each plan below is an
ordered list of questions for one way of failing, the likeliest first; the first answer that works ends it, and only
what is still open then (was it the suites or the groups? which old versions?) is asked on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scanner.diagnosis.case import (
    AUTHENTICATED,
    BROWSER_PROTOCOLS,
    CLIENT_AUTH,
    ENUMERATION,
    FINISH,
    HTTP,
    QUIET,
    accepted_from,
    flight_of,
    followup,
    works,
)
from scanner.diagnosis.rules.client_auth import HTTP_ALPN, demanded_behind, hung_up, required
from scanner.diagnosis.rules.negotiation import OLD_SCHEMES, key_refused_by
from scanner.diagnosis.rules.opening import TLS_FIRST
from scanner.diagnosis.rules.refusal import (
    LEGACY_QUESTIONS,
    NO_APPLICATION_PROTOCOL,
    PROXY_QUESTIONS,
    REFUSALS,
    SNI_QUESTIONS,
    header_expected,
    name_is_the_reason,
    strange_choices,
)
from scanner.diagnosis.session_refusals import UNAVAILABLE, UNKNOWN, meaning_of
from scanner.model.evidence import EndpointEvidence, Failure, Probe, ServerFlight, Stage, Target
from scanner.starttls.base import GREETING
from scanner.tls import offers
from scanner.tls.offers import Offer
from scanner.trust.untrusted_issuer import reaches_anchor, untrusted_issuer_of
from scanner.trust.verdicts import ChainVerdict

__all__ = ["MAX_ENUMERATION", "MAX_QUESTIONS", "UNKNOWABLE_NAME", "Question", "accepted_from", "next_question"]

# A name that no server can have a certificate for: "invalid" is reserved for that (RFC 6761 section 6.4).
UNKNOWABLE_NAME: Final = "tlsweep-asks-for-no-such-name.invalid"

# The longest plan (a server that resets everything) has ten questions, and where "everything" works four tell what of it
# was needed. What is not plain after ten connections will not be after twenty, and each costs the server's owner something.
MAX_QUESTIONS: Final = 10
# With --enumerate one connection finds one suite: a server with everything on accepts some 60 suites in TLS 1.2 and
# as many again in each older version.
MAX_ENUMERATION: Final = 200

_BROWSER_SCHEMES: Final = replace(offers.MODERN, name="browser-schemes", schemes=offers.BROWSER_SCHEMES)
_WITH_SNI: Final[dict[str, Offer]] = {
    "small": offers.SMALL,
    "two-shares": offers.TWO_SHARES,
    "no-status": offers.NO_STATUS,
    "tls12": offers.TLS12_ONLY,
    "all-suites": offers.ALL_SUITES_OFFER,
    "all-groups": offers.ALL_GROUPS_OFFER,
    "all-schemes": offers.ALL_SCHEMES_OFFER,
    "no-alpn": offers.NO_ALPN,
    "everything": offers.EVERYTHING,
    "tls12-everything": offers.TLS12_EVERYTHING,
    "tls11": offers.TLS11_ONLY,
    "tls10": offers.TLS10_ONLY,
    "ssl3": offers.SSL3_ONLY,
    "forward-secret": offers.FORWARD_SECRET,
    "no-sha1": offers.NO_SHA1,
    "no-sha224": offers.NO_SHA224,
    "browser-schemes": _BROWSER_SCHEMES,
}

# --- plans ---------------------------------------------------------------------------------------

# Silence costs a whole deadline each time, so only what explains silence, and first what settles most: the hello without TLS 1.3
# is small as well, and where it gets no answer either, a small one would not. Then the name, and everything old at once.
_SILENT: Final = ("tls12", "small", "other-sni", "tls12-everything")
# A reset or a bare close at the hello: size, a filter on the name, versions, a header that has to come first, then servers too
# old to send alerts.
_CUT: Final = ("small", "other-sni", "tls12", "everything", "tls12-everything", *PROXY_QUESTIONS, *LEGACY_QUESTIONS)
# The same before the dialogue has brought a byte: nothing in a hello explains it.
_CUT_UNGREETED: Final = PROXY_QUESTIONS
# Ports on which the protocols with a greeting begin in plain text: no hello is sent ahead of a greeting there.
_GREETED_PORTS: Final = frozenset({21, 24, 25, 110, 119, 143, 587, 2525, 3306, 4190})
# handshake_failure and its like: nothing in common (the usual case), the name, or a version that the alert does not name.
_NOTHING_SHARED: Final = ("everything", "no-sni", "tls12-everything", *LEGACY_QUESTIONS)
# protocol_version: intolerance of 1.3 first, since it needs one connection only, then older versions.
_VERSION: Final = ("tls12", *LEGACY_QUESTIONS, "tls12-everything")
# internal_error: a name without a certificate in most servers that send it, then the rest.
_INTERNAL: Final = ("no-sni", "everything", "tls12-everything", "tls10")
# Our hello is called wrong: its size or an extension of TLS 1.3 in it.
_HELLO_DISLIKED: Final = ("small", "tls12", "tls12-everything", "tls10")
_UNKNOWN_NAME: Final = ("no-sni",)
# no_application_protocol: none of the names in ALPN is the service's, or it means something else by it.
_UNKNOWN_PROTOCOL: Final = ("no-alpn", *_NOTHING_SHARED)

_BY_ALERT: Final = {
    70: _VERSION,  # protocol_version
    86: _VERSION,  # inappropriate_fallback
    80: _INTERNAL,
    112: _UNKNOWN_NAME,  # unrecognized_name
    49: _UNKNOWN_NAME,  # access_denied
    10: _HELLO_DISLIKED,  # unexpected_message
    20: _HELLO_DISLIKED,  # bad_record_mac
    22: _HELLO_DISLIKED,  # record_overflow
    47: _HELLO_DISLIKED,  # illegal_parameter
    50: _HELLO_DISLIKED,  # decode_error
    51: _HELLO_DISLIKED,  # decrypt_error
    109: _HELLO_DISLIKED,  # missing_extension
    110: _HELLO_DISLIKED,  # unsupported_extension
    NO_APPLICATION_PROTOCOL: _UNKNOWN_PROTOCOL,
}
# Versions that --enumerate asks for, newest first
_VERSIONS_ASKED: Final = (offers.TLS13, offers.TLS12, offers.TLS11, offers.TLS10, offers.SSL3)


class Question(Struct, frozen=True):
    """A connection to make: the hello, and the server_name in it (``None``: none).

    Where ``replaces`` is set and the answer is a whole flight, it takes the place of the first probe, and ALPN is left out from then
    on. With ``complete``, which is what the server said in its first flight, the handshake is completed instead, by OpenSSL's
    hello, and a request sent to the application (none if ``quiet``); ``present`` shows our certificate.
    ``proxy`` is the version of the PROXY protocol whose header is sent first; 0: none. With ``direct`` TLS begins with the first byte,
    whatever the protocol. A ``patient`` question gets most of the time
    that is left: its answer is the application's, which may take longer than a handshake.
    """

    name: str
    offer: Offer
    sni: str | None
    complete: ServerFlight | None = None
    present: bool = False
    quiet: bool = False
    replaces: bool = False
    proxy: int = 0
    direct: bool = False
    patient: bool = False


def next_question(
    target: Target,
    endpoint: EndpointEvidence,
    verdict: ChainVerdict | None,
    *,
    enumerate: bool = False,
    authenticate: bool = False,
    wants_date: Callable[[str], bool] | None = None,
) -> Question | None:
    """Return the next question to ask at this address, given the answers so far; ``None`` if nothing is open.

    ``authenticate`` says that there is a certificate of ours to show. ``wants_date`` returns True for a name whose server may be
    asked for the date where nothing but the local clock is in doubt; without it each is.
    """
    asked = endpoint.followups
    plain = sum([not name.startswith(ENUMERATION) for name in asked]) if asked else 0
    if plain < MAX_QUESTIONS:
        name = _open_question(target, endpoint, verdict)
        if name is not None:
            return _question(name, target)
    if asked and (header_expected(endpoint) or works(endpoint, TLS_FIRST)):
        return None  # it was reached in a way in which handshakes are neither completed nor enumerated
    completion = _completion(target, endpoint, verdict, authenticate, thorough=enumerate, wants_date=wants_date)
    if completion is not None:
        return completion
    if enumerate and plain <= MAX_QUESTIONS and _speaks_tls(endpoint):
        return _enumeration(target, endpoint)
    return None


def _question(name: str, target: Target) -> Question:
    if name == "no-sni":
        return Question(name, offers.MODERN, None)
    if name in ("other-sni", "default-certificate"):
        return Question(name, offers.MODERN, UNKNOWABLE_NAME)
    # Of a service of any kind it is no fault that it knows no protocol of the web (RFC 7301 section 3.2).
    if name == TLS_FIRST:
        return Question(name, offers.MODERN, target.sni, direct=True)
    if name in PROXY_QUESTIONS:
        return Question(name, offers.MODERN, target.sni, proxy=PROXY_QUESTIONS.index(name) + 1)
    return Question(name, _WITH_SNI[name], target.sni, replaces=name == "no-alpn" and target.protocol == "tls")


def _open_question(target: Target, endpoint: EndpointEvidence, verdict: ChainVerdict | None) -> str | None:
    probe = endpoint.probe
    if probe.ok:
        return _doubt(target, endpoint, verdict)
    if probe.failure not in REFUSALS and not _may_lack_a_header(target, probe):
        return None
    flight = probe.flight
    if flight is not None and flight.negotiation.version is not None:
        # It has already chosen: only an old version is left to be understood.
        return _legacy_left(endpoint) if flight.negotiation.version < offers.TLS12 else None
    for name in _plan(target, probe):
        if name in SNI_QUESTIONS and target.sni is None:
            continue
        if name == "small" and _silent(endpoint, "tls12"):
            continue
        if name not in endpoint.followups:
            return None if _settled(endpoint) else name
        if works(endpoint, name):
            break
    return _refinement(endpoint)


def _plan(target: Target, probe: Probe) -> tuple[str, ...]:
    if probe.failure is Failure.ALERT:
        return _NOTHING_SHARED if probe.alert is None else _BY_ALERT.get(probe.alert[1], _NOTHING_SHARED)
    if probe.failure is Failure.MALFORMED:
        return ()
    # Cut in the middle of an answer: no other hello explains that.
    if probe.bytes_received and probe.failure is not Failure.SESSION_REFUSED:
        return ()
    if probe.stage is Stage.STARTTLS:
        if probe.failure is Failure.SILENT:
            return () if target.port in _GREETED_PORTS or probe.awaited != GREETING else (TLS_FIRST,)
        return _CUT_UNGREETED
    return _SILENT if probe.failure is Failure.SILENT else _CUT


def _may_lack_a_header(target: Target, probe: Probe) -> bool:
    """Return True if a service refused us at once, for a reason that is no reason against this client: Postfix calls the want of a
    PROXY header a local error."""
    if probe.failure is not Failure.SESSION_REFUSED or probe.awaited != GREETING:
        return False
    return meaning_of(target.protocol, probe.detail or "", GREETING) in (UNAVAILABLE, UNKNOWN)


def _silent(endpoint: EndpointEvidence, name: str) -> bool:
    answer = followup(endpoint, name)
    return answer is not None and answer.failure is Failure.SILENT and answer.stage is not Stage.STARTTLS


def _settled(endpoint: EndpointEvidence) -> bool:
    """Return whether an answer to another name, though no flight, already shows that the name is what is refused."""
    if not any(name in endpoint.followups for name in SNI_QUESTIONS):
        return False
    return name_is_the_reason(endpoint)


def _refinement(endpoint: EndpointEvidence) -> str | None:
    """Return the question that an answer with a flight leaves open."""
    asked = endpoint.followups
    if works(endpoint, "tls12"):
        # The same hello but for TLS 1.3, without a post-quantum share in either: was it the version, or the size?
        if "small" not in asked:
            return "small"
    if works(endpoint, "small"):
        return _first_open(endpoint, ("two-shares",))
    if works(endpoint, "tls12"):
        return None
    if works(endpoint, "everything"):
        answer = asked["everything"].flight
        if answer is None or len(strange_choices(answer.negotiation)) == 1:
            return None
        # Several choices are out of the ordinary, or none: change one list at a time. An alert tells of lists, an end without a word
        # of a server that stumbles.
        lists = ("all-suites", "all-groups", "all-schemes", "no-alpn")
        alerted = endpoint.probe.failure is Failure.ALERT
        return _first_open(endpoint, (*lists, "no-status") if alerted else ("no-status", *lists))
    if works(endpoint, "tls12-everything"):
        if "tls12" not in asked:
            return "tls12"
        if not works(endpoint, "tls12") and "everything" not in asked:
            return "everything"
        return None
    if any(works(endpoint, name) for name in LEGACY_QUESTIONS):
        return _legacy_left(endpoint)
    return None


def _first_open(endpoint: EndpointEvidence, names: Sequence[str]) -> str | None:
    """Return the first question that was not asked yet, unless one before it works."""
    for name in names:
        if name not in endpoint.followups:
            return name
        if works(endpoint, name):
            break
    return None


def _legacy_left(endpoint: EndpointEvidence) -> str | None:
    return next((name for name in LEGACY_QUESTIONS if name not in endpoint.followups), None)


def _doubt(target: Target, endpoint: EndpointEvidence, verdict: ChainVerdict | None) -> str | None:
    """Return the question about what other clients may not accept in a whole flight."""
    flight, asked = endpoint.probe.flight, endpoint.followups
    if flight is None:
        return None
    if flight.negotiation.version is not None and flight.negotiation.version < offers.TLS12:
        return _legacy_left(endpoint)
    if flight.negotiation.cipher in offers.RSA_KX and "forward-secret" not in asked:
        return "forward-secret"
    scheme = flight.negotiation.signature_scheme
    if scheme in OLD_SCHEMES and flight.negotiation.version == offers.TLS12 and OLD_SCHEMES[scheme] not in asked:
        return OLD_SCHEMES[scheme]
    if verdict is None:
        return None
    if "browser-schemes" not in asked and target.protocol in BROWSER_PROTOCOLS:
        # The rule itself says whose doubt it is; only browsers' lists are worth asking with.
        if key_refused_by(verdict, browsers=True):
            return "browser-schemes"
    if endpoint.probe.sni is not None and "default-certificate" not in asked:
        name = verdict.name
        if not verdict.is_clean and (
            (name is not None and not name.matches and name.code == "name-not-in-san") or _may_be_made(verdict)
        ):
            return "default-certificate"
    return None


def _may_be_made(verdict: ChainVerdict) -> bool:
    """Return whether the issuer, which no store trusts, may make certificates for whatever is asked: a name that cannot exist shows it."""
    return not verdict.trusted and not reaches_anchor(verdict) and untrusted_issuer_of(verdict) is not None


# --- completed handshakes --------------------------------------------------------------------------

# IANA's port of https: HTTP is what is spoken there, if nothing says otherwise.
HTTPS_PORT: Final = 443
# What may be a wrong clock: the Date of an HTTP answer is a witness.
_DOUBTS_OF_TIME: Final = frozenset({"certificate-expired", "certificate-not-yet-valid", "intermediate-expired"})
# What may be a portal or a block page: where an HTTP answer redirects to is a witness too.
_DOUBTS_OF_ISSUER: Final = frozenset(
    {"self-signed-leaf", "untrusted-root", "issuer-unknown", "intermediate-unobtainable"}
)


def _completion(
    target: Target,
    endpoint: EndpointEvidence,
    verdict: ChainVerdict | None,
    authenticate: bool,
    *,
    thorough: bool,
    wants_date: Callable[[str], bool] | None,
) -> Question | None:
    """Return the handshake to complete, if any; ``thorough`` asks healthy web servers too, for what their clock says."""
    flight, asked = flight_of(endpoint), endpoint.completions
    if flight is None or not flight.negotiation.complete:
        return None
    if flight.negotiation.client_auth is not None:
        quiet = QUIET in asked or not _protocol_is_known(target, flight)
        if CLIENT_AUTH not in asked:
            return Question(CLIENT_AUTH, offers.MODERN, target.sni, flight, quiet=quiet, patient=True)
        if QUIET not in asked and hung_up(asked[CLIENT_AUTH]) and required(endpoint, target.protocol) is None:
            return Question(QUIET, offers.MODERN, target.sni, flight, quiet=True, patient=True)
        if authenticate and AUTHENTICATED not in asked:
            return Question(AUTHENTICATED, offers.MODERN, target.sni, flight, present=True, quiet=quiet, patient=True)
    elif HTTP not in asked and target.protocol in BROWSER_PROTOCOLS and _protocol_is_known(target, flight):
        if thorough or (verdict is not None and not verdict.is_clean and _in_doubt(target, verdict, wants_date)):
            return Question(HTTP, offers.MODERN, target.sni, flight)
    elif authenticate and HTTP in asked and AUTHENTICATED not in asked and demanded_behind(asked[HTTP]) is not None:
        return Question(AUTHENTICATED, offers.MODERN, target.sni, flight, present=True)
    if flight.negotiation.version != offers.TLS12 or asked or endpoint.probe.failure is not None:
        return None
    # it has signed nothing, or was cut before: the flight does not show that the server can go on
    if thorough or flight.negotiation.signature_scheme is None or endpoint.probe.cut:
        return Question(FINISH, offers.MODERN, target.sni, flight, quiet=True, patient=True)
    return None


def _protocol_is_known(target: Target, flight: ServerFlight) -> bool:
    """Return True if it is known what the service speaks, so that it can be asked something: brokers and databases of another protocol
    hang up on HTTP, and may take it for an attack."""
    return target.protocol != "tls" or flight.negotiation.alpn in HTTP_ALPN or target.port == HTTPS_PORT


def _in_doubt(target: Target, verdict: ChainVerdict, wants_date: Callable[[str], bool] | None) -> bool:
    """Return True if an HTTP answer may explain what is wrong with the certificates."""
    if target.sni is not None and verdict.name is not None and verdict.name.code == "name-not-in-san":
        return True
    codes = {problem.code for problem in verdict.leaf_problems}
    if not verdict.trusted:
        codes.update(problem.code for store in verdict.stores.values() for problem in store.problems)
    if not codes.isdisjoint(_DOUBTS_OF_ISSUER):
        return True
    return not codes.isdisjoint(_DOUBTS_OF_TIME) and (wants_date is None or wants_date(target.name))


# --- enumeration ---------------------------------------------------------------------------------


def _speaks_tls(endpoint: EndpointEvidence) -> bool:
    return endpoint.probe.ok or any(answer.ok for answer in endpoint.followups.values())


def _enumeration(target: Target, endpoint: EndpointEvidence) -> Question | None:
    asked = endpoint.followups
    if target.sni is not None and "no-sni" not in asked and endpoint.probe.ok:
        return _question("no-sni", target)
    if sum(1 for name in asked if name.startswith(ENUMERATION)) >= MAX_ENUMERATION:
        return None
    for version in _VERSIONS_ASKED:
        count, found = 0, list[int]()
        open_still = True
        while (answer := followup(endpoint, _enumeration_name(version, count))) is not None:
            count += 1
            if not answer.ok or answer.flight is None or answer.flight.negotiation.version != version:
                open_still = False
            elif answer.flight.negotiation.cipher is not None and answer.flight.negotiation.cipher not in found:
                found.append(answer.flight.negotiation.cipher)
            else:
                open_still = False  # a suite that was not offered: it does not choose from the list
        suites = tuple(suite for suite in _suites_of(version) if suite not in found)
        if open_still and suites:
            return Question(_enumeration_name(version, count), _enumeration_offer(version, suites), target.sni)
    return None


def _enumeration_name(version: int, count: int) -> str:
    return f"{ENUMERATION}{version:04x}-{count}"


def _suites_of(version: int) -> tuple[int, ...]:
    if version == offers.TLS13:
        return (*offers.TLS13_SUITES, *offers.CCM_TLS13_SUITES)
    return offers.LEGACY_SUITES


def _enumeration_offer(version: int, suites: tuple[int, ...]) -> Offer:
    base = {
        offers.TLS13: replace(offers.TLS13_ONLY, groups=offers.ALL_GROUPS),
        offers.TLS12: offers.TLS12_EVERYTHING,
        offers.TLS11: offers.TLS11_ONLY,
        offers.TLS10: offers.TLS10_ONLY,
        offers.SSL3: offers.SSL3_ONLY,
    }[version]
    return replace(base, name=f"{base.name}-{len(suites)}-suites", suites=suites)
