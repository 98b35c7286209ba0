"""Helpers: findings with just what readers ask for."""

from __future__ import annotations

from typing import Any

import orjson

from scanner.model.evidence import Target


def finding(row: int, **more: Any) -> dict[str, Any]:
    host = f"h{row}.example"
    target: dict[str, Any] = {
        "row": row, "id": None, "host": host, "port": 443, "protocol": "tls", "sni": host, "address": None, "tags": {},
    }  # fmt: skip
    return {
        "schema": "tlsweep/1",
        "run": "r1",
        "target": target,
        "outcome": "ok",
        "cause": None,
        "diagnoses": [],
        **more,
    }


def line(row: int, **more: Any) -> bytes:
    return orjson.dumps(finding(row, **more)) + b"\n"


def as_target(row: int, **more: Any) -> Target:
    host = f"h{row}.example"
    fields: dict[str, Any] = {"host": host, "port": 443, "protocol": "tls", "sni": host, **more}
    return Target(row=row, **fields)
