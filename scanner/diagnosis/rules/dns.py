"""Rules on resolving the name: what DNS answered, and what its answer means (RFC 1034, RFC 2308, RFC 8914)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, Final

from scanner.caching import bounded_memo
from scanner.diagnosis.case import Context
from scanner.diagnosis.claim import Claim
from scanner.model.evidence import DnsAnswer, DnsStatus, Evidence

# Names below these are not public: RFC 6761, RFC 6762, RFC 7686, RFC 8375, ICANN's "internal", and common home-made ones.
PRIVATE_SUFFIXES: Final = frozenset(
    "test example invalid localhost local internal onion alt arpa "
    "lan intranet corp home private localdomain domain workgroup".split()
)
# Addresses that only one network can reach: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291, RFC 1122.
PRIVATE_NETWORKS: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"),
        *("0.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128", "::/128"),
    )
)
_OCTETS_OF_PRIVATE: Final = frozenset(
    str(number)
    for network in PRIVATE_NETWORKS
    if network.version == 4
    for number in range(network.network_address.packed[0], network.broadcast_address.packed[0] + 1)
)
# IPv6 text that begins otherwise has a first group that is neither 0 nor fc00 and above
_FIRST_OF_PRIVATE: Final = frozenset(":0fF")


def dns_claims(evidence: Evidence, context: Context) -> Sequence[Claim]:
    """Return what resolving the name shows, whatever the addresses answered."""
    answer = evidence.dns
    if answer is None:
        return ()
    failure = _failure(evidence.target.host, answer)
    if failure is not None:
        return (failure,)
    if not context.public or answer.source != "dns" or not is_public_name(evidence.target.host):
        return ()
    private = [address for address in answer.addresses if is_private(address)]
    return (Claim("private-address", {"addresses": private}),) if private else ()


def _failure(host: str, answer: DnsAnswer) -> Claim | None:
    if answer.status is DnsStatus.NOERROR and answer.addresses and not answer.loop:
        return None  # as nearly all
    facts = _facts(answer)
    if answer.loop:
        return Claim("cname-loop", {**facts, "chain": " -> ".join((host, *answer.cname))})
    if answer.bogus and answer.status not in (DnsStatus.NOERROR, DnsStatus.NODATA):
        return Claim("dnssec-bogus", facts)
    if answer.status is DnsStatus.NOERROR:
        return Claim("no-address", facts)
    if answer.status is DnsStatus.NXDOMAIN and answer.cname:
        return Claim("dangling-cname", facts)
    return Claim(_CODES.get(answer.status, "servfail"), facts)


_CODES: Final = {
    DnsStatus.NODATA: "no-address",
    DnsStatus.NXDOMAIN: "nxdomain",
    DnsStatus.REFUSED: "refused",
    DnsStatus.TIMEOUT: "dns-timeout",
    DnsStatus.UNREACHABLE: "dns-timeout",
}


def _facts(answer: DnsAnswer) -> dict[str, Any]:
    facts: dict[str, Any] = {"status": answer.status.value}
    if answer.resolver:
        facts["resolver"] = answer.resolver
    if answer.cname:
        facts["cname"] = list(answer.cname)
        facts["last"] = answer.cname[-1]
    if answer.extended_errors:
        facts["extended_errors"] = [{"code": code, "text": text} for code, text in answer.extended_errors]
        code, text = answer.extended_errors[0]
        facts["extended_error"] = f"{EXTENDED_ERRORS.get(code, f'extended error {code}')}{': ' + text if text else ''}"
    if answer.detail:
        facts["detail"] = answer.detail
    return facts


# Registry "Extended DNS Error Codes" (RFC 8914 section 5.2)
EXTENDED_ERRORS: Final = {
    0: "other", 1: "unsupported DNSKEY algorithm", 2: "unsupported DS digest type", 3: "stale answer", 4: "forged answer",
    5: "DNSSEC indeterminate", 6: "DNSSEC bogus", 7: "signature expired", 8: "signature not yet valid",
    9: "DNSKEY missing", 10: "RRSIGs missing", 11: "no zone key bit set", 12: "NSEC missing", 13: "cached error",
    14: "not ready", 15: "blocked", 16: "censored", 17: "filtered", 18: "prohibited", 19: "stale NXDOMAIN answer",
    20: "not authoritative", 21: "not supported", 22: "no reachable authority", 23: "network error", 24: "invalid data",
    25: "signature expired before valid", 26: "too early", 27: "unsupported NSEC3 iterations value",
    28: "unable to conform to policy", 29: "synthesized",
}  # fmt: skip


def is_public_name(host: str) -> bool:
    """Return whether ``host`` is a name of the public DNS: more than one label, and not below a name kept for private use."""
    name = host.rstrip(".")
    return "." in name and ":" not in name and name.rpartition(".")[2].lower() not in PRIVATE_SUFFIXES


# A fleet has some thousand addresses; each is asked about once.
def is_private(address: str) -> bool:
    """Return whether only one network can reach ``address``; False if it is not an address."""
    # of those networks each begins with one of these, and most addresses with none
    if address[:1] not in _FIRST_OF_PRIVATE if ":" in address else address.partition(".")[0] not in _OCTETS_OF_PRIVATE:
        return False
    return _is_in_private_network(address)


@bounded_memo(8192, 64)
def _is_in_private_network(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == network.version and parsed in network for network in PRIVATE_NETWORKS)
