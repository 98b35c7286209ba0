"""Shared causes: findings with one root, so that one repair mends many. The same expired intermediate, default certificate,
dead address, unknown issuer.

A root is a code and a key: what in the diagnosis' evidence would be the same on every target that it hurts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scanner.fleet.keys import domain_of, leaf_of

# Roots told apart. Beyond it those met once are dropped first: a root that hurts many is met again soon.
MAX_CLUSTERS: Final = 50_000
EXAMPLES: Final = 5
# Roots listed, the largest first.
MAX_LISTED: Final = 200
MAX_KEY: Final = 300

_BY_ADDRESS: Final = frozenset(
    {
        "connect-timeout", "connection-refused", "network-unreachable", "host-unreachable", "reset-after-hello",
        "silent-after-hello", "large-hello-dropped", "plaintext-on-tls-port", "legacy-version-only", "version-rejected",
        "version-intolerant", "no-shared-cipher", "no-shared-group", "handshake-failure", "internal-error",
        "closed-during-handshake", "malformed-handshake", "some-addresses-unreachable", "captive-portal",
    }
)  # fmt: skip
# Evidence that names the root, the first that is there.
_EVIDENCE: Final = (
    "root", "missing_subjects", "product", "issuer_key", "certificate", "issuer", "url", "log", "resolver", "subject",
)  # fmt: skip
_BY_LEAF: Final = frozenset(
    {
        "default-certificate", "name-not-in-san", "wildcard-depth", "common-name-only", "certificate-expired",
        "certificate-not-yet-valid", "self-signed-leaf", "expires-soon", "placeholder-certificate", "key-mismatch",
        "no-scts", "too-few-scts", "validity-too-long", "must-staple-missing", "staple-invalid",
    }
)  # fmt: skip
_BY_DOMAIN: Final = frozenset(
    {"nxdomain", "no-address", "servfail", "refused", "dns-timeout", "cname-loop", "dnssec-bogus", "caa-forbids-issuer"}
)


def roots_of(finding: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(code, what kind of thing the root is, key) of each error and warning; each once."""
    found: dict[tuple[str, str, str], None] = {}
    diagnoses = finding.get("diagnoses")
    for diagnosis in diagnoses if isinstance(diagnoses, list) else ():
        if not isinstance(diagnosis, Mapping) or diagnosis.get("severity") not in ("error", "warning"):
            continue
        code = diagnosis.get("code")
        root = _root(finding, code, diagnosis) if isinstance(code, str) else None
        if root is not None and root[1]:
            found[code, root[0], root[1][:MAX_KEY]] = None  # type: ignore[index]
    return list(found)


def _root(finding: Mapping[str, Any], code: str, diagnosis: Mapping[str, Any]) -> tuple[str, str] | None:
    evidence = diagnosis.get("evidence")
    if not isinstance(evidence, Mapping):
        evidence = {}
    if code in _BY_DOMAIN:
        domain = domain_of(finding)
        return None if domain is None else ("domain", domain)
    if code == "dangling-cname" and isinstance(evidence.get("last"), str):
        return "name", evidence["last"]
    if code in _BY_ADDRESS:
        addresses = diagnosis.get("endpoints") or [
            endpoint.get("address") for endpoint in finding.get("endpoints") or () if isinstance(endpoint, Mapping)
        ]
        address = (
            next((one for one in addresses if isinstance(one, str)), None) if isinstance(addresses, list) else None
        )
        return None if address is None else ("address", address)
    if code in _BY_LEAF:
        leaf = leaf_of(finding)
        sha256 = None if leaf is None else leaf.get("sha256")
        return ("certificate", sha256) if isinstance(sha256, str) else None
    for field in _EVIDENCE:
        value = evidence.get(field)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and value:
            return ("name" if field == "missing_subjects" else field), value
    return None


class Clusters:
    """The fold: how many targets share each root, and some of them by name."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], _Cluster] = {}
        self.complete = True

    def add(self, finding: Mapping[str, Any]) -> None:
        """Count one finding that is not in order."""
        roots = roots_of(finding)
        if not roots:
            return
        name = _name(finding)
        for root in roots:
            cluster = self._found.get(root)
            if cluster is None:
                if len(self._found) >= MAX_CLUSTERS:
                    self._shrink()
                cluster = self._found[root] = _Cluster()
            cluster.add(name, 1)

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
            cluster = self._found.get(root)
            if cluster is None:
                if len(self._found) >= MAX_CLUSTERS:
                    self._shrink()
                cluster = self._found[root] = _Cluster()
            for example in theirs.examples:
                cluster.add(example, 0)
            cluster.targets += theirs.targets

    def to_json(self) -> list[dict[str, Any]]:
        """Roots that more than one target shares, the largest first; examples in alphabetical order."""
        shared = [(root, cluster) for root, cluster in self._found.items() if cluster.targets > 1]
        shared.sort(key=lambda item: (-item[1].targets, item[0]))
        return [
            {"code": code, "kind": kind, "key": key, "targets": cluster.targets, "examples": sorted(cluster.examples)}
            for (code, kind, key), cluster in shared[:MAX_LISTED]
        ]


class _Cluster:
    __slots__ = ("examples", "targets")

    def __init__(self) -> None:
        self.targets = 0
        self.examples: list[str] = []

    def add(self, name: str, count: int) -> None:
        """Count a target; the examples are the alphabetically first, so that they do not depend on the order of files."""
        self.targets += count
        examples = self.examples
        if len(examples) < EXAMPLES:
            if name not in examples:
                examples.append(name)
        elif name not in examples:
            last = max(examples)
            if name < last:
                examples[examples.index(last)] = name


def _name(finding: Mapping[str, Any]) -> str:
    target = finding.get("target")
    if not isinstance(target, Mapping):
        return ""
    host, port = target.get("host"), target.get("port")
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
