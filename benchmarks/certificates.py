"""A root, an intermediate and leaf certificates for the farm, similar to public ones: ECDSA P-256, 90 days.

They have no URLs for AIA, OCSP or CRLs, so that scanners that always look those up do not measure the lookups.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Loopback Benchmark"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True, slots=True)
class Authority:
    """A root and the intermediate that signs the leaves. All leaves share one key."""

    root: x509.Certificate
    intermediate: x509.Certificate
    intermediate_key: ec.EllipticCurvePrivateKey
    leaf_key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, *, expired: bool = False) -> Authority:
        """Create keys and certificates; with ``expired``, the intermediate has expired."""
        now = datetime.datetime.now(datetime.UTC)
        root_key, key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        root_name, name = _name("Benchmark Root X1"), _name("Benchmark Issuer E1")
        root_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
        root = (
            x509.CertificateBuilder(root_name, root_name, root_key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1000))
            .not_valid_after(now + datetime.timedelta(days=4000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(root_id, critical=False)
            .sign(root_key, hashes.SHA256())
        )
        intermediate = (
            x509.CertificateBuilder(root_name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=500))
            .not_valid_after(now + datetime.timedelta(days=-1 if expired else 1000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id), critical=False)
            .sign(root_key, hashes.SHA256())
        )
        return cls(root, intermediate, key, leaf_key)

    def leaf(self, names: list[str]) -> x509.Certificate:
        """Issue a server certificate for DNS names, valid for ninety days, ten of which have passed."""
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder(
                self.intermediate.subject,
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]),
                self.leaf_key.public_key(),
                x509.random_serial_number(),
            )
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=80))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.leaf_key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.intermediate_key.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .sign(self.intermediate_key, hashes.SHA256())
        )

    def write_chain(self, path: Path, names: list[str]) -> None:
        """Issue a leaf and write it with the intermediate as PEM."""
        path.write_bytes(self.leaf(names).public_bytes(Encoding.PEM) + self.intermediate.public_bytes(Encoding.PEM))

    def write_root(self, path: Path) -> None:
        """Write the root as PEM."""
        path.write_bytes(self.root.public_bytes(Encoding.PEM))

    def write_key(self, path: Path) -> None:
        """Write the leaves' key as PEM."""
        path.write_bytes(self.leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
