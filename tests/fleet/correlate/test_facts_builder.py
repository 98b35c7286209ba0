"""Facts put together: what counts, what marks addresses of one operator, and what is left out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scanner.fleet.correlate.facts import MAX_TEXT, Facts, Reached, Validity, Witness
from scanner.fleet.correlate.facts_builder import FactsBuilder, top_issuer

LOCAL = 1_795_000_000
LEAF = ("ab", 5, 9)
NONE = frozenset[str]()


def builder() -> FactsBuilder:
    return FactsBuilder("www.a.example", LOCAL)


def test_nothing_taken_in_is_no_facts() -> None:
    assert builder().facts() is None
    healthy = builder()
    assert healthy.chain(NONE, [("CN=a", "CN=b")], LEAF) == "certificate:ab"
    assert healthy.facts() is None


def test_a_certificate_out_of_its_time_is_of_the_target_s_domain() -> None:
    found = builder()
    codes = frozenset({"certificate-expired"})
    assert found.chain(codes, [("CN=a", "CN=b")], LEAF) == "certificate:ab"
    assert found.facts() == Facts(LOCAL, "a.example", (Validity("certificate-expired", *LEAF),))


def test_addresses_under_one_untrusted_issuer_share_its_mark() -> None:
    found = builder()
    codes = frozenset({"untrusted-root"})
    assert found.chain(codes, [("CN=a", "CN=b"), ("CN=b", "CN=c")], LEAF) == "issuer:CN=c"
    assert (found.untrusted, found.incomplete) == (True, False)
    long = found.chain(codes, [("CN=a", "x" * 100_000)], LEAF)
    assert long is not None and len(long) == MAX_TEXT
    assert found.chain(frozenset({"issuer-unknown"}), [("CN=a", "CN=a")], LEAF) == "certificate:ab"
    assert (found.untrusted, found.incomplete) == (True, True)
    assert found.chain(codes, [], None) is None


def test_answers_count_unless_an_issuer_is_untrusted() -> None:
    found = builder()
    found.answer("crl", "http://crl.ca.example/1", (5.9, None), 9.9)
    found.answer("ocsp", "http://ocsp.ca.example/", (None, None), 9.0)
    found.answer("ocsp", "no address", (5.0, 6.0), 9.0)
    found.reached("http://crl.ca.example/1", True)
    assert found.facts() == Facts(
        LOCAL, witnesses=(Witness("crl", "ca.example", 5, LOCAL, 9),), reach=(Reached("crl.ca.example", True),)
    )
    found = builder()
    found.untrusted = True
    found.answer("crl", "http://crl.ca.example/1", (5.9, None), 9.9)
    assert found.facts() == Facts(LOCAL, "a.example", untrusted=True)


def test_dates_and_scts() -> None:
    found = builder()
    found.date("192.0.2.1", None, 5.0, None)
    found.date("192.0.2.1", 7.5, 5.5, "certificate:ab")
    found.sct("Operator", LOCAL)
    found.sct("Operator", LOCAL + 1.5)
    facts = found.facts()
    assert facts is not None and facts.witnesses == (
        Witness("http-date", "a.example", 7, 5, None, ("address:192.0.2.1", "certificate:ab")),
        Witness("sct", "Operator", LOCAL + 1, LOCAL),
    )


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ([], None),
        ([(None, None)], None),
        ([("CN=a", "CN=a")], None),
        ([("CN=a", "CN=b")], "CN=b"),
        ([("CN=a", "CN=b"), ("CN=b", "CN=c")], "CN=c"),
        ([("CN=a", "CN=b"), ("CN=c", "CN=c"), ("CN=b", "CN=c")], "CN=c"),
        ([("CN=a", "CN=b"), ("CN=b", "CN=c"), ("CN=c", "CN=b")], "CN=b"),  # a circle ends somewhere
        ([("CN=a", "CN=b"), (None, None), ("CN=x", "CN=y")], "CN=b"),
    ],
)
def test_the_topmost_issuer_of_what_was_sent(sent: list[tuple[str | None, str | None]], key: str | None) -> None:
    assert top_issuer(sent) == key


def test_reading_statistics_loads_no_cryptography() -> None:
    code = "import sys, scanner.fleet.stats.parallel; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert {"cryptography", "scanner.fleet.correlate.gather"} & set(done.stdout.split()) == set()
