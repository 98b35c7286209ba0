"""The finding: one JSON object a line, schema ``tlsweep/1``. These types are the schema.

They are ``TypedDict``s so that building one costs a plain ``dict`` and ``orjson`` writes it as it is;
``tlsweep schema finding`` is made from them, with the text under each field as its description. Fields are only ever
added within ``tlsweep/1``; a field that is not known is absent or ``null``, never guessed.
"""

# Annotations are not postponed here: of a ``TypedDict`` each would be compiled as the module loads, which every process waits for.
from typing import Any, Final, Literal, NotRequired, TypedDict, get_args

SCHEMA: Final = "tlsweep/1"

Outcome = Literal["ok", "warn", "fail", "invalid"]
Severity = Literal["error", "warning", "note"]
CertificateSource = Literal["followup", "run", "shipped", "aia"]
StageName = Literal[
    "inventory", "dns", "connect", "starttls", "hello", "certificate", "client-auth", "application", "done"
]
Cause = Literal[
    "dns",
    "network-blocked",
    "server-misconfiguration",
    "protocol-version",
    "cipher-mismatch",
    "client-certificate",
    "interception",
    "clock-skew",
    "expired-or-self-signed",
    "missing-intermediate",
    "untrusted-ca",
    "chain-validation",
    "hostname-mismatch",
    "revoked",
    "certificate-transparency",
]

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
# The fifteen, in order of precedence: the order in which a connection meets them.
CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)


class TargetRecord(TypedDict):
    """The row of the inventory that this finding answers."""

    row: int
    """Number of the row in the inventory, from 1."""
    id: str | int | None
    """The row's own ``id`` column."""
    host: str | None
    """Name (A-label form) or IP address that was asked for."""
    port: int | None
    """TCP port."""
    protocol: str | None
    """Protocol that was used before or inside TLS: ``tls``, ``https``, ``smtp`` (STARTTLS), ``smtps``, ..."""
    sni: str | None
    """Name sent as server_name (RFC 6066); ``null`` where none is sent."""
    address: str | None
    """Address given by the row, which then skips DNS."""
    tags: dict[str, Any]
    """Every other column of the row under its own name, trimmed."""
    auto: NotRequired[bool]
    """``true`` where neither the row nor its port says the protocol: ``protocol`` is what was found out, ``tls`` unless a
    greeting in plain text was recognised."""


class DiagnosisRecord(TypedDict):
    """One thing that is so: a code of the catalogue, its severity, and the evidence that proves it."""

    code: str
    """What was seen: a code of the catalogue (docs/causes.md)."""
    cause: Cause
    """Which of the fifteen causes the code belongs to."""
    severity: Severity
    """``error``: a mainstream client refuses; ``warning``: others do or will; ``note``: worth knowing."""
    summary: str
    """One sentence for a person, with this host's own facts."""
    evidence: dict[str, Any]
    """The facts that prove it; the keys depend on the code. ``also`` lists further cases of the same code."""
    remedy: NotRequired[str]
    """What to do about it."""
    confirm: NotRequired[str]
    """A command that shows the same thing with a common tool."""
    endpoints: NotRequired[list[str]]
    """Addresses at which it was seen; absent where it concerns the name."""


class ExtendedErrorRecord(TypedDict):
    """An extended DNS error (RFC 8914)."""

    code: int
    """INFO-CODE."""
    text: str
    """EXTRA-TEXT, as the resolver sent it."""


class CaaRecord(TypedDict):
    """A CAA record (RFC 8659) in presentation form."""

    flags: int
    """Flags; 128 is critical."""
    tag: str
    """Property tag: ``issue``, ``issuewild``, ``iodef``, ..."""
    value: str
    """Property value."""


class TlsaRecord(TypedDict):
    """A TLSA record (RFC 6698)."""

    usage: int
    """Certificate usage: 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE."""
    selector: int
    """0 the whole certificate, 1 its SubjectPublicKeyInfo."""
    matching_type: int
    """0 exact, 1 SHA-256, 2 SHA-512."""
    data: str
    """Certificate association data, hex."""


