"""Whether CAA allows the CA that issued the certificate (RFC 8659), by a table of CAs and their CAA names.

CAA binds a CA at the moment of issuance only; a set that forbids the issuer today says that the next renewal will
fail, or that somebody else ordered the certificate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.diagnosis.case import Case
from scanner.diagnosis.claim import Claim
from scanner.shipped import shipped

# Properties that every CA knows or may pass over (registry "Certification Authority Restriction Properties").
KNOWN_TAGS: Final = frozenset(
    ("issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc", "auth", "path", "policy")
)
CRITICAL: Final = 128

_ORGANIZATION: Final = re.compile(r"(?:^|[,+])\s*O=((?:\\.|[^,+\\])*)", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"\\(.)")
# issuer-domain-name of RFC 8659 section 4.2
_DOMAIN: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"  # compiled when it is wanted


class CaaIdentity(Struct, frozen=True):
    """A CA of the table."""

    name: str
    organizations: tuple[str, ...]
    domains: frozenset[str]


@cache
def authorities() -> tuple[CaaIdentity, ...]:
    """Return the table ``scanner/data/caa-issuers.toml``."""
    import tomllib  # the table is read where a public CA issued

    table = tomllib.loads(shipped("caa-issuers.toml").decode())
    return tuple(
        CaaIdentity(ca["name"], tuple(text.casefold() for text in ca["organization"]), frozenset(ca["domains"]))
        for ca in table["ca"]
    )


@bounded_memo(4096, 512)
def authority_of(issuer: str) -> CaaIdentity | None:
    """Return the CA of the table whose organization is in ``issuer`` (RFC 4514 text)."""
    for found in _ORGANIZATION.finditer(issuer):
        organization = _value(found[1]).casefold()
        matches = [
            (len(prefix), authority)
            for authority in authorities()
            for prefix in authority.organizations
            if organization == prefix or organization.startswith((prefix + " ", prefix + ",", prefix + "."))
        ]
        if matches:
            return max(matches, key=lambda match: match[0])[1]
    return None


def _organization(issuer: str) -> str:
    """Return the organization in ``issuer`` (RFC 4514 text), or all of it where it has none."""
    found = _ORGANIZATION.search(issuer)
    return issuer if found is None else _value(found[1])


def _value(text: str) -> str:
    return _ESCAPE.sub(r"\1", text).strip().strip('"')


def caa_claims(case: Case) -> Iterator[Claim]:
    """Yield ``caa-forbids-issuer`` if the CAA set that governs the certificate at this address forbids its CA."""
    answer, verdict = case.evidence.dns, case.verdict
    if answer is None or not answer.caa or verdict is None or verdict.leaf is None or not verdict.publicly_trusted:
        return
    if verdict.name is None or not verdict.name.matches:
        return
    owner = answer.caa_owner or case.target.host
    wildcard = (verdict.name.matched_by or "").startswith("*.")
    if wildcard and owner.rstrip(".").lower() == case.target.host.rstrip(".").lower():
        # Issuance of a wildcard looks at its base domain and above, never at a name below it.
        return
    allowed = _allowed(answer.caa, wildcard=wildcard)
    authority = authority_of(verdict.leaf.issuer)
    if authority is None:
        if allowed == frozenset():  # nobody, whatever the CA calls itself
            ca = _organization(verdict.leaf.issuer)
            yield Claim("caa-forbids-issuer", {"ca": ca, "issuer": verdict.leaf.issuer, "owner": owner, "allowed": []})
        return
    facts = {
        "ca": authority.name,
        "ca_domains": sorted(authority.domains),
        "issuer": verdict.leaf.issuer,
        "owner": owner,
    }
    for flags, tag, _ in answer.caa:
        if flags & CRITICAL and tag.lower() not in KNOWN_TAGS:
            yield Claim("caa-forbids-issuer", {**facts, "critical": tag})
            return
    if allowed is not None and not allowed & authority.domains:
        yield Claim("caa-forbids-issuer", {**facts, "allowed": sorted(allowed)})


def _allowed(records: tuple[tuple[int, str, str], ...], *, wildcard: bool) -> frozenset[str] | None:
    """Return the issuer domains that the set allows; ``None`` if it restricts nothing (RFC 8659 sections 4.2 and 4.3)."""
    for tag in ("issuewild", "issue") if wildcard else ("issue",):
        values = [value for _, name, value in records if name.lower() == tag]
        if values:
            return frozenset(domain for value in values if (domain := _domain(value)))
    return None


def _domain(value: str) -> str | None:
    name = value.strip().strip('"').partition(";")[0].strip().rstrip(".")
    return name.lower() if re.fullmatch(_DOMAIN, name, re.IGNORECASE) else None
