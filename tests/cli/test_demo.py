"""``tlsweep demo``: one run of all of it, and the mistakes one can make."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from scanner.demo.case_list import CASES
from scanner.model.findings import CAUSES
from tests.cli.conftest import Call, command, environment, refused
from tests.cli.test_scan import findings


def test_the_demo_shows_its_fleet_and_serves_it(tmp_path: Path, call: Call) -> None:
    directory = tmp_path / "fleet"
    with subprocess.Popen(
        command("demo", directory, "--serve"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        shown = []
        assert process.stdout is not None
        for line in process.stdout:
            shown.append(line)
            if "With another client" in line:
                break
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=20)
    out = "".join(shown) + rest

    assert process.returncode == 0
    assert "Traceback" not in err
    found = findings(directory / "findings.ndjson")
    assert len(found) >= len(CASES) * 0.8  # what this system cannot serve is left out, and said
    assert {path.name for path in directory.iterdir()} == {
        "inventory.csv", "roots.pem", "ctlogs.json", "findings.ndjson", "certificates.ndjson", "report.html",
    }  # fmt: skip
    for cause in {finding["cause"] for finding in found} & set(CAUSES):
        assert f"\n{cause}\n" in out
    assert "tlsweep check --resolver 127.0.0.1:" in out
    # judged again, without the servers: the same to the byte, but that what one issuer does is told by all its names then
    again = call("diagnose", directory / "findings.ndjson", "-o", tmp_path / "again.ndjson")
    assert again.status == 0 and f" {len(found)} the same, 0 changed" in again.err
    lines = [path.read_bytes().splitlines() for path in (directory / "findings.ndjson", tmp_path / "again.ndjson")]
    differing = {json.loads(one)["cause"] for one, other in zip(*lines, strict=True) if one != other}
    assert differing <= {"interception", "clock-skew"}
    # the summary that stands there is that of what names the finding
    assert "addresses of one-expired.demo.test that were tried do not agree" not in out


def test_a_directory_with_other_files_is_refused(tmp_path: Path, call: Call) -> None:
    (tmp_path / "thesis.tex").write_text("precious")

    assert "thesis.tex" in refused(call("demo", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path: Path, call: Call) -> None:
    (tmp_path / "file").write_text("precious")

    refused(call("demo", tmp_path / "file"))
    refused(call("demo", tmp_path / "file" / "below"))
    refused(call("demo", tmp_path, "more"))
