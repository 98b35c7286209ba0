"""The fleet is scanned as any other inventory is, and every row gets exactly the finding that its case is there to show."""

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

from scanner.demo.cases import Case
from scanner.demo.catalogue import CASES
from scanner.demo.fleet import Fleet, run_fleet
from scanner.inventory import read_inventory
from scanner.model.config import ScanConfig
from scanner.model.findings import Finding
from scanner.run.scan import Callbacks
from scanner.run.wiring import Material, make_verifier, open_session
from scanner.starttls import PROTOCOLS

# Seconds for a target: more than a person who watches the demo would want to wait, for a machine that does much else.
PATIENCE = 8.0
SEVERITY = {"fail": "error", "warn": "warning", "ok": "note"}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    """The finding of each case, by its name; a case that cannot be had on this system has none."""
    return trio.run(functools.partial(scan_fleet, tmp_path_factory.mktemp("demo")))


async def scan_fleet(directory: Path) -> dict[str, Finding]:
    async with scanned(directory) as (_, findings):
        return findings


def a_clock(off: float) -> float:
    """What a clock says that is so many seconds off."""
    return time.time() + off


@asynccontextmanager
async def scanned(directory: Path) -> AsyncIterator[tuple[Fleet, dict[str, Finding]]]:
    """A fleet that is up, and the findings of its inventory by the names of the cases."""
    written: list[Finding] = []
    async with run_fleet(directory) as fleet:
        config = replace(ScanConfig(), **{**fleet.config_hints, "timeout": PATIENCE})
        material = Material(
            resolvers=(fleet.resolver,),
            trust_stores=(str(fleet.roots),),
            public_roots=str(fleet.roots),
            ct_logs=str(fleet.ct_logs),
            ntp=fleet.time_servers,
        )
        clocks = {row.host: row.case.clock_off.total_seconds() for row in fleet.rows}
        verifier = make_verifier(material)
        for off in sorted(set(clocks.values())):
            rows = read_inventory(
                str(fleet.inventory),
                default_protocol=config.default_protocol,
                default_port=config.default_port,
                protocols=PROTOCOLS,
            )
            of_this_clock = (row for row in rows if clocks.get(row.host or "", 0.0) == off)
            clock = functools.partial(a_clock, off)
            async with open_session(
                config,
                material,
                run_id="demo",
                verifier=verifier,
                callbacks=Callbacks(on_finding=written.append),
                clock=clock,
            ) as session:
                with trio.fail_after(40):
                    await session.run(of_this_clock)
        by_row = {finding["target"]["row"]: finding for finding in written}
        assert len(by_row) == len(written) == len(fleet.rows)
        yield fleet, {row.case.name: by_row[number] for row, number in zip(fleet.rows, sorted(by_row), strict=True)}


def found(findings: dict[str, Finding], case: Case) -> Finding:
    if case.name not in findings:
        pytest.skip("this system cannot have its servers")
    return findings[case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_finding(case: Case, findings: dict[str, Finding]) -> None:
    finding = found(findings, case)
    codes = frozenset(diagnosis["code"] for diagnosis in finding["diagnoses"])
    assert (finding["outcome"], finding["cause"], codes) == (case.outcome, case.cause, case.codes)
    assert len(codes) == len(finding["diagnoses"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_stands_around_it(case: Case, findings: dict[str, Finding]) -> None:
    finding = found(findings, case)
    target = finding["target"]
    assert target["tags"]["owner"] == case.owner
    assert target["tags"]["expected"] == (case.code or "")
    assert target["protocol"] == case.protocol
    # What decides the outcome is there with its severity, and each code of an error says what to do.
    severities = [diagnosis["severity"] for diagnosis in finding["diagnoses"]]
    assert not severities or SEVERITY[case.outcome] in severities
    assert all(diagnosis["summary"] and diagnosis["remedy"] for diagnosis in finding["diagnoses"])
    # Without servers there is nothing that could have been contacted.
    assert bool(finding["endpoints"]) is bool(case.servers)


def test_a_healthy_server_costs_one_connection(findings: dict[str, Finding]) -> None:
    for case in CASES:
        # whether a certificate that is asked for is demanded, only a second one shows
        if case.outcome == "ok" and case.code != "client-certificate-optional" and case.name in findings:
            assert findings[case.name]["attempts"] == 1, case.name


def test_every_finding_is_of_the_schema(findings: dict[str, Finding]) -> None:
    schema = json.loads((resources.files("scanner") / "data" / "finding.schema.json").read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    for name, finding in findings.items():
        errors = [error.message for error in validator.iter_errors(json.loads(json.dumps(finding)))]
        assert errors == [], name
