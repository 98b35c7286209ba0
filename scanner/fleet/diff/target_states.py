"""The state of a target in one run, and what became of it between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, NamedTuple

import orjson
from msgspec import Struct
from msgspec.structs import replace

from scanner.fleet.keys import identity, records_in

# What can have become of a target, in the order of the output.
CATEGORIES: Final = (
    "new", "changed", "still_broken", "fixed", "worse", "better", "appeared", "vanished", "flapping", "replaced",
)  # fmt: skip
TITLES: Final = {
    "new": "New failures",
    "changed": "Failing for another cause than before",
    "still_broken": "Still failing for the same cause",
    "fixed": "Fixed",
    "worse": "Worse: warnings or further errors that are new",
    "better": "Better: warnings or some of the errors are gone",
    "appeared": "Appeared in the inventory",
    "vanished": "Vanished from the inventory",
    "flapping": "Flapping: failing and not failing by turns",
    "replaced": "Certificate replaced",
}
# Codes of one finding that are kept: more are of no use to a person.
MAX_CODES: Final = 20
# Different certificates of one target that are kept: one for each kind of key and each server of a few behind a name.
MAX_LEAVES: Final = 8
# Of several findings about one target in one file the latest run's counts, and within a run the worst, wherever it is in the file.
RANK: Final = {"ok": 0, "warn": 1, "invalid": 2, "fail": 3}


class Leaf(NamedTuple):
    """A leaf certificate that a target sent: SHA-256, issuer (RFC 4514 text) and end of validity, as far as recorded."""

    sha256: str
    issuer: str | None
    not_after: str | None


class TargetState(Struct, dict=True):
    """A target in one file. ``codes_text`` and ``leaves_json`` are its codes and leaf certificates as the table has them."""

    row: int | None
    outcome: str
    cause: str | None
    codes_text: str
    leaves_json: str
    # The certificate to be spoken of, where it is not the first
    chosen: Leaf | None = None

    @cached_property
    def severities(self) -> dict[str, tuple[int, int]]:
        """Numbers of errors and of warnings by code, in the order of the finding."""
        parts = (part.split(".", 2) for part in self.codes_text.split(",") if part)
        return {code: (int(errors), int(warnings)) for errors, warnings, code in parts}

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of its errors and warnings."""
        return tuple(self.severities)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Its leaf certificates, each once, in the order of the addresses."""
        return tuple(Leaf(*one) for one in orjson.loads(self.leaves_json)) if self.leaves_json else ()

    @property
    def _leaf(self) -> Leaf:
        return self.chosen or (self.leaves[0] if self.leaves else Leaf("", None, None))

    @property
    def leaf(self) -> str | None:
        """SHA-256 of its leaf: of the one that was replaced or is new, else of the first."""
        return self._leaf.sha256 or None

    @property
    def issuer(self) -> str | None:
        """Issuer of that leaf."""
        return self._leaf.issuer

    @property
    def not_after(self) -> str | None:
        """When that leaf expires."""
        return self._leaf.not_after


class Change(Struct, frozen=True):
    """What became of one target between the first and the last file; ``outcomes`` are those of all files ("-": absent).

    ``replaced``: it gave a certificate that it no longer gives, and gives one that it did not. A server of several that
    was not asked, or one more, replaces nothing.
    """

    target: Mapping[str, Any]
    old: TargetState | None
    new: TargetState | None
    outcomes: tuple[str, ...]
    replaced: bool = False

    @property
    def same_issuer(self) -> bool | None:
        """Whether the new certificate has the issuer of the old one; ``None`` where that is not known."""
        if self.old is None or self.new is None or self.old.issuer is None or self.new.issuer is None:
            return None
        return self.old.issuer == self.new.issuer

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        record: dict[str, Any] = {"target": dict(self.target), "old": _state(self.old), "new": _state(self.new)}
        if len(self.outcomes) > 2:
            record["outcomes"] = list(self.outcomes)
        if self.replaced:
            record["same_issuer"] = self.same_issuer
        return record


def change_of(
    target: Mapping[str, Any], old: TargetState | None, new: TargetState | None, outcomes: tuple[str, ...]
) -> Change:
    """Return the change between two states, whose ``leaf`` is then the one that differs."""
    if old is None or new is None or old.leaves_json == new.leaves_json:
        return Change(target, old, new, outcomes)
    before, after = ({leaf.sha256 for leaf in state.leaves} for state in (old, new))
    gone = next((leaf for leaf in old.leaves if leaf.sha256 not in after), None)
    come = next((leaf for leaf in new.leaves if leaf.sha256 not in before), None)
    if gone is None or come is None:
        return Change(target, old, new, outcomes)
    return Change(target, replace(old, chosen=gone), replace(new, chosen=come), outcomes, replaced=True)


def _state(state: TargetState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "row": state.row,
        "outcome": state.outcome,
        "cause": state.cause,
        "codes": list(state.codes),
        "certificate": state.leaf,
        "issuer": state.issuer,
        "not_after": state.not_after,
    }


def categories_of(change: Change) -> frozenset[str]:
    """Return the categories that a change belongs to; empty if nothing worth reporting happened."""
    old, new = change.old, change.new
    found = set()
    if len(change.outcomes) > 2 and _flaps(change.outcomes):
        found.add("flapping")
    if old is None or new is None:
        if new is not None:
            found.add("appeared")
            if new.outcome == "fail":
                found.add("new")
        elif old is not None:
            found.add("vanished")
        return frozenset(found)
    if change.replaced:
        found.add("replaced")
    failed, fails = old.outcome == "fail", new.outcome == "fail"
    if fails and not failed:
        found.add("new")
    elif failed and not fails:
        # a row that cannot be used any more says nothing about the server
        found.add("worse" if new.outcome == "invalid" else "fixed")
    elif fails and old.cause != new.cause:
        found.add("changed")
    else:
        if fails:
            found.add("still_broken")
        found |= _moved(old, new)
    return frozenset(found)


def _moved(old: TargetState, new: TargetState) -> set[str]:
    """Return "worse" if a target that fails as before (or does not) has more or graver diagnoses, "better" if fewer; it can be both."""
    if "invalid" in (old.outcome, new.outcome):
        return set() if old.outcome == new.outcome else {"worse" if new.outcome == "invalid" else "better"}
    found: set[str] = set()
    if RANK[new.outcome] != RANK[old.outcome]:
        found.add("worse" if RANK[new.outcome] > RANK[old.outcome] else "better")
    if old.codes_text == new.codes_text:
        return found
    before, after, none = old.severities, new.severities, (0, 0)
    if any(after.get(code, none) > before.get(code, none) for code in after):
        found.add("worse")
    if any(before.get(code, none) > after.get(code, none) for code in before):
        found.add("better")
    return found


def _flaps(outcomes: Sequence[str]) -> bool:
    """Return True if the target changed at least twice between failing and not failing; files without its state do not count."""
    failing = [outcome == "fail" for outcome in outcomes if outcome not in ("-", "invalid")]
    return sum(1 for before, after in pairwise(failing) if before is not after) >= 2


def row_of(file: int, finding: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the row of table ``seen`` for a finding."""
    row = finding["target"].get("row")
    return (
        orjson.dumps(identity(finding), default=str).decode(),
        file,
        _text(finding.get("run")) or "",
        RANK[finding["outcome"]],
        row if type(row) is int and abs(row) < 2**63 else None,
        finding["outcome"],
        _text(finding.get("cause")),
        _codes(finding.get("diagnoses")),
        _leaves(finding),
    )


