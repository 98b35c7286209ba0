"""Files of certificates as people have them."""

from __future__ import annotations

import base64
import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)

from scanner.x509.certificate_files import ChainFileError, chain_file_untrusted, chain_untrusted, read_chain
from tests.helpers import pki
from tests.helpers.pki import tlv

ROOT = pki.root()
CA = pki.authority("CA", ROOT)
LEAF = pki.certificate("leaf.example", issuer=CA)


def _encrypted(encoding: Encoding, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return LEAF.private.private_bytes(encoding, form, BestAvailableEncryption(b"secret"))


def _plain_key() -> bytes:
    return LEAF.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _pkcs12() -> bytes:
    certificate, authority = (x509.load_der_x509_certificate(one.der) for one in (LEAF, CA))
    key: Any = LEAF.private
    return pkcs12.serialize_key_and_certificates(
        b"x", key, certificate, [authority], BestAvailableEncryption(b"secret")
    )


def _request(encoding: Encoding) -> bytes:
    key: Any = LEAF.private
    return x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256()).public_bytes(encoding)


def test_a_full_chain_is_read_in_its_order_and_the_key_in_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "fullchain.pem"
    path.write_text(LEAF.key_pem + pki.pem(LEAF, CA))
    assert read_chain(str(path)).certificates == (LEAF.der, CA.der)
    path.write_text(pki.pem(CA, LEAF))
    assert read_chain(str(path)).certificates == (CA.der, LEAF.der)


def test_der_and_pkcs7_files_are_read() -> None:
    assert chain_untrusted(LEAF.der, "x") == (LEAF.der,)
    parsed = [x509.load_der_x509_certificate(item.der) for item in (LEAF, CA)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for encoding in (Encoding.DER, Encoding.PEM):
            found = chain_untrusted(pkcs7.serialize_certificates(parsed, encoding), "x")
            assert set(found) == {LEAF.der, CA.der}


def test_a_set_has_no_order_and_a_file_has() -> None:
    parsed = [x509.load_der_x509_certificate(item.der) for item in (LEAF, CA)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bundle = pkcs7.serialize_certificates(parsed, Encoding.DER)
    assert not chain_file_untrusted(bundle, "x").ordered
    other_word = pki.pem(bundle).replace("CERTIFICATE", "PKCS #7 SIGNED DATA").encode()
    assert set(chain_file_untrusted(other_word, "x").certificates) == {LEAF.der, CA.der}
    assert chain_file_untrusted(pki.pem(CA, LEAF).encode(), "x").ordered


def test_keys_tell_whose_the_file_is_and_are_passed_over() -> None:
    file = chain_file_untrusted((LEAF.key_pem + pki.pem(CA, LEAF)).encode(), "x")
    assert file.keys == (LEAF.parsed.spki_der,)
    assert file.passed_over == ("1 private key",)
    locked = chain_file_untrusted(_encrypted(Encoding.PEM) * 2 + LEAF.pem.encode(), "x")
    assert (locked.keys, locked.passed_over) == ((), ("2 encrypted private keys",))


def test_what_was_passed_over_is_said() -> None:
    text = (
        "\ufeff"
        + LEAF.pem
        + CA.pem.replace("\n", "\n!\n", 1)
        + "-----BEGIN DH PARAMETERS-----\nAA==\n-----END DH PARAMETERS-----\n"
    )
    file = chain_file_untrusted(text.encode(), "x")
    assert file.certificates == (LEAF.der,)
    assert [note.partition(",")[0] for note in file.passed_over] == [
        "a byte order mark at its start", "1 block of DH parameters", "1 block of a certificate that cannot be read",
    ]  # fmt: skip
    assert file.faults and "is not base64" in file.faults[0]


@pytest.mark.parametrize("rest", [b"", b"\n", b"\r\n\0"])
def test_der_with_white_space_after_it(rest: bytes) -> None:
    file = chain_file_untrusted(LEAF.der + rest, "x")
    assert (file.certificates, file.passed_over, file.faults) == ((LEAF.der,), (), ())


def test_der_certificates_one_after_the_other() -> None:
    file = chain_file_untrusted(LEAF.der + CA.der + b"tail", "x")
    assert file.certificates == (LEAF.der, CA.der)
    assert file.passed_over == ("4 bytes after 2 elements of DER",)
    assert file.faults == ("its DER certificates stand one after the other, of which servers read the first",)


def test_malformed_certificates_in_a_file_are_returned() -> None:
    assert chain_untrusted(pki.pem(b"\x30\x01").encode(), "x") == (b"\x30\x01",)
    assert chain_untrusted(b"\x30\x82\x00", "x") == (b"\x30\x82\x00",)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", "neither PEM nor DER"),
        (LEAF.key_pem.encode(), "only a private key"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", "only CERTIFICATE"),
        (b"-----BEGIN CERTIFICATE-----\n", "no block that can be read"),
        (_encrypted(Encoding.PEM), "only an encrypted private key"),
        (_encrypted(Encoding.DER), "only an encrypted private key"),
        (_encrypted(Encoding.PEM, PrivateFormat.TraditionalOpenSSL), "only an encrypted private key"),
        (_plain_key(), "only a private key"),
        (
            _pkcs12(),
            r"only a PKCS #12 file \(.p12, .pfx\), whose certificates are taken out with `openssl pkcs12 -in chain.pem",
        ),
        (_request(Encoding.PEM), "only a certificate request"),
        (_request(Encoding.DER), "only a certificate request"),
        (b"\xfe\xed\xfe\xed\0\0\0\2", "only a Java keystore"),
        (LEAF.pem.encode("utf-16"), "UTF-16 text"),
        (LEAF.pem.encode("utf-16-be"), "UTF-16 text"),
        (base64.b64encode(LEAF.pem.encode()), "PEM that was encoded with base64 once more"),
        (base64.encodebytes(LEAF.der), "base64 without the lines BEGIN CERTIFICATE.* is a certificate$"),
        (base64.b64encode(_pkcs12()), r"base64 without the lines BEGIN CERTIFICATE.* is a PKCS #12 file"),
        (LEAF.pem.replace("-----", "\u2014" * 3).encode(), "neither PEM nor DER"),
    ],
)
def test_files_without_certificates_are_refused(content: bytes, why: str) -> None:
    with pytest.raises(ChainFileError, match=why) as caught:
        chain_untrusted(content, "chain.pem")
    assert str(caught.value).startswith("chain.pem: ") and "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainFileError, match="No such file"):
        read_chain(str(tmp_path / "absent"))


def test_pkcs7_with_a_certificate_that_cryptography_does_not_read() -> None:
    odd = pki.certificate("x", issuer=CA, version=3).der
    signed_data = pki.sequence(
        pki.integer(1), tlv(0x31), pki.sequence(pki.oid("1.2.840.113549.1.7.1")), tlv(0xA0, odd, CA.der), tlv(0x31)
    )
    content = pki.sequence(pki.oid("1.2.840.113549.1.7.2"), tlv(0xA0, signed_data))
    assert set(chain_untrusted(content, "x")) == {odd, CA.der}


@pytest.mark.parametrize("version", [b"\x04", b"\x7f"])
def test_pkcs7_with_a_certificate_of_no_version(version: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        good = pkcs7.serialize_certificates([x509.load_der_x509_certificate(CA.der)], Encoding.DER)
    bad = good.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + version)
    odd = CA.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + version)
    assert bad != good
    for content in (bad, pki.pem(bad).replace("CERTIFICATE", "PKCS7").encode()):
        assert odd in chain_untrusted(content, "x")
