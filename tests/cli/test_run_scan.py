from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from scanner.cli import UsageProblem
from scanner.cli.run_scan import matches_fail_on, parse_fail_on, parse_workers, same_file
from scanner.process.limits import MAX_WORKERS, cores
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
    assert parse_fail_on("warning,invalid") == {"warning", "invalid"}
    with pytest.raises(UsageProblem, match="neither a cause nor a code"):
        parse_fail_on("DNS")


@pytest.mark.parametrize(
    ("words", "matches"), [("any", True), ("dns", True), ("servfail", True), ("warning", False), ("dns-timeout", False)]
)
def test_a_finding_matches_by_any_of_its_words(words: str, matches: bool) -> None:
    finding = {"outcome": "fail", "diagnoses": [{"severity": "error", "cause": "dns", "code": "servfail"}]}
    assert matches_fail_on(finding, parse_fail_on(words)) is matches
    assert matches_fail_on(finding, parse_fail_on(f"revoked,{words},invalid")) is matches
    assert not matches_fail_on(finding, frozenset())


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
