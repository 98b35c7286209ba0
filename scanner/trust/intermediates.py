"""CA certificates that servers omit: a shipped set, those that other hosts of this run sent, and those fetched.

None of them is trusted for being here. They only show what would have completed a path: a chain that needs one of
them is reported as incomplete, wherever it leads. A certificate is learnt in a run only from a path whose signatures
all verified up to an anchor, so no host can fill the pool with certificates of its own. One that was fetched is added
only if it signed the certificate that named its address; those have a pool of their own, so that invented addresses
displace nothing that hosts sent.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cached_property
from typing import Final

from scanner.caching import PARSED
from scanner.shipped import shipped
from scanner.x509.certificate import Certificate, CertificateError

MAGIC: Final = b"tlsweep-intermediates/1\n"
ENTRY: Final = struct.Struct(">16sII")  # hash of the subject, offset, length

# The public web has some 2,000 intermediates; a private fleet adds few: 20 MB of 1.5 kB each, parsed.
MAX_LEARNT: Final = 10_000
MAX_POOL_BYTES: Final = 64 << 20
# One name has several certificates if a CA was cross-signed or renewed; the public record is below ten.
MAX_LEARNT_OF_ONE_NAME: Final = 16
# A CA certificate has 1 to 2 KB.
MAX_LEARNT_BYTES: Final = 16_384


def subject_key(subject: bytes) -> bytes:
    """Return the key of a subject in the index: the first half of its SHA-256."""
    return hashlib.sha256(subject).digest()[:16]


class _Pool:
    """CA certificates by subject, bounded in number, in bytes and in certificates of one name."""

    def __init__(self) -> None:
        self._by_subject: dict[bytes, list[Certificate]] = {}
        self.certificates: dict[str, Certificate] = {}  # by SHA-256, in the order in which they were added
        self._bytes = 0  # parsed, estimated

    def with_subject(self, subject: bytes) -> tuple[Certificate, ...]:
        return tuple(self._by_subject.get(subject, ()))

    def has_room(self, certificate: Certificate) -> bool:
        size = len(certificate.der)
        return (
            size <= MAX_LEARNT_BYTES
            and len(self.certificates) < MAX_LEARNT
            and self._bytes + PARSED * size <= MAX_POOL_BYTES
            and len(self._by_subject.get(certificate.subject_der, ())) < MAX_LEARNT_OF_ONE_NAME
        )

    def add(self, certificate: Certificate) -> None:
        self._by_subject.setdefault(certificate.subject_der, []).append(certificate)
        self.certificates[certificate.sha256] = certificate
        self._bytes += PARSED * len(certificate.der)


class Intermediates:
    """Look-up by subject over the shipped set (read when first needed) and the bounded pools of the run."""

    def __init__(self, *, shipped: bool = True) -> None:
        """``shipped=False`` leaves the shipped set out: paths are then completed only by what was met in this run."""
        self._use_shipped = shipped
        self._shipped: dict[bytes, tuple[Certificate, ...]] = {}
        self._learnt = _Pool()
        self._fetched = _Pool()

    @cached_property
    def _data(self) -> bytes:
        if not self._use_shipped:
            return b""
        return shipped("intermediates.bin")

    @cached_property
    def _index(self) -> dict[bytes, list[tuple[int, int]]]:
        found: dict[bytes, list[tuple[int, int]]] = {}
        if self._data.startswith(MAGIC):
            start = len(MAGIC) + 4
            (count,) = struct.unpack_from(">I", self._data, len(MAGIC))
            for key, offset, length in ENTRY.iter_unpack(self._data[start : start + count * ENTRY.size]):
                found.setdefault(key, []).append((offset, length))
        return found

    def shipped(self, subject: bytes) -> tuple[Certificate, ...]:
        """Return the certificates of the shipped set with this subject (DER of the Name)."""
        if not self._use_shipped:
            return ()
        found = self._shipped.get(subject)
        if found is None:
            places = self._index.get(subject_key(subject))
            if places is None:
                return ()
            certificates = []
            for offset, length in places:
                try:
                    certificates.append(Certificate.parse_untrusted(self._data[offset : offset + length]))
                except CertificateError:
                    continue
            found = self._shipped[subject] = tuple(item for item in certificates if item.subject_der == subject)
        return found

    def learnt(self, subject: bytes) -> tuple[Certificate, ...]:
        """Return the certificates with this subject that hosts of this run sent."""
        return self._learnt.with_subject(subject)

    def all_learnt(self) -> list[Certificate]:
        """Return everything that hosts of this run sent, in its order."""
        return list(self._learnt.certificates.values())

    @property
    def size(self) -> int:
        """The number of certificates met in this run; it only grows, so it also says whether anything is new."""
        return len(self._learnt.certificates) + len(self._fetched.certificates)

    def fetched(self, subject: bytes) -> tuple[Certificate, ...]:
        """Return the certificates with this subject that were fetched (caIssuers, RFC 5280 section 4.2.2.1)."""
        return self._fetched.with_subject(subject)

    def learn_fetched(self, certificate: Certificate, child: Certificate) -> bool:
        """Add the fetched issuer of ``child``. Return False if it is not the issuer, not a CA, or there is no room."""
        if certificate.sha256 in self._fetched.certificates:
            return certificate.subject_der == child.issuer_der and child.signed_by(certificate) is True
        if (
            certificate.subject_der != child.issuer_der
            or not certificate.is_ca
            or not self._fetched.has_room(certificate)
            or child.signed_by(certificate) is not True
        ):
            return False
        self._fetched.add(certificate)
        return True

    def learn(self, certificate: Certificate) -> bool:
        """Add a CA certificate of a verified path; return True if it is new and there was room."""
        if (
            certificate.sha256 in self._learnt.certificates
            or not certificate.is_ca
            or certificate.self_issued
            or not self._learnt.has_room(certificate)
        ):
            return False
        self._learnt.add(certificate)
        return True
