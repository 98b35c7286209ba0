"""Files of a client certificate and its key, as people have them: what fits is read, what does not is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from scanner.x509 import client_certificate
from scanner.x509.client_certificate import ClientCertificateError, load_client_certificate
from tests.helpers import pki

CA = pki.root("Client CA")
OURS = pki.certificate("client", issuer=CA, purposes=["clientAuth"])
OTHER = pki.certificate("other", issuer=CA)


def traditional(issued: pki.Issued) -> str:
    return issued.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def encrypted(form: PrivateFormat) -> str:
    return OURS.private.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")).decode()


def files(tmp_path: Path, certificate: str, key: str | None = None) -> tuple[str, str | None]:
    (tmp_path / "cert.pem").write_text(certificate)
    if key is not None:
        (tmp_path / "key.pem").write_text(key)
    return str(tmp_path / "cert.pem"), None if key is None else str(tmp_path / "key.pem")


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        (OURS.pem + CA.pem, OURS.key_pem),
        (OURS.pem + CA.pem, traditional(OURS)),
        (OURS.key_pem + OURS.pem + CA.pem, None),
        ("Bag Attributes\n" + OURS.pem.replace("\n", "\r\n") + CA.pem + traditional(OURS), None),
    ],
    ids=["two files", "key of its own kind", "one file", "one file, key last"],
)
def test_a_chain_with_its_key_is_read(tmp_path: Path, certificate: str, key: str | None) -> None:
    assert load_client_certificate(*files(tmp_path, certificate, key)) == (OURS.der, CA.der)


@pytest.mark.parametrize("kind", ["rsa:2048", "ed25519", "ec:P-384"])
def test_keys_of_every_kind(tmp_path: Path, kind: str) -> None:
    ours = pki.certificate("client", issuer=CA, private=pki.key("client", kind))
    assert load_client_certificate(*files(tmp_path, ours.pem, ours.key_pem)) == (ours.der,)


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("", OURS.key_pem, "has no certificate in PEM"),
        (OURS.key_pem, None, "has no certificate in PEM"),
        (OURS.pem, None, "has no private key in PEM: name its file with --client-key"),
        (OURS.pem, OURS.pem, "has no private key in PEM"),
        (OURS.pem, OTHER.key_pem, "does not belong to the first certificate"),
        (CA.pem + OURS.pem, OURS.key_pem, "does not belong to the first certificate"),
        (OURS.pem, encrypted(PrivateFormat.PKCS8), "is encrypted"),
        (OURS.pem, encrypted(PrivateFormat.TraditionalOpenSSL), "is encrypted"),
        (OURS.pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (pki.pem(b"\x30\x03\x02\x01\x00"), OURS.key_pem, "the first certificate in"),
    ],
)
def test_keys_and_certificates_that_do_not_fit_are_refused(
    tmp_path: Path, certificate: str, key: str | None, message: str
) -> None:
    with pytest.raises(ClientCertificateError) as caught:
        load_client_certificate(*files(tmp_path, certificate, key))
    assert message in str(caught.value)
    assert str(caught.value).startswith(("--client-cert: ", "--client-key: "))
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = files(tmp_path, OURS.pem, OURS.key_pem)
    for paths in ((str(tmp_path / "none"), key), (certificate, str(tmp_path / "none"))):
        with pytest.raises(ClientCertificateError, match="No such file"):
            load_client_certificate(*paths)
    with pytest.raises(ClientCertificateError, match="directory"):
        load_client_certificate(str(tmp_path), key)
    monkeypatch.setattr(client_certificate, "MAX_CHAIN_FILE_BYTES", 10)
    with pytest.raises(ClientCertificateError, match="more than"):
        load_client_certificate(certificate, key)
