"""The warehouse's tables: columns, their types, and where in a finding each comes from. Everything else here is made from this."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """What a column holds, whatever the dialect calls it."""

    TEXT = auto()
    INTEGER = auto()  # 64 bits
    DOUBLE = auto()
    BOOLEAN = auto()
    TIMESTAMP = auto()  # UTC
    DATE = auto()
    TEXTS = auto()  # a list of texts
    JSON = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """``source`` is the path in a finding (``endpoints[].version``), or says how it is made from it."""

    name: str
    kind: Kind
    source: str
    key: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """``key`` columns come first and tell its rows apart."""

    name: str
    about: str
    columns: tuple[Column, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell rows apart."""
        return tuple(column.name for column in self.columns if column.key)


def _column(name: str, kind: Kind, source: str = "", *, key: bool = False) -> Column:
    return Column(name, kind, source or name, key)


T, N, D, B, S, L, J = Kind.TEXT, Kind.INTEGER, Kind.DOUBLE, Kind.BOOLEAN, Kind.TIMESTAMP, Kind.TEXTS, Kind.JSON

RUNS: Final = Table(
    "runs",
    "One row per run.",
    (
        _column("run", T, key=True),
        _column("run_date", Kind.DATE, "date (UTC) of its first finding"),
        _column("schema", T),
        _column("first_started", S, "least of started"),
        _column("last_started", S, "greatest of started"),
        _column("findings", N, "how many"),
        _column("ok", N, "how many with this outcome"),
        _column("warn", N, "how many with this outcome"),
        _column("fail", N, "how many with this outcome"),
        _column("invalid", N, "how many with this outcome"),
        _column("files", L, "files that it was read from"),
    ),
)

_OF_RUN: Final = (_column("run", T, key=True), _column("run_date", Kind.DATE, "that of the run"))
_OF_FINDING: Final = (*_OF_RUN, _column("row", N, "target.row", key=True))

FINDINGS: Final = Table(
    "findings",
    "One row per run and target row.",
    (
        *_OF_FINDING,
        _column("id", T, "target.id, as text"),
        _column("host", T, "target.host"),
        _column("port", N, "target.port"),
        _column("protocol", T, "target.protocol"),
        _column("sni", T, "target.sni"),
        _column("address", T, "target.address"),
        _column("domain", T, "registrable domain of target.host"),
        _column("outcome", T),
        _column("stage", T),
        _column("cause", T),
        _column("started", S),
        _column("duration_ms", D),
        _column("attempts", N),
        _column("tags", J, "target.tags"),
        _column("clients", J),
        _column("dns", J),
        _column("leaf", T, "sha256 of the first certificate of the first address that sent one"),
        _column("error", T),
        _column("judged_with", J),
        _column("observed", J),
        _column("more", J, "fields that this version does not know, by name"),
    ),
)

DIAGNOSES: Final = Table(
    "diagnoses",
    "What is so, in order of precedence: one row for each code of a finding.",
    (
        *_OF_FINDING,
        _column("position", N, "place in diagnoses, from 0", key=True),
        _column("code", T, "diagnoses[].code"),
        _column("cause", T, "diagnoses[].cause"),
        _column("severity", T, "diagnoses[].severity"),
        _column("summary", T, "diagnoses[].summary"),
        _column("evidence", J, "diagnoses[].evidence"),
        _column("remedy", T, "diagnoses[].remedy"),
        _column("confirm", T, "diagnoses[].confirm"),
        _column("endpoints", L, "diagnoses[].endpoints"),
    ),
)

ENDPOINTS: Final = Table(
    "endpoints",
    "One row for each address that was probed.",
    (
        *_OF_FINDING,
        _column("position", N, "place in endpoints, from 0", key=True),
        _column("address", T, "endpoints[].address"),
        _column("stage", T, "endpoints[].stage"),
        _column("error", T, "endpoints[].error"),
        _column("alert_level", N, "endpoints[].alert.level"),
        _column("alert_code", N, "endpoints[].alert.code"),
        _column("alert_name", T, "endpoints[].alert.name"),
        _column("version", T, "endpoints[].version"),
        _column("cipher", T, "endpoints[].cipher"),
        _column("named_group", T, "endpoints[].group"),
        _column("alpn", T, "endpoints[].alpn"),
        _column("sni_accepted", B, "endpoints[].sni_accepted"),
        _column("client_auth_requested", B, "endpoints[].client_auth.requested"),
        _column("client_auth_required", B, "endpoints[].client_auth.required"),
        _column("client_auth_accepted", B, "endpoints[].client_auth.accepted"),
        _column("client_auth_authorities", L, "endpoints[].client_auth.authorities"),
        _column("application", J, "endpoints[].application"),
        _column("trusted", B, "some store of endpoints[].trust trusts it; null where none was asked"),
        _column("trust", J, "endpoints[].trust"),
        _column("connect_ms", D, "endpoints[].timing_ms.connect"),
        _column("starttls_ms", D, "endpoints[].timing_ms.starttls"),
        _column("handshake_ms", D, "endpoints[].timing_ms.handshake"),
        _column("versions", L, "endpoints[].versions"),
        _column("ciphers", L, "endpoints[].ciphers"),
        _column("signature_scheme", T, "endpoints[].signature_scheme"),
        _column("hello_retry", B, "endpoints[].hello_retry"),
        _column("ocsp", J, "endpoints[].ocsp"),
        _column("crl", J, "endpoints[].crl"),
        _column("scts", J, "endpoints[].scts"),
        _column("untrusted_issuer", J, "endpoints[].untrusted_issuer"),
        _column("followups", J, "endpoints[].followups"),
        _column("observed", J, "endpoints[].observed"),
        _column("more", J, "fields that this version does not know, by name"),
    ),
)

CERTIFICATES: Final = Table(
    "certificates",
    "Each certificate once, by its SHA-256.",
    (
        _column("sha256", T, "certificates[].sha256", key=True),
        _column("subject", T, "certificates[].subject"),
        _column("issuer", T, "certificates[].issuer"),
        _column("san", L, "certificates[].san"),
        _column("serial", T, "certificates[].serial"),
        _column("not_before", S, "certificates[].not_before"),
        _column("not_after", S, "certificates[].not_after"),
        _column("key", T, "certificates[].key"),
        _column("signature", T, "certificates[].signature"),
        _column("error", T, "certificates[].error"),
        _column("der", T, "certificates[].der"),
    ),
)

CHAINS: Final = Table(
    "chains",
    "Which address sent which certificates, in order; and those of a finding that no address sent.",
    (
        *_OF_FINDING,
        _column("address", T, "endpoints[].address; null for what was not sent"),
        _column("endpoint", N, "place of the address in endpoints, from 0; -1 for what was not sent", key=True),
        _column("position", N, "place in endpoints[].chain, from 0; else in certificates", key=True),
        _column("sha256", T, "endpoints[].chain[]"),
        _column("source", T, "certificates[].source, where no address sent it"),
    ),
)

TABLES: Final = (RUNS, FINDINGS, DIAGNOSES, ENDPOINTS, CERTIFICATES, CHAINS)
# Those of which a run owns its rows
OF_RUN: Final = (RUNS, FINDINGS, DIAGNOSES, ENDPOINTS, CHAINS)
