"""Outcomes of questions: what a reply says, how replies to the two questions about one name are merged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scanner.model.evidence import SETTLED_STATUSES, DnsAnswer, DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.reply import NoAnswer, Reply

# RFC 8914 section 4: DNSSEC Bogus, Signature Expired, Signature Not Yet Valid, DNSKEY Missing, RRSIGs Missing,
# No Zone Key Bit Set, NSEC Missing. (1, 2 and 5 say that nothing could be validated, which is no failure.)
DNSSEC_ERRORS: Final = frozenset(range(6, 13))

_STATUS: Final = {
    message_wire.FORMERR: DnsStatus.FORMERR,
    message_wire.SERVFAIL: DnsStatus.SERVFAIL,
    message_wire.NXDOMAIN: DnsStatus.NXDOMAIN,
    message_wire.NOTIMP: DnsStatus.NOTIMP,
    message_wire.REFUSED: DnsStatus.REFUSED,
}
# From the outcome that says most to the one that says least: a server's answer, silence, an unreachable server.
_BY_RANK: Final = (
    DnsStatus.NOERROR,
    DnsStatus.NODATA,
    DnsStatus.NXDOMAIN,
    DnsStatus.SERVFAIL,
    DnsStatus.REFUSED,
    DnsStatus.NOTIMP,
    DnsStatus.FORMERR,
    DnsStatus.MALFORMED,
    DnsStatus.TIMEOUT,
    DnsStatus.UNREACHABLE,
)
_RANK: Final = {status: rank for rank, status in enumerate(_BY_RANK)}


class Outcome(Struct, frozen=True):
    """How one question ended. ``unfinished``: the answer stops at a CNAME whose target was not looked up.

    ``explained``: we know the reason of a failure ourselves, so no resolver has to be asked about it.
    """

    status: DnsStatus
    addresses: tuple[str, ...] = ()
    cname: tuple[str, ...] = ()
    loop: bool = False
    authenticated: bool = False
    extended_errors: tuple[tuple[int, str], ...] = ()
    resolver: str | None = None
    ttl: int | None = None
    detail: str | None = None
    unfinished: bool = False
    explained: bool = False
    records: tuple[bytes, ...] = ()

    @property
    def settled(self) -> bool:
        """True if the DNS has given an answer: asking again would bring the same."""
        return self.status in SETTLED_STATUSES

    def outranks(self, other: Outcome | None) -> bool:
        """Return True if this outcome says more than ``other``."""
        return other is None or _RANK[self.status] < _RANK[other.status]


def outcome_of(reply: Reply, resolver: str) -> Outcome:
    """Return the outcome of one reply of ``resolver``."""
    if isinstance(reply, NoAnswer):
        return Outcome(reply.status, resolver=resolver, detail=reply.detail)
    detail = None
    if reply.rcode == message_wire.NOERROR:
        if reply.referral:
            return Outcome(
                DnsStatus.REFUSED,
                extended_errors=reply.extended_errors,
                resolver=resolver,
                detail="the server named other servers instead of resolving the name: it is no recursive resolver",
            )
        status = DnsStatus.NOERROR if reply.addresses or reply.records else DnsStatus.NODATA
    else:
        found = _STATUS.get(reply.rcode)
        status = found or DnsStatus.SERVFAIL
        if found is None:
            detail = f"response code {reply.rcode}"
    ttl, negative_ttl = reply.ttl, reply.negative_ttl
    if negative_ttl is not None and (ttl is None or negative_ttl < ttl):
        ttl = negative_ttl
    return Outcome(
        status,
        reply.addresses,
        reply.cname,
        reply.loop,
        bool(reply.flags & message_wire.FLAG_AD),
        reply.extended_errors,
        resolver,
        ttl,
        detail,
        # With an SOA the server proves that the end of the chain has no such record; without one it may just have
        # stopped where its own data ends, as servers do that do not recurse for the last name.
        status is DnsStatus.NODATA and bool(reply.cname) and not reply.loop and negative_ttl is None,
        records=reply.records,
    )


def follow_cname(first: Outcome, rest: Outcome, asked: str) -> Outcome:
    """Join ``first``, which stopped at the end of its chain, with ``rest``, the outcome for that name. ``asked`` is the first name."""
    chain = list(first.cname)
    seen = {asked, *chain}
    loop = rest.loop
    for name in rest.cname:
        chain.append(name)
        if name in seen:
            loop = True
            break
        seen.add(name)
    ttls = [ttl for ttl in (first.ttl, rest.ttl) if ttl is not None]
    return replace(
        rest,
        addresses=() if loop else rest.addresses,
        status=DnsStatus.NODATA if loop and rest.status is DnsStatus.NOERROR else rest.status,
        cname=tuple(chain),
        loop=loop,
        authenticated=first.authenticated and rest.authenticated,
        extended_errors=tuple(dict.fromkeys(first.extended_errors + rest.extended_errors)),
        ttl=min(ttls) if ttls else None,
        unfinished=rest.unfinished and not loop,
    )


def chain_too_long(outcome: Outcome, reason: str) -> Outcome:
    """Return ``outcome`` as the failure of a chain that no resolver would follow either; theirs say SERVFAIL then."""
    return replace(outcome, status=DnsStatus.SERVFAIL, unfinished=False, explained=True, detail=reason)


def merge_families(outcomes: Sequence[Outcome], duration: float = 0.0) -> DnsAnswer:
    """Return the outcomes of A and AAAA (or of one of them) as one answer; A addresses come first. ``duration`` is seconds.

    Addresses of one family count even where the other family failed. NXDOMAIN is for the whole name (RFC 8020), but
    a server that says NODATA for the other type contradicts itself, and then the name exists.
    """
    addresses: tuple[str, ...] = ()
    errors: tuple[tuple[int, str], ...] = ()
    authenticated = True
    chosen: Outcome | None = None
    failed: list[Outcome] = []
    for outcome in outcomes:
        errors += outcome.extended_errors
        if outcome.addresses:
            addresses += outcome.addresses
            chosen = chosen or outcome
        if outcome.status not in SETTLED_STATUSES:
            failed.append(outcome)
        elif not outcome.authenticated:
            authenticated = False
    if chosen is None:
        return _merge_without_addresses(outcomes, failed, errors, duration)
    return DnsAnswer(
        DnsStatus.NOERROR,
        tuple(dict.fromkeys(addresses)) if len(addresses) > 1 else addresses,
        chosen.cname,
        authenticated=authenticated,
        extended_errors=tuple(dict.fromkeys(errors)) if errors else (),
        resolver=chosen.resolver,
        detail="; ".join(map(_other_family_failed, failed)) if failed else None,
        duration=duration,
    )


def _merge_without_addresses(
    outcomes: Sequence[Outcome], failed: Sequence[Outcome], errors: tuple[tuple[int, str], ...], duration: float
) -> DnsAnswer:
    by_status = {outcome.status: outcome for outcome in reversed(outcomes)}
    if by_status.keys() == {DnsStatus.NXDOMAIN, DnsStatus.NODATA}:
        chosen = by_status[DnsStatus.NODATA]
        detail: str | None = "one family's question got NXDOMAIN, the other's NODATA"
    else:
        # A failure beside NODATA leaves open whether there is an address: the failure is the answer.
        chosen = by_status.get(DnsStatus.NXDOMAIN) or min(
            failed or outcomes[:1], key=lambda outcome: _RANK[outcome.status]
        )
        detail = chosen.detail
    return DnsAnswer(
        chosen.status,
        cname=max((chosen.cname, *(outcome.cname for outcome in outcomes)), key=len),
        loop=any(outcome.loop for outcome in outcomes),
        authenticated=all(outcome.authenticated for outcome in outcomes),
        extended_errors=tuple(dict.fromkeys(errors)),
        resolver=chosen.resolver,
        detail=detail or None,
        duration=duration,
    )


def _other_family_failed(outcome: Outcome) -> str:
    detail = f" ({outcome.detail})" if outcome.detail else ""
    return f"the other family's question failed: {outcome.status.value}{detail}"


def time_to_live(outcomes: Sequence[Outcome]) -> int | None:
    """Return the seconds that the merged answer may be kept; ``None`` where something failed, which may pass any moment."""
    ttl = message_wire.MAX_TTL
    for outcome in outcomes:
        if outcome.status not in SETTLED_STATUSES:
            return None
        if outcome.ttl is not None and outcome.ttl < ttl:
            ttl = outcome.ttl
    return ttl if ttl < message_wire.MAX_TTL else 0


def bytes_of(_key: object, answer: DnsAnswer | Outcome) -> int:
    """Return about how much memory an answer takes: most have a few addresses and 700 bytes."""
    size = 700 + 64 * len(answer.addresses) + 300 * len(answer.cname)
    if answer.extended_errors:
        size += sum([80 + len(text) for _, text in answer.extended_errors])
    return size if isinstance(answer, DnsAnswer) else size + sum([80 + len(data) for data in answer.records])
