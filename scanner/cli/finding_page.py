"""A finding as a page: what was seen at each stage, the cause, the evidence, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from scanner.cli.console import SEVERITY_COLOURS, console_on, indented, labelled
from scanner.language import translate
from scanner.model.findings import SEVERITIES, DiagnosisRecord, EndpointRecord, Finding
from scanner.text import ELLIPSIS, printable, shorten

# Characters of a line of evidence; longer values are for the JSON.
VALUE_LIMIT: Final = 200
# Certificates of a chain that are shown; the rest is counted.
CERTIFICATES_SHOWN: Final = 8
# Follow-up questions that are shown; --enumerate asks dozens, whose results are shown as one list.
FOLLOWUPS_SHOWN: Final = 12
# Fingerprints are cut to what suffices to find them with grep in the JSON.
_FINGERPRINT: Final = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{48}\b")
_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red", "invalid": "magenta", **SEVERITY_COLOURS}


def show(findings: Iterable[Finding], stream: TextIO, *, file: str | None = None) -> None:
    """Print the pages, with a blank line between them. ``file`` is the source of certificates that no server sent."""
    with console_on(stream) as console:
        for number, finding in enumerate(findings):
            if number:
                console.print()
            _page(console, finding, file)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else _plain(value)
    return shorten(printable(_FINGERPRINT.sub(rf"\1{ELLIPSIS}", text)), VALUE_LIMIT)


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], Mapping):
            return "; ".join(_plain(item) for item in value)
        return ", ".join(_plain(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "unknown" if value is None else str(value)


def _page(console: Console, finding: Finding, file: str | None) -> None:
    target, outcome = finding["target"], finding["outcome"]
    if file is not None:
        name = target["host"] if target["host"] != file else "any name"
        title = Text(f"{_text(file)} for {_text(name)}", style="bold")
    else:
        title = Text(_text(_name(finding)), style="bold")
        title.append(f"  ({_text(target['protocol'])})" if target["protocol"] else "", style="dim")
    title.append("  ")
    title.append(outcome.upper(), style=f"bold {_COLOURS[outcome]}")
    if finding["cause"]:
        title.append(f"  {finding['cause']}", style=_COLOURS[outcome])
    console.print(title)
    if file is not None:
        note = translate("A file of certificates, judged as if a server had sent it; nothing was contacted.")
        console.print(indented(Text(note, style="dim"), 2))
    console.print(_stages(finding, file))
    error = finding.get("error")
    if error:
        console.print(indented(Text(_text(error), style="bold"), 2))
    # errors come first; within a severity the order of the connection stays
    for diagnosis in sorted(finding["diagnoses"], key=lambda item: SEVERITIES.index(item["severity"])):
        _diagnosis(console, diagnosis, show_endpoints=file is None)
    if finding["clients"]:
        console.print(indented(Text(translate("What clients say"), style="bold"), 2, above=1))
        from scanner.explain.answers import with_releases

        said = with_releases(finding["clients"])
        console.print(indented(_grid(said.items()), 4))


def _name(finding: Finding) -> str:
    target = finding["target"]
    host = target["host"] or f"row {target['row']}"
    shown = f"[{host}]" if ":" in host else host
    return shown if target["port"] is None else f"{shown}:{target['port']}"


def _grid(rows: Iterable[tuple[str, object]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(Text(_text(label)), Text(_text(value)))
    return grid


def _stages(finding: Finding, file: str | None) -> Padding:
    rows: list[tuple[str, object]] = []
    dns = finding.get("dns")
    if dns:
        seen = dns["status"]
        if dns["cname"]:
            seen += " by " + " > ".join(dns["cname"])
        if dns["addresses"]:
            seen += ": " + ", ".join(dns["addresses"])
        rows.append(("dns", seen + (f"  (from {dns['resolver']})" if dns["resolver"] else "")))
    certificates = {certificate["sha256"]: certificate for certificate in finding.get("certificates", [])}
    for endpoint in finding.get("endpoints", []):
        if file is None:
            rows += _connection(endpoint)
        rows += _judged(endpoint, certificates)
    return indented(_grid((_label(label), value) for label, value in rows), 2)


def _label(text: str) -> str:
    """Return the translated label of a stage; some have a number."""
    word, space, number = text.partition(" ") if text[-1:].isdigit() else (text, "", "")
    return f"{translate(word)}{space}{number}"


def _seen(value: object) -> object:
    """Return the first bytes of a peer as text; the JSON has them as hex."""
    try:
        return bytes.fromhex(str(value)).decode("utf-8", "backslashreplace")
    except ValueError:
        return value


def _connection(endpoint: EndpointRecord) -> Iterable[tuple[str, object]]:
    timing = endpoint["timing_ms"]
    how = "tried for" if endpoint["stage"] == "connect" else "connected in"
    connected = f" {how} {timing['connect']:.1f} ms" if "connect" in timing else ""
    yield "address", f"{endpoint['address']}{connected}"
    hello = [value for value in (endpoint["version"], endpoint["cipher"], endpoint["group"], endpoint["alpn"]) if value]
    if hello:
        took = f"  in {timing['handshake']:.1f} ms" if "handshake" in timing else ""
        yield "hello", ", ".join(hello) + took
    if endpoint["error"]:
        alert = endpoint["alert"]
        yield "stopped", f"{endpoint['error']} at {endpoint['stage']}" + (f": {alert['name']}" if alert else "")
    followups = endpoint.get("followups", [])
    for followup in followups[:FOLLOWUPS_SHOWN]:
        details = [followup[key] for key in ("alert", "version", "cipher") if key in followup]
        yield (
            "asked again",
            f"{followup['question']}: {followup['result']}" + (f" ({', '.join(details)})" if details else ""),
        )
    if len(followups) > FOLLOWUPS_SHOWN:
        yield "", f"and {len(followups) - FOLLOWUPS_SHOWN} more questions"
    if "versions" in endpoint:
        yield "accepts", ", ".join(endpoint["versions"]) or "no version that was offered"
    for place, cipher in enumerate(endpoint.get("ciphers", [])):
        yield "" if place else "with", cipher
    client = endpoint["client_auth"]
    if client is not None and client["requested"]:
        yield "client certificate", "required" if client["required"] else "asked for"


def _judged(endpoint: EndpointRecord, certificates: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    for place, fingerprint in enumerate(endpoint["chain"][:CERTIFICATES_SHOWN]):
        certificate = certificates.get(fingerprint)
        if certificate is not None:
            flaws = certificate.get("error")
            if certificate["subject"] is None:
                yield f"certificate {place}", f"cannot be read: {flaws}"
                continue
            until = f", until {certificate['not_after'][:10]}" if certificate["not_after"] else ""
            yield f"certificate {place}", f"{certificate['subject']}  by  {certificate['issuer']}{until}"
            if flaws:
                yield "", f"in an unusual form: {flaws}"
    if len(endpoint["chain"]) > CERTIFICATES_SHOWN:
        yield "", f"and {len(endpoint['chain']) - CERTIFICATES_SHOWN} more"
    for store, trust in endpoint["trust"].items():
        yield (
            "trust",
            f"{store}: " + ("trusted" if trust["trusted"] else f"not trusted ({trust.get('error') or 'no path'})"),
        )


def _diagnosis(console: Console, diagnosis: DiagnosisRecord, *, show_endpoints: bool) -> None:
    colour = _COLOURS[diagnosis["severity"]]
    head = Text(f"{translate(diagnosis['severity'])}  ", style=colour)
    head.append(diagnosis["code"], style=f"bold {colour}")
    if show_endpoints and diagnosis.get("endpoints"):
        head.append(f"  at {', '.join(diagnosis['endpoints'][:CERTIFICATES_SHOWN])}", style="dim")
    console.print(indented(head, 2, above=1))
    console.print(indented(Text(printable(diagnosis["summary"])), 4))
    rows = [(key, _seen(value) if key == "first_bytes" else value) for key, value in diagnosis["evidence"].items()]
    if rows:
        console.print(indented(_grid(rows), 4))
    if diagnosis.get("remedy"):
        console.print(indented(labelled(translate("do: "), printable(diagnosis["remedy"])), 4))
    if diagnosis.get("confirm"):
        # one line, however long, as it is there to be copied
        line = labelled(f"    {translate('confirm: ')}", printable(diagnosis["confirm"]))
        console.print(line, soft_wrap=True)
