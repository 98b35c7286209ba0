"""Write docs/matrix.md: which test shows each code, read out of the tests themselves.

python scripts/build_matrix.py            # writes docs/matrix.md
python scripts/build_matrix.py --check    # exit 1 where the file is stale
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from scanner.demo.case_list import CASES
from scanner.diagnosis.catalogue import CAUSES, CODES
from tests.servers.catalogue import ALL_SERVERS
from tests.servers.client_auth_services import WEB

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "docs" / "matrix.md"

# Tests that hold judgements, and not words about codes or the shape of files
JUDGING: Final = ("tests/diagnosis", "tests/pki", "tests/correlate", "tests/test_scan*.py", "tests/test_workers*.py")
NOT_JUDGING: Final = frozenset(
    {
        "test_catalogue.py",
        "test_client_texts.py",
        "test_client_evidence.py",
        "test_clients.py",
        "test_client_endings.py",
    }
    | {"test_wording.py", "test_properties.py", "test_assemble.py", "test_plain.py"}
)
# Tests write a severity other than an error's behind the code (tests/helpers/evidence.py).
SEVERITY_MARKS: Final = "?."
# Names in one cell; the rest is counted.
SHOWN: Final = 4

# Codes that no server on one machine shows, and why
NO_SERVER: Final[Mapping[str, str]] = {
    "network-unreachable": "needs a machine without a route, and loopback always has one: the judge is given the error",
    "host-unreachable": "needs a router or neighbour that says so: the judge is given the error",
    "caa-forbids-issuer": "needs a certificate of a public CA, whose name in CAA records is known: the judge is given both",
    "too-costly-to-judge": "needs dozens of certificates that are made to cost: the judge is given them",
    "dane-mismatch": "needs answers that a validating resolver vouches for: the judge is given them",
}

HEAD: Final = """# Which test shows which code

This page is made by `scripts/build_matrix.py` from the tests themselves, and a test fails while it is stale.

- **Servers of the demo**: cases of `tlsweep demo` (`scanner/demo/`), each a server on loopback that truly behaves so
  (OpenSSL's with broken certificates, scripted ones where no software does it, a DNS server, a closed port).
  `tests/demo/test_every_case.py` scans them and wants exactly these codes of each, no more and no fewer.
- **Other software**: servers that others wrote (nginx, Apache, HAProxy, GnuTLS, NSS, stunnel, OpenSSL's s_server, mitmproxy,
  faked clocks), from the tables and tests of `tests/servers/`. They are skipped where the software is missing.
- **Judged from evidence**: modules of `tests/` that assert the code from evidence made for it, without a server.

{unshown}
"""


def build() -> str:
    """The page."""
    demo, software, evidence = _demo(), _software(), _evidence()
    unshown = [code for code in CODES if not demo.get(code) and not software.get(code)]
    parts = [HEAD.format(unshown=_unshown(unshown))]
    for cause in CAUSES:
        parts.append(f"\n## {cause}\n\n| code | servers of the demo | other software | judged from evidence |\n")
        parts.append("| --- | --- | --- | --- |\n")
        for code in (code.code for code in CODES.values() if code.cause == cause):
            cells = (_cell(demo.get(code, ())), _cell(software.get(code, ())), _cell(evidence.get(code, ())))
            parts.append(f"| `{code}` | {' | '.join(cells)} |\n")
    return "".join(parts)


def _unshown(codes: list[str]) -> str:
    if not codes:
        return "Every code is shown by a server."
    lines = ["No server of the tests shows these codes:", ""]
    lines += [f"- `{code}`: {NO_SERVER.get(code, 'only judged from evidence so far')}." for code in codes]
    return "\n".join(lines)


def without_a_server() -> list[str]:
    """Codes that no server of the tests shows."""
    demo, software = _demo(), _software()
    return [code for code in CODES if not demo.get(code) and not software.get(code)]


# --- where they stand ------------------------------------------------------------------------------


def _demo() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    # what a case is there to show comes before what is true of it as well
    for case in CASES:
        if case.code is not None:
            found[case.code].append(case.name)
    for case in CASES:
        for code in case.also:
            found[code].append(case.name)
    return found


def _software() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for spec in ALL_SERVERS:
        for code in spec.expected.codes:
            found[code].append(spec.id)
    for spec, code in WEB:
        found[code].append(spec.id)
    for path in sorted((ROOT / "tests" / "servers").glob("test_*.py")):
        for code, tests in _asserted(path).items():
            found[code] += [f"{path.name}::{test}" for test in tests]
    return {code: list(dict.fromkeys(names)) for code, names in found.items() if code in CODES}


def _evidence() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for where in JUDGING:
        paths = (ROOT / where).rglob("test_*.py") if not where.endswith(".py") else ROOT.glob(where)
        for path in sorted(paths):
            if path.name not in NOT_JUDGING:
                for code in _asserted(path):
                    found[code].append(path.relative_to(ROOT / "tests").as_posix())
    return found


def _asserted(path: Path) -> dict[str, list[str]]:
    """Codes that the tests of a module assert, or are given by ``parametrize``, with the names of those tests."""
    tree = ast.parse(path.read_bytes())
    # constants of the module that are codes, by their names
    names = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value in CODES
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: dict[str, list[str]] = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for code in dict.fromkeys(_codes_in(node, names)):
                found[code].append(node.name)
    return found


def _codes_in(test: ast.FunctionDef | ast.AsyncFunctionDef, names: Mapping[str, object]) -> Iterator[str]:
    places: list[ast.AST] = list(test.decorator_list)
    places += [node for node in ast.walk(test) if isinstance(node, ast.Assert)]
    for place in places:
        denied = {id(part) for node in ast.walk(place) for part in _denied(node)}
        for node in ast.walk(place):
            value = names.get(node.id) if isinstance(node, ast.Name) else getattr(node, "value", None)
            if isinstance(node, ast.Constant | ast.Name) and id(node) not in denied and isinstance(value, str):
                if (code := value.rstrip(SEVERITY_MARKS)) in CODES:
                    yield code


def _denied(node: ast.AST) -> Iterable[ast.AST]:
    """What stands left of ``not in``: such an assertion is about a code that does not hold."""
    if isinstance(node, ast.Compare) and any(isinstance(operator, ast.NotIn | ast.NotEq) for operator in node.ops):
        return ast.walk(node)
    return ()


# --- cells -----------------------------------------------------------------------------------------


def _cell(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(f"`{name}`" for name in listed[:SHOWN]) + more


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is stale")
    options = parser.parse_args(arguments)
    text = build()
    if options.check:
        return 0 if TARGET.is_file() and TARGET.read_text("utf-8") == text else 1
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
