"""The demo's PKI, generated at each start: one root, a few intermediates, and leaves of every kind.

``Pki`` issues valid certificates and takes each deviation as an argument, so that a case only states its flaw. Private
keys only exist in memory, so the root that is written to disk can sign nothing once the process has ended. Each
certificate has its own elliptic-curve key (tens of microseconds); RSA keys take a hundred times as long and are shared.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from msgspec import Struct
from msgspec.structs import replace

from scanner.demo.demo_logs import DemoLog, Logs, sct_list

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

ORGANIZATION: Final = "tlsweep demo"
DAY: Final = timedelta(days=1)
# Ninety days, ten of which have passed: neither expiring soon nor longer than public CAs may issue.
LEAF_VALIDITY: Final = (-10 * DAY, 80 * DAY)
AUTHORITY_VALIDITY: Final = (-400 * DAY, 1500 * DAY)
ROOT_VALIDITY: Final = (-800 * DAY, 3000 * DAY)

# Contents octets of the object identifiers 1.2.840.113549.1.1.11 and .5 (RFC 8017 appendix C).
SHA256_WITH_RSA: Final = bytes.fromhex("2a864886f70d01010b")
SHA1_WITH_RSA: Final = bytes.fromhex("2a864886f70d010105")

_FALSE_KEY_USAGE: Final = {
    "digital_signature": False, "content_commitment": False, "key_encipherment": False, "data_encipherment": False,
    "key_agreement": False, "key_cert_sign": False, "crl_sign": False, "encipher_only": False, "decipher_only": False,
}  # fmt: skip


class DemoAuthority(Struct, frozen=True):
    """A CA: its certificate, its key, and the chain from itself to below the root."""

    certificate: x509.Certificate
    key: PrivateKey
    path: tuple[bytes, ...] = ()

    @property
    def der(self) -> bytes:
        """The CA's certificate (DER)."""
        return der(self.certificate)


class Credential(Struct, frozen=True):
    """A server's certificates in the order of sending (DER), and the private key that it signs with."""

    chain: tuple[bytes, ...]
    key: PrivateKey

    @property
    def leaf(self) -> bytes:
        """The end-entity certificate (DER)."""
        return self.chain[0]

    def sending(self, *chain: bytes) -> Credential:
        """Return a credential with this key and other certificates."""
        return replace(self, chain=chain)

    def chain_pem(self) -> bytes:
        """Return the certificates as a PEM bundle, in the order of sending."""
        return b"".join(pem(certificate) for certificate in self.chain)

    def key_pem(self) -> bytes:
        """Return the key as unencrypted PKCS #8 (PEM)."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def der(certificate: x509.Certificate) -> bytes:
    """Return the DER of a certificate."""
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(certificate_der: bytes) -> bytes:
    """Encode DER as PEM (RFC 7468) without parsing it, so that malformed certificates are possible."""
    return ssl.DER_cert_to_PEM_cert(certificate_der).encode()


def new_key() -> ec.EllipticCurvePrivateKey:
    """Generate a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str | None, *, organization: str | None = ORGANIZATION) -> x509.Name:
    """Return a distinguished name of up to two attributes."""
    attributes = ((NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes if value is not None])


def _alternative_names(names: Iterable[str]) -> x509.SubjectAlternativeName:
    entries: list[x509.GeneralName] = []
    for text in names:
        try:
            entries.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            entries.append(x509.DNSName(text))
    return x509.SubjectAlternativeName(entries)


