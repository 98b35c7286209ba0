"""Tells interceptors from an estate's own CA: one issuer that no store trusts, across names that should not share one.

The problem: what intercepts connections (a proxy on our network, a firewall that inspects TLS) and a company that runs a CA of
its own look alike in each certificate. Both sign for many names under an issuer that no store trusts. Calling the company's CA
an attack is as bad as calling the attack a misconfiguration, and the number of names alone decides nothing: a hoster's CA
may sign for more names than an interceptor that a run met a few times.

The design rests on what a CA that is run by people never does, and a program that makes certificates on the spot does:

- put its own key, or one key, into certificates of unrelated names at different places;
- make a certificate for a name that cannot exist, because somebody asked for it;
- appear where another path or an earlier run saw a publicly trusted certificate;
- make certificates while our run asks for them, after the run first met it; bear the name of a product that intercepts.

One such sign and ``NAMES_WITH_SIGN`` unrelated names are proof. Names without a sign are a warning, and an error only where
they are many, a good part of all that was scanned, and nothing speaks for an estate (an internal name, a certificate valid for
longer than an interceptor would make it, a leaf that says where its CA publishes). "Unrelated" is by registrable domain and, as
an estate has its brand under many top-level domains, by the label below it (``unrelated_domains``).

What breaks if this is touched:

- *Order of arrival must not matter.* Processes fold parts of a run and merge them; findings on disk are folded in any order.
  So of the domains of an issuer those first in the alphabet are kept, never those met first, and of one domain the least sighting.
- *What is said early must stay true.* Findings wait for an issuer; once it has given itself away, it is decided for good and
  later targets are not even looked at (``early``). Statistics see everything first and decide last, so that the counts in the
  evidence do not depend on when it was decided.
- *Weighing is quadratic in the domains of an issuer* (0.2 ms with all 64), and a hostile fleet can change one domain with each
  target. So it is done again only after more and more changes if it was in vain (``PATIENCE``): 400 times for 20,000 changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from scanner.fleet.correlate.domains import LOCAL, is_address, registrable
from scanner.fleet.correlate.facts import Sighting
from scanner.fleet.correlate.fleet_verdicts import InterceptionVerdict

# Unrelated names that make a sign of interception a proof: two can be one owner's under two brands, three with a CA that
# signs its own key to them are not.
NAMES_WITH_SIGN: Final = 3
# Unrelated names that are worth a warning without any sign. Companies have two or three brands under one private CA.
NAMES_FOR_WARNING: Final = 4
# Unrelated names that are an error without any sign: who has eight names of nothing in common under a CA of his own names
# that CA (--private-ca), since nobody can guess it.
NAMES_WITHOUT_SIGN: Final = 8
# ... provided they are this part of all targets: what intercepts a network intercepts most of it, a CA that a hoster runs
# for some of its customers signs for few.
SHARE_WITHOUT_SIGN: Final = 0.2
# Browsers refuse certificates of more than 825 days even under roots that a person installed (Apple, since 2019), so
# interceptors do not make them; people who run a CA for themselves do.
LONGEST_INTERCEPTED: Final = 825 * 86400
# One key in certificates of unrelated names at fewer places can be one machine with one key and many sites.
PLACES_OF_ONE_KEY: Final = 3
# A certificate that was made for our connection begins then, up to what clocks differ by.
MADE_FOR_US_SECONDS: Final = 60
# The shortest label that counts as another's stem: "acme" in "acme-shop", not "a" in everything.
SHORTEST_STEM: Final = 4
# Issuers followed. A run meets a few dozen; devices with a CA of their own each can be thousands.
MAX_ISSUERS: Final = 5000
# Domains kept of one issuer, those first in the alphabet, so that the order of arrival changes nothing.
MAX_DOMAINS: Final = 64
# After so many weighings in vain one change more than before is waited for.
PATIENCE: Final = 4
# Names in the evidence
NAMES_TOLD: Final = 5


class _Issuer:
    """What is kept of one issuer."""

    __slots__ = (
        "_changes", "_last", "_weighed", "_weighings", "decided", "domains", "early", "internal", "keyed", "long", "operated",
        "product", "signs", "targets", "text",
    )  # fmt: skip

    def __init__(self, text: str, keyed: bool, early: bool = True) -> None:
        self.text = text
        self.keyed = keyed
        self.early = early
        self.targets = 0
        self.domains: dict[str, Sighting] = {}
        self.signs: dict[str, int] = {"own-key": 0, "on-the-spot": 0, "elsewhere": 0}
        self.product: str | None = None
        self.operated = False  # some leaf says where its CA publishes
        self.internal = False  # it signs for names of one network alone
        self.long = False  # some leaf is valid for longer than an interceptor's can be
        self.decided: InterceptionVerdict | None = None  # what gave it away, and nothing that came after
        self._weighed: tuple[list[str], list[str]] | None = None
        self._weighings = 0
        self._changes = 0  # since it was weighed
        self._last: str | None = None  # of the domains, the last in the alphabet, once there are as many as are kept

    def add(self, seen: Sighting) -> None:
        if self.decided is not None:
            return
        self.targets += 1
        if seen.own_key or seen.on_the_spot or seen.elsewhere or seen.product is not None:
            self._note_signs(seen)
        self.operated = self.operated or seen.operated
        self.long = self.long or seen.not_after - seen.not_before > LONGEST_INTERCEPTED
        domain = registrable(seen.name)
        if is_address(seen.name):
            return
        if domain == LOCAL or "." not in domain:
            self.internal = True
        elif seen.named:
            self._keep(domain, seen)
        self._decide()

    def _note_signs(self, seen: Sighting) -> None:
        for sign, shown in (
            ("own-key", seen.own_key),
            ("on-the-spot", seen.on_the_spot),
            ("elsewhere", seen.elsewhere),
        ):
            if shown and not self.signs[sign]:
                self._weighed = None  # how often it is seen changes nothing
            self.signs[sign] += shown
        product = _first(self.product, seen.product)
        if product != self.product:
            self.product, self._weighed = product, None

    def _decide(self) -> None:
        """Make the verdict final if the issuer has given itself away, so that findings need not wait."""
        if self.early and self.decided is None:
            self._changes += self._weighed is None
            if self._weighed is not None or self._changes > self._weighings // PATIENCE:
                self.decided = self._given_away()

    def _given_away(self) -> InterceptionVerdict | None:
        if len(self.domains) >= NAMES_WITH_SIGN:
            unrelated, reasons = self.weighed()
            if len(unrelated) >= NAMES_WITH_SIGN and reasons:
                return InterceptionVerdict(self.text, {**self._names(unrelated), "reasons": reasons}, True)
        return None

    def _keep(self, domain: str, seen: Sighting) -> None:
        if self._last is not None and domain > self._last:
            return
        known = self.domains.get(domain)
        if known is not None and _order(known) <= _order(seen):
            return
        self.domains[domain] = seen
        self._weighed = None
        if len(self.domains) > MAX_DOMAINS:
            del self.domains[max(self.domains)]
        if len(self.domains) == MAX_DOMAINS:
            self._last = max(self.domains)

    def merge(self, other: _Issuer) -> None:
        self.decided = self.decided or other.decided
        if self.decided is not None:
            return
        self.targets += other.targets
        for sign, count in other.signs.items():
            self.signs[sign] += count
        self.product = _first(self.product, other.product)
        self.operated = self.operated or other.operated
        self.internal = self.internal or other.internal
        self.long = self.long or other.long
        self._weighed = None
        for domain, seen in other.domains.items():
            self._keep(domain, seen)
        self._decide()

    # --- weighing --------------------------------------------------------------------------------

    def verdict(self, targets: int) -> InterceptionVerdict | None:
        """Return the verdict on this issuer; ``targets`` is the number of all that were scanned."""
        given_away = self.decided or self._given_away()
        if given_away is not None:
            return given_away
        unrelated, _ = self.weighed()
        # nothing is said of namesakes that cannot be distinguished, nor of a CA that is run for others
        if len(unrelated) < NAMES_FOR_WARNING or self.operated or not self.keyed:
            return None
        share = self.targets / max(targets, self.targets)
        many = len(unrelated) >= NAMES_WITHOUT_SIGN and share >= SHARE_WITHOUT_SIGN
        certain = many and not (self.internal or self.long)
        evidence = {**self._names(unrelated), "share": round(share, 4)}
        if certain:
            evidence["reasons"] = ["they are a good part of all that was scanned"]
        return InterceptionVerdict(self.text, evidence, certain)

    def _names(self, unrelated: list[str]) -> dict[str, Any]:
        return {
            "names_count": len(unrelated),
            "names": [self.domains[domain].name for domain in unrelated[:NAMES_TOLD]],
            "targets": self.targets,
            **({} if self.product is None else {"product": self.product}),
        }

    def weighed(self) -> tuple[list[str], list[str]]:
        """Return unrelated domains, and the signs of interception in words."""
        if self._weighed is None:
            unrelated = unrelated_domains(self.domains)
            self._weighed = unrelated, self._signs(unrelated)
            self._weighings += 1
            self._changes = 0
        return self._weighed

    def _signs(self, unrelated: list[str]) -> list[str]:
        """Return what no CA that is run by people does, in words that continue a sentence after "and"."""
        reasons = []
        if self.signs["own-key"]:
            reasons.append("its certificates hold the issuer's own key")
        if self.signs["on-the-spot"]:
            reasons.append("it made a certificate for a name that cannot exist when it was asked for one")
        if self.signs["elsewhere"]:
            reasons.append("another path or an earlier run saw publicly trusted certificates in its place")
        if self.product is not None:
            reasons.append("it bears the name of a product that intercepts")
        seen = [self.domains[domain] for domain in unrelated]
        if _one_key(seen) and not self.signs["own-key"]:
            reasons.append("one key is in certificates of unrelated names at different places")
        if _made_for_us(seen):
            reasons.append("its certificates were made while this run asked for them")
        return reasons


def _first(one: str | None, other: str | None) -> str | None:
    """Return the first in the alphabet of those that are not ``None`` or empty."""
    return min(filter(None, (one, other)), default=None)


def _order(seen: Sighting) -> tuple[str, str, int, str]:
    return seen.name, seen.place, seen.at, seen.leaf


def _one_key(seen: Iterable[Sighting]) -> bool:
    places: dict[str, set[str]] = {}
    leaves: dict[str, set[str]] = {}
    for each in seen:
        places.setdefault(each.leaf_key, set()).add(each.place)
        leaves.setdefault(each.leaf_key, set()).add(each.leaf)
    return any(
        len(found) >= PLACES_OF_ONE_KEY and len(leaves[key]) >= PLACES_OF_ONE_KEY for key, found in places.items()
    )


def _made_for_us(seen: list[Sighting]) -> bool:
    """Return True if most certificates began when they were asked for, after the run had met the issuer: not a batch made before."""
    first = min(each.at for each in seen)
    made = [each for each in seen if first < each.not_before and abs(each.not_before - each.at) <= MADE_FOR_US_SECONDS]
    return len(made) >= NAMES_WITH_SIGN and 2 * len(made) >= len(seen)


def unrelated_domains(domains: Iterable[str]) -> list[str]:
    """Return one domain for each owner as far as names show it: "acme.com", "acme.de" and "acme-shop.com" are one."""
    kept: list[str] = []
    stems: list[str] = []
    for domain in sorted(domains, key=lambda domain: (len(domain.partition(".")[0]), domain)):
        label = domain.partition(".")[0]
        if any(label == stem or (len(stem) >= SHORTEST_STEM and stem in label) for stem in stems):
            continue
        stems.append(label)
        kept.append(domain)
    return sorted(kept)


class IssuersFold:
    """The issuers that no store trusts, and what each signed."""

    def __init__(self, *, early: bool = True) -> None:
        """With ``early`` False no verdict is final before all was seen, so that the order changes nothing."""
        self._early = early
        self._issuers: dict[str, _Issuer] = {}
        self._across: set[str] = set()  # those that sign for several domains: most never do
        self._last: tuple[int, Mapping[str, InterceptionVerdict]] | None = None

    def add(self, sightings: Iterable[Sighting]) -> None:
        """Take in what one target showed."""
        for seen in sightings:
            issuer = self._of(seen.key, seen.issuer, seen.keyed)
            if issuer is not None:
                issuer.add(seen)
                self._note(seen.key, issuer)

    def merge(self, other: IssuersFold) -> None:
        """Add what ``other`` has taken in."""
        for key, issuer in other._issuers.items():
            known = self._of(key, issuer.text, issuer.keyed)
            if known is not None:
                known.merge(issuer)
                self._note(key, known)

    def _of(self, key: str, text: str, keyed: bool) -> _Issuer | None:
        issuer = self._issuers.get(key)
        if issuer is None and len(self._issuers) < MAX_ISSUERS:
            issuer = self._issuers[key] = _Issuer(text, keyed, self._early)
        return issuer

    def _note(self, key: str, issuer: _Issuer) -> None:
        self._last = None
        if issuer.decided is not None or len(issuer.domains) >= NAMES_WITH_SIGN:
            self._across.add(key)

    def verdict(self, targets: int) -> Mapping[str, InterceptionVerdict]:
        """Return interceptors by the issuer's key; ``targets`` is the number of all that were scanned."""
        if self._last is None or self._last[0] != targets:
            judged = {key: self._issuers[key].verdict(targets) for key in sorted(self._across)}
            self._last = targets, {key: verdict for key, verdict in judged.items() if verdict is not None}
        return self._last[1]

    def is_final(self, key: str) -> bool:
        """Return True if no later target can change what is said of this issuer."""
        issuer = self._issuers.get(key)
        return issuer is None or issuer.decided is not None  # None: there were too many to follow it
