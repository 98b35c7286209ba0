"""The house stands as drawn: who may import whom, what may be imported where, and a test beside every module.

Imports are read from the source by ``ast``, those inside of functions and under ``TYPE_CHECKING`` too: an arrow is
an arrow.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "scanner"


# The base of errors, where data lies and how what peers sent is remembered, which is no knowledge of ours: even rooms that know
# nobody else may use these.
EVERYWHERE: Final = frozenset({"errors", "shipped", "caching"})

# Room -> rooms it may import, besides itself. A room is the first name below `scanner`.
ARROWS: Final[dict[str, frozenset[str]]] = {
    "__init__": frozenset(),
    "__main__": frozenset({"cli", "process"}),
    "errors": frozenset(),
    "caching": frozenset(),
    "cli": frozenset(
        {
            "codec",
            "demo",
            "diagnosis",
            "explain",
            "fleet",
            "inventory",
            "language",
            "lines",
            "model",
            "net",
            "output",
            "process",
            "rejudge",
            "report",
            "run",
            "starttls",
            "text",
            "trust",
            "warehouse",
            "x509",
        }
    ),
    "codec": frozenset({"model", "tls", "trust", "x509"}),
    "data": frozenset(),
    "demo": frozenset(),
    "diagnosis": frozenset({"codec", "fleet", "language", "model", "text", "tls", "trust", "x509"}),
    "explain": frozenset({"diagnosis", "language", "model", "tls"}),
    "fleet": frozenset({"language", "lines", "model", "output", "process", "text", "trust"}),
    "inventory": frozenset({"lines", "model", "text"}),
    "language": frozenset(),
    "lines": frozenset(),
    "model": frozenset(),
    "net": frozenset({"model", "process", "starttls", "tls", "trust", "x509"}),
    "output": frozenset({"lines", "model", "text"}),
    "process": frozenset(),
    "rejudge": frozenset({"codec", "diagnosis", "fleet", "model", "output", "run", "text", "trust", "x509"}),
    "report": frozenset({"diagnosis", "fleet", "model", "output", "text"}),
    "run": frozenset(
        {
            "codec",
            "diagnosis",
            "fleet",
            "inventory",
            "model",
            "net",
            "output",
            "process",
            "starttls",
            "text",
            "tls",
            "trust",
            "x509",
        }
    ),
    "shipped": frozenset(),
    "starttls": frozenset(),
    "text": frozenset(),
    # What the engine has seen is evidence. One module verifies the signatures of certificates and of handshakes.
    "tls": frozenset({"model", "x509"}),
    "trust": frozenset({"model", "x509"}),
    "warehouse": frozenset({"fleet", "model", "output", "text"}),
    "x509": frozenset({"model"}),
}
# Rooms of which another may see one part only.
ONLY_PARTS: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("tls", "model"): frozenset({"scanner.model.evidence"}),
    ("tls", "x509"): frozenset({"scanner.x509.signatures"}),
    # What only the fleet can say; never how it came to say so.
    ("diagnosis", "fleet"): frozenset({"scanner.fleet.correlate.fleet_verdicts"}),
}

# Records are made with it everywhere.
EVERY_ROOM: Final = ("",)

# Third-party package (as imported) -> where it may be imported; a name ending in "/" is a folder.
THIRD_PARTY: Final[dict[str, tuple[str, ...]]] = {
    "msgspec": EVERY_ROOM,
    "trio": ("net/", "run/", "demo/", "cli/"),
    "dns": ("net/", "demo/"),
    "httpcore": ("net/",),
    "tqdm": ("cli/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "cryptography": ("tls/", "x509/", "trust/", "demo/", "cli/"),
    "certifi": ("trust/",),
    "idna": ("inventory/", "trust/", "x509/", "demo/", "cli/"),
    "orjson": (
        "inventory/",
        "output/",
        "model/",
        "trust/",
        "x509/",
        "codec/",
        "diagnosis/",
        "fleet/",
        "warehouse/",
        "report/",
        "demo/",
        "cli/",
    ),
    "zstandard": ("lines.py", "output/", "cli/"),
    "publicsuffixlist": ("fleet/correlate/",),
    "duckdb": ("warehouse/",),
    "psycopg": ("warehouse/",),
    "jinja2": ("report/",),
    "vl_convert": ("report/",),
}
# Import name -> distribution, where they differ.
DISTRIBUTION: Final = {"dns": "dnspython", "vl_convert": "vl-convert-python"}

# Pure rooms: a moment, a random number or a socket is an argument there.
PURE: Final = (
    "tls/",
    "starttls/",
    "x509/",
    "trust/",
    "codec/",
    "diagnosis/",
    "explain/",
    "fleet/correlate/",
    "model/",
)
IMPURE_ALL_THE_SAME: Final[dict[tuple[str, str], str]] = {
    ("trust/stores.py", "ssl"): "where this system keeps its trust store is known to ssl.get_default_verify_paths()",
}
IMPURE_MODULES: Final = frozenset({"socket", "ssl", "time", "random", "select", "selectors", "subprocess", "threading"})

# Loaded by `tlsweep --help`, each of these costs more than the whole of the rest.
HEAVY: Final = (
    "cryptography",
    "dns",
    "rich",
    "idna",
    "trio",
    "orjson",
    "msgspec",
    "tqdm",
    "certifi",
    "zstandard",
    "ssl",
    "publicsuffixlist",
    "jinja2",
    "vl_convert",
    "duckdb",
    "psycopg",
)

# What a plain scan does without, and each of which would be some percent of its start.
NOT_FOR_A_SCAN: Final = (
    "dns",
    "httpcore",
    "rich",
    "tqdm",
    "zstandard",
    "publicsuffixlist",
    "jinja2",
    "sqlite3",
    "statistics",
    "tomllib",
    "pickle",
    "zipfile",
)

# Above what most rooms need: cutting a file merely to stay below a number makes odd seams.
MAX_LINES: Final = 500

# Path below scanner/ -> why it may be longer.
LONG_FILES: Final[dict[str, str]] = {
    "tls/suites.py": "a generated table",
    "model/findings.py": "the schema, which is read as one page and made from this one file",
    "tls/handshake.py": "one state machine for all versions: half of it could not be read alone",
}

# Path below scanner/ -> why it has no test module of its own.
WITHOUT_MIRROR: Final[dict[str, str]] = {
    "model/evidence.py": "records without behaviour",
    "model/config.py": "records without behaviour",
    "fleet/correlate/fleet_verdicts.py": "records without behaviour",
    "tls/constants.py": "numbers of the registries",
    "tls/offers.py": "records without behaviour",
    "tls/suites.py": "a generated table, tested through tls/registry_names.py",
}


class Import(NamedTuple):
    """One imported module, as an absolute dotted name."""

    source: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.source.relative_to(ROOT)}:{self.line} imports {self.module}"


def modules() -> list[Path]:
    """All source files of the package."""
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def below_package(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def within(path: Path, places: tuple[str, ...]) -> bool:
    name = below_package(path)
    return places == EVERY_ROOM or any(
        name.startswith(place) if place.endswith("/") else name == place for place in places
    )


@cache
def imports(path: Path) -> tuple[Import, ...]:
    return tuple(_imports(path, ast.parse(path.read_bytes(), filename=str(path))))


def _imports(path: Path, tree: ast.AST) -> Iterator[Import]:
    package = ("scanner", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                # `from scanner.tls import names` is an import of scanner.tls.names
                yield Import(path, node.lineno, _resolve(stem, alias.name))
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", "")) in ("import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            yield Import(path, node.lineno, node.args[0].value)


def _resolve(stem: str, name: str) -> str:
    as_path = ROOT.joinpath(*stem.split("."), name)
    return f"{stem}.{name}" if as_path.is_dir() or as_path.with_suffix(".py").is_file() else stem


def all_imports() -> Iterator[Import]:
    for path in modules():
        yield from imports(path)


def test_every_room_is_on_the_map() -> None:
    assert {room(path) for path in modules()} <= set(ARROWS)


def test_arrows() -> None:
    refused = []
    for item in all_imports():
        parts = item.module.split(".")
        if parts[0] != "scanner" or len(parts) == 1:
            continue
        here, there = room(item.source), parts[1]
        if here != there and there not in ARROWS[here] | EVERYWHERE:
            refused.append(f"{item}: {here} may not know {there}")
        allowed_parts = ONLY_PARTS.get((here, there))
        if allowed_parts is not None and item.module not in allowed_parts:
            refused.append(f"{item}: {here} may know only {', '.join(sorted(allowed_parts))}")
    assert refused == []


def test_no_arrow_in_a_circle() -> None:
    def reachable(start: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
        for there in ARROWS[start] - seen:
            yield there
            yield from reachable(there, seen | {there})

    assert [name for name in ARROWS if name in reachable(name)] == []


def test_third_party_modules_stay_where_they_belong() -> None:
    standard = sys.stdlib_module_names
    refused = []
    for item in all_imports():
        top = item.module.partition(".")[0]
        if top in standard or top == "scanner":
            continue
        places = THIRD_PARTY.get(top)
        if places is None:
            refused.append(f"{item}: not a declared dependency")
        elif not within(item.source, places):
            refused.append(f"{item}: {top} belongs in {', '.join(places)}")
    assert refused == []


def declared_dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = [entry for entries in project.get("optional-dependencies", {}).values() for entry in entries]
    names = {re.split(r"[^A-Za-z0-9._-]", entry, maxsplit=1)[0] for entry in (*project["dependencies"], *optional)}
    return names - {project["name"]}


def test_declared_dependencies_are_on_the_map() -> None:
    assert declared_dependencies() == {DISTRIBUTION.get(name, name) for name in THIRD_PARTY}


def test_pure_rooms_have_no_clock_socket_or_randomness() -> None:
    refused = [
        str(item)
        for item in all_imports()
        if within(item.source, PURE)
        and item.module.partition(".")[0] in IMPURE_MODULES
        and (below_package(item.source), item.module) not in IMPURE_ALL_THE_SAME
    ]
    assert refused == []


@pytest.mark.parametrize("path", modules(), ids=below_package)
def test_length(path: Path) -> None:
    name = below_package(path)
    lines = len(path.read_bytes().splitlines())
    assert lines <= MAX_LINES or name in LONG_FILES, f"{name} has {lines} lines"


@cache
def committed_texts() -> tuple[tuple[str, str], ...]:
    """(path, text) of everything that is under version control and is text; every source file where there is no git."""
    names: list[str] = []
    if shutil.which("git") is not None:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
        names = listing.stdout.decode().split("\0") if listing.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [
        path for top in ("scanner", "tests", "scripts", "docs") for path in (ROOT / top).rglob("*.*")
    ]
    texts = []
    for path in paths:
        if path.is_file() and path.suffix not in (".gz", ".zst", ".bin", ".der", ".pyc"):
            try:
                texts.append((path.relative_to(ROOT).as_posix(), path.read_text("utf-8")))
            except UnicodeDecodeError:
                continue
    return tuple(texts)


def test_nothing_reads_beside_the_repository() -> None:
    outside = re.compile(r"\.\./shared|\bshared/(?:data|design)\b")
    refused = [name for name, text in committed_texts() if name.startswith("scanner/") and outside.search(text)]
    assert refused == []


def test_no_paths_of_one_machine() -> None:
    # Put together here, so that this file does not match itself.
    # Examples install into /opt/tlsweep, which is a place on any machine.
    somewhere = re.compile(
        "|".join(rf"(?<![\w.])/{place}/(?!tlsweep\b)[\w.-]" for place in ("home", "root", "work", "opt", "Users"))
    )
    refused = [
        f"{name}: {found[0]}" for name, text in committed_texts() if (found := somewhere.search(text)) is not None
    ]
    assert refused == []


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    refused = [name for name, text in committed_texts() if name.endswith((".py", ".md", ".sh")) and marks.search(text)]
    assert refused == []


@pytest.mark.parametrize("path", modules(), ids=below_package)
def test_every_module_has_its_test(path: Path) -> None:
    name = below_package(path)
    if path.name in ("__init__.py", "__main__.py") or name in WITHOUT_MIRROR:
        return
    mirror = ROOT / "tests" / Path(name).with_name(f"test_{path.name}")
    assert mirror.is_file(), f"{name} wants {mirror.relative_to(ROOT)}"


def test_exceptions_are_still_needed() -> None:
    names = {below_package(path) for path in modules()}
    assert set(LONG_FILES) <= names
    assert set(WITHOUT_MIRROR) <= names
    superfluous = [
        name for name in WITHOUT_MIRROR if (ROOT / "tests" / Path(name).with_name(f"test_{Path(name).name}")).exists()
    ]
    assert superfluous == []


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")[-2].split())


def has_command_line() -> bool:
    return (PACKAGE / "cli" / "scan.py").exists()


MAIN: Final = """
from scanner.cli import main
try:
    main({arguments})
except SystemExit as stop:
    assert not stop.code
"""


@pytest.mark.skipif(not has_command_line(), reason="the command line is being built")
@pytest.mark.parametrize(
    "statement",
    [
        "import scanner.cli",
        MAIN.format(arguments=["--help"]),
        MAIN.format(arguments=["scan", "--help"]),
    ],
    ids=["import", "help", "help of scan"],
)
def test_help_loads_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement) & set(HEAVY) == set()


def test_a_scan_loads_what_it_uses() -> None:
    assert loaded_by("import scanner.cli.run_scan") & set(NOT_FOR_A_SCAN) == set()
