"""The short way to read a certificate against the exact one: what it takes, it reads the same; what it does not, it leaves."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest

import scanner
from scanner.trust.intermediates import ENTRY, MAGIC
from scanner.trust.stores import load_store
from scanner.x509 import certificate_fast as ordinary
from scanner.x509 import der
from scanner.x509.certificate import Certificate, CertificateError
from tests.helpers import pki, scts
from tests.helpers.pki import DAY, NOW, tlv

ROOT = pki.root()
CA = pki.authority("CA", ROOT)
# Kept from one look to the next, and made from the rest
_DERIVED = frozenset({"__weakref__", "_names", "_public_key", "_self_signed", "_subject_name", "_x509"})

ORDINARY = {
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
# Good certificates too: what is rare needs no short way.
OTHERWISE = {
    "PSS": pki.certificate("x", issuer=pki.root("PSS", private=pki.key("pss", "rsa:2048")), pss=True),
    "after 2050": pki.certificate("x", issuer=CA, not_after=NOW + 20000 * DAY),
    "constraints": pki.authority("Constrained", ROOT, extra=[pki.name_constraints(permitted=["example.org"])]),
    "unknown critical": pki.certificate("x", issuer=CA, extra=[pki.extension("1.2.3", b"", critical=True)]),
    "twice": pki.certificate("x", issuer=CA, extra=[pki.extended_key_usage(["serverAuth"])]),
    "negative serial": pki.certificate("x", issuer=CA, serial=-5),
    "no serial": pki.certificate("x", issuer=CA, serial=0),
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


def fields_of(data: bytes) -> dict[str, Any] | str:
    """All that is read, or the error's words."""
    try:
        certificate = Certificate.parse_untrusted(data)
    except CertificateError as error:
        return str(error)
    found = {name: getattr(certificate, name) for name in Certificate.__slots__ if name not in _DERIVED}
    constraints = found.pop("name_constraints")
    found["names"], found["subject_name"] = certificate.names, certificate.subject_name
    found["constrained"] = constraints is not None and constraints.critical
    found["extensions in their order"] = list(certificate._extensions)
    return found


def exactly(data: bytes) -> dict[str, Any] | str:
    """The same, the short way closed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordinary, "read_untrusted", lambda *_: False)
        return fields_of(data)


def is_ordinary(data: bytes) -> bool:
    return ordinary.read_untrusted(Certificate.__new__(Certificate), data)


@pytest.mark.parametrize("kind", ORDINARY)
def test_what_is_ordinary(kind: str) -> None:
    data = ORDINARY[kind].der
    assert is_ordinary(data)
    found = fields_of(data)
    assert not isinstance(found, str) and found == exactly(data)


@pytest.mark.parametrize("kind", OTHERWISE)
def test_what_is_left_to_the_other_reader(kind: str) -> None:
    data = OTHERWISE[kind].der
    assert not is_ordinary(data)
    assert fields_of(data) == exactly(data)


def test_public_authorities() -> None:
    data = (Path(scanner.__file__).parent / "data" / "intermediates.bin").read_bytes()
    (count,) = struct.unpack_from(">I", data, len(MAGIC))
    start = len(MAGIC) + 4
    entries = ENTRY.iter_unpack(data[start : start + count * ENTRY.size])
    found = [data[offset : offset + length] for _, offset, length in entries]
    found += [anchor.der for anchor in load_store("mozilla").anchors.values()]
    assert [certificate for certificate in found if fields_of(certificate) != exactly(certificate)] == []
    assert sum(map(is_ordinary, found)) > len(found) / 2


@pytest.mark.parametrize("kind", ORDINARY)
def test_cut_short(kind: str) -> None:
    data = ORDINARY[kind].der
    for length in range(0, min(len(data), 1500), 23):
        assert not is_ordinary(data[:length])
        assert fields_of(data[:length]) == exactly(data[:length])


@pytest.mark.parametrize("kind", [*ORDINARY, *OTHERWISE])
def test_changed_bytes(kind: str) -> None:
    """Never more generous: whatever bytes are changed, both readers find the same, error and all."""
    data = (ORDINARY | OTHERWISE)[kind].der
    chance = random.Random(kind)
    read = 0
    for _ in range(120):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            place = chance.randrange(min(len(data), 800))
            changed[place] = chance.choice(
                (changed[place] ^ 1 << chance.randrange(8), chance.randrange(256), 0, 0x30, 0x81, 0x82, 0xFF)
            )
        read += is_ordinary(bytes(changed))
        assert fields_of(bytes(changed)) == exactly(bytes(changed))
    assert read or kind in OTHERWISE


def test_no_element_is_taken_for_another() -> None:
    """A byte more or less at each place in turn, the lengths around it left as they are."""
    data = ORDINARY["timestamps"].der
    for place in range(0, 600, 3):
        for changed in (data[:place] + data[place + 1 :], data[:place] + b"\x00" + data[place:]):
            assert fields_of(changed) == exactly(changed)


def test_an_extension_that_ends_within_its_identifier() -> None:
    short = pki.sequence(der.encoded_oid("2.5.29.17"))
    for extension in (
        short,
        pki.sequence(tlv(6, der.encoded_oid("2.5.29.17"))),
        pki.sequence(tlv(6, ordinary._TIMESTAMPS)),
    ):
        data = pki.certificate("x", issuer=CA, without=["san"], extra=[extension]).der
        assert not is_ordinary(data)
        assert fields_of(data) == exactly(data)
