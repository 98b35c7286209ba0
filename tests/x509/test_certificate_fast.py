"""The fast reader of certificates against the exact one: the same fields, or none."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

import scanner
from scanner.trust.intermediates import ENTRY, MAGIC
from scanner.trust.stores import load_store
from scanner.x509 import certificate_exact, certificate_fast, der
from scanner.x509.certificate_fields import Fields
from scanner.x509.der import DerError
from tests.helpers import pki, scts
from tests.helpers.pki import DAY, NOW, tlv

ROOT = pki.root()
CA = pki.authority("CA", ROOT)
fast = certificate_fast.read_untrusted
# Of those below, what the exact reader refuses too
UNREADABLE = frozenset({"no date", "no time of day", "no digits"})

USUAL = {
    "plain": pki.certificate("leaf.example", issuer=CA, san=["leaf.example", "*.leaf.example"]),
    "organisation": pki.certificate(pki.name(C="DE", O="A, B & Söhne", CN="leaf.example"), issuer=CA),
    "no common name": pki.certificate(
        pki.name(), issuer=CA, without=["san"], extra=[pki.subject_alt_name(["leaf.example"], critical=True)]
    ),
    "escaped": pki.certificate("#leaf+example", issuer=CA),
    "addresses": pki.certificate("x", issuer=CA, san=["x", "IP:192.0.2.1", "IP:2001:db8::1", "email:a@b.example"]),
    "many names": pki.certificate("x", issuer=CA, san=[f"{number}.{'long' * 30}.example" for number in range(200)]),
    "timestamps": scts.with_scts([scts.ARGON, scts.XENON], "leaf.example", issuer=CA),
    "access": pki.certificate(
        "x", issuer=CA, extra=[pki.authority_info_access(issuers=["http://ca.test/ca.crt"], ocsp=["http://ocsp.test/"])]
    ),
    "authority": CA,
    "self-signed": ROOT,
    "1999": pki.certificate("x", issuer=CA, not_before=NOW - 10000 * DAY, not_after=NOW - 9000 * DAY),
    **{
        kind: pki.certificate("x", issuer=CA, private=pki.key("other", kind))
        for kind in ("ec:P-384", "ec:P-521", "rsa:2048", "rsa:3072", "rsa:1024", "ed25519")
    },
}
# Well-formed certificates too: what is rare need not be read fast.
RARE = {
    "PSS": pki.certificate("x", issuer=pki.root("PSS", private=pki.key("pss", "rsa:2048")), pss=True),
    "after 2050": pki.certificate("x", issuer=CA, not_after=NOW + 20000 * DAY),
    "constraints": pki.authority("Constrained", ROOT, extra=[pki.name_constraints(permitted=["example.org"])]),
    "unknown critical": pki.certificate("x", issuer=CA, extra=[pki.extension("1.2.3", b"", critical=True)]),
    "twice": pki.certificate("x", issuer=CA, extra=[pki.extended_key_usage(["serverAuth"])]),
    "negative serial": pki.certificate("x", issuer=CA, serial=-5),
    "padded serial": pki.certificate("x", issuer=CA, serial=tlv(0x02, b"\x00\x05")),
    "inner algorithm": pki.certificate("x", issuer=CA, inner_algorithm=pki.algorithm(pki.key("r", "rsa:2048"))),
    "unnamed": pki.certificate(pki.name(), issuer=CA),
    "version 1": pki.certificate("x", issuer=CA, version=None, without=["san", "bc", "ku", "eku", "ski", "aki"]),
    "no date": pki.certificate(
        "x", issuer=CA, validity=pki.sequence(tlv(0x17, b"260230000000Z"), tlv(0x17, b"270101000000Z"))
    ),
    "no time of day": pki.certificate(
        "x", issuer=CA, validity=pki.sequence(tlv(0x17, b"260220000060Z"), tlv(0x17, b"270101000000Z"))
    ),
    "no digits": pki.certificate(
        "x", issuer=CA, validity=pki.sequence(tlv(0x17, b"2602200 0000Z"), tlv(0x17, b"270101 1_0_0Z"))
    ),
}


def exact(data: bytes) -> Fields | None:
    try:
        return certificate_exact.read_untrusted(data)
    except DerError:
        return None


def agree(data: bytes) -> bool:
    """Whether the fast reader reads this; if it does, both readers find the same."""
    found = fast(data)
    if found is None:
        return False
    expected = exact(data)
    assert found == expected
    # equal mappings may differ in their order
    assert list(found.extensions) == list(expected.extensions)
    return True


@pytest.mark.parametrize("kind", USUAL)
def test_usual_certificates_are_read_fast_and_alike(kind: str) -> None:
    assert agree(USUAL[kind].der)


@pytest.mark.parametrize("kind", RARE)
def test_rare_and_malformed_certificates_are_left_to_the_exact_reader(kind: str) -> None:
    assert fast(RARE[kind].der) is None
    assert exact(RARE[kind].der) is not None or kind in UNREADABLE


def test_public_authorities_are_read_alike() -> None:
    data = (Path(scanner.__file__).parent / "data" / "intermediates.bin").read_bytes()
    (count,) = struct.unpack_from(">I", data, len(MAGIC))
    start = len(MAGIC) + 4
    entries = ENTRY.iter_unpack(data[start : start + count * ENTRY.size])
    found = [data[offset : offset + length] for _, offset, length in entries]
    found += [anchor.der for anchor in load_store("mozilla").anchors.values()]
    assert sum(map(agree, found)) > len(found) / 2


@pytest.mark.parametrize("kind", USUAL)
def test_truncated_certificates_are_not_read(kind: str) -> None:
    data = USUAL[kind].der
    for length in range(0, min(len(data), 1500), 23):
        assert fast(data[:length]) is None


@pytest.mark.parametrize("kind", [*USUAL, *RARE])
def test_damaged_certificates_are_read_alike_or_not_at_all(kind: str) -> None:
    data = (USUAL | RARE)[kind].der
    chance = random.Random(kind)
    read = 0
    for _ in range(120):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            place = chance.randrange(min(len(data), 800))
            changed[place] = chance.choice(
                (changed[place] ^ 1 << chance.randrange(8), chance.randrange(256), 0, 0x30, 0x81, 0x82, 0xFF)
            )
        read += agree(bytes(changed))
    assert read or kind in RARE


def test_a_byte_more_or_less_anywhere_is_not_overlooked() -> None:
    data = USUAL["timestamps"].der
    for place in range(0, 600, 3):
        for changed in (data[:place] + data[place + 1 :], data[:place] + b"\x00" + data[place:]):
            agree(changed)


def test_an_extension_that_ends_within_its_identifier_is_not_read() -> None:
    short = pki.sequence(der.encoded_oid("2.5.29.17"))
    for extension in (
        short,
        pki.sequence(tlv(6, der.encoded_oid("2.5.29.17"))),
        pki.sequence(tlv(6, certificate_fast._TIMESTAMPS)),
    ):
        assert fast(pki.certificate("x", issuer=CA, without=["san"], extra=[extension]).der) is None