class DnsRecord(TypedDict):
    """What resolving the name brought; ``null`` where no name was resolved."""

    status: str
    """Response code, or TIMEOUT, UNREACHABLE, MALFORMED, or NODATA (a name without an address)."""
    cname: list[str]
    """The chain of aliases, in order, without the name asked for."""
    addresses: list[str]
    """A and AAAA addresses found."""
    dnssec: Literal["secure", "insecure", "bogus", "indeterminate"]
    """What the resolver said of DNSSEC; ``insecure`` also where it does not validate."""
    resolver: str | None
    """The resolver that answered."""
    source: Literal["dns", "hosts"]
    """Whether the answer came from DNS or from the hosts file."""
    extended_errors: NotRequired[list[ExtendedErrorRecord]]
    """Extended errors of the answers."""
    caa: NotRequired[list[CaaRecord]]
    """The relevant CAA set; absent where it was not asked for."""
    tlsa: NotRequired[list[TlsaRecord]]
    """TLSA records of the port; absent where they were not asked for."""
    observed: NotRequired[dict[str, Any]]
    """What else judging again needs: fields of ``DnsAnswer`` (scanner/model/evidence.py) by name."""


class AlertRecord(TypedDict):
    """A TLS alert as received (RFC 8446 section 6)."""

    level: int
    """1 warning, 2 fatal."""
    code: int
    """Alert description, the number."""
    name: str
    """Alert description, the name."""


class ClientAuthRecord(TypedDict):
    """Whether the server asked for a client certificate, and from which authorities."""

    requested: bool
    """A CertificateRequest came."""
    required: bool | None
    """Whether it refuses without one, in TLS or behind it; ``null`` where that is not known."""
    authorities: list[str]
    """Names of the CAs that it accepts (RFC 4514 text)."""
    accepted: NotRequired[bool | None]
    """Whether ours was taken, where one was shown; ``null`` where that is not known."""


class ApplicationRecord(TypedDict):
    """What the service behind TLS answered, on a connection whose handshake was completed."""

    question: str
    """Why it was asked: ``client-auth`` (without a certificate of ours), ``authenticated`` (with it), ``http``."""
    stage: StageName
    """Where it ended: ``client-auth`` in TLS for want of a certificate, ``application`` behind it, ``done`` nowhere."""
    error: str | None
    """How it failed, one machine word."""
    status: int | None
    """Status of the HTTP answer; ``null`` where it is none."""
    alert: NotRequired[str]
    """Alert received, the name."""
    authenticated: NotRequired[bool]
    """A certificate of ours was shown."""
    server: NotRequired[str]
    """Server field of the HTTP answer."""
    location: NotRequired[str]
    """Location field: where it redirects to."""
    date: NotRequired[str]
    """Date field: the server's own clock (RFC 3339, UTC)."""
    words: NotRequired[str]
    """The words of a refusal, shortened."""


class TrustRecord(TypedDict):
    """The verdict of one trust store."""

    trusted: bool
    """A valid path to an anchor of this store was found."""
    anchor: str | None
    """SHA-256 of the anchor."""
    path: list[str]
    """SHA-256 of each certificate of the path, leaf first, anchor last; of the best failing one where none is valid."""
    error: NotRequired[str]
    """Code of what stops the path."""
    errors: NotRequired[list[str]]
    """All codes that stop it, where there are several."""


RevocationStatus = Literal["good", "revoked", "unknown", "invalid", "unavailable"]


class RevocationFacts(TypedDict):
    """What an OCSP response or a CRL says; times and reasons only where its signature verifies."""

    this_update: NotRequired[str]
    """From when it holds."""
    next_update: NotRequired[str]
    """Until when it holds."""
    produced_at: NotRequired[str]
    """When the OCSP response was signed."""
    revoked_at: NotRequired[str]
    """When the certificate was revoked."""
    reason: NotRequired[str]
    """Why it was revoked (RFC 5280 section 5.3.1)."""
    responder: NotRequired[str]
    """Who signed the OCSP response: the issuer, or a responder that the issuer named."""
    error: NotRequired[str]
    """Why there is no answer, or why it proves nothing."""


class RevocationRecord(RevocationFacts):
    """What one address that a certificate names answered."""

    certificate: str
    """SHA-256 of the certificate asked about."""
    url: str
    """The address, as it stands in the certificate."""
    status: RevocationStatus
    """``good``, ``revoked``; ``unknown``: the responder does not know it; ``invalid``: the answer proves nothing;
    ``unavailable``: there is none."""
    blocked: NotRequired[bool]
    """The address could not be reached at all."""


