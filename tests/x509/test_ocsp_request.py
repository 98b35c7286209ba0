from __future__ import annotations

import base64
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import load_der_x509_certificate
from cryptography.x509 import ocsp as their

from scanner.x509 import ocsp_request
from tests.helpers.pki import certificate
from tests.helpers.revocation import WORLD

CA = WORLD.ca


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
def test_requests_are_read_by_cryptography(hash_name: str) -> None:
    leaf, ca = WORLD.parsed()
    data = ocsp_request.encode_request(leaf, ca, hash_name=hash_name)
    builder = their.OCSPRequestBuilder()
    algorithm = hashes.SHA1() if hash_name == "sha1" else hashes.SHA256()
    same = builder.add_certificate(
        load_der_x509_certificate(leaf.der), load_der_x509_certificate(ca.der), algorithm
    ).build()
    assert data == same.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("serial", [1, 0x80, -0x80, 0xFF00, 2**159 - 1])
def test_serial_numbers_are_encoded_exactly(serial: int) -> None:
    leaf = certificate("numbered.example", issuer=CA, serial=serial).parsed
    assert their.load_der_ocsp_request(ocsp_request.encode_request(leaf, CA.parsed)).serial_number == serial


def test_short_requests_have_a_url() -> None:
    leaf, ca = WORLD.parsed()
    data = ocsp_request.encode_request(leaf, ca)
    url = ocsp_request.get_url("http://ocsp.test/x", data)
    assert url is not None and url.startswith("http://ocsp.test/x/M")
    assert not set(url.rpartition("/")[2]) & set("+/=")
    assert base64.b64decode(unquote(url.rpartition("/")[2])) == data
    slashed = ocsp_request.get_url("http://ocsp.test/", data)
    assert slashed is not None and "//M" not in slashed
    assert ocsp_request.get_url("http://ocsp.test/" + "x" * 200, data) is None
