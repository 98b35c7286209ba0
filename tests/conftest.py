"""Rules for every test: nothing leaves the machine, and equal inputs give equal runs."""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from trio.testing import MockClock

# Derandomised, so that failures are reproducible. No deadline, since the machine may be busy.
settings.register_profile(
    "tests", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
# To search by hand: make test PYTEST="--hypothesis-profile=hunt tests/fuzz"
settings.register_profile("hunt", deadline=None, max_examples=20_000, suppress_health_check=list(HealthCheck))
settings.load_profile("tests")

# Shells start background commands with SIGINT ignored, which programs under test would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_attempts: list[str] = []


class LeavesTheMachine(BaseException):
    """A test tried to reach something that is not on loopback.

    Not an ``Exception``: code that turns errors of the network into findings must not turn this one into a finding.
    """


# Documentation addresses (RFC 3849, RFC 5737). Connecting a datagram socket to one looks up a route and sends nothing.
_DOCUMENTATION = tuple(
    ipaddress.ip_network(text) for text in ("2001:db8::/32", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
)


def _only_looks_up_a_route(sock: Any, host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return bool(sock.type == socket.SOCK_DGRAM) and any(address in network for network in _DOCUMENTATION)


def _is_local(host: object) -> bool:
    if not isinstance(host, str):
        return True
    if host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        # Anything but a tuple is a local (AF_UNIX) address, or a connected socket's None.
        host = address[0] if isinstance(address, tuple) and address else None
        if event == "socket.connect" and isinstance(host, str) and _only_looks_up_a_route(arguments[0], host):
            return
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
    else:
        return
    if not _is_local(host):
        _attempts.append(f"{event} {host!r}")
        raise LeavesTheMachine(f"tests stay on this machine, and this one tried {event} {host!r}")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True, scope="session")
def _keeps_nothing_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep caches of commands in the tests' temporary directory; processes that tests start inherit this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _stays_on_this_machine() -> Iterator[None]:
    """Fail a test that tried to leave the machine, even if its code swallowed the exception."""
    _attempts.clear()
    yield
    assert not _attempts, f"tried to leave the machine: {', '.join(_attempts)}"


@pytest.fixture
def clock() -> MockClock:
    """Seconds pass as soon as nothing else is to be done."""
    return MockClock(autojump_threshold=0)
