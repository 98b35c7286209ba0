"""httpcore network backend that connects only to addresses which ``url_policy`` allows, resolved by the run's own resolver."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final

import httpcore
import trio

from scanner.model.evidence import Failure
from scanner.net.dns.resolver import AddressResolver
from scanner.net.http.url_policy import refusal_reason
from scanner.net.sockets import CONNECT_ERRORS, EXHAUSTED, open_stream

# Addresses of one host that are tried.
MAX_ADDRESSES: Final = 3
# Seconds: for one connection (the SYN is sent again after 1 s and 3 s), and between two pieces of an answer.
CONNECT_SECONDS: Final = 4.0
READ_SECONDS: Final = 6.0


class FetchFailed(Exception):
    """A request failed, in words. ``blocked``: the host was unreachable or silent. ``counts``: the failure counts against it."""

    def __init__(self, message: str, *, blocked: bool = False, counts: bool = False) -> None:
        super().__init__(message)
        self.blocked = blocked
        self.counts = blocked or counts  # against the host


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects by the run's resolver, only to checked addresses; ``banned`` returns the entry that excludes a host or address."""

    def __init__(
        self,
        resolver: AddressResolver,
        *,
        private: bool,
        banned: Callable[[str], str | None],
        ipv4: bool,
        ipv6: bool,
    ) -> None:
        self._resolver = resolver
        self._private = private
        self._banned = banned
        self._families = (ipv4, ipv6)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host)
        failure: OSError | str = ""
        for address in addresses[:MAX_ADDRESSES]:
            with trio.move_on_after(CONNECT_SECONDS):
                try:
                    return _Stream(await open_stream((address, port)))
                except OSError as error:
                    failure = error
                    continue
            failure = f"no connection within {CONNECT_SECONDS:g} s"
        raise _fetch_failed(failure)

    async def _addresses(self, host: str) -> list[str]:
        """Return the addresses of a host, each of them checked. Raises ``FetchFailed``."""
        entry = self._banned(host)
        if entry is not None:
            raise FetchFailed(f"not asked: excluded by '{entry}'")
        ipv4, ipv6 = self._families
        if host.replace(".", "").isdigit() or ":" in host:
            addresses = [host]
        else:
            answer = await self._resolver.resolve(host, ipv4=ipv4, ipv6=ipv6)
            # IPv6 first, as clients connect (RFC 6724)
            addresses = sorted(answer.addresses, key=lambda address: ":" not in address)
            if not addresses:
                raise FetchFailed(f"DNS says {answer.status} for {host}", blocked=True)
        for address in addresses:
            # One forbidden address spoils the name: honest names do not mix them, and attackers try what gets through.
            reason = refusal_reason(address, private=self._private)
            if reason is not None:
                hint = "" if self._private else "; --private-urls allows private ones"
                where = f"{host} leads to {address}" if host != address else f"{host} is"
                comma = "," if host != address else ""
                raise FetchFailed(f"not asked: {where}{comma} {reason}{hint}")
            entry = self._banned(address)
            if entry is not None:
                raise FetchFailed(f"not asked: excluded by '{entry}'")
        return addresses


def _fetch_failed(failure: OSError | str) -> FetchFailed:
    if isinstance(failure, str):
        return FetchFailed(failure, blocked=True)
    if failure.errno in EXHAUSTED and failure.errno not in CONNECT_ERRORS:
        return FetchFailed(f"this machine has no connection left ({failure.strerror})")
    known = CONNECT_ERRORS.get(failure.errno or 0, Failure.CONNECT_ERROR)
    # what the system says: trio's words name the address once more, as Python writes it
    words = os.strerror(failure.errno) if failure.errno else str(failure)
    return FetchFailed(f"{known.value}: {words}", blocked=True)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection with the interface of httpcore."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self._answered = False
        self._given_up = False

    def give_up(self) -> None:
        """Fail every later read: what still comes is not wanted."""
        self._given_up = True

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._given_up:
            raise httpcore.ReadError
        try:
            with trio.fail_after(READ_SECONDS if timeout is None else timeout):
                data = bytes(await self._stream.receive_some(max_bytes))
        except trio.TooSlowError:
            raise httpcore.ReadTimeout from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError(_cause(error)) from None
        if not data and not self._answered:
            raise httpcore.ReadError("closed without an answer")
        self._answered = True
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            with trio.fail_after(READ_SECONDS if timeout is None else timeout):
                await self._stream.send_all(buffer)
                self._answered = False
        except trio.TooSlowError:
            raise httpcore.WriteTimeout from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError(_cause(error)) from None

    async def aclose(self) -> None:
        # what is fetched has been read: a peer's close_notify is not waited for
        stream = self._stream.transport_stream if isinstance(self._stream, trio.SSLStream) else self._stream
        await stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        assert isinstance(self._stream, trio.SocketStream)
        secured = trio.SSLStream(self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True)
        try:
            with trio.fail_after(READ_SECONDS):
                await secured.do_handshake()
        except trio.TooSlowError:
            await self.aclose()
            raise httpcore.ConnectTimeout from None
        except trio.BrokenResourceError as error:
            await self.aclose()
            raise httpcore.ConnectError(f"TLS: {_cause(error)}") from None
        except BaseException:
            await self.aclose()
            raise
        return _Stream(secured)

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        # an idle connection with something to read is one that the server has closed
        stream = self._stream.transport_stream if isinstance(self._stream, trio.SSLStream) else self._stream
        return stream.socket.is_readable()


def _cause(error: BaseException) -> str:
    return one_line(error.__cause__ or error)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
