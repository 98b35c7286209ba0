"""Values of options become configuration and inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from scanner.cli.option_values import cache_directory, max_memory, parse_columns, parse_time, parse_workers, scan_config
from scanner.cli.scan import scan
from scanner.errors import UsageProblem
from scanner.process.limits import MAX_WORKERS, cores
from tests.cli.conftest import Call, refused
from tests.tls.peers import certificate_files


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0.0),
        ("1700000000.5", 1700000000.5),
        ("2023-11-14T22:13:20Z", 1700000000.0),
        ("2023-11-14T23:13:20+01:00", 1700000000.0),
        ("2023-11-14 22:13:20", 1700000000.0),
        ("2023-11-14", 1699920000.0),
    ],
)
def test_time_formats(text: str, moment: float) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize("text", ["", "now", "nan", "inf", "1e400", "2023-13-01", "99999999999999999", "-1", "12:00"])
def test_other_texts_are_not_a_time(text: str) -> None:
    with pytest.raises(UsageProblem):
        parse_time(text)


def given(*words: str) -> dict[str, Any]:
    return scan.make_context("scan", ["hosts.csv", *words]).params


def test_default_limits_per_address_exempt_loopback() -> None:
    config = scan_config(given())

    assert (config.rate_per_address, config.concurrency_per_address, config.polite_to_loopback) == (20.0, 8, False)
    assert (config.ipv4, config.ipv6, config.concurrency, config.retries) == (True, True, 1000, 1)


def test_limits_that_are_given_hold_for_loopback_too() -> None:
    config = scan_config(given("--rate-per-address", "0", "--concurrency-per-address", "3"))

    assert (config.rate_per_address, config.concurrency_per_address, config.polite_to_loopback) == (None, 3, True)


@pytest.mark.parametrize(
    ("words", "families"),
    [
        ([], (True, True)),
        (["--ipv4"], (True, False)),
        (["--ipv6"], (False, True)),
        (["--ipv4", "--ipv6"], (True, True)),
    ],
)
def test_address_families(words: list[str], families: tuple[bool, bool]) -> None:
    config = scan_config(given(*words))

    assert (config.ipv4, config.ipv6) == families


@pytest.mark.parametrize(
    ("words", "environment", "directory"),
    [
        ([], {"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/tlsweep"),
        ([], {"HOME": "/h"}, "/h/.cache/tlsweep"),
        ([], {"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/tlsweep"),
        ([], {}, None),
        (["--cache", "here"], {"HOME": "/h"}, "here"),
        (["--no-cache"], {"HOME": "/h"}, None),
    ],
)
def test_cache_directory_of_options_and_environment(
    words: list[str], environment: dict[str, str], directory: str | None
) -> None:
    assert cache_directory(given(*words), environment) == directory


@pytest.mark.parametrize("words", [["--cache", "here", "--no-cache"], ["--cache", __file__]])
def test_an_unusable_cache_directory_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageProblem):
        cache_directory(given(*words), {})


def test_max_memory_is_a_size_and_enough_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert max_memory({"max_memory": "1.5G"}) == 3 << 29
    assert max_memory({"max_memory": "512M"}, 3) == 512 << 20
    for text, workers, words in (
        ("lots", 1, "no size such as 512M"),
        ("100M", 1, "too little, at least 128M"),
        ("512M", 4, "too little for 4 processes, at least 640M"),
    ):
        with pytest.raises(UsageProblem, match=words):
            max_memory({"max_memory": text}, workers)
    monkeypatch.setattr("scanner.process.memory.default_limit", lambda: 256 << 20)
    assert [max_memory({"max_memory": None}, workers) for workers in (1, 3)] == [256 << 20, 512 << 20]
    monkeypatch.setattr("scanner.process.memory.default_limit", lambda: None)
    assert max_memory({"max_memory": None}, 3) is None


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), (" 7 ", 7), (str(MAX_WORKERS), MAX_WORKERS), ("auto", cores()), ("AUTO", cores())]
)
def test_numbers_of_workers(text: str, count: int) -> None:
    assert parse_workers(text) == count


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many", "²", "٣", "9" * 5000, str(MAX_WORKERS + 1)])
def test_other_texts_are_not_a_number_of_workers(text: str) -> None:
    with pytest.raises(UsageProblem, match="--workers"):
        parse_workers(text)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--client-key", "{key}"], "--client-key goes with --client-cert"),
        (["--client-cert", "{missing}"], "No such file"),
        (["--client-cert", "{certificate}"], "has no private key in PEM: name its file with --client-key"),
        (["--client-cert", "{certificate}", "--client-key", "{other}"], "does not belong"),
        (["--client-cert", "{certificate}", "--client-key", "{locked}"], "is encrypted"),
    ],
)
@pytest.mark.parametrize("command", ["check", "scan"])
def test_an_unusable_client_certificate_is_refused(
    command: str, words: list[str], shown: str, tmp_path: Path, call: Call
) -> None:
    certificate, key = certificate_files("ec")
    locked = tmp_path / "locked.pem"
    private = load_pem_private_key(Path(key).read_bytes(), None)
    locked.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    names = {"certificate": certificate, "key": key, "other": certificate_files("rsa")[1], "locked": str(locked)}
    (tmp_path / "inventory").write_text("192.0.2.1\n")
    target = "192.0.2.1" if command == "check" else tmp_path / "inventory"
    given = [word.format(missing=tmp_path / "missing", **names) for word in words]
    assert shown in refused(call(command, target, *given))


def test_columns_are_named_by_hand() -> None:
    assert parse_columns(["port=TCP Port", "HOST = a=b "]) == {"port": "TCP Port", "host": "a=b"}
    assert parse_columns([]) == {}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["port"], "not of the form"),
        (["port= "], "not of the form"),
        (["owner=Team"], "none of host, port"),
        (["port=a", "port=b"], "port is given twice"),
        (["port=a", "host=a"], '"a" is given twice'),
    ],
)
def test_other_columns_are_refused(texts: list[str], words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        parse_columns(texts)
