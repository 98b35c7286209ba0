"""A run: every row gets exactly one finding, whatever happens to it, to its neighbours or to us."""

from __future__ import annotations

import errno
import importlib
import threading
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from scanner.caching import clear_all
from scanner.inventory.exclude import Exclusions, mark_excluded
from scanner.model.config import ScanConfig
from scanner.model.evidence import DnsAnswer, DnsStatus, Evidence, Failure, InvalidRow, Probe
from scanner.model.findings import Finding
from scanner.output import OutputFull
from scanner.run import scan as scan_module
from scanner.run.post_probe import PostProbeLookups
from scanner.run.row_queue import ROWS_AHEAD, Row
from tests.helpers import evidence, pki
from tests.helpers.network import NEVER, Connection, Scenario, Step
from tests.helpers.scanning import (
    HOSTS,
    Run,
    address_of,
    by_host,
    check_complete,
    codes,
    everywhere,
    healthy,
    row,
    rows_of,
    run,
    scanned,
    sending,
)

GOOD, DEAD, RESET, BUG, NAMELESS, BANNED, INVALID = "good", "dead", "reset", "bug", "nameless", "banned", "invalid"
STEPS: dict[str, Any] = {
    GOOD: Step(0.05, healthy),
    DEAD: Step(NEVER, Failure.CONNECT_TIMEOUT),
    RESET: Step(0.01, Failure.RESET),
    BUG: Step(0.02, ZeroDivisionError("in the prober")),
}


def network_of(kinds: dict[str, str]) -> Scenario:
    """Return hosts by kind, each at an address of its own."""
    names: dict[str, Any] = {}
    for host, kind in kinds.items():
        names[host] = DnsAnswer(DnsStatus.NXDOMAIN) if kind == NAMELESS else [address_of(host)]
    return Scenario({address_of(host): STEPS[kind] for host, kind in kinds.items() if kind in STEPS}, names)


# --- one finding for each row ----------------------------------------------------------------------

OUTCOME = {GOOD: "ok", DEAD: "fail", RESET: "fail", BUG: "warn", NAMELESS: "fail", BANNED: "warn"}


def test_each_kind_of_row_becomes_a_finding() -> None:
    kinds = dict(zip(HOSTS, STEPS | {NAMELESS: None}, strict=False))
    findings = by_host(scanned(network_of(kinds), rows_of(kinds)))
    for host, kind in kinds.items():
        assert findings[host]["outcome"] == OUTCOME[kind], kind
    assert {codes(findings[host])[0] for host, kind in kinds.items() if OUTCOME[kind] == "fail"} == {
        "connect-timeout",
        "reset-after-hello",
        "nxdomain",
    }
    bug = next(findings[host] for host, kind in kinds.items() if kind == BUG)
    assert "ZeroDivisionError: in the prober" in bug["error"]


@given(
    st.lists(st.tuples(st.sampled_from(HOSTS), st.sampled_from([443, 443, 8443]), st.booleans()), max_size=40),
    st.lists(st.sampled_from([*STEPS, NAMELESS, BANNED]), min_size=len(HOSTS), max_size=len(HOSTS)),
    st.sampled_from([1, 3, 1000]),
)
@settings(max_examples=60)
def test_any_mix_of_rows_becomes_one_finding_each(
    picked: list[tuple[str, int, bool]], kinds: list[str], concurrency: int
) -> None:
    of = dict(zip(HOSTS, kinds, strict=True))
    exclusions = Exclusions()
    for host, kind in of.items():
        if kind == BANNED:
            exclusions.add(host)
    rows: list[Row] = []
    for number, (host, port, usable) in enumerate(picked, 1):
        tags = {"n": number}
        if usable:
            rows.append(row(number, host, port=port, id=f"id{number}", tags=tags))
        else:
            rows.append(InvalidRow(row=number, reason="bad", host=host, id=number, tags=tags))
    rows = list(mark_excluded(iter(rows), exclusions))
    scenario = network_of(of)

    findings = scanned(scenario, rows, ScanConfig(retries=0, concurrency=concurrency))

    for finding in findings:
        told = finding["target"]
        if finding["outcome"] != "invalid":
            assert finding["outcome"] == OUTCOME[of[str(told["host"])]]
    assert not any(of[host] == BANNED for host in HOSTS if address_of(host) in scenario.order())
    # one probe for each target, however often it is named
    asked = [(connection.address, connection.port) for connection in scenario.connections if connection.sni in HOSTS]
    assert all(asked.count(each) == 1 for each in asked if of[HOSTS[int(each[0].rpartition(".")[2]) - 1]] == GOOD)


