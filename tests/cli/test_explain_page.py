"""The page that ``tlsweep explain`` prints."""

from __future__ import annotations

import io

from scanner.cli.explain_page import show
from scanner.explain.answers import explain


def page(text: str) -> str:
    answer = explain(text)
    assert answer["kind"] != "unknown"
    stream = io.StringIO()
    show(answer, stream)
    return stream.getvalue()


def test_commands_are_not_wrapped() -> None:
    shown = page("intermediate-not-sent")
    assert "    nginx -t && systemctl reload nginx\n" in shown
    assert any(len(line) > 100 for line in shown.splitlines())
    assert not any(line.endswith(" ") for line in shown.splitlines())


def test_the_likeliest_code_comes_first() -> None:
    shown = page("read ECONNRESET").splitlines()
    numbered = [line for line in shown if line.lstrip()[:2] in {f"{number}." for number in range(1, 10)}]
    assert numbered[0].split()[1] == "reset-after-hello"


def test_an_error_of_the_client_alone_has_no_list_of_codes() -> None:
    shown = page("400 The plain HTTP request was sent to HTTPS port")
    assert "speaks plain text" in shown
    assert "It can mean" not in shown and "tlsweep explain" not in shown


def test_what_clients_say_names_their_releases() -> None:
    shown = page("certificate-expired")
    assert "  java 17 to 25: javax.net.ssl" in shown
    assert "  openssl 3.0 to 4.0: verify error:num=10:" in shown


def test_a_search_lists_codes() -> None:
    assert "must-staple-missing" in page("staple")
