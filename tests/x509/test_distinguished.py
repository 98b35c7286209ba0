"""Distinguished names: text, attributes, and comparing under a constraint. Values are tested with certificates."""

from __future__ import annotations

import random

import pytest

from scanner.x509.distinguished import CACHED_NAME_BYTES, name_text, normalised
from tests.helpers import pki
from tests.helpers.pki import name, sequence, tlv


def test_several_values_in_one_relative_name() -> None:
    attribute = [sequence(pki.oid(pki.ATTRIBUTES[kind]), tlv(0x0C, b"x")) for kind in ("CN", "O")]
    found = name_text(sequence(tlv(0x31, *attribute)))
    assert found.text == "CN=x+O=x"
    assert found.attributes == (("CN", "x"), ("O", "x"))


def test_unknown_attributes_keep_their_number() -> None:
    found = name_text(sequence(tlv(0x31, sequence(pki.oid("1.2.3.4"), tlv(0x0C, b"x")))))
    assert found.text == "1.2.3.4=x"


def test_first_and_last_value_of_an_attribute() -> None:
    found = name_text(sequence(*(name(CN=text)[2:] for text in ("a", "b"))))
    assert (found.first("CN"), found.last("CN"), found.first("O")) == ("a", "b", None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x01",
        b"\x31\x00",
        sequence(tlv(0x30)),
        sequence(tlv(0x31, tlv(0x02))),
        sequence(tlv(0x31, sequence(pki.oid("2.5.4.3")))),
    ],
)
def test_what_is_not_a_name_is_shown_as_hex(data: bytes) -> None:
    found = name_text(data)
    assert found.text == "#" + data.hex()
    assert found.flaw


def test_long_names_are_read_and_not_memoised() -> None:
    long = name(CN="x" * (2 * CACHED_NAME_BYTES))
    assert name_text(long).last("CN") == "x" * (2 * CACHED_NAME_BYTES)
    assert name_text(long) is not name_text(long)
    assert name_text(name(CN="short")) is name_text(name(CN="short"))


@pytest.mark.parametrize(
    ("whole", "base", "begins"),
    [
        (name(C="DE", O="X", CN="y"), name(C="DE", O="X"), True),
        (name(C="de", O=" x "), name(C="DE", O="X"), True),
        (name(C="DE", O=tlv(0x13, b"X")), name(C="DE", O="X"), True),
        (name(C="DE", O="X"), name(), True),
        (name(C="DE"), name(C="DE", O="X"), False),
        (name(O="X", C="DE"), name(C="DE", O="X"), False),
        (name(CN=tlv(0x0C, b"\xff")), name(CN=tlv(0x0C, b"\xff")), True),
        (b"nonsense", name(), False),
    ],
)
def test_normalised_names_have_the_prefixes_of_the_names(whole: bytes, base: bytes, begins: bool) -> None:
    longer, shorter = normalised(whole), normalised(base)
    assert shorter is not None
    assert (longer is not None and longer[: len(shorter)] == shorter) is begins


def test_truncated_names_are_shown_as_hex() -> None:
    whole = name(C="DE", ST="Bayern", O="A, B & Söhne", OU="#x ", CN="www.example.com")
    for length in range(len(whole)):
        found = name_text(whole[:length])
        assert found.text == "#" + whole[:length].hex() and found.flaw and not found.attributes


def test_damaged_names_stay_valid_text() -> None:
    chance = random.Random("names")
    read = 0
    for whole in (
        name(C="DE", ST="Bayern", O="A, B & Söhne", OU="#x ", CN="www.example.com"),
        sequence(tlv(0x31, *(sequence(pki.oid("2.5.4.10"), tlv(0x0C, text)) for text in (b"a", b"b")))),
        name(O=tlv(0x1E, "x".encode("utf-16-be"))),
        name(CN=tlv(0x1C, "x".encode("utf-32-be"))),
    ):
        for _ in range(400):
            changed = bytearray(whole)
            changed[chance.randrange(len(changed))] = chance.choice((0, 0x0C, 0x13, 0x30, 0x31, chance.randrange(256)))
            found = name_text(bytes(changed))
            found.text.encode()
            read += found.flaw is None
    assert 200 < read < 1600


def test_attributes_that_repeat_in_other_names_are_the_same_text() -> None:
    first, second = (name(C="DE", O="A, B & Söhne", CN=host) for host in ("a.example", "b.example"))
    assert name_text(first).text == "CN=a.example,O=A\\, B & Söhne,C=DE"
    assert name_text(second).text == "CN=b.example,O=A\\, B & Söhne,C=DE"
    assert name_text(second).attributes == (("C", "DE"), ("O", "A, B & Söhne"), ("CN", "b.example"))
