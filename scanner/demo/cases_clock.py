"""Wrong clocks: a server's, and that of the scanning machine."""

from __future__ import annotations

import ssl
from typing import Final

from scanner.demo.cases import DemoCase, Endpoint, ServerFactory, presenting, valid_credential
from scanner.demo.pki import DAY, pem
from scanner.demo.servers import Handler, openssl


def _slow_clock(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    """Serve a valid certificate with a Date header that is two days slow.

    Asking for a client certificate makes the scanner send a request, whose answer has the Date.
    """
    context = factory.context(valid_credential(factory.pki, endpoint))
    context.load_verify_locations(cadata=pem(factory.pki.root.der).decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return openssl(factory.only_for(endpoint.host, context), endpoint.story, date_offset=(-2 * DAY).total_seconds())


CASES: Final = (
    DemoCase(
        name="slow-clock",
        story="Its clock is two days behind, by which it judges the certificates of its clients.",
        outcome="warn",
        code="remote-clock-wrong",
        also=("client-certificate-optional",),
        protocol="https",
        owner="payments",
        needs_time=True,
        servers=(_slow_clock,),
    ),
    DemoCase(
        name="new-certificate",
        story="A certificate of yesterday, seen by a machine whose clock is three days behind, and in order by any other.",
        outcome="fail",
        cause="clock-skew",
        code="local-clock-wrong",
        needs_time=True,
        clock_offset=-3 * DAY,
        servers=(presenting(lambda pki, at: pki.leaf(at.host, validity=(-DAY, 89 * DAY))),),
    ),
)
