"""A run as an asynchronous iterator: complete, paced by its reader, and gone when the reader is."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from scanner.errors import TlsweepError
from scanner.inventory import parse_targets
from scanner.model.config import ScanConfig
from scanner.run import stream as streaming
from scanner.run.inputs import RunInputs
from scanner.run.row_queue import ROWS_AHEAD, Row
from scanner.run.stream import FindingStream
from scanner.starttls import PROTOCOLS

ROWS = 20_000
CONFIG = ScanConfig(connect_timeout=5.0, timeout=10.0, retries=0)


@pytest.fixture
def closed() -> str:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def rows_of(*texts: str) -> Iterator[Row]:
    return parse_targets(texts, protocols=PROTOCOLS)


def stream_of(rows: Iterator[Row], **inputs: Any) -> FindingStream:
    return FindingStream(rows, CONFIG, RunInputs(**inputs))


def only(*texts: str) -> FindingStream:
    return stream_of(rows_of(*texts))


async def system_tasks_have_ended() -> None:
    """Wait until no system task of a run is left; pytest's timeout ends it otherwise."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    while any("_Producer" in task.name for nursery in root.child_nurseries for task in nursery.child_tasks):
        gc.collect()
        await trio.sleep(0.01)


def test_each_row_has_one_finding_and_then_the_stream_ends(closed: str) -> None:
    async def main() -> None:
        stream = only(closed, "a b", closed)
        found = [finding async for finding in stream]
        assert sorted((one["target"]["row"], one["outcome"]) for one in found) == [
            (1, "fail"), (2, "invalid"), (3, "fail")
        ]  # fmt: skip
        assert [finding async for finding in stream] == []
        await stream.aclose()

    trio.run(main)


def test_two_runs_at_once(closed: str) -> None:
    async def count(found: list[int]) -> None:
        found.append(len([finding async for finding in only(closed, "a b")]))

    async def main() -> None:
        found: list[int] = []
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(count, found)
        assert found == [2, 2]

    trio.run(main)


def test_leaving_the_loop_ends_the_run(silent: str) -> None:
    """Without a warning, and although another target would keep the run waiting."""

    async def main() -> None:
        async for finding in only("a b", silent):
            assert finding["outcome"] == "invalid"
            break
        await system_tasks_have_ended()

    trio.run(main)


def test_an_error_in_the_loop_ends_the_run(silent: str) -> None:
    async def use() -> None:
        async for _ in only("a b", silent):
            raise LookupError("of the reader")

    async def main() -> None:
        with pytest.raises(LookupError):
            await use()
        await system_tasks_have_ended()

    trio.run(main)


def test_cancelling_waits_for_the_end_of_the_run(silent: str) -> None:
    async def main() -> None:
        with trio.CancelScope() as scope:
            async for finding in only("a b", silent):
                assert finding["outcome"] == "invalid"
                scope.cancel()
        root = trio.lowlevel.current_root_task()
        assert root is not None
        tasks = [task for nursery in root.child_nurseries for task in nursery.child_tasks]
        assert not any("_Producer" in task.name for task in tasks)

    trio.run(main)


def test_a_closed_stream_gives_nothing_more(silent: str) -> None:
    async def main() -> None:
        stream = only("a b", silent)
        assert (await anext(stream))["outcome"] == "invalid"
        await stream.aclose()
        assert [finding async for finding in stream] == []
        unused = only(silent)
        await unused.aclose()
        assert [finding async for finding in unused] == []

    trio.run(main)


def test_a_stream_may_outlive_its_loop(silent: str) -> None:
    kept: list[FindingStream] = []

    async def main() -> None:
        kept.append(only("a b", silent))
        await anext(kept[0])

    trio.run(main)
    kept.clear()
    gc.collect()


def test_an_unusable_input_is_raised_where_the_first_finding_is_asked_for(closed: str) -> None:
    async def main() -> None:
        stream = stream_of(rows_of(closed), trust_stores=("/nowhere/roots.pem",))
        with pytest.raises(TlsweepError, match="nowhere"):
            await anext(stream)
        assert [finding async for finding in stream] == []

    trio.run(main)


def test_an_error_of_the_source_comes_by_itself(closed: str) -> None:
    """Not in the groups that nurseries make."""

    def broken() -> Iterator[Row]:
        yield from rows_of("a b")
        raise LookupError("of the source")

    async def main() -> None:
        with pytest.raises(LookupError, match="of the source"):
            async for _ in stream_of(broken()):
                pass

    trio.run(main)


def test_no_more_rows_are_read_while_findings_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MAX_UNREAD", 10)
    read = 0

    def endless() -> Iterator[Row]:
        nonlocal read
        for row in rows_of(*["a b"] * ROWS):
            read += 1
            yield row

    async def settled() -> int:
        """Return how many rows were read, once it is no longer more."""
        before = -1
        while read != before:
            before = read
            await trio.sleep(0.1)
        return read

    async def main() -> None:
        taken = 0
        async for _ in stream_of(endless()):
            taken += 1
            if taken in (1, 8000):
                # what is read ahead at once was read before its first finding was written
                assert await settled() - taken <= streaming.MAX_UNREAD + 2 * ROWS_AHEAD
        assert taken == read == ROWS

    trio.run(main)
