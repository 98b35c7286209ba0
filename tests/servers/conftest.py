"""Fixtures: one server per spec for the whole test run, since probing does not change a server."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.servers import running
from tests.servers.pki import Pki
from tests.servers.running import Server
from tests.servers.spec import ServerSpec

Start = Callable[[ServerSpec], Server]

_used = pytest.StashKey[list[Server]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.servers)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Create the CAs of this test run."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def _servers(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    address = running.loopback_address()
    started: dict[ServerSpec, Server] = {}

    def start(spec: ServerSpec) -> Server:
        if spec not in started or not started[spec].running():
            started[spec] = running.start(spec, pki=pki, address=address, directory=tmp_path_factory.mktemp(spec.id))
        return started[spec]

    yield start
    for server in started.values():
        server.stop()


@pytest.fixture
def start(_servers: Start, request: pytest.FixtureRequest) -> Start:
    """Return ``start(spec)``, which returns a running server or skips the test with the reason."""

    def start(spec: ServerSpec) -> Server:
        if (reason := running.missing(spec.software)) is not None:
            pytest.skip(reason)
        server = _servers(spec)
        request.node.stash.setdefault(_used, []).append(server)
        return server

    return start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Append the logs of a failed test's servers to its report."""
    report = yield
    if report.failed:
        for server in item.stash.get(_used, []):
            report.sections.append((f"log of {server.spec.id}", server.log()))
    return report
