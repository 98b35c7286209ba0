"""Options on the command line, in a file, and what they become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click
import pytest

from scanner.cli import UsageProblem
from scanner.cli.options import cache_directory, max_memory, parse_time, scan_config
from scanner.cli.scan import scan
from tests.cli.conftest import Call, refused
from tests.cli.test_scan import findings
from tests.helpers import pki
from tests.helpers.scts import ARGON, log_list

CLIENT: Final = pki.certificate("client", issuer=pki.root("Client CA"), purposes=["clientAuth"])

# A value of the right kind for every option that a file may hold, and a wrong one where there is such a thing.
VALUES: Final[dict[str, tuple[str, str | None]]] = {
    "output": ('"{tmp}/out.ndjson"', "5"),
    "force": ("true", '"perhaps"'),
    "resume": ("false", '"perhaps"'),
    "certificates": ('"{tmp}/certificates.ndjson"', "[]"),
    "fail-on": ('"dns"', '"nothing"'),
    "workers": ("1", '"many"'),
    "no-progress": ("true", "[1]"),
    "concurrency": ("10", '"ten"'),
    "rate": ("50.5", '"fast"'),
    "rate-per-address": ("5", "-1"),
    "concurrency-per-address": ("2", "2.5"),
    "timeout": ("5", "nan"),
    "connect-timeout": ("0.5", "inf"),
    "retries": ("0", "11"),
    "max-memory": ('"512M"', '"much"'),
    "resolver": ('["127.0.0.1:9"]', '["nowhere"]'),
    "all-addresses": ("true", '"yes please"'),
    "ipv4": ("true", "{{}}"),
    "ipv6": ("true", "{{}}"),
    "protocol": ('"https"', '"gopher"'),
    "port": ("9", "0"),
    "enumerate": ("false", '"often"'),
    "exclude": ('"{tmp}/never.txt"', '"{tmp}/none.txt"'),
    "trust-store": ('["mozilla"]', '["{tmp}/none.pem"]'),
    "public-roots": ('"{tmp}/roots.pem"', '"{tmp}/none.pem"'),
    "expiry-warning": ("14", '"soon"'),
    "at": ('"2026-01-01"', '"yesterday"'),
    "revocation": ('"off"', '"sometimes"'),
    "client-cert": ('"{tmp}/client.pem"', "[]"),
    # a key alone is refused
    "client-key": ('"{tmp}/client.pem"\nclient-cert = "{tmp}/client.pem"', "5"),
    "ntp": ("[]", "5"),
    "network-patience": ("30", '"long"'),
    "earlier": ('"{tmp}/old.ndjson"', '"{tmp}/none.ndjson"'),
    "private-ca": ('["{tmp}/roots.pem"]', "5"),
    "ct-logs": ('"{tmp}/logs.json"', '"{tmp}/none.json"'),
    "private-urls": ("true", '"perhaps"'),
    "lang": ('"zh"', '"xx"'),
    "cache": ('"{tmp}/cache"', "1"),
    "no-cache": ("true", '"yes"'),
}


@pytest.fixture
def line(tmp_path: Path) -> list[object]:
    """A scan of one closed port, with the options of ``config.toml``."""
    (tmp_path / "hosts.txt").write_text("127.0.0.1:9\n")
    (tmp_path / "never.txt").write_text("192.0.2.1\n")
    (tmp_path / "roots.pem").write_bytes(an_anchor())
    (tmp_path / "client.pem").write_text(CLIENT.pem + CLIENT.key_pem)
    (tmp_path / "logs.json").write_text(json.dumps(log_list(ARGON)))
    (tmp_path / "old.ndjson").write_text('{"schema":"tlsweep/1","target":{},"outcome":"ok"}\n')
    return ["scan", tmp_path / "hosts.txt", "--config", tmp_path / "config.toml"]


def an_anchor() -> bytes:
    from scanner.demo.pki import pem
    from tests.helpers.evidence import root

    return pem(root().der)


def test_every_option_can_stand_in_a_file() -> None:
    names = {param.opts[-1].removeprefix("--") for param in scan.params if isinstance(param, click.Option)}

    assert set(VALUES) == names - {"config"}


@pytest.mark.parametrize("spelling", [*VALUES, *(name.replace("-", "_") for name in VALUES if "-" in name)])
def test_a_value_of_a_file(spelling: str, tmp_path: Path, line: list[object], call: Call) -> None:
    name = spelling.replace("_", "-")
    right, wrong = (value and value.format(tmp=tmp_path) for value in VALUES[name])
    (tmp_path / "config.toml").write_text(f"{spelling} = {right}\n")

    shown = call(*line)

    assert shown.status == 0, shown
    if name == "output":
        assert len(findings(tmp_path / "out.ndjson")) == 1
    if wrong is not None:
        (tmp_path / "config.toml").write_text(f"{spelling} = {wrong}\n")
        refused(call(*line))


def test_the_command_line_wins(tmp_path: Path, line: list[object], call: Call) -> None:
    (tmp_path / "config.toml").write_text(f'fail-on = "any"\noutput = "{tmp_path}/one.ndjson"\n')

    assert call(*line).status == 1
    assert call(*line, "--fail-on", "dns", "-o", tmp_path / "two.ndjson").status == 0
    assert (tmp_path / "two.ndjson").exists()


@pytest.mark.parametrize(
    "content",
    [
        'resolver = "127.0.0.1:9"',
        'fail-on = ["dns", "untrusted-ca"]',
        "at = 2026-01-01",
        "at = 2026-01-01T00:00:00Z",
        'workers = "1"',
        "timeout = 3",
    ],
)
def test_other_ways_to_write_it(content: str, tmp_path: Path, line: list[object], call: Call) -> None:
    (tmp_path / "config.toml").write_text(content)

    assert call(*line).status == 0


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"concurency = 10", "concurency"),
        (b"config = 'other.toml'", "config"),
        (b"inventory = 'hosts.csv'", "inventory"),
        (b"[scan]\nconcurrency = 10", "scan"),
        (b"concurrency 10", "TOML"),
        (b"\xff\xfe", "TOML"),
        (b'"\\u001b[31m" = 1', "x1b"),
    ],
)
def test_a_file_that_cannot_be_used(content: bytes, names: str, tmp_path: Path, line: list[object], call: Call) -> None:
    (tmp_path / "config.toml").write_bytes(content)

    assert names in refused(call(*line))


def test_a_file_that_is_none(tmp_path: Path, line: list[object], call: Call) -> None:
    assert "config.toml" in refused(call(*line))
    (tmp_path / "config.toml").mkdir()
    refused(call(*line))


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
def test_times(text: str, moment: float) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize("text", ["", "now", "nan", "inf", "1e400", "2023-13-01", "99999999999999999", "-1", "12:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageProblem):
        parse_time(text)


def given(*words: str) -> dict[str, Any]:
    return scan.make_context("scan", ["hosts.csv", *words]).params


def test_defaults_are_polite_and_loopback_is_not_limited() -> None:
    config = scan_config(given())

    assert (config.rate_per_address, config.concurrency_per_address, config.polite_to_loopback) == (20.0, 8, False)
    assert (config.ipv4, config.ipv6, config.concurrency, config.retries) == (True, True, 1000, 1)


def test_what_was_asked_for_holds_for_loopback_too() -> None:
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
def test_families(words: list[str], families: tuple[bool, bool]) -> None:
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
def test_where_what_was_fetched_is_kept(words: list[str], environment: dict[str, str], directory: str | None) -> None:
    assert cache_directory(given(*words), environment) == directory


@pytest.mark.parametrize("words", [["--cache", "here", "--no-cache"], ["--cache", __file__]])
def test_a_cache_that_cannot_be(words: list[str]) -> None:
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
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "{a=" * 5000 + "1" + "}" * 5000,
        "a" + ".a" * 20_000 + " = 1",
        "timeout = " + "9" * 60_000,
        "timeout = 0x" + "f" * 60_000,
        "a = 1\n" * 2,
        "#" * 10_000_000,
        '"\x1b]0;x" = 1',
        "a = '\udcff'",
        "a = 9999-99-99",
        "timeout = nan",
        "[scan]\nx.y = 1",
        "\x00",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_hostile_file_of_options_is_one_line(text: str, tmp_path: Path, call: Call) -> None:
    path = tmp_path / "options.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    (tmp_path / "hosts.txt").write_text("127.0.0.1:9\n")

    said = refused(call("scan", tmp_path / "hosts.txt", "--config", path, "--resolver", "127.0.0.1:9"))
    assert len(said) < 600
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "content",
    [
        b"timeout = " + b"[" * 5000,
        b"timeout = " + b"9" * 5000,
        b"output = '" + b"x" * (9 << 20) + b"'",
        b"a = {" * 3000,
    ],
)
def test_a_configuration_without_end_is_refused(content: bytes, tmp_path: Path, line: list[object], call: Call) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    assert len(refused(call(*line))) < 1000
