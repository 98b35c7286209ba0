"""Shared causes: findings with one root, so that one repair mends many. The same expired intermediate, default certificate,
dead address, unknown issuer.

A root is a code and a key: what would be the same on every target that it hurts. Which that is hangs on the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from scanner.correlate.domains import host_of
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

# What the evidence of a diagnosis gives: (kind, key, name for people)
_Found = tuple[str, Any, Any]
_Rooting = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Iterator[_Found]]


def _by_certificate(finding: Mapping[str, Any], _: Mapping[str, Any], evidence: Mapping[str, Any]) -> Iterator[_Found]:
    """The certificate that the evidence names, which may be a CA's; else the one that was sent first."""
    sha256, subject = evidence.get("certificate"), evidence.get("subject") or evidence.get("common_name")
    if not isinstance(sha256, str):
        leaf = leaf_of(finding) or {}
        sha256, subject = leaf.get("sha256"), leaf.get("subject")
    yield "certificate", sha256, subject
    for other in _items(evidence.get("also")):
        yield "certificate", other.get("certificate"), other.get("subject") or other.get("common_name")


def _by_address(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[_Found]:
    addresses = diagnosis.get("endpoints") or [one.get("address") for one in _items(finding.get("endpoints"))]
    for address in addresses if isinstance(addresses, list) else ():
        yield "address", address, None


def _by_addresses(_: Mapping[str, Any], diagnosis: Mapping[str, Any], __: Mapping[str, Any]) -> Iterator[_Found]:
    addresses = diagnosis.get("endpoints")
    if isinstance(addresses, list):
        yield "addresses", ", ".join(sorted(one for one in addresses if isinstance(one, str))), None


def _by_domain(finding: Mapping[str, Any], _: Mapping[str, Any], __: Mapping[str, Any]) -> Iterator[_Found]:
    yield "domain", domain_of(finding), None


def _by_run(kind: str) -> _Rooting:
    """The machine that scanned, or its network: one for each run."""

    def rooting(finding: Mapping[str, Any], _: Mapping[str, Any], __: Mapping[str, Any]) -> Iterator[_Found]:
        yield kind, finding.get("run"), None

    return rooting


def _by_evidence(kind: str, *fields: str) -> _Rooting:
    """The first field of the evidence that is there."""

    def rooting(_: Mapping[str, Any], __: Mapping[str, Any], evidence: Mapping[str, Any]) -> Iterator[_Found]:
        for field in fields:
            value = evidence.get(field)
            if isinstance(value, list) and value:
                value = value[0]
            if isinstance(value, str) and value:
                yield kind, value, None
                return

    return rooting


def _by_missing(_: Mapping[str, Any], __: Mapping[str, Any], evidence: Mapping[str, Any]) -> Iterator[_Found]:
    """The first certificate that the server leaves out."""
    for missing in _items(evidence.get("missing")):
        yield "certificate", missing.get("sha256"), missing.get("subject")
        return
    yield from _by_evidence("issuer", "missing_subjects", "issuer")(_, __, evidence)


def _by_hosts(_: Mapping[str, Any], __: Mapping[str, Any], evidence: Mapping[str, Any]) -> Iterator[_Found]:
    """Hosts of addresses in certificates from which nothing usable came."""
    for source in _items(evidence.get("sources")):
        url = source.get("url")
        if isinstance(url, str) and source.get("status") not in ("good", "revoked"):
            yield "host", host_of(url), None


def _items(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


# Codes whose root is neither a certificate that the evidence names nor the address at which it was seen
_ROOTINGS: Final[Mapping[str, _Rooting]] = {
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


def roots_of(finding: Mapping[str, Any]) -> dict[Root, str]:
    """The roots of each error and warning, with a name for people where the key is none."""
    found: dict[Root, str] = {}
    diagnoses = finding.get("diagnoses")
    for diagnosis in diagnoses if isinstance(diagnoses, list) else ():
        if not isinstance(diagnosis, dict):
            continue
        code, severity = diagnosis.get("code"), diagnosis.get("severity")
        if (severity == "error" or severity == "warning" or code in NOTES) and isinstance(code, str):
            evidence = diagnosis.get("evidence")
            if not isinstance(evidence, dict):
                evidence = {}
            rooting = _ROOTINGS.get(code) or (_by_certificate if "certificate" in evidence else _by_address)
            for kind, key, name in islice(rooting(finding, diagnosis, evidence), MAX_ROOTS):
                if isinstance(key, str) and key:
                    found[code[:MAX_KEY], kind, key[:MAX_KEY]] = name[:MAX_KEY] if isinstance(name, str) else ""
    return found


class Clusters:
    """The fold: how many targets share each root, and some of them by name."""

    def __init__(self) -> None:
        self._found: dict[Root, _Cluster] = {}
        self.complete = True  # no root was dropped to make room: all counts are exact

    def add(self, roots: Mapping[Root, str], target: str) -> None:
        """Count one target that has these roots."""
        for root, name in roots.items():
            self._of(root).add(target, name)

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
        self.examples: tuple[str, ...] = ()  # in alphabetical order

    def add(self, target: str, name: str) -> None:
        """Count a target; the examples are the alphabetically first, so that they do not depend on the order of files."""
        self.targets += 1
        if name != self.name:
            self._call(name)
        if len(self.examples) < EXAMPLES or target < self.examples[-1]:
            self._show(target)

    def merge(self, other: _Cluster) -> None:
        self.targets += other.targets
        self._call(other.name)
        self._show(*other.examples)

    def _show(self, *targets: str) -> None:
        self.examples = tuple(sorted({*self.examples, *targets})[:EXAMPLES])

    def _call(self, name: str) -> None:
        if name and (not self.name or name < self.name):
            self.name = name


def target_of(finding: Mapping[str, Any]) -> str:
    """A target by host and port, as examples name it."""
    target = finding.get("target")
    if not isinstance(target, dict):
        return ""
    host, port = str(target.get("host"))[:MAX_KEY], str(target.get("port"))[:MAX_KEY]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
