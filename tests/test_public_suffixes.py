"""Which domains registries give out names below."""

from __future__ import annotations

import pytest

from scanner.public_suffixes import is_public_suffix, suffix_list


@pytest.mark.parametrize("domain", ["com", "co.uk", "test.ck", "kobe.jp"])
def test_public_suffixes(domain: str) -> None:
    assert is_public_suffix(domain)


@pytest.mark.parametrize("domain", ["example.com", "example.co.uk", "github.io", "corp", "www.ck", "city.kobe.jp", ""])
def test_other_domains(domain: str) -> None:
    """Those of companies that let others register names are not on the part of the list that counts."""
    assert not is_public_suffix(domain)


def test_the_short_way_answers_as_the_search_does() -> None:
    suffixes = suffix_list()
    for rule in sorted(suffixes._publicsuffix)[::7]:
        for name in (rule.removeprefix("*."), f"a.{rule.removeprefix('*.')}", f"a.b.{rule.removeprefix('*.')}"):
            assert is_public_suffix(name) is (suffixes.publicsuffix(name) == name), name
