"""The exact reader: what is malformed is reported in words, and what can be read beside it is read."""

from __future__ import annotations

import pytest

from scanner.x509.certificate_exact import read_untrusted
from scanner.x509.der import DerError
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, tlv


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"serial": -5}, "serial number is negative"),
        ({"inner_algorithm": pki.algorithm(pki.key("r", "rsa:2048"))}, "inside and outside the signed part differ"),
        ({"san": [b"\x82\x03\xe9\xe9\xe9"]}, "not ASCII"),
        ({"san": [b"\x87\x05\x01\x02\x03\x04\x05"]}, "5 bytes"),
        ({"extra": [pki.basic_constraints(False)]}, "there twice"),
        ({"extra": [pki.extension("1.3.6.1.5.5.7.1.1", b"\x04\x00")]}, "authorityInfoAccess"),
        ({"without": ["ku"], "extra": [pki.extension("2.5.29.15", b"\x03\x00")]}, "BIT STRING"),
        ({"without": ["eku"], "extra": [pki.extension("2.5.29.37", b"\x30\x01")]}, "reaches beyond"),
        ({"without": ["aki"], "extra": [pki.extension("2.5.29.35", b"\x30\x00", critical=True)]}, "marked critical"),
        ({"subject": pki.name(CN=tlv(0x0C, b"\xff")), "san": ["a.example"]}, "string type"),
        ({"subject": pki.name()}, "the subject is empty"),
        ({"extra": [pki.extension("2.5.29.30", b"\x30\x00")]}, "nameConstraints"),
        ({"trailing": b"\0"}, "bytes follow"),
        ({"version": 7}, "version is above 3"),
        ({"version": 0, "without": ["extensions"]}, "version 1 is written down"),
        ({"version": 1}, "which only version 3 has"),
        ({"serial": tlv(0x02, b"\x00\x05")}, "shortest form"),
        ({"inner_algorithm": pki.sequence(pki.oid("1.2.840.10045.4.3.2"), tlv(0x05))}, "unusual parameters"),
        ({"inner_algorithm": pki.sequence(pki.oid("1.2.840.10045.4.3.3"))}, "part differ"),
        ({"extra": [pki.extension("1.2.3.4", b"")] * 2}, "is there twice"),
        ({"subject": pki.name(O=tlv(0x13, b"a&b")), "san": ["a.example"]}, "ampersand"),
        ({"subject": pki.name(O=tlv(0x13, b"a@b")), "san": ["a.example"]}, "string type"),
        ({"subject": pki.name(O=tlv(0x1A, b"ab")), "san": ["a.example"]}, "do not have"),
        ({"subject": pki.sequence(tlv(0x31)), "san": ["a.example"]}, "without attributes"),
        ({"without": ["bc"], "extra": [pki.extension("2.5.29.19", b"\x30\x03\x01\x01\x01")]}, "neither 00 nor ff"),
        ({"without": ["ku"], "extra": [pki.extension("2.5.29.15", b"\x03\x02\x05\xbf")]}, "unused bits"),
        ({"without": ["eku"], "extra": [pki.extension("2.5.29.37", pki.sequence() + b"\0")]}, "bytes after its end"),
    ],
)
def test_flaws_are_reported_and_all_other_fields_are_read(changes: dict[str, object], flaw: str) -> None:
    data = pki.certificate(**{"subject": "x.example", **changes}).der  # type: ignore[arg-type]
    fields = read_untrusted(data)
    assert flaw in " ".join(fields.flaws)
    assert fields.not_after == NOW + 60 * DAY and fields.key == "ec:P-256"


def test_unknown_critical_extensions_are_listed_dotted() -> None:
    data = pki.certificate("x", extra=[pki.extension("1.2.3", b"", critical=True)]).der
    assert read_untrusted(data).unknown_critical == ("1.2.3",)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cut off"),
        (pki.certificate("x", serial=b"\x02\x00").der, "serialNumber: empty"),
        (pki.certificate("x", validity=pki.sequence(pki.time(NOW))).der, "two times"),
    ],
)
def test_unreadable_certificates_raise_der_error_alone(data: bytes, why: str) -> None:
    with pytest.raises(DerError, match=why):
        read_untrusted(data)
