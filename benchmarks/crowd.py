"""Scans many names through one resolver with its default limits: false findings, and wall time compared with zgrab2.

Every name has one address in 127.0.0.0/8 on whose port nothing listens, so the only true finding is
connection-refused. Everything else that a tool reports is false.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import peers
from benchmarks.farm import Host, host
from benchmarks.measure import Cost, against_bar, run, table, tlsweep
from benchmarks.nameserver import running_nameserver
from benchmarks.server_programs import free_port

# Bar: the most wall time that a scan may take, relative to zgrab2 in the same run.
BAR_TIME: Final = 1.15
RUN_SECONDS: Final = 300.0


def _commands(directory: Path, hosts: Sequence[Host], resolver: int, concurrency: int) -> dict[str, list[str]]:
    port = free_port()
    ours, theirs = directory / "targets.csv", directory / "zgrab2.csv"
    ours.write_text("host,port\n" + "".join(f"{item.name},{port}\n" for item in hosts), encoding="ascii")
    theirs.write_text("".join(f",{item.name},,{port}\n" for item in hosts), encoding="ascii")
    commands = {
        "tlsweep": tlsweep(
            "scan", str(ours), "-o", str(directory / "tlsweep.json"), "--force", "--no-progress",
            "--concurrency", str(concurrency), "--resolver", f"127.0.0.1:{resolver}",
        )
    }  # fmt: skip
    program = peers.command("zgrab2")
    if program is None:
        print(f"zgrab2: skipped: {peers.missing('zgrab2')}")
        return commands
    commands["zgrab2"] = [
        *program, "tls", "-f", str(theirs), "-o", str(directory / "zgrab2.json"), "-s", str(concurrency), "--flush",
        "-b", "/dev/null", "--connect-timeout=5s", "-t", "10s", "--server-rate-limit=1000000",
        "--dns-rate-limit=1000000", "-u", "/dev/null", f"--dns-resolvers=127.0.0.1:{resolver}",
        "--resolve-ipv4", "--resolve-ipv6",
    ]  # fmt: skip
    return commands


def _found(tool: str, output: Path) -> Counter[str]:
    """Return how often a tool reported each result."""
    found: Counter[str] = Counter()
    with output.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if tool == "tlsweep":
                codes = [one["code"] for one in record["diagnoses"] if one["severity"] == "error"]
                found[codes[0] if codes else record["outcome"]] += 1
            else:
                error = record["data"]["tls"].get("error", "none")
                found["connection-refused" if "connection refused" in error else error[-60:]] += 1
    return found


def _dropped() -> int:
    """Return how many datagrams this machine has dropped since boot because a receive buffer was full."""
    lines = Path("/proc/net/snmp").read_text(encoding="ascii").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("RcvbufErrors")])


def crowd(*, hosts: int, rounds: int, concurrency: int) -> dict[str, Any]:
    """Run the tools in turn and count the findings of every round."""
    print(f"\nCrowd: {hosts} names through one unbound, concurrency {concurrency}, {rounds} rounds", flush=True)
    everyone = [host(index) for index in range(hosts)]
    costs: dict[str, list[Cost]] = {}
    false: dict[str, list[int]] = {}
    dropped: dict[str, list[int]] = {}
    others: Counter[str] = Counter()
    with (
        running_nameserver(everyone, options=()) as resolver,
        tempfile.TemporaryDirectory(prefix="tlsweep-crowd-") as home,
    ):
        directory = Path(home)
        commands = _commands(directory, everyone, resolver, concurrency)
        for _ in range(rounds):
            for tool, argv in commands.items():
                before = _dropped()
                cost = run(argv, home=directory, timeout=RUN_SECONDS, log=directory / "log")
                if cost.exit != 0:
                    raise RuntimeError((directory / "log").read_text(errors="replace")[-500:])
                found = _found(tool, directory / f"{tool}.json")
                costs.setdefault(tool, []).append(cost)
                dropped.setdefault(tool, []).append(_dropped() - before)
                false.setdefault(tool, []).append(hosts - found.pop("connection-refused", 0))
                if tool == "tlsweep":
                    others += found
    rows = [
        (
            tool,
            f"{statistics.median(cost.wall for cost in all_of):.2f}",
            f"{statistics.median(cost.cpu for cost in all_of) / hosts * 1e6:.0f}",
            ", ".join(str(count) for count in false[tool]),
            ", ".join(str(count) for count in dropped[tool]),
        )
        for tool, all_of in costs.items()
    ]
    print(table(("", "wall s", "CPU µs/target", "false", "datagrams dropped"), rows))
    for code, count in others.most_common():
        print(f"tlsweep said {code} {count} times")
    if "zgrab2" in costs:
        ratio = statistics.median(
            ours.wall / theirs.wall for ours, theirs in zip(costs["tlsweep"], costs["zgrab2"], strict=True)
        )
        print(f"wall time, tlsweep / zgrab2: {against_bar(ratio, BAR_TIME)}")
    result = {
        "title": "crowd",
        "hosts": hosts,
        "wall_s": {tool: [cost.wall for cost in all_of] for tool, all_of in costs.items()},
        "false": false,
        "dropped": dropped,
    }
    if any(false["tlsweep"]):
        result["error"] = f"{sum(false['tlsweep'])} false findings"
    return result
