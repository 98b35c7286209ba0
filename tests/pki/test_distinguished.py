"""Distinguished names: text, attributes, and comparing under a constraint. Values are tested with certificates."""

from __future__ import annotations

import pytest

from scanner.pki.distinguished import CACHED_NAME_BYTES, is_within, name_text
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


def test_first_and_last() -> None:
    found = name_text(sequence(*(name(CN=text)[2:] for text in ("a", "b"))))
    assert (found.first("CN"), found.last("CN"), found.first("O")) == ("a", "b", None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x01",
        b"\x31\x00",
        sequence(tlv(0x31)),
        sequence(tlv(0x30)),
        sequence(tlv(0x31, tlv(0x02))),
        sequence(tlv(0x31, sequence(pki.oid("2.5.4.3")))),
    ],
)
def test_what_is_no_name_is_its_own_hex(data: bytes) -> None:
    found = name_text(data)
    assert found.text == "#" + data.hex()
    assert found.flaw


def test_long_names_are_read_and_not_kept() -> None:
    long = name(CN="x" * (2 * CACHED_NAME_BYTES))
    assert name_text(long).last("CN") == "x" * (2 * CACHED_NAME_BYTES)
    assert name_text(long) is not name_text(long)
    assert name_text(name(CN="short")) is name_text(name(CN="short"))


@pytest.mark.parametrize(
    ("whole", "base", "within"),
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
def test_within(whole: bytes, base: bytes, within: bool) -> None:
    assert is_within(whole, base) is within
