"""Microsoft SQL Server: PRELOGIN of TDS 7 (MS-TDS sections 2.2.6.5 and 3.2.5.1).

::

    C: PRELOGIN with ENCRYPTION = on
    S: PRELOGIN with ENCRYPTION = on or required

The TLS handshake then travels inside TDS packets of type PRELOGIN, which ``wrap`` adds and ``unwrap`` removes.
"""

from __future__ import annotations

from typing import Final

from scanner.starttls.base import (
    READY,
    DialogueError,
    NotOffered,
    Outcome,
    Recogniser,
    SessionRefused,
    SizedDialogue,
    peer_text,
)

PRELOGIN: Final = 0x12
TABULAR_RESULT: Final = 0x04
END_OF_MESSAGE: Final = 0x01
HEADER: Final = 8  # type, status, length, SPID, packet number, window
# the packet size before one is negotiated (MS-TDS section 2.2.3.1)
MAX_PACKET: Final = 4_096

VERSION: Final = 0x00
ENCRYPTION: Final = 0x01
TERMINATOR: Final = 0xFF
ENCRYPT_ON: Final = 0x01
ENCRYPT_NOT_SUPPORTED: Final = 0x02
ENCRYPTION_VALUES: Final = frozenset({0x00, ENCRYPT_ON, ENCRYPT_NOT_SUPPORTED, 0x03})
ERROR_TOKEN: Final = 0xAA


def _packet(payload: bytes) -> bytes:
    size = (HEADER + len(payload)).to_bytes(2, "big")
    return bytes([PRELOGIN, END_OF_MESSAGE]) + size + bytes([0, 0, 1, 0]) + payload


# two options of (token, offset, length), the end, then a version of zero and encryption on
PRELOGIN_REQUEST: Final = _packet(
    bytes([VERSION, 0, 11, 0, 6, ENCRYPTION, 0, 17, 0, 1, TERMINATOR]) + bytes(6) + bytes([ENCRYPT_ON])
)


class MssqlDialogue(SizedDialogue):
    """MS-TDS section 2.2.6.5. The answer is one packet of type TABULAR_RESULT."""

    opening = PRELOGIN_REQUEST
    awaited = "PRELOGIN"

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        super().__init__(host, recognise)
        self._carrier = bytearray()  # packets of the handshake that are not complete
        self._bare = False  # the server has stopped using packets

    def _size_untrusted(self, head: bytes) -> int | None:
        if head and head[0] not in (TABULAR_RESULT, PRELOGIN):
            raise DialogueError
        if len(head) < HEADER:
            return None
        size = int.from_bytes(head[2:4], "big")
        if head[1] & END_OF_MESSAGE == 0 or not HEADER < size <= MAX_PACKET:
            raise DialogueError
        return size

    def _message_untrusted(self, message: bytes) -> Outcome:
        payload = message[HEADER:]
        if payload[0] == ERROR_TOKEN:
            return SessionRefused(_error_untrusted(payload))
        value = _encryption_untrusted(payload)
        return NotOffered("ENCRYPT_NOT_SUP") if value == ENCRYPT_NOT_SUPPORTED else READY

    def wrap(self, data: bytes) -> bytes:
        """Return ``data`` in packets of the largest size (MS-TDS section 2.2.3.1.1); no data makes no packet."""
        room = MAX_PACKET - HEADER
        return b"".join(_packet(data[at : at + room]) for at in range(0, len(data), room))

    def unwrap(self, data: bytes) -> bytes:
        """Return the payloads of whole packets. What is not a packet is passed on as it is, for TLS to judge."""
        self._carrier += data
        payloads = bytearray()
        at = 0
        while not self._bare and len(self._carrier) - at >= HEADER:
            size = int.from_bytes(self._carrier[at + 2 : at + 4], "big")
            if self._carrier[at] not in (PRELOGIN, TABULAR_RESULT) or size < HEADER:
                self._bare = True
            elif len(self._carrier) - at < size:
                break
            else:
                payloads += self._carrier[at + HEADER : at + size]
                at += size
        if self._bare:
            payloads += self._carrier[at:]
            at = len(self._carrier)
        del self._carrier[:at]
        return bytes(payloads)


def _encryption_untrusted(payload: bytes) -> int:
    """Return the value of the option ENCRYPTION: off 0, on 1, not supported 2, required 3."""
    at = 0
    while at + 5 <= len(payload) and payload[at] != TERMINATOR:
        offset, size = int.from_bytes(payload[at + 1 : at + 3], "big"), int.from_bytes(payload[at + 3 : at + 5], "big")
        if payload[at] == ENCRYPTION:
            value = payload[offset] if size == 1 and offset < len(payload) else -1
            if value not in ENCRYPTION_VALUES:
                raise DialogueError
            return value
        at += 5
    raise DialogueError


def _error_untrusted(payload: bytes) -> str:
    """Return number and text of an ERROR token (MS-TDS section 2.2.7.10): length 2, number 4, state, class, then UTF-16 text."""
    if len(payload) < 11:
        raise DialogueError
    number, size = int.from_bytes(payload[3:7], "little"), int.from_bytes(payload[9:11], "little")
    text = payload[11 : 11 + 2 * size].decode("utf-16-le", "replace")
    return f"{number} {peer_text(text.encode('utf-8', 'replace'))}"
