"""Runs headless Chromium over its DevTools pipe and returns the results of page loads."""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clients.running import Answers, Question

TABS = 6
# A browser needs time even for servers that are known to be silent.
LEAST_SECONDS = 3.0
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CERTUTIL = shutil.which("certutil")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--no-proxy-server",
    "--remote-debugging-pipe",
)


class Pipe:
    """The DevTools protocol over two pipes: JSON messages, each terminated by a zero byte."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._buffer = b""
        self._count = 0

    def send(self, method: str, session: str | None = None, **parameters: Any) -> int:
        """Send a command and return the number of its answer."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        return self._count

    def receive(self, until: float) -> dict[str, Any] | None:
        """Return the next message, or ``None`` at the time ``until`` (monotonic)."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            chunk = os.read(self._reading, 1 << 16)
            if not chunk:
                raise EOFError("chromium went away")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        number = self.send(method, session, **parameters)
        until = time.monotonic() + 60
        while (message := self.receive(until)) is not None:
            if message.get("id") == number:
                result: dict[str, Any] = message.get("result", {})
                return result
        raise TimeoutError(method)


@contextmanager
def browser(home: Path, rules: str) -> Iterator[Pipe]:
    """Run a browser that resolves names by ``rules`` and has ``home`` as its home directory."""
    assert PROGRAM is not None
    to_browser, from_browser = os.pipe(), os.pipe()
    command = [PROGRAM, *FLAGS, f"--user-data-dir={home / 'profile'}", f"--host-resolver-rules={rules}", "about:blank"]
    # DevTools reads descriptor 3 and writes descriptor 4.
    shell = f"exec {shlex.join(command)} 3<&{to_browser[0]} 4>&{from_browser[1]}"
    process = subprocess.Popen(
        ["bash", "-c", shell],
        pass_fds=(to_browser[0], from_browser[1]),
        env={**os.environ, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        yield Pipe(from_browser[0], to_browser[1])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(to_browser[1])
        os.close(from_browser[0])


def trust(database: Path, roots: Path) -> None:
    """Create an NSS database in which the certificates of a PEM file are trusted for servers."""
    assert CERTUTIL is not None
    database.mkdir(parents=True)
    where = ["-d", f"sql:{database}"]
    subprocess.run([CERTUTIL, "-N", *where, "--empty-password"], check=True, capture_output=True)
    end = "-----END CERTIFICATE-----\n"
    for number, block in enumerate(roots.read_text().split(end)[:-1]):
        subprocess.run(
            [CERTUTIL, "-A", *where, "-t", "C,,", "-n", f"root {number}"],
            input=(block + end).encode(),
            check=True,
            capture_output=True,
        )


def chromium(questions: Sequence[Question], roots: Path, scratch: Path) -> Answers:
    """Return "ok", or the name of the error on the page that Chromium shows, for each question."""
    home = scratch / "chromium"
    home.mkdir()
    trust(home / ".pki" / "nssdb", roots)
    rules = ",".join(
        f"MAP {item.name} {f'[{item.address}]' if ':' in item.address else item.address}"
        for item in questions
        if item.name != item.address
    )
    with browser(home, rules) as pipe:
        return _visit(pipe, questions)


def _visit(pipe: Pipe, questions: Sequence[Question]) -> Answers:
    answers: Answers = {}
    tabs = [_new_tab(pipe) for _ in range(min(TABS, len(questions)))]
    waiting = list(questions)
    asked: dict[int, tuple[Question, str, float]] = {}  # number of the answer -> purpose, tab, deadline
    while waiting or asked:
        while waiting and tabs:
            question, tab = waiting.pop(0), tabs.pop()
            host = f"[{question.name}]" if ":" in question.name else question.name
            number = pipe.send("Page.navigate", tab, url=f"https://{host}:{question.port}/")
            asked[number] = question, tab, time.monotonic() + max(question.patience, LEAST_SECONDS)
        message = pipe.receive(min(until for _, _, until in asked.values()))
        if message is not None and message.get("id") in asked:
            question, tab, _ = asked.pop(message["id"])
            error = message.get("result", {}).get("errorText") or message.get("error", {}).get("message", "ok")
            answers[question.id] = error.removeprefix("net::")
            tabs.append(tab)
        now = time.monotonic()
        for number, (question, tab, until) in list(asked.items()):
            if until < now:
                del asked[number]
                answers[question.id] = "no answer"
                pipe.send("Page.stopLoading", tab)
                tabs.append(tab)
    return answers


def _new_tab(pipe: Pipe) -> str:
    tab = pipe.call("Target.createTarget", url="about:blank")["targetId"]
    session: str = pipe.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
    # The first page of a new browser takes seconds, so it is not one of the servers.
    pipe.call("Page.navigate", session, url="data:text/plain,ready")
    return session
