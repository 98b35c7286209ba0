"""Random chains with policies, constraints and several paths: what findings say of OpenSSL and Go, these do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers import pki
from tests.helpers.go_verify import GO, SECONDS, ask_go, go_case
from tests.helpers.pki import NOW
from tests.helpers.random_chains import random_chain
from tests.helpers.suites import refused_by

OPENSSL = shutil.which("openssl")
FOR_OPENSSL = range(150)
FOR_GO = range(400)


def refusing(seed: int) -> dict[str, str]:
    leaf, sent, anchor = random_chain(seed)
    return refused_by(leaf.der, [item.der for item in sent], [anchor.der], name=None, at=NOW)


@pytest.mark.skipif(OPENSSL is None, reason="the openssl program is not installed")
@pytest.mark.parametrize("seed", FOR_OPENSSL)
def test_openssl_refuses_what_findings_say(seed: int, tmp_path: Path) -> None:
    leaf, sent, anchor = random_chain(seed)
    for name, items in (("roots", [anchor]), ("sent", sent), ("leaf", [leaf])):
        (tmp_path / name).write_text(pki.pem(*items))
    command = [str(OPENSSL), "verify", "-auth_level", "2", "-partial_chain", "-purpose", "sslserver"]
    command += ["-attime", str(int(NOW)), "-no-CApath", "-no-CAstore", "-CAfile", str(tmp_path / "roots")]
    if sent:
        command += ["-untrusted", str(tmp_path / "sent")]
    ended = subprocess.run([*command, str(tmp_path / "leaf")], capture_output=True, text=True, timeout=20)
    assert ("openssl" in refusing(seed)) is (ended.returncode != 0), ended.stderr


@pytest.mark.timeout(SECONDS)  # a program is compiled
@pytest.mark.skipif(GO is None, reason="Go is not installed")
def test_go_refuses_what_findings_say(tmp_path: Path) -> None:
    cases = []
    for seed in FOR_GO:
        leaf, sent, anchor = random_chain(seed)
        cases.append(go_case(str(seed), pki.pem(leaf), [pki.pem(item) for item in sent], [pki.pem(anchor)], NOW))
    answers = ask_go(cases, tmp_path)
    differing = {
        seed: answers[str(seed)] for seed in FOR_GO if ("go" in refusing(seed)) is (answers[str(seed)] == "ok")
    }
    assert differing == {}


def test_random_chains_are_of_all_kinds() -> None:
    """Some are accepted by all, some by some, some by nobody."""
    found = [frozenset(refusing(seed)) for seed in range(100)]
    assert len(set(found)) > 15 and frozenset() in found and max(map(len, found)) == 9
