"""Against a real recursive resolver: unbound with a root of its own, so that nothing ever leaves the machine.

Its zones are read from files (``auth-zone``) and resolved through its iterator and validator like any other. The zone
``bogus.test`` has a trust anchor and no signatures, which is what a validator calls bogus; a second unbound is its
authoritative server. Needs Debian's ``unbound``.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest
from trio.testing import trio_test

from benchmarks.server_programs import PROGRAM_PATH, free_port
from scanner.model.evidence import DnsAnswer, DnsStatus
from scanner.net.dns.resolver import CaaAnswer, open_resolver

UNBOUND = shutil.which("unbound", path=PROGRAM_PATH)

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(UNBOUND is None, reason="unbound is not installed (Debian package unbound)"),
]

ROOT = """. 3600 IN SOA ns.test. admin.test. 1 3600 600 86400 60
. 3600 IN NS ns.test.
ns.test. 3600 IN A 127.0.0.1
"""
TEST = """$ORIGIN test.
@ 3600 IN SOA ns admin 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
@ IN CAA 0 issue "ca.example"
a 60 IN A 127.0.0.1
a 60 IN AAAA ::1
v4 60 IN A 127.0.0.4
nodata IN TXT "nothing else"
www IN CNAME cdn
cdn IN CNAME a
dangling IN CNAME gone
loop IN CNAME loop2
loop2 IN CNAME loop
self IN CNAME self
to-bogus IN CNAME www.bogus
"""
BOGUS = """$ORIGIN bogus.test.
@ 3600 IN SOA ns.test. admin.test. 1 3600 600 86400 60
@ IN NS ns.test.
www 60 IN A 127.0.0.1
www 60 IN AAAA ::1
"""
COMMON = """server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    interface: 127.0.0.1@{port}
    # Were a zone missing, the question would stop here instead of going to a root server.
    outgoing-interface: 127.0.0.1
    do-not-query-localhost: no
    do-daemonize: no
    use-syslog: no
    logfile: "{directory}/{port}.log"
    num-threads: 1
    local-zone: "test." nodefault
remote-control:
    control-enable: no
"""
RECURSIVE = (
    COMMON
    + """server:
    module-config: "validator iterator"
    trust-anchor: "bogus.test. DS 12345 13 2 {digest}"
    ede: yes
    max-udp-size: 512
auth-zone:
    name: "."
    zonefile: "{directory}/root.zone"
    for-downstream: no
    for-upstream: yes
auth-zone:
    name: "test."
    zonefile: "{directory}/test.zone"
    for-downstream: no
    for-upstream: yes
stub-zone:
    name: "bogus.test."
    stub-addr: 127.0.0.1@{authority}
"""
)
AUTHORITATIVE = (
    COMMON
    + """server:
    module-config: "iterator"
auth-zone:
    name: "bogus.test."
    zonefile: "{directory}/bogus.zone"
    for-downstream: yes
    for-upstream: no
"""
)


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server as ``ADDR:PORT``."""
    directory = tmp_path_factory.mktemp("unbound")
    large = "".join(f"large 60 IN A 10.1.{n // 200}.{n % 200}\n" for n in range(120))
    for name, text in (("root", ROOT), ("test", TEST + large), ("bogus", BOGUS)):
        (directory / f"{name}.zone").write_text(text)
    with ExitStack() as stack:
        authority = stack.enter_context(_running(directory, AUTHORITATIVE, "www.bogus.test"))
        port = stack.enter_context(_running(directory, RECURSIVE, "a.test", authority=authority))
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(directory: Path, config: str, name: str, authority: int = 0) -> Iterator[int]:
    """Start a server on a free port and wait until it answers for ``name``."""
    assert UNBOUND is not None
    words = ""
    for _ in range(5):  # a port that was free a moment ago may be taken by now
        port = free_port()
        path = directory / f"{port}.conf"
        path.write_text(config.format(directory=directory, port=port, authority=authority, digest="ab" * 32))
        errors = directory / f"{port}.err"
        with errors.open("wb") as stream:
            process = subprocess.Popen([UNBOUND, "-d", "-c", str(path)], stdout=subprocess.DEVNULL, stderr=stream)
        try:
            if _answers(process, port, name):
                yield port
                return
        finally:
            process.terminate()
            process.wait(10)
        words = errors.read_text()[-500:]
    pytest.fail(f"unbound does not start: {words}")


def _answers(process: subprocess.Popen[bytes], port: int, name: str) -> bool:
    query = dns.message.make_query(name, "A")
    for _ in range(100):
        if process.poll() is not None:
            return False
        try:
            dns.query.udp(query, "127.0.0.1", port=port, timeout=0.1)
            return True
        except (dns.exception.Timeout, OSError):
            time.sleep(0.02)
    return False


def resolved(server: str, name: str) -> DnsAnswer:
    found: list[DnsAnswer] = []

    @trio_test
    async def run() -> None:
        async with open_resolver(servers=[server], timeout=3, retries=1) as resolver:
            found.append(await resolver.resolve(name))

    run()
    return found[0]


@pytest.mark.parametrize(
    ("name", "status", "addresses", "cname"),
    [
        ("a.test", DnsStatus.NOERROR, ("127.0.0.1", "::1"), ()),
        ("v4.test", DnsStatus.NOERROR, ("127.0.0.4",), ()),
        ("www.test", DnsStatus.NOERROR, ("127.0.0.1", "::1"), ("cdn.test", "a.test")),
        ("nodata.test", DnsStatus.NODATA, (), ()),
        ("nowhere.test", DnsStatus.NXDOMAIN, (), ()),
        ("nowhere", DnsStatus.NXDOMAIN, (), ()),
        ("dangling.test", DnsStatus.NXDOMAIN, (), ("gone.test",)),
    ],
)
def test_outcomes_of_a_real_resolver(
    unbound: str, name: str, status: DnsStatus, addresses: tuple[str, ...], cname: tuple[str, ...]
) -> None:
    answer = resolved(unbound, name)
    assert (answer.status, answer.addresses, answer.cname) == (status, addresses, cname)
    assert (answer.loop, answer.bogus, answer.resolver) == (False, False, unbound)


def test_truncation_is_followed_over_tcp(unbound: str) -> None:
    assert len(resolved(unbound, "large.test").addresses) == 120


@pytest.mark.parametrize(("name", "cname"), [("loop.test", ("loop2.test", "loop.test")), ("self.test", ("self.test",))])
def test_loops(unbound: str, name: str, cname: tuple[str, ...]) -> None:
    answer = resolved(unbound, name)
    assert answer.loop and answer.cname == cname and not answer.addresses and not answer.bogus


@pytest.mark.parametrize("name", ["www.bogus.test", "to-bogus.test"])
def test_bogus(unbound: str, name: str) -> None:
    answer = resolved(unbound, name)
    assert (answer.status, answer.bogus, answer.addresses) == (DnsStatus.SERVFAIL, True, ())
    assert not answer.loop


def test_caa(unbound: str) -> None:
    @trio_test
    async def run() -> None:
        async with open_resolver(servers=[unbound]) as resolver:
            assert await resolver.caa("www.a.test") == CaaAnswer(((0, "issue", "ca.example"),), "test")
            assert await resolver.caa("nowhere") == CaaAnswer((), None)

    run()
