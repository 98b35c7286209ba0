"""Which certificate of a file is the server's own, and the order of those that come as a set (PKCS #7).

A file says less than a handshake, which shows whose key the server has. So the leaf is the certificate of a private key that is in
the file too; else one that is for the name which was asked for; else one that is no CA and issued none of the others; else the
one that issued none of the others. If all of that fails it is the first, which servers would take in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from scanner.trust.hostname import match_name
from scanner.x509.certificate import Certificate, CertificateError


def leaf_position(certificates: Sequence[bytes], keys: Sequence[bytes] = (), name: str | None = None) -> int:
    """Return the place of the leaf among certificates in DER. ``keys`` are public keys of which the private one is at hand, ``name`` is
    a host name or IP address."""
    parsed = [_parsed(data) for data in certificates]
    issuers = {one.issuer_der for one in parsed if one is not None and not one.self_issued}

    def is_below(one: Certificate) -> bool:
        return one.subject_der not in issuers

    signs: tuple[Callable[[Certificate], bool], ...] = (
        lambda one: one.spki_der in keys,
        lambda one: name is not None and not one.is_ca and is_below(one) and match_name(one, name).matches,
        lambda one: not one.is_ca and is_below(one),
        lambda one: is_below(one) and not one.self_issued,
        is_below,
    )
    for holds in signs:
        place = next((place for place, one in enumerate(parsed) if one is not None and holds(one)), None)
        if place is not None:
            return place
    return 0


def ordered_chain(certificates: Sequence[bytes], leaf: int) -> tuple[bytes, ...]:
    """Return the certificates of a set as a server would send them: the leaf, its issuer, the issuer's, then all others as they are."""
    parsed = [_parsed(data) for data in certificates]
    chosen = [leaf]
    left = [place for place in range(len(certificates)) if place != leaf]
    while (below := parsed[chosen[-1]]) is not None:
        above = _issuer_of(below, ((place, parsed[place]) for place in left))
        if above is None:
            break
        chosen.append(above)
        left.remove(above)
    return tuple(certificates[place] for place in (*chosen, *left))


def _issuer_of(below: Certificate, others: Iterable[tuple[int, Certificate | None]]) -> int | None:
    """Return the place of the certificate that issued ``below``, rather one whose signature verifies than one of its name."""
    named = [(place, one) for place, one in others if one is not None and one.subject_der == below.issuer_der]
    signing = next((place for place, one in named if below.signed_by(one) is True), None)
    return named[0][0] if signing is None and named else signing


def _parsed(data: bytes) -> Certificate | None:
    try:
        return Certificate.parse_untrusted(data)
    except CertificateError:
        return None
