"""The script of contrib/nightly, run for several nights against a few servers, and the files around it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from scanner.demo.fleet import Fleet
from scanner.output import Unreadable, read_findings
from scanner.report.svg import FORBIDDEN
from tests.cli.test_diff import receiver
from tests.helpers import sandbox
from tests.helpers.fleet import fleet_of, named

ROOT: Final = Path(__file__).resolve().parent.parent.parent
CONTRIB: Final = ROOT / "contrib"
SCRIPT: Final = CONTRIB / "nightly" / "tlsweep-nightly"
UNITS: Final = sorted(CONTRIB.glob("nightly/*.service")) + sorted(CONTRIB.glob("nightly/*.timer"))
SERVICES: Final = [unit for unit in UNITS if unit.suffix == ".service"]
# Enough for a busy machine, and less than the timeout of a test.
PATIENCE: Final = 50


def tool(name: str) -> str:
    """Return the path of a program, or skip the test if it is not installed."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@dataclass
class Nights:
    """A machine that scans each night."""

    home: Path
    rows: list[str]
    more: dict[str, str] = field(default_factory=dict)
    ended: int = 0

    @property
    def state(self) -> Path:
        return self.home / "state"

    def words(self) -> list[str]:
        """Write inventory and settings, and return the command."""
        (self.home / "inventory.csv").write_text("host,port,protocol,owner,address\n" + "\n".join(self.rows) + "\n")
        settings = {
            "INVENTORY": self.home / "inventory.csv",
            "STATE": self.state,
            "TLSWEEP": self.home / "tlsweep",
            "SCAN_CONFIG": self.home / "scan.toml",
            "PROMETHEUS": self.home / "metrics",
            "STATS_BY": '"owner"',
            "KEEP": 2,
            **self.more,
        }
        (self.home / "nightly.conf").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return ["/bin/sh", str(SCRIPT), str(self.home / "nightly.conf")]

    def night(self, expected: int) -> subprocess.CompletedProcess[str]:
        """Run one night and check its exit status. Nights are named by the second, and no two may begin in the same one."""
        if int(time.time()) == self.ended:
            time.sleep(1 - time.time() % 1)
        done = subprocess.run(self.words(), capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.ended = int(time.time())
        assert done.returncode == expected, done.stderr
        assert f"tlsweep_nightly_exit_status {expected}\n" in self.metrics("tlsweep_nightly")
        assert not list((self.home / "metrics").glob(".*")), "something half-written"
        return done

    def metrics(self, name: str) -> str:
        return (self.home / "metrics" / f"{name}.prom").read_text()

    def kept(self) -> list[Path]:
        return sorted((self.state / "nights").iterdir())

    def last_good(self) -> str:
        return os.readlink(self.state / "last-good")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of(tmp_path_factory.mktemp("fleet"), named("healthy", "expired")) as running:
        yield running


@pytest.fixture
def nights(tmp_path: Path, fleet: Fleet) -> Nights:
    """Run a healthy and an expired server, with the script's settings in a temporary directory."""
    for program in ("flock", "find", "stat", "readlink"):
        tool(program)
    (tmp_path / "metrics").mkdir()
    command = tmp_path / "tlsweep"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m scanner "$@"\n')
    command.chmod(0o755)
    (tmp_path / "scan.toml").write_text(
        f'resolver = "{fleet.resolver}"\ntrust-store = "{fleet.roots}"\nconnect-timeout = 1.0\ntimeout = 3.0\nretries = 0\n'
    )
    _, *rows = fleet.inventory.read_text().splitlines()
    return Nights(tmp_path, [",".join(row.split(",")[:4]) + "," for row in rows])


def listening() -> socket.socket:
    """Accept connections and send nothing."""
    return socket.create_server(("127.0.0.1", 0))


def row_of(server: socket.socket) -> str:
    return f"slow.example,{server.getsockname()[1]},tls,web,127.0.0.1"


def test_each_night_is_compared_with_the_night_before(nights: Nights) -> None:
    """The first night; nothing new; a new failure sent to a webhook that is busy twice; rotation."""
    assert "no earlier night" in nights.night(0).stderr
    assert 'tlsweep_findings{outcome="fail"} 1\n' in nights.metrics("tlsweep")
    assert 'column="owner"' in nights.metrics("tlsweep")
    first = nights.last_good()

    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = row_of(closed)
    nights.rows.append(gone)
    with receiver(503, 503, 200) as (url, got):
        nights.more["TLSWEEP_WEBHOOK"] = url
        done = nights.night(1)
    assert "slow.example" in done.stdout
    assert "slow.example" in (nights.state / "changes.txt").read_text()
    assert "SECRET" not in done.stdout + done.stderr
    assert [message["matched"] for message in got] == [["new"]] * 3
    assert 'tlsweep_diff_targets{change="new"} 1\n' in nights.metrics("tlsweep")
    assert nights.last_good() != first

    nights.night(0)  # an old failure is not new, so the absent webhook does not matter
    assert len(nights.kept()) == 2
    assert Path(first) not in nights.kept()
    assert not (nights.state / "tmp").exists()


def test_an_undelivered_message_is_sent_the_next_night(nights: Nights) -> None:
    nights.night(0)
    first = nights.last_good()
    nights.rows.append("127.0.0.1,99999,tls,web,")
    nights.more["ALERT_ON"] = "appeared"
    with receiver(403) as (url, _):
        nights.more["TLSWEEP_WEBHOOK"] = url
        assert "did not take the message" in nights.night(2).stderr
    assert nights.last_good() == first
    with receiver(200) as (url, got):
        nights.more["TLSWEEP_WEBHOOK"] = url
        nights.night(1)
    assert len(got) == 1
    assert nights.last_good() != first


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"INVENTORY": "/nowhere/inventory.csv"}, "cannot read the inventory"),
        ({"SCAN_CONFIG": "/nowhere/scan.toml"}, "cannot read /nowhere"),
        ({"TLSWEEP_WEBHOOK": "nonsense"}, "no earlier night"),
    ],
)
def test_failures_are_reported(nights: Nights, more: dict[str, str], reason: str) -> None:
    nights.more.update(more)
    expected = 0 if "TLSWEEP_WEBHOOK" in more else 2
    assert reason in nights.night(expected).stderr
    assert "last_good_timestamp_seconds 0\n" in nights.metrics("tlsweep_nightly") or expected == 0


