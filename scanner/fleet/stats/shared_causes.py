"""Causes that several targets share, so that one repair mends many: the same expired intermediate, default certificate,
dead address, unknown issuer.

A root is a code with a key, which all targets have in common that it affects. What the key is depends on the code.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from scanner.fleet.correlate.domains import host_of
from scanner.fleet.keys import domain_of, leaf_of, records_in

# Roots counted apart. Beyond it those of one target are dropped first: a root of many targets is met again soon.
MAX_ROOTS: Final = 20_000
EXAMPLES: Final = 5
# Roots listed, the largest first.
MAX_LISTED: Final = 200
MAX_KEY: Final = 300
# Roots of one diagnosis: a name with many dead addresses shares each of them with others.
ROOTS_OF_ONE: Final = 4

# (code, what the key is, key); a certificate's key is its SHA-256
Root = tuple[str, str, str]

# (kind, key, name for people) of each root that a diagnosis has; those beyond ``ROOTS_OF_ONE`` are not counted
_Found = Sequence[tuple[str, Any, Any]]
# Finds them in a finding, the diagnosis, and its evidence.
RootFinder = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], _Found]


def _by_certificate(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    """Return the certificate that the evidence names, which may be a CA's; else the one that was sent first."""
    sha256, subject = evidence.get("certificate"), evidence.get("subject") or evidence.get("common_name")
    if not isinstance(sha256, str):
        leaf = leaf_of(finding) or {}
        sha256, subject = leaf.get("sha256"), leaf.get("subject")
    found = [("certificate", sha256, subject)]
    if "also" in evidence:
        for other in islice(records_in(evidence["also"]), ROOTS_OF_ONE):
            found.append(("certificate", other.get("certificate"), other.get("subject") or other.get("common_name")))
    return found


