"""Claims put into words: the codes in their order, a sentence and a remedy for each, and what clients would say.

Problem: words cost more than all that was found: nine clients, each with an order of its own, and some templates a code.
But what they say of a chain is in nearly all of it what they say to the next host with that chain, and of an expired
intermediate to the next host below it.

Design: the words on a chain's claims alone are written once for a target whose names are placeholders, and each target's names
are put in. They are kept by the claims (without the path, which begins with the leaf and is in no sentence) and by what else
words depend on: protocol, port, kind of address, resolver, language. They are written with placeholders when the same
claims come a second time, so that what one host alone has costs no more than its own words.

What breaks if touched: a template that shows the path, or that looks at a name, must not be in here. Where it would not be exact (a
name so long that it would be shortened, evidence that has a placeholder in it) the words are written for the target.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, cast

from msgspec import Struct, field
from msgspec.structs import replace

from scanner.caching import Cache
from scanner.codec.json_safe import safe_value
from scanner.diagnosis.catalogue import CODES, rank
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.parts import ChainReport
from scanner.diagnosis.wording import Wording
from scanner.errors import describe_caught
from scanner.model.evidence import Target
from scanner.model.findings import DiagnosisRecord, Severity

# Further cases of one code (a second bad certificate, another address) in its evidence.
MAX_FURTHER: Final = 16
# Conclusions kept: the broken chains and issuers of a fleet, for each protocol and port. Some 4 kB each; evidence may be longer.
MAX_CONCLUSIONS: Final = 512
MAX_CONCLUSIONS_BYTES: Final = 16 << 20
# Bytes of memory for each character of the claims: as a key, in the evidence, and in the words.
PER_CHARACTER: Final = 8
# Names that are written as they are: nothing is escaped, quoted for a shell, or (beyond 100 characters) shortened.
_plain: Final = re.compile(r"[\w@%+=:,./-]{1,100}", re.ASCII).fullmatch

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
    """Add claims on one address (``None``: on the target) to ``entries``, by code: each code once, with all that proves it."""
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


class _Outline(Struct, frozen=True):
    """Claims merged by code: entries in order of precedence, and a key that claims with other words, or with other evidence than
    another path, do not have."""

    entries: list[Entry]
    key: str


class _Template(Struct, frozen=True):
    """A conclusion for a target whose names are placeholders, and where these are: (place, field) of records; in clients' words."""

    conclusion: Conclusion
    fields: list[tuple[int, Literal["summary", "remedy", "confirm"]]]
    in_clients: bool


_Key = tuple[Any, ...]
_templates: Final[Cache[_Key, _Template]] = Cache(
    MAX_CONCLUSIONS, MAX_CONCLUSIONS_BYTES, lambda key, _: PER_CHARACTER * len(key[0]), on_second_put=True
)


def conclude_chain(
    report: ChainReport, target: Target, address: str, resolver: str | None, language: str
) -> Conclusion:
    """Return the words on nothing but a chain's claims, at the only address of a target."""
    outline: _Outline = report.outline or _outline(report)
    failed: tuple[str, ...] = ()
    host, sni = target.host, target.sni
    if _plain(host) and _plain(address) and (sni is None or _plain(sni)) and _MARK not in outline.key:
        key = (
            outline.key, target.protocol, target.port, target.host_is_ip, sni is None, sni == host,
            ":" in host, ":" in address, resolver, language,
        )  # fmt: skip
        try:
            template = _templates.get(key)
            if template is None and _templates.put_lazy(
                key, lambda: _template(outline, target, address, resolver, language)
            ):
                template = _templates.get(key)
            if template is not None and not template.conclusion.failed:
                return _for_target(template, outline, target, address)
        except BaseException as error:  # noqa: BLE001 - our own bug; the words are written for the target itself then
            failed = (describe_caught("words", error),)
    entries = [replace(entry, endpoints=[address]) for entry in outline.entries]
    concluded = conclude(target, entries, resolver, language)
    return replace(concluded, failed=(*concluded.failed, *failed)) if failed else concluded


def _outline(report: ChainReport) -> _Outline:
    merged: dict[str, Entry] = {}
    merge(merged, report.claims, None)
    entries = sorted(merged.values(), key=lambda entry: rank(entry.code))
    key = repr([(entry.code, entry.severity, *_without_path(entry)) for entry in entries])
    report.outline = outline = _Outline(entries, key)
    return outline


def _without_path(entry: Entry) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in each.items() if name != "path"} for each in (entry.evidence, *entry.further)
    ]


def _evidence(entry: Entry) -> dict[str, Any]:
    return {**entry.evidence, "also": entry.further} if entry.further else entry.evidence


def _template(outline: _Outline, target: Target, address: str, resolver: str | None, language: str) -> _Template:
    """Return the words for a target and an address like these, whose names are placeholders."""
    host = _like(_HOST, target.host)
    sni = None if target.sni is None else host if target.sni == target.host else _SNI
    entries = [replace(entry, endpoints=[_like(_ADDRESS, address)]) for entry in outline.entries]
    concluded = conclude(replace(target, host=host, sni=sni), entries, resolver, language)
    fields = [
        (place, name)
        for place, record in enumerate(concluded.records)
        for name in _OPEN_FIELDS
        if _MARK in record.get(name, "")
    ]
    return _Template(concluded, fields, any(_MARK in said for said in concluded.clients.values()))


_OPEN_FIELDS: Final[tuple[Literal["summary", "remedy", "confirm"], ...]] = ("summary", "remedy", "confirm")


def _like(placeholder: str, name: str) -> str:
    """Return a placeholder that is written as ``name`` is: words put IPv6 addresses into brackets."""
    return f"{placeholder}:" if ":" in name else placeholder


def _for_target(template: _Template, outline: _Outline, target: Target, address: str) -> Conclusion:
    """Return a conclusion with a target's names in the places of placeholders, and its own paths in the evidence."""
    kept = template.conclusion
    records: list[DiagnosisRecord] = [
        {**record, "evidence": _with_paths(record["evidence"], entry), "endpoints": [address]}
        for record, entry in zip(kept.records, outline.entries, strict=True)
    ]
    clients = kept.clients
    if template.fields or template.in_clients:
        host = target.host
        names = ((_like(_HOST, host), host), (_SNI, target.sni or ""), (_like(_ADDRESS, address), address))
        for place, field in template.fields:
            records[place][field] = _with_names(records[place][field], names)
        if template.in_clients:
            clients = {client: _with_names(said, names) for client, said in clients.items()}
    return Conclusion(records, clients, kept.first, kept.healthy)


def _with_paths(evidence: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """Return evidence as JSON, equal to that of ``entry`` but for the paths, with the paths of ``entry``."""
    own = _with_path(evidence, entry.evidence)
    if entry.further:
        own = {**own, "also": [_with_path(*pair) for pair in zip(evidence["also"], entry.further, strict=True)]}
    return own


def _with_path(evidence: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return {**evidence, "path": safe_value(own["path"])} if "path" in own else evidence


def _with_names(sentence: str, names: Sequence[tuple[str, str]]) -> str:
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
        evidence=_evidence(entry),
        remedy=wording.remedy(entry.code, entry.evidence),
    )
    command = wording.confirm(entry.code, entry.evidence)
    if command is not None:
        record["confirm"] = command
    if entry.endpoints:
        record["endpoints"] = entry.endpoints
    return record
