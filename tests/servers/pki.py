"""Certificates for the real servers: a hierarchy of RSA keys and one of ECDSA keys, created for each test run.

They are valid, so that every code for these servers that is not expected is a false alarm. ``cryptography`` cannot create
keys restricted to RSASSA-PSS (RFC 4055), so the ``openssl`` command does.
"""

from __future__ import annotations

import ipaddress
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)

CURVES: Final[dict[str, ec.EllipticCurve]] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
# selfserv reads its key from a PKCS #12 file, which needs a password
PASSWORD: Final = "loopback"


def new_key(kind: str) -> PrivateKey:
    """Generate a key of a kind as in findings: ``rsa:2048``, ``ec:P-256``, ``ed25519``, ``ed448``, ``dsa:2048``, ``ml-dsa-65``."""
    family, _, parameter = kind.partition(":")
    match family:
        case "rsa":
            return rsa.generate_private_key(65537, int(parameter))
        case "ec":
            return ec.generate_private_key(CURVES[parameter])
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ed448":
            return ed448.Ed448PrivateKey.generate()
        case "dsa":
            return dsa.generate_private_key(int(parameter))
        case "ml-dsa-44":
            return mldsa.MLDSA44PrivateKey.generate()
        case "ml-dsa-65":
            return mldsa.MLDSA65PrivateKey.generate()
        case "ml-dsa-87":
            return mldsa.MLDSA87PrivateKey.generate()
    raise ValueError(f"no such kind of key: {kind}")


def pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, ca: bool, encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class Authority:
    """A CA certificate with its key; with ``pss`` it signs with RSASSA-PSS."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    pss: bool = False

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        chosen = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size) if self.pss else None
        return builder.sign(self.key, hashes.SHA256(), rsa_padding=chosen)


@dataclass(frozen=True)
class Credential:
    """A server's certificate, its chain and its key, as the files that servers read."""

    certificate: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    key_pem: bytes
    key: PrivateKey | None
    issuer: Authority

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The DER certificates in the order of sending, leaf first."""
        return tuple(each.public_bytes(Encoding.DER) for each in (self.certificate, *self.intermediates))

    @property
    def leaf_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def intermediates_pem(self) -> bytes:
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.intermediates)

    @cached_property
    def ocsp_response(self) -> bytes:
        """Return a "good" OCSP response (DER) by the issuer, valid for a week."""
        return self.stapled("good")

    def stapled(self, kind: str) -> bytes:
        """Return an OCSP response (DER): "good", "revoked", "expired" three days ago, or for "another" certificate."""
        now = datetime.now(UTC)
        made = now - (timedelta(days=10) if kind == "expired" else timedelta(hours=1))
        revoked = kind == "revoked"
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.issuer.certificate if kind == "another" else self.certificate,
            issuer=self.issuer.certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=made,
            next_update=made + timedelta(days=7),
            revocation_time=now - timedelta(days=2) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.issuer.certificate)
        return builder.sign(self.issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def pkcs12(self, nickname: str) -> bytes:
        assert self.key is not None, "only keys that cryptography has made"
        assert not isinstance(self.key, mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey)
        return pkcs12.serialize_key_and_certificates(
            nickname.encode(),
            self.key,
            self.certificate,
            self.intermediates,
            BestAvailableEncryption(PASSWORD.encode()),
        )


class Pki:
    """The roots of a test run and what they issue; ``directory`` is for the files of ``openssl``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._roots = {
            family: self._authority(f"Test Root {family.upper()}", kind) for family, kind in _CA_KEYS.items()
        }
        self._issuing: dict[tuple[str, int, bool], tuple[Authority, ...]] = {}
        self._keys: dict[str, PrivateKey] = {}

    @cached_property
    def roots_file(self) -> Path:
        """The PEM file of both roots."""
        path = self._directory / "roots.pem"
        path.write_bytes(b"".join(root.certificate.public_bytes(Encoding.PEM) for root in self._roots.values()))
        return path

    def issue(
        self,
        kind: str,
        *,
        name: str,
        address: str,
        intermediates: int = 1,
        signed_with_pss: bool = False,
        more_names: int = 0,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        ended: bool = False,
    ) -> Credential:
        """Issue a certificate for a name and an address, under so many intermediates of the hierarchy that fits the key.

        ``purpose`` is its extended key usage; with ``ended`` it expired yesterday.
        """
        family = "rsa" if kind.startswith("rsa") or signed_with_pss else "ec"
        authorities = self._intermediates(family, intermediates, signed_with_pss)
        issuer = authorities[0] if authorities else self._roots[family]
        chain = tuple(each.certificate for each in authorities)
        if kind.startswith("rsa-pss:"):
            certificate, key_pem = self._issue_pss_key(int(kind.partition(":")[2]), name, address, issuer)
            return Credential(certificate, chain, key_pem, None, issuer)
        if kind not in self._keys:
            self._keys[kind] = new_key(kind)
        key = self._keys[kind]
        builder = self._builder(name, issuer.certificate.subject, timedelta(days=1 if ended else 90))
        builder = (
            builder.public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False, encipherment=kind.startswith("rsa")), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(_alternative_names(name, address, more_names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_authority_key_identifier(issuer), critical=False)
        )
        return Credential(issuer.sign(builder), chain, pem(key), key, issuer)

    def _intermediates(self, family: str, count: int, pss: bool) -> tuple[Authority, ...]:
        """Return the CAs of a line of this length, issuing CA first; each line is created on first use."""
        if (family, count, pss) not in self._issuing:
            line: list[Authority] = []
            for depth in range(count, 0, -1):
                issuer = line[0] if line else self._roots[family]
                name = f"Test {'PSS ' if pss else ''}CA {family.upper()} {depth} of {count}"
                line.insert(0, self._authority(name, _CA_KEYS[family], issuer, pss=pss))
            self._issuing[family, count, pss] = tuple(line)
        return self._issuing[family, count, pss]

    def _authority(self, name: str, kind: str, issuer: Authority | None = None, *, pss: bool = False) -> Authority:
        key = new_key(kind)
        assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        builder = self._builder(name, issuer.certificate.subject if issuer else _name(name), timedelta(days=3650))
        builder = (
            builder.public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if issuer is None:
            return Authority(builder.sign(key, hashes.SHA256()), key, pss)
        builder = builder.add_extension(_authority_key_identifier(issuer), critical=False)
        return Authority(issuer.sign(builder), key, pss)

    def _builder(self, common_name: str, issuer: x509.Name, lifetime: timedelta) -> x509.CertificateBuilder:
        begin = self._now - timedelta(days=2)
        return x509.CertificateBuilder(
            issuer_name=issuer,
            subject_name=_name(common_name),
            serial_number=x509.random_serial_number(),
            not_valid_before=begin,
            not_valid_after=begin + lifetime,
        )

    def _issue_pss_key(self, bits: int, name: str, address: str, issuer: Authority) -> tuple[x509.Certificate, bytes]:
        place = self._directory / f"pss-{x509.random_serial_number():x}"
        place.mkdir()
        (place / "ca.pem").write_bytes(issuer.certificate.public_bytes(Encoding.PEM))
        (place / "ca.key").write_bytes(pem(issuer.key))
        (place / "extensions").write_text(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            f"subjectAltName=DNS:{name},IP:{address}\n"
        )
        commands = (
            f"genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:{bits} -out leaf.key",
            f"req -new -key leaf.key -subj /CN={name} -out leaf.csr",
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -days 60 -extfile extensions -sha256 -out leaf.pem",
        )
        for command in commands:
            done = subprocess.run(["openssl", *command.split()], cwd=place, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return x509.load_pem_x509_certificate((place / "leaf.pem").read_bytes()), (place / "leaf.key").read_bytes()


_CA_KEYS: Final = {"rsa": "rsa:2048", "ec": "ec:P-256"}


def _alternative_names(name: str, address: str, more: int = 0) -> x509.SubjectAlternativeName:
    others = [x509.DNSName(f"{number}.other.servers.test") for number in range(more)]
    return x509.SubjectAlternativeName([*others, x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))])


def _authority_key_identifier(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
