"""The steps of the Containerfile, done without an engine: copied, installed and started as an engine would.

What is different here: paths of the image lie below a temporary directory, the packages of requirements.lock are borrowed from the
environment of the tests instead of being fetched, and user and process numbers are given by this machine's own means.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contrib.test_nightly import PATIENCE, ROOT, tool

CONTAINERFILE: Final = ROOT / "Containerfile"
# Directories of the image that the steps may name.
PLACES: Final = ("/opt/tlsweep", "/data", "/src")


@dataclass
class Stage:
    """One stage: its base, its instructions in order, the setting of each that counts once."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str:
        return [text for word, text in self.steps if word == instruction][-1]


def stages() -> list[Stage]:
    """Return the stages of the Containerfile."""
    text = re.sub(r"\\\n\s*", "", CONTAINERFILE.read_text("utf-8"))
    found: list[Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        else:
            found[-1].steps.append((instruction, rest))
    return found


def is_sent(path: str) -> bool:
    """Return True if .dockerignore lets a file go to the engine: the last line that matches decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parents = [*Path(path).parents][:-1]
        matches = any(
            fnmatch.fnmatch(one, pattern.removeprefix("**/")) for one in (path, *map(str, parents), Path(path).name)
        )
        if pattern.startswith("**/"):
            matches = pattern[3:] in Path(path).parts
        if matches:
            sent = line.startswith("!")
    return sent


def test_the_last_stage_runs_the_command_itself_without_privileges() -> None:
    build, last = stages()
    assert build.base == last.base, "an environment only works with the interpreter that it was made with"
    user, _, group = last.last("USER").partition(":")
    assert int(user) > 0 and int(group) > 0
    assert json.loads(last.last("ENTRYPOINT")) == ["/opt/tlsweep/bin/tlsweep"], (
        "no shell that would keep signals for itself"
    )
    assert json.loads(last.last("CMD")) == ["--help"]
    assert last.last("STOPSIGNAL") == "SIGTERM"
    order = [instruction for instruction, _ in last.steps]
    assert order.index("USER") < order.index("ENTRYPOINT") and "RUN" not in order
    assert not any(
        instruction in ("ADD", "SHELL", "VOLUME") for stage in (build, last) for instruction, _ in stage.steps
    )


def test_only_what_is_copied_is_sent_to_the_engine() -> None:
    copied = [word for kind, text in stages()[0].steps if kind == "COPY" for word in text.split()[:-1]]
    for name in copied:
        assert (ROOT / name).exists()
        some = (
            [name]
            if (ROOT / name).is_file()
            else [f"{name}/{path.name}" for path in (ROOT / name).iterdir() if path.is_file()]
        )
        assert all(map(is_sent, some)), name
    for name in (
        ".git/config",
        ".venv/bin/python",
        "tests/conftest.py",
        "scanner/__pycache__/x.pyc",
        "hosts.csv",
        "tlsweep-demo/roots.pem",
    ):
        assert not is_sent(name), name


def below(root: Path, text: str) -> str:
    """Return a text with the image's directories below ``root``."""
    return re.sub(rf"(?<![\w/.])({'|'.join(PLACES)})(?=[/\s\"]|$)", rf"{root}\1", text)


def interpreter() -> str:
    """Return an interpreter of this version that the image's user can run, or skip: many lie in a home directory."""
    user, _, group = stages()[-1].last("USER").partition(":")
    for found in (sys.executable, "/usr/bin/python3"):
        words = [found, "-c", "import sys; print(*sys.version_info[:2])"]
        # not by setpriv, which keeps root's rights until it has found the program
        other: dict[str, Any] = {"user": int(user), "group": int(group), "extra_groups": ()} if os.getuid() == 0 else {}
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, cwd="/", timeout=PATIENCE, check=False, **other
            )
        except PermissionError:
            continue
        if done.stdout.split() == list(map(str, sys.version_info[:2])):
            return found
    pytest.skip("no interpreter of the tests' version can be read by every user")


def borrowed() -> str:
    """Return the directory with the packages that are required, or skip if not every user can read it."""
    found = next(path for path in sys.path if path.endswith("site-packages"))
    if any(not parent.stat().st_mode & 0o001 for parent in (Path(found), *Path(found).parents)):
        pytest.skip("the packages of the tests cannot be read by every user")
    return found


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The file system of the last stage, as far as it is ours, where every user can reach it (which is not so below pytest's)."""
    with tempfile.TemporaryDirectory(prefix="tlsweep-image-") as name:
        made, root = Path(name, "build"), Path(name, "image")
        for directory in (Path(name), made, root):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o755)
        make_image(made, root)
        yield root


