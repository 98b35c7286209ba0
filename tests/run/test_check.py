from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from scanner.cli.check import check
from scanner.cli.option_values import run_inputs, scan_config
from scanner.demo.pki import pem
from scanner.errors import UsageProblem
from scanner.model.findings import Finding
from scanner.run.check import check_certificates, check_targets
from tests.cli.test_options import an_anchor
from tests.helpers import pki
from tests.helpers.evidence import AT, HOST, chain, issuing
from tests.helpers.scts import ARGON, YETI, log_list, with_scts


def given(*words: object) -> dict[str, Any]:
    return check.make_context("check", [*map(str, words)]).params


def judged(*words: object) -> Finding:
    options = given(*words)
    return check_certificates(options["chain"], options["host"], scan_config(options), run_inputs(options), AT)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "fullchain.pem").write_bytes(b"".join(map(pem, chain())))
    (tmp_path / "roots.pem").write_bytes(an_anchor())
    return tmp_path


def test_findings_are_in_the_order_of_the_targets() -> None:
    options = given("x")
    findings = trio.run(
        check_targets, ["127.0.0.1:9", "", "[::1]:9", "a b"], scan_config(options), run_inputs(options), print
    )

    assert [finding["target"]["row"] for finding in findings] == [1, 2, 3, 4]
    assert [finding["outcome"] for finding in findings] == ["fail", "invalid", "fail", "invalid"]


def test_a_file_that_is_longer_than_clients_take(files: Path) -> None:
    bundle = [
        pki.root(f"Unrelated Root {number}", san=[f"{name}.example" for name in range(300)]) for number in range(8)
    ]
    (files / "bundle.pem").write_bytes(b"".join(map(pem, (*chain(), *[each.der for each in bundle]))))
    finding = judged("--chain", files / "bundle.pem", "--trust-store", files / "roots.pem", "--host", HOST)
    assert [each["code"] for each in finding["diagnoses"]] == ["oversized-message", "chain-has-extras"]
    assert finding["diagnoses"][0]["evidence"]["refused_by"] == ["Java"]
    assert "ok" in finding["clients"].values() and "32768" in finding["clients"]["java"]


@pytest.mark.parametrize("host", [HOST, "127.0.0.1", None])
def test_a_file_is_judged_for_a_name_an_address_or_neither(host: str | None, files: Path) -> None:
    words = [
        "--chain",
        files / "fullchain.pem",
        "--trust-store",
        files / "roots.pem",
        *(["--host", host] if host else []),
    ]

    finding = judged(*words)

    assert finding["cause"] == ("hostname-mismatch" if host == "127.0.0.1" else None)
    assert all("confirm" not in diagnosis for diagnosis in finding["diagnoses"])


def test_certificates_of_a_public_ca_need_scts(files: Path) -> None:
    (files / "logs.json").write_text(json.dumps(log_list(ARGON, YETI)))
    roots = ["--trust-store", files / "roots.pem", "--public-roots", files / "roots.pem"]
    line = ["--chain", files / "fullchain.pem", "--host", HOST, *roots, "--ct-logs", files / "logs.json"]

    finding = judged(*line)
    assert [diagnosis["code"] for diagnosis in finding["diagnoses"]] == ["no-scts"]
    sound = with_scts([ARGON, YETI], HOST, issuer=issuing())
    (files / "fullchain.pem").write_bytes(pem(sound.der) + pem(issuing().der))
    finding = judged(*line)
    assert finding["outcome"] == "ok"
    assert [sct["log"] for sct in finding["endpoints"][0]["scts"]] == ["Argon", "Yeti"]


def test_a_host_that_cannot_be_parsed_is_a_usage_problem(files: Path) -> None:
    with pytest.raises(UsageProblem, match="--host"):
        judged("--chain", files / "fullchain.pem", "--host", "-x-..y")
