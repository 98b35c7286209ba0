"""The caches of a verifier, with their limits; ``verifier`` has the reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scanner.caching import PARSED, Cache

if TYPE_CHECKING:
    from scanner.trust.issuer_paths import CachedIssuerPath
    from scanner.trust.paths import ChainContext
    from scanner.x509.certificate import Certificate

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
# Contexts: sets of issuers as sent, with the paths above them.
MAX_CONTEXTS: Final = 2048
MAX_CONTEXTS_BYTES: Final = 32 << 20
# Paths above an issuer: as many as there are contexts, 2 KB each.
MAX_ISSUER_PATHS: Final = 2048
MAX_ISSUER_PATHS_BYTES: Final = 32 << 20


def chains() -> Cache[tuple[bytes, ...], Any]:
    """Verdicts, by the certificates as sent."""
    return Cache(MAX_CHAINS, MAX_CHAINS_BYTES, _chain_bytes, on_second_put=True)


def costly() -> Cache[tuple[bytes, ...], Any]:
    """Verdicts on costly chains, kept at the first put: each target asks at least twice."""
    return Cache(MAX_COSTLY, MAX_COSTLY_BYTES, _chain_bytes)


def issuers() -> Cache[bytes, Certificate]:
    """Certificates that were sent after a leaf, by their DER."""
    return Cache(MAX_ISSUERS, MAX_ISSUERS_BYTES, _certificate_bytes)


def leaves() -> Cache[bytes, Certificate]:
    """Leaves, by their DER."""
    return Cache(MAX_LEAVES, MAX_LEAVES_BYTES, _certificate_bytes, on_second_put=True)


def contexts() -> Cache[tuple[str, ...], tuple[ChainContext, ...]]:
    """Contexts for each store, by the SHA-256 of the issuers as sent."""
    return Cache(MAX_CONTEXTS, MAX_CONTEXTS_BYTES, _context_bytes)


def issuer_paths() -> Cache[tuple[bytes, ...], CachedIssuerPath]:
    """Paths above an issuer, by the DER of its name and the certificates sent after the leaf."""
    return Cache(MAX_ISSUER_PATHS, MAX_ISSUER_PATHS_BYTES, _issuer_path_bytes)


def _chain_bytes(chain: tuple[bytes, ...], _judged: object) -> int:
    # parts of findings have each certificate once more, in base64
    return (PARSED + 2) * sum(map(len, chain)) + CHAIN_BYTES


def _certificate_bytes(der: bytes, _certificate: object) -> int:
    return PARSED * len(der)


def _context_bytes(_key: tuple[str, ...], found: tuple[ChainContext, ...]) -> int:
    return sum([each.size for each in found])


def _issuer_path_bytes(key: tuple[bytes, ...], _way: object) -> int:
    return PARSED * sum(map(len, key)) + CHAIN_BYTES
