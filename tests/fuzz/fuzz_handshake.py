"""Any bytes, in any chunks, result in events, never in an exception, and never in an accepted flight that was not signed.

By hand: ``python -m tests.fuzz.fuzz_handshake --seconds 60``; a failure prints the ``--case`` that reproduces it.

Flights are changed as messages, which reaches what TLS 1.3 encrypts, then as records, then as bytes. The fuzzer has all
keys of the connection and can compute a valid Finished, but not the leaf's key: if the client accepts such a flight, what
it read must be what was signed. In some cases the fuzzer has the leaf's key too; then only the first half of the
invariant holds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Final

from scanner.tls import constants as c
from scanner.tls.events import AlertReceived, Broken, Event, FlightComplete, NotTls, PeerClosed, State
from scanner.tls.handshake import ClientHandshake
from tests.fuzz.flights import Flight, flights, new_client
from tests.helpers import evidence
from tests.tls.peers import learnt, record, seen

# Bytes with a meaning: limits of lengths, content and message types, versions
TELLING: Final = (0, 1, 2, 3, 4, 8, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 0x2B, 0x33, 0x7F, 0x80, 0xFE, 0xFF)


@dataclass(frozen=True)
class Case:
    """A changed flight; ``honest`` means that it was signed with the leaf's key after the change."""

    flight: Flight
    data: bytes
    cuts: tuple[int, ...]
    honest: bool


class Violation(AssertionError):
    """The invariant is violated."""


# --- changing --------------------------------------------------------------------------------------


def change_bytes(random: Random, data: bytes) -> bytes:
    """Change some bytes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        at = random.randrange(len(changed) + 1)
        match random.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random.randrange(8)
            case 1 if at < len(changed):
                changed[at] = random.choice(TELLING)
            case 2:
                del changed[at : at + random.choice((1, 2, 3, 40))]
            case 3:
                changed[at:at] = random.randbytes(random.choice((1, 2, 3, 40)))
            case 4:
                changed[at:at] = changed[: random.randrange(1, 60)]
            case _:
                del changed[at:]
    return bytes(changed)


def _message(random: Random, message: bytes) -> bytes:
    """Change one message, mostly keeping its length valid."""
    body = change_bytes(random, message[4:])
    kind = message[0] if random.random() < 0.9 else random.choice(TELLING)
    if random.random() < 0.9:
        return bytes([kind]) + len(body).to_bytes(3, "big") + body
    return message[:4] + body


def _messages(random: Random, messages: Sequence[bytes]) -> list[bytes]:
    """Change a list of messages."""
    changed = list(messages)
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        if not changed:
            break
        at = random.randrange(len(changed))
        match random.randrange(8):
            case 0:
                del changed[at]
            case 1:
                changed.insert(at, changed[random.randrange(len(changed))])
            case 2:
                other = random.randrange(len(changed))
                changed[at], changed[other] = changed[other], changed[at]
            case 3:
                strange = random.choice(flights())
                changed.insert(at, random.choice(strange.clear + strange.inner))
            case _:
                changed[at] = _message(random, changed[at])
    return changed


def _pieces(random: Random, content: bytes) -> list[bytes]:
    """Cut bytes into the contents of records."""
    match random.randrange(4):
        case 0:
            size = random.choice((1, 7, 100, 1000)) if len(content) < 3000 else 1000
            return [content[at : at + size] for at in range(0, len(content), size)]
        case 1:
            at = random.randrange(len(content) + 1)
            return [content[:at], content[at:]]
        case _:
            return [content]


def _stray(random: Random) -> bytes:
    """Return a record that is out of place."""
    return random.choice(
        (
            record(c.CHANGE_CIPHER_SPEC, b"\x01"),
            record(c.CHANGE_CIPHER_SPEC, random.randbytes(random.randrange(3))),
            record(c.ALERT, bytes([random.choice((1, 2)), random.choice((0, 40, 90, 112))])),
            record(c.ALERT, random.randbytes(random.randrange(4))),
            record(c.HANDSHAKE, b""),
            record(c.HANDSHAKE, b"\0\0\0\0"),
            record(c.APPLICATION_DATA, random.randbytes(random.randrange(40))),
            record(24, b"\x01\x00\x01x"),
            b"HTTP/1.1 400 Bad Request\r\n",
        )
    )


def _sealed(random: Random, flight: Flight, inner: Sequence[bytes]) -> list[bytes]:
    """Return inner messages as encrypted records, sometimes of another type, empty, or not encrypted at all."""
    protection = flight.protection()
    records = []
    for piece in _pieces(random, b"".join(inner)):
        match random.randrange(40):
            case 0:
                records.append(protection.encrypt(random.choice(TELLING), piece))
            case 1:
                records.append(protection.encrypt(c.ALERT, random.choice((b"\x01\x5a", b"\x02\x28", b"\x01\x00", b""))))
            case 2:
                records.append(protection.encrypt(c.HANDSHAKE, b""))
            case 3:
                records.append(record(c.HANDSHAKE, piece))
                continue
            case 4:
                records.append(protection.encrypt(0, bytes(50)))
            case _:
                pass
        records.append(protection.encrypt(c.HANDSHAKE, piece + bytes(random.choice((0, 0, 0, 1, 300)))))
        if piece and random.random() < 0.02:
            protection = flight.protection()  # the sequence number starts again
    return records


def make_case(key: str) -> Case:
    """Return the case with this name, always the same except for keys and certificates."""
    random = Random(key)
    flight = random.choice(flights())
    clear = _messages(random, flight.clear) if flight.keys is None or random.random() < 0.2 else list(flight.clear)
    records = [record(c.HANDSHAKE, piece) for piece in _pieces(random, b"".join(clear))]
    honest = False
    if flight.keys is not None:
        inner = _messages(random, flight.inner) if random.random() < 0.9 else list(flight.inner)
        if random.random() < 0.8:
            # a Finished that fits the changes, made without the leaf's key
            inner = [each for each in inner if each[:1] != bytes([c.FINISHED])]
            if random.random() < 0.1:
                honest = True
                inner = [each for each in inner if each[:1] != bytes([c.CERTIFICATE_VERIFY])]
                inner.append(flight.verify(inner))
            inner.append(flight.finished(inner))
        records += _sealed(random, flight, inner)
    for _ in range(random.choice((0, 0, 0, 0, 1, 3))):
        records.insert(random.randrange(len(records) + 1), _stray(random))
    data = b"".join(records)
    if random.random() < 0.1:
        data = change_bytes(random, data)
    cuts = tuple(sorted(random.randrange(len(data) + 1) for _ in range(random.choice((0, 1, 3, 30)))))
    return Case(flight, data, cuts, honest)


# --- checking --------------------------------------------------------------------------------------


@cache
def leaf_key() -> Callable[[bytes], Any]:
    """Return the leaf's key, as a scan reads it."""
    return evidence.verifier().leaf_key


