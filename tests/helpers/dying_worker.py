"""A worker process that is killed when it receives a certain target, as by a crash in native code."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from scanner.model.evidence import Target
from scanner.run import worker
from scanner.run.row_queue import Row

DEADLY = "deadly.test"

_real = worker._batches


def _watched(descriptor: int) -> Callable[[], list[Row]]:
    read = _real(descriptor)

    def checked() -> list[Row]:
        batch = read()
        if any(isinstance(row, Target) and row.host == DEADLY for row in batch):
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    return checked


worker._batches = _watched
main = worker.main
