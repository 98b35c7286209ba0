"""A small estate, two nights of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.helpers.estate import estate

A, B = "aa" * 32, "bb" * 32


def finding(
    host: str = "a.example", outcome: str = "ok", cause: str | None = None, code: str = "nxdomain", **changes: Any
) -> dict[str, Any]:
    """A finding as a run writes it, as far as a report looks."""
    severity = {"ok": "note", "warn": "warning", "fail": "error", "invalid": "error"}[outcome]
    diagnosis = {
        "code": code,
        "cause": cause,
        "severity": severity,
        "summary": f"{host} is wrong.",
        "evidence": {"name": host, "resolver": "192.0.2.53"},
        "remedy": f"Mend {host}.",
        "confirm": f"dig {host} A",
        "endpoints": ["192.0.2.1"],
    }
    leaf = changes.pop("leaf", A)
    tags = changes.pop("tags", {"owner": "web"})
    made = {
        "schema": "tlsweep/1",
        "run": "20261108T020000Z-one",
        "target": {
            "row": 1, "id": None, "host": host, "port": 443, "protocol": "https", "sni": host, "address": None, "tags": tags
        },
        "started": "2026-11-08T02:00:00.000Z",
        "duration_ms": 10.0,
        "attempts": 1,
        "outcome": outcome,
        "stage": "done",
        "cause": cause if outcome == "fail" else None,
        "diagnoses": [diagnosis] if cause is not None else [],
        "clients": {},
        "dns": None,
        "endpoints": [
            {"address": "192.0.2.1", "version": "TLSv1.3", "chain": [leaf], "timing_ms": {"connect": 1.0, "handshake": 2.0}}
        ],
        "certificates": [
            {"sha256": leaf, "subject": f"CN={host},O=Us", "issuer": "CN=R13,O=Let's Encrypt,C=US",
             "san": [host], "not_after": "2026-12-20T00:00:00Z"}
        ],
    }  # fmt: skip
    return {**made, **changes}


TEMPLATES = [
    finding("ok.example"),
    finding("gone.example", "fail", "dns"),
    finding("other.example", "fail", "hostname-mismatch", "name-not-in-san", leaf=B),
    finding("soon.example", "warn", "expired-or-self-signed", "expires-soon"),
]


def write(path: Path, findings: list[dict[str, Any]], tail: bytes = b"") -> str:
    """A findings file; its path."""
    path.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in findings) + tail)
    return str(path)


@pytest.fixture
def nights(tmp_path: Path) -> list[str]:
    """Findings of three nights of an estate of 500 targets, the oldest first."""
    paths = []
    for night in range(3):
        path = tmp_path / f"night{night}.ndjson"
        path.write_bytes(b"".join(estate(TEMPLATES, 500, broken=0.2, night=night, seed="c")))
        paths.append(str(path))
    return paths
