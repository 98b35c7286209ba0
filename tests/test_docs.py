"""The documentation is right about commands, options, codes, fields, files and sample output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click
import pytest

from scanner.cli import COMMANDS
from scanner.diagnosis.catalogue import CAUSES, CODES
from scanner.model.config import ScanConfig
from scanner.starttls import PROTOCOLS
from scanner.tls.events import State
from scripts import build_docs

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = ROOT / "README.md"
PAGES: Final = sorted(
    [README, ROOT / "CONTRIBUTING.md", ROOT / "inputs" / "README.md", *(ROOT / "docs").glob("*.md")],
    key=lambda path: path.as_posix(),
)
# Options of other programs in the pages
FOREIGN: Final = frozenset({"--require-hashes", "--hypothesis-profile", "--strict", "--help", "--version", "--lang"}) | {
    "--seconds", "--case",
    "--no-report", "--report", "--wheel-dir", "--rm", "--userns", "--user", "--read-only", "--tmpfs", "--cap-drop", "--time", "--network",
    "--no-deps", "--system", "--home-dir", "--shell", "--now", "--collector", "--query", "--use", "--source", "--parquet",
}  # fmt: skip

page_of = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


@cache
def text(page: Path) -> str:
    return page.read_text("utf-8")


@cache
def command(name: str) -> click.Command:
    found = getattr(import_module(f"scanner.cli.{name}"), name)
    assert isinstance(found, click.Command)
    return found


def options(*, hidden: bool) -> set[str]:
    return {
        word
        for name in COMMANDS
        for option in command(name).params
        if isinstance(option, click.Option) and (hidden or not option.hidden)
        for word in option.opts
    }


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```[a-z]*\n(.*?)^```$", text(page), re.M | re.S)


def without_blocks(page: Path) -> str:
    return re.sub(r"^```[a-z]*\n.*?^```$", "", text(page), flags=re.M | re.S)


@page_of
def test_commands_exist(page: Path) -> None:
    # a line that is indented further than an example continues the text of a help page
    used = set(re.findall(r"(?:`|bin/|^ {0,8}|python -m )(?:tlsweep|scanner) ([a-z]+)\b", text(page), re.M))
    assert used <= set(COMMANDS)


@page_of
def test_options_exist(page: Path) -> None:
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text(page)))
    # The catalogue may name hidden options.
    assert used <= options(hidden=page.name == "causes.md") | FOREIGN


def test_options_are_next_to_a_command_that_has_them() -> None:
    for line in re.findall(rf"tlsweep ((?:{'|'.join(COMMANDS)}) [^`\n]*)", text(README)):
        name, *words = line.split()
        known = {word for option in command(name).params for word in option.opts}
        assert {word for word in words if word.startswith("-") and word != "-"} <= known | FOREIGN, line


def test_every_command_is_described() -> None:
    described = text(README) + "".join(text(page) for page in PAGES if page.name == "cli.md")
    assert [name for name in COMMANDS if f"tlsweep {name}" not in described and f"`{name}`" not in described] == []


@page_of
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    code = "\n".join([*blocks(page), *re.findall(r"`([^`\n]+)`", without_blocks(page))])
    assert set(re.findall(r"^make ([a-z-]+)", code, re.M)) <= targets


@page_of
def test_links_have_a_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page)):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.M)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, target


@page_of
def test_named_files_exist(page: Path) -> None:
    """Every path in backquotes that begins with a folder of the repository; ``*`` is a wildcard."""
    folders = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."))
    for name in re.findall(rf"`((?:{folders})/[\w./*-]*)`", without_blocks(page)):
        assert list(ROOT.glob(name.rstrip("/"))) or "/x/" in name, name


def test_the_map_has_every_package() -> None:
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("scanner/*/__init__.py")}
    assert {package for package in packages if f"`{package}/" not in text(README)} == set()


def test_the_index_has_every_page() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", text(ROOT / "docs" / "README.md")))
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_every_code_and_cause_is_documented() -> None:
    causes = text(ROOT / "docs" / "causes.md")
    assert re.findall(r"^## (.*)$", causes, re.M) == list(CAUSES)
    assert re.findall(r"^### (.*)$", causes, re.M) == sorted(
        CODES, key=lambda code: list(CAUSES).index(CODES[code].cause)
    )


def test_the_table_of_causes_is_right() -> None:
    """The README's table has "yes" if some code of a cause is given, and "not yet" otherwise."""
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", text(README), re.M))
    assert set(rows) == set(CAUSES)
    for cause in CAUSES:
        judged = [code.judged for code in CODES.values() if code.cause == cause]
        assert rows[cause].startswith("yes") == any(judged), cause
        assert ("not yet" in rows[cause]) == (not any(judged)), cause
        assert (rows[cause] == "yes") <= all(judged), cause


