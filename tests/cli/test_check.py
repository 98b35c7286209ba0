"""``tlsweep check`` from outside."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import orjson
import pytest

from scanner.demo.fleet import Fleet
from tests.cli.conftest import Call, command, environment, refused
from tests.cli.test_options import an_anchor
from tests.helpers.evidence import AT, HOST, chain
from tests.helpers.schema import validate


def address_of(fleet: Fleet, name: str) -> str:
    row = next(row for row in fleet.rows if row.case.name == name)
    return f"{row.case.protocol}://{row.host}:{row.port}"


def test_a_page_for_a_person(fleet: Fleet, options: list[str], call: Call) -> None:
    shown = call("check", address_of(fleet, "expired"), *options)

    assert (shown.status, shown.err) == (0, "")
    for part in (
        "FAIL",
        "expired-or-self-signed",
        "dns ",
        "address ",
        "hello ",
        "certificate 0",
        "do: ",
        "confirm: ",
        "curl ",
    ):
        assert part in shown.out
    assert "\x1b" not in shown.out
    assert all(line == line.rstrip() for line in shown.out.splitlines())


def test_findings_are_shown_in_the_order_of_the_targets(fleet: Fleet, options: list[str], call: Call) -> None:
    shown = call("check", address_of(fleet, "plain-http"), "bad name", address_of(fleet, "healthy"), "--json", *options)

    assert [orjson.loads(line)["outcome"] for line in shown.out.splitlines()] == ["fail", "invalid", "ok"]


def test_fail_on_sets_the_exit_status(fleet: Fleet, options: list[str], call: Call) -> None:
    assert call("check", address_of(fleet, "expired"), "--fail-on", "certificate-expired", *options).status == 1
    assert call("check", address_of(fleet, "expired"), "--fail-on", "dns", *options).status == 0


def test_enumerate_is_on_the_page(fleet: Fleet, options: list[str], call: Call) -> None:
    shown = call("check", address_of(fleet, "tls12"), "--enumerate", *options)

    assert "accepts" in shown.out
    assert "TLSv1.2" in shown.out
    assert shown.out.count("\n                 TLS_ECDHE_ECDSA_WITH_") > 2


MOMENT = str(int(AT))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """fullchain.pem for ``HOST``, and roots.pem."""
    from scanner.demo.pki import pem

    (tmp_path / "fullchain.pem").write_bytes(b"".join(map(pem, chain())))
    (tmp_path / "roots.pem").write_bytes(an_anchor())
    return tmp_path


def test_files_are_judged_without_a_network(files: Path, call: Call) -> None:
    line = ["check", "--chain", files / "fullchain.pem", "--host", HOST, "--trust-store", files / "roots.pem"]

    shown = call(*line, "--at", MOMENT)
    assert shown.status == 0
    assert "A file of certificates" in shown.out
    assert "confirm" not in shown.out
    finding = orjson.loads(call(*line, "--at", MOMENT, "--json").out)
    validate(finding)
    assert finding["endpoints"][0]["trust"]
    late = orjson.loads(call(*line, "--at", "2099-01-01", "--json").out)
    assert "certificate-expired" in [each["code"] for each in late["diagnoses"]]
    other = [*line[:4], "other.example", *line[5:]]
    mismatch = orjson.loads(call(*other, "--at", MOMENT, "--json", "--fail-on", "hostname-mismatch").out)
    assert mismatch["cause"] == "hostname-mismatch"


@pytest.mark.parametrize(
    "words",
    [
        ["--chain", "{files}/none.pem"],
        ["--chain", "{files}"],
        ["--chain", "{files}/roots.pem", "www.example.org"],
        ["--chain", "{files}/roots.pem", "--host", "not a name"],
        ["--chain", "{files}/roots.pem", "--trust-store", "{files}/none.pem"],
        ["--chain", "{files}/garbage.pem"],
        ["--chain", "{files}/roots.pem", "--ct-logs", "{files}/none.json"],
        ["www.example.org", "--ct-logs", "{files}/roots.pem"],
        ["www.example.org", "--host", "www.example.org"],
        ["--host", "www.example.org"],
        ["www.example.org", "--protocol", "gopher"],
        ["www.example.org", "--resolver", "nowhere"],
        ["www.example.org", "--fail-on", "nothing"],
        ["www.example.org", "--trust-store", "{files}/none.pem"],
    ],
    ids=" ".join,
)
def test_wrong_combinations_of_options_are_refused(words: list[str], files: Path, call: Call) -> None:
    (files / "garbage.pem").write_text("-----BEGIN CERTIFICATE-----\n!!!\n")

    refused(call("check", *[word.format(files=files) for word in words]))


def test_control_c_ends_it_with_status_3(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with subprocess.Popen(
            command("check", f"127.0.0.1:{port}"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            accepted, _ = silent.accept()
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            accepted.close()

    assert (process.returncode, out, err.strip()) == (3, b"", b"tlsweep: interrupted")


def test_lang_zh_translates_the_page(fleet: Fleet, call: Call, options: list[str]) -> None:
    """Sentences and labels follow the language; codes, causes, keys and commands do not."""
    target = address_of(fleet, "expired")
    shown = call("check", target, "--lang", "zh", *options)
    assert shown.status == 0
    for part in (
        "certificate-expired",
        "expired-or-self-signed",
        "过期",
        "处理：",
        "验证命令：openssl s_client",
        "各客户端的报错",
    ):
        assert part in shown.out
    english, chinese = (
        orjson.loads(call("check", target, "--json", "--lang", language, *options).out)["diagnoses"][0]
        for language in ("en", "zh")
    )
    assert english["summary"] != chinese["summary"] and english["remedy"] != chinese["remedy"]
    for same in ("code", "cause", "severity", "confirm"):
        assert english[same] == chinese[same]
