"""Reads certificate extensions (RFC 5280 section 4.2).

One reader per extension; each takes the content of extnValue and raises only ``DerError``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from typing import Final, NamedTuple

from msgspec import Struct

from scanner.x509 import der, malformations

OIDS: Final = {
    name: der.encoded_oid(oid)
    for name, oid in {
        "subjectKeyIdentifier": "2.5.29.14",
        "keyUsage": "2.5.29.15",
        "subjectAltName": "2.5.29.17",
        "basicConstraints": "2.5.29.19",
        "nameConstraints": "2.5.29.30",
        "cRLDistributionPoints": "2.5.29.31",
        "certificatePolicies": "2.5.29.32",
        "policyMappings": "2.5.29.33",
        "authorityKeyIdentifier": "2.5.29.35",
        "policyConstraints": "2.5.29.36",
        "extKeyUsage": "2.5.29.37",
        "inhibitAnyPolicy": "2.5.29.54",
        "authorityInfoAccess": "1.3.6.1.5.5.7.1.1",
        "tlsFeature": "1.3.6.1.5.5.7.1.24",
        "signedCertificateTimestamps": "1.3.6.1.4.1.11129.2.4.2",
        "netscapeCertType": "2.16.840.1.113730.1.1",
        "ipAddrBlocks": "1.3.6.1.5.5.7.1.7",
        "autonomousSysIds": "1.3.6.1.5.5.7.1.8",
        "ocspNoCheck": "1.3.6.1.5.5.7.48.1.5",
        "applicationPolicies": "1.3.6.1.4.1.311.21.10",
    }.items()
}
SUBJECT_KEY_IDENTIFIER: Final = OIDS["subjectKeyIdentifier"]
KEY_USAGE: Final = OIDS["keyUsage"]
SUBJECT_ALT_NAME: Final = OIDS["subjectAltName"]
BASIC_CONSTRAINTS: Final = OIDS["basicConstraints"]
NAME_CONSTRAINTS: Final = OIDS["nameConstraints"]
CRL_DISTRIBUTION_POINTS: Final = OIDS["cRLDistributionPoints"]
AUTHORITY_KEY_IDENTIFIER: Final = OIDS["authorityKeyIdentifier"]
EXT_KEY_USAGE: Final = OIDS["extKeyUsage"]
AUTHORITY_INFO_ACCESS: Final = OIDS["authorityInfoAccess"]
TLS_FEATURE: Final = OIDS["tlsFeature"]
APPLICATION_POLICIES: Final = OIDS["applicationPolicies"]
# noRevAvail (RFC 9608) and ext-etsi-valassured-ST-certs (ETSI EN 319 412-1)
NO_REVOCATION: Final = (der.encoded_oid("2.5.29.56"), der.encoded_oid("0.4.0.194121.2.1"))

# Critical extensions that OpenSSL's X509_supported_extension accepts for TLS; any other is refused.
# Not all clients accept policyMappings, netscapeCertType and cRLDistributionPoints (see below), or those of NEVER_CRITICAL.
UNDERSTOOD_WHEN_CRITICAL: Final = frozenset(OIDS.values()) - {TLS_FEATURE}
# Critical, these are understood by OpenSSL and Go, but not by all others -> dotted OID, clients that refuse them.
_HALF_UNDERSTOOD: Final = {
    CRL_DISTRIBUTION_POINTS: ("2.5.29.31", ("java", "chrome", "firefox")),
    OIDS["policyMappings"]: ("2.5.29.33", ("firefox", "gnutls")),
    OIDS["policyConstraints"]: ("2.5.29.36", ("gnutls",)),
    OIDS["ipAddrBlocks"]: ("1.3.6.1.5.5.7.1.7", ("go", "java", "chrome", "firefox", "gnutls")),
    OIDS["autonomousSysIds"]: ("1.3.6.1.5.5.7.1.8", ("go", "java", "chrome", "firefox", "gnutls")),
    OIDS["ocspNoCheck"]: ("1.3.6.1.5.5.7.48.1.5", ("go", "java", "chrome", "gnutls")),
    # Microsoft's own extended key usage, which Chrome knows
    OIDS["applicationPolicies"]: (
        "1.3.6.1.4.1.311.21.10",
        ("openssl", "curl", "python", "go", "java", "firefox", "gnutls"),
    ),
    OIDS["netscapeCertType"]: ("2.16.840.1.113730.1.1", ("go", "java", "chrome", "gnutls")),
}
# RFC 5280 says MUST be non-critical; Go's parser refuses the certificate otherwise.
NEVER_CRITICAL: Final = {
    SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
    AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    AUTHORITY_INFO_ACCESS: "authorityInfoAccess",
}

# keyUsage as a mask: bit n of the BIT STRING (RFC 5280 section 4.2.1.3) is 1 << n.
DIGITAL_SIGNATURE: Final = 1 << 0
KEY_ENCIPHERMENT: Final = 1 << 2
KEY_AGREEMENT: Final = 1 << 4
KEY_CERT_SIGN: Final = 1 << 5
KEY_USAGE_NAMES: Final = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)

SERVER_AUTH: Final = der.encoded_oid("1.3.6.1.5.5.7.3.1")
_USAGES: Final = {
    SERVER_AUTH: "serverAuth",
    der.encoded_oid("1.3.6.1.5.5.7.3.2"): "clientAuth",
    der.encoded_oid("1.3.6.1.5.5.7.3.3"): "codeSigning",
    der.encoded_oid("1.3.6.1.5.5.7.3.4"): "emailProtection",
    der.encoded_oid("1.3.6.1.5.5.7.3.8"): "timeStamping",
    der.encoded_oid("1.3.6.1.5.5.7.3.9"): "OCSPSigning",
    der.encoded_oid("2.5.29.37.0"): "anyExtendedKeyUsage",
}
_AD_OCSP: Final = der.encoded_oid("1.3.6.1.5.5.7.48.1")
_AD_CA_ISSUERS: Final = der.encoded_oid("1.3.6.1.5.5.7.48.2")

# What is said of extensions that are there twice; OpenSSL and Firefox look at neither of all others.
_TWICE: Final = {
    **{
        OIDS[name]: malformations.OWN_TWICE
        for name in (
            "keyUsage",
            "subjectAltName",
            "basicConstraints",
            "nameConstraints",
            "cRLDistributionPoints",
            "authorityKeyIdentifier",
            "extKeyUsage",
        )
    },
    SUBJECT_KEY_IDENTIFIER: malformations.KEY_ID_TWICE,
    AUTHORITY_INFO_ACCESS: malformations.PKIX_TWICE,
    OIDS["certificatePolicies"]: malformations.PKIX_TWICE,
}
# Go and GnuTLS read the numbers of an identifier as 31 bits. Larger ones are UUIDs (2.25), of some 20 bytes.
_LARGEST_ARC: Final = (1 << 31) - 1
_SHORT_OID: Final = 12

# A pathLenConstraint of more is this one: findings hold 64 bits.
LONGEST_PATH: Final = 1 << 63
# Nothing defined has more than about 20 extensions.
MAX_EXTENSIONS: Final = 128
# Names read of one certificate: 10,000 was the most that browsers were ever tried with, CAs issue for some hundreds.
MAX_NAMES: Final = 10_000
# Purposes, access descriptions and distribution points: real certificates have up to five.
MAX_PURPOSES: Final = 100
MAX_DESCRIPTIONS: Final = 50


class GeneralNames(Struct, frozen=True):
    """subjectAltName: what TLS matches, decoded; the rest as (tag, content).

    ``texts`` are names and addresses in their order. ``cut``: there are more than the ``MAX_NAMES`` that were read.
    """

    dns: tuple[str, ...] = ()
    ips: tuple[bytes, ...] = ()
    others: tuple[tuple[int, bytes], ...] = ()
    texts: tuple[str, ...] = ()
    flaw: str | None = None
    cut: bool = False


class AuthorityKey(NamedTuple):
    """authorityKeyIdentifier: the issuer's key, and its certificate by issuer (DER) and serial number (content)."""

    identifier: bytes | None = None
    issuer: bytes | None = None
    serial: bytes | None = None


