"""The work of ``tlsweep check``: findings for a few targets, or for certificates that are not deployed yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from scanner.diagnosis.case import FILE_OFFER
from scanner.diagnosis.rules.deviations import deviations_of_file
from scanner.diagnosis.rules.files import SEPARATOR
from scanner.errors import UsageProblem
from scanner.inventory import parse_targets
from scanner.inventory.hosts import Unusable, parse_host
from scanner.model.config import ScanConfig
from scanner.model.evidence import EndpointEvidence, Evidence, Negotiation, Probe, ServerFlight, Stage, Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs, make_judgement, new_run_id
from scanner.run.scan import Callbacks
from scanner.run.wiring import open_run
from scanner.starttls import PROTOCOLS
from scanner.starttls.services import AUTO, protocol_named, protocol_of_port
from scanner.text import quoted
from scanner.trust.file_chains import leaf_position, ordered_chain
from scanner.x509.certificate_files import read_chain


async def check_targets(
    texts: Sequence[str], config: ScanConfig, inputs: RunInputs, log: Callable[[str], None]
) -> list[Finding]:
    """Probe the targets and return their findings in the given order. Raises a ``TlsweepError`` if an input cannot be used."""
    judgement = make_judgement(config, inputs, run_id=new_run_id(time.time()))
    rows = parse_targets(
        texts, default_protocol=config.default_protocol, default_port=config.default_port, protocols=PROTOCOLS
    )
    findings: list[Finding] = []
    async with open_run(config, inputs, judgement, Callbacks(on_finding=findings.append, log=log)) as run:
        await run.run(rows)
    return sorted(findings, key=lambda finding: finding["target"]["row"])


def check_certificates(
    path: str,
    host: str | None,
    config: ScanConfig,
    inputs: RunInputs,
    now: float,
    log: Callable[[str], None] = lambda _: None,
) -> Finding:
    """Judge the certificates in a file as if a server had sent them, for ``host`` or, without one, for any name.

    ``log`` gets a line on what was passed over in the file.
    """
    judgement = make_judgement(config, inputs, run_id=new_run_id(now))
    file = read_chain(path)
    if file.passed_over:
        log(f"{path}: passed over {'; '.join(file.passed_over)}")
    is_ip = False
    if host is not None:
        try:
            host, is_ip = parse_host(host)
        except Unusable as error:
            raise UsageProblem(f"--host: {error.reason}") from None
    port, protocol = config.default_port or 443, protocol_named(config.default_protocol, PROTOCOLS)
    if protocol is None:
        raise UsageProblem(f"--protocol: {quoted(config.default_protocol)} is not known")
    if protocol == AUTO:
        protocol = protocol_of_port(port, PROTOCOLS) or "tls"
    target = Target(
        row=1, host=host or path, port=port, protocol=protocol,
        sni=None if is_ip else host, host_is_ip=is_ip,
    )  # fmt: skip
    certificates, leaf = file.certificates, leaf_position(file.certificates, file.keys, host)
    if not file.ordered:
        certificates, leaf = ordered_chain(certificates, leaf), 0
    negotiation = Negotiation(complete=True, deviations=deviations_of_file(certificates), leaf_position=leaf)
    flight = ServerFlight(negotiation, certificates=certificates)
    probe = Probe(
        offer=FILE_OFFER, sni=target.sni, stage=Stage.DONE, detail=SEPARATOR.join(file.faults) or None, flight=flight
    )
    evidence = Evidence(target=target, started=now, endpoints=(EndpointEvidence(path, probe),))
    return judgement.file_finding(evidence, name=host)
