"""Options on the command line and in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click
import pytest

from scanner.cli.scan import scan
from tests.cli.conftest import Call, refused
from tests.cli.test_scan import findings
from tests.helpers import pki
from tests.helpers.scts import ARGON, log_list

CLIENT: Final = pki.certificate("client", issuer=pki.root("Client CA"), purposes=["clientAuth"])

# A right value for every option that a file may hold, and a wrong one if there is any.
VALUES: Final[dict[str, tuple[str, str | None]]] = {
    "output": ('"{tmp}/out.ndjson"', "5"),
    "force": ("true", '"perhaps"'),
    "resume": ("false", '"perhaps"'),
    "certificates": ('"{tmp}/certificates.ndjson"', "[]"),
    "fail-on": ('"dns"', '"nothing"'),
    "workers": ("1", '"many"'),
    "no-progress": ("true", "[1]"),
    "column": ("[]", '["port"]'),
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


def test_every_option_is_allowed_in_a_file() -> None:
    names = {param.opts[-1].removeprefix("--") for param in scan.params if isinstance(param, click.Option)}

    assert set(VALUES) == names - {"config"}


@pytest.mark.parametrize("spelling", [*VALUES, *(name.replace("-", "_") for name in VALUES if "-" in name)])
def test_values_in_a_file_are_used_and_checked(spelling: str, tmp_path: Path, line: list[object], call: Call) -> None:
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


def test_the_command_line_overrides_the_file(tmp_path: Path, line: list[object], call: Call) -> None:
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
def test_other_types_of_values_are_accepted(content: str, tmp_path: Path, line: list[object], call: Call) -> None:
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
def test_an_unusable_file_is_refused(
    content: bytes, names: str, tmp_path: Path, line: list[object], call: Call
) -> None:
    (tmp_path / "config.toml").write_bytes(content)

    assert names in refused(call(*line))


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path, line: list[object], call: Call) -> None:
    assert "config.toml" in refused(call(*line))
    (tmp_path / "config.toml").mkdir()
    refused(call(*line))


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
def test_a_hostile_file_is_refused_in_one_line(text: str, tmp_path: Path, call: Call) -> None:
    path = tmp_path / "options.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    (tmp_path / "hosts.txt").write_text("127.0.0.1:9\n")

    shown = refused(call("scan", tmp_path / "hosts.txt", "--config", path, "--resolver", "127.0.0.1:9"))
    assert len(shown) < 600
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "content",
    [
        b"timeout = " + b"[" * 5000,
        b"timeout = " + b"9" * 5000,
        b"output = '" + b"x" * (9 << 20) + b"'",
        b"a = {" * 3000,
    ],
)
def test_a_huge_file_of_options_is_refused(content: bytes, tmp_path: Path, line: list[object], call: Call) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    assert len(refused(call(*line))) < 1000
