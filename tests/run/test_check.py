from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from scanner.cli.check import check
from scanner.cli.option_values import run_inputs, scan_config
from scanner.demo.pki import pem
from scanner.errors import UsageProblem
from scanner.model.findings import Finding
from scanner.run.check import check_certificates, check_targets
from tests.cli.test_options import an_anchor
from tests.helpers import pki
from tests.helpers.evidence import AT, HOST, chain, issuing, root
from tests.helpers.fleet import fleet_of, named
from tests.helpers.scts import ARGON, YETI, log_list, with_scts


def given(*words: object) -> dict[str, Any]:
    return check.make_context("check", [*map(str, words)]).params


def judged(*words: object, log: Callable[[str], None] = print) -> Finding:
    options = given(*words)
    return check_certificates(options["chain"], options["host"], scan_config(options), run_inputs(options), AT, log)


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


@pytest.mark.parametrize(("name", "protocol"), [("mx", "smtp"), ("mailbox", "imap")])
def test_a_service_is_recognised_by_its_greeting(name: str, protocol: str, tmp_path: Path) -> None:
    with fleet_of(tmp_path, named(name)) as fleet:
        row = fleet.rows[0]
        options = given(
            "x",
            "--trust-store",
            tmp_path / "roots.pem",
            "--ct-logs",
            tmp_path / "ctlogs.json",
            "--resolver",
            fleet.resolver,
            "--no-cache",
        )
        texts = [f"{row.host}:{row.port}", f"tls://{row.host}:{row.port}", f"{row.host}:{row.port}"]
        config, inputs = scan_config(options), run_inputs(options)
        findings = trio.run(check_targets, texts, config, inputs, print)

    targets = [finding["target"] for finding in findings]
    assert [(each["protocol"], each.get("auto")) for each in targets] == [
        (protocol, True),
        ("tls", None),
        (protocol, True),
    ]
    assert [finding["outcome"] for finding in findings] == ["ok", "fail", "ok"]
    assert findings[1]["diagnoses"][0]["code"] == "plaintext-on-tls-port"


@pytest.mark.parametrize(
    ("words", "protocol"), [((), "tls"), (("--port", 25), "smtp"), (("--protocol", "submission"), "smtp")]
)
def test_a_file_is_judged_for_the_protocol_of_its_port(words: tuple[object, ...], protocol: str, files: Path) -> None:
    finding = judged("--chain", files / "fullchain.pem", "--trust-store", files / "roots.pem", "--host", HOST, *words)
    assert finding["target"]["protocol"] == protocol


def test_an_unknown_protocol_is_refused_for_a_file_too(files: Path) -> None:
    with pytest.raises(UsageProblem, match="--protocol"):
        judged("--chain", files / "fullchain.pem", "--protocol", "gopher")


# --- files as people have them ---------------------------------------------------------------------


def codes(finding: Finding) -> list[str]:
    return [f"{diagnosis['severity']} {diagnosis['code']}" for diagnosis in finding["diagnoses"]]


def pkcs7_file(*certificates: bytes) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pkcs7.serialize_certificates(list(map(x509.load_der_x509_certificate, certificates)), Encoding.DER)


LEAF, CA = chain()
UPPER = pki.authority("Upper", root()).der
THREE = pki.authority("Lower", pki.authority("Upper", root())), pki.authority("Upper", root())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(pem(LEAF) + pem(CA), [], id="as it should be"),
        pytest.param(b"\xef\xbb\xbf" + pem(LEAF) + pem(CA), [], id="byte order mark"),
        pytest.param(pkcs7_file(CA, LEAF), [], id="PKCS #7"),
        pytest.param(pkcs7_file(LEAF, CA), [], id="PKCS #7, the other way"),
        pytest.param(pem(LEAF).rstrip() + pem(CA), ["error malformed-certificate"], id="END and BEGIN on one line"),
        pytest.param(
            b"".join(b"  " + line + b"\n" for line in (pem(LEAF) + pem(CA)).splitlines()),
            ["error malformed-certificate"],
            id="indented",
        ),
        pytest.param(LEAF + CA, ["error malformed-certificate"], id="DER after DER"),
        pytest.param(pem(CA) + pem(LEAF), ["error chain-misordered"], id="the leaf at the end"),
        pytest.param(pem(LEAF), ["error issuer-unknown"], id="the leaf alone"),
        pytest.param(pem(LEAF) + pem(CA)[:200], ["error issuer-unknown", "error malformed-certificate"], id="cut off"),
    ],
)
def test_files_as_people_have_them(content: bytes, expected: list[str], files: Path) -> None:
    (files / "chain").write_bytes(content)
    finding = judged("--chain", files / "chain", "--host", HOST, "--trust-store", files / "roots.pem")
    assert codes(finding) == expected
    if "error chain-misordered" in expected:
        said = finding["diagnoses"][0]
        assert "as number 2 of 2" in said["summary"] and said["remedy"].startswith("Move the certificate")


def test_a_set_of_three_is_put_in_order(files: Path) -> None:
    lower, upper = THREE
    leaf = pki.certificate(HOST, issuer=lower)
    (files / "chain").write_bytes(pkcs7_file(upper.der, leaf.der, lower.der))
    finding = judged("--chain", files / "chain", "--host", HOST, "--trust-store", files / "roots.pem")
    assert codes(finding) == []
    assert finding["endpoints"][0]["chain"] == [leaf.sha256, lower.sha256, upper.sha256]


def test_what_was_passed_over_is_logged(files: Path) -> None:
    said: list[str] = []
    (files / "chain").write_text("\ufeff" + issuing().key_pem + "".join(pem(one).decode() for one in chain()))
    judged("--chain", files / "chain", "--trust-store", files / "roots.pem", log=said.append)
    assert len(said) == 1 and said[0].startswith(f"{files / 'chain'}: passed over a byte order mark")
    assert said[0].endswith("; 1 private key")


def test_faults_of_a_file_and_the_place_of_its_leaf_are_recorded(files: Path) -> None:
    """So that the finding can be judged again."""
    (files / "chain").write_bytes(pem(CA) + pem(LEAF).rstrip() + pem(UPPER))
    finding = judged("--chain", files / "chain", "--host", HOST, "--trust-store", files / "roots.pem")
    assert codes(finding) == ["error chain-misordered", "warning chain-has-extras", "error malformed-certificate"]
    observed = finding["endpoints"][0]["observed"]["probe"]
    assert observed["flight"]["leaf_position"] == 1
    assert observed["detail"].startswith("line ")
