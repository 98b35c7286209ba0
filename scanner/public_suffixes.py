"""The Public Suffix List (https://publicsuffix.org/), its ICANN part, as it came with the package; nothing is fetched."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


@cache
def suffix_list() -> PublicSuffixList:
    """Return the list, which is read when it is first asked for."""
    from publicsuffixlist import PublicSuffixList  # 40 ms, and most runs never ask

    return PublicSuffixList(accept_unknown=False, only_icann=True)


@cache
def _rules() -> frozenset[str] | None:
    """Return the rules of the list; ``None`` if the package does not have its table there."""
    rules = getattr(suffix_list(), "_publicsuffix", None)
    return rules if isinstance(rules, frozenset) else None


def is_public_suffix(domain: str) -> bool:
    """Return whether a registry gives out names directly below ``domain`` (in lower-case A-labels)."""
    rules = _rules()
    likely = (domain, f"*.{domain}", f"*.{domain.partition('.')[2]}")
    if rules is not None and rules.isdisjoint(likely):
        return False  # as nearly all are, for a tenth of a search
    return bool(suffix_list().publicsuffix(domain) == domain)
