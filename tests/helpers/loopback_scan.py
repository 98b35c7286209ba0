"""Runs whole scans over real sockets, put together as the command does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import trio

from scanner.model.config import ScanConfig
from scanner.model.evidence import InvalidRow, Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs, make_judgement
from scanner.run.scan import Callbacks
from scanner.run.wiring import open_run
from scanner.trust.verifier import ChainVerifier


async def scan_rows(
    rows: Iterable[Target | InvalidRow],
    inputs: RunInputs,
    config: ScanConfig,
    *,
    verifier: ChainVerifier | None = None,
    clock: Callable[[], float] = time.time,
    log: Callable[[str], None] = lambda line: None,
    seconds: float = 60,
) -> list[Finding]:
    """Return the findings of these rows in the order in which they were made, within ``seconds``."""
    findings: list[Finding] = []
    judgement = make_judgement(config, inputs, verifier, run_id="test")
    async with open_run(config, inputs, judgement, Callbacks(on_finding=findings.append, log=log), clock=clock) as run:
        with trio.fail_after(seconds):
            await run.run(iter(rows))
        assert run.scan.statistics().done == len(findings)
    return findings
