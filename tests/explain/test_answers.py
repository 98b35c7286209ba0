"""Answers about causes, codes, errors and words."""

from __future__ import annotations

import orjson
import pytest

from scanner.diagnosis.catalogue import CAUSES, CODES
from scanner.explain.answers import code_answer, explain


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_an_answer(code: str) -> None:
    answer = explain(code)
    assert answer["kind"] == "code"
    assert answer["code"] == code and answer["fixes"]
    assert "{" not in f"{answer['remedy']}{answer['meaning']}{answer['clients']}".replace("{'", "").replace("{}", "")
    assert answer["confirm"] is None or "ADDRESS" not in answer["confirm"] or answer["confirm"].startswith("nc ")
    orjson.dumps(answer)


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_has_an_answer(cause: str) -> None:
    answer = explain(cause)
    assert answer["kind"] == "cause"
    assert [brief["code"] for brief in answer["codes"]] == [code.code for code in CODES.values() if code.cause == cause]
    assert answer["fixes"] and answer["means"].endswith(".") and answer["tell"].endswith(".")


@pytest.mark.parametrize(
    "spelt", ["certificate_expired", "Certificate Expired", " certificate-expired\n", "CERTIFICATE-EXPIRED"]
)
def test_codes_are_found_in_any_spelling(spelt: str) -> None:
    answer = explain(spelt)
    assert answer["kind"] == "code" and answer["code"] == "certificate-expired"


def test_a_pasted_error_is_recognised() -> None:
    answer = explain("curl: (60) SSL certificate problem: unable to get local issuer certificate")
    assert answer["kind"] == "error"
    assert answer["recognised"] == [
        {"whose": "curl", "name": "CURLE_PEER_FAILED_VERIFICATION", "number": 60},
        {"whose": "openssl-verify", "name": "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "number": 20},
    ]
    assert answer["codes"][0]["code"] == "intermediate-not-sent"
    assert "known-middlebox" in answer["meanings"][0]["codes"]
    assert answer["check"].startswith("tlsweep check")


def test_an_error_of_the_client_alone_has_a_meaning_and_no_codes() -> None:
    answer = explain("400 The plain HTTP request was sent to HTTPS port")
    assert answer["kind"] == "error"
    assert answer["codes"] == [] and len(answer["meanings"]) == 1


def test_an_alert_number_is_named() -> None:
    answer = explain("SSL alert number 112")
    assert answer["kind"] == "error"
    assert answer["recognised"] == [{"whose": "alert", "name": "unrecognized_name", "number": 112}]


def test_words_are_searched_and_unknown_ones_get_suggestions() -> None:
    found = explain("wildcard reach")
    assert found["kind"] == "search" and [brief["code"] for brief in found["codes"]] == ["wildcard-depth"]
    unknown = explain("certificat-expird")
    assert unknown["kind"] == "unknown" and "certificate-expired" in unknown["nearest"]


def test_client_messages_are_shown_if_clients_refuse() -> None:
    assert code_answer(CODES["certificate-expired"])["clients"]["curl"].startswith("(60) ")
    assert code_answer(CODES["expires-soon"])["clients"] == {}


@pytest.mark.parametrize("word", [*CODES, *CAUSES])
def test_answers_are_translated_except_for_names_and_commands(word: str) -> None:
    """Names, proofs and remedies are in Chinese; codes, causes, commands and client messages are not translated."""
    english, chinese = explain(word), explain(word, "zh")
    assert english["kind"] == chinese["kind"]
    assert english["kind"] in ("code", "cause") and chinese["kind"] in ("code", "cause")
    assert english["title"] != chinese["title"] and not chinese["title"].isascii()
    assert explain(chinese["title"], "zh") == chinese
    if english["kind"] == "code" and chinese["kind"] == "code":
        for same in ("code", "cause", "severity", "confirm", "clients", "fixes", "errors"):
            assert english[same] == chinese[same]
        assert "{" not in chinese["remedy"]


def test_chinese_titles_are_searched() -> None:
    found = explain("通配符", "zh")
    assert found["kind"] == "search" and [brief["code"] for brief in found["codes"]] == ["wildcard-depth"]
