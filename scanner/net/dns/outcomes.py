"""What the replies to one question, and to the two questions about one name, amount to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scanner.model.evidence import DnsAnswer, DnsStatus
from scanner.net.dns import message_wire as dns_wire
from scanner.net.dns.message_wire import Answer
from scanner.net.dns.udp_channel import Failure
from scanner.net.dns.upstream import Reply

# RFC 8914 section 4: DNSSEC Bogus, Signature Expired, Signature Not Yet Valid, DNSKEY Missing, RRSIGs Missing,
# No Zone Key Bit Set, NSEC Missing. (1, 2 and 5 say that nothing could be validated, which is no failure.)
DNSSEC_ERRORS: Final = frozenset(range(6, 13))

_STATUS: Final = {
    dns_wire.FORMERR: DnsStatus.FORMERR,
    dns_wire.SERVFAIL: DnsStatus.SERVFAIL,
    dns_wire.NXDOMAIN: DnsStatus.NXDOMAIN,
    dns_wire.NOTIMP: DnsStatus.NOTIMP,
    dns_wire.REFUSED: DnsStatus.REFUSED,
}
SETTLED: Final = frozenset({DnsStatus.NOERROR, DnsStatus.NODATA, DnsStatus.NXDOMAIN})
# Of several failures the one that says most: a server's word before silence, silence before nobody there.
_TELLING: Final = (
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
_RANK: Final = {status: rank for rank, status in enumerate(_TELLING)}


class Outcome(Struct, frozen=True):
    """How one question ended. ``unfinished`` says that the answer stops at a CNAME whose target was not looked up.

    ``explained`` says that a failure is our own word for something known, so that nobody needs to be asked about it.
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
        """The DNS has spoken: asking again would bring the same."""
        return self.status in SETTLED

    def more_telling_than(self, other: Outcome | None) -> bool:
        """Whether this one is to be kept of the two."""
        return other is None or _RANK[self.status] < _RANK[other.status]


def outcome_of(reply: Reply, resolver: str) -> Outcome:
    """What one reply says by itself."""
    if isinstance(reply, Failure):
        return Outcome(reply.status, resolver=resolver, detail=reply.detail)
    detail = None
    if reply.rcode == dns_wire.NOERROR:
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
    return Outcome(
        status,
        reply.addresses,
        reply.cname,
        reply.loop,
        reply.authenticated,
        reply.extended_errors,
        resolver,
        _ttl(reply),
        detail,
        # With an SOA the server proves that the end of the chain has no such record; without one it may just have
        # stopped where its own data ends, as servers do that do not recurse for the last name.
        status is DnsStatus.NODATA and bool(reply.cname) and not reply.loop and reply.negative_ttl is None,
        records=reply.records,
    )


def at_once(replies: Sequence[Reply], resolver: str, duration: float) -> tuple[DnsAnswer, int] | None:
    """What :func:`combined` and :func:`time_to_live` make of replies that hold addresses and leave no question.

    Most names end here, without an outcome for each question. ``None`` where there is more to say of them.
    """
    addresses: tuple[str, ...] = ()
    cname: tuple[str, ...] = ()
    errors: tuple[tuple[int, str], ...] = ()
    authenticated = True
    ttl = dns_wire.MAX_TTL
    for reply in replies:
        if not isinstance(reply, Answer) or reply.rcode != dns_wire.NOERROR or reply.loop or reply.referral:
            return None
        if reply.addresses:
            if not addresses:
                cname = reply.cname
            addresses += reply.addresses
        elif reply.cname and reply.negative_ttl is None:
            return None
        if not reply.flags & dns_wire.FLAG_AD:
            authenticated = False
        if reply.extended_errors:
            errors += reply.extended_errors
        if reply.ttl is not None and reply.ttl < ttl:
            ttl = reply.ttl
        if reply.negative_ttl is not None and reply.negative_ttl < ttl:
            ttl = reply.negative_ttl
    if not addresses:
        return None
    if len(addresses) > 1:
        addresses = tuple(dict.fromkeys(addresses))
    answer = DnsAnswer(
        DnsStatus.NOERROR,
        addresses,
        cname,
        authenticated=authenticated,
        extended_errors=tuple(dict.fromkeys(errors)),
        resolver=resolver,
        duration=duration,
    )
    return answer, ttl if ttl < dns_wire.MAX_TTL else 0