# Values where an extension is absent
NO_NAMES: Final = GeneralNames()
NO_CONSTRAINTS: Final[tuple[bool, int | None]] = (False, None)
NO_KEY: Final = AuthorityKey()
NO_ACCESS: Final[tuple[tuple[str, ...], tuple[str, ...]]] = ((), ())


def split_untrusted(data: bytes, at: int, end: int, found_flaws: list[str]) -> dict[bytes, tuple[bool, bytes]]:
    """Read the Extensions between ``at`` and ``end``: identifier -> (critical, content of extnValue); of doubles the first counts."""
    found: dict[bytes, tuple[bool, bytes]] = {}
    count = 0
    start, stop = der.expect_untrusted(data, at, end, der.SEQUENCE, "extensions")
    if stop != end:
        raise der.DerError("extensions: bytes after their end")
    while start < stop:
        if data[start] != der.SEQUENCE:
            raise der.DerError("extensions: something that is not a sequence")
        _, at, end = der.header_untrusted(data, start, stop)
        start = end
        count += 1
        if count > MAX_EXTENSIONS:
            raise der.DerError(f"extensions: more than {MAX_EXTENSIONS}")
        oid, critical, value, flaw = one_untrusted(data, at, end)
        if flaw is not None:
            found_flaws.append(flaw)
        if oid in found:
            found_flaws.append(f"extension {der.oid_untrusted(oid)}, {_TWICE.get(oid, malformations.TWICE)}")
            continue
        found[oid] = critical, value
    return found


