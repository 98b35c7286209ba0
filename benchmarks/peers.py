"""Builds the scanners that tlsweep is compared with into ``benchmarks/.peers``.

tlsx and zgrab2 are fetched through the Go module proxy, sslyze from PyPI into a virtual environment. All versions are
pinned. The hashes of the two Go modules are pinned below, so that the checksum database, which not every network
reaches, is not needed for them. Their dependencies are checked against the ``go.sum`` inside the pinned module.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).resolve().parent / ".peers"
BUILD_SECONDS: Final = 1800.0


@dataclass(frozen=True, slots=True)
class GoModule:
    """A pinned Go module; ``sum`` is the h1 hash of its zip, as in ``go.sum``."""

    name: str
    path: str
    version: str
    sum: str


GO_MODULES: Final = (
    GoModule("tlsx", "github.com/projectdiscovery/tlsx", "v1.2.0", "h1:n92B+ZAIzWW3+UFOJpI4ILWZuDcQHHLwVqbWXnZPJdc="),
    GoModule("zgrab2", "github.com/zmap/zgrab2", "v1.0.0", "h1:jnNPza3ZCg/1WtjaSqW/FXg6GmLZSloXgmxqVsODqTI="),
)
SSLYZE_VERSION: Final = "6.3.1"
NAMES: Final = ("tlsx", "zgrab2", "sslyze")
VERSIONS: Final = {**{module.name: module.version for module in GO_MODULES}, "sslyze": SSLYZE_VERSION}


class CannotBuild(Exception):
    """A peer could not be built; the message gives the reason in one line."""


def command(name: str) -> list[str] | None:
    """Return the command that starts a peer, or ``None`` if it has not been built."""
    program = CACHE / "sslyze" / "bin" / "python" if name == "sslyze" else CACHE / "bin" / name
    if not os.access(program, os.X_OK):
        return None
    return [str(program), "-m", "sslyze"] if name == "sslyze" else [str(program)]


def missing(name: str) -> str:
    """Return why a peer is missing, according to the last attempt to build it."""
    try:
        return (CACHE / f"{name}.missing").read_text(encoding="utf-8").strip()
    except OSError:
        return "not built; run `python -m benchmarks peers`"


def _run(argv: list[str], *, cwd: Path, environment: dict[str, str]) -> str:
    """Run a build step and return its standard output. Raises ``CannotBuild`` with its last line of errors."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=BUILD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).decode(errors="replace").strip().splitlines()
        raise CannotBuild(f"{' '.join(argv[:3])}: {lines[-1] if lines else f'exit {done.returncode}'}")
    return done.stdout.decode(errors="replace")


def build_go(module: GoModule) -> None:
    """Fetch a module, compare its hash, and build its command from a copy, so that its own ``go.sum`` applies."""
    if shutil.which("go") is None:
        raise CannotBuild("no Go toolchain on this machine")
    work = CACHE / f"build-{module.name}"
    shutil.rmtree(work, ignore_errors=True)
    empty = work / "empty"
    empty.mkdir(parents=True)
    environment = {
        "GOPATH": str(CACHE / "go"),
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GONOSUMDB": ",".join(known.path for known in GO_MODULES),
        "CGO_ENABLED": "0",
    }
    try:
        answer = _run(
            ["go", "mod", "download", "-json", f"{module.path}@{module.version}"], cwd=empty, environment=environment
        )
        fetched = json.loads(answer)
        if fetched.get("Sum") != module.sum:
            raise CannotBuild(f"{module.path}@{module.version} has hash {fetched.get('Sum')}, expected {module.sum}")
        source = work / "source"
        shutil.copytree(fetched["Dir"], source)
        target = CACHE / "bin" / module.name
        target.parent.mkdir(parents=True, exist_ok=True)
        _run(
            ["go", "build", "-trimpath", "-o", str(target), f"./cmd/{module.name}"], cwd=source, environment=environment
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def build_sslyze() -> None:
    """Install sslyze into a virtual environment of its own."""
    home = CACHE / "sslyze"
    shutil.rmtree(home, ignore_errors=True)
    try:
        venv.create(home, with_pip=True)
        python = str(home / "bin" / "python")
        _run([python, "-m", "pip", "install", "-q", f"sslyze=={SSLYZE_VERSION}"], cwd=home, environment={})
    except (CannotBuild, subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(home, ignore_errors=True)
        raise CannotBuild(str(error)) from error


def build(names: tuple[str, ...] = NAMES, *, again: bool = False) -> bool:
    """Build the peers that are missing and print the results. Return True if all of ``names`` are built."""
    CACHE.mkdir(exist_ok=True)
    # Keeps the directory out of version control.
    (CACHE / ".gitignore").write_text("*\n", encoding="ascii")
    modules = {module.name: module for module in GO_MODULES}
    complete = True
    for name in names:
        if command(name) is not None and not again:
            print(f"{name} {VERSIONS[name]}: there")
            continue
        print(f"{name} {VERSIONS[name]}: building ...", flush=True)
        note = CACHE / f"{name}.missing"
        try:
            build_sslyze() if name == "sslyze" else build_go(modules[name])
        except CannotBuild as error:
            note.write_text(f"{error}\n", encoding="utf-8")
            print(f"{name} {VERSIONS[name]}: cannot be had here: {error}", file=sys.stderr)
            complete = False
        else:
            note.unlink(missing_ok=True)
            print(f"{name} {VERSIONS[name]}: built")
    return complete
