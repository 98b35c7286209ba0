"""Every opening dialogue against a real server: with TLS the certificate is reached, without it that is reported."""

from __future__ import annotations

import pytest
import trio
from cryptography import x509

from scanner.model.config import ScanConfig
from scanner.model.evidence import Failure, Probe, Target
from scanner.model.findings import Finding
from scanner.net.probe import Prober, Timing
from scanner.run.inputs import RunInputs
from scanner.starttls import dialogue
from scanner.tls.offers import MODERN
from scanner.tls.plaintext import recognise
from tests.helpers.loopback_scan import scan_rows
from tests.servers.pki import Pki
from tests.servers.running import loopback_address
from tests.servers.starttls_services import SERVICES, Service, Site, running

TIMING = Timing(connect=10, handshake=15, total=20)
# for connections that are expected to fail
HASTY = Timing(connect=10, handshake=0.5, total=20)
# protocols in which the server speaks first
GREETINGS = {"smtp", "lmtp", "imap", "pop3", "sieve", "ftp", "irc", "mysql"}
NAME = "starttls.servers.test"


def probe(site: Site, protocol: str, timing: Timing = TIMING) -> Probe:
    prober = Prober(lambda der: x509.load_der_x509_certificate(der).public_key())

    async def connect() -> Probe:
        return await prober.probe(
            site.address,
            site.port,
            offer=MODERN,
            sni=NAME,
            alpn=(),
            dialogue=dialogue(protocol, host=NAME, recognise=recognise),
            timing=timing,
        )

    return trio.run(connect)


def start_or_skip(service: Service) -> None:
    if (reason := service.missing()) is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.id)
def test_the_dialogue_leads_to_tls(service: Service, pki: Pki) -> None:
    start_or_skip(service)
    credential = pki.issue("ec:P-256", name=NAME, address=loopback_address())
    with running(service, credential, name=NAME, address=loopback_address(), tls=True) as site:
        seen = probe(site, service.protocol)
        assert (seen.failure, seen.detail) == (None, None)
        assert seen.flight is not None
        assert seen.flight.certificates[0] == credential.chain[0]
        # a client with the wrong protocol is told the right one
        if service.protocol in GREETINGS:
            wrong = probe(site, "ldap", HASTY)
            # Dovecot's LMTP greets as SMTP does
            name = "smtp" if service.protocol == "lmtp" else service.protocol
            assert (wrong.failure, wrong.recognised) == (Failure.STARTTLS_MALFORMED, name)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.id)
def test_a_server_without_tls_is_reported(service: Service, pki: Pki) -> None:
    start_or_skip(service)
    credential = pki.issue("ec:P-256", name=NAME, address=loopback_address())
    with running(service, credential, name=NAME, address=loopback_address(), tls=False) as site:
        seen = probe(site, service.protocol)
        assert seen.failure is Failure.STARTTLS_NOT_OFFERED
        assert seen.detail


async def scanned(target: Target, config: ScanConfig, roots: str) -> Finding:
    (finding,) = await scan_rows([target], RunInputs(trust_stores=(roots,)), config)
    return finding


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.id)
def test_a_healthy_server_has_no_failures(service: Service, pki: Pki) -> None:
    """A whole scan with every follow-up question."""
    start_or_skip(service)
    credential = pki.issue("ec:P-256", name=NAME, address=loopback_address())
    with running(service, credential, name=NAME, address=loopback_address(), tls=True) as site:
        target = Target(1, NAME, site.port, service.protocol, NAME, address=site.address)
        for enumerate_ in (False, True):
            config = ScanConfig(retries=0, rate_per_address=None, enumerate=enumerate_)
            finding = trio.run(scanned, target, config, str(pki.roots_file))
            alarms = {each["code"] for each in finding["diagnoses"] if each["severity"] != "note"}
            # what a server accepts from old clients is its administrator's choice
            assert alarms <= ({"weak-cipher-enabled", "legacy-version-enabled"} if enumerate_ else set()), alarms
            assert finding["outcome"] == ("warn" if alarms else "ok")


@pytest.mark.parametrize(
    "service", [one for one in SERVICES if one.protocol in GREETINGS], ids=lambda service: service.id
)
def test_the_protocol_is_found_out_by_the_greeting(service: Service, pki: Pki) -> None:
    """Of a row that leaves it open, on a port that says nothing."""
    start_or_skip(service)
    credential = pki.issue("ec:P-256", name=NAME, address=loopback_address())
    with running(service, credential, name=NAME, address=loopback_address(), tls=True) as site:
        target = Target(1, NAME, site.port, "tls", NAME, address=site.address, auto=True)
        # Dovecot's sieve hangs up on a hello, and its greeting is sometimes lost with the connection
        config = ScanConfig(rate_per_address=None)
        findings = (trio.run(scanned, target, config, str(pki.roots_file)) for _ in range(6))
        finding = next(each for each in findings if each["target"]["protocol"] == service.protocol)
        assert finding["target"]["auto"]
        assert finding["outcome"] == "ok", finding["diagnoses"]
