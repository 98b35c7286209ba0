"""Rules on certificates: the judges' verdicts (``scanner.trust``) weighed, without saying anything twice.

What is wrong with the leaf alone holds whatever a store says. Of the stores, one that trusts the chain as it was sent
is enough; where none does, what stops each path is named; where they disagree, that is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.parts import ChainSetting
from scanner.diagnosis.rules.clock import resting_on
from scanner.model.evidence import FetchedIssuer
from scanner.times import DAY, TIME_CODES, moment
from scanner.trust.certificate_rules import usages
from scanner.trust.client_algorithms import EVERYBODY
from scanner.trust.verdicts import ChainVerdict, Problem, StoreVerdict
from scanner.x509.certificate import Certificate
from scanner.x509.extensions import KEY_ENCIPHERMENT

BROWSERS: Final = frozenset({"chrome", "firefox", "safari"})
# Clients whose refusal alone is a warning
_WARNED: Final = frozenset({"gnutls"})
# The judge's names of clients as a person writes them
SHOWN: Final[Mapping[str, str]] = {
    "openssl": "OpenSSL",
    "python": "Python",
    "node": "Node",
    "go": "Go",
    "java": "Java",
    "chrome": "Chrome",
    "firefox": "Firefox",
    "gnutls": "GnuTLS",
}
# The usual warning: certificates of a year were renewed a month ahead; those of 47 days and less, at two thirds.
DEFAULT_WARNING_DAYS: Final = 30.0
DEFAULT_WARNING_SHARE: Final = 1 / 3

# A code that, once it holds, makes others mere consequences of itself: they are not said.
CONSEQUENCES: Final[Mapping[str, frozenset[str]]] = {
    "self-signed-leaf": frozenset(
        ("untrusted-root", "issuer-unknown", "intermediate-not-sent", "intermediate-unobtainable", "issuer-not-a-ca", "root-sent")
    ),
    "untrusted-root": frozenset(("issuer-unknown", "intermediate-unobtainable", "root-sent")),
    "intermediate-not-sent": frozenset(("issuer-unknown", "intermediate-unobtainable")),
    "intermediate-unobtainable": frozenset(("issuer-unknown",)),
    "bad-signature": frozenset(("issuer-unknown", "intermediate-unobtainable")),
    "unsupported-algorithm": frozenset(("issuer-unknown", "intermediate-unobtainable")),
    "certificate-expired": frozenset(("expires-soon",)),
}  # fmt: skip


def certificate_claims(chain: ChainVerdict, setting: ChainSetting) -> Iterator[Claim]:
    """Yield everything that the certificates of a chain show, but for the name in them."""
    if not chain.sent:
        return
    if chain.leaf is not None and setting.transports_key:
        yield from _transport_claims(chain.leaf)
    if not chain.leaf_problems and not chain.chain_problems and all(store.trusted for store in chain.stores.values()):
        if chain.leaf is not None:  # as most are
            yield from expires_soon(chain.leaf, setting)
        return
    # of several certificates with one fault, the one that most clients refuse proves it
    claims = sorted(_claims(chain, setting), key=lambda claim: -len(claim.evidence.get("refused_by") or SHOWN))
    implied = {code for claim in claims for code in CONSEQUENCES.get(claim.code, ())}
    yield from (claim for claim in claims if claim.code not in implied)


def _claims(chain: ChainVerdict, setting: ChainSetting) -> Iterator[Claim]:
    by_hash = {certificate.sha256: certificate for certificate in chain.sent if certificate is not None}
    of_leaf = {(problem.code, problem.certificate) for problem in chain.leaf_problems}
    for problem in chain.leaf_problems:
        if problem.code == "self-signed-leaf" and chain.trusted:
            continue  # this very certificate is an anchor of some store
        if problem.code == "validity-too-long" and not setting.public:
            continue
        if problem.evidence.get("missing") == "digitalSignature" and setting.transports_key:
            continue  # what is signed with is not asked for
        yield _from_problem(chain, setting, problem, by_hash, chain.leaf)
    yield from _store_claims(chain, setting, by_hash, of_leaf)
    for problem in chain.chain_problems:
        place = setting.negotiation.leaf_position
        if 0 < place < len(chain.sent):  # the chain was judged with the leaf first
            if problem.code == "chain-misordered":
                continue  # reported with what it leads to: that clients take another certificate for the leaf
            problem = Problem(problem.code, problem.certificate, _as_sent(problem.evidence, place))
        yield _from_problem(chain, setting, problem, by_hash, None)
    if chain.leaf is not None:
        yield from expires_soon(chain.leaf, setting)


def _as_sent(evidence: Mapping[str, Any], leaf_position: int) -> dict[str, Any]:
    """Return the evidence with places among the certificates as they were sent, where the leaf was not first."""
    changed = dict(evidence)
    position = evidence.get("position")
    if isinstance(position, int) and 0 < position <= leaf_position:
        changed["position"] = position - 1
    if "extras" in evidence:
        changed["extras"] = [_as_sent(extra, leaf_position) for extra in evidence["extras"]]
    return changed


def _transport_claims(leaf: Certificate) -> Iterator[Claim]:
    """Yield ``wrong-key-usage`` if RSA key transport lacks keyEncipherment, on which some clients insist."""
    if leaf.key_type == "rsa" and leaf.key_usage is not None and not leaf.key_usage & KEY_ENCIPHERMENT:
        yield Claim(
            "wrong-key-usage",
            {
                "certificate": leaf.sha256,
                "subject": leaf.subject or "(empty subject)",
                "issuer": leaf.issuer or "(empty issuer)",
                "leaf": True,
                "key_usage": usages(leaf),
                "missing": "keyEncipherment",
                "refused_by": ["Java", "Chrome", "GnuTLS"],
            },
        )


# --- stores --------------------------------------------------------------------------------------


def _store_claims(
    chain: ChainVerdict,
    setting: ChainSetting,
    by_hash: Mapping[str, Certificate],
    of_leaf: Collection[tuple[str, str | None]],
) -> Iterator[Claim]:
    stores = chain.stores
    if not stores:
        return
    left = {name: _left(store, of_leaf) for name, store in stores.items()}
    content = [name for name, problems in left.items() if not problems]
    if content:
        refusing = {name: problems for name, problems in left.items() if problems}
        if refusing:
            yield Claim(
                "store-differs",
                {
                    "trusted_by": content,
                    "refused_by": list(refusing),
                    "reasons": {name: [problem.code for problem in problems] for name, problems in refusing.items()},
                },
            )
        return
    for name, problems in left.items():
        for problem in problems:
            claim = _from_problem(chain, setting, problem, by_hash, chain.leaf if problem.certificate is None else None)
            common: dict[str, Any] = {"stores": list(stores)}
            if stores[name].path:
                common["path"] = list(stores[name].path)
            breaking = problem.evidence.get("authority", problem.certificate)
            if breaking is not None and breaking == stores[name].anchor:
                common["anchor"] = True
            yield Claim(claim.code, {**claim.evidence, **common}, claim.severity)


def _left(store: StoreVerdict, of_leaf: Collection[tuple[str, str | None]]) -> list[Problem]:
    """Return what stops this store's path, without what is wrong with the leaf anyway."""
    if store.trusted:
        return []
    return [
        problem
        for problem in store.problems
        if (problem.code, problem.certificate) not in of_leaf and problem.code in CODES
    ]


