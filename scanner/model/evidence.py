"""What was observed at one target, as records.

A record holds what came over the wire or went wrong on the way, never what it means. Verifiers (``scanner.trust``) and rules
(``scanner.diagnosis``) read these records without a network, so the same evidence gives the same finding tomorrow.

Times are seconds since the Unix epoch as ``float`` (UTC), durations are seconds. Bytes from a peer are kept as they came.
Findings are decoded into these types (``scanner.codec``): an annotation is also what a field of a file is checked against.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field


class Stage(StrEnum):
    """How far a probe came; the order is the order of a connection."""

    INVENTORY = "inventory"
    DNS = "dns"
    CONNECT = "connect"
    STARTTLS = "starttls"
    HELLO = "hello"
    CERTIFICATE = "certificate"
    CLIENT_AUTH = "client-auth"
    APPLICATION = "application"
    DONE = "done"


# --- inventory ---------------------------------------------------------------------------------


class Target(Struct, frozen=True):
    """One usable row of the inventory.

    ``host`` is an IP literal in canonical text or a lower-case A-label name without a final dot;
    ``sni`` is what is sent as server_name (RFC 6066 section 3), ``None`` where nothing is (IP literals);
    ``address`` is given when DNS is to be skipped. ``auto``: neither the row nor its port says the protocol; ``protocol`` is
    then ``tls``, and once a probe has met a greeting in plain text, what that is of.
    """

    row: int
    host: str
    port: Annotated[int, Meta(ge=0, le=0xFFFF)]
    protocol: str
    sni: str | None
    address: str | None = None
    id: str | int | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    host_is_ip: bool = False
    auto: bool = False

    @property
    def name(self) -> str:
        """The reference identity that the certificate must match (RFC 9525): the host asked for."""
        return self.sni or self.host

    @property
    def asked_protocol(self) -> str:
        """The protocol that the row asks for, whatever was found out: ``auto``, or ``protocol``."""
        return "auto" if self.auto else self.protocol


class InvalidRow(Struct, frozen=True):
    """A row of the inventory that cannot be probed, and why, in words for the person who wrote it."""

    row: int
    reason: str
    host: str | None = None
    port: int | None = None
    protocol: str | None = None
    id: str | int | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)


# --- DNS ---------------------------------------------------------------------------------------


class DnsStatus(StrEnum):
    """The outcome of a resolution: a response code of RFC 1035 / RFC 6895, or why there is none."""

    NOERROR = "NOERROR"
    NODATA = "NODATA"  # NOERROR with neither A nor AAAA at the end of the CNAME chain (RFC 2308)
    NXDOMAIN = "NXDOMAIN"
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    FORMERR = "FORMERR"
    NOTIMP = "NOTIMP"
    TIMEOUT = "TIMEOUT"  # no resolver answered within its time
    UNREACHABLE = "UNREACHABLE"  # no resolver could be sent to
    MALFORMED = "MALFORMED"  # answers came and none could be read


# What the zone itself says; any other status may be the resolver's fault, or the network's.
SETTLED_STATUSES = frozenset({DnsStatus.NOERROR, DnsStatus.NODATA, DnsStatus.NXDOMAIN})


class DnsAnswer(Struct, frozen=True):
    """What resolving one name brought.

    ``cname`` is the chain of owner names after the first, in order. ``loop`` says that following it
    came back to a name already seen. With NXDOMAIN and a non-empty ``cname`` the last name dangles.
    ``authenticated`` is the AD bit of every answer used (RFC 4035). ``bogus`` says that SERVFAIL went away
    with checking disabled, or an extended error (RFC 8914) said DNSSEC. ``source`` tells where it came from.
    ``doubt`` says why a failure may be the resolver's or ours rather than the name's.
    """

    status: DnsStatus
    addresses: tuple[str, ...] = ()
    cname: tuple[str, ...] = ()
    loop: bool = False
    authenticated: bool = False
    bogus: bool = False
    extended_errors: tuple[tuple[int, str], ...] = ()
    resolver: str | None = None
    source: Literal["dns", "hosts"] = "dns"
    duration: float = 0.0
    detail: str | None = None
    doubt: str | None = None
    # (flags, tag, value) in presentation form, asked only where they could matter; None: not asked
    caa: tuple[tuple[int, str, str], ...] | None = None
    caa_owner: str | None = None
    # (usage, selector, matching type, data) of RFC 6698; None: not asked
    tlsa: tuple[tuple[int, int, int, bytes], ...] | None = None


# --- one connection ----------------------------------------------------------------------------


class Failure(StrEnum):
    """What ended a probe before its server flight was complete. Peers' faults are values, not exceptions."""

    CONNECT_TIMEOUT = "connect-timeout"
    CONNECTION_REFUSED = "connection-refused"
    NETWORK_UNREACHABLE = "network-unreachable"
    HOST_UNREACHABLE = "host-unreachable"
    CONNECT_ERROR = "connect-error"  # any other error of connect(2); the errno's name is in ``detail``
    STARTTLS_NOT_OFFERED = "starttls-not-offered"
    STARTTLS_REFUSED = "starttls-refused"
    STARTTLS_MALFORMED = "starttls-malformed"
    SESSION_REFUSED = "session-refused"  # in words, before TLS could be asked for
    RESET = "reset"
    CLOSED = "closed"
    SILENT = "silent"  # connected, said hello, and the deadline passed
    ALERT = "alert"
    PLAINTEXT = "plaintext"
    MALFORMED = "malformed"
    BUG = "bug"  # our own exception; ``detail`` names it


