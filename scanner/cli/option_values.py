"""What the values of the options become: the configuration of a run, and its inputs. Raises ``UsageProblem`` for wrong ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from scanner.errors import UsageProblem
from scanner.inventory.exclude import load_exclusions
from scanner.inventory.header_names import FIELDS
from scanner.language import current_language
from scanner.model.config import ScanConfig
from scanner.net.dns.resolver_config import parse_servers
from scanner.process import memory
from scanner.process.limits import MAX_WORKERS, cores
from scanner.run.inputs import RunInputs
from scanner.text import quoted


def cache_directory(given: dict[str, Any], environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the directory for what is fetched: that of the options, else that of the XDG base directory specification, if any."""
    if given["no_cache"]:
        if given["cache"]:
            raise UsageProblem("--cache and --no-cache exclude each other")
        return None
    if given["cache"]:
        if os.path.exists(given["cache"]) and not os.path.isdir(given["cache"]):
            raise UsageProblem(f"--cache: {given['cache']} is not a directory")
        from scanner.net.http.disk_cache import unsafe_reason

        refusal = unsafe_reason(given["cache"])
        if refusal is not None:
            raise UsageProblem(f"--cache: {quoted(given['cache'], 200)[1:-1]} is not used: {refusal}")
        return str(given["cache"])
    base = environment.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the specification has relative ones ignored
        home = environment.get("HOME", "")
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".cache")
    return os.path.join(base, "tlsweep")


def parse_time(text: str) -> float:
    """Return seconds since the epoch from RFC 3339 (a date alone is midnight; no offset is UTC) or such seconds."""
    try:
        if text[:1].isdigit() and "-" not in text:
            return datetime.fromtimestamp(float(text), UTC).timestamp()
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise UsageProblem(f"--at: '{text}' is no time such as 2026-11-23T06:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def max_memory(given: dict[str, Any], workers: int = 1) -> int | None:
    """Return the bytes that a run of ``workers`` processes may take, by ``--max-memory``; ``None`` for no limit."""
    text = given["max_memory"]
    least = memory.LEAST * (workers + 1 if workers > 1 else 1)  # one more process collects
    if text is None:
        default = memory.default_limit()
        return None if default is None else max(default, least)
    size = memory.parse_size(text)
    if size is None:
        raise UsageProblem(f"--max-memory: {quoted(text)} is no size such as 512M or 2G")
    if size < least:
        processes = f" for {workers} processes" if workers > 1 else ""
        raise UsageProblem(
            f"--max-memory: {quoted(text)} is too little{processes}, at least {memory.size_text(least)} is needed"
        )
    return size


def scan_config(given: dict[str, Any], workers: int = 1) -> ScanConfig:
    """Return the configuration of a run of ``workers`` processes."""
    both = given["ipv4"] == given["ipv6"]
    rate_per_address, per_address = given["rate_per_address"], given["concurrency_per_address"]
    return ScanConfig(
        concurrency=given["concurrency"],
        rate=given["rate"] or None,
        rate_per_address=20.0 if rate_per_address is None else rate_per_address or None,
        concurrency_per_address=8 if per_address is None else per_address or None,
        polite_to_loopback=rate_per_address is not None or per_address is not None,
        connect_timeout=given["connect_timeout"],
        timeout=given["timeout"],
        network_patience=given["network_patience"],
        retries=given["retries"],
        max_memory=max_memory(given, workers),
        all_addresses=given["all_addresses"],
        ipv4=both or given["ipv4"],
        ipv6=both or given["ipv6"],
        enumerate=given["enumerate"],
        authenticate=bool(given["client_cert"]),
        at=None if given["at"] is None else parse_time(given["at"]),
        expiry_warning_days=given["expiry_warning"],
        revocation=given["revocation"],
        private_urls=given["private_urls"],
        language=current_language(),
        default_protocol=given["protocol"],
        default_port=given["port"],
    )


def run_inputs(given: dict[str, Any]) -> RunInputs:
    """Return the resolvers, stores and other inputs that the options name. Raises a ``TlsweepError`` if one cannot be used."""
    if given["resolver"]:
        parse_servers(given["resolver"])
    if given["ntp"]:
        from scanner.net import sntp  # most runs ask none

        sntp.parse_servers(given["ntp"])
    if given["client_key"] and not given["client_cert"]:
        raise UsageProblem("--client-key goes with --client-cert")
    if given["client_cert"]:
        from scanner.x509.client_certificate import load_client_certificate

        load_client_certificate(given["client_cert"], given["client_key"])
    return RunInputs(
        resolvers=given["resolver"],
        trust_stores=given["trust_store"] or ("mozilla",),
        public_roots=given["public_roots"],
        ct_logs=given["ct_logs"],
        private_cas=given["private_ca"],
        earlier=given["earlier"],
        client_cert=given["client_cert"],
        client_key=given["client_key"],
        ntp=given["ntp"],
        cache=cache_directory(given),
        exclusions=load_exclusions([given["exclude"]] if given["exclude"] else []),
    )


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Return which column has which meaning, by ``--column MEANING=HEADER``."""
    columns: dict[str, str] = {}
    for text in texts:
        meaning, equals, header = text.partition("=")
        meaning, header = meaning.strip().lower(), header.strip()
        if not equals or not header:
            raise UsageProblem(f'--column: {quoted(text)} is not of the form port="TCP Port"')
        if meaning not in FIELDS:
            raise UsageProblem(f"--column: {quoted(meaning)} is none of {', '.join(FIELDS)}")
        if meaning in columns:
            raise UsageProblem(f"--column: {meaning} is given twice")
        if header in columns.values():
            raise UsageProblem(f"--column: {quoted(header)} is given twice")
        columns[meaning] = header
    return columns


def parse_workers(text: str) -> int:
    """Return the number of processes that ``--workers`` asks for."""
    if text.strip().lower() == "auto":
        return min(cores(), MAX_WORKERS)
    if text.strip().isascii() and text.strip().isdigit() and 1 <= int(text[:20]) <= MAX_WORKERS:
        return int(text)
    raise UsageProblem(f"--workers: {quoted(text)} is neither a number from 1 to {MAX_WORKERS} nor 'auto'")
