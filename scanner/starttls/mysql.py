"""MySQL and MariaDB: the initial handshake and SSLRequest of the client/server protocol ("Connection Phase").

::

    S: HandshakeV10 with CLIENT_SSL among its capabilities
    C: SSLRequest, and TLS at once: the server does not answer
"""

from __future__ import annotations

from typing import Final

from scanner.starttls.base import READY, DialogueError, NotOffered, Outcome, SessionRefused, SizedDialogue, peer_text

CLIENT_PROTOCOL_41: Final = 0x0200
CLIENT_SSL: Final = 0x0800
CLIENT_SECURE_CONNECTION: Final = 0x8000
MAX_PACKET: Final = 0x0100_0000  # what clients announce; nothing of the kind is ever sent
UTF8MB4: Final = 45

# length and sequence number 1; capabilities, largest packet, character set, 23 bytes kept free
SSL_REQUEST: Final = (
    (32).to_bytes(3, "little")
    + b"\x01"
    + (CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION).to_bytes(4, "little")
    + MAX_PACKET.to_bytes(4, "little")
    + bytes([UTF8MB4])
    + bytes(23)
)


class MysqlDialogue(SizedDialogue):
    """Protocol::HandshakeV10, Protocol::SSLRequest and ERR_Packet of the documentation."""

    def _size_untrusted(self, head: bytes) -> int | None:
        if len(head) < 4:
            return None
        if head[3] > 3:  # the sequence number of a first packet is 0; some proxies count on
            raise DialogueError
        return 4 + int.from_bytes(head[:3], "little")

    def _message_untrusted(self, message: bytes) -> Outcome:
        body = message[4:]
        if body[:1] == b"\xff":
            return SessionRefused(_error_untrusted(body))
        if body[:1] != b"\x0a":
            if body[:1] == b"\x09" and b"\0" in body[1:]:  # HandshakeV9 has no capabilities
                return NotOffered(peer_text(body[1:].split(b"\0", 1)[0]))
            raise DialogueError
        version, separator, rest = body[1:].partition(b"\0")
        # thread id 4, first part of the nonce 8, filler 1, then the lower capabilities
        if not separator or len(rest) < 15:
            raise DialogueError
        if not int.from_bytes(rest[13:15], "little") & CLIENT_SSL:
            return NotOffered(peer_text(version))
        self._outgoing += SSL_REQUEST
        return READY


def _error_untrusted(body: bytes) -> str:
    if len(body) < 3:
        raise DialogueError
    number, text = int.from_bytes(body[1:3], "little"), body[3:]
    if text[:1] == b"#":  # the SQLSTATE, which packets before authentication may lack
        text = text[6:]
    return f"{number} {peer_text(text)}"
