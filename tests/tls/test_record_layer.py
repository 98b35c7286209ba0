"""Records and messages come out the same however the bytes arrive, and the limits hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.tls import record_layer
from scanner.tls.record_layer import HandshakeBuffer, RecordBuffer
from scanner.tls.wire import DecodeError
from tests.tls.peers import message, record


def taken(buffer: RecordBuffer) -> Iterator[tuple[int, bytes, bytes]]:
    """All records that are whole."""
    return iter(buffer.next_untrusted, None)


def messages(buffer: HandshakeBuffer, content: bytes) -> list[bytes]:
    """All messages that are whole once ``content`` has arrived."""
    buffer.feed_untrusted(content)
    return list(iter(buffer.next_untrusted, None))


def outcome(stream: bytes, size: int) -> tuple[list[tuple[int, bytes, bytes]], str, bool, bytes]:
    """Records, error, ``not_tls`` and what is left of a stream that arrives in pieces of ``size`` bytes."""
    buffer = RecordBuffer()
    got: list[tuple[int, bytes, bytes]] = []
    try:
        for start in range(0, len(stream), size):
            buffer.feed(stream[start : start + size])
            for each in taken(buffer):
                got.append(each)
    except DecodeError as error:
        return got, str(error), False, b""
    return got, "", buffer.not_tls, buffer.unread()


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
    buffer = RecordBuffer()
    buffer.feed(b"\x16\x03\x03" + (record_layer.MAX_RECORD + 1).to_bytes(2, "big"))
    with pytest.raises(DecodeError, match="more than a record may have"):
        buffer.next_untrusted()


def test_the_number_of_records_is_bounded() -> None:
    buffer = RecordBuffer()
    buffer.feed(record(22, b"") * (record_layer.MAX_RECORDS + 1))
    for _ in range(record_layer.MAX_RECORDS):
        assert buffer.next_untrusted() is not None
    with pytest.raises(DecodeError, match="records in one flight"):
        buffer.next_untrusted()


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_messages_may_span_and_share_records(size: int) -> None:
    stream = message(2, b"hello") + message(11, b"") + message(14, b"x" * 300)
    buffer = HandshakeBuffer()
    got: list[bytes] = []
    for start in range(0, len(stream), size):
        got += messages(buffer, stream[start : start + size])
    assert b"".join(got) == stream
    assert [m[0] for m in got] == [2, 11, 14]
    assert not buffer.pending


def test_taking_a_message_does_not_copy_the_rest() -> None:
    """Else a record of thousands of empty messages would cost their number squared."""
    buffer = HandshakeBuffer()
    buffer.feed_untrusted(message(0, b"") * 4096)
    content = buffer._buffer
    for _ in range(4096):
        assert buffer.next_untrusted() == message(0, b"")
        assert buffer._buffer is content
    assert not buffer.pending


def test_part_of_a_message_is_pending() -> None:
    buffer = HandshakeBuffer()
    one = message(11, b"ab")
    assert messages(buffer, one + one[:3]) == [one]
    assert buffer.pending
    assert messages(buffer, one[3:]) == [one]
    assert not buffer.pending


def test_an_oversized_message_is_refused_at_its_header() -> None:
    with pytest.raises(DecodeError, match="message of"):
        messages(HandshakeBuffer(), b"\x0b" + (record_layer.MAX_MESSAGE + 1).to_bytes(3, "big"))


def test_the_size_of_a_flight_is_bounded() -> None:
    buffer = HandshakeBuffer()
    for _ in range(record_layer.MAX_FLIGHT // 1003):
        messages(buffer, message(14, bytes(999)))
    with pytest.raises(DecodeError, match="flight of more than"):
        messages(buffer, message(14, bytes(999)))
