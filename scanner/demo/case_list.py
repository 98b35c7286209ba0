"""All cases of the demo in the order of the inventory, which follows the steps of a connection."""

from __future__ import annotations

from typing import Final

from scanner.demo import (
    cases_certificates,
    cases_client_auth,
    cases_clock,
    cases_dns,
    cases_healthy,
    cases_interception,
    cases_negotiation,
    cases_network,
    cases_revocation,
    cases_servers,
    cases_transparency,
)
from scanner.demo.cases import DemoCase

CASES: Final[tuple[DemoCase, ...]] = (
    *cases_healthy.CASES,
    *cases_dns.CASES,
    *cases_network.CASES,
    *cases_servers.CASES,
    *cases_negotiation.CASES,
    *cases_client_auth.CASES,
    *cases_interception.CASES,
    *cases_clock.CASES,
    *cases_certificates.CASES,
    *cases_revocation.CASES,
    *cases_transparency.CASES,
)
