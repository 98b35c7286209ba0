"""Remote Desktop: negotiation of TLS in the X.224 connection (MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2).

::

    C: TPKT, X.224 Connection Request, RDP_NEG_REQ
    S: TPKT, X.224 Connection Confirm, RDP_NEG_RSP or RDP_NEG_FAILURE
"""

from __future__ import annotations

from typing import Final

from scanner.starttls.base import READY, DialogueError, NotOffered, Outcome, Refused, SizedDialogue

PROTOCOL_SSL: Final = 0x1
PROTOCOL_HYBRID: Final = 0x2  # CredSSP, which begins with the same TLS handshake
PROTOCOL_HYBRID_EX: Final = 0x8

CONNECTION_CONFIRM: Final = 0xD0
NEGOTIATION_REQUEST: Final = 0x01
NEGOTIATION_RESPONSE: Final = 0x02
NEGOTIATION_FAILURE: Final = 0x03

# All three, because a server that demands CredSSP refuses a client that offers TLS alone.
_NEGOTIATION: Final = bytes([NEGOTIATION_REQUEST, 0, 8, 0]) + (
    PROTOCOL_SSL | PROTOCOL_HYBRID | PROTOCOL_HYBRID_EX
).to_bytes(4, "little")
_REQUEST: Final = bytes([6 + len(_NEGOTIATION), 0xE0, 0, 0, 0, 0, 0]) + _NEGOTIATION
CONNECTION_REQUEST: Final = b"\x03\x00" + (4 + len(_REQUEST)).to_bytes(2, "big") + _REQUEST

# failureCode of MS-RDPBCGR section 2.2.1.2.2
FAILURES: Final = {
    1: "SSL_REQUIRED_BY_SERVER",
    2: "SSL_NOT_ALLOWED_BY_SERVER",
    3: "SSL_CERT_NOT_ON_SERVER",
    4: "INCONSISTENT_FLAGS",
    5: "HYBRID_REQUIRED_BY_SERVER",
    6: "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
}
SSL_NOT_ALLOWED: Final = 2

# a Connection Confirm has 11 or 19 bytes; a larger number is text read as a length
MAX_PACKET: Final = 1_024


class RdpDialogue(SizedDialogue):
    """MS-RDPBCGR section 2.2.1.2. The negotiation has codes without text: their names in the specification are reported."""

    opening = CONNECTION_REQUEST
    awaited = "connection request"

    def _size_untrusted(self, head: bytes) -> int | None:
        if head[:2] != b"\x03\x00"[: len(head)]:
            raise DialogueError
        if len(head) < 4:
            return None
        size = int.from_bytes(head[2:4], "big")
        if not 11 <= size <= MAX_PACKET:
            raise DialogueError
        return size

    def _message_untrusted(self, message: bytes) -> Outcome:
        length, kind = message[4], message[5] & 0xF0
        if kind != CONNECTION_CONFIRM:
            raise DialogueError
        negotiation = message[11 : 5 + length]
        if len(negotiation) < 8:  # from before enhanced security: it ignored the request
            return NotOffered("no RDP_NEG_RSP")
        code = int.from_bytes(negotiation[4:8], "little")
        if negotiation[0] == NEGOTIATION_RESPONSE:
            return READY if code else NotOffered("PROTOCOL_RDP")
        if negotiation[0] == NEGOTIATION_FAILURE:
            text = f"{code} {FAILURES.get(code, '')}".rstrip()
            return NotOffered(text) if code == SSL_NOT_ALLOWED else Refused(text)
        raise DialogueError
