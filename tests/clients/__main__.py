"""Writes docs/clients.md: how every client on this machine treats every server, compared with what findings predict.

python -m tests.clients
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import trio

from tests.clients import fleet
from tests.clients.fleet import CLIENTS, Meetings
from tests.clients.known import DIFFERENT

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clients.md"

INTRODUCTION = """\
# What clients report

A finding's severity is what mainstream clients do, so they were asked: every client on one machine met every server of the
demo's fleet (`tlsweep demo`) and the servers at the edges in `tests/clients/`. Written by `python -m tests.clients` on {date}
with

{versions}

`tests/clients/test_agree.py` repeats the comparison with whatever is installed; with `TLSWEEP_BROWSERS=1` browsers take part.
Predictions (`scanner/data/client-texts.json`) name the releases that they hold for, and where these differ since which one:
"(since Java 24; before: ok)". `openssl-newest` and `java-newest` are second generations of two clients. Where a client may
differ for another reason, `tests/clients/known.py` says why. Roots were given to each client as a locally trusted CA, so
rules that browsers keep for public CAs alone (certificate transparency, the longest validity) do not show here.

In the tables: `+` accepts, `-` refuses, `(+)` and `(-)` where the finding predicts the opposite, `.` not asked or not compared.
"""


def main() -> int:
    """Run all clients and write the page."""
    clients = [client for client in CLIENTS if fleet.present(client)]
    absent = [client for client in CLIENTS if client not in clients]
    if absent:
        sys.stderr.write("not on this machine, so not asked: " + ", ".join(absent) + "\n")
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        for name in ("a", "b"):
            (scratch / name).mkdir()
        demo = trio.run(functools.partial(fleet.meet_demo, scratch / "a", clients))
        edges = trio.run(functools.partial(fleet.meet_variants, scratch / "b", clients))
    PAGE.write_text("\n".join(page(demo, edges)) + "\n", encoding="utf-8")
    return 0


def page(demo: Meetings, edges: Meetings) -> Iterator[str]:
    """Yield the lines of the page."""
    versions = "\n".join(f"- {client}: {named}" for client, named in sorted(fleet.versions().items()))
    yield INTRODUCTION.format(date=datetime.now(UTC).date().isoformat(), versions=versions)
    yield "## The demo's fleet\n"
    yield from matrix(demo)
    yield "\n## The edges\n"
    yield from matrix(edges)
    healthy = [server for server in edges.findings if not notable(edges, server)]
    yield f"\nAccepted by all of them, and in order by the finding: {', '.join(f'`{server}`' for server in healthy)}."
    if edges.cannot:
        yield f"\nNot served by the OpenSSL here: {', '.join(f'`{server}`' for server in edges.cannot)}."
    yield "\n## In their words\n\nBy the demo's server; where the prediction is another text it stands in brackets.\n"
    for server in demo.findings:
        if notable(demo, server):
            yield from words(demo, server)


def notable(met: Meetings, server: str) -> bool:
    """Return whether a client refuses, or the finding has codes."""
    return bool(met.findings[server]["diagnoses"]) or any(
        text != "ok" for client in CLIENTS for text in met.said(client, server)
    )


def matrix(met: Meetings) -> Iterator[str]:
    """Yield a table with a row for each notable server and a column for each client."""
    yield f"| server | finding | codes | {' | '.join(CLIENTS)} |"
    yield "| --- | --- | --- |" + " :-: |" * len(CLIENTS)
    for server, finding in met.findings.items():
        if notable(met, server):
            codes = ", ".join(record["code"] for record in finding["diagnoses"])
            cells = " | ".join(cell(met, client, server) for client in CLIENTS)
            yield f"| {server} | {finding['outcome']} | {codes} | {cells} |"


def cell(met: Meetings, client: str, server: str) -> str:
    """Return the cell of a client and a server."""
    said = [text == "ok" for text in met.said(client, server)]
    one_address_only = len(said) > 1 and (server, client) in DIFFERENT
    if not said or one_address_only:
        return "."
    accepts = all(said) if met.findings[server]["outcome"] == "fail" else any(said)
    mark = "+" if accepts else "-"
    predicted = met.predicted(client, server)
    return mark if predicted is None or (predicted == "ok") is accepts else f"({mark})"


def words(met: Meetings, server: str) -> Iterator[str]:
    """Yield what each client that refuses reports about a server."""
    codes = ", ".join(f"`{record['code']}`" for record in met.findings[server]["diagnoses"])
    yield f"### {server}\n\n{codes}\n"
    for client in CLIENTS:
        said = next((text for text in reversed(met.said(client, server)) if text != "ok"), None)
        if said is not None:
            predicted = met.predicted(client, server)
            other = "" if predicted in (said, None) else f" [`{predicted}`]"
            yield f"- {client}: `{' '.join(said.split())}`{other}"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
