"""With which options a finding is judged again: those that are given now, else those of its run, else the defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import fields, replace

from scanner.codec.decode import RecordedError, decode
from scanner.model.config import ScanConfig
from scanner.run.inputs import JUDGED_BY_CONFIG, JUDGED_BY_INPUTS, RunInputs
from scanner.text import quoted

TRUST_STORE: Final = "trust_store"
# Stores that are no files.
_NAMED_STORES: Final = frozenset({"mozilla", "system"})
# Options whose values name files.
_FILES: Final = frozenset({TRUST_STORE, *JUDGED_BY_INPUTS})

Key = tuple[tuple[str, Any], ...]


class Setup(Struct, frozen=True):
    """Everything that judging takes. ``recorded`` are the options that the run left to us, not the caller."""

    config: ScanConfig
    inputs: RunInputs
    recorded: frozenset[str]


class Options:
    """The options of findings. ``given`` are those that were asked for now, by name, as ``ScanConfig`` and ``RunInputs`` hold
    them; ``beside`` are directories in which a file that a run named is looked for when it is not where it was."""

    def __init__(self, given: Mapping[str, Any], *, beside: Sequence[str] = (), log: Callable[[str], None]) -> None:
        self._given = dict(given)
        self._beside = tuple(beside)
        self._log = log
        self._logged: set[str] = set()

    def key(self, finding: Mapping[str, Any]) -> Key:
        """What tells the options of this finding from others. Raises ``RecordedError``."""
        recorded = _recorded(finding)
        return tuple(sorted((recorded | self._given).items()))

    def setup(self, key: Key) -> Setup:
        """The options themselves. A file that only the run named and that is not here any more is done without, which is said."""
        config, inputs, recorded = ScanConfig(), RunInputs(), set[str]()
        for name, value in key:
            if name not in self._given:
                recorded.add(name)
                if name in _FILES:
                    value = self._found(name, value)
                    if not value:
                        continue
            if name in JUDGED_BY_CONFIG:
                config = replace(config, **{JUDGED_BY_CONFIG[name]: value})
            else:
                inputs = replace(inputs, **{_INPUTS[name]: value})
        return Setup(config, inputs, frozenset(recorded))

    def without_recorded_files(self, setup: Setup, why: str) -> Setup:
        """The setup with the default wherever a run named a file that is there and of no use."""
        plain = RunInputs()
        names = sorted(_FILES & setup.recorded)
        self.log_once(f"{why}; judged without what the run named: {', '.join(map(_shown, names))}")
        kept = {_INPUTS[name]: getattr(plain, _INPUTS[name]) for name in names}
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
            # A findings file may come from anybody: nothing but a plain file is opened for its sake.
            if "\0" not in candidate and os.path.isfile(candidate):
                if name == TRUST_STORE:
                    self.log_once(f"trusting what the run trusted: {quoted(candidate, 200)[1:-1]}")
                return candidate
        instead = "mozilla in its place" if name == TRUST_STORE else "done without"
        self.log_once(f"{_shown(name)} {quoted(path, 200)[1:-1]} of the run is not here: {instead}")
        return None


_INPUTS: Final = {**JUDGED_BY_INPUTS, TRUST_STORE: "trust_stores"}


def _shown(name: str) -> str:
    return "--" + name.replace("_", "-")


class _Endpoint(Struct):
    trust: dict[str, Any] = field(default_factory=dict)


class _Finding(Struct):
    endpoints: tuple[_Endpoint, ...]
    judged_with: dict[str, Any] = field(default_factory=dict)


def _recorded(finding: Mapping[str, Any]) -> dict[str, Any]:
    """What the run judged this finding with."""
    written = decode(finding, _Finding, "finding")
    kinds = _kinds()
    options = {name: decode(value, kinds[name], name) for name, value in written.judged_with.items() if name in kinds}
    for endpoint in written.endpoints:
        if endpoint.trust:
            stores = tuple(endpoint.trust)
            if stores != RunInputs().trust_stores:
                options[TRUST_STORE] = stores
            break
    return options


@cache
def _kinds() -> dict[str, Any]:
    """The type of each option's value in JSON."""
    config = {each.name: each.type for each in fields(ScanConfig)}
    kinds: dict[str, Any] = {name: config[each] for name, each in JUDGED_BY_CONFIG.items()}
    for name, each in JUDGED_BY_INPUTS.items():
        kinds[name] = tuple[str, ...] if isinstance(getattr(RunInputs(), each), tuple) else str
    return kinds


__all__ = ["Options", "RecordedError", "Setup"]
