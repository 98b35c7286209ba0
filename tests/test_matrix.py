"""The matrix of codes and tests gives a reason for every code that no server shows."""

from __future__ import annotations

import ast
from pathlib import Path

from scanner.diagnosis.catalogue import CODES
from scripts import build_matrix


def test_codes_that_no_server_shows_have_a_reason() -> None:
    """A reason is removed when a server shows the code, and a new code without a server gets one."""
    assert build_matrix.without_a_server() == [code for code in CODES if code in build_matrix.NO_SERVER]


def test_every_code_has_a_test() -> None:
    page = build_matrix.build()
    for code in CODES:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{code}` |"))
        assert row.count("`") > 2, f"no test shows {code}"


def test_asserted_codes_are_found(tmp_path: Path) -> None:
    """Codes in assertions and parameters count, except for those that are denied."""
    module = tmp_path / "test_some.py"
    module.write_text(
        'KNOWN = "weak-key"\n'
        '@pytest.mark.parametrize("code", ["no-scts"])\n'
        "def test_a(code):\n"
        '    """nxdomain"""\n'
        '    told = "servfail"\n'
        '    assert codes == ["expires-soon", KNOWN]\n'
        '    assert "root-sent" not in codes\n'
        '    assert told != "refused"\n'
        "def helper():\n"
        '    assert codes == ["revoked-crl"]\n'
    )
    ast.parse(module.read_text())
    assert build_matrix._asserted(module) == {"no-scts": ["test_a"], "expires-soon": ["test_a"], "weak-key": ["test_a"]}
