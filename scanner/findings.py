"""The finding: one JSON object a line, schema ``tlsweep/1``. These types are the schema.

They are ``TypedDict``s so that building one costs a plain ``dict`` and ``orjson`` writes it as it is;
``tlsweep schema finding`` is made from them. Fields are only ever added within ``tlsweep/1``; a field that is
not known is absent or ``null``, never guessed.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NotRequired, TypedDict

SCHEMA: Final = "tlsweep/1"

Outcome = Literal["ok", "warn", "fail", "invalid"]
Severity = Literal["error", "warning", "note"]
StageName = Literal[
    "inventory", "dns", "connect", "starttls", "hello", "certificate", "client-auth", "application", "done"
]


# The fifteen causes in order of precedence: the first thing that would stop a client, in the order of a connection.
CAUSES: Final = (
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
)


class TargetRecord(TypedDict):
    """The row of the inventory that this finding answers."""

    row: int
    id: str | int | None
    host: str | None
    port: int | None
    protocol: str | None
    sni: str | None
    address: str | None
    tags: dict[str, Any]


class DiagnosisRecord(TypedDict):
    """One thing that is so: a code of the catalogue, its severity, and the evidence that proves it."""

    code: str
    cause: str
    severity: Severity
    summary: str
    evidence: dict[str, Any]
    remedy: NotRequired[str]
    endpoints: NotRequired[list[str]]


class ExtendedErrorRecord(TypedDict):
    """An extended DNS error (RFC 8914)."""

    code: int
    text: str


class CaaRecord(TypedDict):
    """A CAA record (RFC 8659) in presentation form."""

    flags: int
    tag: str
    value: str


class TlsaRecord(TypedDict):
    """A TLSA record (RFC 6698); ``data`` is hex."""

    usage: int
    selector: int
    matching_type: int
    data: str


class DnsRecord(TypedDict):
    """What resolving the name brought; absent where no name was resolved."""

    status: str
    cname: list[str]
    addresses: list[str]
    dnssec: Literal["secure", "insecure", "bogus", "indeterminate"]
    resolver: str | None
    source: Literal["dns", "hosts"]
    extended_errors: NotRequired[list[ExtendedErrorRecord]]
    caa: NotRequired[list[CaaRecord]]
    tlsa: NotRequired[list[TlsaRecord]]


class AlertRecord(TypedDict):
    """A TLS alert as received (RFC 8446 section 6)."""

    level: int
    code: int
    name: str


class ClientAuthRecord(TypedDict):
    """Whether the server asked for a client certificate, and from which authorities (RFC 4514 names)."""

    requested: bool
    required: bool | None
    authorities: list[str]


class TrustRecord(TypedDict):
    """The verdict of one trust store: the path is SHA-256 fingerprints, leaf first, anchor last."""

    trusted: bool
    anchor: str | None
    path: list[str]
    error: NotRequired[str]


class OcspRecord(TypedDict):
    """The stapled OCSP response, by presence and size; verdicts on it follow with revocation checking."""

    stapled: bool
    bytes: int


class FollowupRecord(TypedDict):
    """A further connection that changed one thing, and how it ended."""

    question: str
    offer: str
    sni: str | None
    result: str
    version: NotRequired[str]
    cipher: NotRequired[str]
    alert: NotRequired[str]


class EndpointRecord(TypedDict):
    """All that one address answered."""

    address: str
    stage: StageName
    error: str | None
    alert: AlertRecord | None
    version: str | None
    cipher: str | None
    group: str | None
    alpn: str | None
    sni_accepted: bool | None
    client_auth: ClientAuthRecord | None
    chain: list[str]
    trust: dict[str, TrustRecord]
    timing_ms: dict[str, float]
    versions: NotRequired[list[str]]
    ciphers: NotRequired[list[str]]
    signature_scheme: NotRequired[str]
    hello_retry: NotRequired[bool]
    ocsp: NotRequired[OcspRecord]
    scts: NotRequired[list[str]]
    followups: NotRequired[list[FollowupRecord]]


class CertificateRecord(TypedDict):
    """A certificate, described. ``der`` (base64) only in the ``--certificates`` file."""

    sha256: str
    subject: str | None
    issuer: str | None
    san: list[str]
    serial: str | None
    not_before: str | None
    not_after: str | None
    key: str | None
    signature: str | None
    error: NotRequired[str]
    der: NotRequired[str]


class Finding(TypedDict):
    """One target, one answer."""

    schema: Literal["tlsweep/1"]
    run: str
    target: TargetRecord
    started: str
    duration_ms: float
    attempts: int
    outcome: Outcome
    stage: StageName
    cause: str | None
    diagnoses: list[DiagnosisRecord]
    clients: dict[str, str]
    dns: DnsRecord | None
    endpoints: list[EndpointRecord]
    certificates: list[CertificateRecord]
