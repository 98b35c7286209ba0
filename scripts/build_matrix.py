"""Write docs/matrix.md, which says which tests show each code, from the tests themselves.

python -m scripts.build_matrix            # writes docs/matrix.md
python -m scripts.build_matrix --check    # exit 1 if the file is stale
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from scanner.demo.case_list import CASES
from scanner.diagnosis.catalogue import CAUSES, CODES
from scripts.generated import write_or_check
from tests.servers.catalogue import ALL_SERVERS
from tests.servers.client_auth_services import WEB

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "docs" / "matrix.md"

# Tests of the verdicts on evidence
JUDGING: Final = (
    "tests/diagnosis/**/test_*.py",
    "tests/trust/test_*.py",
    "tests/x509/test_*.py",
    "tests/fleet/correlate/test_*.py",
    "tests/run/test_scan*.py",
    "tests/run/test_pool*.py",
)
# Tests below these folders that are about texts and formats instead
NOT_JUDGING: Final = frozenset(
    {
        "test_catalogue.py",
        "test_texts.py",
        "test_by_evidence.py",
        "test_predict.py",
        "test_endings.py",
        "test_wording.py",
        "test_properties.py",
        "test_assemble.py",
    }
)
# Tests mark severities other than errors after the code (tests/helpers/evidence.py).
SEVERITY_MARKS: Final = "?."
# Names in one cell; the others are counted.
SHOWN: Final = 4

# Codes that no server on one machine can show, and why
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
    """Return the page."""
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
    """Return the codes that no test server shows."""
    demo, software = _demo(), _software()
    return [code for code in CODES if not demo.get(code) and not software.get(code)]


# --- sources ---------------------------------------------------------------------------------------


def _demo() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    # cases that demonstrate a code come before those to which it also applies
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
    for pattern in JUDGING:
        paths = sorted(ROOT.glob(pattern))
        assert paths, f"no test is at {pattern}"
        for path in paths:
            if path.name not in NOT_JUDGING:
                for code in _asserted(path):
                    found[code].append(path.relative_to(ROOT / "tests").as_posix())
    return found


def _asserted(path: Path) -> dict[str, list[str]]:
    """Return the codes that the tests of a module assert or get from ``parametrize``, with the names of the tests."""
    tree = ast.parse(path.read_bytes())
    # constants of the module whose value is a code
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
    """Return the operands of ``not in`` and ``!=``: such an assertion is about a code that does not apply."""
    if isinstance(node, ast.Compare) and any(isinstance(operator, ast.NotIn | ast.NotEq) for operator in node.ops):
        return ast.walk(node)
    return ()


# --- cells -----------------------------------------------------------------------------------------


def _cell(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(f"`{name}`" for name in listed[:SHOWN]) + more


if __name__ == "__main__":
    write_or_check(__doc__, [(TARGET, build())])
