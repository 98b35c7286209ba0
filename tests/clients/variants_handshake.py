"""Variants of handshakes: old and restricted ones."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from tests.clients.variants import (
    WEAK,
    Variant,
    odd_leaf,
)
from tests.helpers import pki


def handshakes() -> Iterator[Variant]:
    """Return variants of handshakes."""
    tls12 = {"maximum": ssl.TLSVersion.TLSv1_2}
    rsa = pki.key("rsa:2048", "rsa:2048")
    both_usages = ("digitalSignature", "keyEncipherment")
    for suite in (
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-ECDSA-AES128-CCM",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ):
        yield odd_leaf("suite-" + suite.lower(), serve={**tls12, "ciphers": suite})
    for suite in (
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-SHA384",
        "AES128-GCM-SHA256",
        "AES128-SHA",
        "AES128-SHA256",
        "AES256-CCM",
        "CAMELLIA128-SHA",
        "DHE-RSA-AES128-GCM-SHA256",
        "DHE-RSA-AES128-SHA",
        "DHE-RSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CAMELLIA128-SHA256",
        "ARIA128-GCM-SHA256",
    ):
        yield odd_leaf("suite-" + suite.lower(), private=rsa, usages=both_usages, serve={**tls12, "ciphers": suite})
    yield odd_leaf(
        "dhe-1024",
        private=rsa,
        usages=both_usages,
        serve={**tls12, "ciphers": "DHE-RSA-AES128-GCM-SHA256@SECLEVEL=0", "dh_bits": 1024},
    )
    yield odd_leaf(
        "dhe-512",
        private=rsa,
        usages=both_usages,
        serve={**tls12, "ciphers": "DHE-RSA-AES128-GCM-SHA256@SECLEVEL=0", "dh_bits": 512},
    )
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        yield odd_leaf(
            f"only-{version.name.lower().replace('_', '')}".replace("tlsv1", "tls1"),
            private=rsa,
            usages=both_usages,
            serve={"minimum": version, "maximum": version, "ciphers": WEAK},
        )
    for curve in ("X25519", "prime256v1", "secp384r1", "secp521r1", "X448", "brainpoolP256r1"):
        yield odd_leaf(f"group-{curve.lower()}", serve={"curve": curve})
        yield odd_leaf(f"group12-{curve.lower()}", serve={"curve": curve, **tls12})
    yield odd_leaf("only-tls13", serve={"minimum": ssl.TLSVersion.TLSv1_3})
