"""Microsoft SQL Server: PRELOGIN, and TLS inside TDS packets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.starttls import Malformed, NotOffered, Outcome, Ready, SessionRefused
from tests.starttls.playbook import cut, opened, play

REQUEST = ("C", bytes.fromhex("1201001a00000100 00000b0006 0100110001 ff 000000000000 01"))


def packet(payload: bytes, kind: int = 4, status: int = 1) -> bytes:
    return bytes([kind, status]) + (8 + len(payload)).to_bytes(2, "big") + bytes(4) + payload


def prelogin(encryption: int) -> bytes:
    return bytes.fromhex("00000b0006 0100110001 ff 0f0007d00000") + bytes([encryption])


@pytest.mark.parametrize(
    ("encryption", "outcome"), [(0, Ready()), (1, Ready()), (2, NotOffered("ENCRYPT_NOT_SUP")), (3, Ready())]
)
def test_answers(encryption: int, outcome: Outcome) -> None:
    assert play("mssql", REQUEST, ("S", packet(prelogin(encryption)))) == outcome


def test_error() -> None:
    text = "no room".encode("utf-16-le")
    token = (
        b"\xaa\x20\x00" + (17809).to_bytes(4, "little") + b"\x01\x14" + (len(text) // 2).to_bytes(2, "little") + text
    )
    assert play("mssql", REQUEST, ("S", packet(token))) == SessionRefused("17809 no room")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        packet(prelogin(9)) + b"\n",
        packet(bytes.fromhex("00000b0006 ff")) + b"\n",
        packet(bytes.fromhex("0100ff0001 ff")) + b"\n",
        packet(b"\xaa\x01") + b"\n",
        packet(prelogin(1), status=0) + b"\n",
        b"\x04\x01\x00\x08\0\0\0\0\n",
        b"\x04\x01\xff\xff\0\0\0\0\n",
    ],
)
def test_malformed(said: bytes) -> None:
    assert isinstance(play("mssql", REQUEST, ("S", said)), Malformed)


@given(st.binary(max_size=20_000), st.lists(st.integers(0, 30_000), max_size=6))
def test_tls_travels_in_packets(data: bytes, places: list[int]) -> None:
    client, server = opened("mssql"), opened("mssql")
    wrapped = client.wrap(data)
    assert len(wrapped) <= len(data) + 8 * (1 + len(data) // 4088)
    assert b"".join(server.unwrap(piece) for piece in cut(wrapped, places)) == data


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_unwrapping_never_raises_or_depends_on_chunking(data: bytes, places: list[int]) -> None:
    whole, pieces = opened("mssql"), opened("mssql")
    assert b"".join(pieces.unwrap(piece) for piece in cut(data, places)) == whole.unwrap(data)


def test_bytes_that_are_not_packets_are_passed_on() -> None:
    alert = bytes.fromhex("15030100020228 0000000000".replace(" ", ""))
    talk = opened("mssql")
    assert talk.unwrap(packet(b"abc", kind=0x12) + alert) == b"abc" + alert


def test_other_protocols_carry_tls_as_it_is() -> None:
    talk = opened("smtp")
    assert talk.wrap(b"abc") == talk.unwrap(b"abc") == b"abc"