def one_untrusted(data: bytes, at: int, end: int) -> tuple[bytes, bool, bytes, str | None]:
    """Read the content of one Extension: (identifier, critical, content of extnValue, flaw)."""
    oid_start, oid_stop = der.expect_untrusted(data, at, end, der.OID, "extensions: identifier")
    tag, value_start, value_stop = der.header_untrusted(data, oid_stop, end)
    critical, flaw = False, None
    if tag == der.BOOLEAN:
        critical, is_der = der.lenient_boolean_untrusted(data, value_start, value_stop)
        if not is_der:
            flaw = f"critical is {malformations.BOOLEAN}"
        elif not critical:
            flaw = malformations.EXPLICIT_FALSE
        tag, value_start, value_stop = der.header_untrusted(data, value_stop, end)
    if tag != der.OCTET_STRING or value_stop != end:
        raise der.DerError("extensions: no OCTET STRING where the value belongs")
    oid = data[oid_start:oid_stop]
    if b"\x80" in oid or oid[-1:] > b"\x7f":
        der.oid_untrusted(oid)  # may have a padded number, or its end is missing
    if len(oid) > _SHORT_OID and any(int(arc) > _LARGEST_ARC for arc in der.oid_untrusted(oid).split(".")):
        flaw = malformations.LARGE_ARC
    return oid, critical, data[value_start:value_stop], flaw


def half_understood(critical: Collection[bytes]) -> dict[str, list[str]]:
    """Return evidence on critical extensions that only some clients understand; empty if there are none."""
    found = [_HALF_UNDERSTOOD[oid] for oid in critical if oid in _HALF_UNDERSTOOD]
    refusing = {client for _, clients in found for client in clients}
    return {"extensions": [dotted for dotted, _ in found], "refused_by": sorted(refusing)} if found else {}


def basic_constraints_untrusted(value: bytes, flaws: list[str] | None = None) -> tuple[bool, int | None]:
    """Read basicConstraints: (cA, pathLenConstraint). What BER allows is added to ``flaws``, without which it is an error."""
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "basicConstraints")
    is_ca, length = False, None
    fields = der.children_untrusted(value, start, stop)
    if fields and fields[0][0] == der.BOOLEAN:
        _, at, end = fields.pop(0)
        is_ca, is_der = der.lenient_boolean_untrusted(value, at, end)
        if not is_der:
            _add(f"basicConstraints: {malformations.BOOLEAN}", flaws)
    if fields and fields[0][0] == der.INTEGER:
        _, at, end = fields.pop(0)
        length = min(der.integer_untrusted(value, at, end, end - at), LONGEST_PATH)
        if length < 0:
            raise der.DerError("basicConstraints: a negative path length")
    if fields:
        _add(malformations.MORE_CONSTRAINTS, flaws)
    return is_ca, length


def key_usage_untrusted(value: bytes, flaws: list[str] | None = None) -> int:
    """Read keyUsage as a mask. Unused bits that are set are added to ``flaws``, without which they are an error."""
    start, stop = der.whole_untrusted(value, der.BIT_STRING, "keyUsage")
    if flaws is not None and stop - start > 1 and value[start] < 8 and value[stop - 1] & ((1 << value[start]) - 1):
        flaws.append(malformations.USAGE_BITS)
        clean = value[start : stop - 1] + bytes((value[stop - 1] & ~((1 << value[start]) - 1),))
        _, bits = der.bits_untrusted(clean, 0, len(clean))
    else:
        _, bits = der.bits_untrusted(value, start, stop)
    mask = 0
    for place in range(min(len(bits) * 8, len(KEY_USAGE_NAMES))):
        if bits[place >> 3] & 0x80 >> (place & 7):
            mask |= 1 << place
    return mask


