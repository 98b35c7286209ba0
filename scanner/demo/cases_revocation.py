"""Revoked certificates, certificates of unknown status, and all kinds of OCSP staples.

Python's ``ssl`` cannot staple, so the servers that do are scripted up to ServerHelloDone. ``ca_services`` answers OCSP
and CRL requests.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

from cryptography import x509

from scanner.demo import server_messages
from scanner.demo.ca_services import authority_url, crl_url, distribution_points, ocsp_staple, ocsp_url
from scanner.demo.cases import DemoCase, Endpoint, HandlerFactory, ServerFactory, failing_case, presenting
from scanner.demo.pki import DAY, Credential, Pki
from scanner.demo.servers import Handler, scripted

MUST_STAPLE: Final = (x509.TLSFeature([x509.TLSFeatureType.status_request]), False)


def _stapling(make: Callable[[Pki, Credential], bytes], *extensions: tuple[x509.ExtensionType, bool]) -> HandlerFactory:
    """Return a factory for a server with a valid certificate and the staple that ``make`` returns for it."""

    def build(factory: ServerFactory, endpoint: Endpoint) -> Handler:
        credential = factory.pki.leaf(endpoint.host, extensions=extensions)
        flight = partial(server_messages.server_flight, staple=make(factory.pki, credential))
        return scripted(
            credential, suites=[server_messages.ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], flight=flight
        )

    return build


def _good(pki: Pki, credential: Credential) -> bytes:
    return ocsp_staple(pki, credential.leaf, pki.issuing)


def _about_another(pki: Pki, credential: Credential) -> bytes:
    return ocsp_staple(pki, pki.leaf("another.example").leaf, pki.issuing)


def _badly_signed(pki: Pki, credential: Credential) -> bytes:
    response = _good(pki, credential)
    return response[:-1] + bytes([response[-1] ^ 1])


def _revoked_by_ocsp(pki: Pki, at: Endpoint) -> Credential:
    return pki.revoke(pki.leaf(at.host, extensions=[(ocsp_url(pki), False)]), x509.ReasonFlags.superseded)


def _revoked_by_crl(pki: Pki, at: Endpoint) -> Credential:
    credential = pki.leaf(at.host, extensions=[(crl_url(pki, pki.issuing), False)])
    return pki.revoke(credential, x509.ReasonFlags.key_compromise)


def _under_revoked(pki: Pki, at: Endpoint) -> Credential:
    authority = pki.authority("Demo Revoked CA", extensions=[(crl_url(pki, pki.root), False)])
    pki.revoked[authority.certificate.serial_number] = x509.ReasonFlags.ca_compromise
    return pki.leaf(at.host, issuer=authority)


def _good_by_ocsp_and_crl(pki: Pki, at: Endpoint) -> Credential:
    return pki.leaf(at.host, extensions=[(ocsp_url(pki), False), (crl_url(pki, pki.issuing), False)])


def _unobtainable_lists(pki: Pki, at: Endpoint) -> Credential:
    lists = distribution_points(f"{pki.services_url}/crl/lost", f"{pki.services_url}/page")
    return pki.leaf(at.host, extensions=[(lists, False)])


def _short_lived(pki: Pki, at: Endpoint) -> Credential:
    validity = (-DAY, timedelta(days=5, hours=20))
    return pki.leaf(
        at.host, validity=validity, extensions=[(distribution_points(f"{pki.services_url}/crl/lost"), False)]
    )


def _issuer_published(pki: Pki, at: Endpoint) -> Credential:
    authority = pki.authority("Demo Published CA")
    credential = pki.leaf(at.host, issuer=authority, issuer_url=authority_url(pki, authority))
    return credential.sending(credential.leaf)


_revoked_case: Final = partial(failing_case, "revoked")

CASES: Final = (
    DemoCase(
        name="staple-good",
        story="Staples an OCSP response that says: good.",
        servers=(_stapling(_good, MUST_STAPLE),),
    ),
    _revoked_case(
        "revoked-staple",
        "revoked-ocsp-staple",
        "The server's own staple says that the certificate is revoked.",
        _stapling(lambda pki, own: ocsp_staple(pki, own.leaf, pki.issuing, revoked=True)),
        owner="payments",
    ),
    _revoked_case(
        "revoked-ocsp",
        "revoked-ocsp",
        "The CA's responder says that the certificate is revoked.",
        presenting(_revoked_by_ocsp),
        owner="payments",
    ),
    _revoked_case(
        "revoked-crl",
        "revoked-crl",
        "The CA's revocation list has the certificate.",
        presenting(_revoked_by_crl),
        owner="payments",
    ),
    _revoked_case(
        "revoked-intermediate",
        "revoked-crl",
        "The root's revocation list has the intermediate.",
        presenting(_under_revoked),
        owner="platform",
    ),
    _revoked_case(
        "must-staple",
        "must-staple-missing",
        "The certificate demands a staple, and the server has none.",
        presenting(lambda pki, at: pki.leaf(at.host, extensions=[MUST_STAPLE])),
    ),
    _revoked_case(
        "staple-expired",
        "staple-invalid",
        "The staple ran out days ago.",
        _stapling(lambda pki, own: ocsp_staple(pki, own.leaf, pki.issuing, age=6 * DAY)),
    ),
    _revoked_case(
        "staple-of-another", "staple-invalid", "The staple is about another certificate.", _stapling(_about_another)
    ),
    _revoked_case(
        "staple-badly-signed", "staple-invalid", "The staple's signature does not verify.", _stapling(_badly_signed)
    ),
    DemoCase(
        name="asked-and-good",
        story="The CA's responder was asked, and says: good.",
        servers=(presenting(_good_by_ocsp_and_crl),),
    ),
    DemoCase(
        name="revocation-unknown",
        story="One of the CA's lists is not there, and the other is a web page.",
        code="revocation-unknown",
        servers=(presenting(_unobtainable_lists),),
    ),
    DemoCase(
        name="short-lived",
        story="Lives for less than seven days, so nobody has to be asked whether it is revoked.",
        servers=(presenting(_short_lived),),
    ),
    failing_case(
        "missing-intermediate",
        "intermediate-published",
        "intermediate-not-sent",
        "The intermediate is not sent, and can be had where the certificate says.",
        presenting(_issuer_published),
        owner="mail",
    ),
)
