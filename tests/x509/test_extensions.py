"""The readers of single extensions. Hostile bytes are given to all of them in test_der."""

from __future__ import annotations

import ipaddress
import random

import pytest

from scanner.x509 import extensions, malformations
from scanner.x509.der import DerError
from tests.helpers import pki
from tests.helpers.pki import sequence, tlv


def value_of(extension: bytes) -> bytes:
    """The content of extnValue of an extension made by the helper."""
    certificate = pki.certificate("x", without=["san", "bc", "ku", "eku", "ski", "aki"], extra=[extension]).parsed
    ((_, value),) = certificate.extensions.values()
    return value


def test_basic_constraints() -> None:
    read = extensions.basic_constraints_untrusted
    assert read(value_of(pki.basic_constraints(True, 3))) == (True, 3)
    assert read(value_of(pki.basic_constraints(False))) == (False, None)
    for wrong in (sequence(pki.integer(-1)), sequence(tlv(0x04)), sequence(tlv(0x01, b"\x05"))):
        with pytest.raises(DerError):
            read(wrong)


def test_key_usage() -> None:
    read = extensions.key_usage_untrusted
    assert read(value_of(pki.key_usage(["digitalSignature"]))) == extensions.DIGITAL_SIGNATURE
    both = read(value_of(pki.key_usage(["keyCertSign", "cRLSign"])))
    assert both & extensions.KEY_CERT_SIGN and not both & extensions.DIGITAL_SIGNATURE
    assert read(tlv(0x03, b"\x07\x00\x80")) == 1 << 8
    assert read(tlv(0x03, b"\x00" + b"\xff" * 100)) == (1 << 9) - 1


def test_extended_key_usage_names_what_is_known() -> None:
    found = extensions.extended_key_usage_untrusted(value_of(pki.extended_key_usage(["serverAuth", "1.2.3"])))
    assert found == ("serverAuth", "1.2.3")
    with pytest.raises(DerError):
        extensions.extended_key_usage_untrusted(sequence(tlv(0x04)))


def test_subject_alt_name_keeps_other_types() -> None:
    names = extensions.subject_alt_name_untrusted(
        value_of(pki.subject_alt_name(["a.example", "email:a@b", "IP:192.0.2.1", "URI:http://x"]))
    )
    assert names.dns == ("a.example",) and names.texts == ("a.example", "192.0.2.1")
    assert names.others == ((0x81, b"a@b"), (0x86, b"http://x"))
    assert names.flaw is None


@pytest.mark.parametrize(
    ("entry", "flaw"),
    [
        (tlv(0x0C, b"x"), malformations.BROKEN_NAME),
        (tlv(0xA2, b"a.example"), malformations.BROKEN_NAME),
        (tlv(0x88, b"\x80"), malformations.BROKEN_OTHER_NAME),
        (tlv(0xA0, b""), malformations.BROKEN_OTHER_NAME),
        (tlv(0xA4, tlv(0x04)), malformations.BROKEN_NAME),
        (tlv(0xA5, tlv(0x81, b"x")), malformations.BROKEN_OTHER_NAME),
        (tlv(0xA5, tlv(0xA1, tlv(0x0C, b"x"))), malformations.EDI_NAME),
        (tlv(0x81, b"\xfc@x.example"), malformations.NAME_NOT_ASCII),
        (tlv(0x86, b"http://\xfc.example"), malformations.NAME_NOT_ASCII),
        (tlv(0xA0, pki.oid("1.2.3"), tlv(0xA0, tlv(0x0C, b"x"))), None),
        (tlv(0xA4, pki.name(CN="x")), None),
        (tlv(0x88, b"\x2a\x03"), None),
    ],
)
def test_names_of_other_types_are_checked_for_their_form(entry: bytes, flaw: str | None) -> None:
    found = extensions.subject_alt_name_untrusted(sequence(tlv(0x82, b"a.example"), entry))
    assert (found.dns, found.flaw) == (("a.example",), flaw)
    assert extensions.subject_alt_name_untrusted(sequence()).flaw == malformations.NO_NAMES_IN_IT


POINT = tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://x.example/")))


@pytest.mark.parametrize(
    ("points", "flaws"),
    [
        ([sequence(POINT)], []),
        ([sequence(tlv(0xA2, tlv(0xA4, pki.name(CN="x"))))], []),
        ([sequence()], [malformations.EMPTY_POINT]),
        ([sequence(POINT), sequence(tlv(0x81, b"\x01\x06"))], [malformations.EMPTY_POINT]),
        (
            [sequence(tlv(0xA0, tlv(0xA1, sequence(pki.oid("2.5.4.3"), tlv(0x0C, b"x")))))],
            [malformations.RELATIVE_POINT],
        ),
    ],
)
def test_points_without_a_name_and_relative_ones_are_flaws(points: list[bytes], flaws: list[str]) -> None:
    found: list[str] = []
    extensions.check_distribution_points_untrusted(sequence(*points), found)
    assert found == flaws
    if flaws:
        with pytest.raises(DerError):
            extensions.check_distribution_points_untrusted(sequence(*points))