class Pki:
    """Issues one fleet's certificates, all relative to ``now`` (seconds since the epoch)."""

    def __init__(self, now: float) -> None:
        self.now: Final = datetime.fromtimestamp(now, UTC).replace(microsecond=0)
        self.logs: Final = Logs()
        # URL and data of the CA's services: all authorities, and revoked serial numbers with their reasons.
        self.services_url = ""
        self.authorities: list[DemoAuthority] = []
        self.revoked: dict[int, x509.ReasonFlags] = {}
        self.root: Final = self.new_root("Demo Root CA")

    # Created on first use, since generating RSA keys takes time.

    @cached_property
    def issuing(self) -> DemoAuthority:
        """The default intermediate."""
        return self.authority("Demo Issuing CA")

    @cached_property
    def issuing_rsa(self) -> DemoAuthority:
        """An intermediate with an RSA key."""
        return self.authority("Demo RSA Issuing CA", key=self.rsa_issuing_key)

    @cached_property
    def rsa_issuing_key(self) -> rsa.RSAPrivateKey:
        """The key of ``issuing_rsa``, for signatures that the library refuses to make."""
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def rsa_key(self) -> rsa.RSAPrivateKey:
        """The 2048-bit key that all RSA leaves share."""
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def interceptor(self) -> DemoAuthority:
        """The root of an interceptor in front of several sites."""
        return self.new_root("Demo Interception CA")

    @cached_property
    def unsent(self) -> DemoAuthority:
        """An intermediate that one server sends and another does not."""
        return self.authority("Demo Forgotten CA")

    def new_root(self, common_name: str) -> DemoAuthority:
        """Create a self-signed CA. Only ``root`` is written to ``roots.pem``."""
        key = new_key()
        subject = name(common_name)
        builder = self._builder(subject, subject, key.public_key(), ROOT_VALIDITY)
        builder = self._with_ca_extensions(builder, path_length=None, key_cert_sign=True, is_ca=True)
        return self._registered(DemoAuthority(builder.sign(key, hashes.SHA256()), key))

    def authority(
        self,
        common_name: str,
        *,
        issuer: DemoAuthority | None = None,
        key: PrivateKey | None = None,
        validity: tuple[timedelta, timedelta] = AUTHORITY_VALIDITY,
        path_length: int | None = None,
        is_ca: bool = True,
        key_cert_sign: bool = True,
        permitted_names: Sequence[str] = (),
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> DemoAuthority:
        """Create an intermediate, by default one without constraints."""
        issuer = issuer or self.root
        key = key or new_key()
        builder = self._builder(name(common_name), issuer.certificate.subject, key.public_key(), validity)
        builder = self._with_ca_extensions(builder, path_length=path_length, key_cert_sign=key_cert_sign, is_ca=is_ca)
        if permitted_names:
            subtrees = [x509.DNSName(permitted) for permitted in permitted_names]
            builder = builder.add_extension(x509.NameConstraints(subtrees, None), critical=True)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        certificate = self._sign(builder, issuer)
        return self._registered(DemoAuthority(certificate, key, (der(certificate), *issuer.path)))

    def revoke(self, credential: Credential, reason: x509.ReasonFlags) -> Credential:
        """Revoke the credential's certificate; return the credential."""
        self.revoked[x509.load_der_x509_certificate(credential.leaf).serial_number] = reason
        return credential

    def _registered(self, authority: DemoAuthority) -> DemoAuthority:
        self.authorities.append(authority)
        return authority

    def leaf(
        self,
        *names: str,
        issuer: DemoAuthority | None = None,
        key: PrivateKey | None = None,
        common_name: str | None = None,
        validity: tuple[timedelta, timedelta] = LEAF_VALIDITY,
        usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
        issuer_url: str | None = None,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        logs: Sequence[DemoLog] | None = None,
        tbs_for_logs: Callable[[bytes], bytes] | None = None,
    ) -> Credential:
        """Issue a server certificate for DNS names or IP addresses, with its intermediates.

        Without names there is no subjectAltName; the subject is ``common_name``, or else the first of the names.
        ``issuer_url`` becomes the caIssuers access location (RFC 5280 section 4.2.2.1). The certificate has an SCT of
        each of ``logs``, by default of as many as browsers require; ``tbs_for_logs`` maps the TBSCertificate to the one
        that the logs sign.
        """
        issuer = issuer or self.issuing
        key = key or new_key()
        builder = self._builder(
            name(common_name or (names[0] if names else None)), issuer.certificate.subject, key.public_key(), validity
        )
        builder = self._with_leaf_extensions(builder, names, usages)
        if issuer_url is not None:
            location = x509.UniformResourceIdentifier(issuer_url)
            access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        chosen = self.logs.sufficient if logs is None else logs
        if chosen:
            builder = self._with_scts(builder, issuer, chosen, tbs_for_logs, validity[0])
        return Credential((der(self._sign(builder, issuer)), *issuer.path), key)

    def self_signed(
        self, subject: x509.Name, *names: str, validity: tuple[timedelta, timedelta] = LEAF_VALIDITY
    ) -> Credential:
        """Create a self-signed end-entity certificate, as products do at installation."""
        key = new_key()
        builder = self._builder(subject, subject, key.public_key(), validity)
        builder = self._with_leaf_extensions(builder, names, (ExtendedKeyUsageOID.SERVER_AUTH,))
        return Credential((der(builder.sign(key, hashes.SHA256())),), key)

    # --- building --------------------------------------------------------------------------------

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey,
        validity: tuple[timedelta, timedelta],
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now + validity[0])
            .not_valid_after(self.now + validity[1])
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )

    @staticmethod
    def _with_ca_extensions(
        builder: x509.CertificateBuilder, *, path_length: int | None, key_cert_sign: bool, is_ca: bool
    ) -> x509.CertificateBuilder:
        usage = {**_FALSE_KEY_USAGE, "digital_signature": True, "crl_sign": True, "key_cert_sign": key_cert_sign}
        return builder.add_extension(
            x509.BasicConstraints(ca=is_ca, path_length=path_length if is_ca else None), critical=True
        ).add_extension(x509.KeyUsage(**usage), critical=True)

    @staticmethod
    def _with_leaf_extensions(
        builder: x509.CertificateBuilder, names: Sequence[str], usages: Sequence[x509.ObjectIdentifier]
    ) -> x509.CertificateBuilder:
        usage = {**_FALSE_KEY_USAGE, "digital_signature": True, "key_encipherment": True}
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(_alternative_names(names), critical=False)
        return builder

    def _with_scts(
        self,
        builder: x509.CertificateBuilder,
        issuer: DemoAuthority,
        logs: Sequence[DemoLog],
        tbs_for_logs: Callable[[bytes], bytes] | None,
        begins: timedelta,
    ) -> x509.CertificateBuilder:
        """Return ``builder`` with SCTs, whose time is the notBefore of the certificate, or an hour ago if that is later."""
        # `_sign` appends its extension, but logs sign the extensions in the order of the final certificate
        tbs = self._sign(builder, issuer).tbs_certificate_bytes
        if tbs_for_logs is not None:
            tbs = tbs_for_logs(tbs)
        issuer_spki = issuer.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        at = self.now + min(begins, timedelta(hours=-1))
        return builder.add_extension(sct_list([log.sign_sct(tbs, issuer_spki, at) for log in logs]), critical=False)

    @staticmethod
    def _sign(builder: x509.CertificateBuilder, issuer: DemoAuthority) -> x509.Certificate:
        public_key = issuer.key.public_key()
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)
        return builder.add_extension(identifier, critical=False).sign(issuer.key, hashes.SHA256())


