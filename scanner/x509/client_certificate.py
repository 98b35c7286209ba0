"""Reads the client certificate of a run, and checks that its private key fits.

What does not fit is reported in one line before anything is contacted, since on a connection it would look like a
refusal.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from scanner.x509.certificate import Certificate, CertificateError
from scanner.x509.certificate_files import MAX_CHAIN_FILE_BYTES, ChainFileError
from scanner.x509.pem import blocks, certificates_in_pem


class ClientCertificateError(ChainFileError):
    """A client certificate or its key cannot be used; the message is one line for a person."""


def load_client_certificate(certificate: str, key: str | None = None) -> tuple[bytes, ...]:
    """Return the chain to send (DER, leaf first) from PEM files; ``key`` is in the certificate's own file by default.

    Raises only ``ClientCertificateError``: a file that cannot be read or is not PEM, a key that is encrypted, of an
    unknown kind, or of another certificate.
    """
    content = _read(certificate, "--client-cert")
    chain = tuple(certificates_in_pem(content))
    if not chain:
        raise ClientCertificateError(f"--client-cert: {certificate} has no certificate in PEM")
    try:
        leaf = Certificate.parse_untrusted(chain[0])
    except CertificateError as error:
        raise ClientCertificateError(f"--client-cert: the first certificate in {certificate}: {error}") from None
    where = f"--client-cert: {certificate}" if key is None else f"--client-key: {key}"
    pem = content if key is None else _read(key, "--client-key")
    own = _public_key(pem, where, missing="name its file with --client-key" if key is None else "")
    if own != leaf.spki_der and own != _public_bytes(leaf):
        raise ClientCertificateError(
            f"{where}: the private key does not belong to the first certificate in {certificate}"
        )
    return chain


_LABEL_END: Final = b"PRIVATE KEY"


def _public_key(pem: bytes, where: str, *, missing: str) -> bytes:
    labels = [label for label, _ in blocks(pem) if label.endswith(_LABEL_END)]
    if not labels:
        raise ClientCertificateError(f"{where} has no private key in PEM" + (f": {missing}" if missing else ""))
    start = pem.find(b"-----BEGIN " + labels[0])
    try:
        loaded = load_pem_private_key(pem[start:], None)
        return loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except TypeError:
        raise ClientCertificateError(
            f"{where}: the private key is encrypted; give one that is not (openssl pkey -in FILE -out PLAIN)"
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ClientCertificateError(f"{where}: the private key cannot be read: {_first_line(error)}") from None


def _public_bytes(leaf: Certificate) -> bytes | None:
    """Return the key as ``cryptography`` encodes it: a certificate may have one key in another encoding."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return leaf.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (CertificateError, ValueError, UnsupportedAlgorithm):
        return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _read(path: str, option: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_CHAIN_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClientCertificateError(f"{option}: {path}: {reason}") from None
    if len(content) > MAX_CHAIN_FILE_BYTES:
        raise ClientCertificateError(f"{option}: {path}: more than {MAX_CHAIN_FILE_BYTES >> 20} MiB")
    return content
