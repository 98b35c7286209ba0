"""Certificates that break browsers' rules for public CAs: SCTs and the maximum validity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from scanner.demo.cases import HandlerFactory, failing_case, presenting, warning_case
from scanner.demo.demo_logs import DemoLog, Logs
from scanner.demo.pki import DAY, LEAF_VALIDITY

# Longer than public CAs may issue since 2026-03-15, but not so long that clients refuse it.
TOO_LONG_VALIDITY: Final = (-10 * DAY, 205 * DAY)


def _with_scts_of(
    choose: Callable[[Logs], Sequence[DemoLog]],
    *,
    validity: tuple[timedelta, timedelta] = LEAF_VALIDITY,
    tbs_for_logs: Callable[[bytes], bytes] | None = None,
) -> HandlerFactory:
    return presenting(
        lambda pki, at: pki.leaf(at.host, logs=choose(pki.logs), validity=validity, tbs_for_logs=tbs_for_logs)
    )


def _changed(tbs: bytes) -> bytes:
    """Return the TBSCertificate of another certificate for a log to sign."""
    return tbs[:-1] + bytes((tbs[-1] ^ 1,))


_transparency_case: Final = partial(failing_case, "certificate-transparency")

CASES: Final = (
    _transparency_case(
        "no-scts",
        "no-scts",
        "The CA has told no log of the certificate.",
        _with_scts_of(lambda logs: ()),
        owner="payments",
    ),
    _transparency_case(
        "too-few-scts",
        "too-few-scts",
        "One log has promised to keep the certificate, where browsers want two.",
        _with_scts_of(lambda logs: (logs.alder,)),
        owner="payments",
    ),
    warning_case(
        "unknown-log",
        "unknown-log",
        "Two logs are enough; the third is one that nobody has heard of.",
        _with_scts_of(lambda logs: (*logs.sufficient, logs.unlisted)),
        owner="payments",
    ),
    warning_case(
        "log-retired",
        "log-retired",
        "Two logs are enough; the third was retired long before it signed.",
        _with_scts_of(lambda logs: (*logs.sufficient, logs.retired)),
        owner="payments",
    ),
    _transparency_case(
        "sct-invalid",
        "sct-invalid",
        "The SCTs are those of another certificate.",
        _with_scts_of(lambda logs: logs.sufficient, tbs_for_logs=_changed),
        also=("too-few-scts",),
        owner="payments",
    ),
    warning_case(
        "validity-too-long",
        "validity-too-long",
        "Issued for 215 days, as public CAs may no longer do.",
        _with_scts_of(lambda logs: logs.three, validity=TOO_LONG_VALIDITY),
        owner="payments",
    ),
)
