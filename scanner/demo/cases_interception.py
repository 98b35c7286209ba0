"""Something stands in between: certificates that no CA of the site's made, and a page that answers for everybody."""

from __future__ import annotations

from typing import Final

from scanner.demo.cases import DOMAIN, Case, Place, Workshop, presenting, sound
from scanner.demo.pki import Authority, Credential, Pki
from scanner.demo.servers import Handler, openssl

# The name by which Chrome knows the interceptor that badssl.com has for tests.
KNOWN_INTERCEPTOR: Final = "BadSSL MITM Software Test"
# Sites that have nothing in common but what stands before them; no public DNS will ever have them (RFC 6761 section 6.2).
UNRELATED: Final = ("www.alpha-bank.test", "www.bravo-mail.test", "www.charlie-news.test", "www.delta-shop.test")
PORTAL_PAGE: Final = b"<html><title>Sign in to the hotel's network</title></html>"
PORTAL_ANSWER: Final = (
    b"HTTP/1.1 511 Network Authentication Required\r\nContent-Type: text/html\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PORTAL_PAGE), PORTAL_PAGE)
)


def _boxed(authority: Authority, credential: Credential) -> Credential:
    """With the interceptor's root, as they send it."""
    return credential.sending(*credential.chain, authority.der)


def _known(pki: Pki, at: Place) -> Credential:
    box = pki.new_root(KNOWN_INTERCEPTOR)
    return _boxed(box, pki.leaf(at.host, issuer=box))


def _made_on_the_spot(pki: Pki, at: Place) -> Credential:
    # Interceptors have one key, and put it into every certificate that they make.
    return _boxed(pki.interceptor, pki.leaf(at.host, issuer=pki.interceptor, key=pki.interceptor.key))


def _elsewhere(pki: Pki, at: Place) -> Credential:
    box = pki.new_root("Demo CA of one path")
    return _boxed(box, pki.leaf(at.host, issuer=box))


def _portal(shop: Workshop, place: Place) -> Handler:
    return openssl(shop.context(shop.pki.leaf(f"login.{DOMAIN}")), place.story, refusal=PORTAL_ANSWER)


CASES: Final = (
    Case(
        name="inspected",
        story="Security software that Chrome knows by name has made the certificate.",
        outcome="fail",
        cause="interception",
        code="known-middlebox",
        also=("untrusted-root",),
        owner="corp",
        servers=(presenting(_known),),
    ),
    *(
        Case(
            name=host.split(".")[1],
            host=host,
            story="One issuer that nobody trusts signs its own key to this site and to others of other owners.",
            outcome="fail",
            cause="interception",
            code="issuer-across-unrelated-names",
            also=("untrusted-root",),
            owner="partners",
            servers=(presenting(_made_on_the_spot),),
        )
        for host in UNRELATED
    ),
    Case(
        name="portal",
        story="A network's login page answers in place of the site, under its own certificate.",
        outcome="fail",
        cause="interception",
        code="captive-portal",
        also=("name-not-in-san", "default-certificate"),
        owner="corp",
        servers=(_portal,),
    ),
    Case(
        name="one-path-intercepted",
        story="Two addresses: a public CA's certificate on one, on the other that of a CA that nobody trusts.",
        outcome="fail",
        cause="untrusted-ca",
        code="untrusted-root",
        also=("certificate-differs-by-path", "endpoints-disagree"),
        owner="corp",
        servers=(presenting(sound), presenting(_elsewhere)),
    ),
)
