"""The DNS cases cover every way to fail once; the answers themselves are tested with the zone."""

from __future__ import annotations

from pathlib import Path

from scanner.demo.cases import DnsBehaviour
from scanner.demo.cases_dns import CASES
from tests.demo.clients import check_works, untested

BEHAVIOURS = {
    "no-such-name": DnsBehaviour.NXDOMAIN,
    "no-address": DnsBehaviour.NO_ADDRESS,
    "dns-servfail": DnsBehaviour.SERVFAIL,
    "dns-refused": DnsBehaviour.REFUSED,
    "dns-silent": DnsBehaviour.SILENT,
    "cname-loop": DnsBehaviour.CNAME_LOOP,
    "dangling": DnsBehaviour.DANGLING_CNAME,
    "dnssec-bogus": DnsBehaviour.BOGUS,
}


def test_each_dns_behaviour_has_one_case() -> None:
    assert {case.name: case.dns for case in CASES if case.dns is not None} == BEHAVIOURS
    assert set(BEHAVIOURS.values()) == set(DnsBehaviour)


def test_cases_that_fail_in_dns_have_no_servers() -> None:
    assert all((case.dns is None) is bool(case.servers) for case in CASES)


def test_the_server_behind_a_private_address_works() -> None:
    check_works("private-address", "TLSv1.3")


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
