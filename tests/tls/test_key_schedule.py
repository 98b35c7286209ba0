"""The key schedule against RFC 8448 section 3."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scanner.tls.constants import HELLO_RETRY_RANDOM
from scanner.tls.key_schedule import SUITES, HandshakeKeys, RecordProtection, Secret, hkdf_label
from scanner.tls.wire import DecodeError
from tests.tls.rfc8448 import SIMPLE, shared_secret


def _keys() -> HandshakeKeys:
    transcript = hashlib.sha256(SIMPLE["client_hello"] + SIMPLE["server_hello"]).digest()
    return HandshakeKeys(0x1301, shared_secret(), transcript)


def test_the_server_finished_of_the_trace() -> None:
    flight = b"".join(
        SIMPLE[name]
        for name in ("client_hello", "server_hello", "encrypted_extensions", "certificate", "certificate_verify")
    )
    assert _keys().server_finished(hashlib.sha256(flight).digest()) == SIMPLE["finished"][4:]


@pytest.mark.parametrize("side", ["server", "client"])
def test_write_keys_and_ivs_of_the_trace(side: str) -> None:
    secret = Secret(SIMPLE[f"{side}_handshake_traffic_secret"], hashlib.sha256)
    assert secret.mac(hkdf_label("key", 16))[:16] == SIMPLE[f"{side}_write_key"]
    assert secret.mac(hkdf_label("iv", 12))[:12] == SIMPLE[f"{side}_write_iv"]


def test_a_record_sealed_with_the_keys_of_the_trace_opens() -> None:
    inner = SIMPLE["encrypted_extensions"] + b"\x16"
    header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
    sealed = AESGCM(SIMPLE["server_write_key"]).encrypt(SIMPLE["server_write_iv"], inner, header)
    assert _keys().server_protection().decrypt_untrusted(header, sealed) == (22, SIMPLE["encrypted_extensions"])


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_each_suite_seals_and_opens_in_sequence(suite: int) -> None:
    digest = SUITES[suite].hash().digest()
    sender = HandshakeKeys(suite, b"s" * 32, digest).client_protection()
    receiver = HandshakeKeys(suite, b"s" * 32, digest).client_protection()
    for text in (b"\x01\x5a", b"\x01\x00", b""):
        sealed = sender.encrypt(21, text)
        assert receiver.decrypt_untrusted(sealed[:5], sealed[5:]) == (21, text)


def test_padding_is_taken_off_and_only_padding_is_refused() -> None:
    aead = AESGCM(bytes(16))
    header = b"\x17\x03\x03\x00\x20"
    padded = aead.encrypt(bytes(12), b"hi\x16" + bytes(100), header)
    assert RecordProtection(aead, bytes(12)).decrypt_untrusted(header, padded) == (22, b"hi")
    empty = aead.encrypt(bytes(12), bytes(9), header)
    with pytest.raises(DecodeError, match="only padding"):
        RecordProtection(aead, bytes(12)).decrypt_untrusted(header, empty)


def test_a_changed_byte_does_not_open() -> None:
    sealed = _keys().client_protection().encrypt(22, b"text")
    for broken in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:-1], sealed[:5]):
        with pytest.raises(DecodeError, match="does not decrypt"):
            _keys().client_protection().decrypt_untrusted(broken[:5], broken[5:])


def test_the_retry_random_is_the_hash_that_the_rfc_says() -> None:
    assert HELLO_RETRY_RANDOM == hashlib.sha256(b"HelloRetryRequest").digest()
