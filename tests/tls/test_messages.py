"""Each decoder accepts what the RFCs describe, and raises ``DecodeError`` alone for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.tls import messages as m
from scanner.tls.wire import DecodeError, code_and_vector, vector8, vector16, vector24, whole_vector
from tests.tls.rfc8448 import HELLO_RETRY, SIMPLE

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "ServerHello": m.server_hello_untrusted,
    "retry group": m.retry_group_untrusted,
    "ALPN": m.alpn_untrusted,
    "EncryptedExtensions": m.encrypted_extensions_untrusted,
    "CertificateStatus": m.ocsp_response_untrusted,
    "SCT list": m.sct_list_untrusted,
    "Certificate of TLS 1.3": lambda body: m.certificate_untrusted(body, tls13=True),
    "Certificate of TLS 1.2": lambda body: m.certificate_untrusted(body, tls13=False),
    "CertificateRequest of TLS 1.3": lambda body: m.certificate_request_untrusted(body, 0x0304),
    "CertificateRequest of TLS 1.2": lambda body: m.certificate_request_untrusted(body, 0x0303),
    "CertificateRequest of TLS 1.0": lambda body: m.certificate_request_untrusted(body, 0x0301),
    "ServerKeyExchange ECDHE": lambda body: m.server_key_exchange_untrusted(body, 0x0303, "ECDHE", anonymous=False),
    "ServerKeyExchange DHE": lambda body: m.server_key_exchange_untrusted(body, 0x0301, "DHE", anonymous=False),
    "ServerKeyExchange RSA": lambda body: m.server_key_exchange_untrusted(body, 0x0300, "RSA", anonymous=True),
}


def test_the_server_hello_of_the_trace() -> None:
    hello = m.server_hello_untrusted(SIMPLE["server_hello"][4:])
    assert (hello.version, hello.suite, hello.compression, hello.is_retry) == (0x0304, 0x1301, 0, False)
    group, share = code_and_vector(hello.extensions[51], "key_share")
    assert (group, len(share)) == (0x001D, 32)


def test_the_hello_retry_request_of_the_trace() -> None:
    hello = m.server_hello_untrusted(HELLO_RETRY["hello_retry_request"][4:])
    assert hello.is_retry
    assert m.retry_group_untrusted(hello.extensions[51]) == 0x0017
    assert len(whole_vector(hello.extensions[44], 2, "cookie")) == 114
    second = m.server_hello_untrusted(HELLO_RETRY["server_hello"][4:])
    assert (second.is_retry, code_and_vector(second.extensions[51], "key_share")[0]) == (False, 0x0017)


def test_the_certificate_of_the_trace() -> None:
    certificates, leaf_extensions = m.certificate_untrusted(SIMPLE["certificate"][4:], tls13=True)
    assert [len(each) for each in certificates] == [432]
    assert leaf_extensions == {}


def test_a_certificate_message_may_be_empty() -> None:
    assert m.certificate_untrusted(vector24(b""), tls13=False) == ((), {})
    assert m.certificate_untrusted(b"\x00" + vector24(b""), tls13=True) == ((), {})


def test_only_the_extensions_of_the_leaf_are_kept() -> None:
    body = vector24(b"leaf") + vector16(b"\x00\x12" + vector16(b"scts")) + vector24(b"ca") + vector16(b"")
    assert m.certificate_untrusted(b"\x00" + vector24(body), tls13=True) == ((b"leaf", b"ca"), {18: b"scts"})


def test_the_number_of_certificates_is_bounded() -> None:
    with pytest.raises(DecodeError, match="more than 100 certificates"):
        m.certificate_untrusted(vector24(vector24(b"x") * 101), tls13=False)


def test_an_extension_that_comes_twice_is_refused() -> None:
    with pytest.raises(DecodeError, match="comes twice"):
        m.encrypted_extensions_untrusted(vector16((b"\x00\x10" + vector16(b"")) * 2))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\x03", "ends early at byte 0"),
        (b"\x03\x03" + bytes(31), "32 bytes wanted, 31 left at byte 2"),
        (b"\x03\x03" + bytes(32), "ends early at byte 34"),
        (b"\x03\x03" + bytes(32) + b"\x09abc", "9 bytes wanted, 3 left at byte 35"),
        (b"\x03\x03" + bytes(32) + vector8(b"x" * 33), "session id of more than 32 bytes at byte 68"),
        (b"\x03\x03" + bytes(33) + b"\x13", "ends early at byte 35"),
        (b"\x03\x03" + bytes(33) + b"\x13\x01", "ends early at byte 37"),
        (b"\x03\x03" + bytes(33) + b"\x13\x01\x00\x00", "ends early at byte 38"),
        (b"\x03\x03" + bytes(33) + b"\x13\x01\x00" + vector16(b"") + b"x", "1 bytes left over at byte 40"),
        (
            b"\x03\x03" + bytes(33) + b"\x13\x01\x00" + vector16(b"\x00\x2b" + vector16(b"\x03")),
            "supported_versions is not one version at byte 45",
        ),
    ],
)
def test_where_a_server_hello_breaks(body: bytes, error: str) -> None:
    with pytest.raises(DecodeError) as caught:
        m.server_hello_untrusted(body)
    assert str(caught.value) == f"ServerHello: {error}"


def test_a_server_hello_of_ssl3_has_no_extensions() -> None:
    assert m.server_hello_untrusted(b"\x03\x00" + bytes(32) + b"\x00\x00\x05\x00").extensions == {}


def test_alpn_is_one_name_with_invalid_bytes_escaped() -> None:
    assert m.alpn_untrusted(vector16(vector8(b"h2"))) == "h2"
    assert m.alpn_untrusted(vector16(vector8(b"\xff\x1b"))) == "\\xff\x1b"
    with pytest.raises(DecodeError, match="left over"):
        m.alpn_untrusted(vector16(vector8(b"h2") + vector8(b"h3")))


@pytest.mark.parametrize("version", [0x0304, 0x0303, 0x0301])
def test_certificate_requests_name_authorities_and_schemes(version: int) -> None:
    names = vector16(vector16(b"CN=a") + vector16(b"CN=b"))
    if version == 0x0304:
        schemes = b"\x00\x0d" + vector16(vector16(b"\x04\x03\x08\x04"))
        body = vector8(b"") + vector16(schemes + b"\x00\x2f" + vector16(names))
    elif version == 0x0303:
        body = vector8(b"\x01\x40") + vector16(b"\x04\x03\x08\x04") + names
    else:
        body = vector8(b"\x01\x02") + names
    request = m.certificate_request_untrusted(body, version)
    assert request.authorities == (b"CN=a", b"CN=b")
    assert request.schemes == ((0x0403, 0x0804) if version >= 0x0303 else ())


def test_a_tls10_certificate_request_may_lack_names() -> None:
    assert m.certificate_request_untrusted(vector8(b"\x01"), 0x0301).authorities == ()


def test_the_signed_part_of_an_ecdhe_exchange() -> None:
    params = b"\x03\x00\x17" + vector8(b"\x04point")
    exchange = m.server_key_exchange_untrusted(
        params + b"\x04\x03" + vector16(b"sig"), 0x0303, "ECDHE", anonymous=False
    )
    assert (exchange.params, exchange.group, exchange.scheme, exchange.signature) == (params, 0x17, 0x0403, b"sig")
    old = m.server_key_exchange_untrusted(params + vector16(b"sig"), 0x0302, "ECDHE", anonymous=False)
    assert (old.scheme, old.signature) == (None, b"sig")


def test_the_modulus_size_of_a_dhe_exchange() -> None:
    params = vector16(b"\x00\x80" + bytes(63)) + vector16(b"\x02") + vector16(b"\x05")
    assert m.server_key_exchange_untrusted(params, 0x0303, "DHE", anonymous=True).dh_bits == 512


@pytest.mark.parametrize("kx", ["TLS13", "PSK", "unknown"])
def test_a_key_exchange_without_parameters_has_no_message(kx: str) -> None:
    with pytest.raises(DecodeError, match="not expected"):
        m.server_key_exchange_untrusted(b"", 0x0303, kx, anonymous=False)


@given(body=st.binary(max_size=200), name=st.sampled_from(sorted(DECODERS)))
def test_any_bytes_decode_or_raise_decode_error(body: bytes, name: str) -> None:
    try:
        DECODERS[name](body)
    except DecodeError:
        pass


@given(cut=st.integers(0, 500), flip=st.integers(0, 500), bit=st.integers(1, 255))
def test_a_valid_message_cut_or_changed_decodes_or_raises_decode_error(cut: int, flip: int, bit: int) -> None:
    for name, message in (("ServerHello", SIMPLE["server_hello"]), ("Certificate of TLS 1.3", SIMPLE["certificate"])):
        body = bytearray(message[4:])
        body[flip % len(body)] ^= bit
        for variant in (bytes(body), bytes(body)[: cut % len(body)]):
            try:
                DECODERS[name](variant)
            except DecodeError:
                pass


def test_server_name_and_alpn_of_encrypted_extensions() -> None:
    alpn = b"\x00\x10" + vector16(vector16(vector8(b"h2")))
    assert m.encrypted_extensions_untrusted(vector16(b"")) == (False, None, ())
    assert m.encrypted_extensions_untrusted(vector16(alpn)) == (False, "h2", ())
    assert m.encrypted_extensions_untrusted(vector16(alpn + b"\x00\x00\x00\x00")) == (True, "h2", ())
    assert m.encrypted_extensions_untrusted(vector16(b"\x00\x17\x00\x00" + alpn)) == (False, "h2", (23,))
    with pytest.raises(DecodeError, match="ALPN"):
        m.encrypted_extensions_untrusted(vector16(b"\x00\x10" + vector16(b"\x00")))
