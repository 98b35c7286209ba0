"""Records come out the same however the bytes arrive, and the limits hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.tls import record_layer
from scanner.tls.record_layer import RecordBuffer
from scanner.tls.wire import DecodeError
from tests.tls.peers import record


def outcome(stream: bytes, size: int) -> tuple[list[tuple[int, bytes, bytes]], str, bool, bytes]:
    """Records, error, ``not_tls`` and what is left of a stream that arrives in pieces of ``size`` bytes."""
    buffer = RecordBuffer()
    got: list[tuple[int, bytes, bytes]] = []
    try:
        for start in range(0, len(stream), size):
            for each in buffer.split_untrusted(stream[start : start + size]):
                got.append(each)
    except DecodeError as error:
        return got, str(error), False, b""
    return got, "", buffer.not_tls, buffer.unread


def test_record_contents() -> None:
    stream = record(22, b"abc") + record(21, b"\x02\x28") + record(22, b"") + b"\x16\x03"
    got, error, not_tls, unread = outcome(stream, len(stream))
    assert [(kind, header[3:], body) for kind, header, body in got] == [
        (22, b"\x00\x03", b"abc"),
        (21, b"\x00\x02", b"\x02\x28"),
        (22, b"\x00\x00", b""),
    ]
    assert (error, not_tls, unread) == ("", False, b"\x16\x03")


@given(
    st.lists(st.tuples(st.sampled_from([20, 21, 22, 23]), st.binary(max_size=40)), max_size=8),
    st.binary(max_size=12),
    st.integers(1, 60),
)
def test_records_do_not_depend_on_chunking(contents: list[tuple[int, bytes]], tail: bytes, size: int) -> None:
    stream = b"".join(record(kind, body) for kind, body in contents) + tail
    at_once, pieces = outcome(stream, max(len(stream), 1)), outcome(stream, size)
    # what comes after bytes that are not TLS has not arrived when they are seen
    assert pieces[:3] == at_once[:3]
    assert pieces[2] or pieces[3] == at_once[3]


@pytest.mark.parametrize("first", [b"H", b"SSH-2.0", b"\x16\x00\x00", b"\x80\x2e\x01", b"\x15\x04"])
def test_first_bytes_that_are_not_tls_are_recognised_at_once(first: bytes) -> None:
    assert outcome(first, len(first)) == ([], "", True, first)


def test_bytes_that_are_not_tls_after_a_record_are_an_error() -> None:
    got, error, not_tls, _ = outcome(record(22, b"x") + b"HTTP/1.1", 100)
    assert len(got) == 1
    assert error == "record: header that begins with 48 is not TLS at byte 0"
    assert not not_tls


def test_an_oversized_record_is_refused_at_its_header() -> None:
    got, error, _, _ = outcome(b"\x16\x03\x03" + (record_layer.MAX_RECORD + 1).to_bytes(2, "big"), 5)
    assert (got, error) == ([], "record: 18433 bytes are more than a record may have at byte 3")


def test_the_number_of_records_is_bounded() -> None:
    stream = record(22, b"") * (record_layer.MAX_RECORDS + 1)
    got, error, _, _ = outcome(stream, len(stream))
    assert len(got) == record_layer.MAX_RECORDS
    assert error == "record: more than 4096 records in one flight at byte 0"
