"""``tlsweep scan`` from outside: files, statuses, mistakes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from scanner.demo.fleet import Fleet
from tests.cli.conftest import Call, Outcome, command, environment, refused, run_process

SAFE = ("--resolver", "127.0.0.1:9")  # for rows that are refused before any of them is looked at


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.csv"
    path.write_text("host,port\n127.0.0.1,9\n")
    return path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "findings.ndjson"


def findings(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    return [orjson.loads(line) for line in data.splitlines()]


def rows(path: Path) -> list[int]:
    return sorted(finding["target"]["row"] for finding in findings(path))


# --- a run ---------------------------------------------------------------------------------------


def test_one_finding_for_every_row(fleet: Fleet, options: list[str], output: Path, call: Call) -> None:
    shown = call("scan", fleet.inventory, "-o", output, *options)

    assert (shown.status, shown.out) == (0, "")
    found = {finding["target"]["row"]: finding for finding in findings(output)}
    assert sorted(found) == list(range(1, len(fleet.rows) + 1))
    for row, expected in enumerate(fleet.rows, 1):
        assert (found[row]["outcome"], found[row]["cause"]) == (expected.case.outcome, expected.case.cause)
        assert found[row]["target"]["tags"]["owner"] == expected.case.owner
    assert f"{len(fleet.rows)} findings" in shown.err
    assert "expired-or-self-signed" in shown.err


def test_standard_output_holds_findings_and_nothing_else(fleet: Fleet, options: list[str], call: Call) -> None:
    shown = call("scan", fleet.inventory, "-o", "-", *options)

    assert [orjson.loads(line)["schema"] for line in shown.out.splitlines()] == ["tlsweep/1"] * len(fleet.rows)
    assert "expired-or-self-signed" in shown.err


def test_no_progress_prints_nothing(fleet: Fleet, options: list[str], output: Path, call: Call) -> None:
    assert call("scan", fleet.inventory, "-o", output, "--no-progress", *options) == Outcome(0, "", "")


def test_the_inventory_is_read_from_standard_input(fleet: Fleet, options: list[str]) -> None:
    done = run_process("scan", "-", *options, stdin=fleet.inventory.read_bytes())

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(fleet.rows)
    assert b"\r" not in done.stderr  # no progress where nobody looks


def test_several_processes_write_one_output(fleet: Fleet, options: list[str], output: Path, tmp_path: Path) -> None:
    certificates = tmp_path / "certificates.ndjson"
    done = run_process(
        "scan", fleet.inventory, "-o", output, "--certificates", certificates, "--workers", 2, "--fail-on", "dns", *options
    )  # fmt: skip

    assert done.returncode == 1
    assert rows(output) == list(range(1, len(fleet.rows) + 1))
    assert f"{len(fleet.rows)} findings".encode() in done.stderr
    digests = [record["sha256"] for record in findings(certificates)]
    assert len(digests) == len(set(digests)) > 5
    sent = {digest for finding in findings(output) for each in finding["endpoints"] for digest in each["chain"]}
    assert set(digests) == sent


@pytest.mark.parametrize("workers", ["auto", "1"])
def test_workers_auto_and_1(workers: str, inventory: Path, output: Path, call: Call) -> None:
    assert call("scan", inventory, "-o", output, "--workers", workers).status == 0
    assert rows(output) == [1]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_findings_can_be_read_and_resumed(suffix: str, inventory: Path, tmp_path: Path, call: Call) -> None:
    output = tmp_path / f"findings.ndjson{suffix}"
    assert call("scan", inventory, "-o", output).status == 0
    assert call("scan", inventory, "-o", output, "--resume").status == 0

    assert orjson.loads(call("stats", output, "--format", "json").out)["findings"] == 1


# --- exit statuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("network-blocked", 1),
        ("connection-refused", 1),
        ("any", 1),
        ("dns, network-blocked", 1),
        ("dns", 0),
        ("expires-soon,expired-or-self-signed", 0),
    ],
)
def test_fail_on_sets_the_exit_status_also_when_resumed(
    words: str, status: int, inventory: Path, output: Path, call: Call
) -> None:
    assert call("scan", inventory, "-o", output, "--fail-on", words).status == status
    # what an earlier run found counts as well
    assert call("scan", inventory, "-o", output, "--fail-on", words, "--resume").status == status


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("words", "status"), [("any", 1), ("dns,any", 1), ("dns", 0), ("warning,invalid", 0)])
def test_a_target_that_was_not_judged_matches_any(
    words: str, status: int, workers: int, tmp_path: Path, output: Path, call: Call
) -> None:
    """All addresses of the name are excluded, so nothing is contacted."""
    (tmp_path / "names.txt").write_text("localhost:9\n")
    (tmp_path / "exclude.txt").write_text("127.0.0.0/8\n::1\n")
    line = ["scan", tmp_path / "names.txt", "--exclude", tmp_path / "exclude.txt", "--workers", workers, "-o", output]
    assert call(*line, "--fail-on", words).status == status
    (finding,) = [orjson.loads(each) for each in output.read_bytes().splitlines()]
    assert (finding["outcome"], finding["diagnoses"]) == ("warn", []) and "not judged" in finding["error"]
    assert call(*line, "--fail-on", words, "--resume").status == status
    assert call("diagnose", output, "-o", tmp_path / "again.ndjson", "--fail-on", words).status == status


@pytest.mark.parametrize("workers", [1, 2])
def test_invalid_rows_match_invalid_alone(workers: int, tmp_path: Path, output: Path, call: Call) -> None:
    (tmp_path / "names.txt").write_text("not a host\n")
    line = ["scan", tmp_path / "names.txt", "--workers", workers, "-o", output]
    assert call(*line, "--fail-on", "any,warning").status == 0
    assert call(*line, "--fail-on", "invalid", "--force").status == 1
    assert call(*line, "--fail-on", "invalid", "--resume").status == 1


def test_an_unknown_word_of_fail_on_is_refused(inventory: Path, output: Path, call: Call) -> None:
    assert "expird" in refused(call("scan", inventory, "-o", output, "--fail-on", "dns,expird"))
    assert not output.exists()


# --- what is refused, before anything is touched -----------------------------------------------------

WRONG: Sequence[Sequence[str]] = (
    ("--resolver", "nowhere.example"),
    ("--resolver", "127.0.0.1:99999"),
    ("--trust-store", "{tmp}/none.pem"),
    ("--trust-store", "{tmp}/hosts.csv"),
    ("--public-roots", "{tmp}/none.pem"),
    ("--ct-logs", "{tmp}/none.json"),
    ("--ct-logs", "{tmp}/hosts.csv"),
    ("--protocol", "gopher"),
    ("--port", "0"),
    ("--exclude", "{tmp}/none.txt"),
    ("--exclude", "{tmp}/bad-exclusions.txt"),
    ("--at", "yesterday"),
    ("--workers", "0"),
    ("--workers", "many"),
    ("--workers", "1000000"),
    ("--fail-on", "nothing-known"),
    ("--config", "{tmp}/none.toml"),
    ("--config", "{tmp}/bad.toml"),
    ("--expiry-warning", "soon"),
    ("--revocation", "sometimes"),
    ("--resume", "--force"),
    ("--certificates", "{tmp}/none/certificates.ndjson"),
    ("--certificates", "{tmp}"),
    ("--certificates", "{tmp}/old.ndjson"),
    ("--certificates", "{tmp}/findings.ndjson"),
    ("--certificates", "{tmp}/./findings.ndjson"),
)


@pytest.mark.parametrize("wrong", WRONG, ids=" ".join)
@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_wrong_option_touches_no_file(
    wrong: Sequence[str], existing: bool, inventory: Path, output: Path, tmp_path: Path, call: Call
) -> None:
    (tmp_path / "bad.toml").write_text("concurrency = [")
    (tmp_path / "bad-exclusions.txt").write_text("not a name at all\n")
    (tmp_path / "old.ndjson").write_text("precious\n")
    if existing:
        output.write_text("precious\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    refused(call("scan", inventory, "-o", output, *[word.format(tmp=tmp_path) for word in wrong]))
    if existing and "old.ndjson" not in wrong[1]:
        refused(call("scan", inventory, "-o", output, "--force", *[word.format(tmp=tmp_path) for word in wrong]))

    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def bad_inventories(tmp_path: Path) -> list[Path]:
    contents = {
        "empty": b"", "comments": b"# nothing\n\n", "header-only": b"host,port\n", "no-host": b"colour,port\nred,443\n",
        "utf-16": "host\n".encode("utf-16"), "torn.gz": b"\x1f\x8b\x08\x00",
    }  # fmt: skip
    made = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        made.append(tmp_path / name)
    return [*made, tmp_path / "none.csv", tmp_path]


def test_a_bad_inventory_touches_no_file(tmp_path: Path, output: Path, call: Call) -> None:
    for path in bad_inventories(tmp_path):
        assert path.name in refused(call("scan", path, "-o", output, *SAFE))
        assert not output.exists()
        output.write_text("precious\n")
        refused(call("scan", path, "-o", output, "--force", *SAFE))
        assert output.read_text() == "precious\n"
        output.unlink()


def test_an_existing_output_is_not_overwritten(inventory: Path, output: Path, call: Call) -> None:
    output.write_text("precious\n")

    assert "--force" in refused(call("scan", inventory, "-o", output))
    assert output.read_text() == "precious\n"
    refused(call("scan", inventory, "-o", output, "--resume"))
    assert output.read_text() == "precious\n"
    assert call("scan", inventory, "-o", output, "--force").status == 0
    assert rows(output) == [1]


def test_no_input_is_overwritten(inventory: Path, tmp_path: Path, call: Call) -> None:
    before = inventory.read_bytes()
    os.link(inventory, tmp_path / "link.csv")
    excluded = tmp_path / "excluded.txt"
    excluded.write_text("192.0.2.1\n")

    for words in (
        ["-o", inventory],
        ["-o", tmp_path / "link.csv"],
        ["-o", "-", "--certificates", inventory],
        ["-o", excluded, "--exclude", excluded],
    ):
        for how in ("--force", "--resume"):
            refused(call("scan", inventory, *words, how))
    assert inventory.read_bytes() == before
    assert excluded.read_text() == "192.0.2.1\n"


@pytest.mark.parametrize("place", ["none/findings.ndjson", ".", "bad\x00name"])
def test_an_output_that_cannot_be_written_is_refused(place: str, inventory: Path, tmp_path: Path, call: Call) -> None:
    refused(call("scan", inventory, "-o", f"{tmp_path}/{place}"))


def test_findings_and_certificates_cannot_share_standard_output(inventory: Path, call: Call) -> None:
    refused(call("scan", inventory, "--certificates", "-"))
    refused(call("scan", inventory, "-o", "-", "--certificates", "-"))
    refused(call("scan", inventory, "--resume"))


def test_a_full_disk_is_one_line(inventory: Path) -> None:
    done = run_process("scan", inventory, "-o", "/dev/full", "--no-progress")

    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"/dev/full" in done.stderr


def test_a_full_standard_output_is_one_line(inventory: Path, tmp_path: Path, output: Path) -> None:
    run_process("scan", inventory, "-o", output)
    for words in (["scan", inventory, "--no-progress"], ["stats", output], ["schema", "finding"], ["scan", "--help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                command(*words), stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=50, check=False
            )
        assert done.returncode == 2, (words, done.stderr)
        assert done.stderr.count(b"\n") == 1, done.stderr


def test_a_closed_pipe_ends_the_scan_quietly(tmp_path: Path) -> None:
    many = tmp_path / "many.txt"
    many.write_text("".join(f"127.{n // 250}.{n % 250}.1:9\n" for n in range(3000)))
    line = f"{' '.join(command('scan', many))} | head -n 1"

    done = subprocess.run(["sh", "-c", line], capture_output=True, env=environment(), timeout=50, check=False)

    assert len(done.stdout.splitlines()) == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


# --- choices -----------------------------------------------------------------------------------------


def test_excluded_targets_are_not_contacted(tmp_path: Path, output: Path, call: Call) -> None:
    (tmp_path / "hosts.txt").write_text("192.0.2.1:9\nwww.excluded.example\n127.0.0.1:9\n")
    (tmp_path / "never.txt").write_text("192.0.2.0/24\n.excluded.example\n")

    shown = call("scan", tmp_path / "hosts.txt", "-o", output, "--exclude", tmp_path / "never.txt", *SAFE)

    assert shown.status == 0
    found = sorted(findings(output), key=lambda finding: finding["target"]["row"])
    assert [finding["outcome"] for finding in found] == ["invalid", "invalid", "fail"]
    assert "192.0.2.0/24" in found[0]["error"]


@pytest.mark.parametrize(
    "moment", ["2000-01-01", "2000-01-01T00:00:00Z", "2000-01-01T01:00:00+01:00", "946684800", "9.466848e8"]
)
def test_at_sets_the_time_of_judgement(
    moment: str, fleet: Fleet, options: list[str], tmp_path: Path, output: Path, call: Call
) -> None:
    row = next(row for row in fleet.rows if row.case.name == "healthy")
    (tmp_path / "one.txt").write_text(f"{row.host}:{row.port}\n")

    call("scan", tmp_path / "one.txt", "-o", output, "--at", moment, *options)

    (finding,) = findings(output)
    assert "certificate-not-yet-valid" in {each["code"] for each in finding["diagnoses"]}


def test_hostile_texts_are_harmless_for_people_and_exact_in_json(tmp_path: Path, output: Path, call: Call) -> None:
    escape = "\x1b]0;owned\x07\x1b[31mred\u202e"
    (tmp_path / "hosts.ndjson").write_bytes(
        orjson.dumps({"host": "127.0.0.1", "port": 9, "owner": escape}) + b"\n"
        + orjson.dumps({"host": f"bad{escape}.example", "owner": escape}) + b"\n"
    )  # fmt: skip

    shown = call("scan", tmp_path / "hosts.ndjson", "-o", output)
    people = [shown.err, call("stats", output, "--by", "owner").out, call("check", f"bad{escape}.example").out]
    people.append(call("stats", output, "--by", "owner", "--format", "markdown").out)
    people.append(refused(call("stats", output, "--by", escape)))

    for text in people:
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\u202e" not in text
    found = findings(output)
    assert [finding["target"]["tags"]["owner"] for finding in found] == [escape, escape]


def test_how_each_column_is_understood_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "cmdb.csv").write_text("FQDN;IP;Port No.;Owner\na.example;127.0.0.1;9;web\nn/a;;9;db\n")
    done = run_process("scan", tmp_path / "cmdb.csv", "--no-progress", *SAFE)
    (line,) = done.stderr.decode().splitlines()
    assert '"FQDN" is the host, "IP" is the address, "Port No." is the port; carried along as tags: "Owner"' in line
    assert all("run_warnings" not in orjson.loads(finding) for finding in done.stdout.splitlines())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_not_used_is_a_warning_and_in_every_finding(tmp_path: Path, workers: int) -> None:
    (tmp_path / "cmdb.csv").write_text("host,ip,port,ssl_port\na.example,127.0.0.1,22,9\n*,,22,9\n")
    done = run_process("scan", tmp_path / "cmdb.csv", "--no-progress", "--workers", workers, *SAFE)
    assert b'warning: the column "port" looks like a port and is not used; "ssl_port" is' in done.stderr
    found = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert sorted((row["outcome"], row["target"]["port"]) for row in found) == [("fail", 9), ("invalid", 9)]
    assert all(row["run_warnings"][0].startswith('the column "port" looks like') for row in found)


@pytest.mark.parametrize("columns", [["port=listener"], ["port=SSL", "port=Port"], ["owner=x"], ["port"]])
def test_a_column_that_is_not_there_is_refused_before_anything_is_contacted(
    columns: list[str], tmp_path: Path, call: Call
) -> None:
    (tmp_path / "cmdb.csv").write_text("host,ip,Port,SSL\na.example,127.0.0.1,22,9\n")
    words = [word for column in columns for word in ("--column", column)]
    refused(call("scan", tmp_path / "cmdb.csv", "-o", tmp_path / "findings", *words))
    assert not (tmp_path / "findings").exists()