def _add(flaw: str, flaws: list[str] | None) -> None:
    if flaws is None:
        raise der.DerError(flaw)
    flaws.append(flaw)


def extended_key_usage_untrusted(value: bytes) -> tuple[str, ...]:
    """Read extKeyUsage: the purposes by name where known, else dotted."""
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "extKeyUsage")
    found = []
    children = der.children_untrusted(value, start, stop)
    if len(children) > MAX_PURPOSES:
        raise der.DerError(f"extKeyUsage: {len(children)} purposes, more than the {MAX_PURPOSES} that are read")
    for tag, at, end in children:
        if tag != der.OID:
            raise der.DerError("extKeyUsage: something that is not an OBJECT IDENTIFIER")
        oid = value[at:end]
        found.append(_USAGES.get(oid) or der.oid_untrusted(oid))
    return tuple(found)


def subject_alt_name_untrusted(value: bytes) -> GeneralNames:
    """Read subjectAltName; ``flaw`` says if the content of a name is malformed (not ASCII, an address of 5 bytes)."""
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "subjectAltName")
    dns: list[str] = []
    ips: list[bytes] = []
    others: list[tuple[int, bytes]] = []
    texts: list[str] = []
    flaw = None
    count = 0
    while start < stop and count < MAX_NAMES:
        count += 1
        # nearly all have one byte of length; a call for each would double the time
        tag, at = value[start], start + 2
        if at <= stop and value[start + 1] < 128 and at + value[start + 1] <= stop and tag & 0x1F != 0x1F:
            end = at + value[start + 1]
        else:
            tag, at, end = der.header_untrusted(value, start, stop)
        start = end
        content = value[at:end]
        if tag == 0x82:
            if content.isascii():
                name = content.decode("ascii")
            else:
                # in a form that is valid text and cannot match any host name
                name = content.decode("utf-8", "backslashreplace")
                flaw = malformations.NAME_NOT_ASCII
            dns.append(name)
            texts.append(name)
        elif tag == 0x87:
            if len(content) in (4, 16):
                ips.append(content)
                texts.append("{}.{}.{}.{}".format(*content) if len(content) == 4 else _address_text(content))
            else:
                flaw = f"{malformations.ADDRESS_LENGTH} {len(content)} bytes"
        else:
            others.append((tag, content))
            flaw = _other_name_flaw(tag, content) or flaw
    if not count:
        flaw = malformations.NO_NAMES_IN_IT
    return GeneralNames(tuple(dns), tuple(ips), tuple(others), tuple(texts), flaw, start < stop)


def _other_name_flaw(tag: int, content: bytes) -> str | None:
    """Return what is malformed in a GeneralName that is neither a dNSName nor an iPAddress."""
    if tag in (0x81, 0x86):
        return None if content.isascii() else malformations.NAME_NOT_ASCII
    flaw = malformations.BROKEN_OTHER_NAME if tag in (0x88, 0xA0, 0xA5) else malformations.BROKEN_NAME
    try:
        if tag == 0x88:
            der.oid_untrusted(content)
        elif tag == 0xA0:
            _, stop = der.expect_untrusted(content, 0, len(content), der.OID, "otherName")
            der.expect_untrusted(content, stop, len(content), 0xA0, "otherName")
        elif tag == 0xA4:
            der.whole_untrusted(content, der.SEQUENCE, "directoryName")
        elif tag == 0xA5:
            children = der.children_untrusted(content, 0, len(content))
            return malformations.EDI_NAME if children and children[-1][0] == 0xA1 else flaw
        elif tag != 0xA3:
            return flaw
    except der.DerError:
        return flaw
    return None


def _address_text(content: bytes) -> str:
    """Return an IPv6 address as RFC 5952 section 4 writes it; ``ipaddress`` takes five times as long."""
    text = "{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}".format(*_GROUPS(content))
    zeros = max(_ZEROS.findall(text), key=lambda run: run.count("0"), default="")
    return text.replace(zeros, "::", 1) if zeros else text


_GROUPS: Final = struct.Struct(">8H").unpack
# Two groups of zeros and more, with the colons at both ends
_ZEROS: Final = re.compile(r"(?:^|:)0(?::0)+(?::|$)")


