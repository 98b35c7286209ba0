"""Posts a message to the URL of a webhook, with retries, and follows no redirect to another host.

Unlike URLs in certificates (:mod:`scanner.net.http.fetch`), this one was given by a person and is trusted: it may lead to this machine
or its network, its name is resolved by the system, and the certificate of an https server must be valid for the system's
trust store (``SSL_CERT_FILE`` names another). URLs of webhooks are secrets: no message of ours shows more than the host.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from random import Random
from typing import Final
from urllib.parse import unquote, urljoin

import httpcore
import trio
from msgspec import Struct

from scanner.errors import TlsweepError
from scanner.net.http.backend import one_line
from scanner.net.http.url_policy import Url, UrlRefused, read_url_untrusted

# A receiver that restarts is back within a minute: pauses of 1, 2, 4, 8 and 16 s, each half to one and a half of it.
TRIES: Final = 6
FIRST_PAUSE: Final = 1.0
# The longest pause that a receiver may ask for (Retry-After, RFC 9110 section 10.2.3); a night has other things to do.
MAX_PAUSE: Final = 60.0
# Seconds for one try, and for all with their pauses.
TRY_SECONDS: Final = 15.0
ALL_SECONDS: Final = 180.0
# Redirects followed, within the host: from a path to another, as gateways do.
MAX_REDIRECTS: Final = 3

# Statuses after which a later try may succeed (RFC 9110 section 15.6, RFC 6585 section 4, RFC 8470 section 5.2).
_PASSING: Final = frozenset({408, 425, 429, *range(500, 600)})
# Those that keep the method (RFC 9110 section 15.4); the others would turn the message into a question.
_REDIRECTS: Final = frozenset({307, 308})


class WebhookError(TlsweepError):
    """The message was not accepted; one line for a person, without the URL's path, query and password."""


class _Rejected(Exception):
    """This try failed. ``passing``: another may not; ``pause``: seconds that the receiver asks for."""

    def __init__(self, reason: str, *, passing: bool, pause: float | None = None) -> None:
        super().__init__(reason)
        self.passing = passing
        self.pause = pause


class Hook(Struct, frozen=True):
    """The target of messages. ``shown`` is the part that may be printed."""

    url: Url
    authorization: bytes | None

    @property
    def shown(self) -> str:
        """Scheme, host and port."""
        return _origin(self.url)

    def __repr__(self) -> str:
        return f"Hook({self.shown})"


def read_hook(text: str) -> Hook:
    """Read the URL of a webhook, which may have ``user:password@`` in it. Raises ``WebhookError``."""
    scheme, mark, rest = text.strip().partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    try:
        url = read_url_untrusted(f"{scheme}{mark}{host}{slash}{path}")
    except UrlRefused as refused:
        raise WebhookError(f"the webhook cannot be used: {refused}") from None
    return Hook(url, b"Basic " + b64encode(unquote(user).encode()) if at else None)


async def deliver(
    hook: Hook, body: bytes, *, jitter: Random | None = None, context: ssl.SSLContext | None = None
) -> int:
    """Post ``body`` (JSON) until it is accepted; return the number of tries. Raises ``WebhookError``."""
    jitter = jitter or Random()
    with trio.move_on_after(ALL_SECONDS):
        for number in range(1, TRIES + 1):
            try:
                # a connection for each try: one that was kept could be the cause
                async with httpcore.AsyncConnectionPool(ssl_context=context or ssl.create_default_context()) as pool:
                    await _try(pool, hook, body)
            except _Rejected as refused:
                if not refused.passing or number == TRIES:
                    tries = f" in {TRIES} tries" if refused.passing else ""
                    raise WebhookError(
                        f"the webhook at {hook.shown} did not take the message{tries}: {refused}"
                    ) from None
                pause = FIRST_PAUSE * 2 ** (number - 1) * (0.5 + jitter.random())
                await trio.sleep(min(max(pause, refused.pause or 0), MAX_PAUSE))
            else:
                return number
    raise WebhookError(f"the webhook at {hook.shown} did not take the message within {ALL_SECONDS:g} s")


async def _try(pool: httpcore.AsyncConnectionPool, hook: Hook, body: bytes) -> None:
    url = hook.url
    try:
        with trio.fail_after(TRY_SECONDS):
            for _ in range(MAX_REDIRECTS + 1):
                status, headers = await _post(pool, url, hook.authorization, body)
                if status not in _REDIRECTS or b"location" not in headers:
                    break
                url = _next(url, headers[b"location"])
            else:
                raise _Rejected(f"more than {MAX_REDIRECTS} redirects", passing=False)
    except trio.TooSlowError:
        raise _Rejected(f"no answer within {TRY_SECONDS:g} s", passing=True) from None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
        reason = _reason(error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise _Rejected(f"its certificate is not trusted: {reason.verify_message}", passing=False) from None
        raise _Rejected(one_line(reason), passing=True) from None
    if not 200 <= status < 300:
        wanted = headers.get(b"retry-after", b"")
        pause = float(wanted[:9]) if wanted.isdigit() else None
        raise _Rejected(f"HTTP status {status}", passing=status in _PASSING, pause=pause)


async def _post(
    pool: httpcore.AsyncConnectionPool, url: Url, authorization: bytes | None, body: bytes
) -> tuple[int, dict[bytes, bytes]]:
    headers = [
        (b"Host", url.authority.encode()),
        (b"User-Agent", b"tlsweep"),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(body)).encode()),
    ]
    if authorization is not None:
        headers.append((b"Authorization", authorization))
    request = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
    # only the status counts: the body is not read
    async with pool.stream(b"POST", request, headers=headers, content=body) as response:
        return response.status, {name.lower(): value for name, value in response.headers}


def _next(url: Url, location: bytes) -> Url:
    """Where a redirect leads, on the same host. Raises ``_Rejected``."""
    try:
        following = read_url_untrusted(urljoin(url.text, location.decode("latin-1")))
    except (UrlRefused, ValueError):
        raise _Rejected("it redirects to what is no URL", passing=False) from None
    if (following.scheme, *following.origin) != (url.scheme, *url.origin):
        raise _Rejected(f"it redirects to {_origin(following)}, which is not followed", passing=False)
    return following


def _origin(url: Url) -> str:
    return f"{url.scheme}://{url.authority}"


def _reason(error: BaseException) -> BaseException:
    """Return the innermost cause, below the wrappings of httpcore and trio."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, BaseExceptionGroup):
        return _reason(error.exceptions[0])
    return error
