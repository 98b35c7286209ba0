"""Records and messages come out the same however the bytes arrive, and limits hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.tls import record_layer as records
from scanner.tls.record_layer import HandshakeBuffer, RecordBuffer
from scanner.tls.wire import DecodeError
from tests.tls.peers import message, record


def test_byte_by_byte_is_the_same_as_at_once() -> None:
    stream = record(22, b"abc") + record(21, b"\x02\x28") + record(22, b"")
    at_once, slowly = RecordBuffer(), RecordBuffer()
    at_once.feed(stream)
    expected = list(at_once.take_untrusted())
    got: list[tuple[int, bytes, bytes]] = []
    for byte in stream:
        slowly.feed(bytes([byte]))
        got += slowly.take_untrusted()
    assert got == expected
    assert [body for _, _, body in got] == [b"abc", b"\x02\x28", b""]


@pytest.mark.parametrize("first", [b"H", b"SSH-2.0", b"\x16\x00\x00", b"\x80\x2e\x01", b"\x15\x04"])
def test_what_is_not_tls_is_told_at_once(first: bytes) -> None:
    buffer = RecordBuffer()
    buffer.feed(first)
    assert list(buffer.take_untrusted()) == []
    assert buffer.not_tls
    assert buffer.unread() == first


def test_rubbish_after_a_record_is_an_error_not_plaintext() -> None:
    buffer = RecordBuffer()
    buffer.feed(record(22, b"x") + b"HTTP/1.1")
    taken = buffer.take_untrusted()
    assert next(taken) is not None
    with pytest.raises(DecodeError, match="is not TLS"):
        next(taken)


def test_a_record_longer_than_the_protocol_allows_is_refused_before_it_arrives() -> None:
    buffer = RecordBuffer()
    buffer.feed(b"\x16\x03\x03" + (records.MAX_RECORD + 1).to_bytes(2, "big"))
    with pytest.raises(DecodeError, match="more than a record may have"):
        list(buffer.take_untrusted())


def test_the_number_of_records_is_bounded() -> None:
    buffer = RecordBuffer()
    buffer.feed(record(22, b"") * (records.MAX_RECORDS + 1))
    taken = buffer.take_untrusted()
    for _ in range(records.MAX_RECORDS):
        next(taken)
    with pytest.raises(DecodeError, match="records in one flight"):
        next(taken)


def test_messages_span_records_and_share_them() -> None:
    stream = message(2, b"hello") + message(11, b"") + message(14, b"x" * 300)
    for size in (1, 3, 7, 1000):
        buffer = HandshakeBuffer()
        got: list[bytes] = []
        for start in range(0, len(stream), size):
            got += buffer.take_untrusted(stream[start : start + size])
        assert b"".join(got) == stream
        assert [m[0] for m in got] == [2, 11, 14]
        assert not buffer.pending


def test_a_message_that_could_not_end_is_refused_at_its_header() -> None:
    buffer = HandshakeBuffer()
    with pytest.raises(DecodeError, match="message of"):
        list(buffer.take_untrusted(b"\x0b" + (records.MAX_MESSAGE + 1).to_bytes(3, "big")))


def test_a_flight_is_bounded() -> None:
    buffer = HandshakeBuffer()
    with pytest.raises(DecodeError, match="flight of more than"):
        for _ in range(records.MAX_FLIGHT // 1000 + 1):
            list(buffer.take_untrusted(b"\x0e" + bytes(999)))


@given(
    st.lists(st.tuples(st.sampled_from([20, 21, 22, 23]), st.binary(max_size=40)), max_size=8), st.binary(max_size=12)
)
def test_what_is_ready_is_what_would_be_taken(contents: list[tuple[int, bytes]], tail: bytes) -> None:
    """``ready`` and then ``take_untrusted`` give together what the latter gives alone, errors included."""
    stream = b"".join(bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body for kind, body in contents) + tail
    alone, both = RecordBuffer(), RecordBuffer()
    alone.feed(stream)
    both.feed(stream)
    expected, expected_end = _taken(alone.take_untrusted())
    got = both.ready()
    assert both.exhausted is (not both.unread())
    rest, end = _taken(both.take_untrusted())
    assert got + rest == expected
    assert (end, both.not_tls, both.unread()) == (expected_end, alone.not_tls, alone.unread())


def _taken(found: Iterator[tuple[int, bytes, bytes]]) -> tuple[list[tuple[int, bytes, bytes]], str]:
    taken = []
    try:
        for each in found:
            taken.append(each)
    except DecodeError as error:
        return taken, str(error)
    return taken, ""


def test_what_is_ready_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORDS", 3)
    buffer = RecordBuffer()
    buffer.feed(b"\x16\x03\x03\x00\x01x" * 4)
    assert len(buffer.ready()) == 3
    with pytest.raises(DecodeError, match="more than 3 records"):
        list(buffer.take_untrusted())


def test_a_record_that_is_one_message_is_not_copied() -> None:
    buffer = HandshakeBuffer()
    one = b"\x0b\x00\x00\x02ab"
    assert buffer.only(one) is one
    assert buffer.only(one + one) is None
    assert buffer.only(one[:-1]) is None
    assert list(buffer.take_untrusted(one + one[:3])) == [one]
    assert buffer.only(one) is None, "part of a message is waiting"


def test_messages_that_are_whole_records_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_FLIGHT", 15)
    buffer = HandshakeBuffer()
    one = b"\x0b\x00\x00\x02ab"
    assert buffer.only(one) == buffer.only(one) == one
    assert buffer.only(one) is None
    with pytest.raises(DecodeError, match="more than 15 bytes"):
        list(buffer.take_untrusted(one))
