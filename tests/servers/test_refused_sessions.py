"""Whole scans of real servers that refuse a session before TLS, want a PROXY header first, or greet late."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers.loopback_scan import scan_rows
from tests.servers.pki import Pki
from tests.servers.refusing_services import EXPECTED_HEADER, LATE, REFUSED, REFUSING, WRAPPED, Refusing
from tests.servers.running import loopback_address
from tests.servers.starttls_services import Service, Site, running

NAME = "refusing.servers.test"


def scan(site: Site, roots: Path, *, name: str = NAME, timeout: float = 20.0) -> Finding:
    target = Target(row=1, host=name, port=site.port, protocol=site.protocol, sni=name, address=site.address)
    config = ScanConfig(rate_per_address=None, timeout=timeout, retries=0, revocation="off")
    inputs = RunInputs(trust_stores=[str(roots)], resolvers=["127.0.0.1:9"])
    (finding,) = trio.run(scan_rows, [target], inputs, config)
    return finding


def start_or_skip(service: Service) -> None:
    if (reason := service.missing()) is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("refusing", REFUSING, ids=lambda refusing: refusing.id)
def test_who_refused_what_is_told(refusing: Refusing, pki: Pki) -> None:
    start_or_skip(refusing.service)
    credential = pki.issue("ec:P-256", name=NAME, address=loopback_address(), intermediates=0)
    with running(refusing.service, credential, name=NAME, address=loopback_address(), tls=True) as site:
        with ExitStack() as occupied:
            for _ in range(refusing.occupied):
                connection = occupied.enter_context(socket.create_connection((site.address, site.port), timeout=20))
                connection.recv(1)  # it is served
            finding = scan(site, pki.roots_file, name=refusing.name or NAME)
    errors = [each for each in finding["diagnoses"] if each["severity"] == "error"]
    assert [each["code"] for each in errors] == [refusing.expected], finding["diagnoses"]
    (diagnosis,) = errors
    assert (finding["outcome"], finding["cause"]) == ("fail", "server-misconfiguration")
    if refusing.expected == REFUSED:
        assert diagnosis["evidence"]["reason"] == refusing.reason, diagnosis["evidence"]
        assert diagnosis["evidence"]["words"]
    else:
        assert refusing.expected == EXPECTED_HEADER
        # behind the header the service is known: its certificate is judged
        assert diagnosis["evidence"]["header"] == "v1"
        assert len(finding["certificates"]) == 1


def test_a_domain_in_the_column_sni_is_served(pki: Pki) -> None:
    """The host of an XMPP server and its domain are two names."""
    (prosody,) = (each.service for each in REFUSING if each.id == "prosody")
    start_or_skip(prosody)
    credential = pki.issue("ec:P-256", name=NAME, address=loopback_address(), intermediates=0)
    with running(prosody, credential, name=NAME, address=loopback_address(), tls=True) as site:
        target = Target(row=1, host="xmpp1.test", port=site.port, protocol="xmpp", sni=NAME, address=site.address)
        inputs = RunInputs(trust_stores=[str(pki.roots_file)], resolvers=["127.0.0.1:9"])
        (finding,) = trio.run(scan_rows, [target], inputs, ScanConfig(rate_per_address=None, revocation="off"))
    assert finding["outcome"] == "ok"


def test_a_port_with_tls_from_the_first_byte_is_recognised(pki: Pki) -> None:
    """A row says ``smtp``, and Postfix wants TLS there at once: nobody greets anybody, until a hello shows it."""
    start_or_skip(WRAPPED)
    credential = pki.issue("ec:P-256", name=NAME, address=loopback_address(), intermediates=0)
    with running(WRAPPED, credential, name=NAME, address=loopback_address(), tls=True) as site:
        finding = scan(site, pki.roots_file, timeout=8.0)
    (diagnosis,) = [each for each in finding["diagnoses"] if each["severity"] == "error"]
    assert diagnosis["code"] == "starttls-not-offered"
    assert diagnosis["evidence"]["recognised"] == "TLS"


def test_a_late_greeting_is_a_matter_of_our_time(pki: Pki) -> None:
    start_or_skip(LATE)
    credential = pki.issue("ec:P-256", name=NAME, address=loopback_address(), intermediates=0)
    with running(LATE, credential, name=NAME, address=loopback_address(), tls=True) as site:
        hasty, patient = (scan(site, pki.roots_file, timeout=seconds) for seconds in (2.0, 30.0))
    (diagnosis,) = hasty["diagnoses"]
    assert diagnosis["code"] == "no-greeting"
    assert diagnosis["evidence"]["seconds"] < 2.0
    assert patient["outcome"] == "ok"