def _ttl(answer: Answer) -> int | None:
    known = [ttl for ttl in (answer.ttl, answer.negative_ttl) if ttl is not None]
    return min(known) if known else None


def continued(first: Outcome, rest: Outcome, asked: str) -> Outcome:
    """``first`` stopped at the end of its chain; ``rest`` is what asking for that name brought. ``asked`` is the first name."""
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


def complete(outcomes: Sequence[Outcome | None], problem: str | None = None) -> list[Outcome]:
    """An outcome for each question, also where nobody could be asked."""
    return [outcome or Outcome(DnsStatus.UNREACHABLE, detail=problem) for outcome in outcomes]


def given_up(outcome: Outcome, why: str) -> Outcome:
    """A chain that no resolver would follow either; theirs say SERVFAIL then."""
    return replace(outcome, status=DnsStatus.SERVFAIL, unfinished=False, explained=True, detail=why)


def combined(outcomes: Sequence[Outcome], duration: float = 0.0) -> DnsAnswer:
    """The outcomes of A and AAAA (or of one of them) as one record; A addresses come first. ``duration`` is seconds.

    Addresses of one family count even where the other family failed. NXDOMAIN speaks for the whole name (RFC 8020), but
    a server that says NODATA for the other type contradicts itself, and then the name exists.
    """
    first = outcomes[0]
    with_addresses = [outcome for outcome in outcomes if outcome.addresses]
    if with_addresses:
        failed = [outcome for outcome in outcomes if not outcome.settled]
        detail = "; ".join(
            f"the other family's question failed: {o.status.value}" + (f" ({o.detail})" if o.detail else "")
            for o in failed
        )
        chosen, used = with_addresses[0], [outcome for outcome in outcomes if outcome.settled]
        status = DnsStatus.NOERROR
    else:
        statuses = {outcome.status for outcome in outcomes}
        if statuses == {DnsStatus.NXDOMAIN, DnsStatus.NODATA}:
            chosen = next(o for o in outcomes if o.status is DnsStatus.NODATA)
            detail = "one family's question got NXDOMAIN, the other's NODATA"
        elif DnsStatus.NXDOMAIN in statuses:
            chosen = next(o for o in outcomes if o.status is DnsStatus.NXDOMAIN)
            detail = chosen.detail or ""
        else:
            # A failure beside NODATA leaves open whether there is an address: the failure is the answer.
            failures = [outcome for outcome in outcomes if not outcome.settled]
            chosen = failures[0] if failures else first
            for outcome in failures:
                if outcome.more_telling_than(chosen):
                    chosen = outcome
            detail = chosen.detail or ""
        used, status = list(outcomes), chosen.status
    return DnsAnswer(
        status=status,
        addresses=tuple(dict.fromkeys([address for outcome in with_addresses for address in outcome.addresses])),
        cname=max((chosen.cname, *(o.cname for o in used if not with_addresses)), key=len),
        loop=not with_addresses and any(outcome.loop for outcome in outcomes),
        authenticated=all(outcome.authenticated for outcome in used),
        extended_errors=tuple(dict.fromkeys([error for outcome in outcomes for error in outcome.extended_errors])),
        resolver=chosen.resolver,
        detail=detail or None,
        duration=duration,
    )


def time_to_live(outcomes: Sequence[Outcome]) -> int | None:
    """Seconds that the combined answer may be kept; ``None`` where something failed, which may be over the next moment."""
    ttl = dns_wire.MAX_TTL
    for outcome in outcomes:
        if not outcome.settled:
            return None
        if outcome.ttl is not None and outcome.ttl < ttl:
            ttl = outcome.ttl
    return ttl if ttl < dns_wire.MAX_TTL else 0


def bytes_of(_key: object, answer: DnsAnswer | Outcome) -> int:
    """Return about how much memory an answer takes: most have a few addresses and 700 bytes."""
    size = 700 + 64 * len(answer.addresses) + 300 * len(answer.cname)
    if answer.extended_errors:
        size += sum([80 + len(text) for _, text in answer.extended_errors])
    return size if isinstance(answer, DnsAnswer) else size + sum([80 + len(data) for data in answer.records])
