"""Pages that unrelated names lead to: a network's login page, or one that says why a site is blocked.

Brands that redirect to one site, parked domains and a hoster's default site look alike, so the number of names is not
enough: the page must speak of a login or a block, and the names must have nothing else in common. A page that says itself
what it is needs no fleet (``scanner.trust.portal_pages``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from scanner.fleet.correlate.domains import LOCAL, is_address, registrable
from scanner.fleet.correlate.facts import PageSighting
from scanner.fleet.correlate.interceptors_fold import unrelated_domains

# Unrelated names that lead to one login page under certificates that are not theirs. Companies that bought others redirect
# a few old names to their customers' login.
NAMES_OF_PORTAL: Final = 5
# ... provided they are this part of all targets: a portal stops everything, a login page is where some names lead.
SHARE_OF_PORTAL: Final = 0.5
# Pages followed, and domains kept of each (those first in the alphabet).
MAX_PAGES: Final = 2000
MAX_DOMAINS: Final = 64
NAMES_TOLD: Final = 5


class _SharedPage:
    __slots__ = ("domains", "targets")

    def __init__(self) -> None:
        self.targets = 0
        self.domains: dict[str, str] = {}

    def keep(self, domain: str, name: str) -> None:
        self.domains[domain] = min(name, self.domains.get(domain, name))
        if len(self.domains) > MAX_DOMAINS:
            del self.domains[max(self.domains)]

    def verdict(self, targets: int) -> Mapping[str, Any] | None:
        unrelated = unrelated_domains(self.domains)
        share = self.targets / max(targets, self.targets)
        if len(unrelated) < NAMES_OF_PORTAL or share < SHARE_OF_PORTAL:
            return None
        return {
            "names_count": len(unrelated),
            "names": [self.domains[domain] for domain in unrelated[:NAMES_TOLD]],
            "targets": self.targets,
            "share": round(share, 4),
        }


class PortalsFold:
    """The pages that names of other sites lead to."""

    def __init__(self) -> None:
        self._pages: dict[str, _SharedPage] = {}
        self._last: tuple[int, Mapping[str, Mapping[str, Any]]] | None = None

    def add(self, sightings: Iterable[PageSighting]) -> None:
        """Take in the pages that one target led to."""
        for seen in sightings:
            page = self._of(seen.page)
            if page is None:
                continue
            page.targets += 1
            domain = registrable(seen.name)
            if not (registrable(seen.host) == domain or is_address(seen.name) or domain == LOCAL or "." not in domain):
                page.keep(domain, seen.name)

    def merge(self, other: PortalsFold) -> None:
        """Add what ``other`` has taken in."""
        for key, page in other._pages.items():
            known = self._of(key)
            if known is None:
                continue
            known.targets += page.targets
            for domain, name in page.domains.items():
                known.keep(domain, name)

    def _of(self, key: str) -> _SharedPage | None:
        self._last = None
        page = self._pages.get(key)
        if page is None and len(self._pages) < MAX_PAGES:
            page = self._pages[key] = _SharedPage()
        return page

    def verdict(self, targets: int) -> Mapping[str, Mapping[str, Any]]:
        """Return the evidence of each portal by its page; ``targets`` is the number of all that were scanned."""
        if self._last is None or self._last[0] != targets:
            judged = {key: page.verdict(targets) for key, page in sorted(self._pages.items())}
            self._last = targets, {key: evidence for key, evidence in judged.items() if evidence is not None}
        return self._last[1]
