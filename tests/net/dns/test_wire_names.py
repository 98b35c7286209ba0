"""Names as text and as octets: what a question can carry, and what is read out of a stranger's message."""

from __future__ import annotations

import dns.exception
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.net.dns import wire_names
from scanner.net.dns.wire_names import NameNotEncodable, UnusualName


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty label"),
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a" * 64 + ".example", "more than 63"),
        (".".join(["abcdefgh"] * 30), "more than the 253"),
        ("bücher.example", "outside ASCII"),
        ("a b.example", "no host name"),
        ("a\x00b.example", "no host name"),
        ("a\n.example", "no host name"),
        ("a.example\n", "no host name"),
    ],
)
def test_names_that_no_question_can_carry(name: str, words: str) -> None:
    with pytest.raises(NameNotEncodable, match=words):
        wire_names.encode_name(name)


def test_the_longest_name() -> None:
    name = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(name) == 253
    assert len(wire_names.encode_name(name)) == 255
    assert wire_names.encode_name("WWW.Example") == b"\3www\7example\0"


@pytest.mark.parametrize(
    ("data", "position", "name", "after"),
    [
        (b"\3WWW\7example\0rest", 0, "www.example", 13),
        (b"\7example\0\3www\xc0\0rest", 9, "www.example", 15),
        (b"\1c\0\1b\xc0\0\1a\xc0\3x", 7, "a.b.c", 11),
    ],
)
def test_a_name_and_what_stands_behind_it(data: bytes, position: int, name: str, after: int) -> None:
    assert wire_names.read_name_untrusted(data, position) == (name, after)
    assert wire_names.skip_name_untrusted(data, position) == after


@pytest.mark.parametrize(
    "data",
    [b"", b"\3ab", b"\3abc", b"\xc0", b"\xc0\0", b"\1a\xc0\0", b"\1a\xc0\x09", b"\x80a\0", b"\1 \0", b"\3a.b\0", b"\0"],
)
def test_names_that_are_not_plain_are_refused(data: bytes) -> None:
    with pytest.raises(UnusualName):
        wire_names.read_name_untrusted(data, 0)


@pytest.mark.parametrize("data", [b"", b"\3ab", b"\1a", b"\xc0", b"\x80a\0", b"\1a" * 200 + b"\0"])
def test_what_cannot_be_passed_over(data: bytes) -> None:
    with pytest.raises(UnusualName):
        wire_names.skip_name_untrusted(data, 0)


@given(st.binary(max_size=80), st.integers(0, 90))
def test_whatever_is_read_the_general_codec_reads_alike(data: bytes, position: int) -> None:
    try:
        after = wire_names.skip_name_untrusted(data, position)
    except UnusualName:
        after = -1
    try:
        name, end = wire_names.read_name_untrusted(data, position)
    except UnusualName:
        return
    assert end == after
    try:
        long, length = dns.name.from_wire(data, position)
    except dns.exception.DNSException:
        pytest.fail("the general codec refuses it")
    assert (long.canonicalize().to_text(omit_final_dot=True), position + length) == (name, end)
