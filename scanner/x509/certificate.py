"""Certificates as the judges read them: parsed once, cheaply, and never trusting a byte.

A scan meets a fresh leaf on every host, so the fields that decide are read straight from the DER; ``cryptography`` is
asked to parse the whole as well (about 1.5 microseconds), so that what this module accepts its primitives can use, and
does the rest on demand. What is wrong inside a certificate that can still be read is kept in ``flaws``; what cannot be
read at all is a ``CertificateError``.
"""

from __future__ import annotations

import warnings
from binascii import b2a_base64
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509

from scanner.model.findings import CertificateRecord
from scanner.x509 import certificate_fast as ordinary
from scanner.x509 import certificate_fields as fields
from scanner.x509 import der, extensions
from scanner.x509 import malformations as flaws
from scanner.x509.distinguished import NameText, name_text
from scanner.x509.name_constraints import NameConstraints
from scanner.x509.signatures import NOT_TAKEN, SignatureAlgorithm, algorithm_untrusted, verifies

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

# TLS could carry 16 MiB; the largest certificates in use (thousands of names) have some 200 KiB.
MAX_CERTIFICATE_BYTES: Final = 1 << 20
# Go refuses longer RSA keys in TLS for what they cost; the longest in any public store have 4096 bits.
MAX_KEY_BITS: Final = 8192

_T = TypeVar("_T")


class CertificateError(Exception):
    """The bytes are not a certificate that can be read; the message says where, in words for a person."""


