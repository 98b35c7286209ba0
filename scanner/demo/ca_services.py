"""The HTTP services of the demo's CA: an OCSP responder, CRLs, and CA certificates.

``/ocsp`` answers GET and POST (RFC 6960 appendix A), ``/crl/SERIAL`` is the CRL of the authority with that serial number,
``/ca/SERIAL`` its certificate. The ``Pki`` has the revoked certificates. ``/page`` is a web page where a CRL is expected.
"""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Final
from urllib.parse import unquote

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from scanner.demo.pki import DAY, DemoAuthority, Pki, der
from scanner.demo.servers import MAX_REQUEST, REQUEST_SECONDS, Handler

# Responders commonly backdate their answers for clients with slow clocks.
BACKDATING: Final = timedelta(minutes=10)
VALIDITY: Final = timedelta(days=3)
REVOKED_AGO: Final = 2 * DAY

_PAGE: Final = b"<!DOCTYPE html><html><title>Welcome</title><body>It works!</body></html>\n"


def ocsp_url(pki: Pki) -> x509.AuthorityInformationAccess:
    """Return the extension with the URL of the OCSP responder."""
    responder = x509.UniformResourceIdentifier(f"{pki.services_url}/ocsp")
    return x509.AuthorityInformationAccess([x509.AccessDescription(x509.OID_OCSP, responder)])


def authority_url(pki: Pki, authority: DemoAuthority) -> str:
    """Return the URL of an authority's certificate."""
    return f"{pki.services_url}/ca/{authority.certificate.serial_number:x}"


def crl_url(pki: Pki, authority: DemoAuthority) -> x509.CRLDistributionPoints:
    """Return the extension with the URL of an authority's CRL."""
    return distribution_points(_list_url(pki, authority))


def distribution_points(*urls: str) -> x509.CRLDistributionPoints:
    """Return a cRLDistributionPoints extension with one point per URL."""
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]
    )


def _list_url(pki: Pki, authority: DemoAuthority) -> str:
    return f"{pki.services_url}/crl/{authority.certificate.serial_number:x}"


# --- answers -------------------------------------------------------------------------------------------


def ocsp_staple(
    pki: Pki,
    leaf: bytes,
    issuer: DemoAuthority,
    *,
    revoked: bool = False,
    age: timedelta = BACKDATING,
) -> bytes:
    """Return an OCSP response about ``leaf``, signed by its issuer ``age`` ago."""
    certificate = x509.load_der_x509_certificate(leaf)
    made = pki.now - age
    builder = ocsp.OCSPResponseBuilder().add_response(
        certificate,
        issuer.certificate,
        hashes.SHA1(),
        ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
        made,
        made + VALIDITY,
        pki.now - REVOKED_AGO if revoked else None,
        x509.ReasonFlags.key_compromise if revoked else None,
    )
    return _signed(builder, issuer)


def _signed(builder: ocsp.OCSPResponseBuilder, issuer: DemoAuthority) -> bytes:
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def ocsp_answer(pki: Pki, asked: bytes) -> bytes:
    """Return the responder's answer to an OCSPRequest."""
    try:
        request = ocsp.load_der_ocsp_request(asked)
        serial, name_hash, key_hash = request.serial_number, request.issuer_name_hash, request.issuer_key_hash
        algorithm = request.hash_algorithm
    except ValueError:
        return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    authority = next((each for each in pki.authorities if _key_hash(each, algorithm) == key_hash), None)
    if authority is None:
        return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    revoked = pki.revoked.get(serial)
    made = pki.now - BACKDATING
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        name_hash,
        key_hash,
        serial,
        algorithm,
        ocsp.OCSPCertStatus.GOOD if revoked is None else ocsp.OCSPCertStatus.REVOKED,
        made,
        made + VALIDITY,
        None if revoked is None else pki.now - REVOKED_AGO,
        revoked,
    )
    return _signed(builder, authority)


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(serialization.Encoding.DER)


def _key_hash(authority: DemoAuthority, algorithm: hashes.HashAlgorithm) -> bytes:
    # SubjectKeyIdentifier.from_public_key is the SHA-1 of the key's BIT STRING, which is what OCSP hashes.
    if isinstance(algorithm, hashes.SHA1):
        return x509.SubjectKeyIdentifier.from_public_key(authority.key.public_key()).digest
    return b""


def make_crl(pki: Pki, authority: DemoAuthority) -> bytes:
    """Return an authority's CRL. It lists all revoked certificates of the demo, whose serial numbers are unique."""
    made = pki.now - BACKDATING
    own = x509.UniformResourceIdentifier(_list_url(pki, authority))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(made)
        .next_update(made + VALIDITY)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.IssuingDistributionPoint([own], None, False, False, None, False, False),
            critical=True,
        )
    )
    for serial, reason in pki.revoked.items():
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(pki.now - REVOKED_AGO)
        builder = builder.add_revoked_certificate(entry.add_extension(x509.CRLReason(reason), critical=False).build())
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


# --- HTTP ----------------------------------------------------------------------------------------------


def ca_services(pki: Pki) -> Handler:
    """Return a handler that answers one request per connection; unknown paths get 404."""

    async def handle(stream: trio.SocketStream) -> None:
        received = b""
        with trio.move_on_after(REQUEST_SECONDS):
            while (whole := _parse_request(received)) is None and len(received) < MAX_REQUEST:
                chunk = await stream.receive_some()
                if not chunk:
                    return
                received += chunk
            if whole is None:
                return
            status, kind, body = _answer_request(pki, *whole)
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            await stream.send_all(head.encode() + body)

    return handle


def _parse_request(received: bytes) -> tuple[str, str, bytes] | None:
    """Return (method, path, body) of a request, or ``None`` if it is incomplete."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    first, _, fields = head.decode("latin-1").partition("\r\n")
    length = 0
    for line in fields.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length" and value.strip().isdigit():
            length = int(value)
    if len(body) < length:
        return None
    method, _, target = first.partition(" ")
    return method, target.partition(" ")[0], body


def _answer_request(pki: Pki, method: str, path: str, body: bytes) -> tuple[str, str, bytes]:
    service, _, rest = path.lstrip("/").partition("/")
    if service == "ocsp" and method == "POST":
        return "200 OK", "application/ocsp-response", ocsp_answer(pki, body)
    if service == "ocsp" and method == "GET":
        try:
            asked = base64.b64decode(unquote(rest), validate=True)
        except (binascii.Error, ValueError):
            asked = b""
        return "200 OK", "application/ocsp-response", ocsp_answer(pki, asked)
    if service == "page":
        return "200 OK", "text/html", _PAGE
    for authority in pki.authorities:
        if rest == f"{authority.certificate.serial_number:x}":
            if service == "crl":
                return "200 OK", "application/pkix-crl", make_crl(pki, authority)
            if service == "ca":
                return "200 OK", "application/pkix-cert", der(authority.certificate)
    return "404 Not Found", "text/plain", b"There is nothing here.\n"
