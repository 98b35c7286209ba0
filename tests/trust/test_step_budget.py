"""Steps are charged by what is done, whatever was done before."""

from __future__ import annotations

import pytest

from scanner.trust.step_budget import StepBudget, TooCostly, signature_steps
from scanner.x509.certificate import Certificate
from tests.helpers import pki

ROOT = pki.root()


def rsa_key(bits: int, exponent: int) -> Certificate:
    modulus = (1 << bits) - 1
    spki = pki.sequence(
        pki.sequence(pki.oid("1.2.840.113549.1.1.1"), pki.tlv(0x05)),
        pki.bit_string(pki.sequence(pki.integer(modulus), pki.integer(exponent))),
    )
    return pki.authority(f"RSA {bits} {exponent}", ROOT, public_key=spki).parsed


def test_a_signature_is_charged_by_its_key() -> None:
    usual = signature_steps(ROOT.parsed)
    assert usual == 100
    assert signature_steps(rsa_key(2048, 65537)) < usual
    assert signature_steps(rsa_key(8192, 65537)) > 2 * usual
    # an exponent as long as the modulus makes a verification as dear as signing
    assert signature_steps(rsa_key(3072, (1 << 3000) + 1)) > 50 * usual
    assert signature_steps(rsa_key(2048, (1 << 31) - 1)) > signature_steps(rsa_key(2048, 65537))


def test_what_is_charged_once_is_charged_once() -> None:
    budget = StepBudget(100)
    assert budget.charge_once(("a",), 60)
    assert not budget.charge_once(("a",), 60)
    assert budget.left == 40
    with pytest.raises(TooCostly):
        budget.charge_once(("b",), 60)
    with pytest.raises(TooCostly):
        budget.charge(1)


def test_recorded_charges_cost_what_the_work_had_cost() -> None:
    leaf = pki.certificate("leaf.example", issuer=ROOT).parsed
    worked = StepBudget()
    worked.charge_once(("known before",), 5)
    charges = worked.record_charges()
    worked.charge(7)
    worked.charge_once(("known before",), 5)
    worked.charge_once(("new", b"x"), 3)
    worked.charge_signature(leaf, ROOT.parsed)
    worked.stop_recording()
    worked.charge(1)
    again = StepBudget()
    again.charge_again(charges)
    again.charge(1)
    assert again.left == worked.left
    assert again.signatures == worked.signatures == 1
    again.charge_again(charges)
    assert again.left == worked.left - 7
