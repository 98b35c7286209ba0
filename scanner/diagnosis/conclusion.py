"""Claims put into words: the codes in their order, a sentence and a remedy for each, and what clients would say.

Words cost more than all that was found: nine clients, each with an order of its own, and some templates a code. But what they
say of a chain is in nearly all of it what they say to the next host with that chain. So the words on a chain's claims alone are
written once for a target whose names are placeholders, kept with the claims (``ChainReport.conclusions``), and the names
of each target put in. What else a target's words depend on (protocol, port, kind of address, ...) is in the key. Where that is not
exact (a name so long that it would be shortened, evidence that has a placeholder in it), the words are written for the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from msgspec import Struct, field
from msgspec.structs import replace

from scanner.codec.json_safe import safe_value
from scanner.diagnosis.catalogue import CODES, rank
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.parts import ChainReport
from scanner.diagnosis.wording import Wording
from scanner.errors import describe_caught
from scanner.model.evidence import Target
from scanner.model.findings import DiagnosisRecord, Severity

# Further cases of one code (a second bad certificate, another address) that are told in its evidence.
MAX_FURTHER: Final = 16
# Conclusions kept with the claims of one chain: by protocol, port and the like. A fleet has a few.
MAX_CONCLUSIONS: Final = 16
# Of a host name. A longer one might be shortened in the words.
LONGEST_NAME: Final = 100

_SEVERITY_RANK: Final = {"error": 0, "warning": 1, "note": 2}
_MARK: Final = ".placeholder.invalid"
_HOST, _SNI, _ADDRESS = f"host{_MARK}", f"sni{_MARK}", f"address{_MARK}"


class Entry(Struct):
    """One code as it will be in the finding."""

    code: str
    severity: Severity
    evidence: dict[str, Any]
    endpoints: list[str] = field(default_factory=list)
    further: list[dict[str, Any]] = field(default_factory=list)


class Conclusion(Struct, frozen=True):
    """``records`` are in order of precedence; ``first`` is the first error's code. ``failed`` names bugs of ours in the words."""

    records: list[DiagnosisRecord]
    clients: dict[str, str]
    first: str | None
    healthy: bool
    failed: tuple[str, ...] = ()


def merge(entries: dict[str, Entry], claims: Iterable[Claim], address: str | None) -> None:
    """Add claims on one address (``None``: on the target) to ``entries``, by code: a code is told once, with all that proves it."""
    for claim in claims:
        severity = claim.severity or CODES[claim.code].severity
        evidence = dict(claim.evidence)
        entry = entries.get(claim.code)
        if entry is None:
            entries[claim.code] = Entry(claim.code, severity, evidence, [] if address is None else [address])
            continue
        if _SEVERITY_RANK[severity] < _SEVERITY_RANK[entry.severity]:
            entry.severity = severity
        if address is not None and address not in entry.endpoints:
            entry.endpoints.append(address)
        if evidence != entry.evidence and len(entry.further) < MAX_FURTHER:
            if address is not None and len(entry.endpoints) > 1:
                evidence = {"address": address, **evidence}
            if evidence not in entry.further:
                entry.further.append(evidence)


def conclude(target: Target, entries: Iterable[Entry], resolver: str | None, language: str) -> Conclusion:
    """Return the words on ``entries``. ``resolver`` is "ADDRESS:PORT" of the one that answered."""
    failed: list[str] = []
    ordered = sorted(entries, key=lambda entry: rank(entry.code))
    first = next((entry.code for entry in ordered if entry.severity == "error"), None)
    records = [_record(target, entry, resolver, language, failed) for entry in ordered]
    healthy = first is None and not any(entry.severity == "warning" for entry in ordered)
    clients: dict[str, str] = {}
    if not healthy:
        try:
            clients = predict(target, records)
        except BaseException as problem:  # noqa: BLE001 - a bug costs what clients would say
            failed.append(describe_caught("clients", problem))
    return Conclusion(cast(Any, safe_value(records)), clients, first, healthy, tuple(failed))


