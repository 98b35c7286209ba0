"""One process of several, spoken to over its pipes as ``scanner.run.pool`` does."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from scanner.fleet.correlate.fold import Fold
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.run.inputs import RunInputs
from scanner.run.ipc import MessageStream, encode_message
from scanner.run.worker import Assignment, Report, main, work

ASSIGNMENT = Assignment(
    config=ScanConfig(connect_timeout=1.0, timeout=2.0, retries=0),
    inputs=RunInputs(trust_stores=["system"]),
    run_id="test",
)


class Pipes:
    """The three pipes, seen from the process that deals out."""

    def __init__(self) -> None:
        self.theirs = []
        ours = []
        for outward in (True, True, False):
            reading, writing = os.pipe()
            self.theirs.append(reading if outward else writing)
            ours.append(trio.lowlevel.FdStream(writing if outward else reading))
        self.rows, self.control, self.reports = ours
        self.messages = MessageStream(self.reports)


@asynccontextmanager
async def working(assignment: Assignment = ASSIGNMENT) -> AsyncIterator[Pipes]:
    pipes = Pipes()
    async with trio.open_nursery() as nursery:
        await pipes.control.send_all(encode_message(assignment))
        rows, control, reports = pipes.theirs
        nursery.start_soon(work, rows, control, reports)
        with trio.fail_after(20):
            yield pipes
        for end in (pipes.rows, pipes.control):
            await end.aclose()
    await pipes.reports.aclose()


def a_target(row: int = 1) -> Target:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Target(row=row, host="a.test", port=port, protocol="tls", sni="a.test", address="127.0.0.1")


async def reports_until(pipes: Pipes, phase: str) -> list[Report]:
    found: list[Report] = []
    while not found or found[-1].phase != phase:
        report = await pipes.messages.receive()
        assert isinstance(report, Report)
        found.append(report)
    return found


def test_rows_become_findings_and_the_end_is_reported() -> None:
    async def converse() -> None:
        async with working() as pipes:
            await pipes.rows.send_all(encode_message([a_target(7)]))
            await pipes.rows.aclose()
            before = await reports_until(pipes, "idle")
            assert before[0].phase == "working"  # it has come up
            assert [row for report in before for row in report.rows] == [7]
            await pipes.control.send_all(encode_message(([], Fold())))
            assert (await reports_until(pipes, "done"))[-1].rows == []

    trio.run(converse)


def test_a_finding_is_reported_while_more_rows_may_come() -> None:
    async def converse() -> None:
        async with working() as pipes:
            await pipes.rows.send_all(encode_message([a_target()]))
            rows: list[int] = []
            while not rows:
                rows += (await pipes.messages.receive()).rows
            assert rows == [1]

    trio.run(converse)


def test_closing_the_control_pipe_stops_the_worker() -> None:
    """The other process was killed, or its run was stopped."""

    async def converse() -> None:
        async with working() as pipes:
            await reports_until(pipes, "working")
            await pipes.control.aclose()
            last = None
            while (report := await pipes.messages.receive()) is not None:
                last = report
            assert last is None or last.phase == "working"

    trio.run(converse)


def test_an_error_is_one_line_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    rows, control, reports = os.pipe(), os.pipe(), os.pipe()
    bad = Assignment(config=ASSIGNMENT.config, inputs=RunInputs(trust_stores=["/no/such/roots.pem"]), run_id="test")
    os.write(control[1], encode_message(bad))

    assert main([str(rows[0]), str(control[0]), str(reports[1])]) == 1

    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    assert "/no/such/roots.pem" in shown
    for end in (rows[0], rows[1], control[1], reports[0]):
        os.close(end)
