"""The warehouse's tables: their columns, types, and where in a finding each value comes from.

The DDL, the loaders and the documentation are generated from these. Column names avoid the reserved words of all
dialects, so that queries need no quotes.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from msgspec import Struct

from scanner.model.findings import OUTCOMES


class ColumnType(Enum):
    """The type of a column, independent of the dialect."""

    TEXT = auto()
    INTEGER = auto()  # 64 bits
    DOUBLE = auto()
    BOOLEAN = auto()
    TIMESTAMP = auto()  # UTC
    DATE = auto()
    TEXTS = auto()  # a list of texts
    JSON = auto()


class Column(Struct, frozen=True):
    """A column; ``source`` is its path in a finding (``endpoints[].version``), empty if it is derived as ``about`` says."""

    name: str
    kind: ColumnType
    source: str
    about: str = ""
    key: bool = False


class Table(Struct, frozen=True):
    """A table; its ``key`` columns identify a row."""

    name: str
    about: str
    columns: tuple[Column, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the columns that identify a row."""
        return tuple(column.name for column in self.columns if column.key)


T, N, D, B, S, L, J = (
    ColumnType.TEXT,
    ColumnType.INTEGER,
    ColumnType.DOUBLE,
    ColumnType.BOOLEAN,
    ColumnType.TIMESTAMP,
    ColumnType.TEXTS,
    ColumnType.JSON,
)

# Known only once all of a run has been read, so it is added when rows go into the table.
RUN_DATE: Final = "run_date"


def _derived(name: str, kind: ColumnType, about: str, *, key: bool = False) -> Column:
    return Column(name, kind, "", about, key)


_MORE: Final = "fields that this version has no column for, by name"

RUNS: Final = Table(
    "runs",
    "One row per run.",
    (
        Column("run", T, "run", key=True),
        _derived(RUN_DATE, ColumnType.DATE, "date (UTC) of first_started"),
        Column("schema_version", T, "schema"),
        _derived("first_started", S, "least of started"),
        _derived("last_started", S, "greatest of started"),
        _derived("findings", N, "how many"),
        *(_derived(outcome, N, "how many with this outcome") for outcome in OUTCOMES),
        _derived("files", L, "files that it was read from"),
    ),
)

_RUN_KEYS: Final = (Column("run", T, "run", key=True), _derived(RUN_DATE, ColumnType.DATE, "that of the run"))
_FINDING_KEYS: Final = (*_RUN_KEYS, Column("row", N, "target.row", key=True))

FINDINGS: Final = Table(
    "findings",
    "One row per run and target.",
    (
        *_FINDING_KEYS,
        Column("id", T, "target.id", "as text"),
        Column("host", T, "target.host"),
        Column("port", N, "target.port"),
        Column("protocol", T, "target.protocol"),
        Column("auto", B, "target.auto", "whether the protocol was found out"),
        Column("sni", T, "target.sni"),
        Column("address", T, "target.address"),
        _derived("domain", T, "registrable domain of host"),
        Column("outcome", T, "outcome"),
        Column("stage", T, "stage"),
        Column("cause", T, "cause"),
        Column("started", S, "started"),
        Column("duration_ms", D, "duration_ms"),
        Column("attempts", N, "attempts"),
        Column("tags", J, "target.tags"),
        Column("clients", J, "clients"),
        Column("dns", J, "dns"),
        _derived("leaf", T, "sha256 of the first certificate of the first address that sent one"),
        Column("error", T, "error"),
        Column("judged_with", J, "judged_with"),
        Column("run_warnings", L, "run_warnings"),
        Column("observed", J, "observed"),
        _derived("more", J, _MORE),
    ),
)

DIAGNOSES: Final = Table(
    "diagnoses",
    "What is so, in order of precedence: one row for each code of a finding.",
    (
        *_FINDING_KEYS,
        _derived("position", N, "place in diagnoses, from 0", key=True),
        Column("code", T, "diagnoses[].code"),
        Column("cause", T, "diagnoses[].cause"),
        Column("severity", T, "diagnoses[].severity"),
        Column("summary", T, "diagnoses[].summary"),
        Column("evidence", J, "diagnoses[].evidence"),
        Column("remedy", T, "diagnoses[].remedy"),
        Column("confirm", T, "diagnoses[].confirm"),
        Column("endpoints", L, "diagnoses[].endpoints"),
        _derived("more", J, _MORE),
    ),
)

