"""The record of a demo case, and the helpers that build its servers.

A case is one row of the demo's inventory: a host, what is wrong with it, and the finding that it must get. The cases
are in the modules ``cases_*``, one per part of a connection; ``scanner.demo.fleet`` runs them.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from datetime import timedelta
from enum import Enum, auto
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from scanner.demo.dns_server import Node
from scanner.demo.pki import Credential, Pki, pem
from scanner.demo.servers import Handler, openssl

# Reserved: no public DNS will ever have this name (RFC 6761 section 6.2).
DOMAIN: Final = "demo.test"

Outcome = Literal["ok", "warn", "fail"]


class DnsBehaviour(Enum):
    """How the demo's DNS server misbehaves for a name: the records that it has, ``None`` for no such name."""

    NXDOMAIN = None
    NO_ADDRESS = Node()
    # extended DNS errors (RFC 8914 section 4) that explain a SERVFAIL
    SERVFAIL = Node(rcode="SERVFAIL", extended_errors=((22, "all name servers of the zone failed"),))
    BOGUS = Node(a=("127.0.0.1",), bogus=True, extended_errors=((6, "signature does not verify"),))
    REFUSED = Node(rcode="REFUSED")
    SILENT = Node(silent=True)
    DANGLING_CNAME = Node(cname=f"deleted-app.hosting.{DOMAIN}")
    CNAME_LOOP = "a loop"  # whose records depend on the name


class DeadSocket(Enum):
    """An address and port that no server answers."""

    REFUSES = auto()  # bound, not listening: the kernel answers RST
    NEVER_ACCEPTS = auto()  # listening with its queue full: the kernel drops SYNs


class Endpoint(Struct, frozen=True):
    """The host name, address and port of a server, and the story that its page shows."""

    host: str
    address: str
    port: int
    story: str

    @property
    def named(self) -> bool:
        """Whether the inventory names a host rather than an address."""
        return self.host != self.address


HandlerFactory = Callable[["ServerFactory", Endpoint], Handler]


class DemoCase(Struct, frozen=True, kw_only=True):
    """One row of the demo's inventory.

    ``code`` is the code that the case demonstrates, ``also`` further ones that apply; the finding must have exactly
    these. ``cause`` is the finding's, so ``None`` unless ``outcome`` is "fail". ``host`` is ``name`` under ``DOMAIN``
    unless given; "" stands for the address itself. ``servers`` has one entry per address of the host. With
    ``needs_time`` the code only appears if time servers are asked. ``clock_offset`` is the error that the scanning
    machine's clock must have; such a case is scanned by itself.
    """

    name: str
    story: str
    outcome: Outcome = "ok"
    code: str | None = None
    cause: str | None = None
    also: tuple[str, ...] = ()
    servers: tuple[HandlerFactory | DeadSocket, ...] = ()
    dns: DnsBehaviour | None = None
    host: str | None = None
    protocol: str = "tls"
    owner: str = "web"
    ipv6: bool = False
    needs_time: bool = False
    clock_offset: timedelta = timedelta(0)

    @property
    def codes(self) -> frozenset[str]:
        """All codes that the finding must have."""
        return frozenset(self.also) if self.code is None else frozenset((self.code, *self.also))

    @property
    def full_host(self) -> str | None:
        """The host in the inventory, or ``None`` if it is the address, which is assigned later."""
        return f"{self.name}.{DOMAIN}" if self.host is None else self.host or None


def failing_case(
    cause: str, name: str, code: str, story: str, *servers: HandlerFactory | DeadSocket, **changes: Any
) -> DemoCase:
    """Return a case whose finding fails for ``cause``; ``changes`` are further fields."""
    return DemoCase(name=name, story=story, outcome="fail", cause=cause, code=code, servers=servers, **changes)


def warning_case(name: str, code: str, story: str, *servers: HandlerFactory | DeadSocket, **changes: Any) -> DemoCase:
    """Return a case whose finding is a warning; ``changes`` are further fields."""
    return DemoCase(name=name, story=story, outcome="warn", code=code, servers=servers, **changes)


class ServerFactory:
    """Creates the TLS contexts of servers; holds the PKI, and a temporary directory for OpenSSL to load files from."""

    def __init__(self, pki: Pki) -> None:
        self.pki: Final = pki
        self._directory: Final = tempfile.TemporaryDirectory(prefix="tlsweep-demo-")
        self._contexts = 0

    def __enter__(self) -> ServerFactory:
        return self

    def __exit__(self, *_: object) -> None:
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
        """Return a server context; ``ciphers`` is OpenSSL's list for TLS 1.2, ``curve`` the only group to accept."""
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
        """The context for clients that ask for an unknown name: a default site, as shared hosting has."""
        return self.context(self.pki.leaf(f"default-site.{DOMAIN}"))

    def only_for(self, host: str, context: ssl.SSLContext) -> ssl.SSLContext:
        """Make ``context`` serve only clients that ask for ``host``; others get the default site. Returns ``context``."""

        others = self.default_context

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            if name != host:
                connection.context = others

        context.sni_callback = choose
        return context


# OpenSSL loads some of the weak certificates only at security level 0.
ANY_SECURITY_LEVEL: Final = "DEFAULT@SECLEVEL=0"


def presenting(
    make: Callable[[Pki, Endpoint], Credential], *, for_any_name: bool = False, **options: Any
) -> HandlerFactory:
    """Return a factory for a working server with the credential that ``make`` returns; ``options`` are as for ``context``.

    Clients that ask for another name than the case's get the default site, unless ``for_any_name``.
    """

    def build(factory: ServerFactory, endpoint: Endpoint) -> Handler:
        context = factory.context(make(factory.pki, endpoint), **options)
        if endpoint.named and not for_any_name:
            factory.only_for(endpoint.host, context)
        return openssl(context, endpoint.story)

    return build


def valid_credential(pki: Pki, endpoint: Endpoint) -> Credential:
    """Return a credential whose certificate has no fault."""
    return pki.leaf(endpoint.host)


def valid_rsa_credential(pki: Pki, endpoint: Endpoint) -> Credential:
    """Return a credential whose certificate has no fault, with RSA keys alone."""
    return pki.leaf(endpoint.host, issuer=pki.issuing_rsa, key=pki.rsa_key)


def asking_for_certificate(
    mode: ssl.VerifyMode, *, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, **answer: Any
) -> HandlerFactory:
    """Return a factory for a server that asks for a certificate of the fleet's CA; ``answer`` is as for ``openssl``."""

    def build(factory: ServerFactory, endpoint: Endpoint) -> Handler:
        context = factory.context(valid_credential(factory.pki, endpoint), maximum=maximum)
        context.load_verify_locations(cadata=pem(factory.pki.root.der).decode())
        context.verify_mode = mode
        return openssl(factory.only_for(endpoint.host, context), endpoint.story, **answer)

    return build


def without_certificate(handler: Handler) -> HandlerFactory:
    """Return a factory for a server that needs no certificate."""
    return lambda factory, endpoint: handler
