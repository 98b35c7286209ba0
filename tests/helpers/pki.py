"""A builder of certificates with arbitrary flaws, and the same bytes in every run.

``certificate("a.example", issuer=ca)`` is a healthy leaf. Every part of it can be replaced by raw DER, omitted or
corrupted: the DER is written here, without checks, and only signed by ``cryptography``. Keys are derived from labels and
ECDSA signatures are deterministic, so that certificates do not change between runs.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from scanner.trust.stores import TrustStore
from scanner.x509.certificate import Certificate
from scanner.x509.der import encoded_oid, expect_untrusted, integer_content, whole_untrusted

#: The verification time of the tests: 2026-11-23T12:00:00Z.
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0

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


# --- DER -------------------------------------------------------------------------------------------


def tlv(tag: int, *contents: bytes) -> bytes:
    """Return a DER element."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def sequence(*contents: bytes) -> bytes:
    """SEQUENCE."""
    return tlv(0x30, *contents)


def integer(value: int) -> bytes:
    """INTEGER in its shortest form."""
    return tlv(0x02, integer_content(value))


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    return tlv(0x06, encoded_oid(dotted))


def octets(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(0x04, content)


def bit_string(content: bytes, unused: int = 0) -> bytes:
    """BIT STRING."""
    return tlv(0x03, bytes([unused]), content)


def boolean(value: bool) -> bytes:
    """BOOLEAN."""
    return tlv(0x01, b"\xff" if value else b"\x00")


ATTRIBUTES = {
    "CN": "2.5.4.3",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "emailAddress": "1.2.840.113549.1.9.1",
}


def name(**attributes: str | bytes) -> bytes:
    """Return a Name: ``name(C="DE", CN="x")``. Text becomes a UTF8String; bytes are the DER of the value."""
    return sequence(
        *(
            tlv(
                0x31,
                sequence(oid(ATTRIBUTES[kind]), value if isinstance(value, bytes) else tlv(0x0C, value.encode())),
            )
            for kind, value in attributes.items()
        )
    )


def name_of(text: str) -> bytes:
    """Return the Name that ``text`` is, as OpenSSL prints it: ``C=DE, O=Example\\, Inc., CN=x``."""
    parts = re.split(r", (?=[A-Za-z]+=)", text)
    found = [part.partition("=")[::2] for part in parts if part]
    return sequence(
        *(
            tlv(0x31, sequence(oid(ATTRIBUTES[kind]), tlv(0x0C, value.replace("\\", "").encode())))
            for kind, value in found
            if kind in ATTRIBUTES
        )
    )


def time(moment: float) -> bytes:
    """UTCTime until 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5)."""
    when = datetime.fromtimestamp(moment, UTC)
    if 1950 <= when.year < 2050:
        return tlv(0x17, when.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(0x18, when.strftime("%Y%m%d%H%M%SZ").encode())


# --- keys ------------------------------------------------------------------------------------------

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-192": ec.SECP192R1,
    "P-224": ec.SECP224R1,
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "brainpoolP384r1": ec.BrainpoolP384R1,
    "brainpoolP512r1": ec.BrainpoolP512R1,
}
_ML_DSA: dict[str, tuple[Any, str]] = {
    "44": (mldsa.MLDSA44PrivateKey, "2.16.840.1.101.3.4.3.17"),
    "65": (mldsa.MLDSA65PrivateKey, "2.16.840.1.101.3.4.3.18"),
    "87": (mldsa.MLDSA87PrivateKey, "2.16.840.1.101.3.4.3.19"),
}


def _stream(label: str) -> Iterable[bytes]:
    counter = 0
    while True:
        yield hashlib.sha512(f"{label}/{counter}".encode()).digest()
        counter += 1


def _prime(label: str, bits: int) -> int:
    """Derive a prime with its two highest bits set, so that a product of two has exactly twice the bits."""
    material = b"".join(chunk for chunk, _ in zip(_stream(label), range(bits // 512 + 1), strict=False))
    candidate = int.from_bytes(material[: bits // 8], "big") | 3 << (bits - 2) | 1
    small = [p for p in range(3, 2000, 2) if all(p % q for q in range(3, int(p**0.5) + 1, 2))]
    while True:
        # Two bases are enough for keys that protect nothing.
        if all(candidate % p for p in small) and all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3)):
            if (candidate - 1) % 65537:
                return candidate
        candidate += 2


@cache
def key(label: str = "leaf", kind: str = "ec:P-256") -> PrivateKey:
    """Return the private key of a label; kinds are ``ec:P-256``, ``rsa:2048``, ``ed25519``, ``ed448``, ``dsa:1024``, ``mldsa:65``."""
    algorithm, _, size = kind.partition(":")
    seed = hashlib.sha512(f"{kind}/{label}".encode()).digest()
    if algorithm == "ec":
        return ec.derive_private_key(int.from_bytes(seed[:20], "big"), _CURVES[size]())
    if algorithm == "ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])
    if algorithm == "ed448":
        return ed448.Ed448PrivateKey.from_private_bytes(seed[:57])
    if algorithm == "mldsa":
        private: PrivateKey = _ML_DSA[size][0].from_seed_bytes(seed[:32])
        return private
    if algorithm == "dsa":
        return dsa.generate_private_key(int(size))
    p, q = _prime(f"{label}/p", int(size) // 2), _prime(f"{label}/q", int(size) // 2)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    ).private_key()


def spki(private: PrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo of a key."""
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(private: PrivateKey) -> bytes:
    """Return the key identifier of a key: the first 20 bytes of the SHA-256 of its SubjectPublicKeyInfo."""
    return hashlib.sha256(spki(private)).digest()[:20]


_HASHES: dict[str, Any] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_RSA_OIDS = {"md5": 4, "sha1": 5, "sha256": 11, "sha384": 12, "sha512": 13}
_ECDSA_OIDS = {"sha1": "1", "sha256": "3.2", "sha384": "3.3", "sha512": "3.4"}
_PSS_HASHES = {"sha256": 1, "sha384": 2, "sha512": 3}


def algorithm(private: PrivateKey, hash_name: str = "sha256", *, pss: bool = False) -> bytes:
    """Return the AlgorithmIdentifier of a signature by this key."""
    if isinstance(private, rsa.RSAPrivateKey) and pss:
        digest = sequence(oid(f"2.16.840.1.101.3.4.2.{_PSS_HASHES[hash_name]}"), tlv(0x05))
        mask = sequence(oid("1.2.840.113549.1.1.8"), digest)
        salt = integer(_HASHES[hash_name]().digest_size)
        return sequence(oid("1.2.840.113549.1.1.10"), sequence(tlv(0xA0, digest), tlv(0xA1, mask), tlv(0xA2, salt)))
    if isinstance(private, rsa.RSAPrivateKey):
        return sequence(oid(f"1.2.840.113549.1.1.{_RSA_OIDS[hash_name]}"), tlv(0x05))
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return sequence(oid(f"1.2.840.10045.4.{_ECDSA_OIDS[hash_name]}"))
    if isinstance(private, dsa.DSAPrivateKey):
        return sequence(oid("2.16.840.1.101.3.4.3.2"))
    for kind, dotted in _ML_DSA.values():
        if isinstance(private, kind):
            return sequence(oid(dotted))
    return sequence(oid("1.3.101.112" if isinstance(private, ed25519.Ed25519PrivateKey) else "1.3.101.113"))


def sign(private: PrivateKey, data: bytes, hash_name: str = "sha256", *, pss: bool = False) -> bytes:
    """Sign with the algorithm that ``algorithm`` returns for these arguments."""
    digest = _HASHES[hash_name]()
    if isinstance(private, rsa.RSAPrivateKey):
        scheme: Any = padding.PSS(padding.MGF1(digest), digest.digest_size) if pss else padding.PKCS1v15()
        return private.sign(data, scheme, digest)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(data, ec.ECDSA(digest, deterministic_signing=True))
    if isinstance(private, dsa.DSAPrivateKey):
        return private.sign(data, hashes.SHA256())
    return private.sign(data)


SHA224_WITH_RSA = sequence(oid("1.2.840.113549.1.1.14"), tlv(0x05))


def sha224_signer(issuer: Issued) -> Callable[[bytes], bytes]:
    """Return what signs with SHA-224 and the RSA key of ``issuer``."""
    private = issuer.private
    assert isinstance(private, rsa.RSAPrivateKey)
    return lambda data: private.sign(data, padding.PKCS1v15(), hashes.SHA224())


def rsa_spki_without_null(owner: Issued) -> bytes:
    """Return the SubjectPublicKeyInfo of an RSA key without the NULL that RFC 3279 asks for."""
    return sequence(sequence(oid("1.2.840.113549.1.1.1")), bit_string(key_bits(owner.private)))


def key_bits(private: PrivateKey) -> bytes:
    """Return the content of subjectPublicKey."""
    encoded = spki(private)
    start, stop = whole_untrusted(encoded, 0x30, "")
    _, at = expect_untrusted(encoded, start, stop, 0x30, "")
    bits, end = expect_untrusted(encoded, at, stop, 0x03, "")
    return encoded[bits + 1 : end]


# --- extensions ------------------------------------------------------------------------------------

KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
)
PURPOSES = {
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "codeSigning": "1.3.6.1.5.5.7.3.3",
    "anyExtendedKeyUsage": "2.5.29.37.0",
}


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return an Extension."""
    return sequence(oid(dotted), boolean(True) if critical else b"", octets(value))


def general_name(text: str) -> bytes:
    """Return a GeneralName for ``DNS:x`` (or ``x``), ``IP:192.0.2.1``, ``email:a@b`` or ``URI:http://x``."""
    kind, colon, value = text.partition(":")
    if not colon or kind not in ("DNS", "IP", "email", "URI"):
        return tlv(0x82, text.encode("latin-1"))
    if kind == "IP":
        return tlv(0x87, ipaddress.ip_address(value).packed)
    return tlv({"DNS": 0x82, "email": 0x81, "URI": 0x86}[kind], value.encode("latin-1"))


def subject_alt_name(names: Sequence[str | bytes], *, critical: bool = False) -> bytes:
    """subjectAltName; bytes are the DER of a GeneralName."""
    entries = (entry if isinstance(entry, bytes) else general_name(entry) for entry in names)
    return extension("2.5.29.17", sequence(*entries), critical=critical)


def basic_constraints(ca: bool, path_length: int | None = None, *, critical: bool = True) -> bytes:
    """basicConstraints."""
    content = sequence(boolean(True) if ca else b"", b"" if path_length is None else integer(path_length))
    return extension("2.5.29.19", content, critical=critical)


def key_usage(usages: Iterable[str], *, critical: bool = True) -> bytes:
    """keyUsage, by the names of RFC 5280."""
    places = [KEY_USAGES.index(usage) for usage in usages]
    mask = sum(0x80 >> place for place in places)
    unused = 7 - max(places, default=7)
    return extension("2.5.29.15", bit_string(bytes([mask]), unused) if places else bit_string(b""), critical=critical)


def extended_key_usage(purposes: Iterable[str], *, critical: bool = False) -> bytes:
    """extKeyUsage, by name or dotted."""
    return extension("2.5.29.37", sequence(*(oid(PURPOSES.get(item, item)) for item in purposes)), critical=critical)


def authority_info_access(*, issuers: Iterable[str] = (), ocsp: Iterable[str] = ()) -> bytes:
    """authorityInfoAccess with URLs."""
    entries = [sequence(oid("1.3.6.1.5.5.7.48.2"), tlv(0x86, url.encode())) for url in issuers]
    entries += [sequence(oid("1.3.6.1.5.5.7.48.1"), tlv(0x86, url.encode())) for url in ocsp]
    return extension("1.3.6.1.5.5.7.1.1", sequence(*entries))


def network(text: str) -> bytes:
    """The base of an iPAddress constraint: address and mask."""
    net = ipaddress.ip_network(text)
    return tlv(0x87, net.network_address.packed, net.netmask.packed)


def name_constraints(
    permitted: Sequence[str | bytes] = (), excluded: Sequence[str | bytes] = (), *, critical: bool = True
) -> bytes:
    """nameConstraints: domains as text, other bases (``network``, ``tlv(0xA4, name(...))``) as DER."""

    def subtrees(tag: int, bases: Sequence[str | bytes]) -> bytes:
        if not bases:
            return b""
        return tlv(tag, *(sequence(base if isinstance(base, bytes) else general_name(base)) for base in bases))

    return extension("2.5.29.30", sequence(subtrees(0xA0, permitted), subtrees(0xA1, excluded)), critical=critical)


# --- certificates ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Issued:
    """A certificate, which may be malformed, with its private key."""

    der: bytes
    private: PrivateKey = field(repr=False)
    subject_der: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the certificate in hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def parsed(self) -> Certificate:
        """The certificate, parsed."""
        return Certificate.parse_untrusted(self.der)

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return pem(self.der)

    @property
    def key_pem(self) -> str:
        """The private key, unencrypted PKCS #8."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def pem(*certificates: bytes | Issued) -> str:
    """Return certificates as PEM blocks."""
    blocks = []
    for item in certificates:
        body = base64.encodebytes(item.der if isinstance(item, Issued) else item).decode()
        blocks.append(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    return "".join(blocks)


def certificate(
    subject: str | bytes = "leaf.example",
    *,
    issuer: Issued | None = None,
    private: PrivateKey | None = None,
    ca: bool = False,
    path_length: int | None = None,
    san: Sequence[str | bytes] | None = None,
    not_before: float = NOW - 30 * DAY,
    not_after: float = NOW + 60 * DAY,
    usages: Iterable[str] | None = None,
    purposes: Iterable[str] | None = None,
    extra: Sequence[bytes] = (),
    without: Iterable[str] = (),
    serial: int | bytes | None = None,
    version: int | None = 2,
    validity: bytes | None = None,
    public_key: bytes | None = None,
    issuer_name: bytes | None = None,
    authority_key_id: bytes | None = None,
    hash_name: str = "sha256",
    pss: bool = False,
    inner_algorithm: bytes | None = None,
    signed_by: PrivateKey | None = None,
    break_signature: bool = False,
    scheme: bytes | None = None,
    signer: Callable[[bytes], bytes] | None = None,
    trailing: bytes = b"",
) -> Issued:
    """Create a certificate; without ``issuer`` it is self-signed.

    A ``subject`` text is the CN and, for a leaf, the only SAN unless ``san`` is given. ``without`` names parts to omit:
    "san", "bc", "ku", "eku", "ski", "aki", "extensions". ``extra`` are further extensions in DER. ``version`` is the
    encoded number (2 is v3; ``None`` omits the field, which means v1). ``issuer_name``, ``validity``, ``public_key``,
    ``serial`` (bytes) and ``inner_algorithm`` are DER. ``signed_by`` signs with another key than the issuer's.
    ``scheme`` is the DER of another AlgorithmIdentifier, ``signer`` makes the signature of the signed part.
    """
    label = subject if isinstance(subject, str) else hashlib.sha256(subject).hexdigest()
    own = private if private is not None else key(label)
    subject_der = name(CN=subject) if isinstance(subject, str) else subject
    private_key = signed_by or (issuer.private if issuer is not None else own)
    missing = set(without)
    parts: list[bytes] = []
    if "bc" not in missing:
        parts.append(basic_constraints(ca, path_length))
    if "ku" not in missing:
        parts.append(key_usage(usages or (("keyCertSign", "cRLSign") if ca else ("digitalSignature",))))
    if "eku" not in missing and (purposes is not None or not ca):
        parts.append(extended_key_usage(purposes if purposes is not None else ("serverAuth",)))
    if "san" not in missing and (san is not None or (not ca and isinstance(subject, str))):
        parts.append(subject_alt_name(san if san is not None else [label]))
    if "ski" not in missing:
        parts.append(extension("2.5.29.14", octets(key_id(own))))
    if "aki" not in missing:
        identifier = authority_key_id or key_id(issuer.private if issuer is not None else own)
        parts.append(extension("2.5.29.35", sequence(tlv(0x80, identifier))))
    parts += extra
    number = (
        serial if serial is not None else int(hashlib.sha256(repr((label, not_before)).encode()).hexdigest()[:15], 16)
    )
    scheme = scheme or algorithm(private_key, hash_name, pss=pss)
    tbs = sequence(
        b"" if version is None else tlv(0xA0, integer(version)),
        number if isinstance(number, bytes) else integer(number),
        inner_algorithm or scheme,
        issuer_name if issuer_name is not None else (issuer.subject_der if issuer is not None else subject_der),
        validity if validity is not None else sequence(time(not_before), time(not_after)),
        subject_der,
        public_key or spki(own),
        b"" if "extensions" in missing else tlv(0xA3, sequence(*parts)),
    )
    signature = sign(private_key, tbs, hash_name, pss=pss) if signer is None else signer(tbs)
    if break_signature:
        broken_key = isinstance(private_key, rsa.RSAPrivateKey)
        signature = bytes(256) if broken_key else sign(key("somebody else", "ec:P-256"), tbs)
    return Issued(sequence(tbs, scheme, bit_string(signature)) + trailing, own, subject_der)


def root(subject: str = "Test Root", **changes: Any) -> Issued:
    """Create a self-signed CA, valid for ten years around ``NOW``."""
    return certificate(
        subject, **{"ca": True, "not_before": NOW - 1000 * DAY, "not_after": NOW + 3000 * DAY, **changes}
    )


def authority(subject: str, issuer: Issued, **changes: Any) -> Issued:
    """Create an intermediate CA, valid for five years around ``NOW``."""
    dates = {"not_before": NOW - 500 * DAY, "not_after": NOW + 1500 * DAY}
    return certificate(subject, **{"issuer": issuer, "ca": True, **dates, **changes})


def store(*anchors: Issued, name: str = "test", distrust_after: dict[str, float] | None = None) -> TrustStore:
    """Return a trust store of these certificates."""
    return TrustStore(name, [anchor.parsed for anchor in anchors], distrust_after=distrust_after or {})
