"""The fleet is scanned like any inventory, and every row gets exactly the finding that its case demonstrates."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import trio
from msgspec.structs import replace

from scanner.demo.case_list import CASES
from scanner.demo.cases import DemoCase
from scanner.demo.fleet import Fleet, run_fleet
from scanner.inventory import read_inventory
from scanner.model.config import ScanConfig
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs, make_verifier
from scanner.starttls import PROTOCOLS
from tests.helpers.loopback_scan import scan_rows

# Seconds for a target on a busy machine.
PATIENCE = 8.0
SEVERITY = {"fail": "error", "warn": "warning", "ok": "note"}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    """Return the finding of each case by name; cases that this system does not support have none."""
    return trio.run(functools.partial(scan_fleet, tmp_path_factory.mktemp("demo")))


async def scan_fleet(directory: Path) -> dict[str, Finding]:
    async with run_and_scan(directory) as (_, findings):
        return findings


def wrong_clock(off: float) -> float:
    """Return the time of a clock that is ``off`` seconds wrong."""
    return time.time() + off


@asynccontextmanager
async def run_and_scan(directory: Path) -> AsyncIterator[tuple[Fleet, dict[str, Finding]]]:
    """Run a fleet for the block, and scan it; yield the fleet and its findings by the names of the cases."""
    written: list[Finding] = []
    async with run_fleet(directory) as fleet:
        config = replace(ScanConfig(), **{**fleet.config_hints, "timeout": PATIENCE})
        inputs = RunInputs(
            resolvers=(fleet.resolver,),
            trust_stores=(str(fleet.roots),),
            public_roots=str(fleet.roots),
            ct_logs=str(fleet.ct_logs),
            ntp=fleet.time_servers,
        )
        clocks = {row.host: row.case.clock_offset.total_seconds() for row in fleet.rows}
        verifier = make_verifier(inputs)
        for off in sorted(set(clocks.values())):
            rows = read_inventory(
                str(fleet.inventory),
                default_protocol=config.default_protocol,
                default_port=config.default_port,
                protocols=PROTOCOLS,
            )
            of_this_clock = (row for row in rows if clocks.get(row.host or "", 0.0) == off)
            clock = functools.partial(wrong_clock, off)
            written += await scan_rows(of_this_clock, inputs, config, verifier=verifier, clock=clock)
        by_row = {finding["target"]["row"]: finding for finding in written}
        assert len(by_row) == len(written) == len(fleet.rows)
        yield fleet, {row.case.name: by_row[number] for row, number in zip(fleet.rows, sorted(by_row), strict=True)}


def found(findings: dict[str, Finding], case: DemoCase) -> Finding:
    if case.name not in findings:
        pytest.skip("this system cannot have its servers")
    return findings[case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_finding_has_the_outcome_and_codes_of_the_case(case: DemoCase, findings: dict[str, Finding]) -> None:
    finding = found(findings, case)
    codes = frozenset(diagnosis["code"] for diagnosis in finding["diagnoses"])
    assert (finding["outcome"], finding["cause"], codes) == (case.outcome, case.cause, case.codes)
    assert len(codes) == len(finding["diagnoses"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_finding_is_complete(case: DemoCase, findings: dict[str, Finding]) -> None:
    finding = found(findings, case)
    target = finding["target"]
    assert target["tags"]["owner"] == case.owner
    assert target["tags"]["expected"] == (case.code or "")
    assert target["protocol"] == case.protocol
    # The code that decides the outcome has its severity, and each error has a remedy.
    severities = [diagnosis["severity"] for diagnosis in finding["diagnoses"]]
    assert not severities or SEVERITY[case.outcome] in severities
    assert all(diagnosis["summary"] and diagnosis["remedy"] for diagnosis in finding["diagnoses"])
    # A case without servers has no endpoints.
    assert bool(finding["endpoints"]) is bool(case.servers)


def test_a_healthy_server_costs_one_connection(findings: dict[str, Finding]) -> None:
    for case in CASES:
        # a second connection shows whether a client certificate is required
        if case.outcome == "ok" and case.code != "client-certificate-optional" and case.name in findings:
            assert findings[case.name]["attempts"] == 1, case.name


def test_every_finding_matches_the_schema(findings: dict[str, Finding]) -> None:
    schema = json.loads((resources.files("scanner") / "data" / "finding.schema.json").read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    for name, finding in findings.items():
        errors = [error.message for error in validator.iter_errors(json.loads(json.dumps(finding)))]
        assert errors == [], name
