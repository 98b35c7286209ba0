"""The wheel and the source distribution: what is in them, what they say of themselves, and that the wheel works where it is installed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.licenses import canonicalize_license_expression
from packaging.metadata import Metadata
from packaging.requirements import Requirement

from tests.contrib.test_nightly import tool

ROOT: Final = Path(__file__).resolve().parent.parent
# Words of scanner/data/NOTICE.md and of the code's licence -> their SPDX identifiers.
LICENCES: Final = {
    r"Apache License, Version 2\.0|Apache-2\.0": "Apache-2.0",
    r"2-clause BSD": "BSD-2-Clause",
    r"3-clause BSD": "BSD-3-Clause",
    r"CC BY 4\.0": "CC-BY-4.0",
    r"\bMIT\b": "MIT",
    r"Mozilla Public License 2\.0|MPL 2\.0": "MPL-2.0",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both from a copy of the tree, as it is, without what is ignored."""
    source, made = tmp_path_factory.mktemp("source") / "tlsweep", tmp_path_factory.mktemp("dist")
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "tlsweep-demo", "results", "*.ndjson*"
    )
    shutil.copytree(ROOT, source, ignore=ignored)
    build(source, made)
    return made


def build(source: Path, made: Path, *targets: str) -> None:
    pytest.importorskip("hatchling")
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(made), *(f"--target={one}" for one in targets)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False, timeout=55)
    assert done.returncode == 0, done.stdout + done.stderr


def wheel_of(directory: Path) -> Path:
    (found,) = directory.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def files(built: Path) -> dict[str, bytes]:
    """Name -> content of what is in the wheel."""
    with zipfile.ZipFile(wheel_of(built)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(files: dict[str, bytes]) -> Metadata:
    """The wheel's metadata, validated as an index does."""
    (text,) = (content for name, content in files.items() if name.endswith(".dist-info/METADATA"))
    return Metadata.from_email(text, validate=True)


def project() -> dict[str, Any]:
    given = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert isinstance(given, dict)
    return given


def test_the_licence_expression_covers_code_and_data(metadata: Metadata, files: dict[str, bytes]) -> None:
    expression = metadata.license_expression
    assert expression is not None and canonicalize_license_expression(expression) == expression
    notices = (ROOT / "scanner" / "data" / "NOTICE.md").read_text("utf-8")
    named = {name for words, name in LICENCES.items() if re.search(words, notices)} | {"Apache-2.0"}
    assert set(expression.split(" AND ")) == named == set(LICENCES.values())
    assert metadata.license_files == ["LICENSE", "NOTICE", "scanner/data/NOTICE.md"]
    for name in metadata.license_files:
        (content,) = (content for path, content in files.items() if path.endswith(f".dist-info/licenses/{name}"))
        assert content == (ROOT / name).read_bytes()


def test_every_licence_that_the_notices_name_is_known() -> None:
    """A new licence in the notices must be looked at, and belongs into the expression."""
    notices = (ROOT / "scanner" / "data" / "NOTICE.md").read_text("utf-8")
    kinds = (
        r"(?:\d-clause )?BSD|[AL]?GPL[\w. -]*|MPL [\d.]+|Mozilla Public License [\d.]+\d"
        r"|CC[ -][A-Z0]+ ?[\d.]*\d|\bMIT\b|\bISC\b|Apache\S+|ODbL"
    )
    found = set(re.findall(kinds, notices))
    assert len(found) >= 5
    assert {one for one in found if not any(re.search(words, one) for words in LICENCES)} == set()


def test_the_metadata_is_complete(metadata: Metadata) -> None:
    given = project()
    assert (metadata.name, str(metadata.version)) == ("tlsweep", given["version"])
    assert metadata.summary == given["description"] and len(given["description"]) < 140
    assert metadata.author == "The tlsweep authors"
    assert metadata.description_content_type == "text/markdown"
    assert (metadata.description or "").startswith("# tlsweep\n")
    assert str(metadata.requires_python) == ">=3.11"
    assert set(metadata.provides_extra or ()) == {"duckdb", "postgres", "report", "all"}
    for address in (metadata.project_urls or {}).values():
        assert address.startswith("https://")


def test_the_classifiers_exist(metadata: Metadata) -> None:
    trove = pytest.importorskip("trove_classifiers")
    classifiers = metadata.classifiers or []
    assert set(classifiers) <= trove.classifiers
    assert not set(classifiers) & trove.deprecated_classifiers.keys()
    assert classifiers == sorted(classifiers)
    kinds = {classifier.partition(" :: ")[0] for classifier in classifiers}
    assert {
        "Development Status",
        "Environment",
        "Framework",
        "Intended Audience",
        "Natural Language",
        "Topic",
        "Typing",
    } <= kinds
    # the licence is in its expression; a classifier beside it is refused by indexes (PEP 639)
    assert "License" not in kinds


def test_requirements_are_met_by_what_is_tested(metadata: Metadata) -> None:
    for requirement in metadata.requires_dist or []:
        assert isinstance(requirement, Requirement)
        assert requirement.specifier.contains(importlib.metadata.version(requirement.name)), requirement


def test_the_wheel_has_the_package_and_what_is_installed_beside_it(files: dict[str, bytes]) -> None:
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "scanner").rglob("*") if path.is_file()}
    expected = {name for name in tracked if "__pycache__" not in name}
    assert {name for name in files if name.startswith("scanner/")} == expected
    assert "scanner/py.typed" in files
    shared = {name.partition(".data/data/share/")[2] for name in files if ".data/" in name}
    pages = {f"man/man1/{path.name}" for path in (ROOT / "contrib" / "man").glob("*.1")}
    assert len(pages) >= 11 and shared == pages | {
        "bash-completion/completions/tlsweep", "zsh/site-functions/_tlsweep", "fish/vendor_completions.d/tlsweep.fish"
    }  # fmt: skip
    others = {name.partition("/")[0] for name in files} - {"scanner"}
    assert all(re.fullmatch(r"tlsweep-[\d.]+\.(data|dist-info)", name) for name in others)
    (points,) = (content.decode() for name, content in files.items() if name.endswith("/entry_points.txt"))
    assert "tlsweep = scanner.__main__:run" in points


