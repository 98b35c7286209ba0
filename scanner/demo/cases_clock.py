"""Wrong clocks: a server's, and that of the scanning machine."""

from __future__ import annotations

import ssl
from typing import Final

from scanner.demo.cases import asking_for_certificate, failing_case, presenting, warning_case
from scanner.demo.pki import DAY

CASES: Final = (
    warning_case(
        "slow-clock",
        "remote-clock-wrong",
        "Its clock is two days behind, by which it judges the certificates of its clients.",
        # asking for a client certificate makes the scanner send a request, whose answer has the Date
        asking_for_certificate(ssl.CERT_OPTIONAL, date_offset=(-2 * DAY).total_seconds()),
        also=("client-certificate-optional",),
        protocol="https",
        owner="payments",
        needs_time=True,
    ),
    failing_case(
        "clock-skew",
        "new-certificate",
        "local-clock-wrong",
        "A certificate of yesterday, seen by a machine whose clock is three days behind, and in order by any other.",
        presenting(lambda pki, at: pki.leaf(at.host, validity=(-DAY, 89 * DAY))),
        needs_time=True,
        clock_offset=-3 * DAY,
    ),
)