def _by_address(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    addresses = diagnosis.get("endpoints") or [one.get("address") for one in records_in(finding.get("endpoints"))]
    return [("address", one, None) for one in addresses[:ROOTS_OF_ONE]] if isinstance(addresses, list) else ()


def _by_certificate_or_address(
    finding: Mapping[str, Any], diagnosis: Mapping[str, Any], evidence: Mapping[str, Any]
) -> _Found:
    find = _by_certificate if "certificate" in evidence else _by_address
    return find(finding, diagnosis, evidence)


def _by_addresses(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    addresses = diagnosis.get("endpoints")
    if not isinstance(addresses, list):
        return ()
    return [("addresses", ", ".join(sorted([one for one in addresses if isinstance(one, str)])), None)]


def _by_domain(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    return [("domain", domain_of(finding), None)]


def _by_run(kind: str) -> RootFinder:
    """Return a finder of the machine that scanned, or its network: one for each run."""
    return lambda finding, diagnosis, evidence: [(kind, finding.get("run"), None)]


def _by_evidence(kind: str, *fields: str) -> RootFinder:
    """Return a finder of the first of these fields that the evidence has."""

    def find(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
        for field in fields:
            value = evidence.get(field)
            if isinstance(value, list) and value:
                value = value[0]
            if isinstance(value, str) and value:
                return [(kind, value, None)]
        return ()

    return find


_missing_by_name: Final = _by_evidence("issuer", "missing_subjects", "issuer")


def _by_missing(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    """Return the first certificate that the server leaves out."""
    for missing in records_in(evidence.get("missing")):
        return [("certificate", missing.get("sha256"), missing.get("subject"))]
    return _missing_by_name(finding, diagnosis, evidence)


def _by_hosts(finding: Mapping[str, Any], diagnosis: Mapping[str, Any], evidence: Mapping[str, Any]) -> _Found:
    """Return the hosts of URLs in certificates that gave nothing usable."""
    found: list[tuple[str, Any, Any]] = []
    for source in records_in(evidence.get("sources")):
        url = source.get("url")
        if isinstance(url, str) and source.get("status") not in ("good", "revoked"):
            found.append(("host", host_of(url), None))
            if len(found) == ROOTS_OF_ONE:
                break
    return found


# Codes whose root is neither a certificate that the evidence names nor the address at which it was seen
_FINDERS: Final[Mapping[str, RootFinder]] = {
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
# Codes that are notes, and whose root is nevertheless reported if many targets share it: a dead host.
NOTE_CODES_WITH_ROOTS: Final = ("revocation-unknown",)


def root_finders(diagnoses: Any) -> list[tuple[int, str, RootFinder]]:
    """Return place, code and finder of each diagnosis that can have roots: errors, warnings, and few notes.

    It depends on nothing but code and severity of each; ``diagnoses`` is what a finding has there, of whatever shape.
    """
    return [
        (place, code[:MAX_KEY], _FINDERS.get(code, _by_certificate_or_address))
        for place, diagnosis in enumerate(diagnoses if isinstance(diagnoses, list) else ())
        if isinstance(diagnosis, dict) and isinstance(code := diagnosis.get("code"), str)
        if diagnosis.get("severity") in ("error", "warning") or code in NOTE_CODES_WITH_ROOTS
    ]


def roots_of(finding: Mapping[str, Any], finders: Iterable[tuple[int, str, RootFinder]]) -> dict[Root, str]:
    """Return the roots that ``finders`` find, with a name for people where the key is not one."""
    found: dict[Root, str] = {}
    for place, code, find in finders:
        diagnosis = finding["diagnoses"][place]
        evidence = diagnosis.get("evidence")
        if type(evidence) is not dict:
            evidence = {}
        for kind, key, name in find(finding, diagnosis, evidence)[:ROOTS_OF_ONE]:
            if key and type(key) is str:
                found[code, kind, key[:MAX_KEY]] = name[:MAX_KEY] if type(name) is str else ""
    return found


class SharedCauses:
    """How many targets share each root, and some of them by name."""

    def __init__(self) -> None:
        self._found: dict[Root, _Targets] = {}
        self.complete = True  # no root was dropped to make room: all counts are exact

    def add(self, roots: Mapping[Root, str], target: str) -> None:
        """Count one target that has these roots. Examples are the first in the alphabet, whatever the order of the files."""
        for root, name in roots.items():
            sharing = self._of(root)
            sharing.targets += 1
            if name != sharing.name:
                sharing.call(name)
            examples = sharing.examples
            if len(examples) < EXAMPLES or target < examples[-1]:
                sharing.show(target)

    def _of(self, root: Root) -> _Targets:
        sharing = self._found.get(root)
        if sharing is None:
            if len(self._found) >= MAX_ROOTS:
                self._shrink()
            sharing = self._found[root] = _Targets()
        return sharing

    def _shrink(self) -> None:
        self.complete = False
        floor = 1
        while len(self._found) > MAX_ROOTS // 2:
            self._found = {root: sharing for root, sharing in self._found.items() if sharing.targets > floor}
            floor *= 2

    def merge(self, other: SharedCauses) -> None:
        """Add what ``other`` counted."""
        self.complete = self.complete and other.complete
        for root, theirs in other._found.items():
            self._of(root).merge(theirs)

    def to_json(self, count: int = MAX_LISTED) -> list[dict[str, Any]]:
        """Return the roots that more than one target shares, the largest first; examples in alphabetical order."""
        shared = [(root, sharing) for root, sharing in self._found.items() if sharing.targets > 1]
        shared.sort(key=lambda item: (-item[1].targets, item[0]))
        return [
            {
                "code": code,
                "kind": kind,
                "key": key,
                **({"name": sharing.name} if sharing.name else {}),
                "targets": sharing.targets,
                "examples": list(sharing.examples),
            }
            for (code, kind, key), sharing in shared[: min(count, MAX_LISTED)]
        ]


class _Targets:
    """The targets that share one root."""

    __slots__ = ("examples", "name", "targets")

    def __init__(self) -> None:
        self.targets = 0
        self.name = ""
        self.examples: list[str] = []  # in alphabetical order

    def merge(self, other: _Targets) -> None:
        self.targets += other.targets
        self.call(other.name)
        for target in other.examples:
            self.show(target)

    def show(self, target: str) -> None:
        """Add a target to the examples if it is one of the first."""
        if target not in self.examples:
            insort(self.examples, target)
            del self.examples[EXAMPLES:]

    def call(self, name: str) -> None:
        """Name the root, unless it has a name that comes first in the alphabet."""
        if name and (not self.name or name < self.name):
            self.name = name


def target_of(finding: Mapping[str, Any]) -> str:
    """Return host and port of a target, as examples name it."""
    target = finding.get("target")
    if not isinstance(target, dict):
        return ""
    host, port = target.get("host"), target.get("port")
    if type(host) is not str or type(port) is not int or len(host) > MAX_KEY:
        host, port = str(host)[:MAX_KEY], str(port)[:MAX_KEY]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