@pytest.mark.parametrize("more", [{"TLSWEEP": "/nowhere/tlsweep"}, {"KEEP": "many"}, {"KEEP": "0"}])
def test_unusable_settings_are_refused(nights: Nights, more: dict[str, str]) -> None:
    nights.more.update(more)
    done = subprocess.run(nights.words(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_an_interrupted_night_is_resumed(nights: Nights) -> None:
    with listening() as server:
        healthy = nights.rows
        nights.rows = [*healthy, *[row_of(server)] * 2]
        running = subprocess.Popen(nights.words(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        unfinished = nights.state / "unfinished.ndjson.zst"
        server.settimeout(PATIENCE)
        silent, _ = server.accept()  # the scan is running, and waits
        with open(nights.state / "lock", "rb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        other = subprocess.run(nights.words(), capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (other.returncode, "still at work" in other.stderr) == (4, True)
        while not (unfinished.exists() and unfinished.stat().st_size):  # the healthy one's finding, written by and by
            time.sleep(0.01)
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=PATIENCE)
        silent.close()
    assert running.returncode == 3, told
    assert unfinished.exists()
    assert not nights.kept()

    assert "going on" in nights.night(0).stderr
    assert not unfinished.exists()
    (night,) = nights.kept()
    rows = sorted(item["target"]["row"] for item in read_findings([str(night)]) if not isinstance(item, Unreadable))
    assert rows == list(range(1, len(nights.rows) + 1))


def test_an_unfinished_night_of_another_inventory_starts_again(nights: Nights) -> None:
    nights.night(0)
    (night,) = nights.kept()
    shutil.move(night, nights.state / "unfinished.ndjson.zst")
    nights.rows.reverse()
    assert "going on" in nights.night(0).stderr
    assert len(nights.kept()) == 1


def test_the_page_is_written_apart_from_the_night(nights: Nights) -> None:
    """As the systemd units do it: the night with --no-report, then --report, which has no metrics of its own."""
    page = nights.home / "page.html"
    nights.more["REPORT"] = str(page)
    shell, script, settings = nights.words()
    apart = [shell, script, "--report", settings]
    assert "no night yet" in done_of(apart, 2).stderr
    for expected in ("no earlier night", ""):
        done = done_of([shell, script, "--no-report", settings], 0)
        assert expected in done.stderr and not page.exists()
        before = nights.metrics("tlsweep_nightly")
        assert done_of(apart, 0).stderr.count("page.html") == 1
        text = page.read_text("utf-8")
        assert ("Changes" in text) == (expected == "")
        assert nights.metrics("tlsweep_nightly") == before
        assert not (nights.state / "tmp").exists()
        page.unlink()
        time.sleep(1)  # nights are named by the second
    nights.night(0)
    assert page.exists()
    assert done_of([shell, script, "--pages", settings], 2).stderr == "tlsweep-nightly: there is no option --pages\n"


def done_of(words: list[str], expected: int, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False, **more)
    assert done.returncode == expected, done.stderr
    return done


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="tlsweep-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("kind", ["hidden interpreter", "absent interpreter", "unreadable package", "no shebang"])
def test_an_unusable_interpreter_is_reported(public: Path, kind: str) -> None:
    """Environments are often made by root with an interpreter below its home, which no service user may enter."""
    hidden = public / "hidden" / "python3"
    hidden.parent.mkdir()
    hidden.write_text("#!/bin/sh\n")
    hidden.chmod(0o755)
    link = public / "python"
    link.symlink_to(hidden if kind == "hidden interpreter" else public / "nowhere" / "python3")
    command = public / "tlsweep"
    text = f"#!{link}\n"
    if kind == "unreadable package":
        text = "#!/bin/sh\necho Traceback >&2\necho 'ModuleNotFoundError: No module named scanner' >&2\nexit 1\n"
    elif kind == "no shebang":
        text = "\x7fELF\n"
    command.write_text(text)
    command.chmod(0o755)
    (public / "state").mkdir()
    (public / "state").chmod(0o777)
    settings = public / "nightly.conf"
    settings.write_text(f"TLSWEEP={command}\nSTATE={public}/state\n")
    script = public / "tlsweep-nightly"
    shutil.copy(SCRIPT, script)
    hidden.parent.chmod(0o700 if os.getuid() == 0 else 0)
    more: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": ()} if os.getuid() == 0 else {}
    try:
        done = done_of(["/bin/sh", str(script), str(settings)], 2, cwd="/", **more)
    finally:
        hidden.parent.chmod(0o700)
    assert "interrupted" not in done.stderr
    if kind.endswith("interpreter"):
        first, second = done.stderr.splitlines()
        assert "the interpreter of" in first and "cannot be read by this user" in first
        assert first.endswith(str(link.readlink()))
        assert "/usr/bin/python3" in second
    else:
        assert done.stderr.count("\n") == 1 and "cannot be started by this user" in done.stderr
        assert ("No module named scanner" in done.stderr) == (kind == "unreadable package")


# --- the files around it -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [SCRIPT, CONTRIB / "nightly" / "nightly.conf"], ids=lambda path: path.name)
def test_shellcheck_accepts_the_script(path: Path) -> None:
    run = [tool("shellcheck"), "--shell=sh", "--exclude=SC2034", str(path)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout == ""
    assert subprocess.run(["/bin/sh", "-n", str(path)], timeout=PATIENCE, check=False).returncode == 0


def test_settings_shown_are_those_of_the_script() -> None:
    shown = re.findall(r"(?m)^#([A-Z_]+)=", (CONTRIB / "nightly" / "nightly.conf").read_text())
    known = re.findall(r"(?m)^([A-Z_]+)=.*# ", SCRIPT.read_text())
    assert {*known, "INVENTORY", "TLSWEEP_WEBHOOK"} - {"TMPDIR", "XDG_CACHE_HOME"} == set(shown)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_units(unit: Path, tmp_path: Path) -> None:
    """Check with systemd-analyze; the program that the service starts is not installed here."""
    for each in UNITS:
        text = each.read_text().replace("/usr/local/bin/tlsweep-nightly", "/bin/true")
        (tmp_path / each.name).write_text(text)
    run = [tool("systemd-analyze"), "verify", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE, check=False)
    about = [line for line in done.stderr.splitlines() if unit.stem in line]
    assert about == [], done.stderr


@pytest.mark.parametrize("service", SERVICES, ids=lambda unit: unit.stem)
def test_the_services_are_sandboxed(service: Path) -> None:
    run = [tool("systemd-analyze"), "security", "--offline=true", "--threshold=20", str(service)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if "nrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is too old for --offline")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.fixture
def confined(nights: Nights) -> Nights:
    """Nights whose script runs with the system call filters of the unit that is given to ``under``."""
    if (reason := sandbox.missing()) is not None:
        pytest.skip(reason)
    nights.more["REPORT"] = str(nights.home / "page.html")
    nights.more["LOAD"] = f"duckdb:{nights.home}/estate.duckdb"
    return nights


def under(unit: Path, nights: Nights, *options: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
    shell, script, settings = nights.words()
    words = [sys.executable, "-m", "tests.helpers.sandbox", str(unit), shell, script, *options, settings]
    return done_of(words, expected, cwd=ROOT)


def test_a_night_works_in_the_sandbox_of_its_unit(confined: Nights) -> None:
    """Scan, comparison, metrics and warehouse, in two processes, without memory that is written and then executed."""
    (unit,) = (unit for unit in SERVICES if "OnSuccess=" in unit.read_text())
    assert sandbox.settings(unit.read_text(), "MemoryDenyWriteExecute") == ["yes"]
    (confined.home / "scan.toml").write_text((confined.home / "scan.toml").read_text() + 'workers = "2"\n')
    for _ in range(2):
        under(unit, confined, "--no-report")
        time.sleep(1)
    assert 'tlsweep_findings{outcome="fail"} 1\n' in confined.metrics("tlsweep")
    assert (confined.home / "estate.duckdb").stat().st_size


def test_the_report_is_drawn_in_the_sandbox_of_its_unit(confined: Nights) -> None:
    night, page = (next(unit for unit in SERVICES if unit.stem.endswith(end)) for end in ("nightly", "report"))
    confined.night(0)
    assert sandbox.settings(night.read_text(), "OnSuccess") == [page.name]
    for unit in (page, night):
        (confined.home / "page.html").unlink()
        told = under(unit, confined, "--report").stderr
        text = (confined.home / "page.html").read_text("utf-8")
        # where the system would kill the drawing library, the page is there all the same, and says what it lacks
        assert (FORBIDDEN in told) == (unit is night)
        assert ('class="wide"' in text) == (unit is page)


def test_the_crontab_runs_the_script() -> None:
    *_, line = (CONTRIB / "nightly" / "tlsweep-nightly.cron").read_text().splitlines(keepends=True)
    assert re.fullmatch(r"\d+ \d+ \* \* \*  tlsweep  nice .*tlsweep-nightly /etc/tlsweep/nightly.conf\n", line)
    assert "%" not in line