class OcspRecord(RevocationFacts):
    """The stapled OCSP response, and what responders answered."""

    stapled: bool
    """A response came in the handshake; then the fields beside ``answers`` are about it."""
    bytes: NotRequired[int]
    """Its length."""
    status: NotRequired[RevocationStatus]
    """What it is worth; absent where its issuer is not known or nobody wanted to know."""
    answers: NotRequired[list[RevocationRecord]]
    """What the responders that the certificates of the path name answered (``--revocation online``)."""


class CrlRecord(TypedDict):
    """What the revocation lists of the certificates of the path say."""

    answers: list[RevocationRecord]
    """One for each list asked (``--revocation online``)."""


class FollowupRecord(TypedDict):
    """A further connection that changed one thing, and how it ended."""

    question: str
    """What it was to find out."""
    offer: str
    """The ClientHello that was sent, by name."""
    sni: str | None
    """The server_name that was sent."""
    result: str
    """``ok``, or the failure's name."""
    version: NotRequired[str]
    """Protocol version that the server chose."""
    cipher: NotRequired[str]
    """Cipher suite that the server chose (IANA name)."""
    alert: NotRequired[str]
    """Alert received, the name."""
    observed: NotRequired[dict[str, Any]]
    """All of it, for judging again: fields of ``Probe`` by name; bytes in base64, certificates by their SHA-256."""


class SctRecord(TypedDict):
    """A signed certificate timestamp (RFC 6962)."""

    source: Literal["certificate", "tls", "staple"]
    """Whether it stands in the certificate, or came in the TLS extension or the stapled OCSP response."""
    log_id: str | None
    """Id of the log, base64, as log lists have it."""
    log: str | None
    """Name of the log; ``null`` where the log list does not have it."""
    operator: str | None
    """Who ran the log when it made the SCT."""
    timestamp: str | None
    """When that was."""
    status: str
    """``valid``; verified and of a log that is ``retired``, ``not-accepted``, or for other times of expiry (``outside``);
    ``unknown-log``; ``invalid``: badly signed, or made in the future; ``unreadable``; ``unverified``: not looked at."""
    state: NotRequired[str]
    """State of the log, as the log list has it."""
    why: NotRequired[str]
    """What is behind the status, in words."""
    raw: NotRequired[str]
    """The SCT itself, base64, where it came in the TLS extension (RFC 6962 section 3.3)."""


class EndpointRecord(TypedDict):
    """All that one address answered. What was negotiated is of the first handshake that gave it."""

    address: str
    """IP address."""
    stage: StageName
    """The stage at which the first probe failed, or ``done``."""
    error: str | None
    """How the first probe failed, one machine word; ``null`` where it did not. ``bug`` is a fault of tlsweep itself."""
    alert: AlertRecord | None
    """Alert that ended the first probe."""
    version: str | None
    """Protocol version: ``TLSv1.3``, ..."""
    cipher: str | None
    """Cipher suite, IANA name."""
    group: str | None
    """Key exchange group."""
    alpn: str | None
    """Application protocol that the server chose (RFC 7301)."""
    sni_accepted: bool | None
    """Whether the server acknowledged server_name; many that use it do not say so."""
    client_auth: ClientAuthRecord | None
    """``null`` where the handshake did not come so far."""
    application: NotRequired[ApplicationRecord]
    """What answered behind TLS, where something was left to be asked: about client certificates, the clock, a portal."""
    chain: list[str]
    """SHA-256 of each certificate as sent, in order."""
    trust: dict[str, TrustRecord]
    """Verdict of each selected trust store, by its name."""
    timing_ms: dict[str, float]
    """Milliseconds of ``connect``, ``starttls`` and ``handshake``."""
    versions: NotRequired[list[str]]
    """Versions accepted (with ``--enumerate``)."""
    ciphers: NotRequired[list[str]]
    """Cipher suites accepted in any version (with ``--enumerate``)."""
    signature_scheme: NotRequired[str]
    """Scheme with which the server signed the handshake."""
    hello_retry: NotRequired[bool]
    """The server asked for another key share (HelloRetryRequest)."""
    ocsp: NotRequired[OcspRecord]
    """Stapled OCSP response, and what responders answered."""
    crl: NotRequired[CrlRecord]
    """What revocation lists say."""
    scts: NotRequired[list[SctRecord]]
    """Signed certificate timestamps of the first certificate; where no public CA is involved, those of the TLS extension
    alone."""
    untrusted_issuer: NotRequired[dict[str, Any]]
    """The issuer, where nobody vouches for it and something in between may have made the certificate: what tells it from
    others, and the signs of either (fields of ``UntrustedIssuer`` in scanner/trust/untrusted_issuer.py by name; what is false
    is left out)."""
    followups: NotRequired[list[FollowupRecord]]
    """Further connections, in the order they were made."""
    observed: NotRequired[dict[str, Any]]
    """What else judging again needs, where it is not the plain case: fields of ``EndpointEvidence`` by name, ``probe`` those
    of the first connection; bytes in base64, certificates by their SHA-256."""


