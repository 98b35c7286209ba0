"""Made-up findings to load into a warehouse, and a PostgreSQL server for the tests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg

from tests.servers.running import free_port, loopback_address
from tests.servers.software import ENVIRONMENT
from tests.servers.starttls_services import PATH

FIRST_NIGHT: Final = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
START_SECONDS: Final = 30.0


def timestamp(value: datetime) -> str:
    """Return a time in the format of findings."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"


def sha256(name: str) -> str:
    """Return the SHA-256 of a made-up certificate."""
    return hashlib.sha256(name.encode()).hexdigest()


def certificate(
    name: str, *, not_after: datetime = FIRST_NIGHT + timedelta(days=90), der: bool = True
) -> dict[str, Any]:
    """Return the record of a made-up certificate."""
    record = {
        "sha256": sha256(name),
        "subject": f"CN={name}",
        "issuer": "CN=Test CA",
        "san": [name],
        "serial": "01",
        "not_before": timestamp(FIRST_NIGHT - timedelta(days=1)),
        "not_after": timestamp(not_after),
        "key": "ec:P-256",
        "signature": "ecdsa-with-SHA256",
    }
    return {**record, "der": "TUlJ"} if der else record


def finding(
    host: str,
    cause: str | None = None,
    *,
    night: int = 0,
    row: int = 1,
    run: str | None = None,
    leaf: dict[str, Any] | None = None,
    tags: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return the finding of one night for a host: healthy, or failing for ``cause``."""
    record = certificate(host) if leaf is None else leaf
    diagnosis: dict[str, Any] = {
        "code": f"code-of-{cause}",
        "cause": cause,
        "severity": "error",
        "summary": "It fails.",
        "evidence": {},
    }
    return {
        "schema": "tlsweep/1",
        "run": f"night-{night}" if run is None else run,
        "target": {
            "row": row, "id": None, "host": host, "port": 443, "protocol": "tls", "sni": host, "address": None,
            "tags": {"owner": "web", "team": "blue"} if tags is None else tags,
        },
        "started": timestamp(FIRST_NIGHT + timedelta(days=night, seconds=row)),
        "duration_ms": 5.5,
        "attempts": 1,
        "outcome": "ok" if cause is None else "fail",
        "stage": "done",
        "cause": cause,
        "diagnoses": [] if cause is None else [diagnosis],
        "clients": {},
        "dns": None,
        "endpoints": [{
            "address": "192.0.2.1", "stage": "done", "error": None, "alert": None, "version": "TLSv1.3",
            "cipher": "TLS_AES_128_GCM_SHA256", "group": "x25519", "alpn": None, "sni_accepted": True, "client_auth": None,
            "chain": [record["sha256"]], "trust": {}, "timing_ms": {"connect": 1.0, "handshake": 2.0},
        }],
        "certificates": [record],
        **changes,
    }  # fmt: skip


def write(path: Path, findings: Iterable[dict[str, Any]], tail: bytes = b"") -> str:
    """Write a findings file and return its path."""
    path.write_bytes(b"".join(orjson.dumps(item) + b"\n" for item in findings) + tail)
    return str(path)


# --- a finding that has every field of the schema, each with a different value -----------------------------------------


def complete_finding() -> dict[str, Any]:
    """Return a finding with every field of the published schema, so that new fields are covered automatically."""
    schema = json.loads(files("scanner").joinpath("data/finding.schema.json").read_text("utf-8"))
    made = _Maker(schema["$defs"]).value(schema, "")
    assert isinstance(made, dict)
    return made


class _Maker:
    """Makes values that match a schema, all of them different."""

    def __init__(self, records: dict[str, Any]) -> None:
        self._records = records
        self._number = 100

    def value(self, about: dict[str, Any], path: str) -> Any:
        if "$ref" in about:
            return self.value(self._records[about["$ref"].rpartition("/")[2]], path)
        if "const" in about:
            return about["const"]
        if "enum" in about:
            return about["enum"][0]
        if "anyOf" in about:
            return self.value(next(one for one in about["anyOf"] if one.get("type") != "null"), path)
        kind = about.get("type", "string")
        if isinstance(kind, list):
            kind = next(one for one in kind if one != "null")
        if kind == "object" and "properties" in about:
            return {name: self.value(inner, f"{path}.{name}") for name, inner in about["properties"].items()}
        if kind == "object":
            inner = about.get("additionalProperties")
            names = ("connect", "starttls", "handshake") if path.endswith("timing_ms") else ("any",)
            return {name: self.value(inner if isinstance(inner, dict) else {}, f"{path}.{name}") for name in names}
        if kind == "array":
            return [self.value(about["items"], f"{path}[]")]
        self._number += 1
        if kind == "boolean":
            return True
        if kind in ("integer", "number"):
            return self._number if kind == "integer" else self._number + 0.5
        if path.rpartition(".")[2] in ("started", "not_before", "not_after"):
            return timestamp(FIRST_NIGHT + timedelta(hours=self._number))
        if path.endswith("sha256"):
            return sha256(path)
        return f"value {self._number} of {path}"


# --- PostgreSQL --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Postgres:
    """A running server whose databases the tests may change at will."""

    address: str
    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres", user: str = "test") -> str:
        return f"postgresql://{user}@{self.address}:{self.port}/{database}"

    def stop_at_once(self) -> None:
        """Stop the server and break its connections, as in a crash."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(START_SECONDS)


def missing_postgres() -> str | None:
    """Return the reason why PostgreSQL cannot be started here, or ``None``."""
    absent = [name for name in ("initdb", "postgres", "setpriv") if shutil.which(name, path=PATH) is None]
    return f"{', '.join(absent)} is not installed (Debian: apt-get install postgresql)" if absent else None


@contextmanager
def postgres(existing: Path | None = None) -> Iterator[Postgres]:
    """Run a server, with an empty cluster or the ``existing`` one of an earlier server, for the block."""
    directory = existing or Path(tempfile.mkdtemp(prefix="tlsweep-postgres-"))
    address = loopback_address()
    run_as: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        shutil.chown(directory, "nobody", "nogroup")
        run_as = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    data = str(directory / "data")
    initialise = ["initdb", "-D", data, "-A", "trust", "-U", "test", "-E", "UTF8", "--no-sync"]
    try:
        if existing is None:
            _run([*run_as, *initialise], directory)
        server = _start(run_as, data, address, directory)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.stop_at_once()
    finally:
        if existing is None:
            shutil.rmtree(directory, ignore_errors=True)


def _environment(directory: Path) -> dict[str, str]:
    return {**ENVIRONMENT, "PATH": PATH, "HOME": str(directory), "LC_ALL": "C.UTF-8"}


def _run(command: list[str], directory: Path) -> None:
    subprocess.run(command, cwd=directory, env=_environment(directory), capture_output=True, check=True)


def _start(run_as: list[str], data: str, address: str, directory: Path) -> Postgres:
    port = free_port(address)
    settings = {"fsync": "off", "shared_buffers": "32MB", "listen_addresses": address, "unix_socket_directories": ""}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        [*run_as, "setpriv", "--pdeathsig", "QUIT", "postgres", "-D", data, "-p", str(port), *words],
        cwd=directory,
        env=_environment(directory),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    server = Postgres(address, port, directory, process)
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(server.url()).close()
        except psycopg.OperationalError:  # it listens before it answers
            time.sleep(0.02)
        else:
            return server
    process.kill()
    process.wait()
    raise AssertionError("PostgreSQL does not answer")
