"""Chrome's verdict on a chain that Mozilla's store trusts: its own store differs in roots and in dates.

Chrome accepts a root with a date for certificates that were logged by then, by their earliest SCT. Some of its roots
are not Mozilla's, and their certificates are not shipped here; if a chain may lead to one of those, nothing is
reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from msgspec import Struct

from scanner.shipped import shipped
from scanner.trust.verdicts import Problem
from scanner.x509.certificate import Certificate
from scanner.x509.sct import sct_times_untrusted

BROWSER: Final = "chrome"


class ChromeStore(Struct, frozen=True):
    """Chrome's anchors by SHA-256 (hex): the moment after which nothing newly logged is accepted, or ``None``.

    ``elsewhere`` are the subjects (RFC 4514 text) of its roots that Mozilla does not have.
    """

    anchors: dict[str, float | None]
    elsewhere: frozenset[str]
    mozilla: frozenset[str]

    def accepts(self, path: Sequence[Certificate], logged: float | None) -> bool:
        """Return True if some certificate above the leaf is an anchor for what was first logged at ``logged``."""
        for certificate in path[1:]:
            if certificate.sha256 in self.anchors:
                until = self.anchors[certificate.sha256]
                if until is None or logged is None or logged <= until:
                    return True
        return False


@cache
def chrome_store() -> ChromeStore:
    """Return the shipped facts of Chrome's root store."""
    data = shipped("chrome-roots.json")
    table: dict[str, Any] = json.loads(data)
    anchors = {
        sha256: None if until is None else datetime.fromisoformat(until).timestamp()
        for sha256, until in table["anchors"].items()
    }
    return ChromeStore(anchors, frozenset(table["elsewhere"]), frozenset(table["mozilla"]))


def chrome_problem(
    paths: Iterable[Sequence[Certificate]], sent: Iterable[Certificate | None], store: ChromeStore
) -> Problem | None:
    """Return ``untrusted-root`` if Chrome accepts none of the valid ``paths`` (leaf first, anchor last).

    ``None`` also if a path ends at a root that is not Mozilla's: Chrome accepts locally installed roots too.
    """
    found = [path for path in paths if len(path) > 1]
    if not found or any(path[-1].sha256 not in store.mozilla for path in found):
        return None
    times = sct_times_untrusted(found[0][0])
    logged = min(times) if times else None
    if any(store.accepts(path, logged) for path in found):
        return None
    names = {certificate.issuer for certificate in sent if certificate is not None}
    names.update(certificate.issuer for path in found for certificate in path)
    if names & store.elsewhere:
        return None
    root = found[0][-1]
    evidence: dict[str, Any] = {"root": root.subject, "not_after": root.not_after_text, "refused_by": [BROWSER]}
    until = store.anchors.get(root.sha256)
    if until is not None and logged is not None:
        evidence["chrome_accepts_logged_until"] = _text(until)
        evidence["first_logged"] = _text(logged)
    else:
        evidence["store"] = "Chrome Root Store"
    return Problem("untrusted-root", root.sha256, evidence)


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
