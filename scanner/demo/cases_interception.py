"""Interception: certificates reissued by a middlebox, and a captive portal that answers for every site."""

from __future__ import annotations

from functools import partial
from typing import Final

from scanner.demo.cases import DOMAIN, Endpoint, ServerFactory, failing_case, presenting, valid_credential
from scanner.demo.pki import Credential, DemoAuthority, Pki
from scanner.demo.servers import Handler, openssl

# The name of badssl.com's test interceptor in Chrome's list.
KNOWN_INTERCEPTOR: Final = "BadSSL MITM Software Test"
# Sites that have nothing in common but the interceptor; no public DNS will ever have them (RFC 6761 section 6.2).
UNRELATED_HOSTS: Final = ("www.alpha-bank.test", "www.bravo-mail.test", "www.charlie-news.test", "www.delta-shop.test")
PORTAL_PAGE: Final = b"<html><title>Sign in to the hotel's network</title></html>"
PORTAL_ANSWER: Final = (
    b"HTTP/1.1 511 Network Authentication Required\r\nContent-Type: text/html\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PORTAL_PAGE), PORTAL_PAGE)
)


def _with_root(authority: DemoAuthority, credential: Credential) -> Credential:
    """Append the interceptor's root, as interceptors do."""
    return credential.sending(*credential.chain, authority.der)


def _known_interceptor(pki: Pki, at: Endpoint) -> Credential:
    box = pki.new_root(KNOWN_INTERCEPTOR)
    return _with_root(box, pki.leaf(at.host, issuer=box))


def _reissued(pki: Pki, at: Endpoint) -> Credential:
    # Interceptors have one key, which is in every certificate that they issue.
    return _with_root(pki.interceptor, pki.leaf(at.host, issuer=pki.interceptor, key=pki.interceptor.key))


def _on_one_path(pki: Pki, at: Endpoint) -> Credential:
    box = pki.new_root("Demo CA of one path")
    return _with_root(box, pki.leaf(at.host, issuer=box))


def _portal(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    return openssl(factory.context(factory.pki.leaf(f"login.{DOMAIN}")), endpoint.story, refusal=PORTAL_ANSWER)


_interception_case: Final = partial(failing_case, "interception")

CASES: Final = (
    _interception_case(
        "inspected",
        "known-middlebox",
        "Security software that Chrome knows by name has made the certificate.",
        presenting(_known_interceptor),
        also=("untrusted-root",),
        owner="corp",
    ),
    *(
        _interception_case(
            host.split(".")[1],
            "issuer-across-unrelated-names",
            "One issuer that nobody trusts signs its own key to this site and to others of other owners.",
            presenting(_reissued),
            host=host,
            also=("untrusted-root",),
            owner="partners",
        )
        for host in UNRELATED_HOSTS
    ),
    _interception_case(
        "portal",
        "captive-portal",
        "A network's login page answers in place of the site, under its own certificate.",
        _portal,
        also=("name-not-in-san", "default-certificate"),
        owner="corp",
    ),
    failing_case(
        "untrusted-ca",
        "one-path-intercepted",
        "untrusted-root",
        "Two addresses: a public CA's certificate on one, on the other that of a CA that nobody trusts.",
        presenting(valid_credential),
        presenting(_on_one_path),
        also=("certificate-differs-by-path", "endpoints-disagree"),
        owner="corp",
    ),
)
