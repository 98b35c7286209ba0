"""Routers that reject a connection: the command in a network namespace of its own, behind a router that prohibits networks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# A router in a second namespace; it answers ICMP "administratively prohibited", "no route" and "host unreachable".
NETWORK = """
set -e
ip link set lo up
unshare -n sleep 50 > /dev/null 2>&1 & router=$!
trap "kill $router" EXIT
until [ "$(readlink /proc/$router/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add near type veth peer name far
ip link set far netns $router
ip addr add fd00:1::1/64 dev near nodad
ip addr add 10.9.0.1/24 dev near
ip link set near up
nsenter -t $router -n sh -ec "
  ip addr add fd00:1::2/64 dev far nodad
  ip addr add 10.9.0.2/24 dev far
  ip link set far up
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
  echo 1 > /proc/sys/net/ipv4/ip_forward
  ip -6 route add prohibit 2001:db8:1::/64
  ip -6 route add unreachable 2001:db8:2::/64
  ip route add prohibit 10.10.0.0/24
"
ip -6 route add default via fd00:1::2
ip route add default via 10.9.0.2
ip -6 route add prohibit 2001:db8:9::/64
until ping -6 -c 1 -W 1 fd00:1::2 > /dev/null 2>&1 || [ $((tries = tries + 1)) -gt 20 ]; do sleep 0.1; done
"$@"
"""

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("ip", "unshare", "nsenter"))
    or subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode != 0,
    reason="network namespaces cannot be made here",
)


def test_icmp_that_prohibits_is_an_unreachable_host(tmp_path: Path) -> None:
    expected = {
        "2001:db8:1::1": "host-unreachable",  # prohibited by the router
        "2001:db8:9::1": "host-unreachable",  # by a route of this machine
        "2001:db8:2::1": "network-unreachable",
        "10.10.0.1": "host-unreachable",
    }
    inventory = tmp_path / "inventory.csv"
    inventory.write_text("\n".join(["host,port", *(f"{address},443" for address in expected)]) + "\n")
    command = [sys.executable, "-m", "scanner", "scan", str(inventory), "--resolver", "127.0.0.1:1", "--no-cache"]
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", NETWORK, "sh", *command, "--retries", "0", "--connect-timeout", "5"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        finding = json.loads(line)
        found[finding["target"]["host"]] = [each["code"] for each in finding["diagnoses"]]
        if finding["target"]["host"].startswith("2001:db8:1:"):
            assert "administratively prohibited" in finding["diagnoses"][0]["summary"]
    assert found == {address: [code] for address, code in expected.items()}