# --- problems into claims ------------------------------------------------------------------------


def _from_problem(
    chain: ChainVerdict,
    setting: ChainSetting,
    problem: Problem,
    by_hash: Mapping[str, Certificate],
    default: Certificate | None,
) -> Claim:
    """Return the verifier's problem with the facts of the certificate it names; what the verifier says itself wins."""
    certificate = by_hash.get(problem.certificate) if problem.certificate is not None else default
    evidence: dict[str, Any] = {}
    if problem.certificate is not None:
        evidence["certificate"] = problem.certificate
    if certificate is not None:
        evidence.update(_facts(certificate, problem.code, setting.at, public=chain.publicly_trusted))
        evidence["leaf"] = chain.leaf is not None and certificate.sha256 == chain.leaf.sha256
    evidence.update(problem.evidence)
    if problem.code in TIME_CODES:
        evidence.update(resting_on(setting.clock))
    if problem.code == "intermediate-unobtainable":
        evidence.update(_asked(setting.issuers, problem.certificate))
    arrange = _ARRANGE.get(problem.code)
    if arrange is not None:
        evidence.update(arrange(evidence, certificate))
    refusing = evidence.get("refused_by")
    if refusing:
        evidence["refused_by"] = [SHOWN.get(client, client) for client in refusing]
    if refusing and not setting.browsers and BROWSERS.issuperset(refusing):
        return Claim(problem.code, evidence, "note")
    if refusing and _WARNED.issuperset(refusing):
        return Claim(problem.code, evidence, "warning")
    if refusing and problem.code == "too-costly-to-judge":
        return Claim(problem.code, evidence, "error")
    return Claim(problem.code, evidence)


def _missing(evidence: Mapping[str, Any], _: Certificate | None) -> dict[str, Any]:
    missing = [entry for entry in evidence.get("missing", ()) if isinstance(entry, Mapping)]
    facts: dict[str, Any] = {
        "missing_subjects": [entry.get("subject") for entry in missing],
        "completed_from": sorted({str(entry.get("from")) for entry in missing}),
    }
    urls = evidence.get("aia")
    if urls and isinstance(urls, list | tuple):
        facts["urls"] = list(urls)
    return facts


