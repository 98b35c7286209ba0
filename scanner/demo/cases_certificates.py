"""Working servers with certificates that clients refuse, each for one reason."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from scanner.demo.cases import (
    ANY_SECURITY_LEVEL,
    DOMAIN,
    DemoCase,
    Endpoint,
    HandlerFactory,
    ServerFactory,
    failing_case,
    presenting,
    warning_case,
)
from scanner.demo.pki import (
    DAY,
    Credential,
    Pki,
    name,
    with_broken_signature,
    with_sha1_name,
    with_sha1_signature,
    without_last_bytes,
)
from scanner.demo.server_messages import ServerSuite
from scanner.demo.servers import Handler, scripted

# Below private enterprise number 32473, which is reserved for examples (RFC 5612).
UNKNOWN_EXTENSION: Final = x509.ObjectIdentifier("1.3.6.1.4.1.32473.1.2.3")


def _self_signed(pki: Pki, at: Endpoint) -> Credential:
    return pki.self_signed(name(at.host), at.host)


def _without_intermediate(pki: Pki, at: Endpoint) -> Credential:
    credential = pki.leaf(at.host, issuer=pki.unsent)
    return credential.sending(credential.leaf)


def _unobtainable_issuer(pki: Pki, at: Endpoint, url: str | None) -> Credential:
    hidden = pki.authority(f"Demo Hidden CA for {at.host}")
    credential = pki.leaf(at.host, issuer=hidden, issuer_url=url)
    return credential.sending(credential.leaf)


def _untrusted_root(pki: Pki, at: Endpoint) -> Credential:
    root = pki.new_root("Demo Root that nobody trusts")
    issuing = pki.authority("Demo Issuing CA under the other root", issuer=root)
    credential = pki.leaf(at.host, issuer=issuing)
    return credential.sending(*credential.chain, root.der)


def _bad_signature(pki: Pki, at: Endpoint) -> Credential:
    credential = pki.leaf(at.host)
    return credential.sending(with_broken_signature(credential.leaf), *credential.chain[1:])


def _path_too_long(pki: Pki, at: Endpoint) -> Credential:
    last = pki.authority("Demo CA with path length 0", path_length=0)
    return pki.leaf(at.host, issuer=pki.authority("Demo CA one level too low", issuer=last))


def _wrong_names_permitted(pki: Pki, at: Endpoint) -> Credential:
    return pki.leaf(at.host, issuer=pki.authority("Demo CA for example.com", permitted_names=["example.com"]))


def _cross_sign_first(pki: Pki, at: Endpoint) -> Credential:
    good = pki.authority("Demo CA with a cross-sign")
    retired = pki.new_root("Demo Root of a CA that was bought up")
    cross = pki.authority("Demo CA with a cross-sign", issuer=retired, key=good.key)
    credential = pki.leaf(at.host, issuer=good)
    return credential.sending(credential.leaf, cross.der, good.der)


def _no_policy(pki: Pki, at: Endpoint) -> Credential:
    demanding = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)
    return pki.leaf(at.host, issuer=pki.authority("Demo CA that demands a policy", extensions=[(demanding, True)]))


def _sha1(pki: Pki, at: Endpoint) -> Credential:
    credential = pki.leaf(at.host, issuer=pki.issuing_rsa, key=pki.rsa_key, tbs_for_logs=with_sha1_name)
    return credential.sending(with_sha1_signature(credential.leaf, pki.rsa_issuing_key), *credential.chain[1:])


def _brainpool_key() -> ec.EllipticCurvePrivateKey:
    """Generate a key on a curve that OpenSSL knows and most other clients do not."""
    return ec.generate_private_key(ec.BrainpoolP256R1())


def _malformed(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    # OpenSSL does not load it, so a scripted server sends it.
    credential = factory.pki.leaf(endpoint.host)
    broken = credential.sending(without_last_bytes(credential.leaf), *credential.chain[1:])
    return scripted(broken, suites=[ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256])


_validity_case: Final = partial(failing_case, "expired-or-self-signed")
_name_case: Final = partial(failing_case, "hostname-mismatch")

VALIDITY: Final = (
    _validity_case(
        "expired",
        "certificate-expired",
        "The certificate ran out nine days ago.",
        presenting(lambda pki, at: pki.leaf(at.host, validity=(-99 * DAY, -9 * DAY))),
    ),
    _validity_case(
        "not-yet-valid",
        "certificate-not-yet-valid",
        "The certificate begins in three days.",
        presenting(lambda pki, at: pki.leaf(at.host, validity=(3 * DAY, 93 * DAY))),
    ),
    _validity_case(
        "self-signed",
        "self-signed-leaf",
        "Nobody but the certificate itself vouches for it.",
        presenting(_self_signed),
        owner="platform",
    ),
    warning_case(
        "expires-soon",
        "expires-soon",
        "Three days are left of ninety.",
        presenting(lambda pki, at: pki.leaf(at.host, validity=(-87 * DAY, timedelta(days=3, hours=1)))),
    ),
    _validity_case(
        "expired-and-misnamed",
        "certificate-expired",
        "Expired, and for another name: both are said, the first names the cause.",
        presenting(lambda pki, at: pki.leaf(f"old.{DOMAIN}", validity=(-99 * DAY, -9 * DAY))),
        also=("name-not-in-san",),
    ),
)

NAMES: Final = (
    _name_case(
        "wrong-name",
        "name-not-in-san",
        "The certificate is for other names.",
        presenting(lambda pki, at: pki.leaf(f"www.{DOMAIN}", f"wrong-names.{DOMAIN}")),
    ),
    _name_case(
        "a.b.wildcard",
        "wildcard-depth",
        "A wildcard covers one label, and this name is two below it.",
        presenting(lambda pki, at: pki.leaf(f"*.wildcard.{DOMAIN}")),
    ),
    _name_case(
        "bare",
        "wildcard-depth",
        "A wildcard does not cover the domain itself.",
        presenting(lambda pki, at: pki.leaf(f"*.bare.{DOMAIN}")),
    ),
    _name_case(
        "common-name-only",
        "common-name-only",
        "The name is in the subject alone, where browsers no longer look.",
        presenting(lambda pki, at: pki.leaf(common_name=at.host)),
        owner="platform",
    ),
    _name_case(
        "not-configured-here",
        "default-certificate",
        "The server shows its default site's certificate for whatever name it does not know.",
        presenting(lambda pki, at: pki.leaf(f"default-site.{DOMAIN}"), for_any_name=True),
        also=("name-not-in-san",),
    ),
)

ISSUERS: Final = (
    failing_case(
        "missing-intermediate",
        "intermediate-not-sent",
        "intermediate-not-sent",
        "The intermediate is not sent; another server of this fleet sends it.",
        presenting(_without_intermediate),
        owner="mail",
    ),
    failing_case(
        "missing-intermediate",
        "intermediate-unobtainable",
        "intermediate-unobtainable",
        "The intermediate is not sent, and where the certificate says it can be had there is nothing.",
        presenting(lambda pki, at: _unobtainable_issuer(pki, at, f"http://aia.{DOMAIN}/hidden.cer")),
        owner="mail",
    ),
    failing_case(
        "untrusted-ca",
        "untrusted-root",
        "untrusted-root",
        "A complete chain to a root that is in no store.",
        presenting(_untrusted_root),
        owner="platform",
    ),
    failing_case(
        "untrusted-ca",
        "issuer-unknown",
        "issuer-unknown",
        "The issuer is not sent, and nothing says where to get it.",
        presenting(lambda pki, at: _unobtainable_issuer(pki, at, None)),
        owner="platform",
    ),
)


def _with_bundle(pki: Pki, at: Endpoint) -> Credential:
    credential = pki.leaf(at.host)
    bundle = [pki.new_root(f"Demo unrelated root {number}").der for number in range(10)]
    return credential.sending(*credential.chain, *bundle)


def _chain_case(code: str, story: str, server: HandlerFactory, owner: str = "web") -> DemoCase:
    return failing_case("chain-validation", code, code, story, server, owner=owner)


CHAIN: Final = (
    _chain_case("bad-signature", "The issuer did not sign this.", presenting(_bad_signature)),
    _chain_case(
        "intermediate-expired",
        "The intermediate ran out, the server's own certificate did not.",
        presenting(
            lambda pki, at: pki.leaf(at.host, issuer=pki.authority("Demo expired CA", validity=(-700 * DAY, -5 * DAY)))
        ),
    ),
    _chain_case(
        "issuer-not-a-ca",
        "A server's certificate signed another one.",
        presenting(lambda pki, at: pki.leaf(at.host, issuer=pki.authority("Demo no CA", is_ca=False))),
    ),
    _chain_case("path-length-exceeded", "More intermediates than a CA above allows.", presenting(_path_too_long)),
    failing_case(
        "chain-validation",
        "too-many-certificates",
        "too-many-certificates",
        "A bundle of roots went into the chain file: Java takes ten certificates.",
        presenting(_with_bundle),
        also=("chain-has-extras",),
    ),
    _chain_case(
        "name-constraint-violated", "The CA may sign for example.com alone.", presenting(_wrong_names_permitted)
    ),
    _chain_case(
        "wrong-key-usage",
        "The CA's key usage does not allow it to sign certificates.",
        presenting(
            lambda pki, at: pki.leaf(at.host, issuer=pki.authority("Demo CA without keyCertSign", key_cert_sign=False))
        ),
    ),
    _chain_case(
        "not-for-server-auth",
        "A certificate for clients, on a server.",
        presenting(lambda pki, at: pki.leaf(at.host, usages=[ExtendedKeyUsageOID.CLIENT_AUTH])),
    ),
    _chain_case(
        "unknown-critical-extension",
        "A critical extension that no client knows.",
        presenting(
            lambda pki, at: pki.leaf(
                at.host, extensions=[(x509.UnrecognizedExtension(UNKNOWN_EXTENSION, b"\x05\x00"), True)]
            )
        ),
    ),
    _chain_case(
        "unsupported-algorithm",
        "The CA has a brainpool key, which browsers, Go and Java do not know.",
        presenting(lambda pki, at: pki.leaf(at.host, issuer=pki.authority("Demo brainpool CA", key=_brainpool_key()))),
    ),
    failing_case(
        "chain-validation",
        "path-not-found-by-all",
        "path-not-found-by-all",
        "A cross-sign by a root that nobody has is sent before the CA's own certificate.",
        presenting(_cross_sign_first),
        also=("chain-has-extras",),
    ),
    failing_case(
        "chain-validation",
        "policy-not-satisfied",
        "policy-not-satisfied",
        "A CA above demands a certificate policy, and nobody has one.",
        presenting(_no_policy),
        also=("unknown-critical-extension",),
    ),
    _chain_case("malformed-certificate", "The certificate is cut short.", _malformed),
    _chain_case(
        "weak-signature", "Signed with SHA-1.", presenting(_sha1, ciphers=ANY_SECURITY_LEVEL), owner="payments"
    ),
    _chain_case(
        "weak-key",
        "An RSA key of 1024 bits.",
        presenting(
            lambda pki, at: pki.leaf(at.host, key=rsa.generate_private_key(65537, 1024)), ciphers=ANY_SECURITY_LEVEL
        ),
        owner="payments",
    ),
)

CASES: Final = (*VALIDITY, *NAMES, *ISSUERS, *CHAIN)
