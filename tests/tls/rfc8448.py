"""The traces of RFC 8448, from ``vectors/rfc8448.json``, and keys that replay them."""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import x25519

_FILE = json.loads((Path(__file__).parent / "vectors" / "rfc8448.json").read_text())

SIMPLE = {name: bytes.fromhex(value) for name, value in _FILE["simple"].items()}
HELLO_RETRY = {name: bytes.fromhex(value) for name, value in _FILE["hello_retry"].items()}


def shared_secret() -> bytes:
    """The secret of the simple handshake: the client's private key with the share at the end of the ServerHello."""
    private = x25519.X25519PrivateKey.from_private_bytes(SIMPLE["client_private_key"])
    hello = SIMPLE["server_hello"]
    start = hello.index(bytes.fromhex("00330024001d0020")) + 8
    return private.exchange(x25519.X25519PublicKey.from_public_bytes(hello[start : start + 32]))
