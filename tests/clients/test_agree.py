"""Findings agree with real clients: every client on this machine connects to the demo's fleet and to the variant servers.

On the variants only whether a client accepts is compared; on the demo's fleet its words are too, of two generations of OpenSSL
and of Java. ``docs/clients.md`` has all messages.
"""

from __future__ import annotations

import functools
import re

import pytest
import trio

from tests.clients import fleet
from tests.clients.fleet import CLIENTS, Meetings
from tests.clients.known import DIFFERENT, OTHER_WORDS
from tests.clients.words import are_same

# All clients connect to all servers once, in the setup of the first test.
pytestmark = pytest.mark.timeout(300)

MAINSTREAM = frozenset({"openssl", "curl", "go", "java", "chrome", "firefox"})
# Older versions differ too much from the predictions.
OLDEST = {
    "go": (1, 24),
    "java": (17,),
    "java-newest": (17,),
    "openssl-newest": (3,),
    "chrome": (131,),
    "firefox": (140,),
    "openssl": (3,),
    "curl": (7,),
    "gnutls": (3,),
    "node": (20,),
}


EXIT_STATUS = re.compile(r"\((\d+)\) ")


def too_old(client: str) -> bool:
    """Return whether the client on this machine is older than those that are predicted."""
    named = re.search(r"\d+(?:\.\d+)*", fleet.versions().get(client, ""))
    return named is not None and tuple(map(int, named[0].split("."))) < OLDEST.get(client, ())


@functools.cache
def usable() -> tuple[str, ...]:
    """Return the clients on this machine that can be compared."""
    return tuple(client for client in CLIENTS if fleet.present(client) and fleet.wanted(client) and not too_old(client))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Meetings:
    return trio.run(functools.partial(fleet.meet_demo, tmp_path_factory.mktemp("demo"), usable()))


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Meetings:
    return trio.run(functools.partial(fleet.meet_variants, tmp_path_factory.mktemp("edges"), usable()))


def accepts(met: Meetings, client: str, server: str) -> bool | None:
    """Return whether a client accepts a server, or ``None`` if it was not run."""
    said = [text == "ok" for text in met.said(client, server)]
    if not said:
        return None
    # A wrong certificate on any address is an error, but a dead address is not.
    return all(said) if met.findings[server]["outcome"] == "fail" else any(said)


def is_known(server: str, client: str) -> bool:
    """Return whether a client is known to differ, of any generation or of the newest alone."""
    return (server, client) in DIFFERENT or (server, client.removesuffix("-newest")) in DIFFERENT


def disagreements(met: Meetings, client: str) -> dict[str, str]:
    """Return the servers where finding and client differ, with what the client reports."""
    found = {}
    for server in met.findings:
        predicted = met.predicted(client, server)
        does = accepts(met, client, server)
        if predicted is None or does is None or is_known(server, client):
            continue
        if (predicted == "ok") is not does:
            found[server] = f"predicted: {predicted}; said: {met.said(client, server)}"
    return found


def refused_without_error(met: Meetings) -> dict[str, list[str]]:
    """Return the servers that a mainstream client refuses although the finding has no error."""
    found: dict[str, list[str]] = {}
    for server, finding in met.findings.items():
        for client in MAINSTREAM & met.answers.keys():
            if finding["outcome"] != "fail" and accepts(met, client, server) is False:
                if (server, client) not in DIFFERENT:
                    found.setdefault(server, []).append(client)
    return found


def error_without_refusal(met: Meetings) -> list[str]:
    """Return the servers that every mainstream client accepts although the finding has an error.

    An error in the HTTP answer is not one: clients display any answer.
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
def test_clients_agree_with_findings_on_the_demo(client: str, demo: Meetings) -> None:
    need(client)
    assert disagreements(demo, client) == {}


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_agree_with_findings_on_the_variants(client: str, edges: Meetings) -> None:
    need(client)
    assert disagreements(edges, client) == {}


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_use_the_predicted_words_on_the_demo(client: str, demo: Meetings) -> None:
    need(client)
    other = {}
    for server, finding in demo.findings.items():
        predicted = demo.predicted(client, server)
        codes = [record["code"] for record in finding["diagnoses"] if record["severity"] == "error"]
        if predicted in (None, "ok") or OTHER_WORDS.keys() & set(codes):
            continue
        said = [text for text in demo.said(client, server) if text != "ok"]
        if said and not any(are_same(predicted, text, client) for text in said):
            other[server] = f"predicted: {predicted}; said: {said}"
    assert other == {}


def test_two_generations_differ_where_it_is_predicted(demo: Meetings, edges: Meetings) -> None:
    """Java 24 disabled the suites without forward secrecy, Java 25 signatures with SHA-1."""
    need("java")
    need("java-newest")
    if fleet.is_older("java-newest", "Java 25") or not fleet.is_older("java", "Java 24"):
        pytest.skip("both Javas here are of one generation")
    for met, server in ((demo, "no-forward-secrecy"), (edges, "suite-aes128-sha"), (demo, "sha1-signatures")):
        assert met.predicted("java", server) == "ok" == met.said("java", server)[0]
        assert met.predicted("java-newest", server) != "ok" != met.said("java-newest", server)[0]


def test_servers_that_clients_refuse_have_an_error(demo: Meetings, edges: Meetings) -> None:
    assert refused_without_error(demo) == {}
    assert refused_without_error(edges) == {}


def test_servers_that_all_clients_accept_have_no_error(demo: Meetings, edges: Meetings) -> None:
    absent = sorted(MAINSTREAM - set(usable()))
    if absent:
        pytest.skip(f"only all mainstream clients together can show it, and these are not here: {', '.join(absent)}")
    assert error_without_refusal(demo) == []
    assert error_without_refusal(edges) == []


def test_curl_exits_with_the_predicted_status(demo: Meetings) -> None:
    """Scripts only see that number."""
    need("curl")
    wrong = {}
    for server in demo.findings:
        predicted = demo.predicted("curl", server) or ""
        for said in demo.said("curl", server):
            ends, would = EXIT_STATUS.match(said), EXIT_STATUS.match(predicted)
            if ends and would and ends[1] != would[1]:
                wrong[server] = (said, predicted)
    assert wrong == {}


def test_node_reports_the_predicted_error_name(demo: Meetings) -> None:
    """Programs check the name (`CERT_HAS_EXPIRED`); OpenSSL's own messages change between versions."""
    need("node")
    wrong = {}
    for server in demo.findings:
        would = (demo.predicted("node", server) or "").partition(":")[0]
        for said in demo.said("node", server):
            name = said.partition(":")[0]
            if name.isupper() and would.isupper() and "ALERT" not in name and name != would:
                wrong[server] = (said, would)
    assert wrong == {}


def test_known_differences_are_of_existing_servers(demo: Meetings, edges: Meetings) -> None:
    assert {server for server, _ in DIFFERENT} <= demo.findings.keys() | edges.findings.keys() | edges.cannot.keys()
