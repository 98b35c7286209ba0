"""The command line from outside: as a process of its own, or called with its arguments."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from scanner.cli import main
from scanner.demo.fleet import Fleet
from scanner.language import ENGLISH, set_language
from tests.helpers.fleet import fleet_of, named

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit status and output of a command."""

    status: int
    out: str
    err: str


class Call(Protocol):
    """Calls the command line in this process."""

    def __call__(self, *words: object) -> Outcome: ...


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """The command line called in this process: quick, for all that needs no signals and no terminal."""
    threshold = gc.get_threshold()

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        status = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Outcome(status, out, err)

    yield run
    gc.set_threshold(*threshold)
    gc.unfreeze()
    set_language(ENGLISH)


def command(*words: object) -> list[str]:
    """The words of a process that is ``tlsweep``."""
    return [sys.executable, "-m", "scanner", *map(str, words)]


def environment() -> dict[str, str]:
    """Where the package is found, whatever the working directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


def run_process(*words: object, stdin: bytes = b"", **given: object) -> subprocess.CompletedProcess[bytes]:
    """``tlsweep`` in a process of its own, to its end."""
    return subprocess.run(command(*words), input=stdin, capture_output=True, env=environment(), timeout=50, check=False)


def refused(outcome: Outcome) -> str:
    """The one line with which a command was refused."""
    assert outcome.status == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    return outcome.err


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A few servers of the demo, each diagnosed in a moment."""
    cases = named(
        "healthy", "tls12", "mx", "no-such-name", "port-closed", "plain-http", "tls11-only", "expired", "self-signed",
        "one-expired", "untrusted-root",
    )  # fmt: skip
    with fleet_of(tmp_path_factory.mktemp("fleet"), cases) as running:
        yield running


@pytest.fixture
def options(fleet: Fleet) -> list[str]:
    """How the fleet is scanned."""
    return [
        "--resolver", fleet.resolver, "--trust-store", str(fleet.roots), "--all-addresses",
        "--connect-timeout", "1.5", "--timeout", "4", "--retries", "0",
    ]  # fmt: skip
