"""Puts together the facts of one target, from whatever source: evidence and verdicts, or an older finding.

It imports nothing of ``scanner.trust`` and ``scanner.x509``, so that statistics are read without loading cryptography.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from scanner.fleet.correlate.domains import host_of, registrable
from scanner.fleet.correlate.facts import (
    ADDRESS_MARK,
    MAX_TEXT,
    Facts,
    PageSighting,
    Reached,
    Sighting,
    Validity,
    Witness,
)
from scanner.times import TIME_CODES

# Codes by which no store trusts an issuer: an interceptor makes them.
ISSUER_CODES: Final = frozenset({"untrusted-root", "issuer-unknown", "intermediate-unobtainable"})
# Issuers are followed upwards through what was sent; no real chain is longer.
MAX_DEPTH: Final = 10
# Characters kept of an issuer's name: a certificate has room for 200 kB of it.
MAX_ISSUER_TEXT: Final = 1024


class FactsBuilder:
    """The facts of one target while they are put together."""

    def __init__(self, name: str, local: int) -> None:
        self.name, self.local = name, local
        self.validity: dict[Validity, None] = {}
        self.untrusted = False
        self.witnesses: dict[Witness, None] = {}
        self.pages: dict[PageSighting, None] = {}
        self.reach: dict[Reached, None] = {}
        self.incomplete = False
        self.sightings: list[Sighting] = []

    def chain(
        self,
        codes: frozenset[str],
        sent: Sequence[tuple[str | None, str | None]],
        leaf: tuple[str, int, int] | None,
    ) -> str | None:
        """Take in what the stores say of the chain of one address: ``codes`` of what stops them, (subject, issuer) of each
        certificate as ``sent``, SHA-256 and validity of its ``leaf``.

        Return what marks addresses that may have one operator.
        """
        if leaf is None:
            return None
        for code in sorted(codes & TIME_CODES):
            self.validity[Validity(code, *leaf)] = None
        if not codes & ISSUER_CODES:
            return f"certificate:{leaf[0]}"
        self.incomplete = self.incomplete or bool(codes - {"untrusted-root"} & ISSUER_CODES)
        top = top_issuer(sent)
        if top is None:
            return f"certificate:{leaf[0]}"
        self.untrusted = True
        return f"issuer:{top}"[:MAX_TEXT]

    def date(self, address: str, date: float | None, local_time: float | None, mark: str | None) -> None:
        """Take in what a server said of the present in an HTTP answer."""
        if date is not None and local_time is not None:
            via = (f"{ADDRESS_MARK}{address}",) if mark is None else (f"{ADDRESS_MARK}{address}", mark)
            self.witnesses[Witness("http-date", registrable(self.name), int(date), int(local_time), None, via)] = None

    def sct(self, operator: str, time: float) -> None:
        """Take in a log's promise that verifies; it tells something of our clock only if it lies ahead of it."""
        if int(time) > self.local:
            self.witnesses[Witness("sct", operator, int(time), self.local)] = None

    def answer(
        self, source: Literal["ocsp", "crl"], url: str, signed: Iterable[float | None], next_update: float | None
    ) -> None:
        """Take in a signed answer on revocation, after all chains. Its times are there only if its signature verifies; it counts
        only for a CA that some store trusts."""
        times = [time for time in signed if time is not None]
        if times and not self.untrusted and (host := host_of(url)):
            until = None if next_update is None else int(next_update)
            self.witnesses[Witness(source, registrable(host), int(max(times)), self.local, until)] = None

    def reached(self, url: str, reached: bool) -> None:
        """Take in whether a host that certificates name was reached."""
        if host := host_of(url):
            self.reach[Reached(host, reached)] = None

    def facts(self) -> Facts | None:
        """Return the record; ``None`` if it is empty."""
        of_itself = self.validity or self.untrusted or self.pages or self.sightings
        if not (of_itself or self.witnesses or self.reach or self.incomplete):
            return None
        # most targets tell only what was fetched, which has nothing to do with their own name
        domain = registrable(self.name) if of_itself else ""
        return Facts(
            self.local, domain, tuple(self.validity), self.untrusted, tuple(self.witnesses), tuple(self.pages),
            tuple(self.reach), self.incomplete, tuple(self.sightings),
        )  # fmt: skip


def top_issuer(chain: Sequence[tuple[str | None, str | None]]) -> str | None:
    """Return the name of the issuer at the top of a chain, as far as it was sent.

    ``chain`` is (subject, issuer) of each certificate as sent, leaf first, ``None`` where it cannot be read. ``None``
    where the leaf cannot be read, or names itself as its issuer.
    """
    if not chain or chain[0][1] is None or chain[0][0] == chain[0][1]:
        return None
    by_subject = {subject: issuer for subject, issuer in reversed(chain[1:]) if subject and issuer}
    top = chain[0][1]
    for _ in range(MAX_DEPTH):
        above = by_subject.get(top)
        if above is None or above == top:
            break
        top = above
    return top
