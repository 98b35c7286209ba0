"""Files of certificates as people have them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from scanner.x509.certificate_files import ChainFileError, chain_untrusted, read_chain
from tests.helpers import pki

ROOT = pki.root()
CA = pki.authority("CA", ROOT)
LEAF = pki.certificate("leaf.example", issuer=CA)


def test_a_full_chain_is_read_in_its_order_and_the_key_in_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "fullchain.pem"
    path.write_text(LEAF.key_pem + pki.pem(LEAF, CA))
    assert read_chain(str(path)) == (LEAF.der, CA.der)
    path.write_text(pki.pem(CA, LEAF))
    assert read_chain(str(path)) == (CA.der, LEAF.der)


def test_der_and_pkcs7_files_are_read() -> None:
    assert chain_untrusted(LEAF.der, "x") == (LEAF.der,)
    parsed = [x509.load_der_x509_certificate(item.der) for item in (LEAF, CA)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for encoding in (Encoding.DER, Encoding.PEM):
            found = chain_untrusted(pkcs7.serialize_certificates(parsed, encoding), "x")
            assert set(found) == {LEAF.der, CA.der}


def test_malformed_certificates_in_a_file_are_returned() -> None:
    assert chain_untrusted(pki.pem(b"\x30\x01").encode(), "x") == (b"\x30\x01",)
    assert chain_untrusted(b"\x30\x82\x00", "x") == (b"\x30\x82\x00",)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", "neither PEM nor DER"),
        (LEAF.key_pem.encode(), "only PRIVATE KEY"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", "only CERTIFICATE"),
        (b"-----BEGIN CERTIFICATE-----\n", "no block that can be read"),
    ],
)
def test_files_without_certificates_are_refused(content: bytes, why: str) -> None:
    with pytest.raises(ChainFileError, match=why) as caught:
        chain_untrusted(content, "chain.pem")
    assert str(caught.value).startswith("chain.pem: ") and "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainFileError, match="No such file"):
        read_chain(str(tmp_path / "absent"))


@pytest.mark.parametrize("version", [b"\x04", b"\x7f"])
def test_pkcs7_with_a_certificate_of_no_version(version: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        good = pkcs7.serialize_certificates([x509.load_der_x509_certificate(CA.der)], Encoding.DER)
    bad = good.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + version)
    assert bad != good
    for content in (bad, pki.pem(bad).replace("CERTIFICATE", "PKCS7").encode()):
        with pytest.raises(ChainFileError, match=r"PKCS #7|only PKCS7"):
            chain_untrusted(content, "x")