# --- flaws that libraries refuse to produce ------------------------------------------------------


def with_broken_signature(certificate_der: bytes) -> bytes:
    """Flip the last bit of the certificate's signature; the DER stays valid."""
    return certificate_der[:-1] + bytes([certificate_der[-1] ^ 1])


def with_sha1_signature(certificate_der: bytes, issuer_key: rsa.RSAPrivateKey) -> bytes:
    """Sign the certificate again with sha1WithRSAEncryption, which ``cryptography`` refuses to do.

    It must have been signed with sha256WithRSAEncryption by the same key: the object identifiers and the signatures
    are of equal length, so no length in the DER changes.
    """
    to_sign = x509.load_der_x509_certificate(certificate_der).tbs_certificate_bytes
    start = certificate_der.index(to_sign)
    # The first of the two identifiers is in the TBSCertificate, before the issuer's name (RFC 5280 section 4.1).
    to_sign = with_sha1_name(to_sign)
    signature = issuer_key.sign(to_sign, padding.PKCS1v15(), hashes.SHA1())
    rest = certificate_der[start + len(to_sign) : -len(signature)].replace(SHA256_WITH_RSA, SHA1_WITH_RSA, 1)
    return certificate_der[:start] + to_sign + rest + signature


def with_sha1_name(to_sign: bytes) -> bytes:
    """Replace sha256WithRSAEncryption by sha1WithRSAEncryption in a TBSCertificate."""
    return to_sign.replace(SHA256_WITH_RSA, SHA1_WITH_RSA, 1)


def without_last_bytes(certificate_der: bytes) -> bytes:
    """Cut off the certificate's last bytes, so that the lengths inside exceed the data."""
    return certificate_der[:-17]
