"""The work of ``tlsweep check``: targets from the command line through the same scan, files through the same judge."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from scanner.cli import options as opt
from scanner.cli.run_scan import material, say
from scanner.cli.stopping import run_until_signal
from scanner.errors import UsageProblem
from scanner.inventory import parse_targets
from scanner.inventory.hosts import Unusable, parse_host
from scanner.model.evidence import EndpointEvidence, Evidence, Probe, ServerFlight, Stage, Target
from scanner.model.findings import Finding
from scanner.run.judgement import FILE_OFFER
from scanner.run.row_queue import Row
from scanner.run.scan import Callbacks
from scanner.run.wiring import make_judgement, make_verifier, new_run_id, open_session
from scanner.starttls import PROTOCOLS
from scanner.x509.certificate_files import read_chain


def check_targets(texts: Sequence[str], given: dict[str, Any]) -> list[Finding]:
    """Probe the targets named on the command line; findings in their order. Raises what the files of options may raise."""
    config = opt.scan_config(given)
    what = material(given)
    verifier = make_verifier(what)
    rows = parse_targets(
        texts, default_protocol=config.default_protocol, default_port=config.default_port, protocols=PROTOCOLS
    )
    findings: list[Finding] = []

    async def run(rows: Iterator[Row]) -> None:
        async with open_session(
            config,
            what,
            run_id=new_run_id(time.time()),
            verifier=verifier,
            callbacks=Callbacks(on_finding=findings.append),
            warn=say,
        ) as session:
            await session.run(rows)

    run_until_signal(run, rows)
    return sorted(findings, key=lambda finding: finding["target"]["row"])


def check_files(given: dict[str, Any], now: float) -> Finding:
    """Judge a chain file as if a server had sent it; nothing is contacted."""
    config = opt.scan_config(given)
    what = material(given)
    judgement = make_judgement(config, what, make_verifier(what), run_id=new_run_id(now))
    certificates = read_chain(given["chain"])
    host, is_ip = given["host"], False
    if host is not None:
        try:
            host, is_ip = parse_host(host)
        except Unusable as error:
            raise UsageProblem(f"--host: {error.reason}") from None
    target = Target(
        row=1, host=host or given["chain"], port=config.default_port or 443, protocol=config.default_protocol,
        sni=None if is_ip else host, host_is_ip=is_ip,
    )  # fmt: skip
    flight = ServerFlight(certificates=certificates, complete=True)
    probe = Probe(offer=FILE_OFFER, sni=target.sni, stage=Stage.DONE, flight=flight)
    evidence = Evidence(target=target, started=now, endpoints=(EndpointEvidence(given["chain"], probe),))
    return judgement.file_finding(evidence, name=host)
