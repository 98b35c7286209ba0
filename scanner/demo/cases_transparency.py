"""Servers whose certificates fall short of what browsers ask of public CAs: SCTs, and how long a certificate may live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from scanner.demo.cases import Case, Opening, presenting
from scanner.demo.ctlogs import DemoLog, Logs
from scanner.demo.pki import DAY, LEAF_VALIDITY

# Longer than any public CA may issue since 2026-03-15, and short of the year after which nobody would take it.
TOO_LONG: Final = (-10 * DAY, 205 * DAY)


def _logged(
    choose: Callable[[Logs], Sequence[DemoLog]],
    *,
    validity: tuple[timedelta, timedelta] = LEAF_VALIDITY,
    logged_as: Callable[[bytes], bytes] | None = None,
) -> Opening:
    return presenting(lambda pki, at: pki.leaf(at.host, logs=choose(pki.logs), validity=validity, logged_as=logged_as))


def _another(tbs: bytes) -> bytes:
    """What a log signs when it is given another certificate."""
    return tbs[:-1] + bytes((tbs[-1] ^ 1,))


CASES: Final = (
    Case(
        name="no-scts",
        story="The CA has told no log of the certificate.",
        outcome="fail",
        cause="certificate-transparency",
        code="no-scts",
        owner="payments",
        servers=(_logged(lambda logs: ()),),
    ),
    Case(
        name="too-few-scts",
        story="One log has promised to keep the certificate, where browsers want two.",
        outcome="fail",
        cause="certificate-transparency",
        code="too-few-scts",
        owner="payments",
        servers=(_logged(lambda logs: (logs.alder,)),),
    ),
    Case(
        name="unknown-log",
        story="Two logs are enough; the third is one that nobody has heard of.",
        outcome="warn",
        code="unknown-log",
        owner="payments",
        servers=(_logged(lambda logs: (*logs.usual, logs.unlisted)),),
    ),
    Case(
        name="log-retired",
        story="Two logs are enough; the third was retired long before it signed.",
        outcome="warn",
        code="log-retired",
        owner="payments",
        servers=(_logged(lambda logs: (*logs.usual, logs.retired)),),
    ),
    Case(
        name="sct-invalid",
        story="The SCTs are those of another certificate.",
        outcome="fail",
        cause="certificate-transparency",
        code="sct-invalid",
        also=("too-few-scts",),
        owner="payments",
        servers=(_logged(lambda logs: logs.usual, logged_as=_another),),
    ),
    Case(
        name="validity-too-long",
        story="Issued for 215 days, as public CAs may no longer do.",
        outcome="warn",
        code="validity-too-long",
        owner="payments",
        servers=(_logged(lambda logs: logs.three, validity=TOO_LONG),),
    ),
)
