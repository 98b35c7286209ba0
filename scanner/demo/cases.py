"""What a case of the demo is, and the workshop in which its servers are made.

A case is one row of the demo's inventory: a host, how it is broken, and the finding that it must get. The catalogue
is in the modules ``cases_*``, one for each part of a connection; ``scanner.demo.fleet`` brings it to life.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from datetime import timedelta
from enum import Enum, auto
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from msgspec import Struct

from scanner.demo.pki import Credential, Pki
from scanner.demo.servers import Handler, openssl

# A name that no public DNS will ever have (RFC 6761 section 6.2).
DOMAIN: Final = "demo.test"

Outcome = Literal["ok", "warn", "fail"]


class DnsBehaviour(Enum):
    """What the demo's DNS server does for a name that is not simply there."""

    NXDOMAIN = auto()
    NO_ADDRESS = auto()
    SERVFAIL = auto()
    REFUSED = auto()
    SILENT = auto()
    CNAME_LOOP = auto()
    DANGLING_CNAME = auto()
    BOGUS = auto()


class Socket(Enum):
    """An address and port without a server."""

    REFUSES = auto()  # bound, not listening: the kernel answers RST
    NEVER_ACCEPTS = auto()  # listening with its queue full: the kernel drops SYNs


class Place(Struct, frozen=True):
    """Where a server stands: the name it is asked for, and its address."""

    host: str
    address: str
    port: int
    story: str

    @property
    def named(self) -> bool:
        """The inventory has a name for it, not the address itself."""
        return self.host != self.address


Opening = Callable[["Workshop", Place], Handler]


class Case(Struct, frozen=True, kw_only=True):
    """One row of the demo's inventory.

    ``code`` is what the case is there to show, ``also`` further codes that are true of it; the finding must list these
    and no others. ``cause`` is the finding's, so ``None`` unless ``outcome`` is "fail". ``host`` is ``name`` under
    ``DOMAIN`` unless given; "" stands for the address itself. ``servers`` has one entry for each address of the host.
    ``needs_time``: it shows only if several time servers are asked. ``clock_off`` is by how much the clock of the machine
    that scans must be off: such a case is scanned by itself.
    """

    name: str
    story: str
    outcome: Outcome = "ok"
    code: str | None = None
    cause: str | None = None
    also: tuple[str, ...] = ()
    servers: tuple[Opening | Socket, ...] = ()
    dns: DnsBehaviour | None = None
    host: str | None = None
    protocol: str = "tls"
    owner: str = "web"
    ipv6: bool = False
    needs_time: bool = False
    clock_off: timedelta = timedelta(0)

    @property
    def codes(self) -> frozenset[str]:
        """Every code that the finding must list."""
        return frozenset(self.also) if self.code is None else frozenset((self.code, *self.also))

    @property
    def full_host(self) -> str | None:
        """The host of the inventory; ``None`` where it is the address, not known before there is one."""
        return f"{self.name}.{DOMAIN}" if self.host is None else self.host or None


class Workshop:
    """Makes servers: holds the PKI, and a directory that OpenSSL can load from, gone when the workshop closes."""

    def __init__(self, pki: Pki) -> None:
        self.pki: Final = pki
        self._directory: Final = tempfile.TemporaryDirectory(prefix="tlsweep-demo-")
        self._contexts = 0

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._directory.cleanup()

    def context(
        self,
        credential: Credential,
        *,
        minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        ciphers: str | None = None,
        curve: str | None = None,
    ) -> ssl.SSLContext:
        """A server's context. ``ciphers`` is OpenSSL's list for TLS 1.2, ``curve`` the only group it will take."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = minimum
        context.maximum_version = maximum
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if curve is not None:
            context.set_ecdh_curve(curve)
        path = Path(self._directory.name) / f"{self._contexts}.pem"
        self._contexts += 1
        path.write_bytes(credential.key_pem() + credential.chain_pem())
        context.load_cert_chain(path)
        path.unlink()
        return context

    @cached_property
    def default_context(self) -> ssl.SSLContext:
        """What the demo's servers show to whoever asks for a name they do not know, as shared hosting does."""
        return self.context(self.pki.leaf(f"default-site.{DOMAIN}"))

    def only_for(self, host: str, context: ssl.SSLContext) -> ssl.SSLContext:
        """The context, to be shown to clients that ask for the host; others get the default site's."""

        others = self.default_context

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            if name != host:
                connection.context = others

        context.sni_callback = choose
        return context


# Certificates that OpenSSL would not load at its default level are served at level 0.
ANY_STRENGTH: Final = "DEFAULT@SECLEVEL=0"


def presenting(
    make: Callable[[Pki, Place], Credential],
    *,
    for_any_name: bool = False,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ciphers: str | None = None,
    curve: str | None = None,
) -> Opening:
    """A working server with the certificates that ``make`` gives.

    Asked for another name than the case's it shows its default site, unless ``for_any_name``.
    """

    def build(shop: Workshop, place: Place) -> Handler:
        context = shop.context(make(shop.pki, place), minimum=minimum, maximum=maximum, ciphers=ciphers, curve=curve)
        if place.named and not for_any_name:
            shop.only_for(place.host, context)
        return openssl(context, place.story)

    return build


def sound(pki: Pki, place: Place) -> Credential:
    """A certificate without a fault."""
    return pki.leaf(place.host)


def always(handler: Handler) -> Opening:
    """A server that needs no certificate."""
    return lambda shop, place: handler
