"""What holds for every dialogue: any bytes, cut in any way, give one answer and never an exception."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.starttls import PROTOCOLS, Closed, Malformed, NeedData, Ready, dialogue
from scanner.starttls.base import MAX_BYTES, MAX_FIRST_BYTES, MAX_TEXT
from tests.starttls.playbook import answer, cut, opened

STARTTLS = sorted(name for name, protocol in PROTOCOLS.items() if protocol.starttls)

# pieces that the protocols know, so that random conversations come further than their first byte
PIECES = [
    b"220 a ESMTP\r\n", b"220-a\r\n", b"250-a\r\n250 STARTTLS\r\n", b"220 go\r\n", b"234 go\r\n", b"454 no\r\n", b"500 what\r\n",
    b"* OK ready\r\n", b"* PREAUTH x\r\n", b"* BYE x\r\n", b"* CAPABILITY STARTTLS\r\n", b"c1 OK\r\n", b"c2 OK\r\n", b"c2 NO x\r\n",
    b"+OK\r\n", b"-ERR\r\n", b"STLS\r\n", b".\r\n", b"200 news\r\n", b"101 x\r\n", b"STARTTLS\r\n", b"382 go\r\n",
    b'"STARTTLS"\r\n', b'"A" {3}\r\n', b"OK\r\n", b'NO "x"\r\n', b":a CAP * LS :tls\r\n", b":a 670 * :go\r\n", b":a 691 * :no\r\n",
    b"<?xml version='1.0'?>", b"<stream:stream version='1.0'>", b"<stream:features>", b"<starttls/>", b"</stream:features>",
    b"<proceed/>", b"<failure>", b"</failure>", b"<stream:error>", b"S", b"N", b"EFATAL:  x\n\0", b"E\0\0\0\x0cMhello\0\0",
    bytes.fromhex("30160201017811 0a0100 0400 0400".replace(" ", "")), bytes.fromhex("0300000b06d00000123400"),
    bytes.fromhex("030000130ed000001234000200080001000000"), bytes.fromhex("4a0000000a382e302e333600"), bytes.fromhex("07000000ff1004"),
    bytes.fromhex("0401001a000001 00".replace(" ", "")), b"\x15\x03\x03\x00\x02\x02\x28", b"\x16\x03", b"\xff\xfd\x18", b"\n", b"\0",
]  # fmt: skip
CONVERSATIONS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=12).map(b"".join)


@pytest.mark.parametrize("protocol", STARTTLS)
@settings(max_examples=60)
@given(said=CONVERSATIONS, places=st.lists(st.integers(0, 400), max_size=8))
def test_chunking_changes_nothing_and_no_bytes_raise(protocol: str, said: bytes, places: list[int]) -> None:
    whole, pieces = opened(protocol), opened(protocol)
    whole.receive_data(said) if said else None
    for piece in cut(said, places):
        if piece:
            pieces.receive_data(piece)
    assert pieces.outcome == whole.outcome
    assert pieces.data_to_send() == whole.data_to_send()
    assert pieces.leftover == whole.leftover
    assert answer(protocol, [said[at : at + 1] for at in range(len(said))]) == whole.outcome
    for talk in (whole, pieces):
        talk.receive_data(b"")
        assert not isinstance(talk.outcome, NeedData)
    assert pieces.outcome == whole.outcome


@pytest.mark.parametrize("protocol", STARTTLS)
def test_the_end_of_the_stream_is_malformed(protocol: str) -> None:
    talk = opened(protocol)
    talk.receive_data(b"")
    assert talk.outcome == Malformed("", None)


@pytest.mark.parametrize(
    ("protocol", "said", "awaited"),
    [
        ("smtp", b"220 a ESMTP\r\n", "EHLO"),
        ("smtp", b"220 a ESMTP\r\n250-a\r\n250 STARTTLS\r\n", "STARTTLS"),
        ("imap", b"* OK ready\r\n", "CAPABILITY"),
        ("pop3", b"+OK\r\n", "CAPA"),
        ("pop3", b"+OK\r\n-ERR\r\n", "STLS"),
        ("ftp", b"220 a\r\n", "AUTH TLS"),
        ("nntp", b"200 news\r\n", "CAPABILITIES"),
        ("sieve", b'"STARTTLS"\r\nOK\r\n', "STARTTLS"),
        ("irc", b":a CAP * LS :tls\r\n", "STARTTLS"),
        ("xmpp", b"<stream:stream version='1.0'>", "stream header"),
        ("xmpp", b"<stream:stream version='1.0'><stream:features><starttls/></stream:features>", "STARTTLS"),
    ],
)
def test_an_end_between_two_messages_is_told_from_one_inside(protocol: str, said: bytes, awaited: str) -> None:
    talk, inside = opened(protocol), opened(protocol)
    talk.receive_data(said)
    assert talk.awaited == awaited
    talk.receive_data(b"")
    assert talk.outcome == Closed(said.decode().rstrip("\r\n"))
    inside.receive_data(said + said[:1])
    inside.receive_data(b"")
    assert isinstance(inside.outcome, Malformed)


@pytest.mark.parametrize(
    ("protocol", "awaited"),
    [
        *((name, "greeting") for name in ("smtp", "lmtp", "imap", "pop3", "sieve", "ftp", "nntp", "mysql")),
        ("irc", "CAP LS"),
        ("ldap", "StartTLS"),
        ("postgres", "SSLRequest"),
        ("mssql", "PRELOGIN"),
        ("rdp", "connection request"),
        ("xmpp", "stream header"),
        ("xmpp-server", "stream header"),
    ],
)
def test_what_is_awaited_first_depends_on_who_speaks_first(protocol: str, awaited: str) -> None:
    talk = opened(protocol)
    assert talk.awaited == awaited
    assert bool(talk.data_to_send()) is (awaited != "greeting")


@pytest.mark.parametrize("protocol", STARTTLS)
@pytest.mark.parametrize(
    ("record", "name"), [(b"\x15\x03\x01\x00\x02\x02\x0a", "alert"), (b"\x16\x03\x03\x00\x7a\x02", "handshake")]
)
def test_a_tls_record_before_starttls_is_recognised(protocol: str, record: bytes, name: str) -> None:
    outcome = Malformed(f"a TLS record: {name}", "tls")
    assert answer(protocol, [record]) == outcome
    assert answer(protocol, [record[at : at + 1] for at in range(len(record))]) == outcome


@pytest.mark.parametrize("protocol", STARTTLS)
@pytest.mark.parametrize("piece", [b"a", b"220-a\r\n", b"* a\r\n", b"+OK\r\n", b"101 a\r\n", b'"a"\r\n', b":a NOTICE a\r\n", b"<a>",
                                   b"\r\n", b"\0", b"E", b"<stream:stream version='1.0'>", b"0\x84\0\0\x7f\xff", b"EFATAL: "])  # fmt: skip
def test_an_endless_opening_is_given_up_at_the_limit(protocol: str, piece: bytes) -> None:
    flood = piece * (2 * MAX_BYTES // len(piece))
    talk = opened(protocol)
    talk.receive_data(flood)
    outcome = talk.outcome
    assert not isinstance(outcome, NeedData)
    slowly = opened(protocol)
    for at in range(MAX_BYTES + 1):
        if not isinstance(slowly.outcome, NeedData):
            break
        slowly.receive_data(flood[at : at + 1])
    assert slowly.outcome == outcome
    if not isinstance(outcome, Ready):
        assert len(getattr(outcome, "text", "")) <= MAX_TEXT
    assert len(talk.first_bytes) <= MAX_FIRST_BYTES


def test_without_a_recogniser_only_tls_is_recognised() -> None:
    talk = dialogue("smtp", host="a.example")
    assert talk is not None
    talk.receive_data(b"SSH-2.0-x\r\n")
    assert talk.outcome == Malformed("SSH-2.0-x\r\n", None)


def test_the_repr_names_host_and_outcome() -> None:
    assert repr(opened("smtp")) == "<SmtpDialogue a.example: NeedData(), 0 bytes in>"


def test_binary_dialogues_recognise_a_mysql_greeting() -> None:
    mysql = bytes.fromhex("4a0000000a382e302e333600080000000b5c1b2a3c4d5e6f00fff7ff0200ffdf15") + bytes(45)
    for protocol in ("ldap", "rdp", "postgres", "mssql"):
        outcome = answer(protocol, [mysql])
        assert isinstance(outcome, Malformed)
        assert outcome.recognised == "mysql"


@pytest.mark.parametrize("protocol", STARTTLS)
@given(said=st.binary(max_size=200), places=st.lists(st.integers(0, 1000), max_size=6))
def test_unwrap_returns_what_wrap_was_given(protocol: str, said: bytes, places: list[int]) -> None:
    """What is wrapped comes out again, however it is cut."""
    sender, receiver = opened(protocol), opened(protocol)
    wrapped = sender.wrap(said)
    got = b"".join(receiver.unwrap(piece) for piece in cut(wrapped, places))
    assert got == said


@given(said=st.binary(max_size=300), places=st.lists(st.integers(0, 1000), max_size=6))
def test_unwrapping_does_not_depend_on_chunking(said: bytes, places: list[int]) -> None:
    whole = opened("mssql").unwrap(said)
    talk = opened("mssql")
    assert b"".join(talk.unwrap(piece) for piece in cut(said, places)) == whole