CONNECT_FAILURES = frozenset(
    {
        Failure.CONNECT_TIMEOUT,
        Failure.CONNECTION_REFUSED,
        Failure.NETWORK_UNREACHABLE,
        Failure.HOST_UNREACHABLE,
        Failure.CONNECT_ERROR,
    }
)


class ClientAuthRequest(Struct, frozen=True):
    """A CertificateRequest: DER distinguished names and signature schemes, as sent (RFC 8446 section 4.3.2)."""

    authorities: tuple[bytes, ...] = ()
    schemes: tuple[int, ...] = ()


DeviationKind = Literal[
    "no-renegotiation-info",
    "wrong-renegotiation-info",
    "extension",
    "alpn",
    "scheme",
    "no-key-exchange",
    "share",
    "long-message",
]


class Deviation(Struct, frozen=True):
    """Something in a flight that could be read and that TLS does not allow a server, or does not allow it after our hello.

    ``kind``: "no-renegotiation-info" and "wrong-renegotiation-info" (RFC 5746 section 3.4), "extension" that was not offered or
    does not belong into ``message``, whose type is ``code``; "alpn" that was not offered, its ``name``; "scheme" that was not
    offered, its ``code``; "no-key-exchange" (ServerKeyExchange is missing), "share" that is no public key of the group ``code``, by
    its "form" or its low "order", which is the ``name``;
    "long-message" of ``size`` bytes, which is longer than some clients take.
    """

    kind: DeviationKind
    message: str = ""
    code: int | None = None
    name: str | None = None
    size: int | None = None


class Negotiation(Struct, frozen=True):
    """What a server chose in its first flight, and how it proved itself; code points stay numbers.

    All that a fleet's servers have in common: flights differ in their certificates and random numbers, while versions, suites,
    groups and schemes combine to some dozens. So what depends on a negotiation alone is computed once for each of these.

    ``signature_valid`` is whether CertificateVerify (TLS 1.3) or ServerKeyExchange (TLS <= 1.2) verifies with
    the leaf's key; ``None`` where the exchange has no signature (RSA key transport) or the key could not be used.
    ``leaf_position`` is the place of the leaf among the certificates: 0, unless it is the key of a later one that verifies.
    ``finished_valid`` is the server's Finished MAC (TLS 1.3 only). ``complete`` says that the flight was read to its end.
    """

    version: int | None = None
    cipher: int | None = None
    group: int | None = None
    dh_bits: int | None = None  # size of a finite-field group sent in ServerKeyExchange
    alpn: str | None = None
    sni_acknowledged: bool | None = None
    hello_retry: bool = False
    signature_scheme: int | None = None
    signature_valid: bool | None = None
    finished_valid: bool | None = None
    client_auth: ClientAuthRequest | None = None
    complete: bool = False
    leaf_position: int = 0
    deviations: tuple[Deviation, ...] = ()


class ServerFlight(Struct, frozen=True):
    """What the server said in its first flight, decrypted where TLS 1.3 hid it."""

    negotiation: Negotiation = Negotiation()
    random: bytes | None = None
    certificates: tuple[bytes, ...] = ()
    ocsp_response: bytes | None = None
    scts: tuple[bytes, ...] = ()  # SerializedSCTs of the TLS extension (RFC 6962 section 3.3)

    @property
    def leaf_first(self) -> tuple[bytes, ...]:
        """The certificates with the leaf first, and the others in the order in which they were sent."""
        place, sent = self.negotiation.leaf_position, self.certificates
        return sent if not 0 < place < len(sent) else (sent[place], *sent[:place], *sent[place + 1 :])


class Probe(Struct, frozen=True):
    """One connection with one ClientHello: what was offered, what came back, where it ended.

    ``stage`` is the stage that failed, or DONE. ``offer`` names the hello (see ``scanner.tls.offers``).
    ``alert`` is (level, description) of RFC 8446 section 6 as received.
    ``first_bytes`` is the start of what a peer sent that was not TLS; ``detail`` is the peer's own words
    or the place where a message broke. ``awaited`` says what a dialogue before TLS had asked for, or waited for, when it
    ended without an answer: "greeting", "EHLO", "STARTTLS", ... ``cut`` counts earlier tries of the same
    hello that were reset or closed without an answer.
    """

    offer: str
    sni: str | None
    stage: Stage
    failure: Failure | None = None
    alert: tuple[int, int] | None = None
    detail: str | None = None
    recognised: str | None = None  # protocol recognised in plaintext: "http", "ssh", ...
    first_bytes: bytes | None = None
    bytes_received: int = 0
    flight: ServerFlight | None = None
    connect_seconds: float | None = None
    starttls_seconds: float | None = None
    handshake_seconds: float | None = None
    awaited: str | None = None
    cut: int = 0

    @property
    def ok(self) -> bool:
        """The server's whole first flight was read."""
        return self.failure is None


