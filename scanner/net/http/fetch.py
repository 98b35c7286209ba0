"""Fetches what certificates name by HTTP: issuers (AIA), OCSP, CRLs. Nothing of it can hold up or harm the run.

httpcore speaks HTTP; connections are made here, so that names are asked of the run's own resolver, every address is
checked (``scanner.net.http.url_policy``) and the connection goes to the address that was checked. Nothing is sent but the
request: no cookies, no credentials, no proxies of the environment.

Certificates of https servers are not verified: what is fetched is signed by its issuer, and is verified by that signature;
a responder whose own certificate needs this very answer could not be asked otherwise.

Faults of the other side are values (``Fetched.error``).
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final
from urllib.parse import urljoin

import httpcore
import trio
from msgspec import Struct

from scanner.net.dns.resolver import AddressResolver
from scanner.net.http.backend import READ_SECONDS, CheckedBackend, FetchFailed, one_line
from scanner.net.http.url_policy import Url, UrlRefused, read_url_untrusted

# Redirects followed for one URL: http to https, to a canonical host, to a mirror; browsers allow 20.
MAX_REDIRECTS: Final = 5
# Requests in flight, all together and to one host: CAs' hosts serve millions, a private one may be a small machine.
MAX_IN_FLIGHT: Final = 24
MAX_PER_HOST: Final = 3
# Bodies of the largest kind in flight: they are held in memory.
MAX_LARGE: Final = 4
# Connections without a request are closed after so many seconds.
KEEP_ALIVE: Final = 10.0
# A host that could not be reached so many times in a row is left alone for so many seconds: fleets name the same few hosts
# many thousand times, and a firewall that drops packets costs seconds each time.
FAILURES_UNTIL_DOWN: Final = 2
DOWN_SECONDS: Final = 300.0
# Hosts that are remembered; those that can be reached are forgotten first.
MAX_HOSTS: Final = 8192

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD: Final = frozenset({307, 308})


class FetchKind(Struct, frozen=True):
    """What is fetched: the most bytes that it may have, and the seconds that it may take with all redirects."""

    name: str
    max_bytes: int
    seconds: float
    accept: str


# One certificate, or a PKCS #7 bundle: those of large cross-certified PKIs have some 300 kB.
ISSUERS: Final = FetchKind("aia", 1 << 20, 15.0, "application/pkix-cert, application/pkcs7-mime, */*")
# A response with a chain of responder certificates is below 10 kB.
OCSP: Final = FetchKind("ocsp", 128 << 10, 10.0, "application/ocsp-response")
# The largest lists of public CAs have some 20 MB; at 1 MB/s they arrive in time.
CRL: Final = FetchKind("crl", 64 << 20, 60.0, "application/pkix-crl, */*")


class Fetched(Struct, frozen=True):
    """A body, or why there is none. ``blocked``: its host was not reached or never answered. ``url`` is the last redirect's."""

    url: str
    body: bytes | None = None
    error: str | None = None
    status: int | None = None
    content_type: str = ""
    blocked: bool = False


class _Host:
    __slots__ = ("down_until", "failures", "limiter", "reason", "served", "users")

    def __init__(self) -> None:
        self.limiter = trio.CapacityLimiter(MAX_PER_HOST)
        self.users = 0
        self.served = False  # has answered before, so a connection may have been kept
        self.failures = 0
        self.down_until = float("-inf")
        self.reason = ""


Turn = Callable[[str], Awaitable[None]]


