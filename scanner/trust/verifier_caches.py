"""The caches of a judge: what each keeps, how many of it, and how many bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scanner.caching import PARSED, Cache

if TYPE_CHECKING:
    from scanner.trust.issuer_paths import CachedIssuerPath
    from scanner.trust.paths import ChainContext
    from scanner.x509.certificate import Certificate

# Chains judged: the same one is met on many hosts. An entry holds some 20 kB with its certificates; one of 236 kB
# on all hosts of a network is kept too.
MAX_CHAINS: Final = 2048
MAX_CHAINS_BYTES: Final = 64 << 20
# Of one chain beside its certificates: verdicts, and what findings are made of.
CHAIN_BYTES: Final = 3000
# Chains that were dear to judge, of up to 256 kB each.
MAX_COSTLY: Final = 64
MAX_COSTLY_BYTES: Final = 64 << 20
# Certificates after the leaf, parsed: 10 kB each; the public web has some 2,000 intermediates.
MAX_ISSUERS: Final = 4096
MAX_ISSUERS_BYTES: Final = 48 << 20
# Leaves, parsed: the handshake's signature asks for the key of a leaf that is judged a moment later.
MAX_LEAVES: Final = 1024
MAX_LEAVES_BYTES: Final = 32 << 20
# Sets of issuers as sent, with the paths above them.
MAX_CONTEXTS: Final = 2048
MAX_CONTEXTS_BYTES: Final = 32 << 20
# Issuers, with what is sent beside them, whose usual path is known: as many as there are surroundings, 2 KB each.
MAX_ISSUER_PATHS: Final = 2048
MAX_ISSUER_PATHS_BYTES: Final = 32 << 20


def chains() -> Cache[tuple[bytes, ...], Any]:
    """What was judged, by the certificates as sent."""
    return Cache(MAX_CHAINS, MAX_CHAINS_BYTES, _chain_bytes, on_second_put=True)


def costly() -> Cache[tuple[bytes, ...], Any]:
    """Chains that were dear to judge, kept at first sight: a target is asked about twice at least."""
    return Cache(MAX_COSTLY, MAX_COSTLY_BYTES, _chain_bytes)


def issuers() -> Cache[bytes, Certificate]:
    """Certificates that were sent after a leaf, by their DER."""
    return Cache(MAX_ISSUERS, MAX_ISSUERS_BYTES, _certificate_bytes)


def leaves() -> Cache[bytes, Certificate]:
    """Leaves, by their DER."""
    return Cache(MAX_LEAVES, MAX_LEAVES_BYTES, _certificate_bytes, on_second_put=True)


def contexts() -> Cache[tuple[str, ...], tuple[ChainContext, ...]]:
    """Issuers as sent, for each store, by their SHA-256."""
    return Cache(MAX_CONTEXTS, MAX_CONTEXTS_BYTES, _context_bytes)


def issuer_paths() -> Cache[tuple[bytes, ...], CachedIssuerPath]:
    """Usual paths, by the issuer's name and what was sent after the leaf."""
    return Cache(MAX_ISSUER_PATHS, MAX_ISSUER_PATHS_BYTES, _issuer_path_bytes)


def _chain_bytes(chain: tuple[bytes, ...], _judged: object) -> int:
    # what findings are made of has each certificate once more, in base64
    return (PARSED + 2) * sum(map(len, chain)) + CHAIN_BYTES


def _certificate_bytes(der: bytes, _certificate: object) -> int:
    return PARSED * len(der)


def _context_bytes(_key: tuple[str, ...], found: tuple[ChainContext, ...]) -> int:
    return sum([each.size for each in found])


def _issuer_path_bytes(key: tuple[bytes, ...], _way: object) -> int:
    return PARSED * sum(map(len, key)) + CHAIN_BYTES
