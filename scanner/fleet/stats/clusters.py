"""Shared causes: findings with one root, so that one repair mends many. The same expired intermediate, default certificate,
dead address, unknown issuer.

A root is a code and a key: what would be the same on every target that it hurts. Which that is hangs on the code.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from scanner.fleet.correlate.domains import host_of
from scanner.fleet.keys import domain_of, leaf_of

# Roots told apart. Beyond it those met once are dropped first: a root that hurts many is met again soon.
MAX_CLUSTERS: Final = 20_000
EXAMPLES: Final = 5
# Roots listed, the largest first.
MAX_LISTED: Final = 200
MAX_KEY: Final = 300
# Roots of one diagnosis: a name with many dead addresses shares each of them with others.
MAX_ROOTS: Final = 4


# (code, what the key is, key); a certificate's key is its SHA-256
Root = tuple[str, str, str]

# What the evidence of a diagnosis gives: (kind, key, name for people), none or some; what is beyond ``MAX_ROOTS`` counts nothing
_Found = Sequence[tuple[str, Any, Any]]
Rooting = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], _Found]


def _by_certificate(finding: Mapping[str, Any], _: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    """The certificate that the evidence names, which may be a CA's; else the one that was sent first."""
    sha256, subject = evidence.get("certificate"), evidence.get("subject") or evidence.get("common_name")
    if not isinstance(sha256, str):
        leaf = leaf_of(finding) or {}
        sha256, subject = leaf.get("sha256"), leaf.get("subject")
    found = [("certificate", sha256, subject)]
    if "also" in evidence:
        for other in islice(_items(evidence["also"]), MAX_ROOTS):
            found.append(("certificate", other.get("certificate"), other.get("subject") or other.get("common_name")))
    return found


def _by_address(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], _: Mapping[str, Any]) -> _Found:
    addresses = diagnosis.get("endpoints") or [one.get("address") for one in _items(finding.get("endpoints"))]
    return [("address", one, None) for one in addresses[:MAX_ROOTS]] if isinstance(addresses, list) else ()


def _by_addresses(_: Mapping[str, Any], diagnosis: Mapping[str, Any], __: Mapping[str, Any]) -> _Found:
    addresses = diagnosis.get("endpoints")
    if not isinstance(addresses, list):
        return ()
    return [("addresses", ", ".join(sorted([one for one in addresses if isinstance(one, str)])), None)]


def _by_domain(finding: Mapping[str, Any], _: Mapping[str, Any], __: Mapping[str, Any]) -> _Found:
    return [("domain", domain_of(finding), None)]


def _by_run(kind: str) -> Rooting:
    """The machine that scanned, or its network: one for each run."""

    def rooting(finding: Mapping[str, Any], _: Mapping[str, Any], __: Mapping[str, Any]) -> _Found:
        return [(kind, finding.get("run"), None)]

    return rooting