def test_an_empty_inventory_ends_at_once() -> None:
    assert scanned(everywhere(), []) == []


def test_more_rows_than_are_read_at_once() -> None:
    rows = [row(number, f"h{number}.example") for number in range(1, ROWS_AHEAD + 10)]
    scenario = Scenario(names={each.host: ["192.0.2.1"] for each in rows}, delay=0.01)
    config = ScanConfig(retries=0, rate_per_address=None, concurrency_per_address=None)
    assert len(scanned(scenario, list(rows), config)) == len(rows)


# --- our own faults --------------------------------------------------------------------------------


class Once:
    """Raise at the first call, or at every call."""

    def __init__(self, original: Any, *, always: bool = False) -> None:
        self.original = original
        self.always = always
        self.failed = 0
        self.__name__ = "injected"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.always or not self.failed:
            self.failed += 1
            raise RecursionError("injected")
        return self.original(*args, **kwargs)


# Where our own code can fail on what was seen, "module:name": by how many of the two kinds of targets it is passed.
SEAMS = [
    "scanner.run.judgement:next_question",
    "scanner.run.judgement:facts_of",
    "scanner.diagnosis.finding:diagnose_cases",
    "scanner.run.scan:Fold.add",
    "scanner.run.scan:Fold.pending_reason",
    "scanner.trust.verifier:ChainVerifier.verify",
    "scanner.trust.verifier:rules.leaf_problems",
    "scanner.trust.verifier:chain_context",
    "scanner.trust.path_search:check_path",
    "scanner.trust.verifier:matched",
    "scanner.trust.verifier:PathBuilder.links",
    "scanner.diagnosis.engine:dns_claims",
    "scanner.diagnosis.engine:chain_report",
    *(f"scanner.diagnosis.engine:{rules}" for rules in ("OF_STRANGERS", "OF_ANSWERS")),
    "scanner.diagnosis.engine:_diagnosis",
    "scanner.diagnosis.chain_report:flight_claims",
    "scanner.diagnosis.chain_report:key_claims",
    "scanner.diagnosis.chain_report:certificate_claims",
    "scanner.diagnosis.chain_report:revocation_claims",
    "scanner.diagnosis.chain_report:transparency_claims",
    "scanner.diagnosis.chain_report:transparency_of",
    "scanner.diagnosis.conclusion:predict",
    "scanner.diagnosis.conclusion:Wording.summary",
    "scanner.diagnosis.conclusion:Wording.remedy",
    "scanner.diagnosis.conclusion:_for_target",
    "scanner.diagnosis.rules.certificate:expires_soon",
    "scanner.diagnosis.rules.certificate:_from_problem",
    "scanner.diagnosis.assembly.finding_record:seen",
    "scanner.diagnosis.assembly.finding_record:endpoint_record",
    "scanner.diagnosis.assembly.finding_record:dns_record",
    "scanner.diagnosis.assembly.finding_record:facts_of_target",
    "scanner.run.judgement:facts_of",
]
# Those without which what was seen cannot be shown; what it means is.
WITHOUT_RECORDS = ("finding_record:seen", "endpoint_record", "dns_record", "facts_of_target")
EXPIRED = {HOSTS[3], HOSTS[8]}


def some_expired(connection: Connection) -> Probe:
    """Some hosts have a leaf that expired yesterday."""
    host = connection.sni or HOSTS[0]
    if host not in EXPIRED:
        return healthy(connection)
    expired = pki.certificate(host, issuer=evidence.issuing(), not_after=pki.NOW - pki.DAY)
    return sending(expired, evidence.issuing())


