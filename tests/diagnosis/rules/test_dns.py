"""Cases of the cause ``dns``, all but CAA."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.diagnosis.rules.dns import PRIVATE_NETWORKS, is_private, is_public_name
from scanner.model.evidence import DnsStatus, Stage
from tests.helpers.evidence import answered, at, codes, diagnosed, dns, evidence, proof, target


@pytest.mark.parametrize(
    ("status", "changes", "code"),
    [
        (DnsStatus.NXDOMAIN, {}, "nxdomain"),
        (DnsStatus.NODATA, {}, "no-address"),
        (DnsStatus.NODATA, {"cname": ("mx.example.org",)}, "no-address"),
        (DnsStatus.NXDOMAIN, {"cname": ("gone.cloud.example",)}, "dangling-cname"),
        (DnsStatus.SERVFAIL, {}, "servfail"),
        (DnsStatus.FORMERR, {}, "servfail"),
        (DnsStatus.MALFORMED, {}, "servfail"),
        (DnsStatus.REFUSED, {}, "refused"),
        (DnsStatus.TIMEOUT, {}, "dns-timeout"),
        (DnsStatus.UNREACHABLE, {"detail": "ENETUNREACH"}, "dns-timeout"),
        (DnsStatus.SERVFAIL, {"bogus": True}, "dnssec-bogus"),
        (DnsStatus.SERVFAIL, {"loop": True, "cname": ("b.example", "www.example.org")}, "cname-loop"),
    ],
)
def test_a_name_that_does_not_resolve(status: DnsStatus, changes: dict[str, Any], code: str) -> None:
    """Every outcome of a resolution without an address has a code of its own, and ends at the stage ``dns``."""
    diagnosis = diagnosed(evidence(answer=dns(status, **changes)))
    assert codes(diagnosis) == [code]
    assert (diagnosis.outcome, diagnosis.cause, diagnosis.stage) == ("fail", "dns", Stage.DNS)
    assert diagnosis.clients["curl"] == "(6) Could not resolve host: www.example.org"


def test_the_extended_error_is_told() -> None:
    """RFC 8914: what the resolver says about its failure reaches the summary."""
    diagnosis = diagnosed(evidence(answer=dns(DnsStatus.SERVFAIL, extended_errors=((22, "no luck"),))))
    assert diagnosis.diagnoses[0]["summary"] == (
        "Resolving www.example.org fails with SERVFAIL (no reachable authority: no luck)."
    )
    assert proof(diagnosis, "servfail")["extended_errors"] == [{"code": 22, "text": "no luck"}]


def test_loop_of_cnames_is_in_the_evidence() -> None:
    """The names of a loop stand in the order in which they lead around."""
    diagnosis = diagnosed(evidence(answer=dns(DnsStatus.SERVFAIL, loop=True, cname=("b.example", "www.example.org"))))
    assert "www.example.org -> b.example -> www.example.org" in diagnosis.diagnoses[0]["summary"]


def test_a_public_name_with_a_private_address_warns() -> None:
    """Split horizon that leaks: reachable from here, in order, and worth a warning."""
    diagnosis = diagnosed(evidence(at(answered(), "10.1.2.3")))
    assert codes(diagnosis) == ["private-address?"]
    assert (diagnosis.outcome, diagnosis.cause, diagnosis.clients) == ("warn", None, {})


def test_private_addresses_where_they_belong_say_nothing() -> None:
    """An internal name, the hosts file, a literal address, and a run that asks for nothing public."""
    internal = target("db.internal")
    good = at(answered(sni="db.internal"), "10.1.2.3")
    assert "private-address?" not in codes(diagnosed(evidence(good, of=internal)))
    private = at(answered(), "10.1.2.3")
    assert codes(diagnosed(evidence(private, answer=dns(addresses=["10.1.2.3"], source="hosts")))) == []
    assert codes(diagnosed(evidence(private), public=False)) == []


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("10.0.0.1", True),
        ("172.31.255.255", True),
        ("172.32.0.0", False),
        ("192.168.1.1", True),
        ("100.64.0.1", True),
        ("169.254.1.1", True),
        ("127.94.0.1", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("::", True),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:10.0.0.1", True),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("nonsense", False),
    ],
)
def test_private_networks_are_known(address: str, private: bool) -> None:
    assert is_private(address) is private


def test_public_names_are_known() -> None:
    assert is_public_name("a.example.org") and is_public_name("example.org.")
    assert not any(
        map(is_public_name, ("localhost", "db.internal", "a.test", "printer.local", "b.HOME", "2001:db8::1"))
    )


@given(st.one_of([st.ip_addresses(), *(st.ip_addresses(network=network) for network in PRIVATE_NETWORKS)]))
def test_what_an_address_begins_with_says_no_more_than_its_network(address: Any) -> None:
    really = getattr(address, "ipv4_mapped", None) or address
    private = any(really in network for network in PRIVATE_NETWORKS if network.version == really.version)
    assert is_private(str(address)) is private
    if address.version == 6:
        assert is_private(address.exploded) is private
