"""Recorded findings judged again are unchanged unless something has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from scanner.codec.certificate_dedup import Fragments
from scanner.model.config import ScanConfig
from scanner.model.evidence import Completion, Evidence, Failure, FetchedIssuer, Stage
from scanner.output import Unreadable, dumps_line
from scanner.rejudge import judging
from scanner.rejudge.certificate_store import CertificateStore
from scanner.rejudge.judging import RecordedRun, Rejudged, Rejudger
from scanner.rejudge.judging_options import JudgingOptions
from scanner.run.inputs import RunInputs, make_judgement, make_verifier
from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import StoreError
from tests.helpers import pki
from tests.helpers.evidence import AT, alerted, answered, at, evidence, failed, issuing, leaf, root, target

OTHER = "other.example"


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """The one root as a file."""
    path = tmp_path / "roots.pem"
    path.write_text(root().pem)
    return path


def run(roots: Path, *seen: Evidence, path: Path | None = None, config: ScanConfig | None = None) -> Path:
    """The findings file of a run that saw this."""
    inputs = RunInputs(trust_stores=(str(roots),))
    verifier = make_verifier(inputs, Intermediates(shipped=False))
    config = config or ScanConfig()
    judgement = make_judgement(config, inputs, verifier, run_id="run-1", fragments=Fragments())
    whole = RecordedRun(judgement, judge_clock=config.at is None)
    for one in seen:
        whole.add(one)
    path = path or roots.with_name("findings.ndjson")
    path.write_bytes(b"".join(dumps_line(whole.finding(one)) for one in seen))
    return path


def again(
    path: Path, given: dict[str, Any] | None = None, *, files: Sequence[str] = (), logged: list[str] | None = None
) -> list[Rejudged | Unreadable]:
    """Everything that comes of judging the file again."""
    told: list[str] = [] if logged is None else logged
    with CertificateStore() as certificates:
        work = Rejudger([str(path)], JudgingOptions(given or {}, log=told.append), certificates, fragments=Fragments())
        work.collect(files)
        work.fold()
        return list(work.findings())


def lines(items: Sequence[Rejudged | Unreadable]) -> bytes:
    found = []
    for item in items:
        assert isinstance(item, Rejudged) and item.now is not None, item
        found.append(dumps_line(item.now))
    return b"".join(found)


def problems(items: Sequence[Rejudged | Unreadable]) -> list[str | None]:
    return [item.problem if isinstance(item, Rejudged) else item.reason for item in items]


def causes(items: Sequence[Rejudged | Unreadable]) -> list[Any]:
    return [item.now["cause"] for item in items if isinstance(item, Rejudged) and item.now is not None]


SEEN = (
    evidence(answered()),
    evidence(answered()),
    evidence(answered((leaf(OTHER), issuing())), of=target(OTHER)),
    evidence(answered((pki.certificate("www.example.org", issuer=issuing(), not_after=AT - pki.DAY), issuing()))),
    evidence(at(alerted(40), everything=answered(version=0x0303, cipher=0x009E, group=None), no_sni=alerted(112))),
    evidence(at(answered((leaf(OTHER), issuing())), default_certificate=answered((leaf(OTHER), issuing()), sni="x.invalid"))),
    evidence(failed(Failure.CONNECT_TIMEOUT, stage=Stage.CONNECT, connect_seconds=4.00149951)),
    evidence(answered(), bug="KeyError"),
    replace(evidence(answered((leaf(),))), issuers=(FetchedIssuer(leaf().sha256, "http://a/", (issuing().der,)),)),
)  # fmt: skip


def test_without_changes_every_byte_is_the_same(roots: Path) -> None:
    path = run(roots, *SEEN, config=ScanConfig(expiry_warning_days=5000.0, revocation="off"))
    logged: list[str] = []
    assert lines(again(path, logged=logged)) == path.read_bytes()
    assert logged == [f"trusting what the run trusted: {roots}"]


def test_judged_at_another_time(roots: Path) -> None:
    path = run(roots, evidence(answered()))
    assert causes(again(path, {"at": AT + 5000 * pki.DAY})) == ["expired-or-self-signed"]


def test_judged_with_another_trust_store(roots: Path, tmp_path: Path) -> None:
    path = run(roots, evidence(answered()))
    other = tmp_path / "other.pem"
    other.write_text(pki.root("Another").pem)
    items = again(path, {"trust_store": (str(other),)})
    assert causes(items) == ["untrusted-ca"]
    with pytest.raises(StoreError):
        again(path, {"trust_store": (str(tmp_path / "gone.pem"),)})


def test_a_trust_store_of_the_run_that_is_unusable_now_is_left_out(roots: Path) -> None:
    path = run(roots, evidence(answered()))
    roots.write_text("nothing")
    logged: list[str] = []
    assert causes(again(path, logged=logged)) == ["untrusted-ca"]
    assert "judged without what the run named: --trust-store" in logged[-1]


def test_intermediates_of_other_hosts_and_fetched_ones_complete_paths(roots: Path) -> None:
    """The finding that lacks its issuer may come before the one that shows it."""
    lacking = evidence(answered((leaf(OTHER),)), of=target(OTHER))
    path = run(roots, evidence(answered()), lacking)
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(second + first)
    codes = [
        [diagnosis["code"] for diagnosis in item.now["diagnoses"]]
        for item in again(path)
        if isinstance(item, Rejudged) and item.now is not None
    ]
    assert codes == [["intermediate-not-sent"], []]


def test_certificates_from_a_separate_file_are_used(roots: Path, tmp_path: Path) -> None:
    """A part of a findings file has not all certificates: --certificates has."""
    path = run(roots, *SEEN[:2])
    part = tmp_path / "part.ndjson"
    part.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    assert problems(again(part)) == [f"the certificate '{leaf().sha256[:16]}' is in none of the files"]
    beside = tmp_path / "certificates.ndjson"
    whole = orjson.loads(path.read_bytes().splitlines()[0])["certificates"]
    beside.write_bytes(b"".join(map(dumps_line, whole)))
    (item,) = again(part, files=[str(beside)])
    assert isinstance(item, Rejudged) and item.now is not None and item.now["outcome"] == "ok"
    assert "der" in orjson.loads(dumps_line(item.now))["certificates"][0]  # and from now on it is complete


def test_a_finding_that_cannot_be_judged_is_kept_and_explained(roots: Path) -> None:
    path = run(roots, *SEEN[:1])
    good = orjson.loads(path.read_bytes())
    bad: list[dict[str, Any]] = [
        {**good, "target": {**good["target"], "port": "x"}},
        {**good, "run": None},
        {**good, "judged_with": 1},
        {**good, "certificates": [1, {"der": 5}, {"der": "%"}], "endpoints": [{}]},
    ]
    path.write_bytes(b"".join(map(dumps_line, [*bad, good])) + b'{"schema": "other"}\nnonsense')
    told = problems(again(path))
    assert told[:4] == [
        "port: not what a finding has there", "run: not what a finding has there", "judged_with: not what a finding has there",
        "address: missing",
    ]  # fmt: skip
    assert told[4] is None and len(told) == 7


def test_a_bug_costs_one_finding(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run(roots, *SEEN[:1])

    def breaks(*_: Any) -> None:
        raise KeyError("x")

    monkeypatch.setattr(judging, "evidence_of", breaks)
    (item,) = again(path)
    assert isinstance(item, Rejudged) and item.now is None
    assert item.problem is not None and "KeyError: 'x' in breaks" in item.problem


def test_invalid_rows_are_kept(roots: Path) -> None:
    path = run(roots, *SEEN[:1])
    row = {**orjson.loads(path.read_bytes()), "outcome": "invalid", "target": {"row": 2, "host": None}}
    path.write_bytes(dumps_line(row))
    assert again(path) == [Rejudged(row, row)]


def test_unknown_members_are_kept(roots: Path) -> None:
    path = run(roots, *SEEN[:1])
    path.write_bytes(dumps_line({**orjson.loads(path.read_bytes()), "later": [1]}))
    (item,) = again(path)
    assert isinstance(item, Rejudged) and item.now is not None and dict(item.now)["later"] == [1]


def test_numbers_of_runs_and_options_are_limited(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MAX_RUNS", 2)
    monkeypatch.setattr(judging, "MAX_SETUPS", 2)
    path = run(roots, *SEEN[:1])
    good = orjson.loads(path.read_bytes())
    path.write_bytes(b"".join(dumps_line({**good, "run": f"r{number}"}) for number in range(3)))
    assert [problem is None for problem in problems(again(path))] == [True, True, False]
    path.write_bytes(b"".join(dumps_line({**good, "judged_with": {"at": number}}) for number in range(3)))
    assert [problem is None for problem in problems(again(path))] == [True, True, False]


def test_certificates_from_a_file_are_judged_as_check_does(roots: Path) -> None:
    """As ``check --chain --json`` prints them: for any name if none was given, and without commands that connect."""
    inputs = RunInputs(trust_stores=(str(roots),))
    verifier = make_verifier(inputs, Intermediates(shipped=False))
    judgement = make_judgement(ScanConfig(), inputs, verifier, run_id="r")
    path = roots.with_name("file.ndjson")
    for sni, name in ((None, None), ("wrong.example", "wrong.example")):
        row = replace(target("chain.pem" if sni is None else sni), sni=sni)
        seen = evidence(answered(offer="file", sni=sni), of=row)
        path.write_bytes(dumps_line(judgement.file_finding(seen, name=name)))
        assert lines(again(path)) == path.read_bytes()


def test_the_local_clock_is_judged_from_all_findings(roots: Path) -> None:
    """The witnesses are in the findings, so that a clock that was wrong is still wrong."""
    names = ["a.example", "b.example.net", "c.example.org", "d.example.com"]
    wrong = AT + 400 * pki.DAY
    seen = []
    for number, name in enumerate(names):
        word = Completion(Stage.DONE, status=200, date=float(AT), local_time=wrong)
        one = at(answered((leaf(name), issuing()), sni=name), f"192.0.2.{number + 1}")
        seen.append(replace(evidence(replace(one, completions={"http": word}), of=target(name)), started=wrong))
    path = run(roots, *seen)
    assert lines(again(path)) == path.read_bytes()
    findings = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert {finding["cause"] for finding in findings} == {"clock-skew"}


def test_issuers_fetched_in_steps_complete_a_path(roots: Path) -> None:
    """The second issuer was fetched for the first, which no server sent and no list of certificates has."""
    upper = pki.authority("Upper", root())
    lower = pki.authority("Lower", upper)
    host = pki.certificate("www.example.org", issuer=lower)
    steps = (
        FetchedIssuer(host.sha256, "http://a/lower", (lower.der,)),
        FetchedIssuer(lower.sha256, "http://a/upper", (upper.der,)),
    )
    seen = replace(evidence(answered((host,))), issuers=steps)
    verifier = make_verifier(RunInputs(trust_stores=(str(roots),)), Intermediates(shipped=False))
    with CertificateStore() as certificates:
        certificates.put(host.der)
        judging._learn_fetched(seen, verifier, certificates)
        assert len(verifier.intermediates.fetched(lower.parsed.subject_der)) == 1
        assert len(verifier.intermediates.fetched(upper.parsed.subject_der)) == 1
    path = run(roots, seen)
    (item,) = again(path)
    assert isinstance(item, Rejudged) and item.now is not None
    assert [diagnosis["code"] for diagnosis in item.now["diagnoses"]] == ["intermediate-not-sent"]
