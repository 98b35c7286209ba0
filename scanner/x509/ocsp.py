"""OCSP responses (RFC 6960, RFC 5019): read, and verified for one certificate.

A response counts if it is about the very certificate, signed by its issuer or by a responder to which the issuer
delegated this, and current (``scanner.trust.revocation`` adds the time). A nonce is neither sent nor expected:
responses are made ahead of time everywhere. Responses come from responders and servers, so every error is an
``OcspError`` with a message for a person.

Why not ``cryptography.x509.ocsp``, which reads a response in half the time (6 and 13 microseconds, once for each)?
Tried with version 50 on the 2,100 responses of the tests, most of them damaged:

- it has no parameters of the signature algorithm, so no response signed with RSASSA-PSS can be verified with it;
- one certificate beside the responder's that its strict parser refuses (a malformed time is enough) costs the whole
  response, which OpenSSL reads: certificates are parsed here one by one, when their turn comes;
- a reason of revocation that RFC 5280 does not number raises ``ValueError`` where the status is all that matters;
- its errors are the parser's (``InvalidValue, location: [...]``), and a finding says what is wrong in words.

``scanner.x509.crl`` has a reader of its own for another reason, the size of lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, field

from scanner.caching import bounded_memo
from scanner.x509 import certificate_fields as fields
from scanner.x509 import der, extensions
from scanner.x509.certificate import Certificate, CertificateError
from scanner.x509.distinguished import comparable, name_text
from scanner.x509.ocsp_request import HASHES, digest, key_bits
from scanner.x509.signatures import SignatureAlgorithm, algorithm_untrusted

# A response for one certificate has 300 bytes to 3 KB; those with a chain of signers in them some 10 KB.
MAX_RESPONSE_BYTES: Final = 256 << 10
# Responses about many certificates at once are allowed and rare.
MAX_SINGLES: Final = 1000
# The responder's certificate is one; some send the chain above it too.
MAX_CERTIFICATES: Final = 8
# RFC 5280 section 4.1.2.2 allows 20 bytes; some CAs have exceeded it, and none by this much.
MAX_SERIAL_BYTES: Final = 1024
# Hexadecimal digits of a serial number that an error message shows.
SERIAL_SHOWN: Final = 64
# Characters of an error message: the names in it are from the response, and may fill it.
MAX_MESSAGE: Final = 1000

_BASIC: Final = der.encoded_oid("1.3.6.1.5.5.7.48.1.1")
# With these anybody can make another response, list or certificate of the same hash.
BROKEN_HASHES: Final = frozenset({"md2", "md4", "md5"})
# id-pkix-ocsp-nonce: critical in some answers, and no reason to refuse one.
_NONCE: Final = der.encoded_oid("1.3.6.1.5.5.7.48.1.2")

TRY_LATER: Final = 3
# RFC 6960 section 4.2.1; 4 is not used
_UNSUCCESSFUL: Final = {
    1: "malformedRequest",
    2: "internalError",
    3: "tryLater",
    5: "sigRequired",
    6: "unauthorized",
}
# RFC 5280 section 5.3.1; 7 is not used
REASONS: Final = {
    0: "unspecified",
    1: "keyCompromise",
    2: "cACompromise",
    3: "affiliationChanged",
    4: "superseded",
    5: "cessationOfOperation",
    6: "certificateHold",
    8: "removeFromCRL",
    9: "privilegeWithdrawn",
    10: "aACompromise",
}


class OcspError(Exception):
    """These bytes prove nothing about the certificate; the message tells a person why.

    ``fault`` is the kind of error, since clients differ in which they tolerate: "malformed", "refused", "try-later",
    "other-certificate", "signature", "signer".
    """

    def __init__(self, message: str, fault: str = "malformed") -> None:
        super().__init__(message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…")
        self.fault: Final = fault


class OcspRefusal(OcspError):
    """The responder refused (OCSPResponseStatus other than successful)."""


class SingleResponse(Struct, frozen=True):
    """The status of one certificate. Times are seconds since the epoch; ``reason`` is one of ``REASONS``."""

    hash_name: str | None
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int
    status: Literal["good", "revoked", "unknown"]
    this_update: float
    next_update: float | None = None
    revoked_at: float | None = None
    reason: str | None = None
    extensions: Mapping[bytes, tuple[bool, bytes]] = field(default_factory=dict)
    unknown_critical: str | None = None  # the first critical extension that is not known, dotted


class Response(Struct, frozen=True):
    """A BasicOCSPResponse, read and not verified. One of ``responder_name`` (DER) and ``responder_key`` is set."""

    tbs_der: bytes
    algorithm: SignatureAlgorithm
    signature: bytes
    responder_name: bytes | None
    responder_key: bytes | None
    produced_at: float
    singles: tuple[SingleResponse, ...]
    certificates: tuple[bytes, ...] = ()
    unknown_critical: str | None = None


class Verified(Struct, frozen=True):
    """A response about one certificate, with the validity of its signer, which the caller compares with the time."""

    single: SingleResponse
    produced_at: float
    responder: str
    delegated: bool
    not_before: float
    not_after: float


# --- reading ---------------------------------------------------------------------------------------


# A staple is read twice in a row, for the SCTs in it and to verify it.
@bounded_memo(32, 16_384)
def parse_untrusted(data: bytes) -> Response:
    """Read an OCSPResponse (RFC 6960 section 4.2.1); raises only ``OcspError``."""
    if len(data) > MAX_RESPONSE_BYTES:
        raise OcspError(f"{len(data)} bytes, more than the {MAX_RESPONSE_BYTES} read as one response")
    try:
        return _parse(data)
    except der.DerError as error:
        raise OcspError(f"not an OCSP response: {what_instead(data) or error}") from None


def what_instead(data: bytes) -> str | None:
    """Return what these bytes are if they are evidently not DER, for an error message."""
    if not data:
        return "empty"
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")) or b"<html" in start:
        return "an HTML page"
    if start.startswith(b"<"):
        return "XML or HTML"
    if start.startswith((b"{", b"[")):
        return "JSON"
    if data[0] != der.SEQUENCE and data[:64].isascii() and all(byte >= 0x20 or byte in b"\r\n\t" for byte in data[:64]):
        return "text"
    return None


def _parse(data: bytes) -> Response:
    start, stop = der.whole_untrusted(data, der.SEQUENCE, "OCSPResponse")
    status_start, status_stop = der.expect_untrusted(data, start, stop, der.ENUMERATED, "responseStatus")
    status = der.integer_untrusted(data, status_start, status_stop)
    if status:
        fault = "try-later" if status == TRY_LATER else "refused"
        raise OcspRefusal(f"the responder says {_UNSUCCESSFUL.get(status, f'status {status}')}", fault)
    at, end = der.expect_untrusted(data, status_stop, stop, 0xA0, "responseBytes")
    at, end = der.expect_untrusted(data, at, end, der.SEQUENCE, "responseBytes")
    oid_start, oid_stop = der.expect_untrusted(data, at, end, der.OID, "responseType")
    if data[oid_start:oid_stop] != _BASIC:
        raise OcspError(f"a response of type {der.oid_untrusted(data[oid_start:oid_stop])}, which nobody reads")
    at, end = der.expect_untrusted(data, oid_stop, end, der.OCTET_STRING, "response")
    at, end = der.expect_untrusted(data, at, end, der.SEQUENCE, "BasicOCSPResponse")

    tbs_at = at
    tbs_start, tbs_stop = der.expect_untrusted(data, at, end, der.SEQUENCE, "tbsResponseData")
    encoded, algorithm_stop = der.element_untrusted(data, tbs_stop, end, der.SEQUENCE, "signatureAlgorithm")
    algorithm = algorithm_untrusted(encoded)
    bits_start, bits_stop = der.expect_untrusted(data, algorithm_stop, end, der.BIT_STRING, "signature")
    unused, signature = der.bits_untrusted(data, bits_start, bits_stop)
    if unused:
        raise der.DerError("signature: not a whole number of bytes")
    certificates: tuple[bytes, ...] = ()
    if bits_stop < end:
        certs_start, certs_stop = der.expect_untrusted(data, bits_stop, end, 0xA0, "certs")
        certs_start, certs_stop = der.expect_untrusted(data, certs_start, certs_stop, der.SEQUENCE, "certs")
        found = []
        while certs_start < certs_stop:
            _, _, next_at = der.header_untrusted(data, certs_start, certs_stop)
            found.append(data[certs_start:next_at])
            certs_start = next_at
        certificates = tuple(found)
    name, key, produced_at, singles, unknown = _response_data(data, tbs_start, tbs_stop)
    return Response(data[tbs_at:tbs_stop], algorithm, signature, name, key, produced_at, singles, certificates, unknown)


def _response_data(
    data: bytes, at: int, end: int
) -> tuple[bytes | None, bytes | None, float, tuple[SingleResponse, ...], str | None]:
    """Read tbsResponseData: responder's name and key, producedAt, the responses, an unknown critical extension."""
    if at < end and data[at] == 0xA0:  # version
        _, _, at = der.header_untrusted(data, at, end)
    tag, start, stop = der.header_untrusted(data, at, end)
    name = key = None
    if tag == 0xA1:
        name = data[start:stop]
    elif tag == 0xA2:
        key_start, key_stop = der.expect_untrusted(data, start, stop, der.OCTET_STRING, "responderID")
        key = data[key_start:key_stop]
    else:
        raise der.DerError(f"responderID: tag 0x{tag:02x}")
    time_start, time_stop = der.expect_untrusted(data, stop, end, der.GENERALIZED_TIME, "producedAt")
    produced_at = fields.time_untrusted(der.GENERALIZED_TIME, data[time_start:time_stop])
    list_start, list_stop = der.expect_untrusted(data, time_stop, end, der.SEQUENCE, "responses")
    unknown = None
    singles: list[SingleResponse] = []
    while list_start < list_stop:
        if len(singles) == MAX_SINGLES:
            raise OcspError(f"a response about more than {MAX_SINGLES} certificates")
        single_start, single_stop = der.expect_untrusted(data, list_start, list_stop, der.SEQUENCE, "SingleResponse")
        singles.append(_single(data, single_start, single_stop))
        list_start = single_stop
    if list_stop < end:
        ext_start, ext_stop = der.expect_untrusted(data, list_stop, end, 0xA1, "responseExtensions")
        unknown = _unknown_critical(extensions.split_untrusted(data, ext_start, ext_stop, []))
    return name, key, produced_at, tuple(singles), unknown


