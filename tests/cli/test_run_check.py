from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scanner.cli.check import check
from scanner.cli.run_check import check_files, check_targets
from scanner.demo.pki import pem
from scanner.errors import UsageProblem
from tests.cli.test_options import an_anchor
from tests.helpers.evidence import AT, HOST, chain, issuing
from tests.helpers.scts import ARGON, YETI, log_list, with_scts


def given(*words: object) -> dict[str, Any]:
    return check.make_context("check", [*map(str, words)]).params


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "fullchain.pem").write_bytes(b"".join(map(pem, chain())))
    (tmp_path / "roots.pem").write_bytes(an_anchor())
    return tmp_path


def test_targets_keep_their_order() -> None:
    findings = check_targets(["127.0.0.1:9", "", "[::1]:9", "a b"], given("x"))

    assert [finding["target"]["row"] for finding in findings] == [1, 2, 3, 4]
    assert [finding["outcome"] for finding in findings] == ["fail", "invalid", "fail", "invalid"]


@pytest.mark.parametrize("host", [HOST, "127.0.0.1", None])
def test_a_file_is_judged_for_a_name_an_address_or_neither(host: str | None, files: Path) -> None:
    words = [
        "--chain",
        files / "fullchain.pem",
        "--trust-store",
        files / "roots.pem",
        *(["--host", host] if host else []),
    ]

    finding = check_files(given(*words), AT)

    assert finding["cause"] == ("hostname-mismatch" if host == "127.0.0.1" else None)
    assert all("confirm" not in diagnosis for diagnosis in finding["diagnoses"])


def test_files_of_a_public_ca_are_held_to_their_scts(files: Path) -> None:
    (files / "logs.json").write_text(json.dumps(log_list(ARGON, YETI)))
    roots = ["--trust-store", files / "roots.pem", "--public-roots", files / "roots.pem"]
    line = ["--chain", files / "fullchain.pem", "--host", HOST, *roots, "--ct-logs", files / "logs.json"]

    finding = check_files(given(*line), AT)
    assert [diagnosis["code"] for diagnosis in finding["diagnoses"]] == ["no-scts"]
    sound = with_scts([ARGON, YETI], HOST, issuer=issuing())
    (files / "fullchain.pem").write_bytes(pem(sound.der) + pem(issuing().der))
    finding = check_files(given(*line), AT)
    assert finding["outcome"] == "ok"
    assert [sct["log"] for sct in finding["endpoints"][0]["scts"]] == ["Argon", "Yeti"]


def test_a_host_that_is_none(files: Path) -> None:
    with pytest.raises(UsageProblem, match="--host"):
        check_files(given("--chain", files / "fullchain.pem", "--host", "-x-..y"), AT)
