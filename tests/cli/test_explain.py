"""``tlsweep explain`` from outside."""

from __future__ import annotations

import io
import json
import sys

import pytest

from scanner.diagnosis.catalogue import CAUSES, CODES
from tests.cli.conftest import Call, refused


@pytest.mark.parametrize("word", [*CAUSES, *CODES])
def test_every_cause_and_code_is_explained(word: str, call: Call) -> None:
    shown = call("explain", word)
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.startswith(word)


def test_a_code_is_explained_in_full(call: Call) -> None:
    out = call("explain", "intermediate-not-sent").out
    for part in (
        "proof: ",
        "do: ",
        "confirm: openssl s_client",
        "What clients say",
        "nginx",
        "Apache",
        "HAProxy",
        "IIS",
        "certbot",
    ):
        assert part in out


def test_a_pasted_error_is_recognised(call: Call) -> None:
    shown = call("explain", "x509: certificate signed by unknown authority")
    assert shown.status == 0
    assert "1. intermediate-not-sent" in shown.out
    assert "tlsweep check HOST" in shown.out
    assert call("explain", *"x509: certificate signed by unknown authority".split()).out == shown.out


def test_a_pasted_line_may_begin_with_a_hyphen(call: Call) -> None:
    line = "- Status: The certificate is NOT trusted. The certificate chain uses expired certificate."
    for args in ((line,), ("--json", line), ("--", line)):
        shown = call("explain", *args)
        assert shown.status == 0 and "certificate-expired" in shown.out
    assert "No such option" in refused(call("explain", "-x"))


def test_json_is_one_object(call: Call) -> None:
    answer = json.loads(call("explain", "--json", "curl: (60) SSL certificate problem").out)
    assert answer["kind"] == "error" and answer["codes"][0]["code"] == "intermediate-not-sent"
    assert json.loads(call("explain", "--json", "revoked").out)["kind"] == "cause"
    unknown = call("explain", "--json", "blah blah blah")
    assert unknown.status == 2 and json.loads(unknown.out)["kind"] == "unknown"


def test_text_is_read_from_standard_input(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    pasted = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n\x1b[1mread ECONNRESET\x1b[0m\n"))
    monkeypatch.setattr(sys, "stdin", pasted)
    shown = call("explain", "-")
    assert shown.status == 0 and "reset-after-hello" in shown.out


@pytest.mark.parametrize(
    "text",
    ["certificat-expird", "blah", "\x1b]0;title\x07", "\u202egnp.exe", "\x00", "   ", "%s%n{0}{host}", "x" * 100_000],
)
def test_unknown_text_is_refused_in_one_line(text: str, call: Call) -> None:
    shown = call("explain", text)
    refused(shown)
    assert "\x1b" not in shown.err and "\u202e" not in shown.err and len(shown.err) < 1000


def test_the_nearest_codes_are_suggested(call: Call) -> None:
    assert "certificate-expired" in call("explain", "certificat-expird").err


def test_lang_zh_translates_the_answer(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the option or by the locale; codes and commands do not change."""
    shown = call("explain", "--lang", "zh", "certificate-expired").out
    assert shown.startswith("certificate-expired  证书已过期\n")
    assert "openssl s_client" in shown and "各客户端的报错" in shown
    assert "The certificate has expired" in call("explain", "certificate-expired").out
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert call("explain", "certificate-expired").out == shown
    assert "证书已过期" not in call("explain", "--lang", "en", "certificate-expired").out
    assert json.loads(call("explain", "--json", "dns").out)["title"] == "名称解析不到地址"
