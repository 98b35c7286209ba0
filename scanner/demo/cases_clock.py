"""Clocks that are wrong: a server's own, and that of the machine that scans."""

from __future__ import annotations

import ssl
from typing import Final

from scanner.demo.cases import Case, Place, Workshop, presenting, sound
from scanner.demo.pki import DAY, pem
from scanner.demo.servers import Handler, openssl


def _slow(shop: Workshop, place: Place) -> Handler:
    """Sound but for its clock. It welcomes client certificates, so it is spoken to, and says what time it takes it to be."""
    context = shop.context(sound(shop.pki, place))
    context.load_verify_locations(cadata=pem(shop.pki.root.der).decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return openssl(shop.only_for(place.host, context), place.story, date_off=(-2 * DAY).total_seconds())


CASES: Final = (
    Case(
        name="slow-clock",
        story="Its clock is two days behind, by which it judges the certificates of its clients.",
        outcome="warn",
        code="remote-clock-wrong",
        also=("client-certificate-optional",),
        protocol="https",
        owner="payments",
        needs_time=True,
        servers=(_slow,),
    ),
    Case(
        name="new-certificate",
        story="A certificate of yesterday, seen by a machine whose clock is three days behind, and in order by any other.",
        outcome="fail",
        cause="clock-skew",
        code="local-clock-wrong",
        needs_time=True,
        clock_off=-3 * DAY,
        servers=(presenting(lambda pki, at: pki.leaf(at.host, validity=(-DAY, 89 * DAY))),),
    ),
)
