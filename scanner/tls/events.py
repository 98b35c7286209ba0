"""The states and events of a handshake, and which message leads from which state to which: the state machine as data."""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from msgspec import Struct

from scanner.tls import constants as c


class State(IntEnum):
    """What is awaited from the server; those that begin with OLD are of TLS 1.2 and before."""

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


class FlightComplete(Struct, frozen=True):
    """The server's first flight was read to its end."""


class AlertReceived(Struct, frozen=True):
    """An alert (RFC 8446 section 6). Fatal ones end the handshake, warnings do not."""

    level: int
    description: int


class NotTls(Struct, frozen=True):
    """The peer's first bytes are not a TLS record. They and what follows are in ``ClientHandshake.plaintext``."""


class Broken(Struct, frozen=True):
    """The peer's bytes are TLS and violate it; ``detail`` says where."""

    detail: str


class PeerClosed(Struct, frozen=True):
    """End of file before the flight was complete."""


Event = FlightComplete | AlertReceived | NotTls | Broken | PeerClosed

# (state, message type) -> the states that may follow. Only a ServerHello leads to one of several, by what is in it.
TRANSITIONS: Final[dict[tuple[State, int], tuple[State, ...]]] = {
    (State.SERVER_HELLO, c.SERVER_HELLO): (State.SERVER_HELLO, State.ENCRYPTED_EXTENSIONS, State.OLD_CERTIFICATE),
    (State.ENCRYPTED_EXTENSIONS, c.ENCRYPTED_EXTENSIONS): (State.CERTIFICATE_OR_REQUEST,),
    (State.CERTIFICATE_OR_REQUEST, c.CERTIFICATE_REQUEST): (State.CERTIFICATE,),
    (State.CERTIFICATE_OR_REQUEST, c.CERTIFICATE): (State.CERTIFICATE_VERIFY,),
    (State.CERTIFICATE, c.CERTIFICATE): (State.CERTIFICATE_VERIFY,),
    (State.CERTIFICATE_VERIFY, c.CERTIFICATE_VERIFY): (State.FINISHED,),
    (State.FINISHED, c.FINISHED): (State.COMPLETE,),
    (State.OLD_CERTIFICATE, c.CERTIFICATE): (State.OLD_STATUS_OR_KEY,),
    (State.OLD_CERTIFICATE, c.SERVER_KEY_EXCHANGE): (State.OLD_REQUEST_OR_DONE,),
    (State.OLD_CERTIFICATE, c.SERVER_HELLO_DONE): (State.COMPLETE,),
    (State.OLD_STATUS_OR_KEY, c.CERTIFICATE_STATUS): (State.OLD_STATUS_OR_KEY,),
    (State.OLD_STATUS_OR_KEY, c.SERVER_KEY_EXCHANGE): (State.OLD_REQUEST_OR_DONE,),
    (State.OLD_STATUS_OR_KEY, c.CERTIFICATE_REQUEST): (State.OLD_DONE,),
    (State.OLD_STATUS_OR_KEY, c.SERVER_HELLO_DONE): (State.COMPLETE,),
    (State.OLD_REQUEST_OR_DONE, c.CERTIFICATE_REQUEST): (State.OLD_DONE,),
    (State.OLD_REQUEST_OR_DONE, c.SERVER_HELLO_DONE): (State.COMPLETE,),
    (State.OLD_DONE, c.SERVER_HELLO_DONE): (State.COMPLETE,),
}
