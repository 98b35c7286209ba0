"""Reads signed certificate timestamps (RFC 6962 section 3), and verifies them with a log's key.

The signature of an SCT inside a certificate is over the precertificate, which has to be rebuilt from what was issued:
the signed part without the list of SCTs. That is done by cutting the DER, so that every other byte stays as the CA
wrote it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from scanner.x509 import der, ocsp
from scanner.x509.certificate import Certificate
from scanner.x509.ocsp import OcspError, OcspRefusal
from scanner.x509.signatures import SignatureAlgorithm, verify_signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

SCT_LIST: Final = der.encoded_oid("1.3.6.1.4.1.11129.2.4.2")
POISON: Final = der.encoded_oid("1.3.6.1.4.1.11129.2.4.3")
STAPLED_SCT_LIST: Final = der.encoded_oid("1.3.6.1.4.1.11129.2.4.5")

# CAs embed up to six; each one costs a signature to verify, and a list of 64 KiB could hold a thousand.
MAX_SCTS: Final = 16
# sct_version v1, the only one of RFC 6962.
V1: Final = 0

_CERTIFICATE_TIMESTAMP: Final = b"\x00"
_X509_ENTRY: Final = b"\x00\x00"
_PRECERT_ENTRY: Final = b"\x00\x01"

# (hash, signature) of RFC 5246 section 7.4.1.4.1 that a log may use (RFC 6962 section 2.1.4)
_ALGORITHMS: Final = {
    (4, 3): SignatureAlgorithm("ecdsa-with-SHA256", "ec", "sha256"),
    (4, 1): SignatureAlgorithm("sha256WithRSAEncryption", "rsa", "sha256"),
}


class SctError(Exception):
    """The bytes are not an SCT, or a list of them, that can be read."""


class Sct(Struct, frozen=True):
    """One SCT of version 1. ``timestamp`` is milliseconds since the epoch; ``algorithm`` is (hash, signature)."""

    log_id: bytes
    timestamp: int
    extensions: bytes
    algorithm: tuple[int, int]
    signature: bytes

    @property
    def time(self) -> float:
        """The timestamp in seconds since the epoch."""
        return self.timestamp / 1000


# --- reading -------------------------------------------------------------------------------------


def list_untrusted(data: bytes) -> tuple[bytes, ...]:
    """Return the first ``MAX_SCTS`` of a SignedCertificateTimestampList (RFC 6962 section 3.3); raises only ``SctError``."""
    if len(data) < 2 or int.from_bytes(data[:2], "big") != len(data) - 2:
        raise SctError("the list's length does not fit")
    found = []
    at = 2
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        at += 2
        if not length or at + length > len(data):
            raise SctError("an SCT in the list is empty or cut off")
        found.append(data[at : at + length])
        at += length
    if not found:
        raise SctError("the list is empty")
    return tuple(found[:MAX_SCTS])


def sct_untrusted(data: bytes) -> Sct:
    """Read one SerializedSCT; raises only ``SctError``."""
    if not data:
        raise SctError("an SCT without content")
    if data[0] != V1:
        raise SctError(f"an SCT of version {data[0] + 1}")
    # version, log id, timestamp, length of the extensions
    if len(data) < 43:
        raise SctError("an SCT that is cut off")
    extensions_stop = 43 + int.from_bytes(data[41:43], "big")
    signature_start = extensions_stop + 4
    if len(data) < signature_start:
        raise SctError("an SCT that is cut off")
    length = int.from_bytes(data[extensions_stop + 2 : signature_start], "big")
    if signature_start + length != len(data):
        raise SctError("an SCT whose signature does not end where it does")
    return Sct(
        data[1:33],
        int.from_bytes(data[33:41], "big"),
        data[43:extensions_stop],
        (data[extensions_stop], data[extensions_stop + 1]),
        data[signature_start:],
    )


def embedded_untrusted(certificate: Certificate) -> tuple[bytes, ...]:
    """Return the SerializedSCTs inside a certificate; raises only ``SctError``."""
    extension = certificate.extension(SCT_LIST)
    return () if extension is None else _in_octets_untrusted(extension)


def sct_times_untrusted(certificate: Certificate) -> tuple[float, ...]:
    """Return the times (epoch seconds) of the readable SCTs inside a certificate, sorted; verifies nothing."""
    times = []
    try:
        serialized = embedded_untrusted(certificate)
    except SctError:
        return ()
    for data in serialized:
        try:
            times.append(sct_untrusted(data).time)
        except SctError:
            continue
    return tuple(sorted(times))


def stapled_untrusted(response: bytes, certificate: Certificate) -> tuple[bytes, ...]:
    """Return the SerializedSCTs in an OCSP response, which is not verified: an SCT has a signature; raises only ``SctError``."""
    try:
        singles = ocsp.parse_untrusted(response).singles
    except OcspRefusal:
        return ()
    except OcspError as error:
        raise SctError(f"the OCSP response: {error}") from None
    serial = int(certificate.serial, 16)
    for single in singles:
        if single.serial == serial and STAPLED_SCT_LIST in single.extensions:
            return _in_octets_untrusted(single.extensions[STAPLED_SCT_LIST][1])
    return ()


def _in_octets_untrusted(content: bytes) -> tuple[bytes, ...]:
    try:
        start, stop = der.whole_untrusted(content, der.OCTET_STRING, "SCT list")
    except der.DerError as error:
        raise SctError(str(error)) from None
    return list_untrusted(content[start:stop])


# --- rebuilding ----------------------------------------------------------------------------------


def precertificate_untrusted(certificate: Certificate) -> bytes:
    """Return the TBSCertificate that logs signed (RFC 6962 section 3.2): without SCT list and poison. Raises only ``SctError``."""
    try:
        return _without_untrusted(certificate.tbs_der, frozenset((SCT_LIST, POISON)))
    except der.DerError as error:
        raise SctError(f"the precertificate cannot be rebuilt: {error}") from None


def _without_untrusted(tbs: bytes, oids: frozenset[bytes]) -> bytes:
    start, stop = der.whole_untrusted(tbs, der.SEQUENCE, "tbsCertificate")
    at = start
    while at < stop:
        tag, inner_start, inner_stop = der.header_untrusted(tbs, at, stop)
        if tag == 0xA3:
            list_start, list_stop = der.expect_untrusted(tbs, inner_start, inner_stop, der.SEQUENCE, "extensions")
            kept = bytearray()
            extension_at = list_start
            while extension_at < list_stop:
                extension_start, extension_stop = der.expect_untrusted(
                    tbs, extension_at, list_stop, der.SEQUENCE, "extension"
                )
                oid_start, oid_stop = der.expect_untrusted(tbs, extension_start, extension_stop, der.OID, "extension")
                if tbs[oid_start:oid_stop] not in oids:
                    kept += tbs[extension_at:extension_stop]
                extension_at = extension_stop
            # `extensions` is a SEQUENCE of at least one, and left out where there is none (RFC 5280 section 4.1)
            extensions = der.encoded(0xA3, der.encoded(der.SEQUENCE, bytes(kept))) if kept else b""
            return der.encoded(der.SEQUENCE, tbs[start:at] + extensions + tbs[inner_stop:stop])
        at = inner_stop
    return tbs


# --- verifying -----------------------------------------------------------------------------------


def x509_entry(certificate: Certificate) -> bytes:
    """Return what a log signs for an issued certificate: entry type and ASN.1Cert (RFC 6962 section 3.2)."""
    return _X509_ENTRY + len(certificate.der).to_bytes(3, "big") + certificate.der


def precert_entry_untrusted(certificate: Certificate, issuer: Certificate) -> bytes:
    """Return what a log signed before the certificate was issued: entry type and PreCert; raises only ``SctError``."""
    rebuilt = precertificate_untrusted(certificate)
    key_hash = hashlib.sha256(issuer.spki_der).digest()
    return _PRECERT_ENTRY + key_hash + len(rebuilt).to_bytes(3, "big") + rebuilt


def signature_flaw(sct: Sct, entry: bytes, key: CertificatePublicKeyTypes) -> str | None:
    """Return what is wrong with an SCT's signature over an entry; ``None`` if the log's key verifies it."""
    algorithm = _ALGORITHMS.get(sct.algorithm)
    if algorithm is None:
        return "its signature is of a kind that logs do not use"
    signed = b"".join(
        (
            bytes((V1,)),
            _CERTIFICATE_TIMESTAMP,
            sct.timestamp.to_bytes(8, "big"),
            entry,
            len(sct.extensions).to_bytes(2, "big"),
            sct.extensions,
        )
    )
    return (
        None
        if verify_signature(key, algorithm, sct.signature, signed)
        else "its signature does not verify with the log's key"
    )
