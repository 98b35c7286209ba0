"""What one exchange with a resolver brings for a question: a ``DnsResponse``, or the reason why there is none."""

from __future__ import annotations

import os
from typing import Final

from msgspec import Struct

from scanner.model.evidence import DnsStatus
from scanner.net.dns.message_wire import DnsResponse


class NoAnswer(Struct, frozen=True):
    """Why a resolver gave no answer: TIMEOUT, UNREACHABLE or MALFORMED, with the reason in words."""

    status: DnsStatus
    detail: str | None = None


Reply = DnsResponse | NoAnswer

SILENT: Final = NoAnswer(DnsStatus.TIMEOUT)
CLOSED: Final = NoAnswer(DnsStatus.UNREACHABLE, "the resolver is closed")


def error_text(error: OSError) -> str:
    """Return the system's text for an error, without its number."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
