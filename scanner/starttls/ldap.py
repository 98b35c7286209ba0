"""LDAP (RFC 4511) with the StartTLS extended operation (its section 4.14).

The little BER that is needed is read here: tags of one byte and definite lengths, as section 5.1 demands.
"""

from __future__ import annotations

from typing import Final

from scanner.starttls.base import (
    READY,
    DialogueError,
    NotOffered,
    Outcome,
    Refused,
    SessionRefused,
    SizedDialogue,
    peer_text,
)

START_TLS: Final = b"1.3.6.1.4.1.1466.20037"
MESSAGE_ID: Final = 1
# LDAPMessage { messageID 1, extendedReq [APPLICATION 23] { requestName [0] START_TLS } }
_REQUEST_BODY: Final = b"\x80" + bytes([len(START_TLS)]) + START_TLS
_REQUEST: Final = b"\x02\x01" + bytes([MESSAGE_ID]) + b"\x77" + bytes([len(_REQUEST_BODY)]) + _REQUEST_BODY
EXTENDED_REQUEST: Final = b"\x30" + bytes([len(_REQUEST)]) + _REQUEST

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
ENUMERATED: Final = 0x0A
EXTENDED_RESPONSE: Final = 0x78  # [APPLICATION 24], constructed

# resultCode of RFC 4511 appendix A, as far as StartTLS meets them
RESULTS: Final = {
    0: "success",
    1: "operationsError",
    2: "protocolError",
    8: "strongerAuthRequired",
    10: "referral",
    12: "unavailableCriticalExtension",
    13: "confidentialityRequired",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    80: "other",
}
# Section 4.14.2: a server that does not know StartTLS answers protocolError; one that has no TLS set up, unavailable.
NOT_SUPPORTED: Final = frozenset({2, 12, 52})


class LdapDialogue(SizedDialogue):
    """RFC 4511 sections 4.12 (extended operations), 4.14 (StartTLS) and 4.4.1 (Notice of Disconnection)."""

    opening = EXTENDED_REQUEST
    awaited = "StartTLS"

    def _size_untrusted(self, head: bytes) -> int | None:
        if not head:
            return None
        if head[0] != SEQUENCE:
            raise DialogueError
        return _element_size_untrusted(head)

    def _message_untrusted(self, message: bytes) -> Outcome:
        _, envelope, _ = _element_untrusted(message)
        _, number, rest = _element_untrusted(envelope, INTEGER)
        _, response, _ = _element_untrusted(rest, EXTENDED_RESPONSE)
        _, result, rest = _element_untrusted(response, ENUMERATED)
        _, _matched_dn, rest = _element_untrusted(rest, OCTET_STRING)
        _, diagnostic, _ = _element_untrusted(rest, OCTET_STRING)
        if not 1 <= len(result) <= 4 or not 1 <= len(number) <= 4:
            raise DialogueError
        code = int.from_bytes(result, "big", signed=True)
        text = f"{code} {RESULTS.get(code, '')}".rstrip() + (f": {peer_text(diagnostic)}" if diagnostic else "")
        if int.from_bytes(number, "big", signed=True) != MESSAGE_ID:
            # message 0 is unsolicited: the server closes the session
            return SessionRefused(text)
        if code == 0:
            return READY
        return NotOffered(text) if code in NOT_SUPPORTED else Refused(text)


def _element_size_untrusted(data: bytes) -> int | None:
    """Return the size of the BER element at the start of ``data``, header included, or None while the header is incomplete."""
    if len(data) < 2:
        return None
    if data[1] < 0x80:
        return 2 + data[1]
    octets = data[1] & 0x7F
    if not 1 <= octets <= 4:  # 0 is the indefinite form, which LDAP forbids
        raise DialogueError
    if len(data) < 2 + octets:
        return None
    return 2 + octets + int.from_bytes(data[2 : 2 + octets], "big")


def _element_untrusted(data: bytes, tag: int | None = None) -> tuple[int, bytes, bytes]:
    """Return (tag, contents, what follows) of the element at the start of ``data``, which must have ``tag`` if given."""
    size = _element_size_untrusted(data)
    if size is None or size > len(data) or (tag is not None and data[0] != tag):
        raise DialogueError
    header = 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)
    return data[0], data[header:size], data[size:]