@cache
def signed(flight: Flight) -> dict[str, Any]:
    """Return what is read from a flight as it was signed."""
    conn = new_client(flight, leaf_key())
    conn.receive_data(flight.records())
    assert conn.state is State.COMPLETE, flight.name
    return learnt(conn)


def run(flight: Flight, pieces: Sequence[bytes]) -> tuple[ClientHandshake, list[Event]]:
    """Feed a case to a new client, and close."""
    conn = new_client(flight, leaf_key())
    events: list[Event] = []
    for piece in (*pieces, b"", b"after the end"):
        events += conn.receive_data(piece)
        conn.data_to_send()
        conn.close_notify()
        repr(conn)
    return conn, events


def check(case: Case) -> tuple[ClientHandshake, list[Event]]:
    """Raise ``Violation`` if a case violates the invariant."""
    ends = (*case.cuts, len(case.data))
    pieces = [case.data[begin:end] for begin, end in zip((0, *case.cuts), ends, strict=True) if begin < end]
    conn, events = run(case.flight, pieces)
    whole, other = run(case.flight, [case.data] if case.data else [])
    if events != other or {**learnt(conn), "plaintext": b""} != {**learnt(whole), "plaintext": b""}:
        raise Violation(f"chunks matter: {events} or {other}")
    _check_end(conn, events)
    if not case.honest and accepted(conn):
        _check_signed(case.flight, conn)
    return conn, events


def _check_end(conn: ClientHandshake, events: Sequence[Event]) -> None:
    last = events[-1] if events else None
    if not conn.ended or not isinstance(last, FlightComplete | AlertReceived | Broken | NotTls | PeerClosed):
        raise Violation(f"no end: {conn!r} after {events}")
    if (conn.state is State.COMPLETE) is not isinstance(last, FlightComplete):
        raise Violation(f"{conn!r} ends with {last}")
    for event in events[:-1]:
        if not isinstance(event, AlertReceived):
            raise Violation(f"{event} is not the last event")


def accepted(conn: ClientHandshake) -> bool:
    """Return whether a flight was accepted: complete, signed by the leaf, and in TLS 1.3 with a valid Finished."""
    if conn.state is not State.COMPLETE:
        return False
    negotiation = seen(conn).negotiation
    finished = negotiation.finished_valid if negotiation.version == 0x0304 else True
    return negotiation.signature_valid is True and finished is True


def _check_signed(flight: Flight, conn: ClientHandshake) -> None:
    original, now = signed(flight), learnt(conn)
    if flight.keys is not None:
        names = set(original) - {"plaintext"}
    else:
        # before TLS 1.3 the leaf only signs the randoms and the key exchange
        names = {"group", "dh_bits", "random"}
        if leaf_key()(now["certificates"][0]) != leaf_key()(original["certificates"][0]):
            raise Violation("held for good with another key")
    changed = {name: (original[name], now[name]) for name in names if original[name] != now[name]}
    if changed:
        raise Violation(f"held for good, and nobody signed {changed}")


# --- by hand ---------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cases for some time; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", default="1", help="a word that all cases of this run depend on")
    parser.add_argument("--case", help="play this one alone")
    given = parser.parse_args(arguments)
    until = time.monotonic() + given.seconds
    ends: Counter[str] = Counter()
    number = 0
    while time.monotonic() < until:
        key = given.case or f"{given.seed}-{number}"
        try:
            case = make_case(key)
            begun = time.monotonic()
            conn, events = check(case)
            if time.monotonic() - begun > 1:
                raise Violation("takes more than a second")
        except Exception as error:
            sys.stdout.write(f"--case {key}\n")
            raise SystemExit(1) from error
        ends[f"{type(events[-1]).__name__}{', for good' if accepted(conn) else ''}"] += 1
        number += 1
        if given.case:
            sys.stdout.write(f"{case.flight.name}: {events}\n")
            break
    sys.stdout.write("".join(f"{count:8} {end}\n" for end, count in ends.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
