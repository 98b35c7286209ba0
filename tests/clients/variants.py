"""Servers at the edge of what clients accept, in addition to the demo's: odd and long chains, odd keys, old handshakes.

Each is a chain and a way to serve it. Nothing here says what is right: findings are compared with real clients.
"""

from __future__ import annotations

import ssl
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.helpers import pki
from tests.helpers.pki import DAY, Issued

NOW = float(int(time.time()))
DOMAIN = "variants.test"
WEAK = "DEFAULT@SECLEVEL=0"


@dataclass(frozen=True)
class Variant:
    """A server; it sends ``chain``, and clients trust ``anchors``."""

    id: str
    chain: tuple[Issued, ...]
    host: str
    anchors: tuple[Issued, ...] = ()
    context: dict[str, Any] = field(default_factory=dict)
    key_pem: str | None = None


def host_of(identity: str) -> str:
    """Return the server name of a variant."""
    return f"{identity}.{DOMAIN}"


def root(subject: str = "Variants Root", **changes: Any) -> Issued:
    """Return a currently valid root."""
    return pki.root(subject, **{"not_before": NOW - 1000 * DAY, "not_after": NOW + 3000 * DAY, **changes})


def ca(subject: str, issuer: Issued, **changes: Any) -> Issued:
    """Return a currently valid intermediate."""
    return pki.authority(subject, issuer, **{"not_before": NOW - 500 * DAY, "not_after": NOW + 1500 * DAY, **changes})


ROOT = root()
CA = ca("Variants CA", ROOT)


def leaf(identity: str, issuer: Issued = CA, **changes: Any) -> Issued:
    """Return a currently valid leaf."""
    return pki.certificate(
        changes.pop("subject", host_of(identity)),
        **{"issuer": issuer, "not_before": NOW - 10 * DAY, "not_after": NOW + 80 * DAY, **changes},
    )


def server(
    identity: str, *chain: Issued, host: str | None = None, anchors: Sequence[Issued] = (ROOT,), **more: Any
) -> Variant:
    """Return a variant; ``more`` is how it serves."""
    key_pem = more.pop("key_pem", None)
    return Variant(identity, chain, host or host_of(identity), tuple(anchors), more, key_pem)


def odd_leaf(identity: str, *, host: str | None = None, serve: dict[str, Any] | None = None, **changes: Any) -> Variant:
    """Return a variant whose leaf differs in one respect, under the common CA."""
    return server(identity, leaf(identity, **changes), CA, host=host, **(serve or {}))


def odd_ca(
    identity: str,
    serve: dict[str, Any] | None = None,
    leaf_changes: dict[str, Any] | None = None,
    **changes: Any,
) -> Variant:
    """Return a variant whose intermediate differs in one respect."""
    authority = ca(f"CA of {identity}", ROOT, **changes)
    return server(identity, leaf(identity, authority, **(leaf_changes or {})), authority, **(serve or {}))


def odd_root(identity: str, leaf_changes: dict[str, Any] | None = None, **changes: Any) -> Variant:
    """Return a variant whose trusted root differs in one respect."""
    top = root(f"Root of {identity}", **changes)
    authority = ca(f"CA below the root of {identity}", top)
    return server(identity, leaf(identity, authority, **(leaf_changes or {})), authority, anchors=(top,))


def at_address(identity: str, make: Callable[[str], Issued], issuer: Issued = CA) -> Variant:
    """Return a variant that clients ask for by its address; ``make`` returns its leaf, below ``issuer``."""
    return Variant(identity, (), "", (ROOT,), {"chain": lambda address: (make(address), issuer)})


def policy(dotted: str, value: bytes, *, critical: bool = True) -> bytes:
    return pki.extension(dotted, value, critical=critical)


# --- keys that only OpenSSL can generate -------------------------------------------------------------------------------------


@cache
def generated(*arguments: str) -> str:
    """Generate a private key with OpenSSL (PEM)."""
    command = ["openssl", "genpkey", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def public_of(key_pem: str) -> bytes:
    """Return the SubjectPublicKeyInfo of a private key."""
    command = ["openssl", "pkey", "-pubout", "-outform", "DER"]
    return subprocess.run(command, input=key_pem.encode(), check=True, capture_output=True, timeout=20).stdout


def foreign_key(identity: str, *arguments: str, **serve: Any) -> Variant:
    """Return a variant whose leaf has a key that OpenSSL generates."""
    key_pem = generated(*arguments)
    return server(identity, leaf(identity, public_key=public_of(key_pem)), CA, key_pem=key_pem, **serve)


# --- serving ---------------------------------------------------------------------------------------


@cache
def dh_parameters(bits: int) -> str:
    """Return DH parameters that are generated quickly."""
    command = ["openssl", "dhparam", "-dsaparam", str(bits)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def chain_at(variant: Variant, address: str) -> tuple[Issued, ...]:
    """Return what a variant sends at this address."""
    return variant.chain or tuple(variant.context["chain"](address))


def server_context(variant: Variant, directory: Path, address: str) -> ssl.SSLContext:
    """Return the server's TLS context. Raises ``ssl.SSLError`` or ``ValueError`` if this OpenSSL refuses it."""
    how = variant.context
    chain = chain_at(variant, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some variants use old versions
        context.minimum_version = how.get("minimum", ssl.TLSVersion.TLSv1_2)
        context.maximum_version = how.get("maximum", ssl.TLSVersion.TLSv1_3)
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.set_ciphers(how.get("ciphers", "DEFAULT"))
    if "curve" in how:
        context.set_ecdh_curve(how["curve"])
    if "DHE-" in how.get("ciphers", "") and "ECDHE" not in how["ciphers"]:
        with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".pem") as file:
            file.write(dh_parameters(how.get("dh_bits", 2048)))
            file.flush()
            context.load_dh_params(file.name)
    with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".pem") as file:
        file.write((variant.key_pem or chain[0].key_pem) + pki.pem(*chain))
        file.flush()
        context.load_cert_chain(file.name)
    return context