def _single(data: bytes, at: int, end: int) -> SingleResponse:
    id_start, id_stop = der.expect_untrusted(data, at, end, der.SEQUENCE, "certID")
    hash_start, hash_stop = der.expect_untrusted(data, id_start, id_stop, der.SEQUENCE, "certID")
    oid_start, oid_stop = der.expect_untrusted(data, hash_start, hash_stop, der.OID, "certID: hashAlgorithm")
    name_start, name_stop = der.expect_untrusted(data, hash_stop, id_stop, der.OCTET_STRING, "issuerNameHash")
    key_start, key_stop = der.expect_untrusted(data, name_stop, id_stop, der.OCTET_STRING, "issuerKeyHash")
    serial_start, serial_stop = der.expect_untrusted(data, key_stop, id_stop, der.INTEGER, "serialNumber")
    if serial_stop - serial_start > MAX_SERIAL_BYTES:
        raise der.DerError(f"serialNumber: {serial_stop - serial_start} bytes")
    tag, start, stop = der.header_untrusted(data, id_stop, end)
    status: Literal["good", "revoked", "unknown"]
    revoked_at = reason = None
    if tag == 0x80:
        status = "good"
    elif tag == 0x82:
        status = "unknown"
    elif tag == 0xA1:
        status = "revoked"
        time_start, time_stop = der.expect_untrusted(data, start, stop, der.GENERALIZED_TIME, "revocationTime")
        revoked_at = fields.time_untrusted(der.GENERALIZED_TIME, data[time_start:time_stop])
        if time_stop < stop:
            reason_start, reason_stop = der.expect_untrusted(data, time_stop, stop, 0xA0, "revocationReason")
            reason_start, reason_stop = der.expect_untrusted(
                data, reason_start, reason_stop, der.ENUMERATED, "CRLReason"
            )
            reason = reason_untrusted(data, reason_start, reason_stop)
    else:
        raise der.DerError(f"certStatus: tag 0x{tag:02x}")
    time_start, time_stop = der.expect_untrusted(data, stop, end, der.GENERALIZED_TIME, "thisUpdate")
    this_update = fields.time_untrusted(der.GENERALIZED_TIME, data[time_start:time_stop])
    next_update: float | None = None
    found: dict[bytes, tuple[bool, bytes]] = {}
    for tag, start, stop in der.children_untrusted(data, time_stop, end):
        if tag == 0xA0:
            time_start, time_stop = der.expect_untrusted(data, start, stop, der.GENERALIZED_TIME, "nextUpdate")
            next_update = fields.time_untrusted(der.GENERALIZED_TIME, data[time_start:time_stop])
        elif tag == 0xA1:
            found = extensions.split_untrusted(data, start, stop, [])
        else:
            raise der.DerError(f"SingleResponse: tag 0x{tag:02x}")
    return SingleResponse(
        HASHES.get(data[oid_start:oid_stop]),
        data[name_start:name_stop],
        data[key_start:key_stop],
        int.from_bytes(data[serial_start:serial_stop], "big", signed=True),
        status,
        this_update,
        next_update,
        revoked_at,
        reason,
        found,
        _unknown_critical(found),
    )


