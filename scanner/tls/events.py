"""What a handshake awaits, what it can tell, and which message leads where: the state machine as data."""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from msgspec import Struct

from scanner.tls import constants as c


class State(IntEnum):
    """What is awaited from the server. Numbers, since tables are indexed by them."""

    SERVER_HELLO = auto()
    ENCRYPTED_EXTENSIONS = auto()
    CERTIFICATE_OR_REQUEST = auto()
    CERTIFICATE = auto()
    CERTIFICATE_VERIFY = auto()
    FINISHED = auto()
    OLD_CERTIFICATE = auto()
    OLD_STATUS_OR_KEY = auto()
    OLD_REQUEST_OR_DONE = auto()
    OLD_DONE = auto()
    COMPLETE = auto()
    FAILED = auto()


class NeedData:
    """The sentinel's type: nothing more to tell until the peer says more."""

    def __repr__(self) -> str:
        return "NEED_DATA"


NEED_DATA: Final = NeedData()


class MessageReceived(Struct, frozen=True):
    """One whole handshake message was read and understood; ``kind`` is its HandshakeType."""

    kind: int


class FlightComplete(Struct, frozen=True):
    """The server's first flight was read to its end."""


class AlertReceived(Struct, frozen=True):
    """An alert (RFC 8446 section 6). Fatal ones end the handshake, warnings do not."""

    level: int
    description: int


class NotTls(Struct, frozen=True):
    """The peer's first bytes are no TLS record; they and what follows stand in ``ClientHandshake.plaintext``."""


class Broken(Struct, frozen=True):
    """The peer's bytes are TLS and wrong; ``detail`` says where."""

    detail: str


class PeerClosed(Struct, frozen=True):
    """End of file before the flight was complete."""


Event = MessageReceived | FlightComplete | AlertReceived | NotTls | Broken | PeerClosed

# (state, message type) -> (handler, next state where the handler does not choose one)
TRANSITIONS: Final[dict[tuple[State, int], tuple[str, State]]] = {
    (State.SERVER_HELLO, c.SERVER_HELLO): ("_server_hello", State.FAILED),
    (State.ENCRYPTED_EXTENSIONS, c.ENCRYPTED_EXTENSIONS): ("_encrypted_extensions", State.CERTIFICATE_OR_REQUEST),
    (State.CERTIFICATE_OR_REQUEST, c.CERTIFICATE_REQUEST): ("_certificate_request", State.CERTIFICATE),
    (State.CERTIFICATE_OR_REQUEST, c.CERTIFICATE): ("_certificate", State.CERTIFICATE_VERIFY),
    (State.CERTIFICATE, c.CERTIFICATE): ("_certificate", State.CERTIFICATE_VERIFY),
    (State.CERTIFICATE_VERIFY, c.CERTIFICATE_VERIFY): ("_certificate_verify", State.FINISHED),
    (State.FINISHED, c.FINISHED): ("_finished", State.COMPLETE),
    (State.OLD_CERTIFICATE, c.CERTIFICATE): ("_certificate", State.OLD_STATUS_OR_KEY),
    (State.OLD_CERTIFICATE, c.SERVER_KEY_EXCHANGE): ("_server_key_exchange", State.OLD_REQUEST_OR_DONE),
    (State.OLD_CERTIFICATE, c.SERVER_HELLO_DONE): ("_server_hello_done", State.COMPLETE),
    (State.OLD_STATUS_OR_KEY, c.CERTIFICATE_STATUS): ("_certificate_status", State.OLD_STATUS_OR_KEY),
    (State.OLD_STATUS_OR_KEY, c.SERVER_KEY_EXCHANGE): ("_server_key_exchange", State.OLD_REQUEST_OR_DONE),
    (State.OLD_STATUS_OR_KEY, c.CERTIFICATE_REQUEST): ("_certificate_request", State.OLD_DONE),
    (State.OLD_STATUS_OR_KEY, c.SERVER_HELLO_DONE): ("_server_hello_done", State.COMPLETE),
    (State.OLD_REQUEST_OR_DONE, c.CERTIFICATE_REQUEST): ("_certificate_request", State.OLD_DONE),
    (State.OLD_REQUEST_OR_DONE, c.SERVER_HELLO_DONE): ("_server_hello_done", State.COMPLETE),
    (State.OLD_DONE, c.SERVER_HELLO_DONE): ("_server_hello_done", State.COMPLETE),
}
