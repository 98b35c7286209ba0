"""The publicly trusted certificates that an earlier run saw (``--earlier``), to notice an untrusted one in their place.

Nothing else is kept, by a hash of the target and for a limited number of targets, so the file may have any length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Final

from scanner.model.evidence import Elsewhere, Target
from scanner.output.reader import Unreadable, read_findings

# Targets kept; each takes some 250 bytes with its hash, its certificate's and a share of the issuers' names.
MAX_TARGETS: Final = 250_000
# Distinct names of issuers and runs, each kept once; a fleet has some hundreds.
MAX_TEXTS: Final = 10_000
_LONGEST_TEXT: Final = 1000


class Baseline:
    """Publicly trusted certificates by target. ``public`` holds the SHA-256 (hex) of the public trust anchors."""

    def __init__(self, public: Collection[str]) -> None:
        self._public = public
        self._seen: dict[bytes, tuple[bytes, str, str]] = {}
        self._texts: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, finding: Mapping[str, Any]) -> None:
        """Add one finding; a later finding of the same target replaces an earlier one."""
        target = finding.get("target")
        seen = self._trusted(finding)
        if seen is None or not isinstance(target, dict):
            return
        key = _key(*(target.get(name) for name in ("host", "port", "protocol", "sni")))
        if key in self._seen or len(self._seen) < MAX_TARGETS:
            self._seen[key] = seen

    def _trusted(self, finding: Mapping[str, Any]) -> tuple[bytes, str, str] | None:
        for endpoint in _objects(finding.get("endpoints")):
            trust, chain = endpoint.get("trust"), endpoint.get("chain")
            if not isinstance(trust, dict) or not isinstance(chain, list) or not chain:
                continue
            if not any(
                store.get("trusted") is True and store.get("anchor") in self._public
                for store in _objects([*trust.values()])
            ):
                continue
            for certificate in _objects(finding.get("certificates")):
                sha256, issuer = certificate.get("sha256"), certificate.get("issuer")
                if sha256 == chain[0] and isinstance(sha256, str) and isinstance(issuer, str):
                    try:
                        return bytes.fromhex(sha256), self._interned(issuer), self._interned(str(finding.get("run")))
                    except ValueError:
                        break
        return None

    def _interned(self, text: str) -> str:
        text = text[:_LONGEST_TEXT]
        if len(self._texts) >= MAX_TEXTS:
            return self._texts.get(text, text)
        return self._texts.setdefault(text, text)

    def seen(self, target: Target) -> Elsewhere | None:
        """Return the publicly trusted certificate that the earlier run saw for this target, if any."""
        found = self._seen.get(_key(target.host, target.port, target.protocol, target.sni))
        return None if found is None else Elsewhere(f"the run {found[2]}", found[0].hex(), found[1])


def read_baseline(path: str, public: Collection[str]) -> Baseline:
    """Read the findings file of an earlier run. Raises ``NotFindings``."""
    baseline = Baseline(public)
    for item in read_findings([path]):
        if not isinstance(item, Unreadable):
            baseline.add(item)
    return baseline


def _key(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()[:16]


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