def make_image(made: Path, root: Path) -> None:
    """Do the steps of both stages."""
    build, last = stages()
    ignored = shutil.ignore_patterns("__pycache__")
    for kind, text in build.steps:
        if kind == "COPY":
            *names, _ = text.split()
            for name in names:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, made / "src" / name, ignore=ignored)
                else:
                    shutil.copy(ROOT / name, made / "src" / name)
        elif kind == "RUN":
            run(below(made, text), made)
        else:
            assert (kind, text) == ("WORKDIR", "/src")
            (made / "src").mkdir()
    for kind, text in last.steps:
        if kind == "COPY":
            source, target = text.removeprefix("--from=build ").split()
            shutil.copytree(f"{made}{source}", f"{root}{target}", symlinks=True)
            os.chown(f"{root}{target}", *os.stat(f"{made}{source}")[4:6])
    # scripts name their interpreter by its path, which in the image is the same in both stages
    for script in (root / "opt" / "tlsweep" / "bin").iterdir():
        if (
            script.is_file()
            and not script.is_symlink()
            and str(made) in (content := script.read_text("utf-8", "replace"))
        ):
            script.write_text(content.replace(str(made), str(root)))


def run(words: str, made: Path) -> None:
    """Do a RUN step."""
    install = "pip install" in words
    if install and "-r requirements.lock" in words:
        (packages,) = (made / "opt" / "tlsweep").glob("lib/python*/site-packages")
        (packages / "zz-borrowed.pth").write_text(borrowed() + "\n")
        return
    if os.getuid() != 0:
        words = re.sub(r" -o \d+ -g \d+", "", words)
    if not install and " -m venv " in words:
        words = words.replace("python3 -m venv", f"{shlex.quote(interpreter())} -m venv --without-pip")
    if install:
        words = re.sub(
            r"\S+/bin/pip install",
            f"{sys.executable} -m pip --python {made}/opt/tlsweep/bin/python install --no-index",
            words,
        )
    done = subprocess.run(
        ["/bin/sh", "-c", words], cwd=made / "src", capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr


def start(image: Path, *words: str, isolated: bool = False) -> subprocess.Popen[str]:
    """Start the entry point as an engine does: the last stage's user, environment and directory, and number 1 if ``isolated``."""
    last = stages()[-1]
    environment = dict(part.split("=", 1) for part in shlex.split(last.last("ENV")))
    environment["HOME"] = below(image, environment["HOME"])
    environment["PATH"] = ":".join(below(image, one) for one in environment["PATH"].split(":"))
    user, _, group = last.last("USER").partition(":")
    command = [*(below(image, word) for word in json.loads(last.last("ENTRYPOINT"))), *words]
    if os.getuid() == 0:
        command = [tool("setpriv"), f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs",
                   "--bounding-set=-all", *command]  # fmt: skip
    if isolated:
        command = [tool("unshare"), "--pid", "--fork", "--kill-child", "--mount-proc", *command]
    return subprocess.Popen(
        command, cwd=below(image, last.last("WORKDIR")), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def call(image: Path, *words: str) -> subprocess.CompletedProcess[str]:
    process = start(image, *words)
    shown, told = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, shown, told)


def test_the_command_of_the_image_works_as_its_user(image: Path) -> None:
    shown = call(image, *json.loads(stages()[-1].last("CMD")))
    assert (shown.returncode, shown.stderr) == (0, "") and "Commands:" in shown.stdout
    done = call(image, "scan", "-", "-o", "findings.ndjson", "--no-progress")
    assert done.returncode == 2 and "names no host" in done.stderr
    done = call(image, "check", "127.0.0.1:9", "--json")
    assert done.returncode == 0, done.stderr
    assert os.listdir(image / "data") == [".cache"] or os.listdir(image / "data") == []


def test_the_first_process_ends_by_the_signal_of_a_stop(image: Path) -> None:
    """Number 1 of a process namespace gets only signals that it handles. What was done is kept, and its workers are gone."""
    tool("unshare")
    if os.getuid() != 0:
        pytest.skip("only root may make a process namespace here")
    output = image / "data" / "findings.ndjson"
    with socket.create_server(("127.0.0.1", 0)) as server:
        rows = image / "data" / "hosts.txt"
        rows.write_text(f"a b\n127.0.0.1:{server.getsockname()[1]}\n")
        process = start(
            image, "scan", "hosts.txt", "-o", "findings.ndjson", "--no-progress", "--workers", "2", isolated=True
        )
        try:
            server.settimeout(15)
            silent, _ = server.accept()  # the scan is running, and waits
            (inner,) = children(process.pid)
            assert status_of(inner, "NSpid").split()[-1] == "1"
            assert status_of(inner, "Uid").split()[0] == "10001" and status_of(inner, "CapBnd") == "0" * 16
            os.kill(inner, signal.SIGTERM)
            _, told = process.communicate(timeout=PATIENCE)
            silent.close()
        finally:
            if process.returncode is None:
                process.kill()  # and its child with it
                raise AssertionError(process.communicate())
    assert process.returncode == 3, told
    assert "interrupted, what was done is kept" in told
    assert [json.loads(line)["outcome"] for line in output.read_text().splitlines()] == ["invalid"]
    assert output.stat().st_uid == 10001


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def status_of(pid: int, name: str) -> str:
    (value,) = re.findall(rf"(?m)^{name}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text())
    assert isinstance(value, str)
    return value