class Completion(Struct, frozen=True):
    """A connection whose handshake was completed, by OpenSSL, because the first flight left a question; and what followed.

    ``presented`` says that a certificate of ours was offered. ``stage`` is where it ended: HELLO or CERTIFICATE (the
    handshake itself failed), CLIENT_AUTH (the server refused after it had asked for a certificate), APPLICATION (the
    handshake was completed and the application refused or hung up), DONE. ``alert`` is the description received, a number.
    ``status``, ``server``, ``location``, ``challenge`` (WWW-Authenticate) and ``date`` are of the HTTP answer (RFC 9110),
    where one was asked for; ``date`` is the server's clock in seconds since the epoch, and ``local_time`` what ours said
    as it arrived. ``reply`` is the start of what the application said, of an HTTP answer the start of its body;
    APPLICATION without a failure is a refusal in those words. ``offered`` is our chain (DER), leaf first. ``answered`` says that a
    handshake below TLS 1.3 failed after our own flight, key exchange and Finished, was sent; ``renegotiated`` that the server asked
    for another handshake (RFC 5246 section 7.4.1.1) after our request.
    Where nothing was asked after the handshake, ``waited`` is for how many seconds the server could refuse or hang up.
    """

    stage: Stage
    presented: bool = False
    failure: Failure | None = None
    alert: int | None = None
    detail: str | None = None
    version: int | None = None
    status: int | None = None
    server: str | None = None
    location: str | None = None
    challenge: str | None = None
    date: float | None = None
    local_time: float | None = None
    reply: bytes = b""
    offered: tuple[bytes, ...] = ()
    seconds: float = 0.0
    waited: float | None = None
    answered: bool = False
    renegotiated: bool = False


class EndpointEvidence(Struct, frozen=True):
    """All that was seen at one address: the first probe, and the follow-ups by the question they answer."""

    address: str
    probe: Probe
    followups: Mapping[str, Probe] = field(default_factory=dict)
    # with --enumerate: version code -> cipher suites accepted in the order they were found
    accepted: Mapping[int, tuple[int, ...]] | None = None
    # handshakes completed, by the question they answer: "client-auth", "http", ...
    completions: Mapping[str, Completion] = field(default_factory=dict)


# --- what was fetched about certificates -------------------------------------------------------


class RevocationAnswer(Struct, frozen=True):
    """What one source says about one certificate, after its signature and times were verified.

    ``certificate`` is the SHA-256 (hex) of the certificate asked about. ``status``: "good", "revoked", "unknown" (the
    responder's own word), "invalid" (an answer that does not verify or is not current: it proves nothing),
    "unavailable" (no answer); ``error`` says why for the last two. ``blocked`` says that the address could not be
    reached at all, as against an answer that is no use. Times are seconds since the epoch, given only where the signature
    verifies; ``reason`` is of RFC 5280 section 5.3.1; ``responder`` signed an OCSP response (RFC 4514 text). ``fault`` is one
    word for ``error``, of what an answer can have wrong (``scanner.x509.ocsp.OcspError``, and "out-of-date", "without-end",
    "future").
    """

    certificate: str
    source: Literal["ocsp", "crl"]
    url: str
    status: Literal["good", "revoked", "unknown", "invalid", "unavailable"]
    reason: str | None = None
    revoked_at: float | None = None
    this_update: float | None = None
    next_update: float | None = None
    produced_at: float | None = None
    error: str | None = None
    blocked: bool = False
    responder: str | None = None
    fault: str | None = None


class FetchedIssuer(Struct, frozen=True):
    """What one caIssuers URL (RFC 5280 section 4.2.2.1) of one certificate brought: DER certificates, or an error."""

    certificate: str
    url: str
    certificates: tuple[bytes, ...] = ()
    error: str | None = None
    blocked: bool = False


class Elsewhere(Struct, frozen=True):
    """A publicly trusted certificate that another path or an earlier run saw for the same target.

    ``where`` says in words who saw it; ``certificate`` is the SHA-256 (hex) of the leaf, ``issuer`` its issuer (RFC 4514).
    """

    where: str
    certificate: str
    issuer: str


class Evidence(Struct, frozen=True):
    """Everything one target gave. ``endpoints`` is empty where DNS brought no address."""

    target: Target
    started: float
    dns: DnsAnswer | None = None
    endpoints: tuple[EndpointEvidence, ...] = ()
    duration: float = 0.0
    attempts: int = 1
    bug: str | None = None  # an exception of our own, which costs this finding and never the run
    issuers: tuple[FetchedIssuer, ...] = ()
    revocation: tuple[RevocationAnswer, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    # why what is missing may be this machine's fault, even after a second probe; None: nothing suggests that it is
    doubt: str | None = None
