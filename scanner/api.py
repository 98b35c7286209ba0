"""tlsweep as a library: scan targets, or check one of them, or certificate files, from a program (docs/python.md).

What is in ``__all__`` is stable within a major version: names and fields are only added. Findings are the records of the schema
``tlsweep/1``, the same that the command line writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from scanner.errors import TlsweepError, UsageProblem
from scanner.inventory.exclude import Exclusions
from scanner.inventory.row_parser import RowCells, RowParser
from scanner.language import LANGUAGES
from scanner.model.config import ScanConfig
from scanner.model.evidence import InvalidRow
from scanner.model.evidence import Target as TargetRow
from scanner.model.findings import (
    CAUSES,
    OUTCOMES,
    SEVERITIES,
    CertificateRecord,
    DiagnosisRecord,
    DnsRecord,
    EndpointRecord,
    Finding,
    TargetRecord,
)
from scanner.run.check import check_certificates
from scanner.run.inputs import RunInputs
from scanner.run.stream import FindingStream
from scanner.starttls import PROTOCOLS
from scanner.starttls.services import AUTO

__all__ = [
    "scan", "check", "check_files", "Target", "Options", "FindingStream", "TlsweepError",
    "Finding", "TargetRecord", "DiagnosisRecord", "DnsRecord", "EndpointRecord", "CertificateRecord",
    "CAUSES", "OUTCOMES", "SEVERITIES",
]  # fmt: skip

_Positive = Annotated[float, Meta(gt=0)]
_NotNegative = Annotated[float, Meta(ge=0)]


class Target(Struct, frozen=True):
    """One target, as a row of an inventory names it; ``"host:port"`` or a URL as text is enough where nothing else is to be said."""

    # Name, address, host:port, or URL.
    host: str = ""
    # Default: the protocol's.
    port: int | None = None
    # ``tls``, ``https``, ``smtp`` (STARTTLS), ``smtps``, ... Default: that of the options.
    protocol: str | None = None
    # Name to send as server_name; ``"-"`` sends none. Default: the host.
    sni: str | None = None
    # Address to connect to; DNS is not asked then.
    address: str | None = None
    id: str | int | None = None
    # Comes back in ``finding["target"]["tags"]``.
    tags: Mapping[str, Any] = field(default_factory=dict)


class Options(Struct, frozen=True, kw_only=True):
    """What a run may be told, by the names of the command line's options; seconds, unless it is said. Defaults are those of a scan.

    Two defaults differ from the command line, which belongs to a person: ``max_memory`` is no limit, and ``cache`` keeps nothing.
    """

    # Connections: in flight, started per second, and both for one address (None: no limit).
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    rate: _Positive | None = None
    rate_per_address: _Positive | None = 20.0
    concurrency_per_address: Annotated[int, Meta(ge=1)] | None = 8
    # Whether the limits of one address also hold for this machine's loopback addresses.
    polite_to_loopback: bool = False
    connect_timeout: _Positive = 4.0
    timeout: _Positive = 15.0
    dns_patience: _Positive = 12.0
    network_patience: _NotNegative = 300.0
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    # Bytes.
    max_memory: Annotated[int, Meta(gt=0)] | None = None
    all_addresses: bool = False
    ipv4: bool = True
    ipv6: bool = True
    enumerate: bool = False
    # Seconds since the epoch at which certificates are judged. Default: the time of the probe.
    at: float | None = None
    expiry_warning_days: _NotNegative | None = None
    revocation: Literal["off", "staple", "online"] = "online"
    private_urls: bool = False
    # Language of summaries and remedies.
    language: str = "en"
    # Of targets that name none.
    # "auto": that of the port where it is a well-known one, else TLS first and then by the greeting.
    default_protocol: str = "auto"
    default_port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    # ADDRESS or ADDRESS:PORT. Default: the system's.
    resolvers: Sequence[str] = ()
    # ``mozilla``, ``system``, or PEM files.
    trust_stores: Sequence[str] = ("mozilla",)
    public_roots: str | None = None
    ct_logs: str | None = None
    private_cas: Sequence[str] = ()
    # A file of findings of an earlier run.
    earlier: str | None = None
    # PEM files.
    client_cert: str | None = None
    client_key: str | None = None
    ntp: Sequence[str] = ()
    # A directory that keeps what was fetched between runs.
    cache: str | None = None
    # Names, addresses and networks never to be contacted.
    exclude: Sequence[str] = ()


DEFAULTS: Final = Options()


def scan(
    targets: Iterable[str | Target], options: Options = DEFAULTS, *, log: Callable[[str], None] = lambda line: None
) -> FindingStream:
    """Return the findings of targets, one for each, as they become final: ``async for finding in scan(targets, options)``.

    For trio. ``targets`` are read lazily, in a thread; one that cannot be used becomes a finding with the outcome ``invalid``.
    ``finding["target"]["row"]`` is the target's place, from 1. Leaving the loop ends the run. ``log`` gets lines about what
    does not work and stops nothing. Raises ``TlsweepError``: for wrong options at once, for unusable inputs at the first finding.
    """
    config, inputs = _checked(options)
    return FindingStream(_rows(targets, config), config, inputs, log)


async def check(target: str | Target, options: Options = DEFAULTS) -> Finding:
    """Return the finding of one target. For trio. Raises ``TlsweepError`` if an input cannot be used."""
    (finding,) = [finding async for finding in scan((target,), options)]
    return finding


def check_files(path: str, host: str | None = None, options: Options = DEFAULTS) -> Finding:
    """Return the finding about a file of certificates (PEM, DER, PKCS #7), as if a server had sent them, without the network.

    ``host`` is the name that they are for; without one they are judged for any. Needs no event loop. Raises ``TlsweepError``.
    """
    return check_certificates(path, host, *_checked(options), time.time())


def _checked(options: Options) -> tuple[ScanConfig, RunInputs]:
    """Return the records that a run is made from. Raises ``TlsweepError`` for values that cannot be used."""
    try:
        given = msgspec.structs.asdict(msgspec.convert(msgspec.structs.asdict(options), Options))
    except msgspec.ValidationError as error:
        raise UsageProblem(f"Options: {error}") from None
    for name, known in (("default_protocol", (AUTO, *PROTOCOLS)), ("language", LANGUAGES)):
        if given[name] not in known:
            raise UsageProblem(f"Options: {name} is one of {', '.join(known)}")
    if options.client_key is not None and options.client_cert is None:
        raise UsageProblem("Options: client_key goes with client_cert")
    exclusions = Exclusions()
    for entry in given.pop("exclude"):
        exclusions.add(entry)
    given |= {"authenticate": options.client_cert is not None, "exclusions": exclusions}
    return (
        ScanConfig(**{name: given[name] for name in ScanConfig.__struct_fields__}),
        RunInputs(**{name: given[name] for name in RunInputs.__struct_fields__ if name in given}),
    )


def _rows(targets: Iterable[str | Target], config: ScanConfig) -> Iterator[TargetRow | InvalidRow]:
    parser = RowParser(config.default_protocol, config.default_port, PROTOCOLS)
    for row, target in enumerate(targets, 1):
        if isinstance(target, str):
            yield parser.parse_line(row, None, target.strip() or '""')
        else:
            port = "" if target.port is None else str(target.port)
            cells = RowCells(
                target.host, port, target.protocol or "", target.sni or "", target.address or "", target.id
            )
            yield parser.parse(row, None, cells, dict(target.tags))
