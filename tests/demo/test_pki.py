"""The flaws of the demo's certificates, confirmed by OpenSSL and ``cryptography``."""

from __future__ import annotations

import shutil
import subprocess
import time
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from scanner.demo.cases import Endpoint
from scanner.demo.pki import (
    DAY,
    LEAF_VALIDITY,
    Pki,
    name,
    pem,
    with_broken_signature,
    with_sha1_signature,
    without_last_bytes,
)

AT = Endpoint("www.demo.test", "127.0.0.1", 443, "")

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(time.time())


def verify(directory: Path, pki: Pki, chain: tuple[bytes, ...], *options: str) -> str:
    """Return the result of ``openssl verify`` for a chain under the demo's root: "OK", or the lines with errors."""
    files = {"root": (pki.root.der,), "leaf": chain[:1], "others": chain[1:]}
    for stem, certificates in files.items():
        (directory / f"{stem}.pem").write_bytes(b"".join(pem(certificate) for certificate in certificates))
    command = ["openssl", "verify", "-CAfile", "root.pem", "-purpose", "sslserver", *options]
    if chain[1:]:
        command += ["-untrusted", "others.pem"]
    done = subprocess.run(
        [*command, "leaf.pem"], cwd=directory, capture_output=True, text=True, timeout=20, check=False
    )
    return "OK" if done.returncode == 0 else done.stdout + done.stderr


@openssl
def test_a_default_leaf_verifies(tmp_path: Path, pki: Pki) -> None:
    options = ("-x509_strict", "-verify_hostname", AT.host, "-auth_level", "2")
    assert verify(tmp_path, pki, pki.leaf(AT.host).chain, *options) == "OK"
    rsa_leaf = pki.leaf(AT.host, issuer=pki.issuing_rsa, key=pki.rsa_key)
    assert verify(tmp_path, pki, rsa_leaf.chain, *options) == "OK"


@openssl
def test_ip_addresses_are_in_the_san(tmp_path: Path, pki: Pki) -> None:
    assert verify(tmp_path, pki, pki.leaf("127.94.0.1").chain, "-verify_ip", "127.94.0.1") == "OK"


def test_a_leaf_has_the_default_validity(pki: Pki) -> None:
    leaf = x509.load_der_x509_certificate(pki.leaf(AT.host).leaf)
    assert leaf.not_valid_before_utc == pki.now + LEAF_VALIDITY[0]
    assert leaf.not_valid_after_utc == pki.now + LEAF_VALIDITY[1]
    assert LEAF_VALIDITY[1] - LEAF_VALIDITY[0] == 90 * DAY


def test_without_names_there_is_no_san(pki: Pki) -> None:
    leaf = x509.load_der_x509_certificate(pki.leaf(common_name=AT.host).leaf)
    assert AT.host in leaf.subject.rfc4514_string()
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@openssl
def test_a_broken_signature_does_not_verify(tmp_path: Path, pki: Pki) -> None:
    credential = pki.leaf(AT.host)
    broken = with_broken_signature(credential.leaf)
    x509.load_der_x509_certificate(broken)
    assert "certificate signature failure" in verify(tmp_path, pki, (broken, *credential.chain[1:]))


@openssl
def test_a_sha1_signature_verifies_if_allowed(tmp_path: Path, pki: Pki) -> None:
    credential = pki.leaf(AT.host, issuer=pki.issuing_rsa, key=pki.rsa_key)
    weak = with_sha1_signature(credential.leaf, pki.rsa_issuing_key)
    assert len(weak) == len(credential.leaf)
    with warnings.catch_warnings(action="ignore"):
        parsed = x509.load_der_x509_certificate(weak)
        assert parsed.signature_algorithm_oid == x509.SignatureAlgorithmOID.RSA_WITH_SHA1
    chain = (weak, *credential.chain[1:])
    assert verify(tmp_path, pki, chain, "-auth_level", "0") == "OK"
    assert "digest algorithm too weak" in verify(tmp_path, pki, chain, "-auth_level", "1")


def test_a_truncated_certificate_does_not_parse(pki: Pki) -> None:
    with pytest.raises(ValueError):
        x509.load_der_x509_certificate(without_last_bytes(pki.leaf(AT.host).leaf))


@openssl
def test_a_self_signed_certificate_is_refused(tmp_path: Path, pki: Pki) -> None:
    credential = pki.self_signed(name(AT.host), AT.host)
    assert "self-signed certificate" in verify(tmp_path, pki, credential.chain)


def test_keys_are_of_the_requested_kind(pki: Pki) -> None:
    leaf = x509.load_der_x509_certificate(pki.leaf(AT.host).leaf)
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    small = x509.load_der_x509_certificate(pki.leaf(AT.host, key=rsa.generate_private_key(65537, 1024)).leaf)
    key = small.public_key()
    assert isinstance(key, rsa.RSAPublicKey) and key.key_size == 1024


def test_any_der_can_be_encoded_as_pem(pki: Pki) -> None:
    der = pki.leaf(AT.host).leaf
    assert x509.load_pem_x509_certificate(pem(der)).public_bytes(Encoding.DER) == der
    assert pem(b"not DER").startswith(b"-----BEGIN CERTIFICATE-----\n")
