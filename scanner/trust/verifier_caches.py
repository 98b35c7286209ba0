"""Limits of the caches of a verifier, and the estimated sizes of their entries."""

from __future__ import annotations

from typing import Final

from scanner.caching import PARSED
from scanner.trust.paths import ChainContext

# Verdicts by chain: many hosts have one chain. An entry takes some 20 kB with its certificates; one of 236 kB on all
# hosts of a network is kept too.
MAX_CHAINS: Final = 2048
MAX_CHAINS_BYTES: Final = 64 << 20
# Bytes of an entry beside the certificates: verdicts, and parts of findings.
CHAIN_BYTES: Final = 3000
# Verdicts on costly chains, of up to 256 kB each.
MAX_COSTLY: Final = 64
MAX_COSTLY_BYTES: Final = 64 << 20
# Certificates after the leaf, parsed: 10 kB each; the public web has some 2,000 intermediates.
MAX_ISSUERS: Final = 4096
MAX_ISSUERS_BYTES: Final = 48 << 20
# Leaves, parsed: the handshake asks for the key of a leaf whose chain is verified a moment later.
MAX_LEAVES: Final = 1024
MAX_LEAVES_BYTES: Final = 32 << 20
# Of those that one host alone has, as many as are between the two: all whose flights are read in one turn of the event loop.
RECENT_LEAVES: Final = 256
# Contexts: sets of issuers as sent, with the paths above them.
MAX_CONTEXTS: Final = 2048
MAX_CONTEXTS_BYTES: Final = 32 << 20
# Paths above an issuer: as many as there are contexts, 2 KB each.
MAX_ISSUER_PATHS: Final = 2048
MAX_ISSUER_PATHS_BYTES: Final = 32 << 20


def chain_bytes(chain: tuple[bytes, ...], _verdict: object) -> int:
    # parts of findings have each certificate once more, in base64
    return (PARSED + 2) * sum(map(len, chain)) + CHAIN_BYTES


def certificate_bytes(der: bytes, _certificate: object) -> int:
    return PARSED * len(der)


def context_bytes(_key: tuple[str, ...], found: tuple[ChainContext, ...]) -> int:
    return sum([each.size for each in found])


def issuer_path_bytes(key: tuple[bytes, ...], _paths: object) -> int:
    return PARSED * sum(map(len, key)) + CHAIN_BYTES