def _asked(issuers: Sequence[FetchedIssuer], certificate: str | None) -> dict[str, Any]:
    """Return the answers of the addresses where the certificate says that its issuer is published, if they were asked."""
    answers = [
        {"url": asked.url, "error": asked.error or "what is there leads to no anchor"}
        for asked in issuers
        if asked.certificate == certificate
    ]
    return {"fetched": True, "answers": answers} if answers else {"fetched": False}


def _unobtainable(evidence: Mapping[str, Any], _: Certificate | None) -> dict[str, Any]:
    urls = list(evidence.get("aia", ()))
    if not urls:
        return {}
    return {"published_at" if evidence.get("fetched") is False else "urls": urls}


def _root(evidence: Mapping[str, Any], certificate: Certificate | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"root_sent": certificate is not None}
    since = evidence.get("distrusted_for_certificates_from")
    if isinstance(since, (int, float)):
        facts["distrusted_since"] = moment(since)
    return facts


def _flaws(evidence: Mapping[str, Any], _: Certificate | None) -> dict[str, Any]:
    return {"reason": evidence.get("error") or evidence.get("flaws")}


def _dead_end(evidence: Mapping[str, Any], _: Certificate | None) -> dict[str, Any]:
    position = evidence.get("position")
    if not isinstance(position, int):
        return {}
    # numbered as a person counts what the server sends, the leaf being the first
    return {"place": position + 1, "leave_out": evidence.get("certificate")}


def _extras(evidence: Mapping[str, Any], _: Certificate | None) -> dict[str, Any]:
    extras = [entry for entry in evidence.get("extras", ()) if isinstance(entry, Mapping)]
    return {"extra_count": len(extras), "extra_subjects": [entry.get("subject") or "unreadable" for entry in extras]}


_HASHES: Final = {"sha1": "SHA-1", "md5": "MD5", "md4": "MD4", "md2": "MD2"}


def _weak_signature(evidence: Mapping[str, Any], _: Certificate | None) -> dict[str, Any]:
    signature = str(evidence.get("signature")).lower()
    hash = next((shown for name, shown in _HASHES.items() if name in signature), "")
    # Java refuses SHA-1 only below the roots that it brings itself (jdk.certpath.disabledAlgorithms)
    takes = {"java"} if hash == "SHA-1" and not evidence.get("publicly_trusted") else set()
    return {"hash": hash, "refused_by": [client for client in EVERYBODY if client not in takes]}


# What a summary needs beside what the judge says
_ARRANGE: Final[Mapping[str, Callable[[Mapping[str, Any], Certificate | None], dict[str, Any]]]] = {
    "intermediate-not-sent": _missing,
    "intermediate-unobtainable": _unobtainable,
    "untrusted-root": _root,
    "malformed-certificate": _flaws,
    "weak-signature": _weak_signature,
    "chain-has-extras": _extras,
    "path-not-found-by-all": _dead_end,
}


def _facts(certificate: Certificate, code: str, at: float, *, public: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "certificate": certificate.sha256,
        "subject": certificate.subject or "(empty subject)",
        "issuer": certificate.issuer or "(empty issuer)",
    }
    if code in ("certificate-expired", "intermediate-expired") and certificate.not_after < at:
        facts["not_after"] = moment(certificate.not_after)
        facts["days"] = int((at - certificate.not_after) / DAY)
    elif code in ("certificate-not-yet-valid", "intermediate-expired") and certificate.not_before > at:
        facts["not_before"] = moment(certificate.not_before)
        facts["days"] = int((certificate.not_before - at) / DAY) + 1
    elif code == "weak-key":
        facts["key"] = certificate.key
    elif code == "weak-signature":
        facts["signature"] = certificate.signature
        facts["publicly_trusted"] = public
    elif code == "path-length-exceeded":
        facts["path_length"] = certificate.path_length
    return facts


# --- lifetime ------------------------------------------------------------------------------------


def warned_before(leaf: Certificate, days: float | None) -> float:
    """Return for how many seconds before its end a leaf expires soon; ``days`` is the option of the run, if it is given."""
    if days is not None:
        return days * DAY
    return min(DEFAULT_WARNING_DAYS * DAY, (leaf.not_after - leaf.not_before) * DEFAULT_WARNING_SHARE)


def expires_soon(leaf: Certificate, setting: ChainSetting) -> Iterator[Claim]:
    """Yield ``expires-soon`` if the leaf is valid, and not for long."""
    at = setting.at
    lifetime = leaf.not_after - leaf.not_before
    if leaf.not_before <= at <= leaf.not_after:
        left = leaf.not_after - at
        if left < warned_before(leaf, setting.expiry_warning_days):
            yield Claim(
                "expires-soon",
                {
                    "certificate": leaf.sha256,
                    "subject": leaf.subject or "(empty subject)",
                    "not_after": moment(leaf.not_after),
                    "days_left": int(left / DAY),
                    "lifetime_days": round(lifetime / DAY, 1),
                    "lifetime_left_percent": round(100 * left / lifetime) if lifetime > 0 else 0,
                },
            )
