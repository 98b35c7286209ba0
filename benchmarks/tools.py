"""The command lines of the compared scanners, and a check that each did the work.

A figure is only compared if every host of the farm was reached, its path validated against the farm's root and its name
matched, as far as the tool reports this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import peers
from benchmarks.farm import COMMON_NAME, Farm
from benchmarks.measure import tlsweep


@dataclass(frozen=True, slots=True)
class Job:
    """A way of scanning the farm; ``resolver`` is the port of a name server on 127.0.0.1, for scans by name."""

    farm: Farm
    version: str
    kind: str
    concurrency: int
    resolver: int | None = None
    first: int | None = None

    @property
    def targets(self) -> int:
        return min(len(self.farm.hosts), self.first or len(self.farm.hosts))

    def inventory(self, tool: str) -> str:
        by_name = self.resolver is not None
        return str(self.farm.inventory(tool, self.version, self.kind, by_name=by_name, first=self.first))


@dataclass(frozen=True, slots=True)
class Check:
    """What a tool's output shows: the number of good hosts, of distinct leaves among them, and the first bad record."""

    good: int
    leaves: int
    wrong: str = ""


def command(tool: str, job: Job, output: Path) -> list[str] | None:
    """Return the command line of a tool, or ``None`` if it is not installed or cannot do the job."""
    root = str(job.farm.root)
    if tool == "tlsweep":
        argv = tlsweep(
            "scan", job.inventory(tool), "-o", str(output), "--force", "--no-progress",
            "--concurrency", str(job.concurrency), "--trust-store", root, "--revocation", "off",
        )  # fmt: skip
        return argv if job.resolver is None else [*argv, "--resolver", f"127.0.0.1:{job.resolver}"]
    program = peers.command(tool)
    if program is None:
        return None
    match tool:
        case "tlsx" if job.resolver is None:
            return [
                *program, "-l", job.inventory(tool), "-c", str(job.concurrency), "-timeout", "5", "-retry", "1",
                "-sm", "ctls", "-vc", "-cc", root, "-sni", COMMON_NAME,
                "-j", "-tps", "-tc", "-silent", "-duc", "-o", str(output),
            ]  # fmt: skip
        case "zgrab2":
            argv = [
                *program, "tls", "-f", job.inventory(tool), "-o", str(output), "-s", str(job.concurrency), "--flush",
                "-b", "/dev/null", "--connect-timeout=5s", "-t", "10s",
                "--server-rate-limit=1000000", "--dns-rate-limit=1000000",
                f"--root-cas={root}", "--sct", "--next-protos=h2,http/1.1", "-u", "/dev/null",
            ]  # fmt: skip
            if job.resolver is None:
                return argv
            return [*argv, f"--dns-resolvers=127.0.0.1:{job.resolver}", "--resolve-ipv4", "--resolve-ipv6"]
        case "sslyze" if job.resolver is None:
            return [
                *program, "--certinfo", "--certinfo_ca_file", root, "--targets_in", job.inventory(tool),
                "--json_out", str(output), "--quiet",
            ]  # fmt: skip
        case _:
            return None


def why_not(tool: str, job: Job) -> str:
    """Return the reason why ``command`` returned ``None``."""
    if tool != "tlsweep" and peers.command(tool) is None:
        return peers.missing(tool)
    return "cannot be given a resolver of its own alone" if job.resolver is not None else "cannot do this"


def check(tool: str, job: Job, output: Path) -> Check:
    """Check a tool's output."""
    good = 0
    leaves: set[str] = set()
    wrong = ""
    for record in _records(tool, output):
        leaf = _LEAF[tool](record, job)
        if leaf is None:
            wrong = wrong or json.dumps(record)[:300]
        else:
            good += 1
            leaves.add(leaf)
    return Check(good, len(leaves), wrong)


def _records(tool: str, output: Path) -> Iterator[dict[str, Any]]:
    if not output.exists():
        return
    with output.open(encoding="utf-8") as lines:
        if tool == "sslyze":
            yield from json.load(lines)["server_scan_results"]
        else:
            yield from map(json.loads, lines)


def _tlsweep(record: dict[str, Any], job: Job) -> str | None:
    endpoint = (record.get("endpoints") or [{}])[0]
    if record.get("outcome") != "ok" or endpoint.get("version") != f"TLSv{job.version}":
        return None
    trusted = any(verdict.get("trusted") for verdict in (endpoint.get("trust") or {}).values())
    chain = endpoint.get("chain") or []
    return str(chain[0]) if trusted and len(chain) == 2 else None


def _tlsx(record: dict[str, Any], job: Job) -> str | None:
    if not record.get("probe_status") or record.get("tls_version") != f"tls{job.version.replace('.', '')}":
        return None
    return str(record["fingerprint_hash"]["sha256"]) if len(record.get("chain") or []) == 1 else None


def _zgrab2(record: dict[str, Any], job: Job) -> str | None:
    tls = record.get("data", {}).get("tls", {})
    if tls.get("status") != "success":
        return None
    log = tls["result"]["handshake_log"]
    selected = log["server_hello"].get("supported_versions", {}).get("selected_version", log["server_hello"]["version"])
    if selected["name"] != f"TLSv{job.version}":
        return None
    certificates = log["server_certificates"]
    validation = certificates.get("validation", {})
    if not validation.get("browser_trusted") or not validation.get("matches_domain"):
        return None
    return str(certificates["certificate"]["parsed"]["fingerprint_sha256"])


def _sslyze(record: dict[str, Any], job: Job) -> str | None:
    result = ((record.get("scan_result") or {}).get("certificate_info") or {}).get("result") or {}
    for deployment in result.get("certificate_deployments", ()):
        if any(path["was_validation_successful"] for path in deployment["path_validation_results"]):
            return str(deployment["received_certificate_chain"][0]["as_pem"])
    return None


_LEAF: Final = {"tlsweep": _tlsweep, "tlsx": _tlsx, "zgrab2": _zgrab2, "sslyze": _sslyze}
