"""Asks Go's ``crypto/x509`` about many chains at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

GO: Final = shutil.which("go")
_PROGRAM: Final = Path(__file__).with_name("verify.go")
# Compiling takes some seconds, and longer on a machine with other work
SECONDS: Final = 300


def go_case(
    identity: str, leaf: str, sent: Sequence[str], roots: Sequence[str], at: float, name: str = ""
) -> dict[str, Any]:
    """Return a case for ``ask_go``; certificates are PEM, ``at`` is epoch seconds."""
    return {"Id": identity, "Leaf": leaf, "Sent": list(sent), "Roots": list(roots), "At": int(at), "Name": name}


def ask_go(cases: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Return Go's error for each case by its id, "ok" without one; the program is compiled in ``folder``."""
    shutil.copy(_PROGRAM, folder / "main.go")
    release = subprocess.run([str(GO), "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    # Without a go.mod that names its release, Go uses years-old defaults (GODEBUG).
    (folder / "go.mod").write_text(f"module verify\n\ngo {release.strip().removeprefix('go').partition(' ')[0]}\n")
    (folder / "cases.json").write_text(json.dumps(list(cases)))
    environment = {**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    done = subprocess.run(
        [str(GO), "run", ".", "cases.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=SECONDS,
    )
    answers: dict[str, str] = json.loads(done.stdout)
    return answers
