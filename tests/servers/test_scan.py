"""Whole scans of every real server: healthy ones get no codes, others the right ones."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import trio

from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers.loopback_scan import scan_rows
from tests.servers.catalogue import (
    ANONYMOUS_SERVERS,
    CLOSED_SERVERS,
    LEGACY_SERVERS,
    MODERN_SERVERS,
    STAPLING_SERVERS,
)
from tests.servers.conftest import Start
from tests.servers.running import Server
from tests.servers.spec import Expected, ServerSpec

# The servers share one address, so pacing per address would only slow this down.
CONFIG = ScanConfig(rate_per_address=None, timeout=20, retries=0)


def scan(servers: Iterable[Server], config: ScanConfig = CONFIG) -> list[Finding]:
    servers = list(servers)
    rows = [
        Target(row=row, host=server.name, port=server.port, protocol="tls", sni=server.name, address=server.address)
        for row, server in enumerate(servers, 1)
    ]
    inputs = RunInputs(trust_stores=[str(servers[0].roots)])
    return trio.run(scan_rows, rows, inputs, config)


def codes(finding: Finding) -> set[str]:
    return {diagnosis["code"] for diagnosis in finding["diagnoses"]}


@pytest.mark.parametrize("spec", MODERN_SERVERS + LEGACY_SERVERS + STAPLING_SERVERS, ids=lambda spec: spec.id)
def test_findings_have_exactly_the_expected_codes(spec: ServerSpec, start: Start) -> None:
    (finding,) = scan([start(spec)])

    assert codes(finding) == set(spec.expected.codes), finding["diagnoses"]
    errors = [each for each in finding["diagnoses"] if each["severity"] == "error"]
    assert finding["outcome"] == ("fail" if errors else "ok")
    (endpoint,) = finding["endpoints"]
    if spec in MODERN_SERVERS:
        assert endpoint["version"] == spec.expected.version
        assert all(verdict["trusted"] for verdict in endpoint["trust"].values())


@pytest.mark.parametrize("spec", ANONYMOUS_SERVERS, ids=lambda spec: spec.id)
def test_anonymous_suites_alone_are_no_shared_cipher(spec: ServerSpec, start: Start) -> None:
    (finding,) = scan([start(spec)])

    assert codes(finding) == set(spec.expected.codes), finding["diagnoses"]
    said = next(each for each in finding["diagnoses"] if each["code"] == "no-shared-cipher")
    assert "in which no certificate proves who the server is" in said["summary"] and "anonymous" in said["remedy"]
    assert "ok" not in finding["clients"].values()


@pytest.mark.parametrize("group", ["MLKEM512", "curveSM2"])
def test_a_group_of_which_no_share_can_be_made_here_is_named(group: str, start: Start) -> None:
    """The server asks for a share in it, which is as far as the handshake comes."""
    expected = Expected(version="TLSv1.3")
    (finding,) = scan([start(ServerSpec(id=group, software="newest-openssl", groups=group, expected=expected))])

    assert [(each["code"], each["evidence"]["group"]) for each in finding["diagnoses"]] == [("no-shared-group", group)]
    assert finding["outcome"] == "fail"


@pytest.mark.parametrize("spec", CLOSED_SERVERS, ids=lambda spec: spec.id)
def test_servers_that_ask_for_a_certificate_have_no_other_codes(spec: ServerSpec, start: Start) -> None:
    (finding,) = scan([start(spec)])

    assert {diagnosis["cause"] for diagnosis in finding["diagnoses"]} <= {"client-certificate"}
    (endpoint,) = finding["endpoints"]
    assert endpoint["client_auth"] is not None
    assert endpoint["client_auth"]["requested"]


def test_all_servers_in_one_run_have_the_same_codes(start: Start) -> None:
    """In one run, cached verdicts of one server do not affect the next."""
    specs = [spec for spec in MODERN_SERVERS if spec.software in ("nginx", "openssl")]

    findings = scan([start(spec) for spec in specs])

    seen = {finding["target"]["host"]: codes(finding) for finding in findings}
    assert seen == {spec.name: set(spec.expected.codes) for spec in specs}
