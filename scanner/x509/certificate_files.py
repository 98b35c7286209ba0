"""Certificate files as people have them: PEM with one or many blocks, one DER certificate, or PKCS #7."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import InvalidVersion

from scanner.errors import TlsweepError
from scanner.x509 import der
from scanner.x509.pem import blocks, certificates_in_pem
from scanner.x509.signatures import CRYPTOGRAPHY_ERRORS

# A full chain has some 10 KB.
MAX_CHAIN_FILE_BYTES: Final = 8 << 20
# PKCS #7 begins with this type (RFC 2315 section 14), after a header of at most 6 bytes.
_SIGNED_DATA: Final = b"\x06\x09" + der.encoded_oid("1.2.840.113549.1.7.2")
_HEAD_BYTES: Final = 6 + len(_SIGNED_DATA)


class ChainFileError(TlsweepError):
    """A file of certificates cannot be used; the message is one line for a person."""


def chain_untrusted(content: bytes, shown: str) -> tuple[bytes, ...]:
    """Return the certificates in a file in their order, as unparsed DER; raises only ``ChainFileError``."""
    if b"-----BEGIN " in content:
        found = tuple(certificates_in_pem(content))
        if not found:
            found = tuple(
                certificate
                for label, block in blocks(content)
                if label in (b"PKCS7", b"CMS") and block
                for certificate in _pkcs7_untrusted(block)
            )
        if not found:
            others = sorted({label.decode("ascii", "replace") for label, _ in blocks(content)})
            what = f"only {', '.join(others[:5])}" if others else "no block that can be read"
            raise ChainFileError(f"{shown}: no certificate in it, {what}")
        return found
    if content[:1] == b"\x30":
        if _SIGNED_DATA not in content[:_HEAD_BYTES]:
            return (content,)
        found = _pkcs7_untrusted(content)
        if not found:
            raise ChainFileError(f"{shown}: PKCS #7 without a certificate, or that cannot be read")
        return found
    raise ChainFileError(f"{shown}: " + ("empty" if not content.strip() else "neither PEM nor DER certificates"))


def _pkcs7_untrusted(content: bytes) -> tuple[bytes, ...]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of BER, which many tools write here
            certificates = pkcs7.load_der_pkcs7_certificates(content)
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)
    except (*CRYPTOGRAPHY_ERRORS, InvalidVersion):  # one certificate in it may be enough
        return ()


def read_chain(path: str) -> tuple[bytes, ...]:
    """Read a chain file from disk; raises only ``ChainFileError``."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_CHAIN_FILE_BYTES + 1)
    except OSError as error:
        raise ChainFileError(f"{path}: {error.strerror or error}") from None
    if len(content) > MAX_CHAIN_FILE_BYTES:
        raise ChainFileError(f"{path}: more than {MAX_CHAIN_FILE_BYTES >> 20} MiB")
    return chain_untrusted(content, path)
