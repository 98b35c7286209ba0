"""Runs the scanner with a sampling profiler: ``python -m benchmarks.sampler OUT.json scan ...``.

A timer of the process's CPU time interrupts it, and the stack shows which stage is running. That costs next to nothing,
while a tracing profiler would add its own time to small functions.
"""

from __future__ import annotations

import atexit
import json
import signal
import sys
from collections import Counter
from types import FrameType
from typing import Final

# Linux rounds this up to its clock tick, 100 to 1000 per second.
INTERVAL_SECONDS: Final = 0.001

# The stage of a sample is that of the first prefix that matches the module of the scanner's innermost frame.
STAGES: Final = (
    ("scanner.inventory", "read inventory"),
    ("scanner.lines", "read inventory"),
    ("scanner.net.dns.", "resolve"),
    ("scanner.net", "connect, send, receive"),
    ("scanner.starttls", "starttls"),
    ("scanner.tls.hello", "hello"),
    ("scanner.tls.offers", "hello"),
    ("scanner.tls.record_layer", "decrypt"),
    ("scanner.tls.key_schedule", "key schedule, Finished"),
    ("scanner.tls.key_share", "key exchange"),
    ("scanner.tls.signatures", "verify signatures"),
    ("scanner.x509.signatures", "verify signatures"),
    ("scanner.tls", "parse messages"),
    ("scanner.x509", "parse certificates"),
    ("scanner.trust", "verify"),
    ("scanner.diagnosis.assembly.finding_record", "assemble finding"),
    ("scanner.diagnosis", "diagnose"),
    ("scanner.model.findings", "write"),
    ("scanner.output", "write"),
    ("scanner.caching", "caches"),
    ("scanner.fleet", "fold"),
    ("scanner.run", "schedule"),
    ("scanner.cli", "schedule"),
)

_stages: Counter[str] = Counter()
_modules: Counter[str] = Counter()


def _stage_of(frame: FrameType | None) -> tuple[str, str]:
    """Return the stage and the qualified function of the scanner's innermost frame."""
    inner = frame.f_globals.get("__name__", "?") if frame is not None else "?"
    while frame is not None:
        module = frame.f_globals.get("__name__", "?")
        if module.startswith("importlib"):
            return "start-up: imports", module
        if module.startswith("scanner"):
            where = f"{module}.{frame.f_code.co_qualname}"
            for prefix, stage in STAGES:
                if module.startswith(prefix):
                    return stage, where
            return module, where
        frame = frame.f_back
    return ("trio's loop" if inner.startswith(("trio", "outcome")) else "elsewhere"), inner


def _tick(_number: int, frame: FrameType | None) -> None:
    stage, where = _stage_of(frame)
    _stages[stage] += 1
    _modules[where] += 1


def _write(path: str) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"stages": _stages, "places": dict(_modules.most_common(40))}, out)


def main() -> None:
    path, *arguments = sys.argv[1:]
    atexit.register(_write, path)
    signal.signal(signal.SIGPROF, _tick)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
    from scanner.cli import main as scan

    sys.argv = ["tlsweep", *arguments]
    sys.exit(scan())


if __name__ == "__main__":
    main()