def inject(monkeypatch: pytest.MonkeyPatch, seam: str, *, always: bool) -> Once:
    """Make the function at ``seam`` raise."""
    clear_all()  # words that earlier runs have left
    place, _, path = seam.partition(":")
    owner: Any = importlib.import_module(place)
    *parents, name = path.split(".")
    if name.startswith("OF_"):  # the first of some rules
        broken = Once(getattr(owner, name)[0], always=always)
        monkeypatch.setattr(owner, name, (broken, *getattr(owner, name)[1:]))
        return broken
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)
    broken = Once(original, always=always)
    if isinstance(owner, type):

        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return broken(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, method)
    else:
        monkeypatch.setattr(owner, name, broken)
    return broken


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
@pytest.mark.parametrize("seam", SEAMS)
def test_a_bug_costs_no_more_than_what_it_hits(monkeypatch: pytest.MonkeyPatch, seam: str, always: bool) -> None:
    broken = inject(monkeypatch, seam, always=always)

    findings = by_host(scanned(everywhere(some_expired), rows_of(HOSTS)))

    assert broken.failed
    hit = [finding for finding in findings.values() if finding.get("error")]
    assert len(hit) >= len(EXPIRED) if always else len(hit) <= 1
    for host, finding in findings.items():
        error = finding.get("error")
        if error is not None:
            assert "RecursionError: injected" in error
        if host in EXPIRED:
            assert (finding["outcome"], finding["cause"]) == ("fail", "expired-or-self-signed")
            assert codes(finding)[0] == "certificate-expired"
        else:
            assert finding["outcome"] == ("ok" if error is None else "warn")  # not fully judged, so never in order
            assert not any(diagnosis["severity"] == "error" for diagnosis in finding["diagnoses"])
        if error is None or not any(name in seam for name in WITHOUT_RECORDS):
            (endpoint,) = finding["endpoints"]
            assert endpoint["version"] == "TLSv1.3" and endpoint["chain"]


def test_a_bug_in_reading_a_certificate_keeps_the_rest_of_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = evidence.verifier()  # whose anchors were read before
    inject(monkeypatch, "scanner.x509.certificate:certificate_exact.read_untrusted", always=True)
    inject(monkeypatch, "scanner.x509.certificate:certificate_fast.read_untrusted", always=True)
    for finding in scanned(everywhere(some_expired), rows_of(HOSTS), verifier=verifier):
        assert finding["outcome"] == "warn" and "RecursionError: injected" in finding["error"]
        (endpoint,) = finding["endpoints"]
        assert endpoint["version"] == "TLSv1.3" and endpoint["chain"]


class BrokenLookups(PostProbeLookups):
    def __init__(self) -> None:
        pass

    async def look_up(self, evidence: Evidence, verdicts: Any) -> Evidence:
        await trio.lowlevel.checkpoint()
        raise KeyError("injected")


def test_a_bug_in_the_lookups_after_the_probe_is_named_in_the_finding() -> None:
    findings = scanned(everywhere(), rows_of(HOSTS), post_probe=BrokenLookups())
    assert all("KeyError" in finding["error"] for finding in findings)


def test_a_bug_with_several_addresses_is_named() -> None:
    scenario = Scenario({"192.0.2.2": STEPS[BUG]}, {HOSTS[0]: ["192.0.2.1", "192.0.2.2"]})
    (finding,) = scanned(scenario, rows_of(HOSTS[:1]), ScanConfig(all_addresses=True))
    assert "ZeroDivisionError: in the prober" in finding["error"]


def test_a_bug_in_the_resolver_costs_one_finding() -> None:
    scenario = Scenario(names={host: OSError(5, "injected") for host in HOSTS})
    assert all("OSError" in finding["error"] for finding in scanned(scenario, rows_of(HOSTS)))


@pytest.mark.parametrize("place", ["emit", "judged"])
def test_an_output_error_stops_the_run(place: str) -> None:
    """A full disk is not the fault of a target."""

    def full(*_: Any) -> None:
        raise OutputFull("no space")

    async def main() -> None:
        watched = Run(everywhere(), options={place: full})
        with pytest.raises(ExceptionGroup) as caught:
            await watched.of(rows_of(HOSTS))
        assert caught.group_contains(OutputFull)
        assert watched.findings == []

    run(main)


# --- read in a thread --------------------------------------------------------------------------------


def test_data_for_unhealthy_certificates_is_loaded_once_when_needed() -> None:
    loaded: list[int] = []

    def main(outcome: Any) -> int:
        async def scan() -> None:
            watched = Run(everywhere(outcome), options={"load": lambda: loaded.append(1)})
            await watched.of(rows_of(HOSTS))

        trio.run(scan)
        return len(loaded)

    assert main(healthy) == 0
    assert main(Failure.RESET) == 0
    assert main(sending(pki.certificate("other.example"))) == 1


