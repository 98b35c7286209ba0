"""``tlsweep diff`` from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from scanner.net.http import webhook
from tests.cli.conftest import Call, refused
from tests.fleet.diff.test_comparison import seen, write


@pytest.fixture
def nights(tmp_path: Path) -> tuple[str, str]:
    """Two files: one target failed since."""
    old, new = [seen("a.example"), seen("b.example")], [seen("a.example", "fail", "dns"), seen("b.example")]
    return write(tmp_path / "old.ndjson", old), write(tmp_path / "new.ndjson", new)


def test_table_and_exit_status(call: Call, nights: tuple[str, str]) -> None:
    plain = call("diff", *nights)
    assert (plain.status, plain.err) == (0, "")
    assert "New failures" in plain.out

    assert call("diff", *nights, "--fail-on", "new").status == 1
    assert call("diff", *nights, "--fail-on", "fixed,vanished").status == 0


def test_json_is_one_document(call: Call, nights: tuple[str, str]) -> None:
    document = orjson.loads(call("diff", *nights, "--format", "json").out)
    assert document["counts"]["new"] == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{old}"], "two files"),
        (["{old}", "/nowhere"], "cannot read"),
        (["{old}", "{new}", "--fail-on", "everything"], "none of"),
        (["{empty}", "{new}"], "holds no findings"),
        (["-", "-"], "standard input"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    call: Call, nights: tuple[str, str], tmp_path: Path, words: list[str], reason: str
) -> None:
    (tmp_path / "empty").touch()
    places = {"old": nights[0], "new": nights[1], "empty": str(tmp_path / "empty")}
    assert reason in refused(call("diff", *(word.format(**places) for word in words)))


@contextmanager
def receiver(*statuses: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook that answers so, the last one for ever: its URL, and what it was sent."""
    left, got = list(statuses), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/SECRET", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_gets_a_summary(call: Call, nights: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "FIRST_PAUSE", 0.001)
    with receiver(503, 503, 200) as (url, got):
        done = call("diff", *nights, "--fail-on", "new", "--webhook", url)
    assert (done.status, done.err) == (1, "")
    assert len(got) == 3
    assert got[0] == got[2]
    assert (got[2]["matched"], got[2]["counts"]["new"]) == (["new"], 1)


def test_a_webhook_gets_nothing_unless_fail_on_matches(call: Call, nights: tuple[str, str]) -> None:
    with receiver(200) as (url, got):
        assert call("diff", *nights, "--fail-on", "vanished", "--webhook", url).status == 0
        assert got == []
        assert call("diff", *nights, "--webhook", url).status == 0
        assert got[0]["matched"] == []


def test_a_webhook_url_from_the_environment_is_not_shown(
    call: Call, nights: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(204) as (url, got):
        monkeypatch.setenv("TLSWEEP_WEBHOOK", url)
        assert call("diff", *nights).status == 0
        monkeypatch.setenv("TLSWEEP_WEBHOOK", "")
        assert call("diff", *nights).status == 0
    assert len(got) == 1


def test_a_webhook_that_fails_is_reported_after_the_output(call: Call, nights: tuple[str, str]) -> None:
    with receiver(403) as (url, _):
        done = call("diff", *nights, "--fail-on", "new", "--webhook", url)
    assert done.status == 2
    assert "New failures" in done.out
    assert "HTTP status 403" in done.err
    assert "SECRET" not in done.err
    assert done.err.count("\n") == 1


def test_an_unusable_webhook_url_is_refused_before_anything_is_read(call: Call) -> None:
    assert "--webhook" in refused(call("diff", "/nowhere", "/nowhere", "--webhook", "SECRET"))
