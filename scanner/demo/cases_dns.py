"""Names that do not lead to a server."""

from __future__ import annotations

from typing import Final

from scanner.demo.cases import DemoCase, DnsBehaviour, presenting, valid_credential

CASES: Final = (
    DemoCase(
        name="no-such-name",
        story="The name does not exist.",
        outcome="fail",
        cause="dns",
        code="nxdomain",
        dns=DnsBehaviour.NXDOMAIN,
    ),
    DemoCase(
        name="no-address",
        story="The name exists and has neither A nor AAAA.",
        outcome="fail",
        cause="dns",
        code="no-address",
        dns=DnsBehaviour.NO_ADDRESS,
        owner="mail",
    ),
    DemoCase(
        name="dns-servfail",
        story="The resolver cannot get an answer.",
        outcome="fail",
        cause="dns",
        code="servfail",
        dns=DnsBehaviour.SERVFAIL,
    ),
    DemoCase(
        name="dns-refused",
        story="The resolver refuses the question.",
        outcome="fail",
        cause="dns",
        code="refused",
        dns=DnsBehaviour.REFUSED,
    ),
    DemoCase(
        name="dns-silent",
        story="The resolver never answers for this name.",
        outcome="fail",
        cause="dns",
        code="dns-timeout",
        dns=DnsBehaviour.SILENT,
    ),
    DemoCase(
        name="cname-loop",
        story="Two CNAME records point at each other.",
        outcome="fail",
        cause="dns",
        code="cname-loop",
        dns=DnsBehaviour.CNAME_LOOP,
        owner="platform",
    ),
    DemoCase(
        name="dangling",
        story="A CNAME to a name that is gone: whoever registers it gets the traffic.",
        outcome="fail",
        cause="dns",
        code="dangling-cname",
        dns=DnsBehaviour.DANGLING_CNAME,
        owner="platform",
    ),
    DemoCase(
        name="dnssec-bogus",
        story="SERVFAIL that goes away with checking disabled: the signatures are broken.",
        outcome="fail",
        cause="dns",
        code="dnssec-bogus",
        dns=DnsBehaviour.BOGUS,
    ),
    DemoCase(
        name="private-address",
        story="A name in public DNS with an address that only works from within.",
        outcome="warn",
        code="private-address",
        host="intranet.example.net",
        owner="platform",
        servers=(presenting(valid_credential),),
    ),
)
