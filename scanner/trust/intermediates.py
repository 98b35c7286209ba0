"""CA certificates that servers forget to send: the shipped set, those that other hosts of this run did send, and those
that certificates say where to fetch.

Being here is never trust. These certificates only answer "what would have closed this path": a chain that needs one
of them is reported as incomplete, whoever it leads to. A certificate is learnt in a run only from a path whose
signatures all verified up to an anchor, so no host can fill the pool with its own inventions. One that was fetched is
taken only where it signs the certificate that named its address; those have a pool of their own, so that whoever invents
addresses displaces nothing that hosts sent.
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
# One name with many certificates is a CA that was cross-signed or renewed often; the public record is below ten.
MAX_LEARNT_OF_ONE_NAME: Final = 16
# A CA certificate has 1 to 2 KB.
MAX_LEARNT_BYTES: Final = 16_384


def subject_key(subject: bytes) -> bytes:
    """How the index finds a subject: the first half of its SHA-256."""
    return hashlib.sha256(subject).digest()[:16]


class Intermediates:
    """Look-up by subject over the shipped set (read when first needed) and the bounded pool of the run."""

    def __init__(self, *, shipped: bool = True) -> None:
        """``shipped=False`` leaves the shipped set out: what is judged is then only what was sent in this run."""
        self._use_shipped = shipped
        self._shipped: dict[bytes, tuple[Certificate, ...]] = {}
        self._learnt: dict[bytes, list[Certificate]] = {}
        self._fetched: dict[bytes, list[Certificate]] = {}
        self._known_fetched: set[str] = set()
        self._order: list[Certificate] = []
        self._known: set[str] = set()
        self._learnt_bytes = self._fetched_bytes = 0  # parsed, estimated

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
        """Certificates of the shipped set with this subject (DER of the Name)."""
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
        """Certificates with this subject that hosts of this run sent."""
        return tuple(self._learnt.get(subject, ()))

    def all_learnt(self) -> list[Certificate]:
        """Everything that was learnt in this run, in the order in which it was."""
        return list(self._order)

    @property
    def size(self) -> int:
        """How many certificates were learnt in this run; it only grows, so it also says whether anything is new."""
        return len(self._known) + len(self._known_fetched)

    def fetched(self, subject: bytes) -> tuple[Certificate, ...]:
        """Certificates with this subject that were fetched from where a certificate said (RFC 5280 section 4.2.2.1)."""
        return tuple(self._fetched.get(subject, ()))

    def learn_fetched(self, certificate: Certificate, child: Certificate) -> bool:
        """Take a certificate that was fetched as the issuer of ``child``; true when it is there now, false when it is not
        its issuer (name or signature), no CA, or the pool is full."""
        if certificate.sha256 in self._known_fetched:
            return certificate.subject_der == child.issuer_der
        if (
            certificate.subject_der != child.issuer_der
            or not certificate.is_ca
            or len(certificate.der) > MAX_LEARNT_BYTES
            or len(self._known_fetched) >= MAX_LEARNT
            or self._fetched_bytes + PARSED * len(certificate.der) > MAX_POOL_BYTES
            or child.signed_by(certificate) is not True
        ):
            return False
        same_name = self._fetched.setdefault(certificate.subject_der, [])
        if len(same_name) >= MAX_LEARNT_OF_ONE_NAME:
            return False
        same_name.append(certificate)
        self._known_fetched.add(certificate.sha256)
        self._fetched_bytes += PARSED * len(certificate.der)
        return True

    def learn(self, certificate: Certificate) -> bool:
        """Keep a CA certificate met on a verified path; true when it is new. Bounded: at worst it is not kept."""
        if (
            certificate.sha256 in self._known
            or len(self._known) >= MAX_LEARNT
            or self._learnt_bytes + PARSED * len(certificate.der) > MAX_POOL_BYTES
            or len(certificate.der) > MAX_LEARNT_BYTES
            or not certificate.is_ca
            or certificate.self_issued
        ):
            return False
        same_name = self._learnt.setdefault(certificate.subject_der, [])
        if len(same_name) >= MAX_LEARNT_OF_ONE_NAME:
            return False
        same_name.append(certificate)
        self._order.append(certificate)
        self._known.add(certificate.sha256)
        self._learnt_bytes += PARSED * len(certificate.der)
        return True
