"""The options of a run are those of judging it again, unless others are given; files that are gone are done without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from scanner.cli.options import JUDGING_OPTIONS
from scanner.codec.decode import RecordedError
from scanner.model.config import ScanConfig
from scanner.rejudge.judging_options import JudgingOptions
from scanner.run.inputs import JUDGED_BY_CONFIG, JUDGED_BY_INPUTS, RunInputs, judged_with


def recorded(stores: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    endpoints: list[dict[str, Any]] = [{"trust": {}}, {"trust": {name: {} for name in stores}}]
    return {"judged_with": options, "endpoints": endpoints} if options else {"endpoints": endpoints}


def setup_of(finding: dict[str, Any], given: dict[str, Any] | None = None, beside: tuple[str, ...] = ()) -> Any:
    logged: list[str] = []
    options = JudgingOptions(given or {}, beside=beside, log=logged.append)
    return options.setup(options.key(finding)), logged


def test_every_option_of_the_judgement_is_recorded() -> None:
    """An option that is added to the command line, and not here, would change answers unseen."""

    @click.command()
    def command() -> None:
        """Nothing."""

    for option in JUDGING_OPTIONS:
        option(command)
    names = {parameter.name for parameter in command.params}
    assert names == (JUDGED_BY_CONFIG.keys() | JUDGED_BY_INPUTS.keys() | {"trust_store"}) - {"lang"}


def test_default_options_are_not_written() -> None:
    assert judged_with(ScanConfig(), RunInputs()) == {}
    assert judged_with(ScanConfig(), RunInputs(private_cas=[])) == {}


def test_recorded_options_are_read_back(tmp_path: Path) -> None:
    for name in ("r.pem", "l.json", "c.pem"):
        (tmp_path / name).touch()
    files: dict[str, Any] = {"public_roots": str(tmp_path / "r.pem"), "ct_logs": str(tmp_path / "l.json")}
    config = ScanConfig(at=5.0, expiry_warning_days=14.0, revocation="off", language="zh")
    inputs = RunInputs(private_cas=[str(tmp_path / "c.pem")], **files)
    setup, logged = setup_of(recorded(**judged_with(config, inputs)))
    assert setup.config == config
    assert {name: getattr(setup.inputs, name) for name in files} == files
    assert list(setup.inputs.private_cas) == inputs.private_cas and logged == []


def test_trust_stores_are_those_named_in_the_finding(tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.touch()
    setup, logged = setup_of(recorded((str(roots), "mozilla")))
    assert setup.inputs.trust_stores == (str(roots), "mozilla")
    assert logged == [f"trusting what the run trusted: {roots}"]
    assert setup_of(recorded(("mozilla",)))[0].inputs.trust_stores == ("mozilla",)
    assert setup_of(recorded())[0].inputs.trust_stores == ("mozilla",)


def test_a_file_beside_the_findings_is_found(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").touch()
    setup, _ = setup_of(recorded(("elsewhere/roots.pem",)), beside=(str(tmp_path),))
    assert setup.inputs.trust_stores == (str(tmp_path / "roots.pem"),)


def test_missing_files_are_left_out_and_logged_once(tmp_path: Path) -> None:
    logged: list[str] = []
    options = JudgingOptions({}, log=logged.append)
    finding = recorded((str(tmp_path / "gone.pem"), "a\0b"), ct_logs=str(tmp_path / "gone.json"))
    setup = options.setup(options.key(finding))
    assert options.setup(options.key(finding)).inputs.trust_stores == setup.inputs.trust_stores
    assert judged_with(setup.config, setup.inputs) == {} and setup.inputs.trust_stores == ("mozilla",)
    assert len(logged) == 3 and "mozilla in its place" in logged[1] and "--ct-logs" in logged[0]


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    setup, logged = setup_of(recorded((str(tmp_path), "/dev/zero")))
    assert setup.inputs.trust_stores == ("mozilla",) and len(logged) == 2


def test_given_options_override_recorded_ones(tmp_path: Path) -> None:
    finding = recorded((str(tmp_path / "gone.pem"),), at=5, revocation="off")
    setup, logged = setup_of(finding, {"trust_store": ("system",), "at": None})
    assert (setup.inputs.trust_stores, setup.config.at, setup.config.revocation) == (("system",), None, "off")
    assert logged == [] and setup.recorded == {"revocation"}


def test_an_unusable_trust_store_is_replaced_by_the_default() -> None:
    logged: list[str] = []
    options = JudgingOptions({"public_roots": "p"}, log=logged.append)
    setup = options.setup(options.key(recorded(("system",), public_roots="x")))
    without = options.without_recorded_files(setup, "trust store system: none")
    assert (without.inputs.public_roots, without.inputs.trust_stores) == ("p", ("mozilla",))
    assert logged == ["trust store system: none; judged without what the run named: --trust-store"]


@pytest.mark.parametrize(
    "finding",
    [
        {},
        {"endpoints": None},
        {"endpoints": [1]},
        {"endpoints": [{"trust": []}]},
        recorded(at="noon"),
        recorded(revocation="maybe"),
        recorded(private_ca="x"),
        recorded(public_roots=["x"]),
        {"judged_with": [], "endpoints": []},
    ],
)
def test_options_of_a_wrong_type_are_an_error(finding: dict[str, Any]) -> None:
    with pytest.raises(RecordedError):
        JudgingOptions({}, log=print).key(finding)


def test_unknown_options_are_ignored() -> None:
    assert JudgingOptions({}, log=print).key(recorded(mood="grim")) == ()
