"""Clients that connect to one server per run: curl, OpenSSL's s_client, gnutls-cli, and Python's ssl."""

from __future__ import annotations

import errno
import ipaddress
import math
import re
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.clients.running import Answers, Question

# Only a few at a time, so that the servers, which are all in this process, can keep up.
AT_A_TIME = 4
NO_ANSWER: Final = "no answer"
# The scripted servers end the handshakes of clients that accepted their flight with this alert.
SCRIPTED_END: Final = "Received alert [49]"
SCRIPTED_WORDS: Final = "alert access denied"
_REQUEST: Final = "GET / HTTP/1.0\r\n\r\n"
# CPython's default cipher list (Modules/_ssl.c). Debian builds Python with OpenSSL's default instead.
PYTHON_SUITES: Final = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"


def _run(question: Question, *command: str, text: str = "") -> tuple[int, str]:
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=question.patience, check=False)
    except subprocess.TimeoutExpired:
        return -1, NO_ANSWER
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def ask_curl(question: Question, roots: Path) -> str:
    """Return curl's exit status and message."""
    target = f"{_bracketed(question.name)}:{question.port}"
    to = f"{question.name}:{question.port}:{_bracketed(question.address)}"
    options: tuple[str, ...] = ("--cacert", str(roots), "--output", "/dev/null")
    if question.name != question.address:
        options += ("--resolve", to)
    status, said = _run(question, "curl", "--silent", "--show-error", *options, f"https://{target}/")
    return "ok" if status == 0 or SCRIPTED_WORDS in said else said.strip().removeprefix("curl: ").partition("\n")[0]


def ask_openssl(question: Question, roots: Path) -> str:
    """Return the first error that s_client reports."""
    is_address = question.name == question.address
    name = ("-noservername", "-verify_ip") if is_address else ("-servername", question.name, "-verify_hostname")
    connect = f"{_bracketed(question.address)}:{question.port}"
    options = ("-connect", connect, "-CAfile", str(roots), "-verify_return_error", "-ign_eof", *name, question.name)
    _, said = _run(question, "openssl", "s_client", *options, text=_REQUEST)
    # in TLS 1.3, a server refuses a client only after the handshake
    if "Verify return code: 0" in said and "Cipher is (NONE)" not in said and "SSL alert number" not in said:
        return "ok"
    if SCRIPTED_WORDS in said:
        return "ok"
    fault = re.search(
        r"verify error:num=\d+:.*|SSL routines:[^:]*:[^:\n]*(?::SSL alert number \d+)?|\w+:errno=\d+", said
    )
    return re.sub(r"SSL routines:[^:]*:", "SSL routines::", fault[0]) if fault else said.strip()[:200]


def ask_gnutls(question: Question, roots: Path) -> str:
    """Return gnutls-cli's certificate status, or its last error."""
    name = () if question.name == question.address else (f"--sni-hostname={question.name}",)
    options = ("-p", str(question.port), f"--x509cafile={roots}", f"--verify-hostname={question.name}", *name)
    _, said = _run(question, "gnutls-cli", *options, question.address, text=_REQUEST)
    alerted = "*** Received alert" in said
    if ("Handshake was completed" in said and not alerted) or (
        "The certificate is trusted" in said and SCRIPTED_END in said
    ):
        return "ok"
    status = re.search(r"Status: (.*)", said)
    errors = re.findall(r"\*\*\* Fatal error: (.*)|\*\*\* (Received alert .*)", said)
    refused = status is not None and "NOT trusted" in status[1]
    words = [status[1].strip()] if status and refused else [" ".join(filter(None, error)) for error in errors]
    return " ".join(words) or said.strip()[-200:]


def ask_python(question: Question, roots: Path) -> str:
    """Return the exception of ``wrap_socket``."""
    context = ssl.create_default_context(cafile=str(roots))
    context.set_ciphers(PYTHON_SUITES)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with (
            socket.create_connection((question.address, question.port), timeout=question.patience) as plain,
            context.wrap_socket(plain, server_hostname=question.name) as secure,
        ):
            secure.sendall(_REQUEST.encode())
            secure.recv(1)
            return "ok"
    except OSError as error:  # ssl.SSLError is a subclass
        if SCRIPTED_WORDS in str(error):
            return "ok"
        words = re.sub(r" \(_ssl\.c:\d+\)$", "", str(error))
        return words if isinstance(error, ssl.SSLError) else f"{type(error).__name__}: {words}"


def ask_pyopenssl(question: Question, roots: Path) -> str:
    """Return what the OpenSSL inside ``cryptography`` reports, which is newer than the machine's."""
    from OpenSSL import SSL, _util

    library: Any = _util.lib  # pyOpenSSL has no call of its own for the name to verify
    faults: list[int] = []

    def verified(connection: object, certificate: object, error: int, depth: int, passed: int) -> bool:
        faults.extend(() if passed else (error,))
        return bool(passed)

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_PEER, verified)
    try:
        context.load_verify_locations(str(roots))
        with socket.create_connection((question.address, question.port), timeout=question.patience) as plain:
            plain.settimeout(None)  # pyOpenSSL only waits on a blocking socket
            seconds = struct.pack("ll", math.ceil(question.patience), 0)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
            connection = SSL.Connection(context, plain)
            parameters = library.SSL_get0_param(connection._ssl)
            if question.name == question.address:
                packed = ipaddress.ip_address(question.address).packed
                library.X509_VERIFY_PARAM_set1_ip(parameters, packed, len(packed))
            else:
                connection.set_tlsext_host_name(question.name.encode())
                library.X509_VERIFY_PARAM_set1_host(parameters, question.name.encode(), 0)
            connection.set_connect_state()
            connection.do_handshake()
            connection.sendall(_REQUEST.encode())
            connection.recv(1)
            return "ok"
    except SSL.ZeroReturnError:
        return "ok"
    except SSL.SysCallError as error:
        return NO_ANSWER if error.args[0] in (errno.EAGAIN, -1) and "EOF" not in str(error) else f"{error.args}"
    except SSL.Error as error:
        if faults:
            return f"verify error:num={faults[0]}:"
        reasons = [entry[2] for entry in (error.args[0] if error.args else ())]
        words = f"SSL routines::{reasons[0] if reasons else 'unexpected eof while reading'}"
        return "ok" if SCRIPTED_WORDS in words else words
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def each(ask: Callable[[Question, Path], str]) -> Callable[[Sequence[Question], Path, Path], Answers]:
    """Return a client for many servers from one for a single server."""

    def ask_all(questions: Sequence[Question], roots: Path, scratch: Path) -> Answers:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            said = pool.map(lambda question: ask(question, roots), questions)
            return {question.id: answer for question, answer in zip(questions, said, strict=True)}

    return ask_all
