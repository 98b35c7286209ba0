"""What can be malformed in a certificate that can be read, and which clients refuse it for that.

Parsers differ more than verifiers do: Go and Chromium are strict about what OpenSSL and Firefox never look at, and
OpenSSL reads dates and strings that Java takes in any form. All of it was seen: ``tests/clients/odd_answers.py`` has
each flaw, with what the clients answered. Of bytes after a certificate, and of what OpenSSL serves to nobody, Chromium's
answer is by BoringSSL's ``pki/parse_certificate.cc`` and Firefox's by mozilla::pkix.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

NEGATIVE_SERIAL: Final = "the serial number is negative"
PADDED_SERIAL: Final = "the serial number is not in its shortest form"
NAME_NOT_ASCII: Final = "subjectAltName: a name that is not ASCII"
ADDRESS_LENGTH: Final = "subjectAltName: an iPAddress of"
NO_NAMES_IN_IT: Final = "subjectAltName: there is no name in it"
BROKEN_NAME: Final = "subjectAltName: a name whose content is not of its type"
BROKEN_OTHER_NAME: Final = "subjectAltName: an otherName, ediPartyName or registeredID whose content is not of its type"
EDI_NAME: Final = "subjectAltName: an ediPartyName"
CRITICAL_ACCESS: Final = "authorityInfoAccess is marked critical"
UNNAMED: Final = "the subject is empty and subjectAltName is not critical"
UNIVERSAL_STRING: Final = "a UniversalString"
WRONG_STRING: Final = "is not valid in the string type that it claims"
WRONG_ENCODING: Final = "is not valid in the encoding of its string type"
WRONG_DIGITS: Final = "has other characters than a NumericString may have"
AMPERSAND: Final = "has an ampersand in a PrintableString"
NO_STRING: Final = "is of a type that names do not have"
OTHER_TYPE: Final = "is a BIT STRING or SEQUENCE instead of a string"
EMPTY_PART: Final = "a relative name without attributes"
SECOND_VALUE: Final = "an attribute with more than one value"
EMPTY_CONSTRAINTS: Final = "nameConstraints: neither permits nor excludes anything"
EXPLICIT_FALSE: Final = "critical is given as FALSE, which DER leaves out"
BOOLEAN: Final = "a BOOLEAN that is neither 00 nor ff"
LARGE_ARC: Final = "an extension whose identifier has a number above 2147483647"
OWN_TWICE: Final = "which all clients read, is there twice"
PKIX_TWICE: Final = "which OpenSSL does not read, is there twice"
KEY_ID_TWICE: Final = "the subject's key identifier, is there twice"
TWICE: Final = "is there twice"
VERSION_1_EXPLICIT: Final = "version 1 is written down, which DER leaves out"
UNKNOWN_VERSION: Final = "the version is above 3"
EXTENSIONS_BEFORE_V3: Final = "there are extensions, which only version 3 has"
NO_SECONDS: Final = "a time without seconds"
TIME_OFFSET: Final = "a time with a fraction or an offset of zero"
TIME_ZONE: Final = "a time in another zone than UTC"
TRAILING: Final = "bytes follow the certificate"
ALGORITHM_FORM: Final = "the signature algorithm is written in two ways inside and outside the signed part"
ALGORITHM_PARAMETERS: Final = "the signature algorithm has unusual parameters inside or outside the signed part alone"
ALGORITHM_DIFFERS: Final = "the signature algorithms inside and outside the signed part differ"
SIGNATURE_BITS: Final = "the signature is not a whole number of bytes"
MORE_CONSTRAINTS: Final = "basicConstraints: more fields than it may have"
USAGE_BITS: Final = "keyUsage: unused bits that are set"
EMPTY_ACCESS: Final = "authorityInfoAccess: there is nothing in it"
BEFORE_1970: Final = "the validity begins before 1970"
RELATIVE_POINT: Final = "cRLDistributionPoints: a name relative to the issuer of the CRL"
EMPTY_POINT: Final = "cRLDistributionPoints: a point without a name"

BOUNDED_CONSTRAINT: Final = "nameConstraints: a subtree with a minimum or maximum"
CONSTRAINT_LENGTH: Final = "nameConstraints: an address range of"
CONSTRAINT_WITH_HOLES: Final = "nameConstraints: a network mask with holes"
CONSTRAINT_WITH_FINAL_DOT: Final = "nameConstraints: a dNSName that ends with a dot"
CONSTRAINT_NOT_A_DOMAIN: Final = "nameConstraints: a dNSName that is"
CONSTRAINT_NOT_A_HOST: Final = "nameConstraints: a uniformResourceIdentifier that is no host"

# Forms of keys, which ``scanner.trust.client_algorithms`` judges: they are DER, and clients do not know them
EXPLICIT_CURVE: Final = "the elliptic curve is spelled out instead of named"
COMPRESSED_POINT: Final = "the point of the elliptic curve is compressed"
HYBRID_POINT: Final = "the point of the elliptic curve is in its hybrid form"
# First byte of a point (SEC 1 section 2.3.3)
POINT_FORMS: Final = {
    b"\x02": COMPRESSED_POINT,
    b"\x03": COMPRESSED_POINT,
    b"\x06": HYBRID_POINT,
    b"\x07": HYBRID_POINT,
}
RSA_WITHOUT_NULL: Final = "the RSA key has no NULL parameters"
KEY_FORMS: Final = frozenset({EXPLICIT_CURVE, COMPRESSED_POINT, HYBRID_POINT, RSA_WITHOUT_NULL})

# curl, Python and Node read certificates with OpenSSL, so that it alone is named.
_EVERYBODY: Final = ("openssl", "go", "java", "chrome", "firefox", "gnutls")
_BROWSERS: Final = ("chrome", "firefox")


class _Refusal(Struct, frozen=True):
    """Clients that refuse a flaw, and which of them do so not of every certificate."""

    clients: tuple[str, ...]
    not_in_leaves: tuple[str, ...] = ()
    not_in_issuers: tuple[str, ...] = ()
    not_in_anchors: tuple[str, ...] = ()
    in_anchors: tuple[str, ...] = ()


def unreadable(extension: str, *, critical: bool = False) -> str:
    """Return the beginning of the sentence on an extension that cannot be read."""
    return f"{_CRITICAL if critical else ''}{extension} cannot be read"


def more_follows(extension: str, *, critical: bool = False) -> str:
    """Return the sentence on an extension with bytes after its value."""
    return f"{_CRITICAL if critical else ''}{extension}: bytes after its end"


# Java refuses what it cannot read if it is critical, and passes over it otherwise.
_CRITICAL: Final = "the critical "


# Part of a flaw's sentence -> who refuses it; the first that fits counts. Of other flaws the clients are not known.
_REFUSALS: Final[dict[str, _Refusal]] = {
    NEGATIVE_SERIAL: _Refusal(("go",)),
    PADDED_SERIAL: _Refusal(("openssl", "go", *_BROWSERS)),
    NAME_NOT_ASCII: _Refusal(("go", "chrome")),
    # Java reads the names of leaves alone, version 25 strictly
    ADDRESS_LENGTH: _Refusal(("go", "java", "chrome"), not_in_issuers=("java",)),
    NO_NAMES_IN_IT: _Refusal(("java", "chrome"), not_in_issuers=("java",)),
    BROKEN_OTHER_NAME: _Refusal(("openssl", "java", "gnutls"), not_in_issuers=("java",)),
    BROKEN_NAME: _Refusal(("openssl", "java", "chrome", "gnutls"), not_in_issuers=("java",)),
    EDI_NAME: _Refusal(("java", "gnutls"), not_in_issuers=("java",)),
    CRITICAL_ACCESS: _Refusal(("openssl", "go", "java", "chrome")),
    UNNAMED: _Refusal(("java", "chrome")),
    UNIVERSAL_STRING: _Refusal(("go",)),
    WRONG_STRING: _Refusal(("go", "chrome")),
    WRONG_ENCODING: _Refusal(("openssl", "go", "chrome")),
    WRONG_DIGITS: _Refusal(("go", "chrome")),
    AMPERSAND: _Refusal(("chrome",)),
    NO_STRING: _Refusal(("openssl", "go", "chrome")),
    OTHER_TYPE: _Refusal(("go", "chrome")),
    EMPTY_PART: _Refusal(("chrome",)),
    SECOND_VALUE: _Refusal(("openssl", "java", "chrome", "gnutls")),
    EMPTY_CONSTRAINTS: _Refusal(("go", *_BROWSERS)),
    BOUNDED_CONSTRAINT: _Refusal(_BROWSERS),
    CONSTRAINT_LENGTH: _Refusal(("go", "java", "chrome", "gnutls")),
    CONSTRAINT_WITH_HOLES: _Refusal(("go", "chrome", "gnutls")),
    CONSTRAINT_WITH_FINAL_DOT: _Refusal(("go", "firefox")),
    CONSTRAINT_NOT_A_HOST: _Refusal(("java",)),
    CONSTRAINT_NOT_A_DOMAIN: _Refusal(_EVERYBODY),
    EXPLICIT_FALSE: _Refusal(("chrome",)),
    BOOLEAN: _Refusal(("go", *_BROWSERS)),
    LARGE_ARC: _Refusal(("go", "gnutls")),
    OWN_TWICE: _Refusal(_EVERYBODY),
    PKIX_TWICE: _Refusal(("go", "java", *_BROWSERS, "gnutls")),
    KEY_ID_TWICE: _Refusal(("openssl", "go", "java", "chrome", "gnutls")),
    TWICE: _Refusal(("go", "java", "chrome", "gnutls")),
    VERSION_1_EXPLICIT: _Refusal(("chrome",)),
    UNKNOWN_VERSION: _Refusal(("go", "java", "chrome")),
    EXTENSIONS_BEFORE_V3: _Refusal(("go", "java", "chrome", "gnutls"), not_in_anchors=("go",)),
    NO_SECONDS: _Refusal(("openssl", *_BROWSERS)),
    TIME_OFFSET: _Refusal(("openssl", "go", *_BROWSERS, "gnutls")),
    TIME_ZONE: _Refusal(("openssl", *_BROWSERS, "gnutls")),
    TRAILING: _Refusal(("openssl", "go", *_BROWSERS, "gnutls"), not_in_anchors=("openssl",), in_anchors=("java",)),
    ALGORITHM_FORM: _Refusal(("openssl", "go"), not_in_anchors=("openssl",)),
    ALGORITHM_PARAMETERS: _Refusal(("openssl", "go", "chrome"), not_in_anchors=("openssl", "chrome")),
    ALGORITHM_DIFFERS: _Refusal(_EVERYBODY, not_in_anchors=("openssl", *_BROWSERS)),
    SIGNATURE_BITS: _Refusal(("go", *_BROWSERS)),
    MORE_CONSTRAINTS: _Refusal(("openssl", *_BROWSERS, "gnutls")),
    USAGE_BITS: _Refusal(("go", *_BROWSERS)),
    EMPTY_ACCESS: _Refusal(("chrome",)),
    BEFORE_1970: _Refusal(("firefox",)),
    RELATIVE_POINT: _Refusal(("go",)),
    EMPTY_POINT: _Refusal(("openssl",)),
    "basicConstraints: a negative path length": _Refusal(("openssl", "go", "java", *_BROWSERS)),
    more_follows("basicConstraints"): _Refusal((*_BROWSERS, "gnutls"), not_in_leaves=("gnutls",)),
    more_follows("keyUsage"): _Refusal(_BROWSERS),
    more_follows("extKeyUsage"): _Refusal(("java", *_BROWSERS, "gnutls"), not_in_issuers=("java",)),
    more_follows("subjectAltName"): _Refusal(("java", *_BROWSERS, "gnutls"), not_in_issuers=("java", "firefox")),
    more_follows("nameConstraints"): _Refusal(("go", *_BROWSERS, "gnutls")),
    more_follows("authorityInfoAccess"): _Refusal(("firefox",), not_in_issuers=("firefox",)),
    more_follows("subjectKeyIdentifier"): _Refusal(("chrome",)),
    more_follows("authorityKeyIdentifier"): _Refusal(("chrome",)),
    more_follows("cRLDistributionPoints"): _Refusal(()),
    unreadable("basicConstraints"): _Refusal(_EVERYBODY, not_in_leaves=("java", "gnutls")),
    unreadable("keyUsage"): _Refusal(("openssl", "go", *_BROWSERS, "gnutls"), not_in_leaves=("gnutls",)),
    unreadable("extKeyUsage"): _Refusal(_EVERYBODY, not_in_issuers=("java",), not_in_anchors=("gnutls",)),
    unreadable("subjectAltName"): _Refusal(_EVERYBODY, not_in_issuers=("java", "firefox")),
    unreadable("nameConstraints"): _Refusal(
        ("openssl", "go", *_BROWSERS, "gnutls"), not_in_leaves=("firefox", "gnutls")
    ),
    unreadable("authorityInfoAccess"): _Refusal(("go", *_BROWSERS), not_in_issuers=("firefox",)),
    unreadable("tlsFeature"): _Refusal(("firefox", "gnutls"), not_in_leaves=("gnutls",)),
    unreadable("signedCertificateTimestamps"): _Refusal(("firefox",), not_in_issuers=("firefox",)),
    unreadable("subjectKeyIdentifier"): _Refusal(("openssl", "go", "chrome"), in_anchors=("java",)),
    unreadable("authorityKeyIdentifier"): _Refusal(("openssl", "go", "chrome")),
    unreadable("cRLDistributionPoints"): _Refusal(("openssl", "go")),
}


def refused_by(flaws: Iterable[str], *, leaf: bool = False, anchor: bool = False) -> list[str] | None:
    """Return the clients that refuse a certificate with these flaws; ``None`` if that is not known of one of them."""
    found: set[str] = set()
    for flaw in flaws:
        refusal = next((refusal for part, refusal in _REFUSALS.items() if part in flaw), None)
        if refusal is None:
            return None
        lenient = set(refusal.not_in_leaves if leaf else refusal.not_in_issuers)
        if anchor:
            lenient.update(refusal.not_in_anchors)
            found.update(refusal.in_anchors)
        found.update(client for client in refusal.clients if client not in lenient)
        if flaw.startswith(_CRITICAL) and EMPTY_CONSTRAINTS not in flaw:  # which Java reads
            found.add("java")
    return [client for client in _EVERYBODY if client in found]
