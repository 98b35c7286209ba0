"""Cases of servers that do not complete their flight: one failure, many causes.

Each case is what was asked and answered; the codes tell which cause that proves.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scanner.diagnosis.engine import Diagnosis
from scanner.model.evidence import Completion, EndpointEvidence, Failure, Negotiation, Probe, ServerFlight, Stage
from tests.helpers.evidence import (
    ADDRESS,
    alerted,
    answered,
    at,
    codes,
    diagnosed,
    evidence,
    failed,
    flight,
    proof,
    target,
)

RESET = failed(Failure.RESET)
CLOSED = failed(Failure.CLOSED)
SILENT = failed(Failure.SILENT)
HANDSHAKE_FAILURE = alerted(40)
PROTOCOL_VERSION = alerted(70)

OLD_SUITE: dict[str, Any] = {"version": 0x0303, "cipher": 0x009E, "group": None, "dh_bits": 2048}
OLD_GROUP: dict[str, Any] = {"version": 0x0304, "cipher": 0x1301, "group": 0x0019}
ANONYMOUS = answered((), version=0x0303, cipher=0xC018, signature_scheme=None)
ANONYMOUS_DHE = answered((), version=0x0303, cipher=0x0034, group=None, dh_bits=2048, signature_scheme=None)
OTHER_NAME = answered(sni="tlsweep-asks-for-no-such-name.invalid")


def legacy(version: int) -> Probe:
    return answered(version=version, cipher=0x0035, group=None, signature_scheme=None)


@pytest.mark.parametrize(
    ("first", "followups", "expected"),
    [
        # size
        (SILENT, {"small": answered()}, ["large-hello-dropped"]),
        (RESET, {"small": answered()}, ["large-hello-dropped"]),
        (RESET, {"small": answered(), "two_shares": answered()}, ["large-hello-dropped"]),
        # what not every client sends
        (RESET, {"small": answered(), "two_shares": RESET}, ["reset-after-hello"]),
        (SILENT, {"tls12": answered(), "small": answered(), "two_shares": SILENT}, ["silent-after-hello"]),
        (CLOSED, {"everything": answered(), "no_status": answered()}, ["closed-during-handshake"]),
        (alerted(47), {"small": alerted(47), "everything": answered(), "no_status": answered()}, ["malformed-handshake"]),
        (alerted(80), {"everything": answered(), "no_status": answered()}, ["internal-error"]),
        # the name
        (RESET, {"small": RESET, "other_sni": OTHER_NAME}, ["sni-filtered"]),
        (RESET, {"small": RESET, "other_sni": alerted(112, sni="x.invalid")}, ["sni-filtered"]),
        (SILENT, {"small": SILENT, "no_sni": answered(sni=None)}, ["sni-filtered"]),
        (CLOSED, {"small": CLOSED, "other_sni": OTHER_NAME}, ["sni-unrecognized"]),
        (CLOSED, {"small": CLOSED, "other_sni": alerted(112, sni="x.invalid")}, ["closed-during-handshake"]),
        (alerted(112), {"no_sni": answered(sni=None)}, ["sni-unrecognized"]),
        (alerted(112), {"no_sni": alerted(112, sni=None)}, ["sni-unrecognized"]),
        (alerted(80), {"no_sni": answered(sni=None)}, ["sni-unrecognized"]),
        (HANDSHAKE_FAILURE, {"everything": HANDSHAKE_FAILURE, "no_sni": answered(sni=None)}, ["sni-unrecognized"]),
        # versions
        (PROTOCOL_VERSION, {"tls12": answered(version=0x0303, cipher=0xC02F)}, ["version-intolerant"]),
        (RESET, {"small": RESET, "tls12": answered(version=0x0303, cipher=0xC02F)}, ["version-intolerant"]),
        (PROTOCOL_VERSION, {"tls12": PROTOCOL_VERSION, "tls11": legacy(0x0302)}, ["legacy-version-only"]),
        (HANDSHAKE_FAILURE, {"everything": HANDSHAKE_FAILURE, "tls10": legacy(0x0301)}, ["legacy-version-only"]),
        (RESET, {"small": RESET, "ssl3": legacy(0x0300)}, ["legacy-version-only"]),
        (PROTOCOL_VERSION, {"tls12": PROTOCOL_VERSION, "tls10": PROTOCOL_VERSION}, ["version-rejected"]),
        (alerted(86), {}, ["version-rejected"]),
        # suites and groups
        (HANDSHAKE_FAILURE, {"everything": answered(**OLD_SUITE)}, ["no-shared-cipher"]),
        (HANDSHAKE_FAILURE, {"everything": answered(**OLD_GROUP)}, ["no-shared-group"]),
        (HANDSHAKE_FAILURE, {"everything": answered(**OLD_SUITE), "all_suites": answered(**OLD_SUITE)}, ["no-shared-cipher"]),
        (
            HANDSHAKE_FAILURE,
            {
                "everything": answered(version=0x0303, cipher=0xC009, group=0x0019),
                "all_suites": HANDSHAKE_FAILURE,
                "all_groups": HANDSHAKE_FAILURE,
            },
            ["no-shared-cipher", "no-shared-group"],
        ),
        (
            HANDSHAKE_FAILURE,
            {"everything": answered(version=0x0303, cipher=0xC009, group=0x0019), "all_suites": answered(cipher=0xC009)},
            ["no-shared-cipher"],
        ),
        (
            RESET,
            {"small": RESET, "tls12": RESET, "everything": RESET, "tls12_everything": answered(**OLD_SUITE)},
            ["no-shared-cipher"],
        ),
        # anonymous suites have no certificate by design
        (HANDSHAKE_FAILURE, {"everything": ANONYMOUS}, ["no-shared-cipher"]),
        (HANDSHAKE_FAILURE, {"everything": ANONYMOUS_DHE}, ["no-shared-cipher"]),
        (RESET, {"small": RESET, "everything": ANONYMOUS}, ["no-shared-cipher"]),
        (
            HANDSHAKE_FAILURE,
            {"everything": HANDSHAKE_FAILURE, "tls10": answered((), version=0x0301, cipher=0xC018, signature_scheme=None)},
            ["legacy-version-only", "no-shared-cipher"],
        ),
        # nothing helps: the failure itself
        (HANDSHAKE_FAILURE, {"everything": HANDSHAKE_FAILURE}, ["handshake-failure"]),
        (alerted(71), {}, ["handshake-failure"]),
        (alerted(120), {}, ["handshake-failure"]),
        (alerted(120), {"no_alpn": answered(alpn=None)}, ["no-shared-alpn"]),
        (RESET, {"everything": answered(), "no_alpn": answered(alpn=None)}, ["no-shared-alpn"]),
        # an ML-DSA key; schemes that are wanted for the chain and then not used; SM2 and a rare suite at once
        (HANDSHAKE_FAILURE, {"everything": answered(signature_scheme=0x0905)}, ["no-shared-signature-scheme"]),
        (
            HANDSHAKE_FAILURE,
            {"everything": answered(), "all_schemes": answered()},
            ["no-shared-signature-scheme"],
        ),
        (
            HANDSHAKE_FAILURE,
            {"everything": answered(cipher=0x1304, signature_scheme=0x0708)},
            ["no-shared-cipher", "no-shared-signature-scheme"],
        ),
        # an HelloRetryRequest for ML-KEM-512, of which no share can be made here
        (
            HANDSHAKE_FAILURE,
            {"everything": failed(Failure.MALFORMED, flight=flight((), group=0x0200, hello_retry=True, complete=False))},
            ["no-shared-group"],
        ),
        (
            HANDSHAKE_FAILURE,
            {"everything": failed(Failure.MALFORMED, flight=flight((), group=0x0017, hello_retry=True, complete=False))},
            ["handshake-failure"],
        ),
        (alerted(80), {"no_sni": alerted(80, sni=None)}, ["internal-error"]),
        (alerted(50), {"small": alerted(50)}, ["malformed-handshake"]),
        (alerted(47), {}, ["malformed-handshake"]),
        (alerted(0), {}, ["closed-during-handshake"]),
        (alerted(123), {}, ["handshake-failure"]),
        (RESET, {"small": RESET, "tls10": RESET}, ["reset-after-hello"]),
        (SILENT, {"small": SILENT}, ["silent-after-hello"]),
        (CLOSED, {"small": CLOSED}, ["closed-during-handshake"]),
        # cut in the middle
        (failed(Failure.RESET, bytes_received=900), {}, ["closed-during-handshake"]),
        (failed(Failure.CLOSED, bytes_received=900), {}, ["closed-during-handshake"]),
        (failed(Failure.SILENT, bytes_received=900), {}, ["silent-after-hello"]),
        (failed(Failure.MALFORMED, detail="ServerHello: too short at 12"), {}, ["malformed-handshake"]),
    ],
)  # fmt: skip
def test_the_first_change_that_helps_names_the_cause(
    first: Probe, followups: dict[str, Any], expected: list[str]
) -> None:
    diagnosis = diagnosed(evidence(at(first, **followups)))
    assert codes(diagnosis) == expected
    assert diagnosis.outcome == "fail"
    assert diagnosis.stage is Stage.HELLO
    assert any(text != "ok" for text in diagnosis.clients.values())


def test_evidence_has_what_was_tried() -> None:
    """A reader can follow the reasoning: each question with its answer in one word."""
    seen = at(HANDSHAKE_FAILURE, everything=alerted(71), no_sni=failed(Failure.RESET, sni=None))
    facts = proof(diagnosed(evidence(seen)), "handshake-failure")
    assert facts["tried"] == {"everything": "insufficient_security", "no-sni": "reset"}
    assert (facts["alert"], facts["alert_code"]) == ("handshake_failure", 40)


def test_versions_that_work_are_listed() -> None:
    seen = at(
        PROTOCOL_VERSION, tls12=PROTOCOL_VERSION, tls11=legacy(0x0302), tls10=legacy(0x0301), ssl3=PROTOCOL_VERSION
    )
    facts = proof(diagnosed(evidence(seen)), "legacy-version-only")
    assert facts["versions"] == ["TLSv1.1", "TLSv1.0"]


def test_a_server_that_answers_with_an_old_version() -> None:
    """Offered 1.3 and 1.2, it chooses 1.0 by itself: read to its end, and refused by every client all the same."""
    diagnosis = diagnosed(legacy(0x0301))
    assert codes(diagnosis) == ["legacy-version-only"]
    assert diagnosis.clients["go"].startswith("tls: server selected unsupported protocol version")


def test_an_old_version_chosen_and_then_broken() -> None:
    """The same where its flight breaks off: the version is why, not the break."""
    broken = failed(Failure.CLOSED, bytes_received=80, flight=ServerFlight(Negotiation(version=0x0301)))
    assert codes(diagnosed(broken)) == ["legacy-version-only"]


def test_no_sni_is_no_evidence_where_none_was_sent() -> None:
    """An IP literal sends no server_name; an answer to the same question proves nothing about names."""
    seen = evidence(at(failed(Failure.RESET, sni=None), no_sni=answered(sni=None)), of=target("192.0.2.1"))
    assert codes(diagnosed(seen))[0] == "reset-after-hello"


@pytest.mark.parametrize(
    ("recognised", "summary"),
    [
        ("http", "192.0.2.1 port 443 answers with plain HTTP instead of TLS."),
        (None, "192.0.2.1 port 443 answers with something that is not TLS (first bytes 0102)."),
    ],
)
def test_plaintext_is_recognised(recognised: str | None, summary: str) -> None:
    """Something that is no TLS record: recognised or not, with its first bytes."""
    diagnosis = diagnosed(failed(Failure.PLAINTEXT, recognised=recognised, first_bytes=b"\x01\x02"))
    assert codes(diagnosis) == ["plaintext-on-tls-port"]
    assert diagnosis.cause == "server-misconfiguration"
    assert diagnosis.diagnoses[0]["summary"] == summary


# --- a PROXY header is expected -------------------------------------------------------------------

HEADER = {"small": RESET, "tls12_everything": RESET}


@pytest.mark.parametrize(
    ("first", "followups", "expected"),
    [
        (RESET, {**HEADER, "proxy_v1": answered()}, ["proxy-header-expected"]),
        (CLOSED, {"small": CLOSED, "proxy_v1": CLOSED, "proxy_v2": answered()}, ["proxy-header-expected"]),
        (failed(Failure.CLOSED, stage=Stage.STARTTLS), {"proxy_v1": answered()}, ["proxy-header-expected"]),
        # an answer that is no flight proves nothing: many a server answers a line of text
        (RESET, {**HEADER, "proxy_v1": alerted(70)}, ["reset-after-hello"]),
        (RESET, {**HEADER, "proxy_v1": failed(Failure.PLAINTEXT, recognised="http")}, ["reset-after-hello"]),
        (failed(Failure.CLOSED, stage=Stage.STARTTLS), {"proxy_v1": failed(Failure.SESSION_REFUSED)}, ["session-refused"]),
    ],
)  # fmt: skip
def test_only_a_whole_flight_after_a_header_proves_that_it_is_expected(
    first: Probe, followups: dict[str, Any], expected: list[str]
) -> None:
    diagnosis = diagnosed(evidence(at(first, **followups)))
    assert codes(diagnosis) == expected
    assert diagnosis.outcome == "fail"


@pytest.mark.parametrize(("version", "tool"), [("v1", "--haproxy-protocol"), ("v2", None)])
def test_a_header_that_curl_can_send_is_in_the_confirming_command(version: str, tool: str | None) -> None:
    asked: dict[str, Any] = {f"proxy_{version}": answered()}
    seen = at(RESET, **asked)
    (diagnosis,) = diagnosed(evidence(seen, of=target(protocol="https"))).diagnoses
    assert diagnosis["evidence"]["header"] == version
    assert f"after one of {version}" in diagnosis["summary"]
    assert ((tool or "--haproxy") in (diagnosis["confirm"] or "")) is (tool is not None)


# --- our deadline is ours --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("followups", "code"),
    [
        ({}, "silent-after-hello"),
        ({"tls12": SILENT, "other_sni": OTHER_NAME}, "sni-filtered"),
        ({"tls12": answered(version=0x0303, cipher=0xC02F), "small": answered()}, "large-hello-dropped"),
    ],
)
def test_the_seconds_that_were_waited_and_the_option_are_in_summary_and_evidence(
    followups: dict[str, Any], code: str
) -> None:
    silent = failed(Failure.SILENT, handshake_seconds=10.4999971)
    (diagnosis,) = diagnosed(evidence(at(silent, **followups))).diagnoses
    assert diagnosis["code"] == code
    assert (diagnosis["evidence"]["seconds"], diagnosis["evidence"]["option"]) == (10.5, "--timeout")
    assert "10.5 s" in diagnosis["summary"]
    assert "--timeout" in diagnosis["summary"]
    assert "never" not in diagnosis["summary"]


def test_a_server_that_hangs_on_any_offer_of_tls_1_3_is_intolerant_of_the_version() -> None:
    silent = failed(Failure.SILENT, handshake_seconds=10.5)
    seen = at(silent, tls12=answered(version=0x0303, cipher=0xC02F), small=SILENT)
    facts = proof(diagnosed(evidence(seen)), "version-intolerant")
    assert facts["seconds"] == 10.5


# --- handshakes that are not finished --------------------------------------------------------------------

TLS12: dict[str, Any] = {"version": 0x0303, "cipher": 0xC02F, "finished_valid": None}


def finished(failure: Failure | None, question: str = "finish", **changes: Any) -> Diagnosis:
    completion = Completion(Stage.HELLO, failure=failure, answered=True, **changes)
    return diagnosed(evidence(EndpointEvidence(ADDRESS, answered(**TLS12), completions={question: completion})))


@pytest.mark.parametrize("question", ["finish", "http"])
@pytest.mark.parametrize(
    ("failure", "words", "clients"),
    [
        (Failure.CLOSED, "closes the connection after the client's key exchange", {"go": "EOF"}),
        (Failure.RESET, "resets the connection after", {"node": "ECONNRESET: read ECONNRESET"}),
        (Failure.SILENT, "says nothing more within 2.3 s", {"curl": "(28) SSL connection timeout"}),
    ],
)
def test_how_a_server_breaks_after_the_key_exchange(
    question: str, failure: Failure, words: str, clients: dict[str, str]
) -> None:
    diagnosis = finished(failure, question, seconds=2.26)
    assert codes(diagnosis) == ["closed-during-handshake"]
    assert words in diagnosis.diagnoses[0]["summary"]
    assert clients.items() <= diagnosis.clients.items()


def test_an_alert_after_the_key_exchange() -> None:
    diagnosis = finished(Failure.ALERT, alert=20)
    assert codes(diagnosis) == ["closed-during-handshake"]
    assert "with the alert bad_record_mac" in diagnosis.diagnoses[0]["summary"]
    assert diagnosis.clients["go"] == "remote error: tls: bad record MAC"


def test_a_finished_that_does_not_verify() -> None:
    diagnosis = finished(Failure.MALFORMED, detail="DIGEST_CHECK_FAILED")
    assert codes(diagnosis) == ["malformed-handshake"]
    assert "DIGEST_CHECK_FAILED after the client's key exchange" in diagnosis.diagnoses[0]["summary"]


def test_nothing_is_concluded_from_a_handshake_where_this_machine_is_in_doubt() -> None:
    completion = Completion(Stage.HELLO, failure=Failure.RESET, answered=True)
    seen = evidence(EndpointEvidence(ADDRESS, answered(**TLS12), completions={"finish": completion}))
    assert codes(diagnosed(replace(seen, doubt="the network was down"))) == []


@pytest.mark.parametrize(
    "completion",
    [
        Completion(Stage.HELLO, failure=Failure.RESET),  # our hello was not answered at all
        Completion(Stage.CONNECT, failure=Failure.CONNECT_TIMEOUT),
        Completion(Stage.APPLICATION, failure=Failure.CLOSED),
        Completion(Stage.DONE),
        Completion(
            Stage.HELLO, failure=Failure.RESET, answered=True, presented=True
        ),  # our certificate may be the reason
    ],
)
def test_what_does_not_show_that_a_handshake_cannot_be_finished(completion: Completion) -> None:
    seen = EndpointEvidence(ADDRESS, answered(**TLS12), completions={"finish": completion})
    assert codes(diagnosed(evidence(seen))) == []


# --- a row whose protocol seems wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("recognised", "put"),
    [
        ("smtp", "smtp"),
        ("imap", "imap"),
        ("postgresql", "postgres"),
        ("mysql", "mysql"),
        ("http", None),
        ("ssh", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("protocol", ["tls", "https", "smtps"])
def test_plain_text_with_an_upgrade_names_the_protocol_to_put(
    protocol: str, recognised: str | None, put: str | None
) -> None:
    probe = failed(Failure.PLAINTEXT, recognised=recognised, first_bytes=b"220 ready", bytes_received=9)
    (diagnosis,) = diagnosed(evidence(probe, of=target(protocol=protocol, port=2525))).diagnoses
    assert diagnosis["code"] == "plaintext-on-tls-port"
    assert diagnosis["evidence"].get("row_protocol") == put
    assert (
        f"answers as {recognised.upper() if recognised else ''}: put `protocol` `{put}`" in diagnosis["remedy"]
    ) == (put is not None)


@pytest.mark.parametrize("failure", [Failure.CLOSED, Failure.RESET, Failure.SILENT])
@pytest.mark.parametrize(
    ("port", "put"), [(5432, "postgres"), (389, "ldap"), (1433, "mssql"), (3389, "rdp"), (587, "smtp")]
)
def test_a_hello_that_gets_nothing_on_the_port_of_another_protocol_says_so(
    failure: Failure, port: int, put: str
) -> None:
    (diagnosis,) = diagnosed(evidence(failed(failure), of=target(protocol="tls", port=port))).diagnoses
    assert diagnosis["evidence"]["port_protocol"] == put
    assert f"put `protocol` `{put}`" in diagnosis["remedy"] and "crash" not in diagnosis["remedy"]


@pytest.mark.parametrize("failure", [Failure.CLOSED, Failure.RESET, Failure.SILENT])
def test_a_row_that_leaves_the_protocol_open_is_told_which_it_may_be(failure: Failure) -> None:
    (open_row,) = diagnosed(evidence(failed(failure), of=target(protocol="tls", port=1389, auto=True))).diagnoses
    assert "`ldap`, `postgres`" in open_row["remedy"] and "crash" not in open_row["remedy"]
    (closed,) = diagnosed(evidence(failed(failure), of=target(protocol="tls", port=1389))).diagnoses
    assert "leaves it open" not in closed["remedy"]


def test_a_server_that_began_to_answer_in_tls_has_the_right_protocol() -> None:
    began = failed(Failure.CLOSED, bytes_received=900)
    (diagnosis,) = diagnosed(evidence(began, of=target(protocol="tls", port=5432))).diagnoses
    assert "port_protocol" not in diagnosis["evidence"]
