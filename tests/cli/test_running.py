from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from scanner.cli import UsageProblem
from scanner.cli.running import matches_fail_on, parse_fail_on, parse_workers, same_file
from scanner.findings import CAUSES, Finding
from scanner.process import MAX_WORKERS, cores
from tests.cli.conftest import Call, refused
from tests.tls.peers import certificate_files


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), (" 7 ", 7), (str(MAX_WORKERS), MAX_WORKERS), ("auto", cores()), ("AUTO", cores())]
)
def test_workers(text: str, count: int) -> None:
    assert parse_workers(text) == count


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many", "²", "٣", "9" * 5000, str(MAX_WORKERS + 1)])
def test_what_is_no_number_of_workers(text: str) -> None:
    with pytest.raises(UsageProblem, match="--workers"):
        parse_workers(text)


def test_words_of_fail_on() -> None:
    assert parse_fail_on(None) == parse_fail_on(" , ") == frozenset()
    assert parse_fail_on(" any,dns, nxdomain ") == {"any", "dns", "nxdomain"}
    with pytest.raises(UsageProblem, match="neither a cause nor a code"):
        parse_fail_on("DNS")


def diagnosed(outcome: str, *diagnoses: tuple[str, str, str]) -> Finding:
    return cast(
        "Finding",
        {
            "outcome": outcome,
            "diagnoses": [{"severity": severity, "cause": cause, "code": code} for severity, cause, code in diagnoses],
        },
    )


@pytest.mark.parametrize("cause", CAUSES)
def test_only_errors_match(cause: str) -> None:
    error = diagnosed("fail", ("error", cause, "some-code"))

    assert matches_fail_on(error, frozenset({cause}))
    assert matches_fail_on(error, frozenset({"some-code"}))
    assert matches_fail_on(error, frozenset({"any"}))
    assert not matches_fail_on(error, frozenset({"other"}))
    assert not matches_fail_on(diagnosed("warn", ("warning", cause, "some-code")), frozenset({cause, "any"}))


def test_any_error_of_several_matches() -> None:
    both: Any = diagnosed("fail", ("error", "dns", "servfail"), ("error", "revoked", "revoked-crl"))

    assert matches_fail_on(both, frozenset({"revoked"}))


def test_one_file_by_two_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a")

    assert same_file(str(tmp_path / "a"), str(tmp_path / "link"))
    assert same_file(str(tmp_path / "none"), f"{tmp_path}/./none")
    assert not same_file(str(tmp_path / "a"), str(tmp_path / "b"))
    assert not same_file(str(tmp_path / "a"), "bad\x00name")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--client-key", "{key}"], "--client-key goes with --client-cert"),
        (["--client-cert", "{missing}"], "No such file"),
        (["--client-cert", "{certificate}"], "has no private key in PEM: name its file with --client-key"),
        (["--client-cert", "{certificate}", "--client-key", "{other}"], "does not belong"),
        (["--client-cert", "{certificate}", "--client-key", "{locked}"], "is encrypted"),
    ],
)
@pytest.mark.parametrize("command", ["check", "scan"])
def test_a_client_certificate_that_does_not_fit(
    command: str, words: list[str], said: str, tmp_path: Path, call: Call
) -> None:
    certificate, key = certificate_files("ec")
    locked = tmp_path / "locked.pem"
    private = load_pem_private_key(Path(key).read_bytes(), None)
    locked.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    names = {"certificate": certificate, "key": key, "other": certificate_files("rsa")[1], "locked": str(locked)}
    (tmp_path / "inventory").write_text("192.0.2.1\n")
    target = "192.0.2.1" if command == "check" else tmp_path / "inventory"
    given = [word.format(missing=tmp_path / "missing", **names) for word in words]
    assert said in refused(call(command, target, *given))