class CertificateRecord(TypedDict):
    """A certificate, described."""

    sha256: str
    """SHA-256 of its DER, hex."""
    subject: str | None
    """Subject (RFC 4514 text)."""
    issuer: str | None
    """Issuer (RFC 4514 text)."""
    san: list[str]
    """dNSName and iPAddress entries of the subject alternative name, as they stand."""
    serial: str | None
    """Serial number, hex."""
    not_before: str | None
    """Start of validity."""
    not_after: str | None
    """End of validity."""
    key: str | None
    """Public key: ``rsa:2048``, ``ec:P-256``, ``ed25519``, ..."""
    signature: str | None
    """Signature algorithm."""
    error: NotRequired[str]
    """Why it could not be read."""
    der: NotRequired[str]
    """The certificate itself, base64: in the first finding of a file that has it, and in the ``--certificates`` file."""
    source: NotRequired[CertificateSource]
    """Where one came from that no first flight brought: a further connection (``followup``), another host of the run
    (``run``), the set that comes with tlsweep (``shipped``), a URL in a certificate (``aia``)."""


class Finding(TypedDict):
    """One target, one answer."""

    schema: Literal["tlsweep/1"]
    """Name and version of this schema."""
    run: str
    """Identifier of the run."""
    target: TargetRecord
    """What was asked."""
    started: str
    """When the target was taken up (RFC 3339, UTC)."""
    duration_ms: float
    """Milliseconds until its answer was known."""
    attempts: int
    """Connections that were started for it, further questions and retries included."""
    outcome: Outcome
    """``fail``: a mainstream client would refuse; ``warn``: none would, but something will or might, or tlsweep itself
    failed and the target is not fully judged (then ``error`` says so); ``ok``: neither; ``invalid``: the row cannot be used."""
    stage: StageName
    """Stage of the first error, else ``done``; where tlsweep itself failed, the stage it had come to."""
    cause: Cause | None
    """Cause of the first error; ``null`` where there is none."""
    diagnoses: list[DiagnosisRecord]
    """All that is so, in order of precedence."""
    clients: dict[str, str]
    """What each client says, or ``ok`` where it accepts; empty where all accept. It holds for OpenSSL 3.0 to 4.0, curl 7.88 to 8,
    Go 1.24 to 1.26, Java 17 to 25, Node 20 to 24, Chrome 131 to 156, Firefox 140 to 153 and GnuTLS 3.7 and 3.8; where releases
    differ, the newest one's words come first, then in brackets since which, and what older ones say:
    ``... (since Java 24; before: ok)``."""
    dns: DnsRecord | None
    """What resolving the name brought."""
    endpoints: list[EndpointRecord]
    """What each address answered."""
    certificates: list[CertificateRecord]
    """Every certificate that was sent, once; and those that were not and that the verdict needs (``source``)."""
    observed: NotRequired[dict[str, Any]]
    """What else judging again needs: fields of ``Evidence`` by name (``issuers`` and ``revocation`` that were fetched). ``facts``
    is what the target tells the fleet, for statistics: fields of ``Facts`` in scanner/fleet/correlate/facts.py by name, what has
    its default left out."""
    judged_with: NotRequired[dict[str, Any]]
    """Options of the judgement that are not the default, by the option's name."""
    run_warnings: NotRequired[list[str]]
    """What may be a mistake in the run as a whole, the same in each of its findings: columns of the inventory that look like a host,
    port, protocol or address and are not used."""
    error: NotRequired[str]
    """What is wrong with the row (``invalid``), or why the target is not fully judged: tlsweep itself failed on a part of it, or
    contacted no address. What the finding says stands; ``outcome`` is not ``ok`` then."""