def _codes(diagnoses: Any) -> str:
    """Return ``errors.warnings.code`` of each code, in the order of the diagnoses."""
    counts: dict[str, list[int]] = {}
    for diagnosis in records_in(diagnoses):
        code, severity = diagnosis.get("code"), diagnosis.get("severity")
        if severity not in ("error", "warning") or not isinstance(code, str) or "," in code:
            continue
        if code in counts or len(counts) < MAX_CODES:
            counts.setdefault(code, [0, 0])[severity == "warning"] += 1
    return ",".join(f"{errors}.{warnings}.{code}" for code, (errors, warnings) in counts.items())


def _leaves(finding: Mapping[str, Any]) -> str:
    """Return the ``Leaf`` of each endpoint as JSON; "" if none sent a certificate."""
    endpoints, certificates = finding.get("endpoints"), finding.get("certificates")
    if not isinstance(endpoints, list) or not isinstance(certificates, list):
        return ""
    found: dict[str, Leaf] = {}
    for endpoint in endpoints:
        chain = endpoint.get("chain") if isinstance(endpoint, Mapping) else None
        sha256 = chain[0] if isinstance(chain, list) and chain else None
        if not isinstance(sha256, str) or sha256 in found or len(found) >= MAX_LEAVES:
            continue
        for record in certificates:
            if isinstance(record, Mapping) and record.get("sha256") == sha256:
                found[sha256] = Leaf(sha256, _text(record.get("issuer")), _text(record.get("not_after")))
                break
    return orjson.dumps([tuple(leaf) for leaf in found.values()]).decode() if found else ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
