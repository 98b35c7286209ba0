"""Cases of ``dane-mismatch`` (RFC 6698, RFC 7671)."""

from __future__ import annotations

import hashlib

import pytest

from tests.helpers.evidence import answered, codes, diagnosed, dns, evidence, issuing, leaf, proof, root

LEAF, ISSUER = leaf().parsed, issuing().parsed
Record = tuple[int, int, int, bytes]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def judged(*records: Record, authenticated: bool = True) -> list[str]:
    seen = evidence(answered(), answer=dns(tlsa=records, authenticated=authenticated))
    return codes(diagnosed(seen))


@pytest.mark.parametrize(
    ("record", "matches"),
    [
        ((3, 1, 1, sha256(LEAF.spki_der)), True),
        ((3, 0, 1, sha256(LEAF.der)), True),
        ((3, 0, 0, LEAF.der), True),
        ((3, 1, 2, hashlib.sha512(LEAF.spki_der).digest()), True),
        ((1, 1, 1, sha256(LEAF.spki_der)), True),
        ((2, 1, 1, sha256(ISSUER.spki_der)), True),
        ((0, 0, 1, bytes.fromhex(root().sha256)), True),  # the anchor, which is not sent
        ((0, 1, 1, b"\x00" * 32), True),  # the anchor's key is not at hand: cannot be told
        ((3, 1, 1, sha256(ISSUER.spki_der)), False),
        ((2, 1, 1, sha256(LEAF.spki_der)), False),
        ((3, 1, 1, b"\x00" * 32), False),
        ((0, 0, 1, b"\x00" * 32), False),
    ],
)
def test_each_kind_of_record_is_compared(record: Record, matches: bool) -> None:
    assert judged(record) == ([] if matches else ["dane-mismatch?"])


def test_one_of_several_is_enough() -> None:
    """As in a change of keys: the old record and the new one."""
    assert judged((3, 1, 1, b"\x00" * 32), (3, 1, 1, sha256(LEAF.spki_der))) == []


def test_records_that_are_not_secure_are_ignored() -> None:
    """Without DNSSEC, without records, and with none that a client could use."""
    wrong = (3, 1, 1, b"\x00" * 32)
    assert judged(wrong, authenticated=False) == []
    assert judged() == []
    assert judged((9, 1, 1, b"x"), (3, 7, 1, b"x"), (3, 1, 9, b"x"), (3, 1, 1, b"")) == []
    assert judged((9, 1, 1, b"x"), wrong) == ["dane-mismatch?"]


def test_claim_has_the_records_and_the_keys() -> None:
    diagnosis = diagnosed(evidence(answered(), answer=dns(tlsa=((3, 1, 1, b"\x01" * 32),), authenticated=True)))
    facts = proof(diagnosis, "dane-mismatch")
    assert facts["owner"] == "_443._tcp.www.example.org"
    assert facts["spki_sha256"][0] == sha256(LEAF.spki_der).hex()
    assert diagnosis.outcome == "warn"
