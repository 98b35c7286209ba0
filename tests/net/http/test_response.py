"""Heads of HTTP answers, as they come and as they should not."""

from __future__ import annotations

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.net.http.response import MOST_FIELD, MOST_HEAD, NotHttp, read_answer_untrusted

HEAD = (
    b"HTTP/1.1 403 Forbidden\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 06:01:02 GMT\r\nLocation: /login\r\n"
    b"WWW-Authenticate: Basic\r\nContent-Length: 5\r\n\r\n"
)


def test_fields_of_a_response() -> None:
    answer = read_answer_untrusted(HEAD + b"hello")
    assert answer is not None
    assert (answer.status, answer.server, answer.location, answer.challenge, answer.length) == (
        403,
        "nginx",
        "/login",
        "Basic",
        5,
    )
    assert answer.date == calendar.timegm((2026, 11, 23, 6, 1, 2))
    assert (HEAD + b"hello")[answer.body_at :] == b"hello"


def test_any_cut_is_incomplete() -> None:
    for at in range(len(HEAD)):
        assert read_answer_untrusted(HEAD[:at]) is None


def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = read_answer_untrusted(interim + HEAD)
    assert answer is not None and answer.status == 403
    assert read_answer_untrusted(interim) is None
    with pytest.raises(NotHttp):
        read_answer_untrusted(interim * 5)


def test_bare_line_feeds_and_an_empty_reason() -> None:
    answer = read_answer_untrusted(b"HTTP/1.0 200\nserver: x\n\nbody")
    assert answer is not None and (answer.status, answer.server, answer.body_at) == (200, "x", 24)


@pytest.mark.parametrize(
    "data",
    [
        b"220 mail.example ESMTP\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * MOST_HEAD,
        b"\x00",
    ],
)
def test_what_is_not_http(data: bytes) -> None:
    with pytest.raises(NotHttp):
        read_answer_untrusted(data)


@pytest.mark.parametrize(
    "date",
    [
        b"Mon, 99 Nov 2026 06:01:02 GMT",
        b"Mon, 23 Nov 2026 26:01:02 GMT",
        b"yesterday",
        b"Mon, 31 Feb 2026 06:01:02 GMT",
        b"Mon, 23 Nov 2026 06:01:02",
        b"Mon, " + b"9" * 900 + b" Nov 2026 06:01:02 GMT",
        b"(" * 900 + b" GMT",
        "Mon, ２３ Nov 2026 06:01:02 GMT".encode(),
        b"",
    ],
)
def test_unreadable_dates_are_left_out(date: bytes) -> None:
    answer = read_answer_untrusted(b"HTTP/1.1 200 OK\r\nDate: " + date + b"\r\n\r\n")
    assert answer is not None and answer.date is None


def test_obsolete_form_of_a_date_is_read() -> None:
    """RFC 9110 section 5.6.7: recipients must accept the form of RFC 850."""
    answer = read_answer_untrusted(b"HTTP/1.1 200 OK\r\nDate: Monday, 23-Nov-26 06:01:02 GMT\r\n\r\n")
    assert answer is not None and answer.date == calendar.timegm((2026, 11, 23, 6, 1, 2))


@given(st.text(max_size=60))
def test_no_date_raises(text: str) -> None:
    date = text.replace("\r", "").replace("\n", "").encode("utf-8", "replace")
    assert read_answer_untrusted(b"HTTP/1.1 200 OK\r\nDate: " + date + b" GMT\r\n\r\n") is not None


def test_long_and_strange_fields() -> None:
    answer = read_answer_untrusted(
        b"HTTP/1.1 200 OK\r\nServer: " + b"\xff" * 9000 + b"\r\nContent-Length: 1e3\r\nnonsense\r\n\r\n"
    )
    assert answer is not None and answer.length is None
    assert answer.server == "\ufffd" * MOST_FIELD


@pytest.mark.parametrize(("age", "passed"), [(b"3600", 3600), (b"0", 0), (b"-5", 0), (b"soon", 0), (b"9" * 20, 0)])
def test_a_cache_says_how_old_its_answer_is(age: bytes, passed: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 06:01:02 GMT\r\nAge: " + age + b"\r\n\r\n"
    answer = read_answer_untrusted(head)
    assert answer is not None
    assert answer.date == calendar.timegm((2026, 11, 23, 6, 1, 2)) + passed