def _by_evidence(kind: str, *fields: str) -> Rooting:
    """The first field of the evidence that is there."""

    def rooting(_: Mapping[str, Any], __: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
        for field in fields:
            value = evidence.get(field)
            if isinstance(value, list) and value:
                value = value[0]
            if isinstance(value, str) and value:
                return [(kind, value, None)]
        return ()

    return rooting


def _by_missing(_: Mapping[str, Any], __: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    """The first certificate that the server leaves out."""
    for missing in _items(evidence.get("missing")):
        return [("certificate", missing.get("sha256"), missing.get("subject"))]
    return _MISSING_BY_NAME(_, __, evidence)


def _by_hosts(_: Mapping[str, Any], __: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    """Hosts of addresses in certificates from which nothing usable came."""
    found: list[tuple[str, Any, Any]] = []
    for source in _items(evidence.get("sources")):
        url = source.get("url")
        if isinstance(url, str) and source.get("status") not in ("good", "revoked"):
            found.append(("host", host_of(url), None))
            if len(found) == MAX_ROOTS:
                break
    return found


def _items(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


_MISSING_BY_NAME: Final = _by_evidence("issuer", "missing_subjects", "issuer")

# Codes whose root is neither a certificate that the evidence names nor the address at which it was seen
_ROOTINGS: Final[Mapping[str, Rooting]] = {
    **dict.fromkeys(("nxdomain", "no-address", "servfail", "refused", "dns-timeout", "dnssec-bogus"), _by_domain),
    **dict.fromkeys(("caa-forbids-issuer", "dane-mismatch"), _by_domain),
    **dict.fromkeys(("dangling-cname", "cname-loop"), _by_evidence("name", "last")),
    "private-address": _by_evidence("address", "addresses"),
    "revocation-blocked": _by_run("network of the run"),
    "local-clock-wrong": _by_run("clock of the run"),
    "endpoints-disagree": _by_addresses,
    **dict.fromkeys(("placeholder-certificate", "known-middlebox"), _by_evidence("product", "product")),
    "captive-portal": _by_evidence("page", "page"),
    "intermediate-not-sent": _by_missing,
    **dict.fromkeys(("issuer-unknown", "intermediate-unobtainable"), _by_evidence("issuer", "issuer")),
    **dict.fromkeys(("issuer-across-unrelated-names", "certificate-differs-by-path"), _by_evidence("issuer", "issuer")),
    "untrusted-root": _by_evidence("issuer", "root", "subject", "issuer"),
    "store-differs": _by_evidence("store", "refused_by"),
    **dict.fromkeys(("unknown-log", "log-retired", "sct-invalid"), _by_evidence("log", "log", "log_id")),
    "revocation-unknown": _by_hosts,
}
# Codes that are notes, and of one root behind many of which there should be word all the same: a dead host.
NOTES: Final = ("revocation-unknown",)


def is_rooted(code: str, severity: Any) -> bool:
    """Whether a root is sought for a diagnosis: for each error and warning, and for few notes."""
    return severity == "error" or severity == "warning" or code in NOTES


def rooting_of(code: str) -> Rooting | None:
    """What finds the roots of a code; ``None`` where that hangs on the evidence."""
    return _ROOTINGS.get(code)


def roots_of(finding: Mapping[str, Any]) -> dict[Root, str]:
    """The roots of each error and warning, with a name for people where the key is none."""
    found = finding.get("diagnoses")
    diagnoses = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    rootings = [
        (place, code[:MAX_KEY], rooting_of(code))
        for place, diagnosis in enumerate(diagnoses)
        if isinstance(code := diagnosis.get("code"), str) and is_rooted(code, diagnosis.get("severity"))
    ]
    return roots_among(finding, diagnoses, rootings)


def roots_among(
    finding: Mapping[str, Any],
    diagnoses: Sequence[Mapping[str, Any]],
    rootings: Iterable[tuple[int, str, Rooting | None]],
) -> dict[Root, str]:
    """The roots of some diagnoses, told by their place, code, and what ``rooting_of`` gives for that."""
    found: dict[Root, str] = {}
    for place, code, rooting in rootings:
        diagnosis = diagnoses[place]
        evidence = diagnosis.get("evidence")
        if type(evidence) is not dict:
            evidence = {}
        if rooting is None:
            rooting = _by_certificate if "certificate" in evidence else _by_address
        for kind, key, name in rooting(finding, diagnosis, evidence)[:MAX_ROOTS]:
            if key and type(key) is str:
                found[code, kind, key[:MAX_KEY]] = name[:MAX_KEY] if type(name) is str else ""
    return found


class Clusters:
    """The fold: how many targets share each root, and some of them by name."""

    def __init__(self) -> None:
        self._found: dict[Root, _Cluster] = {}
        self.complete = True  # no root was dropped to make room: all counts are exact

    def add(self, roots: Mapping[Root, str], target: str) -> None:
        """Count one target that has these roots; the examples are the alphabetically first, so that they do not depend on
        the order of files."""
        clusters = self._found
        for root, name in roots.items():
            cluster = clusters.get(root)
            if cluster is None:
                cluster = self._of(root)
                clusters = self._found
            cluster.targets += 1
            if name != cluster.name:
                cluster.call(name)
            examples = cluster.examples
            if len(examples) < EXAMPLES or target < examples[-1]:
                cluster.show(target)

    def _of(self, root: Root) -> _Cluster:
        cluster = self._found.get(root)
        if cluster is None:
            if len(self._found) >= MAX_CLUSTERS:
                self._shrink()
            cluster = self._found[root] = _Cluster()
        return cluster

    def _shrink(self) -> None:
        self.complete = False
        floor = 1
        while len(self._found) > MAX_CLUSTERS // 2:
            self._found = {root: cluster for root, cluster in self._found.items() if cluster.targets > floor}
            floor *= 2

    def merge(self, other: Clusters) -> None:
        """Add what ``other`` counted."""
        self.complete = self.complete and other.complete
        for root, theirs in other._found.items():
            self._of(root).merge(theirs)

    def to_json(self, count: int = MAX_LISTED) -> list[dict[str, Any]]:
        """Roots that more than one target shares, the largest first; examples in alphabetical order."""
        shared = [(root, cluster) for root, cluster in self._found.items() if cluster.targets > 1]
        shared.sort(key=lambda item: (-item[1].targets, item[0]))
        return [
            {
                "code": code,
                "kind": kind,
                "key": key,
                **({"name": cluster.name} if cluster.name else {}),
                "targets": cluster.targets,
                "examples": list(cluster.examples),
            }
            for (code, kind, key), cluster in shared[: min(count, MAX_LISTED)]
        ]


class _Cluster:
    __slots__ = ("examples", "name", "targets")

    def __init__(self) -> None:
        self.targets = 0
        self.name = ""
        self.examples: list[str] = []  # in alphabetical order

    def merge(self, other: _Cluster) -> None:
        self.targets += other.targets
        self.call(other.name)
        for target in other.examples:
            self.show(target)

    def show(self, target: str) -> None:
        """Take a target among the examples, if it is one of the first."""
        if target not in self.examples:
            insort(self.examples, target)
            del self.examples[EXAMPLES:]

    def call(self, name: str) -> None:
        """Give it this name, unless it has one that is before it in the alphabet."""
        if name and (not self.name or name < self.name):
            self.name = name


def target_of(finding: Mapping[str, Any]) -> str:
    """A target by host and port, as examples name it."""
    target = finding.get("target")
    if not isinstance(target, dict):
        return ""
    host, port = target.get("host"), target.get("port")
    if type(host) is not str or type(port) is not int or len(host) > MAX_KEY:
        host, port = str(host)[:MAX_KEY], str(port)[:MAX_KEY]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
