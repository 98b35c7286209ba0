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


def is_public_suffix(domain: str) -> bool:
    """Return whether a registry gives out names directly below ``domain`` (in lower-case A-labels)."""
    return bool(suffix_list().publicsuffix(domain) == domain)