@pytest.mark.parametrize(
    ("before_value", "critical", "flaw"),
    [
        (b"", False, None),
        (tlv(0x01, b"\xff"), True, None),
        (tlv(0x01, b"\x00"), False, malformations.EXPLICIT_FALSE),
        (tlv(0x01, b"\x01"), True, f"critical is {malformations.BOOLEAN}"),
    ],
)
def test_critical_is_read_as_ber_has_it(before_value: bytes, critical: bool, flaw: str | None) -> None:
    flaws: list[str] = []
    data = sequence(sequence(pki.oid("1.2.3"), before_value, pki.octets(b"x")))
    assert extensions.split_untrusted(data, 0, len(data), flaws) == {b"\x2a\x03": (critical, b"x")}
    assert flaws == ([] if flaw is None else [flaw])


@pytest.mark.parametrize(
    ("dotted", "flaws"),
    [("2.25.1", []), ("1.3.6.1.4.1.311.21.8.1.2.3.4.5", []), ("2.25." + str(1 << 120), [malformations.LARGE_ARC])],
)
def test_identifiers_made_of_a_uuid_are_flaws(dotted: str, flaws: list[str]) -> None:
    found: list[str] = []
    data = sequence(pki.extension(dotted, b"x"))
    extensions.split_untrusted(data, 0, len(data), found)
    assert found == flaws


def test_key_identifiers() -> None:
    assert extensions.authority_key_untrusted(sequence(tlv(0x80, b"id"))) == (b"id", None, None)
    assert extensions.authority_key_untrusted(sequence(tlv(0x82, b"5"))) == (None, None, b"5")
    assert extensions.subject_key_identifier_untrusted(pki.octets(b"id")) == b"id"


def test_information_access_skips_what_is_not_a_url() -> None:
    value = value_of(pki.authority_info_access(issuers=["http://a"], ocsp=["http://b"]))
    assert extensions.information_access_untrusted(value) == (("http://a",), ("http://b",))
    other = sequence(sequence(pki.oid("1.3.6.1.5.5.7.48.2"), tlv(0xA4, pki.name(CN="x"))))
    assert extensions.information_access_untrusted(other) == ((), ())


@pytest.mark.parametrize(("features", "demands"), [([5], True), ([17], True), ([1], False), ([], False)])
def test_tls_feature_demands_a_staple(features: list[int], demands: bool) -> None:
    assert extensions.demands_staple_untrusted(sequence(*map(pki.integer, features))) is demands


def test_too_many_extensions_are_refused() -> None:
    many = b"".join(pki.extension(f"1.2.3.{number}", b"") for number in range(extensions.MAX_EXTENSIONS + 1))
    data = sequence(many)
    with pytest.raises(DerError, match="more than"):
        extensions.split_untrusted(data, 0, len(data), [])


@pytest.mark.parametrize(
    "entry",
    [
        tlv(0x04),
        sequence(),
        sequence(tlv(0x06, b"\x2a")),
        sequence(pki.oid("1.2.3")),
        sequence(pki.oid("1.2.3"), pki.boolean(True)),
        sequence(pki.oid("1.2.3"), tlv(0x01, b"\x01\x01"), pki.octets(b"")),
        sequence(tlv(0x06, b"\x2a\x80\x03"), pki.octets(b"")),
        sequence(pki.oid("1.2.3"), pki.octets(b""), pki.octets(b"")),
        sequence(tlv(0x06, b"\x2a" * 200), pki.octets(b"")) + b"\0",
        b"\x30\x06\x06\x7f\x2a\x04\x00\x00",
    ],
)
def test_malformed_extensions_are_refused(entry: bytes) -> None:
    data = sequence(entry)
    with pytest.raises(DerError):
        extensions.split_untrusted(data, 0, len(data), [])


def test_ipv6_addresses_are_written_as_ipaddress_writes_them() -> None:
    numbers = random.Random(1)
    groups = [b"\0\0", b"\0\0", b"\0\1", b"\x10\0", b"\x12\x34"]
    for _ in range(5000):
        content = b"".join(numbers.choices(groups, k=8))
        assert ipaddress.IPv6Address(extensions._address_text(content)).packed == content
        if content[:10] != bytes(10):  # later versions of Python write mapped addresses in another way
            assert extensions._address_text(content) == str(ipaddress.IPv6Address(content))
