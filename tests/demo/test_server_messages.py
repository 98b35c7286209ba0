"""Messages of the scripted servers have valid signatures and lengths."""

from __future__ import annotations

import hashlib
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from scanner.demo import server_messages
from scanner.demo.client_hello import ClientHello
from scanner.demo.pki import Pki, PrivateKey, new_key
from tests.demo.clients import certificates, messages

HELLO = ClientHello(0x0303, b"c" * 32, (), 100)
SERVER_RANDOM = b"s" * 32


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def key_exchange(key: PrivateKey, version: int, signing: int | None = None) -> tuple[bytes, bytes, int | None]:
    """Return the signed bytes, the signature, and the scheme if the version has one."""
    ((kind, body),) = messages(
        server_messages.records(
            22, version, server_messages.server_key_exchange(key, version, HELLO, SERVER_RANDOM, signing)
        )
    )
    assert kind == 12
    end = 4 + body[3]
    assert body[:3] == b"\x03\x00\x17"
    scheme = None
    rest = body[end:]
    if version == server_messages.TLS12:
        scheme, rest = int.from_bytes(rest[:2]), rest[2:]
    assert int.from_bytes(rest[:2]) == len(rest) - 2
    return HELLO.random + SERVER_RANDOM + body[:end], rest[2:], scheme


@pytest.mark.parametrize(
    ("version", "algorithm", "scheme"),
    [
        (server_messages.TLS12, hashes.SHA256(), 0x0403),
        (server_messages.TLS11, hashes.SHA1(), None),
        (server_messages.TLS10, hashes.SHA1(), None),
    ],
)
def test_ecdsa_key_exchange_verifies(version: int, algorithm: hashes.HashAlgorithm, scheme: int | None) -> None:
    key = new_key()
    content, signature, named = key_exchange(key, version)
    key.public_key().verify(signature, content, ec.ECDSA(algorithm))
    assert named == scheme


def test_rsa_key_exchange_of_tls12_verifies(rsa_key: rsa.RSAPrivateKey) -> None:
    content, signature, scheme = key_exchange(rsa_key, server_messages.TLS12)
    rsa_key.public_key().verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    assert scheme == 0x0401


def test_rsa_key_exchange_before_tls12_verifies(rsa_key: rsa.RSAPrivateKey) -> None:
    content, signature, _ = key_exchange(rsa_key, server_messages.TLS10)
    numbers = rsa_key.public_key().public_numbers()
    block = pow(int.from_bytes(signature), numbers.e, numbers.n).to_bytes(256)
    digest = (
        hashlib.md5(content, usedforsecurity=False).digest() + hashlib.sha1(content, usedforsecurity=False).digest()
    )
    assert block == b"\x00\x01" + b"\xff" * (256 - 36 - 3) + b"\x00" + digest


def test_rsa_key_exchange_with_sha1_verifies(rsa_key: rsa.RSAPrivateKey) -> None:
    content, signature, scheme = key_exchange(rsa_key, server_messages.TLS12, server_messages.RSA_PKCS1_SHA1)
    rsa_key.public_key().verify(signature, content, padding.PKCS1v15(), hashes.SHA1())
    assert scheme == 0x0201


def test_other_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="ECDSA and RSA"):
        server_messages.server_key_exchange(
            ed25519.Ed25519PrivateKey.generate(), server_messages.TLS12, HELLO, SERVER_RANDOM
        )


def test_records_are_split_at_the_limit() -> None:
    sent = server_messages.records(22, server_messages.TLS12, b"x" * 40000)
    assert len(sent) == 40000 + 3 * 5
    assert sent[3:5] == (1 << 14).to_bytes(2)


def test_hellos_get_an_alert() -> None:
    assert server_messages.alert(server_messages.Alert.PROTOCOL_VERSION, server_messages.TLS10) == bytes.fromhex(
        "15030100020246"
    )


@pytest.mark.parametrize("suite", server_messages.ServerSuite)
def test_a_flight_has_its_messages_in_order(suite: server_messages.ServerSuite) -> None:
    pki = Pki(time.time())
    credential = pki.leaf("www.demo.test")
    flight = messages(server_messages.server_flight(HELLO, server_messages.TLS12, suite, credential))
    assert [kind for kind, _ in flight] == ([2, 11, 12, 14] if suite.signs else [2, 11, 14])
    assert certificates(flight) == list(credential.chain)


def test_renegotiation_info_is_sent_to_clients_that_support_it() -> None:
    asked = ClientHello(0x0303, b"c" * 32, (0x00FF,), 100)
    suite = server_messages.ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    assert server_messages.server_hello(asked, server_messages.TLS12, suite, SERVER_RANDOM).endswith(
        bytes.fromhex("0005ff01000100")
    )
    assert b"\xff\x01" not in server_messages.server_hello(asked, server_messages.SSL30, suite, SERVER_RANDOM)
    assert b"\xff\x01" not in server_messages.server_hello(HELLO, server_messages.TLS12, suite, SERVER_RANDOM)
