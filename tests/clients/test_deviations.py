"""Findings agree with real clients on flights that come whole and contain what their hello did not allow.

Each server is scripted (``tests/helpers/deviant.py``) and notes whether the client's next flight is a key exchange or an alert.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from msgspec.structs import replace

from scanner.inventory import read_inventory
from scanner.model.config import ScanConfig
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from scanner.starttls import PROTOCOLS
from tests.clients import fleet
from tests.clients.running import Answers, Question
from tests.helpers import pki
from tests.helpers.deviant import (
    ECDSA_SHA1,
    RENEGOTIATION_INFO,
    RSA_MD5,
    RSA_SHA1,
    RSA_SHA224,
    TLS13,
    Deviant,
    DeviantServer,
    alpn,
    extension,
    serving,
    warning,
)
from tests.helpers.loopback_scan import scan_rows

pytestmark = pytest.mark.timeout(300)

NOW = float(int(time.time()))
ROOT = pki.root("Deviant Root", not_before=NOW - 100 * pki.DAY, not_after=NOW + 1000 * pki.DAY)
ADDRESS = "127.95.250.1"
DOMAIN = "deviant.test"
BUNDLE = tuple(
    pki.root(f"Unrelated Root {number}", not_before=NOW - pki.DAY, not_after=NOW + pki.DAY).der for number in range(20)
)
# CA names of some 200 bytes each
NAMES = tuple(pki.name(CN="A" * 200 + str(number)) for number in range(160))
MALFORMED, SCHEME = "malformed-handshake", "no-shared-signature-scheme"
# codes beside the one that a server is there for
CODES: Mapping[Deviant, frozenset[str]] = {
    deviant: frozenset(codes)
    for deviant, *codes in (
        (Deviant("good-12"),),
        (Deviant("good-12-ec", kind="ec:P-256"),),
        (Deviant("good-13", TLS13),),
        (Deviant("groups-in-hello", hello=RENEGOTIATION_INFO + extension(10, b"\0\2\0\x1d")),),
        (Deviant("no-info", hello=b""), "legacy-renegotiation"),
        (Deviant("no-info-but-others", hello=extension(23)), "legacy-renegotiation"),
        (Deviant("no-info-ec", hello=b"", kind="ec:P-256"), "legacy-renegotiation"),
        (Deviant("wrong-info", hello=extension(0xFF01, b"\4abcd")), MALFORMED),
        (Deviant("fragment-length", hello=RENEGOTIATION_INFO + extension(1, b"\1")), MALFORMED),
        (Deviant("next-protocol", hello=RENEGOTIATION_INFO + extension(13172)), MALFORMED),
        (Deviant("heartbeat", hello=RENEGOTIATION_INFO + extension(15, b"\1")), MALFORMED),
        (Deviant("signature-algorithms", hello=RENEGOTIATION_INFO + extension(13, b"\0\2\4\3")), MALFORMED),
        (Deviant("unknown-extension", hello=RENEGOTIATION_INFO + extension(0x1234)), MALFORMED),
        (Deviant("hello-13-secret", TLS13, hello=extension(23)), MALFORMED),
        (Deviant("hello-13-next-protocol", TLS13, hello=extension(13172)), MALFORMED),
        (Deviant("hello-13-unknown", TLS13, hello=extension(0x1234)), MALFORMED),
        (Deviant("encrypted-fragment", TLS13, encrypted=extension(1, b"\1")), MALFORMED),
        (Deviant("encrypted-info", TLS13, encrypted=RENEGOTIATION_INFO), MALFORMED),
        (Deviant("encrypted-points", TLS13, encrypted=extension(11, b"\1\0")), MALFORMED),
        (Deviant("encrypted-early", TLS13, encrypted=extension(42)), MALFORMED),
        (Deviant("encrypted-unknown", TLS13, encrypted=extension(0x1234)), MALFORMED),
        (Deviant("entry-next-protocol", TLS13, entry=extension(13172)), MALFORMED),
        (Deviant("entry-unknown", TLS13, entry=extension(0x1234)), MALFORMED),
        (Deviant("alpn-12", hello=RENEGOTIATION_INFO + alpn("spdy/3")), MALFORMED),
        (Deviant("alpn-13", TLS13, encrypted=alpn("spdy/3")), MALFORMED),
        (Deviant("sha1", scheme=RSA_SHA1), SCHEME),
        (Deviant("sha1-ec", scheme=ECDSA_SHA1, kind="ec:P-256"), SCHEME),
        (Deviant("sha224", scheme=RSA_SHA224), SCHEME),
        (Deviant("md5", scheme=RSA_MD5), SCHEME),
        (Deviant("no-exchange", exchange=False), MALFORMED),
        (Deviant("no-exchange-ec", exchange=False, kind="ec:P-256"), MALFORMED),
        (Deviant("zeros-12", share=bytes(32)), MALFORMED),
        (Deviant("one-12", share=b"\1" + bytes(31)), MALFORMED),
        (Deviant("short-12", share=bytes(31)), MALFORMED),
        (Deviant("zeros-13", TLS13, share=bytes(32)), MALFORMED),
        (Deviant("warning-112", before=warning(112)), "sni-unrecognized"),
        (Deviant("warning-112-within", within=warning(112)), "sni-unrecognized"),
        (Deviant("warning-112-13", TLS13, before=warning(112)), "sni-unrecognized"),
        (Deviant("warning-40", before=warning(40)), MALFORMED),
        (Deviant("warning-41", before=warning(41)), MALFORMED),
        (Deviant("warning-100", before=warning(100)), MALFORMED),
        (Deviant("warning-90", before=warning(90)),),
        (Deviant("ten", further=BUNDLE[:9]), "chain-has-extras"),
        (Deviant("eleven", further=BUNDLE[:10]), "too-many-certificates", "chain-has-extras"),
        (Deviant("seventeen", further=BUNDLE[:16]), "too-many-certificates", "chain-has-extras"),
        (Deviant("eleven-13", TLS13, further=BUNDLE[:10]), "too-many-certificates", "chain-has-extras"),
        (Deviant("names", authorities=NAMES), "oversized-message", "client-certificate-required"),
        (Deviant("names-13", TLS13, authorities=NAMES), "oversized-message"),
    )
}
# What clients say to these is compared with the prediction by the word; of the others only whether they refuse.
SAYING = ("python", "go", "java", "gnutls", "chrome", "firefox")
#: (server, client) -> why the finding and the client differ
DIFFERENT: Mapping[tuple[str, str], str] = {}


class Met(NamedTuple):
    """The findings of the servers, what each client said of each, and whether it accepted."""

    findings: Mapping[str, Finding]
    said: Mapping[str, Answers]
    accepted: Mapping[str, Mapping[str, bool]]


def leaf(deviant: Deviant) -> pki.Issued:
    return pki.certificate(
        f"{deviant.id}.{DOMAIN}",
        issuer=ROOT,
        private=pki.key(deviant.kind, deviant.kind),
        not_before=NOW - 10 * pki.DAY,
        not_after=NOW + 80 * pki.DAY,
    )


def question(server: DeviantServer) -> Question:
    return Question(server.deviant.id, ADDRESS, server.port, f"{server.deviant.id}.{DOMAIN}")


async def scanned(servers: list[DeviantServer], scratch: Path, roots: Path, **options: Any) -> dict[str, Finding]:
    inventory = scratch / "inventory.csv"
    asked = [question(server) for server in servers]
    inventory.write_text("host,port,address\n" + "".join(f"{one.name},{one.port},{ADDRESS}\n" for one in asked))
    config = replace(ScanConfig(), **{"connect_timeout": 2.0, "timeout": 10.0, "retries": 0, **options})
    rows = read_inventory(
        str(inventory), default_protocol=config.default_protocol, default_port=443, protocols=PROTOCOLS
    )
    inputs = RunInputs(resolvers=("127.0.0.1:9",), trust_stores=(str(roots),))
    findings = await scan_rows(rows, inputs, config, seconds=120)
    return {str(finding["target"]["host"]).partition(".")[0]: finding for finding in findings}


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Met]:
    scratch = tmp_path_factory.mktemp("deviants")
    roots = scratch / "roots.pem"
    roots.write_text(pki.pem(ROOT))
    said, accepted = dict[str, Answers](), dict[str, dict[str, bool]]()
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(deviant, ADDRESS, leaf(deviant))) for deviant in CODES]
        findings = trio.run(functools.partial(scanned, servers, scratch, roots))
        asked = [question(server) for server in servers]
        for client in fleet.CLIENTS:
            if not fleet.present(client) or not fleet.wanted(client):
                continue
            for server in servers:
                server.seen.clear()
            place = scratch / client
            place.mkdir()
            said[client] = fleet.CLIENTS[client](asked, roots, place)
            for server in servers:
                server.wait()
            # browsers connect again where they were refused, and before they are asked to
            accepted[client] = {server.deviant.id: "finished" in server.seen for server in servers}
        yield Met(findings, said, accepted)


@pytest.mark.parametrize("deviant", CODES, ids=lambda deviant: deviant.id)
def test_findings_have_exactly_these_codes(deviant: Deviant, met: Met) -> None:
    finding = met.findings[deviant.id]
    codes = frozenset(diagnosis["code"] for diagnosis in finding["diagnoses"])
    if deviant.id == "names-13":  # how the scripted server ends is its own affair
        codes = codes - {"client-certificate-optional", "client-certificate-required-by-application"}
    assert codes == CODES[deviant]


@pytest.mark.parametrize("client", fleet.CLIENTS)
def test_clients_refuse_what_is_predicted(client: str, met: Met) -> None:
    if client not in met.accepted:
        pytest.skip(f"{client} is not installed, or a browser, which are asked where {fleet.BROWSERS_SWITCH} is set")
    wrong = {}
    for name, finding in met.findings.items():
        if name.startswith("names"):
            continue  # the scripted server refuses a client without a certificate
        predicted = fleet.predicted(finding, client)
        if predicted is not None and (predicted == "ok") is not met.accepted[client][name]:
            wrong[name] = (predicted, met.said[client][name])
    assert wrong == {}


@pytest.mark.parametrize("client", SAYING)
def test_clients_say_what_is_predicted(client: str, met: Met) -> None:
    if client not in met.accepted:
        pytest.skip(f"{client} is not installed")
    wrong = {}
    for name, finding in met.findings.items():
        predicted = fleet.predicted(finding, client) or "ok"
        said = met.said[client][name]
        if predicted != "ok" and not met.accepted[client][name] and predicted not in said:
            wrong[name] = (predicted, said)
    assert wrong == {}


def test_java_alone_refuses_long_lists_of_ca_names(met: Met) -> None:
    if shutil.which("javac") is None:
        pytest.skip("java is not installed")
    for name in ("names", "names-13"):
        predicted = met.findings[name]["clients"]["java"]
        assert predicted == met.said["java"][name]
        libraries = {client: took for client, took in met.accepted.items() if client not in fleet.BROWSERS}
        refusing = [client for client, took in libraries.items() if not took[name]]
        assert {client.removesuffix("-newest") for client in refusing} == {"java"}


def test_a_refusal_by_a_mainstream_client_is_an_error(met: Met) -> None:
    for name, finding in met.findings.items():
        refused = [client for client in ("openssl", "go", "java") if not met.accepted.get(client, {}).get(name, True)]
        assert not refused or finding["outcome"] == "fail", (name, refused)


# --- servers that break after the client's key exchange ------------------------------------------------

# RSA key transport, of which nothing is signed: only the end of the handshake shows that the server has the key
RSA_KX = 0x009C
BREAKING = tuple(
    Deviant(f"{then}-{name}", suite=suite, then=then)
    for then in ("close", "reset", "refuse")
    for name, suite in (("signed", None), ("transported", RSA_KX))
)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "enumerate"])
def broken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bool, dict[str, Finding]]:
    scratch = tmp_path_factory.mktemp("breaking")
    roots = scratch / "roots.pem"
    roots.write_text(pki.pem(ROOT))
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(deviant, ADDRESS, leaf(deviant))) for deviant in BREAKING]
        findings = trio.run(functools.partial(scanned, servers, scratch, roots, enumerate=request.param))
    return request.param, findings


@pytest.mark.parametrize("deviant", BREAKING, ids=lambda deviant: deviant.id)
def test_a_server_that_breaks_after_the_key_exchange(deviant: Deviant, broken: tuple[bool, dict[str, Finding]]) -> None:
    enumerated, findings = broken
    finding = findings[deviant.id]
    found = [each for each in finding["diagnoses"] if each["code"] == "closed-during-handshake"]
    if deviant.suite is None and not enumerated:
        assert (finding["outcome"], found) == ("ok", [])  # a signed flight leaves no doubt
        return
    assert len(found) == 1 and finding["outcome"] == "fail"
    endings = {"close": "closed", "reset": "reset", "refuse": "alert"}
    assert found[0]["evidence"]["failure"] == endings[deviant.then]
    assert "the client's key exchange" in found[0]["summary"]
    assert "ok" not in finding["clients"].values()


@pytest.mark.parametrize("times", [1, 2])
def test_a_connection_that_was_cut_before_is_finished(times: int, tmp_path: Path) -> None:
    """What resets one hello may reset a later one; a flight alone does not show that."""
    roots = tmp_path / "roots.pem"
    roots.write_text(pki.pem(ROOT))
    deviant = Deviant("cut", cuts=times, then="close")
    with serving(deviant, ADDRESS, leaf(deviant)) as server:
        findings = trio.run(functools.partial(scanned, [server], tmp_path, roots, retries=2))
    finding = findings["cut"]
    assert [each["code"] for each in finding["diagnoses"]] == ["closed-during-handshake"]
    assert finding["endpoints"][0]["observed"]["probe"]["cut"] == times


# --- a protocol whose clients offer no ALPN -------------------------------------------------------------


@pytest.mark.parametrize("version", [0x0303, TLS13])
def test_an_alpn_name_where_none_is_offered_is_refused_by_all_who_offer_none(version: int, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text(pki.pem(ROOT))
    deviant = Deviant("alpn", version, encrypted=alpn("imap"))
    if version != TLS13:
        deviant = Deviant("alpn", hello=RENEGOTIATION_INFO + alpn("imap"))
    with serving(deviant, ADDRESS, leaf(deviant)) as server:
        finding = trio.run(functools.partial(scanned, [server], tmp_path, roots, default_protocol="imaps"))["alpn"]
        assert (finding["outcome"], [each["code"] for each in finding["diagnoses"]]) == ("fail", [MALFORMED])
        for client in ("openssl", "python", "go", "java", "node", "gnutls"):
            if not fleet.present(client):
                continue
            server.seen.clear()
            place = tmp_path / client
            place.mkdir()
            said = fleet.CLIENTS[client]([question(server)], roots, place)["alpn"]
            server.wait()
            assert server.seen[-1].startswith("alert"), (client, said)
            assert finding["clients"][client] in said or client in ("openssl", "node"), (client, said)