def test_data_is_loaded_again_when_there_was_no_file_left() -> None:
    tries: list[int] = []

    def load() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.EMFILE, "Too many open files")

    async def scan() -> list[Any]:
        watched = Run(everywhere(sending(pki.certificate("other.example"))), options={"load": load})
        return await watched.of(rows_of(HOSTS))

    findings = trio.run(scan, clock=MockClock(autojump_threshold=0.01))
    assert len(tries) == 3
    assert len(findings) == len(HOSTS) and not any("error" in finding for finding in findings)


# --- stopped ---------------------------------------------------------------------------------------


def test_a_run_stopped_at_any_moment_has_written_whole_findings() -> None:
    kinds = dict(zip(HOSTS, [*STEPS, NAMELESS] * 3, strict=False))
    rows = rows_of(list(kinds) * 2)

    async def main(moment: float) -> int:
        watched = Run(network_of(kinds), ScanConfig(retries=1, timeout=3, concurrency=4))
        with trio.move_on_after(moment):
            await watched.of(list(rows))
        seen = watched.scan.statistics()
        told = [finding["target"]["row"] for finding in watched.findings]
        assert len(set(told)) == len(told) == seen.done
        check_complete([each for each in rows if each.row in told], watched.findings)
        assert seen.done + seen.held <= seen.read <= len(rows)
        assert (seen.pacing.in_flight, seen.pacing.waiting_for_address) == (0, 0)
        return len(told)

    done = [trio.run(main, moment / 20, clock=MockClock(autojump_threshold=0.002)) for moment in range(0, 120, 7)]
    assert done[0] < done[-1]


def test_what_is_observed_together_is_concluded_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    together = by_host(scanned(everywhere(some_expired), rows_of(HOSTS)))
    monkeypatch.setattr(scan_module, "MAX_OBSERVED_BYTES", 0)
    alone = by_host(scanned(everywhere(some_expired), rows_of(HOSTS)))
    assert {host: codes(finding) for host, finding in together.items()} == {
        host: codes(finding) for host, finding in alone.items()
    }


def test_what_was_observed_is_not_lost_where_the_run_is_stopped_meanwhile() -> None:
    """The run is stopped while it reads what only findings of unhealthy targets need: theirs are written, or wait for the fleet."""
    entered, go_on = threading.Event(), threading.Event()

    def load() -> None:
        entered.set()
        go_on.wait(10)

    async def main() -> int:
        watched = Run(everywhere(some_expired), options={"load": load})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.of, rows_of(HOSTS))
            while not entered.is_set():
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
            go_on.set()
        written = EXPIRED & set(by_host(watched.findings))
        return len(written) + watched.scan.statistics().held

    assert trio.run(main) >= 1


def test_statistics_during_a_run() -> None:
    async def main() -> None:
        release = trio.Event()
        seen = []

        class Gated(Scenario):
            async def probe(self, *args: Any, **kwargs: Any) -> Any:
                await release.wait()
                return await super().probe(*args, **kwargs)

        watched = Run(Gated(names={host: [address_of(host)] for host in HOSTS}))
        before = watched.scan.statistics()
        assert (before.read, before.done, before.reading_finished) == (0, 0, False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.of, rows_of(HOSTS))
            await wait_all_tasks_blocked(0.05)
            seen.append(watched.scan.statistics())
            release.set()
        (during,) = seen
        assert (during.read, during.done, during.pacing.in_flight) == (len(HOSTS), 0, len(HOSTS))
        assert during.reading_finished
        after = watched.scan.statistics()
        assert (after.done, after.pacing.in_flight, after.pacing.peak_in_flight) == (len(HOSTS), 0, len(HOSTS))

    trio.run(main)


def test_on_judged_is_called_before_on_finding() -> None:
    told: list[str] = []

    def judged(seen: Evidence, verdicts: Any) -> None:
        assert len(verdicts) == len(seen.endpoints) == 1
        told.append(f"judged {seen.target.host}")

    def emit(finding: Finding) -> None:
        told.append(f"written {finding['target']['host']}")

    async def main() -> None:
        await Run(everywhere(), options={"judged": judged, "emit": emit}).of(rows_of(HOSTS[:2]))

    run(main)
    for host in HOSTS[:2]:
        assert told.index(f"judged {host}") < told.index(f"written {host}")
