"""What real clients say where the session ends before TLS, against what is predicted of them.

curl and OpenSSL connect to servers that refuse in the words of real ones; a client that is not installed is skipped.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import trio

from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers.loopback_scan import scan_rows

HERE = "127.0.0.1"
_ERROR = b"\xff\x6a\x04Host '192.0.2.7' is not allowed to connect to this MariaDB server"
MYSQL = len(_ERROR).to_bytes(3, "little") + b"\0" + _ERROR
CASES = [
    ("smtp", (b"554 5.7.1 Access denied\r\n",)),
    ("smtp", (b"421 4.7.0 too many connections\r\n",)),
    ("smtp", (b"220 mx ESMTP\r\n", b"550 5.7.1 who?\r\n", b"550 5.7.1 who?\r\n", b"503 no\r\n")),
    ("smtp", ()),
    ("smtp", (b"220 mx ESMTP\r\n",)),
    ("imap", (b"* BYE Too many connections\r\n",)),
    ("pop3", (b"-ERR busy\r\n",)),
    ("ftp", (b"421 Too many users\r\n",)),
    ("ftp", (b"530 Not from your address\r\n",)),
    ("nntp", (b"502 You have no permission to talk.\r\n",)),
    ("sieve", (b'BYE "Too many connections"\r\n',)),
    ("mysql", (MYSQL,)),
    ("smtp", (b"220 mx ESMTP\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"454 4.7.0 no key\r\n", b"500 what?\r\n")),
    ("pop3", (b"+OK\r\n", b"+OK\r\nSTLS\r\n.\r\n", b"-ERR no key\r\n", b"-ERR what?\r\n")),
]


def command(client: str, protocol: str, port: int) -> list[str]:
    if client == "curl":
        return ["curl", "-sS", "--max-time", "20", "--ssl-reqd", f"{protocol}://{HERE}:{port}/"]
    return ["openssl", "s_client", "-connect", f"{HERE}:{port}", "-starttls", protocol]


@contextmanager
def saying(lines: Sequence[bytes]) -> Iterator[int]:
    """Run a server that says these lines, one after each of the client's, and hangs up; yield its port."""
    with socket.create_server((HERE, 0)) as listening:

        def one(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(5)
                for place, line in enumerate(lines):
                    connection.sendall(line)
                    if place + 1 < len(lines) and not connection.recv(4096):
                        return
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=quietly, args=(one, connection), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def quietly(serve_one: object, connection: socket.socket) -> None:
    try:
        serve_one(connection)  # type: ignore[operator]
    except OSError:
        pass  # the client is gone


def finding_of(protocol: str, port: int) -> Finding:
    target = Target(row=1, host="mx.example.test", port=port, protocol=protocol, sni="mx.example.test", address=HERE)
    config = ScanConfig(rate_per_address=None, timeout=20, retries=0, revocation="off")
    (finding,) = trio.run(scan_rows, [target], RunInputs(resolvers=["127.0.0.1:9"]), config)
    return finding


@pytest.mark.parametrize(("protocol", "lines"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_clients_say_what_is_predicted(protocol: str, lines: Sequence[bytes]) -> None:
    with saying(lines) as port:
        finding = finding_of(protocol, port)
        (diagnosis,) = finding["diagnoses"]
        assert diagnosis["code"] in ("session-refused", "starttls-refused")
        for client, text in finding["clients"].items():
            if client not in ("curl", "openssl") or shutil.which(client) is None:
                continue
            ran = subprocess.run(
                command(client, protocol, port), stdin=subprocess.DEVNULL, capture_output=True, timeout=40, check=False
            )
            said = ran.stderr.decode("utf-8", "replace")
            assert ran.returncode != 0
            expected = text.replace("SSL routines::", "")
            assert expected in said, (client, said)
