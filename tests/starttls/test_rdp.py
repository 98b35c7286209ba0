"""Remote Desktop: MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2."""

from __future__ import annotations

import pytest

from scanner.starttls import Malformed, NotOffered, Outcome, Ready, Refused
from tests.starttls.playbook import play

REQUEST = ("C", bytes.fromhex("03000013 0ee00000000000 01000800 0b000000"))


def confirm(negotiation: bytes) -> bytes:
    tpdu = bytes([6 + len(negotiation), 0xD0, 0, 0, 0x12, 0x34, 0]) + negotiation
    return b"\x03\x00" + (4 + len(tpdu)).to_bytes(2, "big") + tpdu


def negotiation(kind: int, code: int) -> bytes:
    return bytes([kind, 0, 8, 0]) + code.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (negotiation(2, 1), Ready()),
        (negotiation(2, 2), Ready()),
        (negotiation(2, 8), Ready()),
        (negotiation(2, 0), NotOffered("PROTOCOL_RDP")),
        (b"", NotOffered("no RDP_NEG_RSP")),
        (negotiation(3, 2), NotOffered("2 SSL_NOT_ALLOWED_BY_SERVER")),
        (negotiation(3, 3), Refused("3 SSL_CERT_NOT_ON_SERVER")),
        (negotiation(3, 77), Refused("77")),
    ],
)
def test_answers(said: bytes, outcome: Outcome) -> None:
    assert play("rdp", REQUEST, ("S", confirm(said))) == outcome


def test_another_protocol() -> None:
    assert play("rdp", REQUEST, ("S", b"SSH-2.0-x\r\n")) == Malformed("SSH-2.0-x\r\n", "ssh")
    assert isinstance(play("rdp", REQUEST, ("S", confirm(negotiation(9, 0)))), Malformed)
    assert isinstance(play("rdp", REQUEST, ("S", bytes.fromhex("0300000b068000000000 00".replace(" ", "")))), Malformed)
    assert isinstance(play("rdp", REQUEST, ("S", b"\x03\x00\xff\xff" + bytes(5))), Malformed)
