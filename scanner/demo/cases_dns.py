"""Names that do not lead to a server."""

from __future__ import annotations

from functools import partial
from typing import Final

from scanner.demo.cases import DnsBehaviour, failing_case, presenting, valid_credential, warning_case

_dns_case: Final = partial(failing_case, "dns")

CASES: Final = (
    _dns_case("no-such-name", "nxdomain", "The name does not exist.", dns=DnsBehaviour.NXDOMAIN),
    _dns_case(
        "no-address",
        "no-address",
        "The name exists and has neither A nor AAAA.",
        dns=DnsBehaviour.NO_ADDRESS,
        owner="mail",
    ),
    _dns_case("dns-servfail", "servfail", "The resolver cannot get an answer.", dns=DnsBehaviour.SERVFAIL),
    _dns_case("dns-refused", "refused", "The resolver refuses the question.", dns=DnsBehaviour.REFUSED),
    _dns_case("dns-silent", "dns-timeout", "The resolver never answers for this name.", dns=DnsBehaviour.SILENT),
    _dns_case(
        "cname-loop",
        "cname-loop",
        "Two CNAME records point at each other.",
        dns=DnsBehaviour.CNAME_LOOP,
        owner="platform",
    ),
    _dns_case(
        "dangling",
        "dangling-cname",
        "A CNAME to a name that is gone: whoever registers it gets the traffic.",
        dns=DnsBehaviour.DANGLING_CNAME,
        owner="platform",
    ),
    _dns_case(
        "dnssec-bogus",
        "dnssec-bogus",
        "SERVFAIL that goes away with checking disabled: the signatures are broken.",
        dns=DnsBehaviour.BOGUS,
    ),
    warning_case(
        "private-address",
        "private-address",
        "A name in public DNS with an address that only works from within.",
        presenting(valid_credential),
        host="intranet.example.net",
        owner="platform",
    ),
)
