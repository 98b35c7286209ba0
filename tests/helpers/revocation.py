"""Builders of OCSP responses and CRLs with arbitrary flaws, like ``tests.helpers.pki`` for certificates.

``ocsp(leaf, ca)`` is a good response signed by the CA, and ``crl(ca)`` an empty CRL, both current at ``NOW``; every part
can be replaced, omitted or corrupted. The DER is written here and shares no code with the parsers.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scanner.x509.certificate import Certificate
from tests.helpers.pki import (
    DAY,
    NOW,
    Issued,
    PrivateKey,
    algorithm,
    authority,
    bit_string,
    boolean,
    certificate,
    extension,
    general_name,
    integer,
    key,
    octets,
    oid,
    root,
    sequence,
    sign,
    time,
    tlv,
)

HASHES = {"sha1": "1.3.14.3.2.26", "sha256": "2.16.840.1.101.3.4.2.1", "sha512": "2.16.840.1.101.3.4.2.3"}
OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
REASON_FLAGS = {"keyCompromise": 0x40, "cACompromise": 0x20, "affiliationChanged": 0x10}


def generalized(moment: float) -> bytes:
    """GeneralizedTime."""
    return tlv(0x18, datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d%H%M%SZ").encode())


def key_bits(private: PrivateKey) -> bytes:
    """Return the content of subjectPublicKey."""
    encoded = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    # the BIT STRING is the last element: P-256 points have 65 bytes; RSA keys are longer than any header in front
    at = len(encoded) - 65 if len(encoded) == 91 else encoded.index(b"\x00\x30\x82", 20) + 1
    return encoded[at:]


# --- OCSP ------------------------------------------------------------------------------------------


def certificate_id(subject: Issued, issuer: Issued, *, hash_name: str = "sha1", serial: int | None = None) -> bytes:
    """Return a CertID."""
    number = int(subject.parsed.serial, 16) if serial is None else serial
    return sequence(
        sequence(oid(HASHES[hash_name]), tlv(0x05)),
        octets(hashlib.new(hash_name, issuer.subject_der).digest()),
        octets(hashlib.new(hash_name, key_bits(issuer.private)).digest()),
        integer(number),
    )


def single(
    subject: Issued,
    issuer: Issued,
    status: str = "good",
    *,
    this_update: float = NOW - DAY,
    next_update: float | None = NOW + 6 * DAY,
    revoked_at: float = NOW - 10 * DAY,
    reason: int | None = None,
    hash_name: str = "sha1",
    serial: int | None = None,
    extensions: Sequence[bytes] = (),
) -> bytes:
    """Return a SingleResponse."""
    said = {
        "good": tlv(0x80),
        "unknown": tlv(0x82),
        "revoked": tlv(
            0xA1,
            generalized(revoked_at),
            b"" if reason is None else tlv(0xA0, tlv(0x0A, bytes([reason]))),
        ),
    }[status]
    return sequence(
        certificate_id(subject, issuer, hash_name=hash_name, serial=serial),
        said,
        generalized(this_update),
        b"" if next_update is None else tlv(0xA0, generalized(next_update)),
        tlv(0xA1, sequence(*extensions)) if extensions else b"",
    )


def ocsp_of(
    *singles: bytes,
    signer: Issued,
    certificates: Sequence[Issued | bytes] = (),
    by_name: bool = False,
    produced_at: float = NOW - DAY,
    extensions: Sequence[bytes] = (),
    hash_name: str = "sha256",
    pss: bool = False,
    signed_by: PrivateKey | None = None,
    break_signature: bool = False,
) -> bytes:
    """Return a successful OCSPResponse with these SingleResponses."""
    responder = (
        tlv(0xA1, signer.subject_der) if by_name else tlv(0xA2, octets(hashlib.sha1(key_bits(signer.private)).digest()))
    )
    data = sequence(
        responder,
        generalized(produced_at),
        sequence(*singles),
        tlv(0xA1, sequence(*extensions)) if extensions else b"",
    )
    private = signed_by or signer.private
    signature = sign(private, data, hash_name, pss=pss)
    if break_signature:
        signature = sign(private, data + b"x", hash_name, pss=pss)
    listed = [item if isinstance(item, bytes) else item.der for item in certificates]
    basic = sequence(
        data,
        algorithm(private, hash_name, pss=pss),
        bit_string(signature),
        tlv(0xA0, sequence(*listed)) if listed else b"",
    )
    return sequence(tlv(0x0A, b"\x00"), tlv(0xA0, sequence(oid("1.3.6.1.5.5.7.48.1.1"), octets(basic))))


def ocsp(subject: Issued, issuer: Issued, status: str = "good", **changes: object) -> bytes:
    """Return a response about one certificate, signed by its issuer; ``changes`` go to ``single`` and ``ocsp_of``."""
    names = {"this_update", "next_update", "revoked_at", "reason", "serial"}
    of_single = {name: value for name, value in changes.items() if name in names}
    others = {name: value for name, value in changes.items() if name not in names}
    return ocsp_of(single(subject, issuer, status, **of_single), **{"signer": issuer, **others})  # type: ignore[arg-type]


def refusal(status: int) -> bytes:
    """Return an unsuccessful OCSPResponse."""
    return sequence(tlv(0x0A, bytes([status])))


def responder(issuer: Issued, label: str = "Responder", **changes: object) -> Issued:
    """Create the certificate of a delegated OCSP responder."""
    return certificate(label, issuer=issuer, **{"purposes": (OCSP_SIGNING,), "without": ("san",), **changes})  # type: ignore[arg-type]


# --- CRLs ------------------------------------------------------------------------------------------


def entry(
    serial: int, *, revoked_at: float = NOW - 10 * DAY, reason: int | None = None, extensions: Sequence[bytes] = ()
) -> bytes:
    """Return an element of revokedCertificates."""
    found = [*([] if reason is None else [extension("2.5.29.21", tlv(0x0A, bytes([reason])))]), *extensions]
    return sequence(integer(serial), time(revoked_at), sequence(*found) if found else b"")


def issuing_point(
    *urls: str,
    names: Sequence[bytes] = (),
    relative: bool = False,
    only_user: bool = False,
    only_ca: bool = False,
    only_attribute: bool = False,
    indirect: bool = False,
    reasons: Sequence[str] = (),
) -> bytes:
    """Return an issuingDistributionPoint extension."""
    full = [*(general_name(f"URI:{url}") for url in urls), *names]
    parts = []
    if full:
        parts.append(tlv(0xA0, tlv(0xA0, *full)))
    if relative:
        parts.append(tlv(0xA0, tlv(0xA1, sequence(oid("2.5.4.3"), tlv(0x0C, b"part 1")))))
    flags = ((0x81, only_user), (0x82, only_ca))
    parts += [tlv(tag, b"\xff") for tag, is_set in flags if is_set]
    if reasons:
        parts.append(tlv(0x83, bytes([0, sum(REASON_FLAGS[name] for name in reasons)])))
    parts += [tlv(tag, b"\xff") for tag, is_set in ((0x84, indirect), (0x85, only_attribute)) if is_set]
    return extension("2.5.29.28", sequence(*parts), critical=True)


def crl(
    issuer: Issued,
    *entries: bytes,
    extensions: Sequence[bytes] = (),
    this_update: float = NOW - DAY,
    next_update: float | None = NOW + 6 * DAY,
    version: int | None = 1,
    hash_name: str = "sha256",
    issuer_name: bytes | None = None,
    signed_by: PrivateKey | None = None,
    break_signature: bool = False,
    trailing: bytes = b"",
) -> bytes:
    """Return a CertificateList; ``version`` 1 is v2, ``None`` omits the field, which means v1."""
    private = signed_by or issuer.private
    scheme = algorithm(private, hash_name)
    number = extension("2.5.29.20", integer(7))
    data = sequence(
        b"" if version is None else integer(version),
        scheme,
        issuer_name or issuer.subject_der,
        time(this_update),
        b"" if next_update is None else time(next_update),
        sequence(*entries) if entries else b"",
        b"" if version is None else tlv(0xA0, sequence(number, *extensions)),
    )
    signature = sign(private, data + b"x" if break_signature else data, hash_name)
    return sequence(data, scheme, bit_string(signature)) + trailing


def points(*urls: str, more: Sequence[bytes] = ()) -> bytes:
    """Return a cRLDistributionPoints extension with a point for each URL, then those given as DER."""
    listed = [sequence(tlv(0xA0, tlv(0xA0, general_name(f"URI:{url}")))) for url in urls]
    return extension("2.5.29.31", sequence(*listed, *more))


MUST_STAPLE = extension("1.3.6.1.5.5.7.1.24", sequence(integer(5)))
FRESHEST = extension("2.5.29.46", sequence())
DELTA = extension("2.5.29.27", integer(6), critical=True)
UNHEARD_OF = extension("1.3.6.1.4.1.32473.1.2.3", boolean(True), critical=True)


class World:
    """A root, a CA, two leaves, and a CA with the same name and another key."""

    def __init__(self) -> None:
        self.root = root("Revocation Root")
        self.ca = authority("Revocation CA", self.root)
        self.other_key = authority("Revocation CA", self.root, private=key("another key of the CA"))
        self.leaf = certificate("leaf.example", issuer=self.ca, extra=[points(URL)])
        self.other_leaf = certificate("other.example", issuer=self.ca)

    def parsed(self) -> tuple[Certificate, Certificate]:
        """Return the leaf and its issuer, parsed."""
        return self.leaf.parsed, self.ca.parsed


URL = "http://crl.test/ca.crl"


WORLD = World()


def damaged(sound: bytes, seed: int) -> Iterator[bytes]:
    """Yield 1,500 variants of ``sound`` with one to three bytes changed, one in five of them cut off too."""
    changes = random.Random(seed)
    for _ in range(1500):
        data = bytearray(sound)
        for _ in range(changes.randint(1, 3)):
            data[changes.randrange(len(data))] = changes.randrange(256)
        if changes.random() < 0.2:
            del data[changes.randrange(len(data)) :]
        yield bytes(data)
