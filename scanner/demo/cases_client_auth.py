"""Servers that ask for a client certificate, and how they treat clients that have none."""

from __future__ import annotations

import ssl
from functools import partial
from typing import Final

from scanner.demo.cases import DemoCase, asking_for_certificate, failing_case

_PAGE: Final = (
    b"<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body>\r\n"
    b"<center><h1>400 Bad Request</h1></center>\r\n</body>\r\n</html>\r\n"
)
# nginx's answer with ssl_verify_client on
_REFUSAL: Final = (
    b"HTTP/1.1 400 Bad Request\r\nServer: demo\r\nContent-Type: text/html\r\n"
    + f"Content-Length: {len(_PAGE)}\r\n".encode()
    + b"Connection: close\r\n\r\n"
    + _PAGE
)


_client_auth_case: Final = partial(failing_case, "client-certificate")

CASES: Final = (
    _client_auth_case(
        "client-cert-required",
        "client-certificate-required",
        "TLS 1.3: the handshake ends well, and then an alert says that a certificate is required.",
        asking_for_certificate(ssl.CERT_REQUIRED),
        owner="payments",
    ),
    _client_auth_case(
        "client-cert-required-tls12",
        "client-certificate-required",
        "TLS 1.2: refuses the handshake of clients without a certificate.",
        asking_for_certificate(ssl.CERT_REQUIRED, maximum=ssl.TLSVersion.TLSv1_2),
        owner="payments",
    ),
    _client_auth_case(
        "client-cert-page",
        "client-certificate-required-by-application",
        "Completes the handshake without a client certificate, and answers HTTP 400 for want of it, as nginx does.",
        asking_for_certificate(ssl.CERT_OPTIONAL, refusal=_REFUSAL),
        protocol="https",
        owner="payments",
    ),
    DemoCase(
        name="client-cert-optional",
        story="Asks for a client certificate and serves everybody.",
        code="client-certificate-optional",
        protocol="https",
        owner="payments",
        servers=(asking_for_certificate(ssl.CERT_OPTIONAL),),
    ),
    DemoCase(
        name="client-cert-optional-tls12",
        story="Asks for a client certificate in TLS 1.2 and serves everybody.",
        code="client-certificate-optional",
        owner="payments",
        servers=(asking_for_certificate(ssl.CERT_OPTIONAL, maximum=ssl.TLSVersion.TLSv1_2),),
    ),
)
