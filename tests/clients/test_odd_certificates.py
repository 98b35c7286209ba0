"""Findings on odd certificates say what clients do, and the clients on this machine still do what the table says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scanner.demo.server_messages import ServerSuite
from scanner.demo.servers import run_handler, scripted
from scanner.diagnosis.case import Context
from scanner.diagnosis.clients.endings import OK
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.engine import Diagnosis, diagnose
from tests.clients import fleet, programs, running
from tests.clients.odd_answers import ANSWERS, COLUMNS
from tests.clients.odd_certificates import odd_chains
from tests.clients.running import Answers, Question
from tests.clients.variants import NOW
from tests.helpers import pki
from tests.helpers.evidence import answered, evidence, target, verdicts, verifier

#: Columns of the table -> the clients that are predicted by them
PREDICTED: Final = {
    "openssl": ("openssl", "curl", "python", "node"),
    "go": ("go",),
    "java": ("java",),
    "gnutls": ("gnutls",),
    "chrome": ("chrome",),
    "firefox": ("firefox",),
}
# No client accepts these, and curl reports the library's error for some signatures and the verifier's for others.
BROKEN: Final = frozenset(f"{where}-{kind}-broken" for where in ("ca", "root") for kind in ("rsa", "ec", "ml-dsa"))
# Addresses that no other test uses
NETWORK: Final = "127.97"
# So that the servers, which are all in this process, can keep up
AT_A_TIME: Final = 2


@functools.cache
def diagnosed(identity: str) -> Diagnosis:
    chain = odd_chains()[identity]
    seen = evidence(answered(chain.chain), of=target(chain.host))
    return diagnose(seen, verdicts(seen, verifier(chain.root), NOW), Context(at=NOW))


def test_the_table_is_of_all_chains() -> None:
    assert list(ANSWERS) == list(odd_chains())


@pytest.mark.parametrize("identity", ANSWERS)
def test_findings_say_what_each_client_does(identity: str) -> None:
    diagnosis, chain = diagnosed(identity), odd_chains()[identity]
    said = predict(target(chain.host), diagnosis.diagnoses)
    for column, clients in PREDICTED.items():
        mark = ANSWERS[identity][column]
        for client in clients:
            predicted = said.get(client, OK if not said else None)
            if mark == "." or (predicted is None and client == "curl" and identity in BROKEN):
                continue
            assert predicted is not None, client
            assert (predicted == OK) is (mark == "+"), f"{client}: {predicted}"


@pytest.mark.parametrize("identity", ANSWERS)
def test_an_error_is_what_a_client_refuses_and_only_a_bad_signature_is_called_one(identity: str) -> None:
    diagnosis = diagnosed(identity)
    refusing = [column for column in PREDICTED if column != "gnutls" and ANSWERS[identity][column] == "-"]
    codes = {record["code"] for record in diagnosis.diagnoses if record["severity"] == "error"}
    not_asked = "." in ANSWERS[identity].values()
    assert bool(refusing) is bool(codes) or (not_asked and codes)
    assert ("bad-signature" in codes) is (identity in BROKEN)
    assert codes <= {
        "unsupported-algorithm",
        "malformed-certificate",
        "bad-signature",
        "issuer-not-a-ca",
        # where there is no name in it that can be read, and where the key is of no kind that servers have
        "common-name-only",
        "no-shared-signature-scheme",
    }


# --- the clients on this machine -------------------------------------------------------------------


def _each(ask: Callable[[Question, Path], str]) -> Callable[[Sequence[Question], Path, Path], Answers]:
    def ask_one(question: Question, roots: Path) -> str:
        return ask(question, question.roots or roots)

    return programs.each(ask_one)


#: Columns of the table -> how the client is asked, and what its version begins with where the answers are of that one
CLIENTS: Final[dict[str, tuple[running.Client, str, str]]] = {
    "openssl": (_each(programs.ask_openssl), "openssl", "OpenSSL 3.0."),
    "openssl4": (_each(programs.ask_pyopenssl), "openssl-newest", "OpenSSL 4."),
    "go": (running.go, "go", "go version go1.26"),
    "java": (running.newest_java, "java-newest", 'openjdk version "25'),
    "java17": (running.java, "java", 'openjdk version "17'),
    "gnutls": (_each(programs.ask_gnutls), "gnutls", "gnutls-cli 3."),
}


async def _ask_everybody(directory: Path, columns: Sequence[str]) -> dict[str, Answers]:
    rsa, ecdsa = ServerSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    questions: list[Question] = []
    answers: dict[str, Answers] = {}
    places = trio.CapacityLimiter(AT_A_TIME)

    async def ask(column: str) -> None:
        scratch = directory / column
        scratch.mkdir()
        some_root = directory / f"{questions[0].id}.pem"
        answers[column] = await trio.to_thread.run_sync(
            CLIENTS[column][0], questions, some_root, scratch, limiter=places
        )

    async with trio.open_nursery() as servers:
        for number, (identity, chain) in enumerate(odd_chains().items()):
            address = f"{NETWORK}.{number // 250}.{number % 250 + 1}"
            listener = (await trio.open_tcp_listeners(0, host=address))[0]
            suite = rsa if isinstance(chain.credential.key, RSAPrivateKey) else ecdsa
            handler = functools.partial(run_handler, scripted(chain.credential, suites=[suite]))
            servers.start_soon(functools.partial(trio.serve_listeners, handler, [listener]))
            roots = directory / f"{identity}.pem"
            roots.write_text(pki.pem(chain.root))
            port = listener.socket.getsockname()[1]
            questions.append(Question(identity, address, port, chain.host, roots=roots))
        async with trio.open_nursery() as clients:
            for column in columns:
                clients.start_soon(ask, column)
        servers.cancel_scope.cancel()
    return answers


def _present(column: str) -> bool:
    _, client, begins = CLIENTS[column]
    return fleet.versions().get(client, "").startswith(begins)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answers]:
    columns = [column for column in CLIENTS if _present(column)]
    return trio.run(_ask_everybody, tmp_path_factory.mktemp("odd"), columns)


@pytest.mark.timeout(600)  # each client meets each server, in the setup of the first test
@pytest.mark.parametrize("column", CLIENTS)
def test_clients_do_what_the_table_says(column: str, answers: dict[str, Answers]) -> None:
    if column not in answers:
        pytest.skip(f"{CLIENTS[column][2]} is not here")
    said = answers[column]
    different = {
        identity: said[identity]
        for identity, marks in ANSWERS.items()
        if marks[column] != "." and (said[identity] == "ok") is not (marks[column] == "+")
    }
    assert different == {}


def test_columns_are_of_clients_that_are_asked_here_and_of_browsers() -> None:
    assert set(COLUMNS) == {*CLIENTS, "chrome", "firefox"}
