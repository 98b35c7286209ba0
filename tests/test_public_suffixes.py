"""Which domains registries give out names below."""

from __future__ import annotations

import pytest

from scanner.public_suffixes import is_public_suffix


@pytest.mark.parametrize("domain", ["com", "co.uk", "test.ck", "kobe.jp"])
def test_public_suffixes(domain: str) -> None:
    assert is_public_suffix(domain)


@pytest.mark.parametrize("domain", ["example.com", "example.co.uk", "github.io", "corp", "www.ck", "city.kobe.jp", ""])
def test_other_domains(domain: str) -> None:
    """Those of companies that let others register names are not on the part of the list that counts."""
    assert not is_public_suffix(domain)
