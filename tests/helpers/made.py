"""Builders of complete and valid findings, for everything that reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from scanner.diagnosis.catalogue import CODES

RUN: Final = "20261123T020000Z-made"
STARTED: Final = "2026-11-23T02:00:00.000Z"
CLIENTS: Final[dict[str, str]] = {"openssl": "ok"}


def sha256(of: str) -> str:
    """Return the SHA-256 of the made-up certificate with this name."""
    return hashlib.sha256(of.encode()).hexdigest()


def certificate(name: str, *, not_after: str = "2027-02-11T02:00:00Z", issuer: str = "CN=Made CA") -> dict[str, Any]:
    """Return the record of a made-up certificate."""
    return {
        "sha256": sha256(name), "subject": f"CN={name}", "issuer": issuer, "san": [name], "serial": "01",
        "not_before": "2026-11-13T02:00:00Z", "not_after": not_after, "key": "ec:P-256",
        "signature": "ecdsa-with-SHA256",
    }  # fmt: skip


def diagnosis(code: str, severity: str | None = None, *endpoints: str, **evidence: Any) -> dict[str, Any]:
    """Return a diagnosis with the cause of ``code``."""
    made: dict[str, Any] = {
        "code": code,
        "cause": CODES[code].cause,
        "severity": severity or CODES[code].severity,
        "summary": f"{code}.",
        "evidence": evidence,
    }
    return {**made, "endpoints": list(endpoints)} if endpoints else made


def finding(
    row: int = 1,
    host: str = "a.example",
    *diagnoses: Mapping[str, Any],
    run: str = RUN,
    started: str = STARTED,
    address: str = "192.0.2.1",
    leaf: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    trust: Mapping[str, Any] | None = None,
    timing: Mapping[str, float] | None = None,
    endpoint: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return a finding with one endpoint that sent ``leaf`` (by default a certificate for ``host``)."""
    errors = [one for one in diagnoses if one["severity"] == "error"]
    warned = any(one["severity"] == "warning" for one in diagnoses)
    sent = certificate(host) if leaf is None else leaf
    return {
        "schema": "tlsweep/1",
        "run": run,
        "target": {
            "row": row, "id": None, "host": host, "port": 443, "protocol": "tls", "sni": host, "address": None,
            "tags": dict(tags or {}),
        },
        "started": started,
        "duration_ms": 12.5,
        "attempts": 1,
        "outcome": "fail" if errors else "warn" if warned else "ok",
        "stage": "certificate" if errors else "done",
        "cause": errors[0]["cause"] if errors else None,
        "diagnoses": [dict(one) for one in diagnoses],
        "clients": CLIENTS if errors else {},
        "dns": None,
        "endpoints": [
            {
                "address": address, "stage": "done", "error": None, "alert": None, "version": "TLSv1.3",
                "cipher": "TLS_AES_128_GCM_SHA256", "group": "x25519", "alpn": "h2", "sni_accepted": True,
                "client_auth": None, "chain": [sent["sha256"]],
                "trust": dict(trust) if trust is not None else {"mozilla": {"trusted": True, "anchor": None, "path": []}},
                "timing_ms": dict(timing) if timing is not None else {"connect": 1.0, "handshake": 10.0},
                **(endpoint or {}),
            }
        ],
        "certificates": [dict(sent)],
        **changes,
    }  # fmt: skip


def invalid(row: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the finding of an invalid row."""
    return {
        "schema": "tlsweep/1", "run": RUN,
        "target": {"row": row, "id": None, "host": None, "port": None, "protocol": None, "sni": None, "address": None, "tags": {}},
        "started": STARTED, "duration_ms": 0.0, "attempts": 0, "outcome": "invalid", "stage": "inventory", "cause": None,
        "diagnoses": [], "clients": {}, "dns": None, "endpoints": [], "certificates": [], "error": "the host is missing",
        **changes,
    }  # fmt: skip


def untrusted(key: str, issuer: str, **signs: Any) -> dict[str, Any]:
    """Return the arguments ``trust`` and ``endpoint`` of ``finding`` for an untrusted issuer."""
    return {
        "trust": {"mozilla": {"trusted": False, "anchor": None, "path": [], "error": "untrusted-root"}},
        "endpoint": {"untrusted_issuer": {"key": key, "leaf_key": key, "keyed": True, "named": True, **signs}},
    }
