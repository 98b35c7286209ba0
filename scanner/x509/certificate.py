"""X.509 certificates, as all rules see them.

Their fields are read by ``certificate_fast``, or by ``certificate_exact`` where that one returns nothing.
``cryptography`` only loads keys, on demand: its own parser of certificates refuses much that clients accept. What is
malformed in a certificate that can be read is listed in ``flaws``; what cannot be read at all is a
``CertificateError``.
"""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec.structs import astuple

from scanner.model.findings import CertificateRecord
from scanner.x509 import certificate_exact, certificate_fast, der, extensions
from scanner.x509.certificate_fields import Fields
from scanner.x509.distinguished import name_text
from scanner.x509.signatures import CRYPTOGRAPHY_ERRORS, SignatureAlgorithm, verify_signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

# TLS allows 16 MiB; the largest certificates in use (thousands of names) have some 200 KiB.
MAX_CERTIFICATE_BYTES: Final = 1 << 20
# OpenSSL verifies with no longer RSA keys; the longest in any public store have 4096 bits.
MAX_KEY_BITS: Final = 16_384


class CertificateError(Exception):
    """The bytes are not a certificate that can be read; the message tells a person where."""


class Certificate(Fields, eq=False, weakref=True):
    """One X.509 certificate (RFC 5280), made by ``parse_untrusted``: immutable by convention, equal if the DER is equal."""

    der: bytes
    sha256: str
    _public_key: CertificatePublicKeyTypes | None = None
    _self_signed: bool | None = None
    _subject_attributes: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def parse_untrusted(cls, data: bytes) -> Certificate:
        """Parse one DER certificate; raises only ``CertificateError``."""
        if len(data) > MAX_CERTIFICATE_BYTES:
            raise CertificateError(f"{len(data)} bytes, more than the {MAX_CERTIFICATE_BYTES} read as one certificate")
        try:
            fields = certificate_fast.read_untrusted(data) or certificate_exact.read_untrusted(data)
        except der.DerError as error:
            raise CertificateError(str(error)) from None
        return cls(*(*astuple(fields), data, sha256(data).hexdigest()))

    def release(self) -> None:
        """Drop the key as ``cryptography`` has loaded it: it is loaded again when it is asked for."""
        self._public_key = None

    # --- what follows from the fields --------------------------------------------------------------

    @property
    def issuer(self) -> str:
        """The issuer's name as RFC 4514 text."""
        return self.issuer_name.text

    @property
    def self_issued(self) -> bool:
        """Whether issuer and subject are the same."""
        return self.issuer_der == self.subject_der

    @property
    def signature(self) -> str:
        """The name of the algorithm that it is signed with."""
        return self.signature_algorithm.name

    @property
    def authority_key_id(self) -> bytes | None:
        """The key identifier of authorityKeyIdentifier."""
        return self.authority_key.identifier

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The dNSName entries of subjectAltName, unchanged."""
        return self.names.dns

    @property
    def ip_addresses(self) -> tuple[bytes, ...]:
        """The iPAddress entries of subjectAltName: 4 or 16 bytes each."""
        return self.names.ips

    @property
    def san(self) -> tuple[str, ...]:
        """Both as text, in their order."""
        return self.names.texts

    @property
    def public_key(self) -> CertificatePublicKeyTypes:
        """The subject's key; raises ``CertificateError`` if it is of an unknown kind or malformed."""
        if self._public_key is None:
            try:
                self._public_key = cast("CertificatePublicKeyTypes", load_der_public_key(self.spki_der))
            except CRYPTOGRAPHY_ERRORS as error:
                raise CertificateError(f"public key: {_one_line(error)}") from None
        return self._public_key

    @property
    def subject_attributes(self) -> tuple[tuple[str, str], ...]:
        """The attributes of the subject in their order. Where its text is a common name alone, as in most leaves, it is not decoded."""
        if self._subject_attributes is None:
            common_name = self.common_name
            if common_name is not None and self.subject == f"CN={common_name}":
                self._subject_attributes = (("CN", common_name),)
            else:
                self._subject_attributes = name_text(self.subject_der).attributes
        return self._subject_attributes

    @property
    def self_signed(self) -> bool:
        """Whether issuer and subject are the same, and its own key verifies it."""
        if self._self_signed is None:
            self._self_signed = self.self_issued and self.signed_by(self) is True
        return self._self_signed

    @property
    def crl_urls(self) -> tuple[str, ...]:
        """The URLs of cRLDistributionPoints; empty if the extension cannot be read."""
        points = extensions.points_of(self.extension(extensions.CRL_DISTRIBUTION_POINTS))
        return tuple(url.decode("utf-8", "backslashreplace") for names in points for tag, url in names if tag == 0x86)

    @property
    def must_staple(self) -> bool:
        """Whether it demands a stapled OCSP response (RFC 7633)."""
        entry = self.extensions.get(extensions.TLS_FEATURE)
        try:
            return entry is not None and extensions.demands_staple_untrusted(entry[1])
        except der.DerError:
            return False

    def extension(self, oid: bytes) -> bytes | None:
        """Return the content of extnValue of an extension by the content bytes of its OID; ``None`` if it is absent."""
        entry = self.extensions.get(oid)
        return entry and entry[1]

    def load_constraints(self) -> None:
        """Read name constraints that were too long to be read at once; ``flaws`` then says if they are malformed."""
        constraints = self.name_constraints
        if constraints is None:
            return
        if (flaw := constraints.load()) is not None:
            self.name_constraints = None
            self.flaws = (*self.flaws, flaw)
        else:
            self.flaws = (*self.flaws, *[flaw for flaw in constraints.flaws if flaw not in self.flaws])

    def verifies(self, algorithm: SignatureAlgorithm, signature: bytes, signed: bytes) -> bool | None:
        """Return whether the subject's key made ``signature`` over ``signed``; ``None`` if it cannot be computed."""
        if self.key_bits is not None and self.key_bits > MAX_KEY_BITS:
            return None
        try:
            key = self._public_key or self.public_key
        except CertificateError:
            return None
        return verify_signature(key, algorithm, signature, signed)

    def signed_by(self, issuer: Certificate) -> bool | None:
        """Return whether the issuer's key verifies this certificate; ``None`` where that cannot be computed."""
        return issuer.verifies(self.signature_algorithm, self.signature_bytes, self.tbs_der)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __ne__(self, other: object) -> bool:
        return not self == other  # the one of msgspec's records compares identities

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"<Certificate {self.subject!r} {self.sha256[:16]}>"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- describing ------------------------------------------------------------------------------------


def describe(certificate: Certificate, *, with_der: bool = False) -> CertificateRecord:
    """Return the record of the certificate in a finding; its text is exact, and always valid UTF-8."""
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
    """Return the record of bytes that were sent as a certificate and cannot be read."""
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
