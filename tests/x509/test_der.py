"""The DER reader: what it takes, and that nothing but DerError comes out of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.x509 import der, extensions
from scanner.x509.certificate_fields import key_untrusted, validity_untrusted
from scanner.x509.der import DerError
from scanner.x509.distinguished import name_text
from scanner.x509.name_constraints import NameConstraints
from scanner.x509.signatures import algorithm_untrusted
from tests.helpers import pki
from tests.helpers.pki import tlv


@pytest.mark.parametrize(
    ("value", "content"),
    [(0, "00"), (127, "7f"), (128, "0080"), (-1, "ff"), (-128, "80"), (-129, "ff7f"), (256, "0100")],
)
def test_integers_are_encoded_in_their_shortest_form(value: int, content: str) -> None:
    assert der.integer_content(value) == bytes.fromhex(content)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_are_decoded(value: int) -> None:
    data = pki.integer(value)
    start, stop = der.whole_untrusted(data, der.INTEGER, "x")
    assert der.integer_untrusted(data, start, stop) == value


@pytest.mark.parametrize("octets", [9, 3_000, 60_000])
def test_integers_are_read_up_to_a_number_of_octets(octets: int) -> None:
    content = b"\x01" + bytes(octets - 1)
    with pytest.raises(DerError, match=f"INTEGER of {octets} bytes, where 8 are the most"):
        der.integer_untrusted(content, 0, octets)
    assert der.integer_untrusted(content, 0, octets, most=octets) == 1 << 8 * (octets - 1)


def test_children_are_listed_up_to_a_number() -> None:
    content = b"\x05\x00" * der.MAX_CHILDREN
    assert len(der.children_untrusted(content, 0, len(content))) == der.MAX_CHILDREN
    content += b"\x05\x00"
    with pytest.raises(DerError, match="more than 10000 elements"):
        der.children_untrusted(content, 0, len(content))


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.1.11", "2.5.29.37.0", "0.9.2342", "2.999.1", "1.39", "2.40"])
def test_identifiers_are_encoded_and_decoded(dotted: str) -> None:
    assert der.oid_untrusted(der.encoded_oid(dotted)) == dotted


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x2a\x80", b"\x2a\x80\x01", b"\x2a" * 200])
def test_malformed_identifiers_are_refused(content: bytes) -> None:
    with pytest.raises(DerError):
        der.oid_untrusted(content)


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02\x01", b"\x02\x80", b"\x02\x81\x01\x00", b"\x02\x82\x00\x80"])
def test_malformed_headers_are_refused(data: bytes) -> None:
    with pytest.raises(DerError):
        der.header_untrusted(data + bytes(0), 0, len(data))


@pytest.mark.parametrize("content", [b"", b"\x08", b"\x01", b"\x01\x01"])
def test_malformed_bit_strings_are_refused(content: bytes) -> None:
    with pytest.raises(DerError):
        der.bits_untrusted(content, 0, len(content))


@pytest.mark.parametrize("content", [b"", b"\x01", b"\xff\xff"])
def test_malformed_booleans_are_refused(content: bytes) -> None:
    with pytest.raises(DerError):
        der.boolean_untrusted(content, 0, len(content))


READERS: list[Callable[[bytes], object]] = [
    extensions.basic_constraints_untrusted,
    extensions.key_usage_untrusted,
    extensions.extended_key_usage_untrusted,
    extensions.subject_alt_name_untrusted,
    extensions.authority_key_untrusted,
    extensions.subject_key_identifier_untrusted,
    extensions.information_access_untrusted,
    extensions.distribution_points_untrusted,
    extensions.demands_staple_untrusted,
    NameConstraints.read_untrusted,
    lambda data: validity_untrusted(data, []),
    algorithm_untrusted,
    lambda data: key_untrusted(data, []),
]


def _elements(depth: int) -> st.SearchStrategy[bytes]:
    tags = st.sampled_from([1, 2, 3, 4, 5, 6, 0x0C, 0x17, 0x18, 0x30, 0x31, 0x80, 0x82, 0x86, 0x87, 0xA0, 0xA1, 0xA4])
    content = st.binary(max_size=12)
    if depth:
        content = content | st.lists(_elements(depth - 1), max_size=4).map(b"".join)
    return st.builds(pki.tlv, tags, content)


@given(_elements(4) | st.binary(max_size=64))
def test_readers_raise_only_der_errors(data: bytes) -> None:
    for reader in READERS:
        try:
            reader(data)
        except DerError:
            continue
    name_text(data).text.encode()


@given(st.binary(max_size=400), st.sampled_from([0x30, 0x04, 0x80]))
def test_elements_that_fill_their_place_are_found(content: bytes, tag: int) -> None:
    data = b"\x00" + tlv(tag, content) + b"\x00"
    assert der.filling_untrusted(data, 1, len(data) - 1, tag) == len(data) - 1 - len(content)
    for at, end, other in ((1, len(data), tag), (1, len(data) - 2, tag), (1, len(data) - 1, tag + 1), (1, 2, tag)):
        with pytest.raises(DerError):
            der.filling_untrusted(data, at, end, other)


def test_lengths_that_are_not_the_shortest_are_refused() -> None:
    for wrong in (b"\x30\x81\x7f" + bytes(127), b"\x30\x82\x00\xff" + bytes(255), b"\x30\x80\x00\x00", b"\x30"):
        with pytest.raises(DerError):
            der.filling_untrusted(wrong, 0, len(wrong), 0x30)
