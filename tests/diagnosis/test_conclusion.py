"""Words on a chain's claims are written once, and are for each target what they would be if they were written for it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.conclusion import MAX_FURTHER, Entry, conclude, conclude_chain, merge
from scanner.diagnosis.parts import ChainReport
from scanner.diagnosis.wording import Wording
from scanner.model.evidence import Target
from tests.helpers.evidence import ADDRESS, target

RESOLVER = "192.0.2.53:53"
# Evidence with most of what templates ask for
FACTS: dict[str, Any] = {
    "subject": "CN=x", "issuer": "CN=y", "certificate": "00" * 32, "stores": ["mozilla"], "names": 2, "nearest": ["a.example"],
    "name": "wanted.example", "days": 1, "not_after": "2026-01-01T00:00:00Z", "refused_by": ["Chrome"], "url": "http://x/",
    "urls": ["http://x/"], "versions": ["TLSv1"], "owner": "o", "how": "resets", "product": "P", "first": "192.0.2.7",
}  # fmt: skip
TARGETS: list[tuple[Target, str]] = [
    (target(), ADDRESS),
    (target("other.example", port=8443), "198.51.100.7"),
    (target("mail.example", protocol="smtp", port=25), "2001:db8::25"),
    (replace(target("www.example.org"), sni="sni.example"), ADDRESS),
    (replace(target("www.example.org"), sni=None), ADDRESS),
    (target("192.0.2.9"), "192.0.2.9"),
    (target("2001:db8::9"), "2001:db8::9"),
    (target("a" * 63 + "." + "b" * 63 + ".example"), ADDRESS),
    (target("we;ird $(name)"), ADDRESS),
    (target("\u202ename\x1b.example"), ADDRESS),
]


def report(*claims: Claim) -> ChainReport:
    setting: Any = None
    return ChainReport(setting, claims, (), None, None)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("code", CODES)
def test_words_with_names_put_in_are_those_written_for_the_target(code: str, language: str) -> None:
    for evidence in ({}, FACTS):
        kept = report(Claim(code, evidence), Claim("expires-soon", {"days_left": 3}))
        for of, address in (*TARGETS, *TARGETS):
            entries: dict[str, Entry] = {}
            merge(entries, kept.claims, address)
            assert conclude_chain(kept, of, address, RESOLVER, language) == conclude(
                of, entries.values(), RESOLVER, language
            )


def test_evidence_that_has_a_placeholder_in_it_is_not_mistaken_for_one() -> None:
    for _ in range(3):
        facts = {"subject": "CN=host.placeholder.invalid", "not_after": "2026-01-01T00:00:00Z"}
        kept = report(Claim("intermediate-expired", facts))
        (record,) = conclude_chain(kept, target(), ADDRESS, None, "en").records
        assert "CN=host.placeholder.invalid" in record["summary"]


def test_leaves_below_one_issuer_share_the_words_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = Wording.summary

    def counted(self: Wording, code: str, evidence: Any) -> str:
        asked.append(code)
        return original(self, code, evidence)

    monkeypatch.setattr(Wording, "summary", counted)
    facts = {"subject": "CN=Shared Issuing CA", "not_after": "2026-01-01T00:00:00Z", "stores": ["test"]}
    found = []
    for number in range(10):
        kept = report(Claim("intermediate-expired", {**facts, "path": [f"leaf {number}", "issuer"]}))
        found += conclude_chain(kept, target(f"h{number}.example"), ADDRESS, None, "en").records
    assert [record["evidence"]["path"][0] for record in found] == [f"leaf {number}" for number in range(10)]
    assert len(asked) == 2  # the first for its target, the second for all


def test_each_leaf_has_its_own_paths_in_the_evidence_that_is_shared() -> None:
    for number in range(4):
        first, second = ({"stores": [store], "path": (f"leaf {number}", store), "days": 1} for store in ("a", "b"))
        kept = report(
            Claim("intermediate-expired", first),
            Claim("intermediate-expired", second),
            Claim("expires-soon", {"days_left": 3}),
        )
        found = {each["code"]: each["evidence"] for each in conclude_chain(kept, target(), ADDRESS, None, "en").records}
        expired = found["intermediate-expired"]
        assert list(expired) == ["stores", "path", "days", "also"]
        assert expired["path"] == [f"leaf {number}", "a"]
        assert expired["also"] == [{"stores": ["b"], "path": [f"leaf {number}", "b"], "days": 1}]
        assert found["expires-soon"] == {"days_left": 3}


def test_bug_in_the_words_costs_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise OverflowError("injected")

    monkeypatch.setattr(Wording, "summary", broken)
    kept = report(Claim("certificate-expired", {}))
    found = conclude_chain(kept, target(), ADDRESS, None, "en")
    assert found.records[0]["summary"] == CODES["certificate-expired"].title
    assert "OverflowError" in found.failed[0]


def test_one_code_is_told_once_with_the_worst_severity_and_all_that_proves_it() -> None:
    entries: dict[str, Entry] = {}
    merge(entries, [Claim("weak-key", {"key": "a"}, "note")], "192.0.2.1")
    merge(entries, [Claim("weak-key", {"key": "b"}, "error"), Claim("weak-key", {"key": "b"}, "note")], "192.0.2.2")
    (entry,) = entries.values()
    assert (entry.severity, entry.evidence, entry.endpoints) == ("error", {"key": "a"}, ["192.0.2.1", "192.0.2.2"])
    assert entry.further == [{"address": "192.0.2.2", "key": "b"}]


def test_further_cases_are_bounded() -> None:
    entries: dict[str, Entry] = {}
    for number in range(100):
        merge(entries, [Claim("weak-key", {"certificate": str(number)})], ADDRESS)
    assert len(entries["weak-key"].further) == MAX_FURTHER
