"""The scripted servers' messages: the signatures verify, the lengths add up."""

from __future__ import annotations

import hashlib
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from scanner.demo import wire
from scanner.demo.hello import ClientHello
from scanner.demo.pki import Pki, PrivateKey, new_key
from tests.demo.clients import certificates, messages

HELLO = ClientHello(0x0303, b"c" * 32, (), 100)
SERVER_RANDOM = b"s" * 32


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def key_exchange(key: PrivateKey, version: int, signing: int | None = None) -> tuple[bytes, bytes, int | None]:
    """What was signed, the signature, and the scheme where the version has one."""
    ((kind, body),) = messages(
        wire.records(22, version, wire.server_key_exchange(key, version, HELLO, SERVER_RANDOM, signing))
    )
    assert kind == 12
    end = 4 + body[3]
    assert body[:3] == b"\x03\x00\x17"
    scheme = None
    rest = body[end:]
    if version == wire.TLS12:
        scheme, rest = int.from_bytes(rest[:2]), rest[2:]
    assert int.from_bytes(rest[:2]) == len(rest) - 2
    return HELLO.random + SERVER_RANDOM + body[:end], rest[2:], scheme


@pytest.mark.parametrize(
    ("version", "algorithm", "scheme"),
    [(wire.TLS12, hashes.SHA256(), 0x0403), (wire.TLS11, hashes.SHA1(), None), (wire.TLS10, hashes.SHA1(), None)],
)
def test_ecdsa_key_exchange(version: int, algorithm: hashes.HashAlgorithm, scheme: int | None) -> None:
    key = new_key()
    content, signature, named = key_exchange(key, version)
    key.public_key().verify(signature, content, ec.ECDSA(algorithm))
    assert named == scheme


def test_rsa_key_exchange_of_tls12(rsa_key: rsa.RSAPrivateKey) -> None:
    content, signature, scheme = key_exchange(rsa_key, wire.TLS12)
    rsa_key.public_key().verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    assert scheme == 0x0401


def test_rsa_key_exchange_before_tls12(rsa_key: rsa.RSAPrivateKey) -> None:
    content, signature, _ = key_exchange(rsa_key, wire.TLS10)
    numbers = rsa_key.public_key().public_numbers()
    block = pow(int.from_bytes(signature), numbers.e, numbers.n).to_bytes(256)
    digest = (
        hashlib.md5(content, usedforsecurity=False).digest() + hashlib.sha1(content, usedforsecurity=False).digest()
    )
    assert block == b"\x00\x01" + b"\xff" * (256 - 36 - 3) + b"\x00" + digest


def test_rsa_key_exchange_with_sha1(rsa_key: rsa.RSAPrivateKey) -> None:
    content, signature, scheme = key_exchange(rsa_key, wire.TLS12, wire.RSA_PKCS1_SHA1)
    rsa_key.public_key().verify(signature, content, padding.PKCS1v15(), hashes.SHA1())
    assert scheme == 0x0201


def test_other_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="ECDSA and RSA"):
        wire.server_key_exchange(ed25519.Ed25519PrivateKey.generate(), wire.TLS12, HELLO, SERVER_RANDOM)


def test_records_are_cut_at_the_limit() -> None:
    sent = wire.records(22, wire.TLS12, b"x" * 40000)
    assert len(sent) == 40000 + 3 * 5
    assert sent[3:5] == (1 << 14).to_bytes(2)


def test_alert() -> None:
    assert wire.alert(wire.Alert.PROTOCOL_VERSION, wire.TLS10) == bytes.fromhex("15030100020246")


@pytest.mark.parametrize("suite", wire.Suite)
def test_a_whole_flight(suite: wire.Suite) -> None:
    pki = Pki(time.time())
    credential = pki.leaf("www.demo.test")
    flight = messages(wire.server_flight(HELLO, wire.TLS12, suite, credential))
    assert [kind for kind, _ in flight] == ([2, 11, 12, 14] if suite.signs else [2, 11, 14])
    assert certificates(flight) == list(credential.chain)


def test_renegotiation_info_is_sent_to_those_who_ask() -> None:
    asked = ClientHello(0x0303, b"c" * 32, (0x00FF,), 100)
    suite = wire.Suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    assert wire.server_hello(asked, wire.TLS12, suite, SERVER_RANDOM).endswith(bytes.fromhex("0005ff01000100"))
    assert b"\xff\x01" not in wire.server_hello(asked, wire.SSL30, suite, SERVER_RANDOM)
    assert b"\xff\x01" not in wire.server_hello(HELLO, wire.TLS12, suite, SERVER_RANDOM)
