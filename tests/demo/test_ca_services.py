from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp

from scanner.demo.ca_services import authority_url, ca_services, crl_url, make_crl, ocsp_answer, ocsp_staple, ocsp_url
from scanner.demo.pki import DemoAuthority, Pki
from scanner.demo.servers import MAX_REQUEST
from scanner.trust.revocation import judge_crl, judge_ocsp_untrusted, judge_staple_untrusted
from scanner.x509.certificate import Certificate
from scanner.x509.crl import load_crl_untrusted
from scanner.x509.ocsp_request import encode_request

NOW = 1_795_435_200.0


@pytest.fixture(scope="module")
def pki() -> Pki:
    made = Pki(NOW)
    made.services_url = "http://127.0.0.1:1"
    return made


def parsed(leaf: bytes, issuer: DemoAuthority) -> tuple[Certificate, Certificate]:
    return Certificate.parse_untrusted(leaf), Certificate.parse_untrusted(issuer.der)


def test_the_responder_knows_what_was_revoked(pki: Pki) -> None:
    good, bad = pki.leaf("a.test"), pki.revoke(pki.leaf("b.test"), x509.ReasonFlags.superseded)
    for credential, status, reason in ((good, "good", None), (bad, "revoked", "superseded")):
        own = parsed(credential.leaf, pki.issuing)
        said = judge_ocsp_untrusted(ocsp_answer(pki, encode_request(*own)), *own, NOW, "u")
        assert (said.status, said.reason) == (status, reason)


def test_the_responder_answers_for_every_authority(pki: Pki) -> None:
    own = parsed(pki.issuing.der, pki.root)
    assert judge_ocsp_untrusted(ocsp_answer(pki, encode_request(*own)), *own, NOW, "u").status == "good"
    leaf = pki.leaf("rsa.test", issuer=pki.issuing_rsa).leaf
    own = parsed(leaf, pki.issuing_rsa)
    assert judge_ocsp_untrusted(ocsp_answer(pki, encode_request(*own)), *own, NOW, "u").status == "good"


def test_the_responder_refuses_unknown_issuers_and_malformed_requests(pki: Pki) -> None:
    stranger = Pki(NOW)
    own = parsed(stranger.leaf("a.test").leaf, stranger.issuing)
    refused = ocsp.load_der_ocsp_response(ocsp_answer(pki, encode_request(*own)))
    assert refused.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
    nonsense = ocsp.load_der_ocsp_response(ocsp_answer(pki, b"nonsense"))
    assert nonsense.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_crls_list_the_revoked_certificates(pki: Pki) -> None:
    extension = (crl_url(pki, pki.issuing), False)
    good = pki.leaf("a.test", extensions=[extension])
    bad = pki.revoke(pki.leaf("b.test", extensions=[extension]), x509.ReasonFlags.key_compromise)
    data = make_crl(pki, pki.issuing)
    for credential, status in ((good, "good"), (bad, "revoked")):
        own = parsed(credential.leaf, pki.issuing)
        [url] = own[0].crl_urls
        assert judge_crl(load_crl_untrusted(data), *own, NOW, url).status == status


def test_staples_verify(pki: Pki) -> None:
    leaf = pki.leaf("a.test").leaf
    own = parsed(leaf, pki.issuing)
    assert judge_staple_untrusted(ocsp_staple(pki, leaf, pki.issuing), *own, NOW).status == "good"
    assert judge_staple_untrusted(ocsp_staple(pki, leaf, pki.issuing, revoked=True), *own, NOW).status == "revoked"


def test_certificates_have_the_urls_of_the_services(pki: Pki) -> None:
    [access] = list(ocsp_url(pki))
    assert access.access_location.value == "http://127.0.0.1:1/ocsp"
    assert authority_url(pki, pki.issuing) == f"http://127.0.0.1:1/ca/{pki.issuing.certificate.serial_number:x}"


async def _request_over_http(pki: Pki, request: bytes) -> bytes:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    received = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, ca_services(pki), [listener])
        async with await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1]) as stream:
            for at in range(0, len(request), 50):
                await stream.send_all(request[at : at + 50])
            await stream.send_eof()
            while chunk := await stream.receive_some():
                received += chunk
        nursery.cancel_scope.cancel()
    return received


def test_ocsp_crls_and_issuers_are_served_over_http(pki: Pki) -> None:
    own = parsed(pki.leaf("a.test").leaf, pki.issuing)
    asked = encode_request(*own)
    by_get = f"GET /ocsp/{quote(base64.b64encode(asked), safe='')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    by_post = b"POST /ocsp HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(asked) + asked
    for request in (by_get, by_post):
        head, _, body = trio.run(_request_over_http, pki, request).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK") and b"application/ocsp-response" in head
        assert judge_ocsp_untrusted(body, *own, NOW, "u").status == "good"
    serial = f"{pki.issuing.certificate.serial_number:x}".encode()
    _, _, body = trio.run(_request_over_http, pki, b"GET /ca/" + serial + b" HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert body == pki.issuing.certificate.public_bytes(serialization.Encoding.DER)
    _, _, body = trio.run(_request_over_http, pki, b"GET /crl/" + serial + b" HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert x509.load_der_x509_crl(body).is_signature_valid(pki.issuing.certificate.public_key())  # type: ignore[arg-type]
    for path, wanted in ((b"/page", b"200 OK"), (b"/crl/lost", b"404 Not Found"), (b"/ocsp/!!", b"200 OK")):
        assert wanted in trio.run(_request_over_http, pki, b"GET " + path + b" HTTP/1.1\r\n\r\n").partition(b"\r\n")[0]
    assert trio.run(_request_over_http, pki, b"GET /half") == b""
    assert trio.run(_request_over_http, pki, b"GET /" + b"x" * MAX_REQUEST) == b""


def test_answers_signed_by_another_issuer_are_refused(pki: Pki) -> None:
    leaf = pki.leaf("a.test").leaf
    other = pki.authority("Demo Other CA")
    said = judge_staple_untrusted(ocsp_staple(pki, leaf, other), *parsed(leaf, pki.issuing), NOW)
    assert said.status == "invalid"