def reason_untrusted(data: bytes, start: int, stop: int) -> str:
    """Decode the content of a CRLReason to its name, or to its number as text."""
    number = der.integer_untrusted(data, start, stop)
    return REASONS.get(number) or str(number)


def _unknown_critical(found: Mapping[bytes, tuple[bool, bytes]]) -> str | None:
    """Return the first critical extension that is not known, dotted."""
    return next((der.oid_untrusted(oid) for oid, (critical, _) in found.items() if critical and oid != _NONCE), None)


# --- verifying -------------------------------------------------------------------------------------


def verify_untrusted(data: bytes, certificate: Certificate, issuer: Certificate) -> Verified:
    """Verify what ``data`` says of ``certificate``, issued by ``issuer``, time apart; raises only ``OcspError``."""
    response = parse_untrusted(data)
    for unknown in (*[single.unknown_critical for single in response.singles], response.unknown_critical):
        if unknown is not None:
            raise OcspError(f"a critical extension that is not known: {unknown}")
    single = _about(response, certificate, issuer)
    if response.algorithm.hash in BROKEN_HASHES:
        raise OcspError(f"it is signed with {response.algorithm.name}", "signature")
    refused: list[OcspError] = []
    if _names(response, issuer):
        if _signed(response, issuer):
            return Verified(single, response.produced_at, issuer.subject, False, issuer.not_before, issuer.not_after)
        refused.append(OcspError("its signature does not verify with the issuer's key", "signature"))
    for encoded in response.certificates[:MAX_CERTIFICATES]:
        try:
            signer = Certificate.parse_untrusted(encoded)
        except CertificateError as error:
            refused.append(OcspError(f"a certificate in it cannot be read: {error}"))
            continue
        if not _names(response, signer) or signer == issuer:
            continue
        objection = _objection(signer, issuer)
        if objection is not None:
            refused.append(OcspError(objection, "signer"))
        elif _signed(response, signer):
            return Verified(single, response.produced_at, signer.subject, True, signer.not_before, signer.not_after)
        else:
            refused.append(OcspError("its signature does not verify with the responder's key", "signature"))
    raise refused[0] if refused else OcspError(f"it is signed by somebody else: {_responder(response)}", "signer")