def test_every_field_is_documented() -> None:
    page = build_docs.finding_page()
    assert text(ROOT / "docs" / "finding.md") == page
    schema: dict[str, Any] = json.loads(build_docs.SCHEMA.read_text("utf-8"))
    for name, record in {"Finding": schema, **schema["$defs"]}.items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for field, about in record["properties"].items():
            assert f"\n| `{field}` | " in section, f"{name}.{field}"
            assert about.get("description"), f"{name}.{field} has no description in scanner/model/findings.py"


def test_the_diagram_has_every_state() -> None:
    diagram = build_docs.states()
    assert all(re.search(rf"\b{state.name}\b", diagram) for state in State if state.name != "FAILED")
    assert "FAILED" not in diagram, "a handler that chooses is missing in build_docs.CHOSEN"
    assert diagram in text(ROOT / "docs" / "architecture.md")


# --- the README's samples ---------------------------------------------------------------------


def samples() -> Iterator[str]:
    for block in blocks(README):
        if not re.search(r"^(make|\.venv)", block):
            yield block


def test_codes_of_the_samples_exist() -> None:
    sample = "\n".join(samples())
    counted = re.findall(r"([a-z][a-z0-9-]*-[a-z0-9-]+) \d+(?:,|$)", sample, re.M)
    shown = re.findall(r"^ {2}\S+:\d+ +(\S.*)$", sample, re.M)
    listed = [code for line in shown for code in line.split(", ")]
    assert counted and listed
    assert {*counted, *listed, *re.findall(r'"code": "([^"]+)"', sample)} <= set(CODES)
    assert set(re.findall(r'"cause": "([^"]+)"', sample)) <= set(CAUSES)


def test_sentences_of_the_samples_are_in_the_catalogue() -> None:
    """Sentences that are no longer in the catalogue would be samples that a user cannot get."""
    sample = "\n".join(samples())
    shown = re.findall(r"^ {2}\S+:\d+ +([a-z0-9-]+).*\n {8}(\S.*)$", sample, re.M)
    shown += re.findall(r'"code": "([^"]+)",\n.*\n +"summary": "([^"]+)"', sample)
    assert len(shown) >= 5
    for code, sentence in shown:
        templates = [re.sub(r"\\\{\w+\\\}", ".+", re.escape(template)) for template in CODES[code].summary]
        assert any(re.fullmatch(template, sentence) for template in templates), sentence


def test_defaults_in_the_readme_are_right() -> None:
    config, told = ScanConfig(), text(README)
    assert (
        f"{config.rate_per_address:g} connections a second to one address, {config.concurrency_per_address} at a time"
        in told
    )
    assert f"{config.concurrency} connections in flight together" in told
    assert f"{config.connect_timeout:g} s to connect, {config.timeout:g} s for a whole target" in told
    assert config.retries == 1 and "one more try" in told


def test_named_protocols_exist() -> None:
    paragraph = re.search(r"^`protocol` may be left out.*?\n\n", text(README), re.M | re.S)
    assert paragraph is not None
    assert set(re.findall(r"`([a-z]+)`", paragraph[0])) - {"protocol", "s"} <= set(PROTOCOLS)
