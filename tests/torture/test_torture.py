"""One short case of each fault; and however the harness ends, no process is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.torture import namespaces
from tests.torture.cases import FAULTS
from tests.torture.scanner_process import missing_readers

ROOT: Final = Path(__file__).resolve().parents[2]
# The seed for which ``cases.FAULTS`` names the case of each fault.
SEED: Final = "1"
# Far more than the cases take on a busy machine
PATIENCE: Final = 290

# The faults that scans withstand; ``make torture`` has all faults.
SHORT_FAULTS: Final = (
    "none",
    "stop",
    "outage-5",
    "outage-60",
    "clock",
    "kill",
    "disk",
    "resolver",
    "servfail",
    "hostile",
)

REASON = namespaces.unavailable() or missing_readers()
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
    pytest.mark.timeout(PATIENCE + 10),
]


def harness(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.torture", "--short", "--seed", SEED, *arguments]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run one case of every fault in parallel over one farm, and return their results."""
    file = tmp_path_factory.mktemp("torture") / "results.json"
    done = subprocess.run(
        harness(*SHORT_FAULTS, "--together", "5", "--json", str(file)),
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert file.exists(), done.stderr
    return {each["fault"]: each for each in json.loads(file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("fault", SHORT_FAULTS)
def test_findings_are_true_and_complete_under(fault: str, results: dict[str, dict[str, Any]]) -> None:
    result = results[fault]
    if any(note.startswith("skipped") for note in result["notes"]):
        pytest.skip(result["notes"][0])
    figures = {name: result[name] for name in ("false", "left", "lost", "doubled", "damaged", "hung")}
    assert figures == dict.fromkeys(figures, 0), result
    assert result["findings"] > 0
    assert result["done"] or not FAULTS[fault].injects, result


def _marked(mark: str) -> set[int]:
    """Return the processes that have ``mark`` in their environment."""
    found = set()
    for directory in Path("/proc").iterdir():
        try:
            if directory.name.isdigit() and mark.encode() in (directory / "environ").read_bytes():
                found.add(int(directory.name))
        except OSError:
            continue
    return found


@pytest.fixture
def mark() -> Iterator[str]:
    """Return a mark for the environment of a harness that identifies its processes; kill those that are left."""
    mark = uuid.uuid4().hex
    yield mark
    for pid in _marked(mark):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_the_harness_is_ended_by(ending: signal.Signals, mark: str) -> None:
    mounts = Path("/proc/self/mounts").read_bytes()
    process = subprocess.Popen(
        harness("stop", "--targets", "100"), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=os.environ | {"TORTURE_MARK": mark}, start_new_session=True,
    )  # fmt: skip
    # itself, unshare, the harness inside, nginx and its worker, SMTP, hostile servers, ends of links, a resolver
    while len(_marked(mark)) < 9 and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None
    if ending is signal.SIGINT:
        os.killpg(process.pid, ending)  # as a terminal does
    else:
        process.send_signal(ending)
    process.wait()
    while _marked(mark):  # the test's timeout is the limit
        time.sleep(0.05)
    assert Path("/proc/self/mounts").read_bytes() == mounts
    assert not any("torture" in line for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines())
