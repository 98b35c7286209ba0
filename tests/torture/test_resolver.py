from __future__ import annotations

from collections import Counter
from random import Random

import dns.message
import dns.rcode
import pytest

from tests.torture.resolver import answer_untrusted
from tests.torture.rows import KINDS, Row

NAMED = Row(7, KINDS["named"])


def ask(name: str, kind: str = "A", mode: str = "answer", random: Random | None = None) -> dns.message.Message:
    answer = answer_untrusted(dns.message.make_query(name, kind).to_wire(), mode, random or Random(1))
    assert answer is not None
    return dns.message.from_wire(answer)


def test_names_of_rows_have_their_address() -> None:
    assert [each.to_text() for rrset in ask(NAMED.host).answer for each in rrset] == [NAMED.address]


def test_other_types_are_empty_and_other_names_do_not_exist() -> None:
    empty = ask(NAMED.host, "AAAA")
    assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
    assert ask("nxdomain-7.farm.test").rcode() == dns.rcode.NXDOMAIN


def test_refuse_refuses_everything() -> None:
    assert ask(NAMED.host, mode="refuse").rcode() == dns.rcode.REFUSED


def test_servfail_fails_for_about_half_of_the_questions() -> None:
    random = Random(1)
    codes = Counter(ask(NAMED.host, mode="servfail", random=random).rcode() for _ in range(400))
    assert set(codes) == {dns.rcode.NOERROR, dns.rcode.SERVFAIL}
    assert 150 < codes[dns.rcode.SERVFAIL] < 250


@pytest.mark.parametrize("question", [b"", b"\0" * 5, b"\xff" * 40])
def test_malformed_queries_get_no_answer(question: bytes) -> None:
    assert answer_untrusted(question, "answer", Random(1)) is None
