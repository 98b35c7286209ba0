"""Runs headless Firefox over Marionette and returns the results of page loads.

Firefox has no option to map names to addresses, so a small proxy connects it to the servers. Failures below TLS are then
reported by the proxy and not compared.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from tests.clients.chromium import trust
from tests.clients.running import Answers, Question

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
CONNECT_SECONDS = 3.0
# A scripted server ends with this alert where a client that accepted its flight would go on; one that refuses a hello
# with it is SSL_ERROR_NO_CYPHER_OVERLAP.
SCRIPTED_END = "SSL_ERROR_ACCESS_DENIED_ALERT"
STARTUP_SECONDS = 60.0

PREFERENCES: Mapping[str, bool | int | str] = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.allow_hijacking_localhost": True,
    "network.proxy.type": 1,
    "network.proxy.no_proxies_on": "",
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}


@contextmanager
def proxy(places: Mapping[tuple[str, int], tuple[str, int]]) -> Iterator[int]:
    """Run an HTTP proxy for CONNECT on loopback that knows the address of each (name, port); yield its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=relay, args=(client,), daemon=True).start()

    def relay(client: socket.socket) -> None:
        with client, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request and (chunk := client.recv(4096)):
                request += chunk
            if not request:
                return
            method, asked = request.split()[:2]
            if method != b"CONNECT":  # plain HTTP, to the demo's OCSP responder
                forward(client, request, urlsplit(asked.decode()))
                return
            host, _, port = asked.decode().rpartition(":")
            place = places.get((host.strip("[]"), int(port)))
            if place is None:
                client.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")
                return
            with socket.create_connection(place, timeout=CONNECT_SECONDS) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                copy(client, server)

    def forward(client: socket.socket, request: bytes, url: SplitResult) -> None:
        if url.hostname is None or not url.hostname.startswith("127."):
            client.sendall(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
            return
        with socket.create_connection((url.hostname, url.port or 80), timeout=CONNECT_SECONDS) as server:
            server.sendall(request.replace(f"{url.scheme}://{url.netloc}".encode(), b"", 1))
            copy(client, server)

    def copy(one: socket.socket, other: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(one, selectors.EVENT_READ, other)
            selector.register(other, selectors.EVENT_READ, one)
            while not stopped.is_set():
                for key, _ in selector.select(1.0):
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    chunk = source.recv(1 << 16)
                    if not chunk:
                        return
                    key.data.sendall(chunk)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        stopped.set()
        listener.close()


class Marionette:
    """Marionette's protocol: "length:json" both ways, one command at a time."""

    def __init__(self, port: int) -> None:
        until = time.monotonic() + STARTUP_SECONDS
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=STARTUP_SECONDS)
                break
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        self._buffer = b""
        self._count = 0
        self._receive()

    def close(self) -> None:
        """Close the connection, but not the browser."""
        self._socket.close()

    def _receive(self) -> Any:
        while b":" not in self._buffer:
            self._buffer += self._socket.recv(1 << 16)
        length, _, rest = self._buffer.partition(b":")
        while len(rest) < int(length):
            rest += self._socket.recv(1 << 16)
        self._buffer = rest[int(length) :]
        return json.loads(rest[: int(length)])

    def call(self, command: str, **parameters: Any) -> tuple[Any, Any]:
        """Return (error, result) of a command, one of which is ``None``."""
        self._count += 1
        data = json.dumps([0, self._count, command, parameters]).encode()
        self._socket.sendall(f"{len(data)}:".encode() + data)
        _, _, error, result = self._receive()
        return error, result


# What an error page says: the name of NSS's or PSM's error, or else the kind of page.
_ERROR_NAME = """
for (const ask of ["getFailedCertSecurityInfo", "getNetErrorInfo"]) {
  try {
    const said = document[ask]().errorCodeString;
    if (said) return said;
  } catch (error) {}
}
return new URLSearchParams(document.documentURI.split("?")[1]).get("e") || document.documentURI;
"""


def firefox(questions: Sequence[Question], roots: Path, scratch: Path) -> Answers:
    """Return "ok", or the name of the error on the page that Firefox shows, for each question."""
    assert PROGRAM is not None
    profile = scratch / "firefox"
    trust(profile, roots)
    with socket.create_server(("127.0.0.1", 0)) as free:
        marionette = free.getsockname()[1]
    with proxy({(item.name, item.port): (item.address, item.port) for item in questions}) as port:
        settings = {
            **PREFERENCES,
            "marionette.port": marionette,
            "network.proxy.http": "127.0.0.1",
            "network.proxy.http_port": port,
            "network.proxy.ssl": "127.0.0.1",
            "network.proxy.ssl_port": port,
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
        (profile / "user.js").write_text("\n".join(lines) + "\n")
        process = subprocess.Popen(
            [PROGRAM, "--headless", "--marionette", "--no-remote", "--profile", str(profile)],
            env={**os.environ, "HOME": str(scratch), "MOZ_DISABLE_AUTO_SAFE_MODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with closing(Marionette(marionette)) as browser:
                return _visit(browser, questions)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _visit(browser: Marionette, questions: Sequence[Question]) -> Answers:
    browser.call("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})
    answers: Answers = {}
    for question in questions:
        browser.call("WebDriver:SetTimeouts", pageLoad=int(question.patience * 1000))
        host = f"[{question.name}]" if ":" in question.name else question.name
        error, _ = browser.call("WebDriver:Navigate", url=f"https://{host}:{question.port}/")
        if error is None:
            answers[question.id] = "ok"
        elif error.get("error") == "timeout":
            answers[question.id] = "no answer"
        else:
            _, found = browser.call("WebDriver:ExecuteScript", script=_ERROR_NAME, args=[], sandbox="system")
            said = str((found or {}).get("value") or error.get("message"))
            answers[question.id] = "ok" if said == SCRIPTED_END else said
    return answers