def _about(response: Response, certificate: Certificate, issuer: Certificate) -> SingleResponse:
    """Return the part about this certificate: a revoked one before any other, then the newest."""
    serial = int(certificate.serial, 16)
    found = []
    for single in response.singles:
        if single.serial != serial or single.hash_name is None:
            continue
        if single.issuer_name_hash != digest(single.hash_name, certificate.issuer_der):
            continue
        if single.issuer_key_hash == digest(single.hash_name, key_bits(issuer)):
            found.append(single)
    if not found:
        others = ", ".join(f"{single.serial:x}"[:SERIAL_SHOWN] for single in response.singles[:3])
        words = f"it is about another certificate (serial number {others})" if others else "it is about nothing"
        raise OcspError(words, "other-certificate")
    return max(found, key=lambda single: (single.status == "revoked", single.this_update))


def _names(response: Response, signer: Certificate) -> bool:
    """Return whether responderID is this certificate's subject or key (RFC 6960 section 4.2.2.3)."""
    if response.responder_name is not None:
        return response.responder_name == signer.subject_der or comparable(response.responder_name) == comparable(
            signer.subject_der
        )
    return response.responder_key == digest("sha1", key_bits(signer))


def _signed(response: Response, signer: Certificate) -> bool:
    return signer.verifies(response.algorithm, response.signature, response.tbs_der) is True


def _objection(signer: Certificate, issuer: Certificate) -> str | None:
    """Return why this certificate may not sign for the issuer (RFC 6960 section 4.2.2.2); ``None`` if it may."""
    if "OCSPSigning" not in (signer.extended_key_usage or ()):
        return f"its signer {signer.subject} is not allowed to sign OCSP responses"
    if comparable(signer.issuer_der) != comparable(issuer.subject_der) or signer.signed_by(issuer) is not True:
        return f"its signer {signer.subject} was not named by the certificate's issuer"
    if signer.signature_algorithm.hash in BROKEN_HASHES:
        return f"its signer's certificate is signed with {signer.signature}"
    if signer.unknown_critical:
        return f"its signer's certificate has a critical extension that is not known: {signer.unknown_critical[0]}"
    return None


def _responder(response: Response) -> str:
    if response.responder_name is not None:
        return name_text(response.responder_name).text
    return f"key {(response.responder_key or b'').hex()}"
