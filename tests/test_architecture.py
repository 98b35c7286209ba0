"""The architecture, checked against the source: which package may import which, where third-party packages and clocks are
allowed, that no two modules or classes share a name, and that every module has its test.

Imports are read with ``ast``, including those inside functions and under ``TYPE_CHECKING``: a module that needs another
one only then needs it all the same.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "scanner"

# Modules directly in scanner/: small helpers without knowledge of TLS, which import each other at most.
HELPERS: Final = {
    "caching": "the one cache, and the decorator that memoises with it",
    "errors": "the base of the errors that are reported to a person, and how a bug is described",
    "language": "phrases in the user's language",
    "lines": "lines of files that may be huge, compressed or torn",
    "public_suffixes": "the list of public suffixes",
    "shipped": "the content of scanner/data",
    "text": "text from outside, made safe for a terminal",
    "times": "moments as text",
}

# Package (the first name below `scanner`) -> packages that it may import, beside helpers. From the bottom to the top.
MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    # what was seen, what is written, what was asked for: records without behaviour
    "model": frozenset(),
    # signals, streams, memory and file limits of this process
    "process": frozenset(),
    "starttls": frozenset(),
    # bytes to certificates, CRLs, OCSP responses and SCTs
    "x509": frozenset({"model"}),
    # sans-IO: bytes to events
    "tls": frozenset({"model", "x509"}),
    # certificates to verdicts
    "trust": frozenset({"model", "x509"}),
    "inventory": frozenset({"model", "starttls"}),
    # lines of findings, on disk and back
    "output": frozenset({"model"}),
    # evidence to JSON and back
    "codec": frozenset({"model", "tls", "trust", "x509"}),
    # the only package that opens sockets; it reads revocation answers, and never verifies
    "net": frozenset({"model", "process", "starttls", "tls", "trust", "x509"}),
    # what many targets say together, over evidence and over findings
    "fleet": frozenset({"model", "output", "process", "trust"}),
    # evidence and verdicts to causes
    "diagnosis": frozenset({"codec", "fleet", "model", "starttls", "tls", "trust", "x509"}),
    "explain": frozenset({"diagnosis", "model", "tls"}),
    "report": frozenset({"diagnosis", "fleet", "model", "output"}),
    "warehouse": frozenset({"fleet", "model", "output"}),
    # joins all of the above to one run
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
            "tls",
            "trust",
            "x509",
        }
    ),
    # recorded findings judged again, without the network
    "rejudge": frozenset({"codec", "diagnosis", "fleet", "model", "output", "run", "trust", "x509"}),
    # servers of its own, scanned as any others
    "demo": frozenset({"run"}),
    # parse, call, print
    "cli": frozenset(
        {"demo", "explain", "fleet", "inventory", "model", "net", "output", "process", "rejudge", "report", "run"}
        | {"starttls", "warehouse", "x509"}
    ),
    # for programs: the same run, and no command line
    "api": frozenset({"inventory", "model", "run", "starttls"}),
    "__main__": frozenset({"cli", "process"}),
}
# (package, imported package) -> the only modules of it that may be imported, where that is few of many.
ONLY: Final[dict[tuple[str, str], frozenset[str]]] = {
    # which protocol a name or a port means
    ("inventory", "starttls"): frozenset({"services"}),
    # the protocols of an inventory
    ("cli", "starttls"): frozenset({"protocols"}),
    # the values of --resolver, --cache, --ntp and --webhook; the clock of trio loops
    ("cli", "net"): frozenset({"clocks", "dns.resolver_config", "http.disk_cache", "http.webhook", "sntp"}),
    ("cli", "x509"): frozenset({"client_certificate"}),
    # what is looked up about certificates: no verifier on the path of a probe
    ("net", "trust"): frozenset({"intermediates", "revocation", "verdicts"}),
    ("net", "x509"): frozenset({"certificate", "certificate_files", "crl", "ocsp_request"}),
    # what only the fleet can say, and not how that is found
    ("diagnosis", "fleet"): frozenset({"correlate.fleet_verdicts"}),
    # names of code points and the hellos that a question sends, never the handshake
    ("diagnosis", "tls"): frozenset({"constants", "offers", "registry_names", "unixtime"}),
    ("codec", "tls"): frozenset({"offers", "registry_names"}),
    ("explain", "tls"): frozenset({"registry_names"}),
    # one module verifies the signatures of certificates and of handshakes
    ("tls", "x509"): frozenset({"signatures"}),
    # what the engine has seen is evidence
    ("tls", "model"): frozenset({"evidence"}),
    ("run", "tls"): frozenset({"plaintext"}),
    ("report", "diagnosis"): frozenset({"catalogue"}),
    # which target a finding is about
    ("warehouse", "fleet"): frozenset({"keys"}),
    ("rejudge", "run"): frozenset({"inputs", "judgement"}),
    ("demo", "run"): frozenset({"inventory_scan"}),
    ("api", "run"): frozenset({"check", "inputs", "stream"}),
}

# Base name of modules that share it -> why that helps the reader.
RELATED: Final[dict[str, str]] = {
    "check": "the command, and its work",
    "scan": "the command, and its work",
    "certificate": "what a certificate is, and the rule that says what is wrong with it",
    "revocation": "the verdict, and the rule about it",
    "transparency": "the verdict, and the rule about it",
    "signatures": "of handshakes, and of certificates",
    "postgres": "the protocol whose TLS is probed, and the database that is loaded",
}

# Modules with names for programs that use tlsweep, who do not see the classes of the same name behind them.
PUBLIC: Final = frozenset({"api.py"})

# Modules whose private classes are named for what they read: the members of a recorded finding.
RECORDED: Final = frozenset({"diagnosis/recorded.py", "fleet/correlate/older_facts.py"})

# Modules that may use `functools.cache` -> what its arguments are, none of which comes from a peer. What peers sent is kept by
# `scanner.caching` alone, bounded in entries and in bytes.
CACHES: Final[dict[str, str]] = {
    "codec/decode.py": "types of records",
    "codec/encode.py": "types of records",
    "diagnosis/catalogue.py": "codes and languages of the shipped catalogue",
    "diagnosis/recorded.py": "fingerprints of the certificates of one finding, for as long as it is read",
    "diagnosis/rules/caa.py": "shipped data",
    "explain/answers.py": "shipped data",
    "explain/fixes.py": "shipped data",
    "explain/meanings.py": "shipped data",
    "explain/recognise.py": "shipped data",
    "fleet/correlate/domains.py": "the public suffix list",
    "inventory/charset.py": "names of encodings",
    "language.py": "languages",
    "public_suffixes.py": "nothing",
    "rejudge/judging_options.py": "nothing",
    "report/html_page.py": "names of shipped files",
    "tls/key_share.py": "the groups of RFC 7919",
    "tls/plaintext.py": "nothing",
    "tls/registry_names.py": "code points of two bytes",
    "trust/chrome_store.py": "shipped data",
    "trust/interceptors.py": "shipped data",
    "trust/onecrl.py": "shipped data",
    "trust/placeholders.py": "shipped data",
    "x509/signatures.py": "classes of keys",
}

# Records are made with it everywhere.
EVERYWHERE: Final = ("",)

# Third-party package (as imported) -> where it may be imported; a name ending in "/" is a folder.
THIRD_PARTY: Final[dict[str, tuple[str, ...]]] = {
    "msgspec": EVERYWHERE,
    "trio": ("net/", "run/", "demo/", "cli/"),
    "dns": ("net/", "demo/"),
    "httpcore": ("net/",),
    "tqdm": ("cli/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "cryptography": ("tls/", "x509/", "trust/", "demo/"),
    "certifi": ("trust/",),
    "idna": ("inventory/", "demo/"),
    "charset_normalizer": ("inventory/",),
    "orjson": (
        "tls/",
        "inventory/",
        "output/",
        "trust/",
        "codec/",
        "diagnosis/",
        "fleet/",
        "warehouse/",
        "report/",
        "cli/",
    ),
    "zstandard": ("lines.py", "output/"),
    "publicsuffixlist": ("public_suffixes.py",),
    "duckdb": ("warehouse/",),
    "psycopg": ("warehouse/",),
    "jinja2": ("report/",),
    "vl_convert": ("report/",),
}
# Import name -> distribution, where they differ.
DISTRIBUTION: Final = {
    "charset_normalizer": "charset-normalizer",
    "dns": "dnspython",
    "vl_convert": "vl-convert-python",
}

# Pure packages: a moment, a random number or a socket is an argument there.
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
IMPURE_EXCEPTIONS: Final[dict[tuple[str, str], str]] = {
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

# Not needed by a plain scan; each of these would be some percent of its start.
NOT_FOR_A_SCAN: Final = (
    "dns",
    "httpcore",
    "charset_normalizer",
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

# Above what most modules need: cutting a file merely to stay below a number makes odd seams.
MAX_LINES: Final = 500

# Path below scanner/ -> why it may be longer.
LONG_FILES: Final[dict[str, str]] = {
    "model/findings.py": "the schema, which is read as one page and made from this one file",
    "tls/handshake.py": "one state machine for all versions: half of it could not be read alone",
}

# Path below scanner/ -> why it has no test module of its own.
WITHOUT_MIRROR: Final[dict[str, str]] = {
    "model/evidence.py": "records without behaviour",
    "model/config.py": "records without behaviour",
    "diagnosis/claim.py": "records without behaviour",
    "fleet/correlate/fleet_verdicts.py": "records without behaviour",
    "tls/constants.py": "numbers of the registries",
    "tls/offers.py": "records without behaviour",
}


class Import(NamedTuple):
    """One imported module, as an absolute dotted name."""

    source: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.source.relative_to(ROOT)}:{self.line} imports {self.module}"


def modules() -> list[Path]:
    """Return all source files of the package."""
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def below_package(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def package_of(path: Path) -> str:
    """Return the first name below `scanner`: a package, or a module directly in it."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(path: Path, places: tuple[str, ...]) -> bool:
    name = below_package(path)
    return any(name.startswith(place) if place.endswith("/") or not place else name == place for place in places)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