def conclude_chain(
    report: ChainReport, target: Target, address: str, resolver: str | None, language: str
) -> Conclusion:
    """Return the words on nothing but a chain's claims, at the only address of a target."""
    if not (_is_plain(target.host) and (target.sni is None or _is_plain(target.sni))):
        return _of_claims(report.claims, target, address, resolver, language)
    key = (
        target.protocol, target.port, target.host_is_ip, target.sni is None, target.sni == target.host,
        ":" in target.host, ":" in address, resolver, language,
    )  # fmt: skip
    kept = report.conclusions.get(key)
    if kept is None:
        kept = _of_claims(report.claims, *_placeholders(target, address), resolver, language)
        if kept.failed or _MARK in str(report.claims):
            return _of_claims(report.claims, target, address, resolver, language)
        if len(report.conclusions) < MAX_CONCLUSIONS:
            report.conclusions[key] = kept
    try:
        return _for_target(kept, target, address, resolver, language)
    except BaseException as error:  # noqa: BLE001 - our own bug; the words are written for the target itself then
        bug = describe_caught("words", error)
        concluded = _of_claims(report.claims, target, address, resolver, language)
        return replace(concluded, failed=(*concluded.failed, bug))


def _of_claims(
    claims: Sequence[Claim], target: Target, address: str, resolver: str | None, language: str
) -> Conclusion:
    entries: dict[str, Entry] = {}
    merge(entries, claims, address)
    return conclude(target, entries.values(), resolver, language)


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable() and 0 < len(name) <= LONGEST_NAME


def _placeholders(target: Target, address: str) -> tuple[Target, str]:
    """Return a target and an address like these, whose names are placeholders."""
    host = f"{_HOST}:" if ":" in target.host else _HOST
    sni = None if target.sni is None else host if target.sni == target.host else _SNI
    return replace(target, host=host, sni=sni), f"{_ADDRESS}:" if ":" in address else _ADDRESS


def _for_target(kept: Conclusion, target: Target, address: str, resolver: str | None, language: str) -> Conclusion:
    """Return a conclusion with a target's names in the places of placeholders."""
    names = [(_HOST + (":" if ":" in target.host else ""), target.host), (_SNI, target.sni or "")]
    names.append((_ADDRESS + (":" if ":" in address else ""), address))
    wording = Wording(target, address, resolver, language=language)
    records: list[DiagnosisRecord] = []
    for record in kept.records:
        made = record.copy()
        made["summary"] = _with_names(record["summary"], names)
        made["remedy"] = _with_names(record["remedy"], names)
        if "confirm" in record:  # quoted for a shell, each name by itself
            command = wording.confirm(record["code"], record["evidence"])
            made["confirm"] = "" if command is None else command
        made["endpoints"] = [address]
        records.append(made)
    clients = kept.clients
    if any(_MARK in said for said in clients.values()):
        clients = {client: _with_names(said, names) for client, said in clients.items()}
    return Conclusion(records, clients, kept.first, kept.healthy)


def _with_names(sentence: str, names: Sequence[tuple[str, str]]) -> str:
    if _MARK in sentence:
        for placeholder, name in names:
            sentence = sentence.replace(placeholder, name)
    return sentence


def _record(target: Target, entry: Entry, resolver: str | None, language: str, failed: list[str]) -> DiagnosisRecord:
    try:
        return _worded(target, entry, resolver, language)
    except BaseException as error:  # noqa: BLE001 - a bug in the words costs the words
        failed.append(describe_caught(f"words on {entry.code}", error))
        return without_words(entry)


def without_words(entry: Entry) -> DiagnosisRecord:
    """Return a diagnosis with the catalogue's title in place of a sentence on this host."""
    return DiagnosisRecord(
        code=entry.code,
        cause=CODES[entry.code].cause,
        severity=entry.severity,
        summary=CODES[entry.code].title,
        evidence=entry.evidence,
        endpoints=entry.endpoints,
    )


def _worded(target: Target, entry: Entry, resolver: str | None, language: str) -> DiagnosisRecord:
    wording = Wording(target, entry.endpoints[0] if entry.endpoints else None, resolver, language=language)
    record = DiagnosisRecord(
        code=entry.code,
        cause=CODES[entry.code].cause,
        severity=entry.severity,
        summary=wording.summary(entry.code, entry.evidence),
        evidence={**entry.evidence, "also": entry.further} if entry.further else entry.evidence,
        remedy=wording.remedy(entry.code, entry.evidence),
    )
    command = wording.confirm(entry.code, entry.evidence)
    if command is not None:
        record["confirm"] = command
    if entry.endpoints:
        record["endpoints"] = entry.endpoints
    return record
