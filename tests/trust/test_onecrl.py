"""What a browser blocks by its own list, and what the shipped copy holds."""

from __future__ import annotations

import hashlib

from scanner.trust.intermediates import Intermediates
from scanner.trust.onecrl import DIGEST_BYTES, Blocklist, key_entry, onecrl, serial_entry
from scanner.trust.stores import TrustStore, load_store
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import NOW, Issued
from tests.trust.test_verifier import CA, LEAF, ROOT


def judged(chain: tuple[Issued, ...], *entries: bytes) -> ChainVerdict:
    store = TrustStore("test", [ROOT.parsed], blocked=Blocklist("a list", frozenset(entries)))
    verifier = ChainVerifier([store], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    return verifier.verify(tuple(item.der for item in chain), name="leaf.example", at=NOW)


def by_serial(issued: Issued) -> bytes:
    return serial_entry(issued.parsed.issuer_der, issued.parsed.serial)


def by_key(issued: Issued) -> bytes:
    return key_entry(issued.parsed.subject_der, hashlib.sha256(issued.parsed.spki_der).digest())


def test_a_path_through_a_blocked_authority_is_refused_and_names_the_list() -> None:
    for entry in (by_serial(CA), by_key(CA)):
        verdict = judged((LEAF, CA), entry)

        assert not verdict.trusted
        (problem,) = verdict.stores["test"].problems
        assert (problem.code, problem.certificate) == ("revoked-crl", CA.parsed.sha256)
        assert problem.evidence["list"] == "a list"
        assert problem.evidence["refused_by"] == ["firefox"]


def test_other_certificates_are_not_blocked() -> None:
    assert judged((LEAF, CA), by_serial(LEAF), b"\0" * DIGEST_BYTES).trusted


def test_a_path_around_the_blocked_one_wins() -> None:
    other = pki.authority("Test CA", ROOT, serial=77, private=CA.private)

    assert not judged((LEAF, CA), by_serial(CA)).trusted
    assert judged((LEAF, CA, other), by_serial(CA)).trusted


def test_leading_zeros_of_a_serial_number_do_not_matter() -> None:
    assert serial_entry(b"name", "00AB") == serial_entry(b"name", "ab")


def test_the_shipped_list_is_whole_and_in_use() -> None:
    assert len(onecrl()) > 1500
    assert load_store("mozilla").blocked is onecrl()