def test_the_source_distribution_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """What is in it is enough, and two builds give the same bytes."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
        packed.extractall(tmp_path / "source", filter="data")
    assert {
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Containerfile",
        "Makefile",
        "requirements.lock",
        "tests/test_package.py",
    } <= names
    assert {"docs/install.md", "contrib/nightly/tlsweep-nightly", "contrib/man/tlsweep.1", "PKG-INFO"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", ".git/"))]
    (source,) = (tmp_path / "source").iterdir()
    build(source, tmp_path / "again", "wheel")
    digests = {hashlib.sha256(wheel_of(one).read_bytes()).hexdigest() for one in (built, tmp_path / "again")}
    assert len(digests) == 1


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with the wheel, which borrows what the wheel requires from the one that runs the tests."""
    home = tmp_path_factory.mktemp("environment") / "tlsweep"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=50)
    done = subprocess.run(
        [sys.executable, "-m", "pip", f"--python={home}/bin/python", "--disable-pip-version-check", "--no-input", "install", "--quiet",
         "--no-index", "--no-deps", str(wheel_of(built))],
        capture_output=True, text=True, check=False, timeout=55,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (packages,) = home.glob("lib/python*/site-packages")
    borrowed = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "zz-borrowed.pth").write_text(borrowed + "\n")
    yield home


def call(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{installed}/bin:{os.environ['PATH']}", "HOME": str(installed)}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        words, cwd=installed, env=environment, capture_output=True, text=True, check=False, timeout=50
    )


def test_the_installed_command_works(installed: Path) -> None:
    where = call(installed, str(installed / "bin" / "python"), "-c", "import scanner; print(scanner.__file__)").stdout
    assert where.startswith(str(installed))
    assert call(installed, "tlsweep", "--version").stdout == f"tlsweep {project()['version']}\n"
    assert '"tlsweep/1"' in call(installed, "tlsweep", "schema", "finding").stdout
    done = call(installed, "tlsweep", "check", "127.0.0.1:9", "--json")
    assert (done.returncode, '"outcome":"' in done.stdout) == (0, True), done.stderr
    done = call(installed, "tlsweep", "check", "--chain", str(ROOT / "scanner" / "data" / "NOTICE.md"))
    assert done.returncode == 2 and done.stderr.count("\n") == 1


@pytest.mark.parametrize("page", ["tlsweep", "tlsweep-scan"])
def test_man_finds_the_pages_of_a_command_in_the_path(installed: Path, page: str) -> None:
    assert call(installed, tool("man"), "-w", page).stdout == f"{installed}/share/man/man1/{page}.1\n"


def test_the_change_log_is_about_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"(?m)^## (\d+\.\d+\.\d+) \((not released yet|\d{4}-\d\d-\d\d)\)$", text)
    assert versions and text.count("\n## ") == len(versions)
    assert versions[0][0] == project()["version"]
    assert [one for one in versions[1:] if one[1] == "not released yet"] == []


def test_no_page_tells_to_install_from_an_index_where_it_is_not() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "scanner").rglob("*.py")):
        for line in page.read_text("utf-8").splitlines():
            assert not re.search(r"(?:pip|pipx|uv)[\w ]* install [^`]*\btlsweep\b(?!/)", line), (page.name, line)