class Fetcher:
    """Fetches for a run, over connections that are kept until ``aclose``.

    ``private`` allows private and loopback addresses; ``banned`` returns the entry that excludes a host name or address;
    ``turn`` is awaited before each request with the host's name or address, where the run's rate holds for them too.
    """

    def __init__(
        self,
        resolver: AddressResolver,
        *,
        private: bool,
        banned: Callable[[str], str | None],
        turn: Turn | None,
        ipv4: bool,
        ipv6: bool,
    ) -> None:
        self._backend = CheckedBackend(resolver, private=private, banned=banned, ipv4=ipv4, ipv6=ipv6)
        self._turn = turn
        self._hosts: dict[tuple[str, int], _Host] = {}
        self._all = trio.CapacityLimiter(MAX_IN_FLIGHT)
        self._large = trio.CapacityLimiter(MAX_LARGE)

    @cached_property
    def pool(self) -> httpcore.AsyncConnectionPool:
        """The connection pool, made at the first request."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return httpcore.AsyncConnectionPool(
            ssl_context=context,
            # those in use, and as many that are idle
            max_connections=2 * MAX_IN_FLIGHT,
            max_keepalive_connections=MAX_IN_FLIGHT,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=self._backend,
        )

    async def aclose(self) -> None:
        """Close what connections there are."""
        if "pool" in self.__dict__:
            with trio.CancelScope(shield=True):
                await self.pool.aclose()

    async def fetch(self, url: str, kind: FetchKind, post: bytes | None = None) -> Fetched:
        """Get ``url``, or post to it; never raises for what the other side does. Waiting for a turn is not in its time."""
        if kind.max_bytes > ISSUERS.max_bytes:
            async with self._large:
                return await self._follow(url, kind, post)
        return await self._follow(url, kind, post)

    async def _follow(self, text: str, kind: FetchKind, post: bytes | None) -> Fetched:
        left = kind.seconds
        for _ in range(MAX_REDIRECTS + 1):
            try:
                url = read_url_untrusted(text)
            except UrlRefused as refused:
                return Fetched(text, error=f"not asked: {refused}")
            result, spent = await self._one(url, kind, post, left)
            left -= spent
            if isinstance(result, Fetched):
                return result
            status, text = result
            if status not in _KEEPS_METHOD:
                post = None
            if left <= 0:
                return Fetched(url.text, error=f"no answer within {kind.seconds:g} s")
        return Fetched(text, error=f"more than {MAX_REDIRECTS} redirects")

    async def _one(
        self, url: Url, kind: FetchKind, post: bytes | None, seconds: float
    ) -> tuple[Fetched | tuple[int, str], float]:
        """Make one request. Return its answer, or status and target of a redirect; and the seconds that it took once it had its turn."""
        host = self._host(url)
        host.users += 1
        try:
            async with host.limiter, self._all:
                if self._turn is not None:
                    await self._turn(url.host)
                begun = trio.current_time()
                if begun < host.down_until:
                    return Fetched(url.text, error=f"not asked again: {host.reason}", blocked=True), 0.0
                try:
                    answered = trio.Event()
                    try:
                        with trio.fail_after(seconds):
                            answer = await self._request(url, kind, post, answered, may_repeat=host.served)
                    except trio.TooSlowError:
                        silent = not answered.is_set()
                        words = (
                            f"no answer within {seconds:.3g} s" if silent else f"no whole answer within {seconds:.3g} s"
                        )
                        raise FetchFailed(words, blocked=silent, counts=True) from None
                    host.failures = 0
                    host.served = True
                except FetchFailed as trouble:
                    self._note(host, trouble)
                    answer = Fetched(url.text, error=str(trouble), blocked=trouble.blocked)
                return answer, trio.current_time() - begun
        finally:
            host.users -= 1

    def _host(self, url: Url) -> _Host:
        host = self._hosts.get(url.origin)
        if host is None:
            if len(self._hosts) >= MAX_HOSTS:
                now = trio.current_time()
                self._hosts = {key: kept for key, kept in self._hosts.items() if kept.users or now < kept.down_until}
            host = self._hosts[url.origin] = _Host()
        return host

    @staticmethod
    def _note(host: _Host, trouble: FetchFailed) -> None:
        if not trouble.counts:
            host.failures = 0
            return
        host.failures += 1
        if host.failures >= FAILURES_UNTIL_DOWN:
            host.reason = str(trouble)
            host.down_until = trio.current_time() + DOWN_SECONDS

    async def _request(
        self, url: Url, kind: FetchKind, post: bytes | None, answered: trio.Event, *, may_repeat: bool
    ) -> Fetched | tuple[int, str]:
        headers = [(b"User-Agent", b"tlsweep"), (b"Accept", kind.accept.encode()), (b"Accept-Encoding", b"identity")]
        if post is not None:
            headers.append((b"Content-Type", b"application/ocsp-request"))
        request = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        reading: dict[str, Any] = {"connect": None, "read": READ_SECONDS, "write": READ_SECONDS, "pool": None}
        try:
            async with self.pool.stream(
                b"GET" if post is None else b"POST",
                request,
                headers=[(b"Host", url.authority.encode()), *headers],
                content=post,
                extensions={"timeout": reading},
            ) as response:
                answered.set()
                return await _read(url, kind, response)
        except httpcore.TimeoutException:
            raise FetchFailed(f"nothing came for {READ_SECONDS:g} s", blocked=True) from None
        except httpcore.ProtocolError as error:
            raise FetchFailed(f"the answer is not HTTP: {one_line(error)}") from None
        except httpcore.NetworkError as error:
            if may_repeat:
                # the server closed a kept connection just as we used it (RFC 9112 section 9.3.1); what is asked changes nothing there
                return await self._request(url, kind, post, answered, may_repeat=False)
            raise FetchFailed(f"the connection broke: {one_line(error)}", blocked=True) from None


async def _read(url: Url, kind: FetchKind, response: httpcore.Response) -> Fetched | tuple[int, str]:
    headers = {name.lower(): value for name, value in response.headers}
    status = response.status
    if status in _REDIRECTS and b"location" in headers:
        return status, _joined(url, headers[b"location"])
    content_type = headers.get(b"content-type", b"").decode("ascii", "replace").partition(";")[0].strip()[:80]
    if status != 200:
        return Fetched(url.text, error=f"HTTP status {status}", status=status, content_type=content_type)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"", b"identity"):
        # it was asked for as it is; compressed bodies may expand to anything
        return Fetched(url.text, error=f"sent as {encoding.decode('ascii', 'replace')[:40]}, which was not asked for")
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > kind.max_bytes:
        return Fetched(url.text, error=f"{int(declared[:20])} bytes, more than the {kind.max_bytes} that are read")
    too_long = Fetched(url.text, error=f"more than the {kind.max_bytes} bytes that are read", status=status)
    body = bytearray()
    try:
        async for chunk in response.aiter_stream():
            if len(body) <= kind.max_bytes:
                body += chunk
            else:
                # httpcore's generators end cleanly only if the connection ends
                response.extensions["network_stream"].give_up()
    except httpcore.TimeoutException:
        raise FetchFailed(f"it stopped after {len(body)} bytes", counts=True) from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        if len(body) > kind.max_bytes:
            return too_long
        raise FetchFailed(f"it broke off after {len(body)} bytes") from None
    if len(body) > kind.max_bytes:
        return too_long
    return Fetched(url.text, bytes(body), status=status, content_type=content_type)


def _joined(url: Url, location: bytes) -> str:
    """Return the target of a redirect, which may be relative (RFC 9110 section 10.2.2); whether it is followed is decided later."""
    try:
        return urljoin(url.text, location.decode("latin-1"))
    except ValueError:
        return location.decode("latin-1")