def authority_key_untrusted(value: bytes) -> AuthorityKey:
    """Read authorityKeyIdentifier."""
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "authorityKeyIdentifier")
    identifier = issuer = serial = None
    for tag, at, end in der.children_untrusted(value, start, stop):
        if tag == 0x80:
            identifier = value[at:end]
        elif tag == 0xA1:
            names = [value[low:high] for kind, low, high in der.children_untrusted(value, at, end) if kind == 0xA4]
            issuer = names[0] if names else None
        elif tag == 0x82:
            serial = value[at:end]
    return AuthorityKey(identifier, issuer, serial)


def subject_key_identifier_untrusted(value: bytes) -> bytes:
    """Read subjectKeyIdentifier."""
    start, stop = der.whole_untrusted(value, der.OCTET_STRING, "subjectKeyIdentifier")
    return value[start:stop]


def information_access_untrusted(
    value: bytes, flaws: list[str] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read authorityInfoAccess: (caIssuers URLs, OCSP URLs). If it is empty, ``flaws`` says so, without which that is an error."""
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "authorityInfoAccess")
    if start == stop:
        _add(malformations.EMPTY_ACCESS, flaws)
    issuers: list[str] = []
    ocsp: list[str] = []
    for _ in range(MAX_DESCRIPTIONS):
        if start == stop:
            break
        tag, at, end = der.header_untrusted(value, start, stop)
        start = end
        if tag != der.SEQUENCE:
            raise der.DerError("authorityInfoAccess: a description that is not a sequence")
        oid_start, oid_stop = der.expect_untrusted(value, at, end, der.OID, "authorityInfoAccess")
        location, url_start, url_stop = der.header_untrusted(value, oid_stop, end)
        if location != 0x86:
            continue
        url = value[url_start:url_stop].decode("utf-8", "backslashreplace")
        method = value[oid_start:oid_stop]
        if method == _AD_CA_ISSUERS:
            issuers.append(url)
        elif method == _AD_OCSP:
            ocsp.append(url)
    return tuple(issuers), tuple(ocsp)


def distribution_points_untrusted(value: bytes) -> tuple[tuple[tuple[int, bytes], ...], ...]:
    """Read cRLDistributionPoints: for each point the GeneralNames of its fullName, as (tag, content)."""
    start, stop = der.expect_untrusted(value, 0, len(value), der.SEQUENCE, "cRLDistributionPoints")
    points: list[tuple[tuple[int, bytes], ...]] = []
    while start < stop and len(points) < MAX_DESCRIPTIONS:
        _, point_start, point_stop = der.header_untrusted(value, start, stop)
        start = point_stop
        names: list[tuple[int, bytes]] = []
        for tag, at, end in der.children_untrusted(value, point_start, point_stop):
            if tag != 0xA0:
                continue
            for name_tag, name_start, name_stop in der.children_untrusted(value, at, end):
                if name_tag == 0xA0:
                    kinds = der.children_untrusted(value, name_start, name_stop)
                    names += [(kind, value[low:high]) for kind, low, high in kinds[:MAX_DESCRIPTIONS]]
        points.append(tuple(names))
    return tuple(points)


def check_distribution_points_untrusted(value: bytes, flaws: list[str] | None = None) -> None:
    """Add to ``flaws`` what clients refuse in cRLDistributionPoints, without which that is an error."""
    name = "cRLDistributionPoints"
    start, stop = der.expect_untrusted(value, 0, len(value), der.SEQUENCE, name)
    for tag, point_start, point_stop in der.children_untrusted(value, start, stop):
        if tag != der.SEQUENCE:
            raise der.DerError(f"{name}: a point that is not a sequence")
        fields = der.children_untrusted(value, point_start, point_stop)
        named = [(at, end) for kind, at, end in fields if kind == 0xA0]
        if not named and all(kind != 0xA2 for kind, _, _ in fields):
            _add(malformations.EMPTY_POINT, flaws)
        for at, end in named:
            if any(kind == 0xA1 for kind, _, _ in der.children_untrusted(value, at, end)):
                _add(malformations.RELATIVE_POINT, flaws)


def points_of(value: bytes | None) -> tuple[tuple[tuple[int, bytes], ...], ...]:
    """Read cRLDistributionPoints; empty if the extension is absent (``None``) or cannot be read."""
    try:
        return () if value is None else distribution_points_untrusted(value)
    except der.DerError:
        return ()


def demands_staple_untrusted(value: bytes) -> bool:
    """Return whether a TLS feature extension (RFC 7633) has status_request (5) or status_request_v2 (17)."""
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "tlsFeature")
    return any(
        tag == der.INTEGER and der.integer_untrusted(value, at, end) in (5, 17)
        for tag, at, end in der.children_untrusted(value, start, stop)
    )
