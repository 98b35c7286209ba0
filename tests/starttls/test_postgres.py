"""PostgreSQL's SSLRequest."""

from __future__ import annotations

from scanner.starttls import Malformed, NeedData, NotOffered, Ready, SessionRefused
from tests.starttls.playbook import answer, opened, play

REQUEST = ("C", bytes.fromhex("0000000804d2162f"))


def error(*fields: bytes) -> bytes:
    body = b"".join(field + b"\0" for field in fields) + b"\0"
    return b"E" + (4 + len(body)).to_bytes(4, "big") + body


def test_one_byte_answers() -> None:
    assert play("postgres", REQUEST, ("S", b"S")) == Ready()
    assert play("postgres", REQUEST, ("S", b"N")) == NotOffered("N")


def test_bytes_after_the_answer_are_left_over() -> None:
    talk = opened("postgres")
    talk.receive_data(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    assert talk.outcome == Ready()
    assert talk.leftover == b"SH-2.0-OpenSSH_9.2p1\r\n"
    assert talk.first_bytes.startswith(b"SSH-")


def test_errors() -> None:
    said = error(b"SFATAL", b"VFATAL", b"C53300", b"Msorry, too many clients already", b"Fproc.c")
    assert play("postgres", REQUEST, ("S", said)) == SessionRefused("FATAL 53300 sorry, too many clients already")
    said = b"EFATAL:  could not fork new process\n\0"
    assert play("postgres", REQUEST, ("S", said)) == SessionRefused("FATAL:  could not fork new process")
    assert isinstance(answer("postgres", [error(b"SFATAL")]), Malformed)


def test_another_protocol() -> None:
    assert play("postgres", REQUEST, ("S", b"HTTP/1.1 400 Bad Request\r\n")) == Malformed(
        "HTTP/1.1 400 Bad Request\r\n", "http"
    )
    assert play("postgres", REQUEST, ("S", b"ERROR\r\n")) == Malformed("ERROR\r\n", "memcached")
    assert isinstance(answer("postgres", [b"x"]), NeedData)
    talk = opened("postgres")
    talk.receive_data(b"220 a.example ESMTP")
    talk.receive_data(b"")
    assert talk.outcome == Malformed("220 a.example ESMTP", "smtp")
