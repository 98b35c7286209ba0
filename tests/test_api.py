"""The library, as programs use it: its promise, its page of examples, and what it makes of options and targets."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import trio

from scanner import api
from scanner.api import Options, Target, TlsweepError, check, check_files, scan
from scanner.cli.scan import scan as scan_command
from scanner.demo.fleet import Fleet
from scanner.demo.pki import pem
from scanner.model.config import ScanConfig
from scanner.run.inputs import RunInputs
from tests.cli.test_options import an_anchor
from tests.helpers.evidence import HOST, chain
from tests.helpers.fleet import fleet_of, named
from tests.helpers.schema import validate

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "python.md"
EXAMPLES: Final[list[str]] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
# Fields of the records behind the options that follow from others.
DERIVED: Final = {"warnings", "authenticate", "exclusions"}
# Options whose field has another name -> the field.
RENAMED: Final = {
    "resolver": "resolvers",
    "trust_store": "trust_stores",
    "private_ca": "private_cas",
    "protocol": "default_protocol",
    "port": "default_port",
    "expiry_warning": "expiry_warning_days",
}
# Options of `tlsweep scan` that are about files, processes and the terminal.
OF_THE_COMMAND_LINE: Final = {
    "column", "output", "force", "resume", "certificates", "fail_on", "workers", "no_progress", "lang", "config", "no_cache",
}  # fmt: skip
# What a program may rely on within this major version: these stay, with these defaults.
PROMISED: Final[dict[str, Any]] = {
    "concurrency": 1000, "rate": None, "rate_per_address": 20.0, "concurrency_per_address": 8, "connect_timeout": 4.0,
    "timeout": 15.0, "retries": 1, "max_memory": None, "ipv4": True, "ipv6": True, "enumerate": False, "at": None,
    "expiry_warning_days": None, "revocation": "online", "private_urls": False, "language": "en", "default_port": None,
    "resolvers": (), "trust_stores": ("mozilla",), "public_roots": None, "ct_logs": None, "private_cas": (), "earlier": None,
    "client_cert": None, "client_key": None, "ntp": (), "cache": None, "exclude": (),
}  # fmt: skip


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of(tmp_path_factory.mktemp("fleet"), named("healthy", "expired")) as running:
        yield running


def hosts(fleet: Fleet) -> list[tuple[str, str]]:
    """(host, port) of the servers."""
    _, *rows = fleet.inventory.read_text().splitlines()
    return [(row.split(",")[0], row.split(",")[1]) for row in rows]


# --- the promise -------------------------------------------------------------------------------------


def test_promised_names_and_defaults_are_there() -> None:
    assert {"scan", "check", "check_files", "Target", "Options", "TlsweepError", "Finding"} <= set(api.__all__)
    assert all(getattr(api, name).__doc__ for name in api.__all__ if not isinstance(getattr(api, name), tuple))
    assert {name: getattr(Options(), name) for name in PROMISED} == PROMISED
    assert Target.__struct_fields__[:7] == ("host", "port", "protocol", "sni", "address", "id", "tags")
    assert list(inspect.signature(scan).parameters) == ["targets", "options", "log"]
    assert list(inspect.signature(check).parameters) == ["target", "options"]
    assert list(inspect.signature(check_files).parameters) == ["path", "host", "options"]


def test_options_are_those_of_a_run_with_its_defaults() -> None:
    """A field that is added to the records of a run belongs into ``scanner.api.Options`` too, or into DERIVED."""
    expected: dict[str, Any] = {}
    for record in (ScanConfig, RunInputs):
        expected |= {name: getattr(record(), name) for name in record.__struct_fields__ if name not in DERIVED}
    options = msgspec.structs.asdict(Options())
    assert options.pop("exclude") == ()
    assert options == expected


def test_every_option_of_a_scan_has_its_field() -> None:
    names = {param.name for param in scan_command.params if param.param_type_name == "option"} - OF_THE_COMMAND_LINE
    assert {RENAMED.get(name or "", name) for name in names} <= set(Options.__struct_fields__)


def test_the_page_names_every_renamed_option() -> None:
    text = PAGE.read_text("utf-8")
    for name, field in RENAMED.items():
        assert f"`--{name.replace('_', '-')}`" in text and f"`{field}`" in text
    for word in re.findall(r"from scanner\.api import (.*)", text):
        assert set(word.split(", ")) <= set(api.__all__)


def test_types_are_complete(tmp_path: Path) -> None:
    """What a type checker sees of a program that uses the library, its mistakes included."""
    (tmp_path / "program.py").write_text(
        "from scanner.api import Finding, Options, Target, check_files, scan\n"
        "async def main() -> str | None:\n"
        "    async for finding in scan(['a', Target('b', port=1)], Options(timeout=3)):\n"
        "        reveal_type(finding)\n"
        "        cause: int = finding['cause']\n"
        "        return finding['target']['host']\n"
        "    found: Finding = check_files('x')\n"
        "    Options(timeouts=3)\n"
        "    return None\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), str(tmp_path / "program.py")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=55,
    )  # fmt: skip
    told = [line.partition("program.py:")[2] for line in done.stdout.splitlines() if "program.py:" in line]
    assert [line.partition(":")[0] for line in told if "defined in" not in line] == ["4", "5", "8"], done.stdout
    assert "scanner.model.findings.Finding" in told[0]


# --- options and targets -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": -1.0}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"trust_stores": "roots.pem"}, "trust_stores"),
        ({"revocation": "perhaps"}, "revocation"),
        ({"default_protocol": "telnet"}, "default_protocol"),
        ({"default_port": 70000}, "default_port"),
        ({"language": "xx"}, "language"),
        ({"client_key": "key.pem"}, "client_key"),
        ({"exclude": ["https://a.example/"]}, "is a URL"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(given: dict[str, Any], reason: str) -> None:
    for call in (lambda: scan([], Options(**given)), lambda: check_files("/nowhere", None, Options(**given))):
        with pytest.raises(TlsweepError, match=reason) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_options_become_the_records_of_a_run() -> None:
    config, inputs = api._checked(
        Options(timeout=3, client_cert="c.pem", exclude=["*.a.example", "192.0.2.0/24"], resolvers=["192.0.2.53"])
    )
    assert (config.timeout, config.authenticate, list(inputs.resolvers)) == (3.0, True, ["192.0.2.53"])
    assert inputs.exclusions.host("www.a.example") and inputs.exclusions.host("192.0.2.9")
    plain, nothing = api._checked(Options())
    assert plain == ScanConfig() and len(nothing.exclusions) == 0


def test_targets_are_rows_of_an_inventory() -> None:
    targets: list[str | Target] = [
        "smtp://mail.example",
        Target("a.example", 8443, "https", sni="b.example", address="192.0.2.1", id=7, tags={"owner": "web"}),
        Target("a.example", sni="-"),
        Target(address="192.0.2.2"),
        "",
        Target("a.example", 99999),
        Target("a.example", protocol="telnet"),
    ]
    rows = [msgspec.to_builtins(row) for row in api._rows(targets, ScanConfig(default_port=444))]
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert (rows[0]["protocol"], rows[0]["port"]) == ("smtp", 25)
    assert rows[1] == {
        "row": 2, "host": "a.example", "port": 8443, "protocol": "https", "sni": "b.example", "address": "192.0.2.1", "id": 7,
        "tags": {"owner": "web"}, "host_is_ip": False, "auto": False,
    }  # fmt: skip
    assert (rows[2]["sni"], rows[2]["port"], rows[3]["host"]) == (None, 444, "192.0.2.2")
    assert all("reason" in row for row in rows[4:])


def test_excluded_targets_are_not_contacted() -> None:
    async def main() -> None:
        (finding,) = [one async for one in scan(["127.0.0.1:9"], Options(exclude=["127.0.0.0/8"]))]
        assert finding["outcome"] == "invalid" and finding["attempts"] == 0

    trio.run(main)


def test_a_target_is_checked_with_evidence_and_certificates(fleet: Fleet) -> None:
    host, port = hosts(fleet)[1]
    options = Options(resolvers=[fleet.resolver], trust_stores=[str(fleet.roots)])
    finding = trio.run(check, f"{host}:{port}", options)
    validate(finding)
    assert finding["cause"] == "expired-or-self-signed"
    assert finding["endpoints"][0]["chain"] == [one["sha256"] for one in finding["certificates"]]


def test_files_are_judged_without_an_event_loop(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_bytes(b"".join(map(pem, chain())))
    (tmp_path / "roots.pem").write_bytes(an_anchor())
    options = Options(trust_stores=[str(tmp_path / "roots.pem")], at=1_795_399_200.0)
    assert check_files(str(tmp_path / "chain.pem"), "other.example", options)["cause"] == "hostname-mismatch"
    assert "hostname-mismatch" not in {
        one["cause"] for one in check_files(str(tmp_path / "chain.pem"), HOST, options)["diagnoses"]
    }


# --- the page ----------------------------------------------------------------------------------------


def example(number: int, replaced: Mapping[str, str]) -> str:
    """Return an example with its made-up names replaced by those of running servers."""
    text = EXAMPLES[number]
    for name, real in replaced.items():
        text = text.replace(name, real)
    return text


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "1 {healthy} ok None\n2 {expired} fail expired-or-self-signed\n3 not a host name invalid None\n"),
        (1, "{expired}\n"),
        (2, "error certificate-expired\nCN={expired},"),
        (3, "ok ["),
        (4, "nowhere.pem"),
    ],
)
def test_an_example_of_the_page_works(
    number: int, expected: str, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (healthy, first), (expired, second) = hosts(fleet)
    (tmp_path / "corp-roots.pem").write_bytes(fleet.roots.read_bytes())
    (tmp_path / "fullchain.pem").write_bytes(b"".join(map(pem, chain())))
    if number == 3:
        (tmp_path / "corp-roots.pem").write_bytes(an_anchor())
        healthy = HOST
    (tmp_path / "example.py").write_text(
        example(
            number,
            {
                "192.0.2.53": fleet.resolver,
                "shop.example.org:8443": f"{expired}:{second}",
                '"shop.example.org", port=8443': f'"{expired}", port={second}',
                '"www.example.org"': f'"{healthy}:{first}"' if number < 3 else f'"{healthy}"',
            },
        )
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    shown = "".join(sorted(done.stdout.splitlines(keepends=True))) if number == 0 else done.stdout
    assert expected.format(healthy=healthy, expired=expired) in shown


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == 5
