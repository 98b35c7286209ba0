"""Reads any certificate, element by element, and says in words what is malformed in it.

The reader that defines what a certificate says. ``certificate_fast`` reads the usual form of it in a quarter of the
time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from scanner.x509 import certificate_fields as fields
from scanner.x509 import der, extensions, malformations
from scanner.x509.certificate_fields import Fields
from scanner.x509.distinguished import EMPTY_NAME, name_text
from scanner.x509.extensions import NO_ACCESS, NO_CONSTRAINTS, NO_KEY, NO_NAMES
from scanner.x509.name_constraints import NameConstraints
from scanner.x509.signatures import SignatureAlgorithm, algorithm_untrusted

_T = TypeVar("_T")


def read_untrusted(data: bytes) -> Fields:
    """Read a DER certificate; raises only ``DerError``, where it cannot be read at all."""
    found: list[str] = []
    start, stop = der.expect_untrusted(data, 0, len(data), der.SEQUENCE, "certificate")
    if stop != len(data):
        found.append(malformations.TRAILING)
    tbs_start, tbs_stop = der.expect_untrusted(data, start, stop, der.SEQUENCE, "tbsCertificate")
    outer, algorithm_stop = der.element_untrusted(data, tbs_stop, stop, der.SEQUENCE, "signatureAlgorithm")
    bits_start, bits_stop = der.expect_untrusted(data, algorithm_stop, stop, der.BIT_STRING, "signatureValue")
    if bits_stop != stop:
        raise der.DerError("certificate: bytes after the signature")
    if bits_start == bits_stop or data[bits_start] > 7:
        raise der.DerError("signatureValue: a BIT STRING with an impossible count of unused bits")
    if data[bits_start]:
        found.append(malformations.SIGNATURE_BITS)
    signature_bytes = data[bits_start + 1 : bits_stop]
    algorithm = algorithm_untrusted(outer)

    version = 1
    at = tbs_start
    if at < tbs_stop and data[at] == 0xA0:
        _, inner_start, inner_stop = der.header_untrusted(data, at, tbs_stop)
        number_start, number_stop = der.expect_untrusted(data, inner_start, inner_stop, der.INTEGER, "version")
        version = der.integer_untrusted(data, number_start, number_stop) + 1
        if version < 1:
            raise der.DerError("version: a negative number")
        if version == 1:
            found.append(malformations.VERSION_1_EXPLICIT)
        elif version > 3:
            found.append(malformations.UNKNOWN_VERSION)
        at = inner_stop
    serial_start, serial_stop = der.expect_untrusted(data, at, tbs_stop, der.INTEGER, "serialNumber")
    if serial_start == serial_stop:
        raise der.DerError("serialNumber: empty")
    serial_bytes = data[serial_start:serial_stop]
    serial = fields.serial_text_untrusted(serial_bytes)
    if len(serial_bytes) > 1 and (serial_bytes[0], serial_bytes[1] >> 7) in ((0, 0), (0xFF, 1)):
        found.append(malformations.PADDED_SERIAL)
    if serial.startswith("-"):
        found.append(malformations.NEGATIVE_SERIAL)
    inner, at = der.element_untrusted(data, serial_stop, tbs_stop, der.SEQUENCE, "signature")
    if inner != outer:
        found.append(_algorithms_flaw(algorithm_untrusted(inner), algorithm))
    issuer_der, at = der.element_untrusted(data, at, tbs_stop, der.SEQUENCE, "issuer")
    validity_der, at = der.element_untrusted(data, at, tbs_stop, der.SEQUENCE, "validity")
    validity = fields.validity_untrusted(validity_der, found)
    if validity[0] < 0:
        found.append(malformations.BEFORE_1970)
    subject_der, at = der.element_untrusted(data, at, tbs_stop, der.SEQUENCE, "subject")
    spki_der, at = der.element_untrusted(data, at, tbs_stop, der.SEQUENCE, "subjectPublicKeyInfo")
    key = fields.key_untrusted(spki_der, found)
    issuer, subject = name_text(issuer_der), name_text(subject_der)
    listed: dict[bytes, tuple[bool, bytes]] = {}
    while at < tbs_stop:
        tag, inner_start, inner_stop = der.header_untrusted(data, at, tbs_stop)
        if tag == 0xA3:
            if version < 3:
                found.append(malformations.EXTENSIONS_BEFORE_V3)
            listed = extensions.split_untrusted(data, inner_start, inner_stop, found)
            if inner_stop != tbs_stop:
                raise der.DerError("tbsCertificate: bytes after the extensions")
        elif tag not in (0x81, 0x82, 0xA1, 0xA2):
            raise der.DerError(f"tbsCertificate: tag 0x{tag:02x} where the extensions belong")
        at = inner_stop

    def read(name: str, reader: Callable[[bytes], _T], absent: _T) -> _T:
        entry = listed.get(extensions.OIDS[name])
        if entry is None:
            return absent
        critical, value = entry
        try:
            _, _, end = der.header_untrusted(value, 0, len(value))
            if end < len(value):
                found.append(malformations.more_follows(name, critical=critical))
            return reader(value[:end])
        except der.DerError as error:
            found.append(f"{malformations.unreadable(name, critical=critical)}: {error}")
            return absent

    names = read("subjectAltName", extensions.subject_alt_name_untrusted, NO_NAMES)
    if names.flaw:
        found.append(names.flaw)
    is_ca, path_length = read(
        "basicConstraints", lambda value: extensions.basic_constraints_untrusted(value, found), NO_CONSTRAINTS
    )
    key_usage = read("keyUsage", lambda value: extensions.key_usage_untrusted(value, found), None)
    extended_key_usage = read("extKeyUsage", extensions.extended_key_usage_untrusted, None)
    authority_key = read("authorityKeyIdentifier", extensions.authority_key_untrusted, NO_KEY)
    subject_key_id = read("subjectKeyIdentifier", extensions.subject_key_identifier_untrusted, None)
    ca_issuers, ocsp_urls = read(
        "authorityInfoAccess", lambda value: extensions.information_access_untrusted(value, found), NO_ACCESS
    )
    name_constraints = read("nameConstraints", NameConstraints.read_untrusted, None)
    read("cRLDistributionPoints", lambda value: extensions.check_distribution_points_untrusted(value, found), None)
    read("tlsFeature", lambda value: der.whole_untrusted(value, der.SEQUENCE, "tlsFeature"), None)
    timestamps = listed.get(extensions.OIDS["signedCertificateTimestamps"])
    if timestamps is not None and timestamps[1][:1] != bytes((der.OCTET_STRING,)):
        found.append(malformations.unreadable("signedCertificateTimestamps"))
    critical = tuple([oid for oid, entry in listed.items() if entry[0]])
    if name_constraints is not None:
        name_constraints.critical = extensions.NAME_CONSTRAINTS in critical
        found += name_constraints.flaws
    if subject_der == EMPTY_NAME and not is_ca and extensions.SUBJECT_ALT_NAME not in critical:
        found.append(malformations.UNNAMED)
    unknown = _not_understood(critical, found)
    for name, what in ((subject, "subject"), (issuer, "issuer")):
        if name.flaw:
            found.append(f"{what}: {name.flaw}")
    return Fields(
        version,
        serial,
        algorithm,
        signature_bytes,
        data[start:tbs_stop],
        issuer_der,
        issuer,
        *validity,
        subject_der,
        subject.text,
        subject.common_name,
        spki_der,
        *key,
        listed,
        critical,
        unknown,
        names,
        is_ca,
        path_length,
        key_usage,
        extended_key_usage,
        authority_key,
        subject_key_id,
        ca_issuers,
        ocsp_urls,
        name_constraints,
        tuple(found),
    )


def _algorithms_flaw(inner: SignatureAlgorithm, outer: SignatureAlgorithm) -> str:
    """Return what to say of algorithms inside and outside the signed part whose DER differs."""
    if inner == outer and inner.kind is not None:
        return malformations.ALGORITHM_FORM
    same = inner.kind is not None and replace(inner, name=outer.name) == outer
    return malformations.ALGORITHM_PARAMETERS if same else malformations.ALGORITHM_DIFFERS


def _not_understood(critical: tuple[bytes, ...], found_flaws: list[str]) -> tuple[str, ...]:
    """Return the unknown critical extensions, dotted; add to ``found_flaws`` those that must not be critical."""
    unknown: list[str] = []
    for oid in critical:
        never = extensions.NEVER_CRITICAL.get(oid)
        if never:
            found_flaws.append(f"{never} is marked critical")
        if oid not in extensions.UNDERSTOOD_WHEN_CRITICAL:
            unknown.append(der.oid_untrusted(oid))
    return tuple(unknown)
