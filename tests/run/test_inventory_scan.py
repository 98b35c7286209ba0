"""Parts of a scan that need no network: the remaining rows of a resumed scan, closing the inventory, the clock warning."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from scanner.errors import UsageProblem
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict
from scanner.output import Completed
from scanner.run import inventory_scan as module
from scanner.run.inventory_scan import clock_warning
from scanner.run.row_queue import Row
from tests.helpers.scanning import HOSTS, rows_of


def done_with(row: Row) -> Completed:
    done = Completed()
    target = {name: getattr(row, name) for name in ("row", "host", "port", "protocol", "sni", "address")}
    done.add({"target": target, "outcome": "ok"})
    return done


def test_rows_with_a_finding_are_not_scanned_again() -> None:
    rows = rows_of(HOSTS)
    assert list(module._remaining(iter(rows), done_with(rows[0]))) == rows[1:]


def test_a_changed_inventory_cannot_be_resumed_and_is_closed() -> None:
    closed = threading.Event()

    def rows() -> Iterator[Row]:
        try:
            yield from rows_of(HOSTS)
        finally:
            closed.set()

    other: Any = rows_of(["other.example"])[0]
    with pytest.raises(UsageProblem, match="the inventory has changed"):
        list(module._remaining(rows(), done_with(other)))
    assert closed.is_set()


def test_an_inventory_that_a_thread_is_reading_is_closed_once_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def blocking() -> Any:
        try:
            reading.set()
            go_on.wait()
            yield from rows_of(HOSTS)
        finally:
            closed.set()

    rows = blocking()
    monkeypatch.setattr(module.time, "sleep", lambda seconds: go_on.set())  # type: ignore[attr-defined]
    thread = threading.Thread(target=next, args=(rows,))
    thread.start()
    reading.wait()
    module._close_rows(rows, patient=False)
    assert not closed.is_set()
    while not closed.is_set():
        module._close_rows(rows, patient=True)
    thread.join()


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (86_400.0 * 3, "WRONG by 3 days: it is behind, say"),
        (-7200.0, "WRONG by 2 hours: it is ahead, say"),
        (None, "WRONG, say"),
    ],
)
def test_the_clock_warning_names_the_offset_and_the_witnesses(offset: float | None, words: str) -> None:
    witnesses = ({"who": "ntp.example", "kind": "sntp"}, {"who": "a.example", "kind": "http"})
    text = clock_warning(ClockVerdict(state="wrong", offset=offset, witnesses=witnesses))
    assert words in text and "say ntp.example (sntp), a.example (http);" in text
