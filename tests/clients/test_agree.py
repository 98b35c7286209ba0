"""What findings say of clients, held against those clients: every one on this machine meets the demo's fleet and the edges.

Only whether a client goes on is compared, since its words change with its version; ``docs/clients.md`` has the words.
"""

from __future__ import annotations

import functools
import re

import pytest
import trio

from tests.clients import fleet
from tests.clients.fleet import CLIENTS, Meetings
from tests.clients.known import DIFFERENT

# All clients meet all servers once, in the first test's setup.
pytestmark = pytest.mark.timeout(300)

MAINSTREAM = frozenset({"openssl", "curl", "go", "java", "chrome", "firefox"})
# Older ones differ from what is predicted in more than can be listed.
OLDEST = {
    "go": (1, 24),
    "java": (17,),
    "chrome": (131,),
    "firefox": (140,),
    "openssl": (3,),
    "curl": (7,),
    "gnutls": (3,),
    "node": (20,),
}


EXIT_STATUS = re.compile(r"\((\d+)\) ")


def too_old(client: str) -> bool:
    """Whether the client on this machine is older than those that are predicted."""
    named = re.search(r"\d+(?:\.\d+)*", fleet.versions().get(client, ""))
    return named is not None and tuple(map(int, named[0].split("."))) < OLDEST.get(client, ())


@functools.cache
def usable() -> tuple[str, ...]:
    """The clients here that can be compared."""
    return tuple(client for client in CLIENTS if fleet.present(client) and fleet.wanted(client) and not too_old(client))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Meetings:
    return trio.run(functools.partial(fleet.meet_demo, tmp_path_factory.mktemp("demo"), usable()))


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Meetings:
    return trio.run(functools.partial(fleet.meet_variants, tmp_path_factory.mktemp("edges"), usable()))


def accepts(met: Meetings, client: str, server: str) -> bool | None:
    """Whether a client goes on; ``None`` where it was not asked."""
    said = [text == "ok" for text in met.said(client, server)]
    if not said:
        return None
    # A certificate that some address has wrong is an error; an address that is dead leaves the others.
    return all(said) if met.findings[server]["outcome"] == "fail" else any(said)


def disagreements(met: Meetings, client: str) -> dict[str, str]:
    """Servers of which the finding says otherwise than the client does, and what it says."""
    found = {}
    for server in met.findings:
        predicted = met.predicted(client, server)
        does = accepts(met, client, server)
        if predicted is None or does is None or (server, client) in DIFFERENT:
            continue
        if (predicted == "ok") is not does:
            found[server] = f"predicted: {predicted}; said: {met.said(client, server)}"
    return found


def refused_without_error(met: Meetings) -> dict[str, list[str]]:
    """Servers that a mainstream client refuses while the finding has no error."""
    found: dict[str, list[str]] = {}
    for server, finding in met.findings.items():
        for client in MAINSTREAM & met.answers.keys():
            if finding["outcome"] != "fail" and accepts(met, client, server) is False:
                if (server, client) not in DIFFERENT:
                    found.setdefault(server, []).append(client)
    return found


def error_without_refusal(met: Meetings) -> list[str]:
    """Servers that every mainstream client accepts while the finding has an error.

    Behind TLS it is the answer that is none of the service, and clients show it as they would any other.
    """
    return [
        server
        for server, finding in met.findings.items()
        if finding["outcome"] == "fail"
        and finding["stage"] != "application"
        and all(accepts(met, client, server) for client in MAINSTREAM)
        and not any((server, client) in DIFFERENT for client in MAINSTREAM)
    ]


def need(client: str) -> None:
    if not fleet.present(client):
        pytest.skip(f"{client} is not installed")
    if not fleet.wanted(client):
        pytest.skip(f"browsers take a minute: they are asked where {fleet.BROWSERS_SWITCH} is set")
    if client not in usable():
        pytest.skip(f"{client} is older than what is predicted")


@pytest.mark.parametrize("client", CLIENTS)
def test_the_demo(client: str, demo: Meetings) -> None:
    need(client)
    assert disagreements(demo, client) == {}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_edges(client: str, edges: Meetings) -> None:
    need(client)
    assert disagreements(edges, client) == {}


def test_what_clients_refuse_is_an_error(demo: Meetings, edges: Meetings) -> None:
    assert refused_without_error(demo) == {}
    assert refused_without_error(edges) == {}


def test_what_all_clients_accept_is_none(demo: Meetings, edges: Meetings) -> None:
    absent = sorted(MAINSTREAM - set(usable()))
    if absent:
        pytest.skip(f"only all mainstream clients together can show it, and these are not here: {', '.join(absent)}")
    assert error_without_refusal(demo) == []
    assert error_without_refusal(edges) == []


def test_curl_ends_with_the_exit_status_that_is_predicted(demo: Meetings) -> None:
    """A script sees that number and nothing else."""
    need("curl")
    wrong = {}
    for server in demo.findings:
        predicted = demo.predicted("curl", server) or ""
        for said in demo.said("curl", server):
            ends, would = EXIT_STATUS.match(said), EXIT_STATUS.match(predicted)
            if ends and would and ends[1] != would[1]:
                wrong[server] = (said, predicted)
    assert wrong == {}


def test_node_names_the_error_as_predicted(demo: Meetings) -> None:
    """The name (`CERT_HAS_EXPIRED`) is what programs look at; those of OpenSSL's own change with its version."""
    need("node")
    wrong = {}
    for server in demo.findings:
        would = (demo.predicted("node", server) or "").partition(":")[0]
        for said in demo.said("node", server):
            name = said.partition(":")[0]
            if name.isupper() and would.isupper() and "ALERT" not in name and name != would:
                wrong[server] = (said, would)
    assert wrong == {}


def test_exceptions_are_of_servers_that_there_are(demo: Meetings, edges: Meetings) -> None:
    assert {server for server, _ in DIFFERENT} <= demo.findings.keys() | edges.findings.keys() | edges.cannot.keys()
