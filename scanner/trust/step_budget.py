"""What judging one chain may cost, in steps.

A step is about a microsecond of one current core. Steps are counted and time is not, so that the same certificates end
with the same verdict on every machine, however busy. What earlier chains left in caches makes a chain faster and never
cheaper: it is charged as if it were the first.

Measured (``python -m benchmarks hostile``): honest chains take 100 to 2,000 steps; a flight of 256 KB that is made to cost
ends at the bound after 6 to 15 ms. Signatures are charged by key (``signature_steps``), since one RSA key of 3072 bits with
an exponent as long costs as much as sixty of the usual ones.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from scanner.x509.certificate import Certificate, CertificateError

# All that is done for one chain, over all stores: whoever waits for the event loop waits this long, some 25 ms.
MAX_STEPS: Final = 25_000
# Bytes hashed, or written as hex, in a microsecond (measured: 400 to 1,500)
BYTES_A_STEP: Final = 256
# An ECDSA verification with the curve that OpenSSL has assembly for, Ed25519 and, as a floor, anything else.
_SIGNATURE: Final = 100
# Curves without such code, by bits (measured: P-384 384, P-521 476, brainpoolP512r1 1,031 microseconds)
_CURVE_STEPS: Final = ((256, 350), (384, 450), (521, 1100), (1 << 16, 5000))
# A curve that is spelled out
_UNKNOWN_CURVE: Final = 5000
# What a signature's entry on a bill begins with
_VERIFIED: Final = "signature"
# INTEGER 65537, at the end of a SubjectPublicKeyInfo
_USUAL_EXPONENT: Final = b"\x02\x03\x01\x00\x01"
# DSA: two exponentiations with exponents of at most 256 bits
_DSA_EXPONENT: Final = 512


class TooCostly(Exception):
    """The budget of a chain is spent. Raised by ``Budget`` and caught by the judge; never leaves it."""


class Charges(Struct):
    """What some work is charged: ``steps`` each time, and what ``once`` names once for a chain, however often it is met."""

    steps: int = 0
    once: dict[tuple[object, ...], int] = field(default_factory=dict)


class StepBudget:
    """Steps that are left for one chain, and what was done with the others."""

    __slots__ = ("_charged", "_charges", "left", "limit", "paths", "signatures")

    def __init__(self, limit: int = MAX_STEPS) -> None:
        self.limit = limit
        self.left = limit
        self.signatures = 0
        self.paths = 0
        self._charged: set[tuple[object, ...]] = set()
        self._charges: Charges | None = None

    def charge(self, steps: int) -> None:
        """Take ``steps``; raises ``TooCostly`` where there are not as many."""
        if self._charges is not None:
            self._charges.steps += steps
        self.left -= steps
        if self.left < 0:
            raise TooCostly

    def charge_once(self, what: tuple[object, ...], steps: int) -> bool:
        """Take ``steps`` if ``what`` was not charged before, and return whether it was not."""
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
        """Take what verifying ``child`` with the key of ``issuer`` costs, once for each such pair."""
        steps = signature_steps(issuer) + len(child.tbs_der) // BYTES_A_STEP
        if self.charge_once((_VERIFIED, child.sha256, issuer.spki_der), steps):
            self.signatures += 1

    def record_charges(self) -> Charges:
        """Note on a bill what is charged from now on, for who does the same work later and finds it done."""
        self._charges = Charges()
        return self._charges

    def stop_recording(self) -> None:
        """End what ``open_bill`` began."""
        self._charges = None

    def charge_again(self, charges: Charges) -> None:
        """Take what the same work was charged before."""
        self.charge(charges.steps)
        for what, steps in charges.once.items():
            if self.charge_once(what, steps) and what[0] == _VERIFIED:
                self.signatures += 1


def signature_steps(issuer: Certificate) -> int:
    """What verifying a signature with this certificate's key costs."""
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
        return 0  # no key: nothing is verified with it
    return exponent.bit_length()