ENDPOINTS: Final = Table(
    "endpoints",
    "One row for each address that was probed.",
    (
        *_FINDING_KEYS,
        _derived("position", N, "place in endpoints, from 0", key=True),
        Column("address", T, "endpoints[].address"),
        Column("stage", T, "endpoints[].stage"),
        Column("error", T, "endpoints[].error"),
        Column("alert_level", N, "endpoints[].alert.level"),
        Column("alert_code", N, "endpoints[].alert.code"),
        Column("alert_name", T, "endpoints[].alert.name"),
        Column("version", T, "endpoints[].version"),
        Column("cipher", T, "endpoints[].cipher"),
        Column("named_group", T, "endpoints[].group"),
        Column("alpn", T, "endpoints[].alpn"),
        Column("sni_accepted", B, "endpoints[].sni_accepted"),
        Column("client_auth_requested", B, "endpoints[].client_auth.requested"),
        Column("client_auth_required", B, "endpoints[].client_auth.required"),
        Column("client_auth_accepted", B, "endpoints[].client_auth.accepted"),
        Column("client_auth_authorities", L, "endpoints[].client_auth.authorities"),
        Column("application", J, "endpoints[].application"),
        _derived("trusted", B, "some store of trust trusts it; null where none was asked"),
        Column("trust", J, "endpoints[].trust"),
        Column("connect_ms", D, "endpoints[].timing_ms.connect"),
        Column("starttls_ms", D, "endpoints[].timing_ms.starttls"),
        Column("handshake_ms", D, "endpoints[].timing_ms.handshake"),
        Column("versions", L, "endpoints[].versions"),
        Column("ciphers", L, "endpoints[].ciphers"),
        Column("signature_scheme", T, "endpoints[].signature_scheme"),
        Column("hello_retry", B, "endpoints[].hello_retry"),
        Column("ocsp", J, "endpoints[].ocsp"),
        Column("crl", J, "endpoints[].crl"),
        Column("scts", J, "endpoints[].scts"),
        Column("untrusted_issuer", J, "endpoints[].untrusted_issuer"),
        Column("followups", J, "endpoints[].followups"),
        Column("observed", J, "endpoints[].observed"),
        _derived("more", J, _MORE),
    ),
)

CERTIFICATES: Final = Table(
    "certificates",
    "Each certificate once, by its SHA-256.",
    (
        Column("sha256", T, "certificates[].sha256", key=True),
        Column("subject", T, "certificates[].subject"),
        Column("issuer", T, "certificates[].issuer"),
        Column("san", L, "certificates[].san"),
        Column("serial", T, "certificates[].serial"),
        Column("not_before", S, "certificates[].not_before"),
        Column("not_after", S, "certificates[].not_after"),
        Column("key", T, "certificates[].key"),
        Column("signature", T, "certificates[].signature"),
        Column("error", T, "certificates[].error"),
        Column("der", T, "certificates[].der", "base64; of any finding that has it"),
        _derived("more", J, _MORE),
    ),
)

CHAINS: Final = Table(
    "chains",
    "Which address sent which certificates, in order; and those of a finding that no address sent.",
    (
        *_FINDING_KEYS,
        _derived("endpoint", N, "place of the address in endpoints, from 0; -1 for what was not sent", key=True),
        _derived("position", N, "place in the chain as sent, from 0; of what was not sent, in certificates", key=True),
        _derived("address", T, "that of the endpoint; null for what was not sent"),
        Column("sha256", T, "endpoints[].chain[]"),
        Column("source", T, "certificates[].source", "where no address sent it"),
    ),
)

TABLES: Final = (RUNS, FINDINGS, DIAGNOSES, ENDPOINTS, CERTIFICATES, CHAINS)
# Tables whose rows belong to a run; certificates are shared by all runs
TABLES_BY_RUN: Final = (RUNS, FINDINGS, DIAGNOSES, ENDPOINTS, CHAINS)
