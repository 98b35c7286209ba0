"""OpenSSL over a socket, for the handshakes that are completed: its two buffers, and the loop between them and the socket.

``ssl`` reports alerts by names made from them, and what was negotiated only after the handshake.
"""

from __future__ import annotations

import math
import re
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

import trio

from scanner.net.readiness import current_readiness
from scanner.net.sockets import receive, send
from scanner.starttls import Dialogue
from scanner.tls.registry_names import ALERTS

_T = TypeVar("_T")

READ_SIZE: Final = 16_384

_ALERT_CODES: Final = {name: code for code, name in ALERTS.items()} | {"user_cancelled": 90}
_REASON: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?([A-Z0-9_]+)")
_REASON_TEXT: Final = re.compile(r"alert ([a-z0-9 ]+)")


def alert_of(error: ssl.SSLError) -> int | None:
    """Return the number of the alert that OpenSSL has received, or ``None``; ``ssl`` has only a name made from it."""
    found = _REASON.fullmatch(error.reason or "")
    if found is not None:
        return _ALERT_CODES.get(found[1].lower())
    # reasons that this Python has no name for come as a text alone
    text = _REASON_TEXT.search(str(error))
    return None if text is None else _ALERT_CODES.get(text[1].strip().replace(" ", "_"))


_VERSIONS: Final = {"SSLv3": 0x0300, "TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class Tls:
    """OpenSSL over a socket; the caller bounds the time. ``flights`` counts how often the handshake had something to send, but for
    alerts of ours."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, sni: str | None, dialogue: Dialogue | None
    ) -> None:
        self._ready = current_readiness()
        self._sock = sock
        self._dialogue = dialogue
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=sni)
        self.flights = 0
        if dialogue is not None and (early := dialogue.unwrap(dialogue.leftover)):
            self._incoming.write(early)

    @property
    def version(self) -> int | None:
        return _VERSIONS.get(self._object.version() or "")

    @property
    def alpn(self) -> str | None:
        return self._object.selected_alpn_protocol()

    async def handshake(self) -> None:
        """Complete the handshake. Raises ``ssl.SSLError`` and ``OSError``."""
        if self._dialogue is not None and (outgoing := self._dialogue.data_to_send()):
            await send(
                self._ready, self._sock, outgoing, math.inf
            )  # the request that some protocols follow by TLS at once
        await self._until_done(self._object.do_handshake)
        self._dialogue = None  # what carries TLS in its own packets carries the handshake only

    async def read(self) -> bytes:
        """Return some bytes; ``b""`` at the end. Raises ``ssl.SSLError`` and ``OSError``."""
        try:
            return await self._until_done(lambda: self._object.read(READ_SIZE))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """Send ``data``; where the server has closed, what it sent before can still be read."""
        if data:
            self._object.write(data)
        try:
            await self._flush()
        except OSError:
            pass

    async def write_last(self, data: bytes) -> None:
        """Send ``data`` and ignore errors of TLS."""
        try:
            await self.write(data)
        except ssl.SSLError:
            pass

    def close_notify(self) -> None:
        """Send close_notify and ignore errors."""
        try:
            self._object.unwrap()
        except (ssl.SSLError, ValueError):
            pass
        try:
            self._sock.send(self._outgoing.read())
        except OSError:
            pass

    async def _flush(self) -> None:
        outgoing = self._outgoing.read()
        if outgoing:
            self.flights += 1
            data = outgoing if self._dialogue is None else self._dialogue.wrap(outgoing)
            await send(self._ready, self._sock, data, math.inf)

    async def _until_done(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await receive(self._ready, self._sock, math.inf)
                if not data:
                    self._incoming.write_eof()
                    continue
                if self._dialogue is not None and not (data := self._dialogue.unwrap(data)):
                    await trio.lowlevel.checkpoint()  # part of a packet: the deadline must be able to end them
                    continue
                self._incoming.write(data)
            except ssl.SSLError:
                sent = self.flights
                try:
                    await self._flush()
                except OSError:
                    pass
                self.flights = sent
                raise
            else:
                await self._flush()
                return result