class Certificate:
    """One parsed X.509 certificate (RFC 5280). Equal when the DER is equal; not to be changed.

    Times are seconds since the epoch (UTC); ``sha256`` and ``serial`` are lower-case hex. ``flaws`` are sentences about
    what is wrong inside it that mainstream clients refuse; ``unknown_critical`` are dotted OIDs. ``key_usage`` (mask)
    and ``extended_key_usage`` are ``None`` where the extension is absent.
    """

    __slots__ = (
        "__weakref__", "_extensions", "_names", "_public_key", "_self_signed", "_subject_name", "_x509",
        "aia_ca_issuers", "authority_key", "authority_key_id", "common_name", "critical", "der", "dns_names",
        "extended_key_usage", "flaws", "ip_addresses", "is_ca", "issuer", "issuer_der", "issuer_name", "key", "key_bits",
        "key_type", "key_usage", "name_constraints", "not_after", "not_after_text", "not_before", "not_before_text",
        "ocsp_urls", "path_length", "san", "self_issued", "serial", "sha256", "signature", "signature_algorithm",
        "signature_bytes", "spki_der", "subject", "subject_der", "subject_key_id", "tbs_der", "unknown_critical", "version",
    )  # fmt: skip

    der: bytes
    sha256: str
    flaws: tuple[str, ...]
    version: int
    serial: str
    signature_algorithm: SignatureAlgorithm
    signature: str  # the name of the algorithm it is signed with
    signature_bytes: bytes
    tbs_der: bytes
    not_before: float
    not_after: float
    not_before_text: str
    not_after_text: str
    issuer_der: bytes
    issuer_name: NameText
    issuer: str  # RFC 4514 text
    subject_der: bytes
    subject: str
    common_name: str | None  # the last, most specific CN of the subject
    self_issued: bool
    spki_der: bytes
    key_type: str
    key_bits: int | None
    key: str
    dns_names: tuple[str, ...]  # dNSName entries of subjectAltName, as they stand
    ip_addresses: tuple[bytes, ...]  # iPAddress entries: 4 or 16 bytes each
    san: tuple[str, ...]  # both as text, in their order
    is_ca: bool
    path_length: int | None
    key_usage: int | None
    extended_key_usage: tuple[str, ...] | None
    authority_key: extensions.AuthorityKey
    authority_key_id: bytes | None
    subject_key_id: bytes | None
    aia_ca_issuers: tuple[str, ...]
    ocsp_urls: tuple[str, ...]
    name_constraints: NameConstraints | None
    critical: tuple[bytes, ...]
    unknown_critical: tuple[str, ...]
    _extensions: dict[bytes, tuple[bool, bytes]]
    _names: extensions.GeneralNames | None

    def __init__(self, data: bytes) -> None:
        """Use ``parse_untrusted``."""
        self.der = data
        self.sha256 = sha256(data).hexdigest()
        self._x509: x509.Certificate | None = None
        self._public_key: CertificatePublicKeyTypes | None = None
        self._self_signed: bool | None = None
        self._subject_name: NameText | None = None
        if not ordinary.read_untrusted(self, data):
            self._read_exactly()

    def _read_exactly(self) -> None:
        """Read what is not of the ordinary form, and say what is wrong with it."""
        found: list[str] = []
        self._read_frame(self.der, found)
        self._read_extensions(found)
        for name, what in ((self.subject_name, "subject"), (self.issuer_name, "issuer")):
            if name.flaw:
                found.append(f"{what}: {name.flaw}")
        self.flaws = tuple(found)

    @classmethod
    def parse_untrusted(cls, data: bytes) -> Certificate:
        """Parse one DER certificate; raises only ``CertificateError``."""
        if len(data) > MAX_CERTIFICATE_BYTES:
            raise CertificateError(f"{len(data)} bytes, more than the {MAX_CERTIFICATE_BYTES} read as one certificate")
        try:
            certificate = cls(data)
        except der.DerError as error:
            raise CertificateError(str(error)) from None
        # what is refused for its serial number alone is still a certificate to look at
        if certificate.serial[0] != "-" and certificate.serial != "00":
            certificate._load()
        return certificate

    # --- reading ---------------------------------------------------------------------------------

    def _read_frame(self, data: bytes, found_flaws: list[str]) -> None:
        start, stop = der.whole_untrusted(data, der.SEQUENCE, "certificate")
        tbs_start, tbs_stop = der.expect_untrusted(data, start, stop, der.SEQUENCE, "tbsCertificate")
        self.tbs_der = data[start:tbs_stop]
        _, algorithm_stop = der.expect_untrusted(data, tbs_stop, stop, der.SEQUENCE, "signatureAlgorithm")
        outer = data[tbs_stop:algorithm_stop]
        bits_start, bits_stop = der.expect_untrusted(data, algorithm_stop, stop, der.BIT_STRING, "signatureValue")
        if bits_stop != stop:
            raise der.DerError("certificate: bytes after the signature")
        unused, self.signature_bytes = der.bits_untrusted(data, bits_start, bits_stop)
        if unused:
            raise der.DerError("signatureValue: not a whole number of bytes")
        self.signature_algorithm = algorithm_untrusted(outer)
        self.signature = self.signature_algorithm.name

        self.version = 1
        at = tbs_start
        if at < tbs_stop and data[at] == 0xA0:
            _, inner_start, inner_stop = der.header_untrusted(data, at, tbs_stop)
            number_start, number_stop = der.expect_untrusted(data, inner_start, inner_stop, der.INTEGER, "version")
            self.version = der.integer_untrusted(data, number_start, number_stop) + 1
            at = inner_stop
        serial_start, serial_stop = der.expect_untrusted(data, at, tbs_stop, der.INTEGER, "serialNumber")
        if serial_start == serial_stop:
            raise der.DerError("serialNumber: empty")
        self.serial = fields.serial_text_untrusted(data[serial_start:serial_stop])
        if self.serial.startswith("-"):
            found_flaws.append(flaws.NEGATIVE_SERIAL)
        _, at = der.expect_untrusted(data, serial_stop, tbs_stop, der.SEQUENCE, "signature")
        if data[serial_stop:at] != outer:
            found_flaws.append("the signature algorithms inside and outside the signed part differ")
        issuer_at = at
        _, at = der.expect_untrusted(data, at, tbs_stop, der.SEQUENCE, "issuer")
        self.issuer_der = data[issuer_at:at]
        validity_at = at
        _, at = der.expect_untrusted(data, at, tbs_stop, der.SEQUENCE, "validity")
        validity = fields.validity_untrusted(data[validity_at:at])
        self.not_before, self.not_after, self.not_before_text, self.not_after_text = validity
        subject_at = at
        _, at = der.expect_untrusted(data, at, tbs_stop, der.SEQUENCE, "subject")
        self.subject_der = data[subject_at:at]
        spki_at = at
        _, at = der.expect_untrusted(data, at, tbs_stop, der.SEQUENCE, "subjectPublicKeyInfo")
        self.spki_der = data[spki_at:at]
        self.key_type, self.key_bits, self.key = fields.key_untrusted(self.spki_der, found_flaws)
        self.self_issued = self.subject_der == self.issuer_der
        self.issuer_name = name_text(self.issuer_der)
        self.issuer = self.issuer_name.text
        self.subject = self.subject_name.text
        self.common_name = self.subject_name.common_name
        self._extensions = {}
        while at < tbs_stop:
            tag, inner_start, inner_stop = der.header_untrusted(data, at, tbs_stop)
            if tag == 0xA3:
                self._extensions = extensions.split_untrusted(data, inner_start, inner_stop, found_flaws)
                if inner_stop != tbs_stop:
                    raise der.DerError("tbsCertificate: bytes after the extensions")
            elif tag not in (0x81, 0x82, 0xA1, 0xA2):
                raise der.DerError(f"tbsCertificate: tag 0x{tag:02x} where the extensions belong")
            at = inner_stop

    def _read_extensions(self, found_flaws: list[str]) -> None:
        found = self._extensions

        def read(oid: bytes, reader: Callable[[bytes], _T], absent: _T) -> _T:
            entry = found.get(oid)
            if entry is None:
                return absent
            try:
                return reader(entry[1])
            except der.DerError as error:
                found_flaws.append(str(error))
                return absent

        names = read(extensions.SUBJECT_ALT_NAME, extensions.subject_alt_name_untrusted, extensions.NO_NAMES)
        self._names, self.dns_names, self.ip_addresses, self.san = names, names.dns, names.ips, names.texts
        if names.flaw:
            found_flaws.append(names.flaw)
        self.is_ca, self.path_length = read(
            extensions.BASIC_CONSTRAINTS, extensions.basic_constraints_untrusted, extensions.NO_CONSTRAINTS
        )
        self.key_usage = read(extensions.KEY_USAGE, extensions.key_usage_untrusted, None)
        self.extended_key_usage = read(extensions.EXT_KEY_USAGE, extensions.extended_key_usage_untrusted, None)
        self.authority_key = read(
            extensions.AUTHORITY_KEY_IDENTIFIER, extensions.authority_key_untrusted, extensions.NO_KEY
        )
        self.authority_key_id = self.authority_key.identifier
        self.subject_key_id = read(extensions.SUBJECT_KEY_IDENTIFIER, extensions.subject_key_identifier_untrusted, None)
        self.aia_ca_issuers, self.ocsp_urls = read(
            extensions.AUTHORITY_INFO_ACCESS, extensions.information_access_untrusted, extensions.NO_ACCESS
        )
        self.name_constraints = read(extensions.NAME_CONSTRAINTS, NameConstraints.read_untrusted, None)
        self.critical = tuple([oid for oid, entry in found.items() if entry[0]])
        if self.name_constraints is not None:
            self.name_constraints.critical = extensions.NAME_CONSTRAINTS in self.critical
        if self.subject_der == _EMPTY_NAME and not self.is_ca and extensions.SUBJECT_ALT_NAME not in self.critical:
            found_flaws.append(flaws.UNNAMED)
        unknown: list[str] = []
        for oid in self.critical:
            never = extensions.NEVER_CRITICAL.get(oid)
            if never:
                found_flaws.append(f"{never} is marked critical")
            if oid not in extensions.UNDERSTOOD_WHEN_CRITICAL:
                unknown.append(der.oid_untrusted(oid))
        self.unknown_critical = tuple(unknown)

    def _load(self) -> x509.Certificate:
        if self._x509 is None:
            try:
                if self.serial.startswith("-") or self.serial == "00":
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        self._x509 = x509.load_der_x509_certificate(self.der)
                else:
                    self._x509 = x509.load_der_x509_certificate(self.der)
            except NOT_TAKEN as error:
                raise CertificateError(_one_line(error)) from None
        return self._x509

    # --- fields ----------------------------------------------------------------------------------

    @property
    def x509(self) -> x509.Certificate:
        """The same certificate as ``cryptography`` sees it; raises ``CertificateError`` where it sees none."""
        return self._load()

    @property
    def public_key(self) -> CertificatePublicKeyTypes:
        """The subject's key; raises ``CertificateError`` where it is of no kind that is known, or no key at all."""
        if self._public_key is None:
            try:
                self._public_key = (self._x509 or self._load()).public_key()
            except NOT_TAKEN as error:
                raise CertificateError(f"public key: {_one_line(error)}") from None
        return self._public_key

    @property
    def subject_name(self) -> NameText:
        """The subject, decoded."""
        if self._subject_name is None:
            self._subject_name = name_text(self.subject_der)
        return self._subject_name

    @property
    def names(self) -> extensions.GeneralNames:
        """subjectAltName, names of other types too."""
        if self._names is None:  # there are none
            self._names = extensions.GeneralNames(self.dns_names, self.ip_addresses, (), self.san)
        return self._names

    @property
    def self_signed(self) -> bool:
        """Issuer and subject are the same, and its own key verifies it."""
        if self._self_signed is None:
            self._self_signed = self.self_issued and self.signed_by(self) is True
        return self._self_signed

    @property
    def crl_urls(self) -> tuple[str, ...]:
        """The URLs of cRLDistributionPoints; none where they cannot be read."""
        points = extensions.points_of(self.extension(extensions.CRL_DISTRIBUTION_POINTS))
        return tuple(url.decode("utf-8", "backslashreplace") for names in points for tag, url in names if tag == 0x86)

    @property
    def must_staple(self) -> bool:
        """It demands a stapled OCSP response (RFC 7633)."""
        entry = self._extensions.get(extensions.TLS_FEATURE)
        try:
            return entry is not None and extensions.demands_staple_untrusted(entry[1])
        except der.DerError:
            return False

    def extension(self, oid: bytes) -> bytes | None:
        """What extnValue holds, by the content bytes of the extension's OID."""
        entry = self._extensions.get(oid)
        return entry and entry[1]

    def load_constraints(self) -> None:
        """Read name constraints so long that this was put off; where they cannot be read, ``flaws`` says so from now on."""
        constraints = self.name_constraints
        if constraints is not None and (flaw := constraints.load()) is not None:
            self.name_constraints = None
            self.flaws = (*self.flaws, flaw)

    def signed_by(self, issuer: Certificate) -> bool | None:
        """Whether the issuer's key verifies the signature; ``None`` where that cannot be computed."""
        if issuer.key_bits is not None and issuer.key_bits > MAX_KEY_BITS:
            return None
        try:
            key = issuer._public_key or issuer.public_key
        except CertificateError:
            return None
        return verifies(key, self.signature_algorithm, self.signature_bytes, self.tbs_der)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"<Certificate {self.subject!r} {self.sha256[:16]}>"


_EMPTY_NAME: Final = b"\x30\x00"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- describing ------------------------------------------------------------------------------------


def describe(certificate: Certificate, *, with_der: bool = False) -> CertificateRecord:
    """The certificate as it stands in a finding: text is exact, and valid UTF-8 whatever the certificate holds."""
    record: CertificateRecord = {
        "sha256": certificate.sha256,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "san": list(certificate.san),
        "serial": certificate.serial,
        "not_before": certificate.not_before_text,
        "not_after": certificate.not_after_text,
        "key": certificate.key,
        "signature": certificate.signature,
    }
    if certificate.flaws:
        record["error"] = "; ".join(certificate.flaws)
    if with_der:
        record["der"] = b2a_base64(certificate.der, newline=False).decode("ascii")
    return record


def describe_malformed(data: bytes, error: CertificateError | str) -> CertificateRecord:
    """What a finding says about bytes that came as a certificate and are none."""
    return CertificateRecord(
        sha256=sha256(data).hexdigest(),
        subject=None,
        issuer=None,
        san=[],
        serial=None,
        not_before=None,
        not_after=None,
        key=None,
        signature=None,
        error=str(error),
    )
