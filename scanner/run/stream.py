"""The findings of a run as an asynchronous iterator, for programs that use tlsweep as a library.

A run needs a nursery for its whole length, and a generator that yields inside of one breaks where the loop over it is left
early: the nursery would be closed by another task than the one that opened it (PEP 789). So the run is a system task of trio,
which hands over findings and never raises; whoever iterates has only the other end. Leaving the loop drops that end, which cancels the
run; cancelling the loop waits until the run has ended.

A run does not wait for its reader: it goes on with what is in flight. New rows are only read while few findings wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

import trio

from scanner.errors import innermost, is_bug, reported_error
from scanner.model.config import ScanConfig
from scanner.model.findings import Finding
from scanner.net.clocks import WallClock
from scanner.run.inputs import RunInputs, make_judgement, new_run_id
from scanner.run.row_queue import Row
from scanner.run.scan import Callbacks
from scanner.run.wiring import open_run

# Findings that may wait for the reader before no more rows are read, at some 4 kB each.
MAX_UNREAD: Final = 4096


class FindingStream:
    """The findings of one run, as they become final; to be iterated over once. ``aclose`` stops the run and waits for its end.

    Nothing is read or contacted before the first finding is asked for. Errors of the inputs (``TlsweepError``) and of the rows' source
    are raised there, or after the findings that were made before.
    """

    def __init__(
        self, rows: Iterable[Row], config: ScanConfig, inputs: RunInputs, log: Callable[[str], None] = lambda line: None
    ) -> None:
        self._producer = _Producer(rows, config, inputs, log)

    def __aiter__(self) -> FindingStream:
        return self

    async def __anext__(self) -> Finding:
        producer = self._producer
        try:
            await trio.lowlevel.checkpoint()
            producer.start()
            while not producer.findings and not producer.ended.is_set():
                await producer.wait_for_finding()
        except trio.Cancelled:
            await self.aclose()
            raise
        if producer.findings:
            return producer.take()
        if producer.error is not None:
            error, producer.error = producer.error, None
            raise reported_error(error) or innermost(error)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop the run if it has not ended, and wait for its end; findings that were not taken are dropped."""
        producer = self._producer
        producer.stop()
        with trio.CancelScope(shield=True):
            await producer.ended.wait()
        producer.findings.clear()
        producer.error = None

    def __del__(self) -> None:
        self._producer.abandon()


class _Producer:
    """The run's side: what is shared with the reader, and nothing that refers to it."""

    def __init__(self, rows: Iterable[Row], config: ScanConfig, inputs: RunInputs, log: Callable[[str], None]) -> None:
        self.findings: deque[Finding] = deque()
        self.ended = trio.Event()
        self.error: BaseException | None = None
        self._rows = rows
        self._config = config
        self._inputs = inputs
        self._log = log
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._arrived = trio.Event()
        self._room = trio.Event()

    def start(self) -> None:
        """Start the run, the first time that this is called."""
        if self._token is None and not self.ended.is_set():
            self._token = trio.lowlevel.current_trio_token()
            trio.lowlevel.spawn_system_task(self._run)

    def stop(self) -> None:
        """Cancel the run; one that has not begun never will."""
        self._scope.cancel()
        if self._token is None:
            self.ended.set()

    def abandon(self) -> None:
        """Cancel the run from any thread, also when the event loop has ended already."""
        if self._token is not None and not self.ended.is_set():
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._scope.cancel)

    async def wait_for_finding(self) -> None:
        """Wait until a finding has come or the run has ended."""
        self._arrived = trio.Event()
        await self._arrived.wait()

    def take(self) -> Finding:
        """Return the finding that came first."""
        finding = self.findings.popleft()
        if len(self.findings) < MAX_UNREAD:
            self._room.set()
        return finding

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._scan()
        except BaseException as error:
            if not is_bug(error):  # the event loop ends
                raise
            self.error = error
        finally:
            self.ended.set()
            self._arrived.set()

    async def _scan(self) -> None:
        judgement = make_judgement(self._config, self._inputs, run_id=new_run_id(time.time()))
        callbacks = Callbacks(on_finding=self._on_finding, log=self._log)
        async with open_run(self._config, self._inputs, judgement, callbacks, clock=WallClock()) as run:
            await run.run(self._paced_rows())

    def _on_finding(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._arrived.set()

    def _paced_rows(self) -> Iterator[Row]:
        """Yield the rows, in the thread that reads them, which waits while too many findings were not taken."""
        for row in self._rows:
            if len(self.findings) >= MAX_UNREAD:
                trio.from_thread.run(self._wait_for_room)
            yield row

    async def _wait_for_room(self) -> None:
        while len(self.findings) >= MAX_UNREAD:
            self._room = trio.Event()
            await self._room.wait()
