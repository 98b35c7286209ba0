"""A row says what a finding says, short and harmless, whoever wrote the finding."""

from __future__ import annotations

import pytest

from scanner.report.table_rows import MAX_EVIDENCE, MAX_NAME, MAX_SENTENCE, name_of, plain, row_of, short_name
from scanner.text import printable
from tests.helpers.hostile import TEXTS, hostile_finding, misshapen
from tests.report.conftest import finding


def test_a_row_of_a_finding() -> None:
    row = row_of(finding("a.example", "fail", "dns"), "owner", fresh=True)
    assert (row.target, row.protocol, row.owner, row.outcome, row.cause) == (
        "a.example:443",
        "https",
        "web",
        "fail",
        "dns",
    )
    assert (row.summary, row.codes, row.fresh, row.row, row.more) == ("a.example is wrong.", ("nxdomain",), True, 1, 0)
    (diagnosis,) = row.diagnoses
    assert diagnosis.evidence == (("name", "a.example"), ("resolver", "192.0.2.53"))
    assert (diagnosis.remedy, diagnosis.confirm, diagnosis.endpoints) == (
        "Mend a.example.",
        "dig a.example A",
        "192.0.2.1",
    )


def test_the_first_error_names_the_row() -> None:
    given = finding("a.example", "fail", "dns")
    note = {"code": "dnssec-bogus", "cause": "dns", "severity": "note", "summary": "A note."}
    given["diagnoses"].insert(0, note)
    assert row_of(given).summary == "a.example is wrong."
    assert row_of({**given, "diagnoses": [note]}).summary == "A note."


def test_a_row_that_cannot_be_used_says_why() -> None:
    row = row_of({"target": {"row": 7, "host": None}, "outcome": "invalid", "error": "no host"})
    assert (row.target, row.summary) == ("row 7", "no host")


def test_rows_are_ordered_by_outcome_then_cause() -> None:
    rows = [
        row_of(one)
        for one in (
            finding("d.example", "warn", "dns"),
            finding("c.example", "invalid"),
            finding("b.example", "fail", "hostname-mismatch", "name-not-in-san"),
            finding("z.example", "fail", "dns"),
            finding("a.example", "fail", "dns"),
        )
    ]
    ordered = [row.target[0] for row in sorted(rows, key=lambda row: row.place)]
    assert ordered == ["a", "z", "b", "c", "d"]


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_hostile_text_is_escaped(number: int) -> None:
    row = row_of(hostile_finding(number), "owner")
    texts = [row.target, row.protocol, row.address, row.owner, row.cause, row.summary, *row.codes]
    for one in row.diagnoses:
        texts += [one.summary, one.remedy, one.confirm, one.endpoints]
        texts += [text for pair in one.evidence for text in pair]
    for text in texts:
        assert text == printable(text) and len(text) <= MAX_SENTENCE + 10


def test_findings_of_any_shape_make_a_row() -> None:
    for given in misshapen():
        row = row_of(given, "owner")
        assert len(row.target) <= MAX_NAME + 20
        assert all(len(one.evidence) <= MAX_EVIDENCE for one in row.diagnoses)
    many = row_of({**finding(), "diagnoses": [{"code": f"c{number}"} for number in range(50)]})
    assert len(many.diagnoses) + many.more == 50


def test_values_of_any_type_as_text() -> None:
    assert plain(None, 9) == "" and plain(True, 9) == "yes" and plain(1.5, 9) == "1.5"
    assert plain(["a", {"b": [1, None]}], 99) == "a, b: 1, "
    assert plain("x" * 99, 5) == "xxxx…"
    assert plain([[[[["deep"]]]]], 9) == "…"


def test_targets_by_name() -> None:
    assert name_of({"host": "2001:db8::1", "port": 443}) == "[2001:db8::1]:443"
    assert name_of({"host": "a.example"}) == "a.example"
    assert name_of({"host": None, "id": "x-7"}) == "x-7"
    assert name_of({}) == "(no host)"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("CN=R13,O=Let's Encrypt,C=US", "R13, Let's Encrypt"),
        ("O=Only\\, Inc.,C=US", "Only, Inc."),
        ("CN=Same,O=Same", "Same"),
        ("C=US", "C=US"),
        ("", ""),
    ],
)
def test_parts_of_a_distinguished_name(text: str, short: str) -> None:
    assert short_name(text, "CN", "O") == short
