"""The options with which a finding is judged again: those given now, else those of its run, else the defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import fields, replace

from scanner.codec.decode import decode
from scanner.model.config import ScanConfig
from scanner.run.inputs import JUDGED_BY_CONFIG, JUDGED_BY_INPUTS, RunInputs
from scanner.text import quoted

TRUST_STORE: Final = "trust_store"
# Trust stores that are not files.
_NAMED_STORES: Final = frozenset({"mozilla", "system"})
# Options whose values name files -> fields of ``RunInputs``
FILE_OPTIONS: Final = {TRUST_STORE: "trust_stores", **JUDGED_BY_INPUTS}

Key = tuple[tuple[str, Any], ...]


class JudgingSetup(Struct, frozen=True):
    """The options for judging. ``recorded`` are the names of those that come from the run and were not given now."""

    config: ScanConfig
    inputs: RunInputs
    recorded: frozenset[str]


class JudgingOptions:
    """Finds the options of each finding.

    ``given`` are the options given now, by name, with values as in ``ScanConfig`` and ``RunInputs``; ``beside`` are directories
    to search for a file that a run named and that is not where it was; ``log`` is called with lines for the user.
    """

    def __init__(self, given: Mapping[str, Any], *, beside: Sequence[str] = (), log: Callable[[str], None]) -> None:
        self._given = dict(given)
        self._beside = tuple(beside)
        self._log = log
        self._logged: set[str] = set()

    def key(self, finding: Mapping[str, Any]) -> Key:
        """Return a key of the options of this finding. Raises ``RecordedError``."""
        recorded = _recorded(finding)
        return tuple(sorted((recorded | self._given).items()))

    def setup(self, key: Key) -> JudgingSetup:
        """Return the options for a key. A file that the run named and that no longer exists is left out, and logged."""
        config, inputs, recorded = ScanConfig(), RunInputs(), set[str]()
        for name, value in key:
            if name not in self._given:
                recorded.add(name)
                if name in FILE_OPTIONS:
                    value = self._found(name, value)
                    if not value:
                        continue
            if name in JUDGED_BY_CONFIG:
                config = replace(config, **{JUDGED_BY_CONFIG[name]: value})
            else:
                inputs = replace(inputs, **{FILE_OPTIONS[name]: value})
        return JudgingSetup(config, inputs, frozenset(recorded))

    def without_recorded_files(self, setup: JudgingSetup, why: str) -> JudgingSetup:
        """Return the setup with defaults in place of the files that the run named, as they cannot be used."""
        plain = RunInputs()
        names = sorted(setup.recorded.intersection(FILE_OPTIONS))
        self.log_once(f"{why}; judged without what the run named: {', '.join(map(_shown, names))}")
        kept = {FILE_OPTIONS[name]: getattr(plain, FILE_OPTIONS[name]) for name in names}
        return replace(setup, inputs=replace(setup.inputs, **kept))

    def log_once(self, text: str) -> None:
        """Log a line once, however many findings it concerns."""
        if text not in self._logged:
            self._logged.add(text)
            self._log(text)

    def _found(self, name: str, value: str | tuple[str, ...]) -> Any:
        if isinstance(value, str):
            return self._file(name, value)
        return tuple(found for each in value if (found := self._file(name, each)) is not None)

    def _file(self, name: str, path: str) -> str | None:
        if name == TRUST_STORE and path in _NAMED_STORES:
            return path
        for candidate in (path, *(os.path.join(place, os.path.basename(path)) for place in self._beside)):
            # findings may come from anybody, so that only a regular file is opened because of them
            if "\0" not in candidate and os.path.isfile(candidate):
                if name == TRUST_STORE:
                    self.log_once(f"trusting what the run trusted: {quoted(candidate, 200)[1:-1]}")
                return candidate
        instead = "mozilla in its place" if name == TRUST_STORE else "done without"
        self.log_once(f"{_shown(name)} {quoted(path, 200)[1:-1]} of the run is not here: {instead}")
        return None


def _shown(name: str) -> str:
    return "--" + name.replace("_", "-")


class _EndpointStores(Struct):
    trust: dict[str, Any] = field(default_factory=dict)


class _FindingOptions(Struct):
    endpoints: tuple[_EndpointStores, ...]
    judged_with: dict[str, Any] = field(default_factory=dict)


def _recorded(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the run judged this finding with."""
    written = decode(finding, _FindingOptions, "finding")
    kinds = _kinds()
    options = {name: decode(value, kinds[name], name) for name, value in written.judged_with.items() if name in kinds}
    for endpoint in written.endpoints:
        if endpoint.trust:
            stores = tuple(endpoint.trust)
            if stores != RunInputs().trust_stores:
                options[TRUST_STORE] = stores
            break
    return options


@cache  # of two record types
def _kinds() -> dict[str, Any]:
    """Return the type of each option's value in JSON."""
    config = {each.name: each.type for each in fields(ScanConfig)}
    kinds: dict[str, Any] = {name: config[each] for name, each in JUDGED_BY_CONFIG.items()}
    for name, each in JUDGED_BY_INPUTS.items():
        kinds[name] = tuple[str, ...] if isinstance(getattr(RunInputs(), each), tuple) else str
    return kinds
