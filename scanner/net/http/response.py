"""Reads the head of an HTTP/1.1 response (RFC 9112): its status and the few fields that are evidence.

One request is sent on a connection that is then closed, so the body needs no framing: what has come of it when enough is
read or the peer ends is kept.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from msgspec import Struct

# The longest head that is read. Servers' own limits on what they send are 8 to 16 kB a field and 16 to 64 kB in all; a
# longer one is cut by servers and proxies on the way too.
MOST_HEAD: Final = 32_768
# What is kept of a field, in characters: evidence for a person; no person reads a redirect longer than this.
MOST_FIELD: Final = 1_000
# Interim responses (RFC 9110 section 15.2) that are skipped: real servers send one.
MOST_INTERIM: Final = 5

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")


class NotHttp(Exception):
    """The bytes are not a response of HTTP/1."""


class HttpAnswer(Struct, frozen=True):
    """The head of a final response: the sender's clock, WWW-Authenticate, the Content-Length that frames a body, its offset."""

    status: int
    body_at: int
    server: str | None = None
    location: str | None = None
    date: float | None = None
    challenge: str | None = None
    length: int | None = None


def read_answer_untrusted(data: bytes) -> HttpAnswer | None:
    """Read the response that ``data`` begins with; ``None`` while its head is not complete. Raises ``NotHttp``."""
    at = 0
    for _ in range(MOST_INTERIM):
        start = data[at : at + 5]
        if start != b"HTTP/"[: len(start)]:
            raise NotHttp
        end = _HEAD_END.search(data, at, at + MOST_HEAD)
        if end is None:
            if len(data) - at >= MOST_HEAD:
                raise NotHttp
            return None
        line = _STATUS_LINE.match(data, at)
        if line is None:
            raise NotHttp
        status = int(line[1])
        # 101 would be final, were anything but HTTP/1.1 asked for
        if status >= 200:
            return _answer(status, data[line.end() : end.start()], end.end())
        at = end.end()
    raise NotHttp


def _answer(status: int, head: bytes, body_at: int) -> HttpAnswer:
    fields: dict[bytes, str] = {}
    for line in head.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            text = value.strip()[: 4 * MOST_FIELD].decode("utf-8", "replace")[:MOST_FIELD]
            fields.setdefault(name.lower(), text)
    length = fields.get(b"content-length", "")
    return HttpAnswer(
        status,
        body_at,
        server=fields.get(b"server"),
        location=fields.get(b"location"),
        date=_date(fields.get(b"date", ""), fields.get(b"age", "")),
        challenge=fields.get(b"www-authenticate"),
        length=int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None,
    )


def _date(text: str, age: str) -> float | None:
    """Return the sender's clock: Date, and the seconds that a cache says have passed since (Age, RFC 9111 section 5.1)."""
    try:
        at = parsedate_to_datetime(text) if text.isascii() and text.endswith(" GMT") else None
    except (ValueError, IndexError, TypeError, OverflowError):  # documented is the first of them only
        at = None
    if at is None or at.year < 1970:
        return None
    passed = int(age) if age.isascii() and age.isdigit() and len(age) < 11 else 0
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp() + passed