@cache
def imports(path: Path) -> tuple[Import, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    package = ("scanner", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                # `from scanner.tls import wire` is an import of scanner.tls.wire
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


def own_imports() -> Iterator[tuple[Import, str, str]]:
    """Yield the imports of modules of ours, with the package that imports and the one that is imported."""
    for item in all_imports():
        parts = item.module.split(".")
        if parts[0] == "scanner" and len(parts) > 1:
            yield item, package_of(item.source), parts[1]


Node = TypeVar("Node", bound=Hashable)


def circles(graph: Mapping[Node, set[Node]]) -> list[list[Node]]:
    """Return the nodes that reach each other, group by group (Tarjan's strongly connected components)."""
    order: dict[Node, int] = {}
    lowest: dict[Node, int] = {}
    stack: list[Node] = []
    found: list[list[Node]] = []

    def visit(node: Node) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[-len(group) :]
            if len(group) > 1 or node in graph.get(node, ()):
                found.append(group)

    for node in graph:
        if node not in order:
            visit(node)
    return found


def test_circles_are_found() -> None:
    graph = {1: {2}, 2: {3}, 3: {2, 4}, 4: {5}, 5: {6}, 6: {4, 1}, 7: {7}, 8: {1}}
    assert [sorted(group) for group in circles(graph)] == [[1, 2, 3, 4, 5, 6], [7]]
    assert circles({1: {2}, 2: {3}, 3: set(), 4: {1, 3}}) == []


def test_only_helpers_are_outside_packages() -> None:
    found = {path.stem for path in PACKAGE.glob("*.py")}
    assert found == {*HELPERS, "__init__", "__main__", "api"}


def test_every_package_is_on_the_map() -> None:
    assert {package_of(path) for path in modules()} - {*HELPERS, "__init__"} == set(MAY_IMPORT)


def test_packages_import_only_what_the_map_allows() -> None:
    refused = []
    for item, here, there in own_imports():
        if here != there and there not in HELPERS and there not in MAY_IMPORT.get(here, frozenset()):
            refused.append(f"{item}: {here} may not import {there}")
        only = ONLY.get((here, there))
        if only is not None and item.module.removeprefix(f"scanner.{there}.") not in only:
            refused.append(f"{item}: {here} may import only {', '.join(sorted(only))} of {there}")
    assert refused == []


def test_the_map_has_nothing_that_is_not_needed() -> None:
    used: dict[str, set[str]] = defaultdict(set)
    parts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for item, here, there in own_imports():
        used[here].add(there)
        parts[here, there].add(item.module.removeprefix(f"scanner.{there}."))
    assert {here: sorted(allowed - used[here]) for here, allowed in MAY_IMPORT.items() if allowed - used[here]} == {}
    assert {pair: sorted(only - parts[pair]) for pair, only in ONLY.items() if only - parts[pair]} == {}


def test_packages_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for _, here, there in own_imports():
        if here != there:
            graph[here].add(there)
    assert circles(dict(graph)) == []


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for item, _, _ in own_imports():
        graph[module_name(item.source)].add(item.module)
    assert circles(dict(graph)) == []


def test_modules_of_one_name_are_related() -> None:
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        if path.stem not in ("__init__", "__main__"):
            by_name[path.stem].append(below_package(path))
    assert {name: places for name, places in by_name.items() if len(places) > 1 and name not in RELATED} == {}
    assert {name for name in RELATED if len(by_name[name]) < 2} == set()


def test_third_party_packages_are_imported_where_they_belong() -> None:
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


def test_no_third_party_package_has_a_place_without_need() -> None:
    users: dict[str, list[Path]] = defaultdict(list)
    for item in all_imports():
        users[item.module.partition(".")[0]].append(item.source)
    unneeded = [
        (package, place)
        for package, places in THIRD_PARTY.items()
        for place in places
        if not any(within(path, (place,)) for path in users[package])
    ]
    assert unneeded == []


def declared_dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = [entry for entries in project.get("optional-dependencies", {}).values() for entry in entries]
    names = {re.split(r"[^A-Za-z0-9._-]", entry, maxsplit=1)[0] for entry in (*project["dependencies"], *optional)}
    return names - {project["name"]}


def test_every_declared_dependency_has_its_place() -> None:
    assert declared_dependencies() == {DISTRIBUTION.get(name, name) for name in THIRD_PARTY}


def test_pure_packages_have_no_clock_socket_or_randomness() -> None:
    refused = [
        str(item)
        for item in all_imports()
        if within(item.source, PURE)
        and item.module.partition(".")[0] in IMPURE_MODULES
        and (below_package(item.source), item.module) not in IMPURE_EXCEPTIONS
    ]
    assert refused == []


def test_a_class_name_means_one_thing() -> None:
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if below_package(path) in PUBLIC:
                continue
            if isinstance(node, ast.ClassDef) and not (node.name[0] == "_" and below_package(path) in RECORDED):
                by_name[node.name.lstrip("_")].append(below_package(path))
    assert {name: places for name, places in by_name.items() if len(places) > 1} == {}


def test_only_the_one_cache_keeps_what_peers_sent() -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "functools":
                used[below_package(path)].update(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "functools":
                used[below_package(path)].add(node.attr)
    assert {name for name, names in used.items() if "lru_cache" in names} == {"caching.py"}
    assert {name for name, names in used.items() if "cache" in names} == set(CACHES)


@pytest.mark.parametrize("path", modules(), ids=below_package)
def test_modules_are_not_too_long(path: Path) -> None:
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


def test_nothing_refers_to_files_outside_the_repository() -> None:
    outside = re.compile(r"\.\./shared|\bshared/(?:data|design)\b")
    refused = [name for name, text in committed_texts() if name.startswith("scanner/") and outside.search(text)]
    assert refused == []


def test_no_file_names_a_path_of_one_machine() -> None:
    # Put together here, so that this file does not match itself.
    # Examples install into /opt/tlsweep, which is a place on any machine.
    somewhere = re.compile(
        "|".join(rf"(?<![\w.])/{place}/(?!tlsweep\b)[\w.-]" for place in ("home", "root", "work", "opt", "Users"))
    )
    refused = [
        f"{name}: {found[0]}" for name, text in committed_texts() if (found := somewhere.search(text)) is not None
    ]
    assert refused == []


def test_no_marks_of_unfinished_work() -> None:
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


MAIN: Final = """
from scanner.cli import main
try:
    main({arguments})
except SystemExit as stop:
    assert not stop.code
"""


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


def test_a_scan_loads_only_what_it_uses() -> None:
    assert loaded_by("import scanner.run.inventory_scan") & set(NOT_FOR_A_SCAN) == set()
