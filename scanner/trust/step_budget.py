"""Bounds what verifying one chain may cost, in steps.

A step is about a microsecond of one current core. Steps are counted instead of time, so that the same certificates
get the same verdict on every machine, however busy. What earlier chains left in caches makes a chain faster and never
cheaper: it is charged as if it were the first.

Measured (``python -m benchmarks hostile``): honest chains take 100 to 2,000 steps; a hostile flight of 256 KB ends at
the bound after 6 to 15 ms. Signatures are charged by key (``signature_steps``), since one RSA key of 3072 bits with
an exponent as long costs as much as sixty of the usual ones.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from scanner.x509.certificate import Certificate, CertificateError

# For one chain, over all stores: this long, some 25 ms, the event loop may be blocked.
MAX_STEPS: Final = 25_000
# Bytes hashed, or written as hex, in a microsecond (measured: 400 to 1,500)
BYTES_A_STEP: Final = 256
# Verification with P-256, for which OpenSSL has assembly, with Ed25519 and, as a floor, with anything else.
_SIGNATURE: Final = 100
# Curves without assembly, by bits (measured: P-384 384, P-521 476, brainpoolP512r1 1,031 microseconds)
_CURVE_STEPS: Final = ((256, 350), (384, 450), (521, 1100), (1 << 16, 5000))
# A curve given by its parameters
_UNKNOWN_CURVE: Final = 5000
# The first part of a signature's key in ``Charges.once``
_VERIFIED: Final = "signature"
# INTEGER 65537, at the end of a SubjectPublicKeyInfo
_USUAL_EXPONENT: Final = b"\x02\x03\x01\x00\x01"
# DSA: two exponentiations with exponents of at most 256 bits
_DSA_EXPONENT: Final = 512


class TooCostly(Exception):
    """The budget of a chain is spent. Raised by ``StepBudget``; the verifier catches it."""


class Charges(Struct):
    """What some work costs: ``steps`` each time, and each entry of ``once`` the first time for a chain."""

    steps: int = 0
    once: dict[tuple[object, ...], int] = field(default_factory=dict)


class StepBudget:
    """The steps that are left for one chain, and counts of what the others were spent on."""

    __slots__ = ("_charged", "_charges", "left", "limit", "paths", "signatures")

    def __init__(self, limit: int = MAX_STEPS) -> None:
        self.limit = limit
        self.left = limit
        self.signatures = 0
        self.paths = 0
        self._charged: set[tuple[object, ...]] = set()
        self._charges: Charges | None = None

    def charge(self, steps: int) -> None:
        """Take ``steps``; raises ``TooCostly`` if fewer are left."""
        if self._charges is not None:
            self._charges.steps += steps
        self.left -= steps
        if self.left < 0:
            raise TooCostly

    def charge_once(self, what: tuple[object, ...], steps: int) -> bool:
        """Take ``steps`` unless ``what`` was charged before; return True if they were taken."""
        if self._charges is not None:
            self._charges.once[what] = steps
        if what in self._charged:
            return False
        self._charged.add(what)
        self.left -= steps
        if self.left < 0:
            raise TooCostly
        return True

    def charge_signature(self, child: Certificate, issuer: Certificate) -> None:
        """Take the cost of verifying ``child`` with the key of ``issuer``, once for each such pair."""
        steps = signature_steps(issuer) + len(child.tbs_der) // BYTES_A_STEP
        if self.charge_once((_VERIFIED, child.sha256, issuer.spki_der), steps):
            self.signatures += 1

    def record_charges(self) -> Charges:
        """Return an object that records all charges from now on, for ``charge_again``."""
        self._charges = Charges()
        return self._charges

    def stop_recording(self) -> None:
        """End the recording that ``record_charges`` began."""
        self._charges = None

    def charge_again(self, charges: Charges) -> None:
        """Take what this work cost when it was done."""
        self.charge(charges.steps)
        for what, steps in charges.once.items():
            if self.charge_once(what, steps) and what[0] == _VERIFIED:
                self.signatures += 1


def signature_steps(issuer: Certificate) -> int:
    """Return the cost of verifying a signature with this certificate's key."""
    kind, bits = issuer.key_type, issuer.key_bits
    if kind in ("rsa", "rsa-pss", "dsa") and bits is not None:
        exponent = _DSA_EXPONENT if kind == "dsa" else _exponent_bits(issuer)
        kilobits = (bits + 1023) >> 10
        return 20 + kilobits * kilobits * exponent // 4
    if kind == "ec" and issuer.key != "ec:P-256":
        return _UNKNOWN_CURVE if bits is None else next(steps for most, steps in _CURVE_STEPS if bits <= most)
    return _SIGNATURE


def _exponent_bits(issuer: Certificate) -> int:
    if issuer.spki_der.endswith(_USUAL_EXPONENT):
        return 17
    try:
        exponent: int = issuer.public_key.public_numbers().e  # type: ignore[union-attr]
    except CertificateError:
        return 0  # not a key: nothing is verified with it
    return exponent.bit_length()
