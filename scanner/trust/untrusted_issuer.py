"""Describes the issuer of a certificate that no public CA vouches for.

An interceptor and an estate's own CA look alike in one certificate. The signs that tell them apart are collected here
from each certificate, and ``fleet.correlate`` weighs them: whether the leaf has the issuer's own key (only programs
that make certificates on the spot do that), and whether the issuer publishes revocation lists or its own certificate,
as a CA that is run for others does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scanner.caching import PARSED, bounded_memo
from scanner.model.evidence import EndpointEvidence
from scanner.trust.interceptors import key_hash, middlebox_of
from scanner.trust.placeholders import match
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate, CertificateError

# Kinds of the catalogue of placeholders that are CAs: one issuer for unrelated customers, and nothing in between.
_PRIVATE_ISSUERS: Final = frozenset({"private CA", "test CA", "issuer"})
# The follow-up that asks an address for a name for which no certificate can exist.
UNKNOWABLE_QUESTION: Final = "default-certificate"
# Leaves whose issuer is memoised: each is asked for some five times in a row, at 17 microseconds.
_REMEMBERED: Final = 256
# Bytes of a leaf with what was sent above it, parsed: ten usual certificates.
_LONGEST: Final = 131_072
# Characters of a hash that are kept: no two issuers of one run share 128 bits.
_DIGITS: Final = 32


class UntrustedIssuer(Struct, frozen=True):
    """The issuer of one leaf that no public CA vouches for.

    ``key`` identifies it: its name with its key, or with the identifier of its key, whichever is known; ``keyed`` is
    False if neither is, so that issuers of one name cannot be distinguished. ``leaf_key`` is the leaf's own key
    (hash). ``own_key``: the leaf's key is the issuer's. ``operated``: the leaf says where the issuer publishes (CRL,
    OCSP, AIA). ``on_the_spot``: asked for a name that cannot exist, the address showed a certificate for it by the
    same issuer. ``named``: the leaf is for the name that was asked for. ``product`` is what the catalogue of
    interceptors calls the issuer; ``sure`` whether that entry was checked.
    """

    key: str
    issuer: str
    keyed: bool
    leaf: str
    leaf_key: str
    own_key: bool
    operated: bool
    on_the_spot: bool = False
    named: bool = True
    product: str | None = None
    sure: bool = False


def issuer_id(name: bytes, key: bytes | None) -> str:
    """Return a hash that identifies an issuer by the DER of its name and its SubjectPublicKeyInfo or key identifier."""
    return hashlib.sha256(name + b"\0" + (key or b"")).hexdigest()[:_DIGITS]


def untrusted_issuer_of(verdict: ChainVerdict, endpoint: EndpointEvidence | None = None) -> UntrustedIssuer | None:
    """Return the issuer of a chain if it may be an interceptor's, else ``None``.

    It cannot be if a public CA or one of ``--private-ca`` vouches for it, if the leaf is self-issued, or if a
    catalogue has it as a CA of another kind (a hosting platform's, a test CA) or as a product's factory certificate.
    """
    leaf = verdict.leaf
    if leaf is None or leaf.self_issued or verdict.publicly_trusted or verdict.own_ca:
        return None
    found = _issuer_of(leaf, tuple([sent for sent in verdict.sent[1:] if sent is not None]))
    named = verdict.name is None or verdict.name.matches
    on_the_spot = endpoint is not None and made_on_the_spot(endpoint, leaf)
    if found is None or (named and not on_the_spot):
        return found
    return replace(found, named=named, on_the_spot=on_the_spot)


def _certificate_bytes(leaf: Certificate, above: tuple[Certificate, ...]) -> int:
    return PARSED * (len(leaf.der) + sum([len(certificate.der) for certificate in above]))


@bounded_memo(_REMEMBERED, _LONGEST, _certificate_bytes)
def _issuer_of(leaf: Certificate, above: tuple[Certificate, ...]) -> UntrustedIssuer | None:
    placeholder = match(leaf)
    if placeholder is not None and (placeholder[1].decides or placeholder[1].kind in _PRIVATE_ISSUERS):
        return None
    issuer = next((sent for sent in above if sent.subject_der == leaf.issuer_der), None)
    known = middlebox_of(leaf, above)
    own_key = _own_key(leaf, issuer)
    key = leaf.spki_der if own_key else leaf.authority_key_id if issuer is None else issuer.spki_der
    return UntrustedIssuer(
        issuer_id(leaf.issuer_der, key),
        leaf.issuer,
        key is not None,
        leaf.sha256,
        key_hash(leaf)[:_DIGITS],
        own_key,
        bool(leaf.aia_ca_issuers or leaf.ocsp_urls or leaf.crl_urls),
        product=None if known is None else known.product,
        sure=known is not None and known.decides,
    )


def reaches_anchor(verdict: ChainVerdict) -> bool:
    """Return True if a path of some selected store ends at an anchor, whatever else is wrong with it."""
    return any(store.anchor is not None for store in verdict.stores.values())


def is_untrusted(verdict: ChainVerdict | None) -> bool:
    """Return True if a leaf was sent and neither a store nor a CA of ``--private-ca`` vouches for its issuer."""
    return verdict is not None and verdict.leaf is not None and not verdict.own_ca and not reaches_anchor(verdict)


def _own_key(leaf: Certificate, issuer: Certificate | None) -> bool:
    return leaf.signed_by(leaf) is True if issuer is None else issuer.spki_der == leaf.spki_der


def made_on_the_spot(endpoint: EndpointEvidence, leaf: Certificate) -> bool:
    """Return True if, asked for a name that cannot exist, it sent a certificate for it by the issuer of ``leaf``."""
    answer = endpoint.followups.get(UNKNOWABLE_QUESTION)
    if answer is None or answer.flight is None or not answer.flight.certificates or answer.sni is None:
        return False
    return made_for_untrusted(answer.flight.leaf_first[0], answer.sni, leaf)


def made_for_untrusted(data: bytes, name: str, like: Certificate) -> bool:
    """Return True if ``data`` is a certificate for ``name`` by the issuer of ``like``: for a new name, made on the spot."""
    try:
        certificate = Certificate.parse_untrusted(data)
    except CertificateError:
        return False
    return certificate.issuer_der == like.issuer_der and name in certificate.dns_names


class OwnAuthorities:
    """The CAs of ``--private-ca``: what they issue, at any depth, is the estate's own."""

    def __init__(self, certificates: Iterable[Certificate] = ()) -> None:
        self._by_subject: dict[bytes, list[Certificate]] = {}
        for certificate in certificates:
            self._by_subject.setdefault(certificate.subject_der, []).append(certificate)

    def __bool__(self) -> bool:
        return bool(self._by_subject)

    def covers(self, sent: Iterable[Certificate | None]) -> bool:
        """Return True if one of the certificates was signed by one of these, or has subject and key of one."""
        for certificate in sent:
            if certificate is None:
                continue
            if any(own.spki_der == certificate.spki_der for own in self._by_subject.get(certificate.subject_der, ())):
                return True
            if any(certificate.signed_by(own) is True for own in self._by_subject.get(certificate.issuer_der, ())):
                return True
        return False
