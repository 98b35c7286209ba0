"""OCSP requests (RFC 6960 section 4.1) and their URLs."""

from __future__ import annotations

import base64
import hashlib
from typing import Final
from urllib.parse import quote

from scanner.x509 import der
from scanner.x509.certificate import Certificate

# Longer requests go by POST (RFC 5019 section 5).
MAX_GET_BYTES: Final = 255

_SHA1: Final = der.encoded_oid("1.3.14.3.2.26")
# Hashes of a CertID
HASHES: Final = {
    _SHA1: "sha1",
    der.encoded_oid("2.16.840.1.101.3.4.2.1"): "sha256",
    der.encoded_oid("2.16.840.1.101.3.4.2.2"): "sha384",
    der.encoded_oid("2.16.840.1.101.3.4.2.3"): "sha512",
}
_OIDS: Final = {name: oid for oid, name in HASHES.items()}
_NULL: Final = b"\x05\x00"


def key_bits(certificate: Certificate) -> bytes:
    """Return the content of subjectPublicKey, of which key hashes are made."""
    data = certificate.spki_der
    start, stop = der.whole_untrusted(data, der.SEQUENCE, "subjectPublicKeyInfo")
    _, algorithm_stop = der.expect_untrusted(data, start, stop, der.SEQUENCE, "key algorithm")
    bits_start, bits_stop = der.expect_untrusted(data, algorithm_stop, stop, der.BIT_STRING, "key")
    return der.bits_untrusted(data, bits_start, bits_stop)[1]


def digest(name: str, data: bytes) -> bytes:
    """Return a hash that identifies and does not protect."""
    return hashlib.new(name, data, usedforsecurity=False).digest()


def encode_request(certificate: Certificate, issuer: Certificate, *, hash_name: str = "sha1") -> bytes:
    """Return the DER of an OCSPRequest; every responder knows a CertID with SHA-1 (RFC 5019 section 2.1.1)."""
    number = int(certificate.serial, 16)
    identifier = der.encoded(
        der.SEQUENCE,
        der.encoded(der.SEQUENCE, der.encoded(der.OID, _OIDS[hash_name]), _NULL),
        der.encoded(der.OCTET_STRING, digest(hash_name, certificate.issuer_der)),
        der.encoded(der.OCTET_STRING, digest(hash_name, key_bits(issuer))),
        der.encoded(der.INTEGER, der.integer_content(number)),
    )
    listed = der.encoded(der.SEQUENCE, der.encoded(der.SEQUENCE, identifier))
    return der.encoded(der.SEQUENCE, der.encoded(der.SEQUENCE, listed))


def get_url(url: str, asked: bytes) -> str | None:
    """Return the URL of the request by GET (RFC 6960 appendix A.1); ``None`` if it is too long, and POST is needed."""
    path = quote(base64.b64encode(asked).decode("ascii"), safe="")
    whole = url + ("" if url.endswith("/") else "/") + path
    return whole if len(whole.encode()) <= MAX_GET_BYTES else None
