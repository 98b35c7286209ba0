"""A network of healthy servers under unrelated names, with its own DNS, and something that intercepts connections."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from scanner.demo.cases import ServerFactory
from scanner.demo.dns_server import Node, serve_dns
from scanner.demo.pki import DemoAuthority, Pki, pem
from scanner.demo.servers import openssl, run_handler
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers.loopback_scan import scan_rows

NAMES: Final = tuple(f"www.{word}.test" for word in ("alpha", "bravo", "charlie", "delta", "foxtrot", "golf"))
# Everything is on this machine.
CONFIG: Final = ScanConfig(connect_timeout=5.0, timeout=15.0, retries=0, revocation="off")


class Network:
    """The certificates of one fleet; ``material`` is what the scan is given."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pki = Pki(time.time())
        self.roots = self._written("roots.pem", self.pki.root)

    def _written(self, name: str, authority: DemoAuthority) -> Path:
        path = self.directory / name
        path.write_bytes(pem(authority.der))
        return path

    def private(self) -> tuple[DemoAuthority, Path]:
        """Return an estate's private CA, which no store has, and the file with its certificate."""
        own = self.pki.new_root("Estate Root CA")
        return own, self._written("own.pem", own)

    @asynccontextmanager
    async def serving(
        self, address: str, names: Sequence[str] = NAMES, *, issuer: DemoAuthority | None = None, port: int = 0
    ) -> AsyncIterator[int]:
        """Run one server for all names, each with its own certificate and key, for the block; yield its port."""
        with ServerFactory(self.pki) as factory:
            contexts = {name: factory.context(self.pki.leaf(name, issuer=issuer)) for name in names}

            def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
                connection.context = contexts.get(name or "", contexts[names[0]])

            for context in contexts.values():
                context.sni_callback = choose
            handler = openssl(contexts[names[0]], "ready")
            (listener,) = await trio.open_tcp_listeners(port, host=address)
            port = listener.socket.getsockname()[1]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, partial(run_handler, handler), [listener])
                yield port
                nursery.cancel_scope.cancel()

    async def scan(
        self,
        addresses: Mapping[str, str],
        port: int,
        *,
        private_cas: Sequence[Path] = (),
        stores: Sequence[Path] | None = None,
        public: bool = False,
        earlier: Path | None = None,
        others: Sequence[Mapping[str, str]] = (),
    ) -> dict[str, Finding]:
        """Return the findings by name. ``public``: the root counts as public. ``others``: the answers of other resolvers."""
        async with AsyncExitStack() as stack:
            resolvers = [
                await stack.enter_async_context(serve_dns({name: Node(a=(at,)) for name, at in zone.items()}))
                for zone in (addresses, *others)
            ]
            inputs = RunInputs(
                resolvers=tuple(resolver.text for resolver in resolvers),
                trust_stores=tuple(map(str, stores or (self.roots,))),
                private_cas=tuple(map(str, private_cas)),
                public_roots=str(self.roots) if public else None,
                earlier=None if earlier is None else str(earlier),
            )
            rows = [Target(number, name, port, "https", name) for number, name in enumerate(addresses, 1)]
            findings = await scan_rows(rows, inputs, CONFIG)
        return {finding["target"]["host"] or "": finding for finding in findings}
