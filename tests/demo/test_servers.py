"""Properties of every server of the demo."""

from __future__ import annotations

import contextlib

import pytest
import trio

from scanner.demo.case_list import CASES
from scanner.demo.fleet import FleetRow, run_servers
from tests.demo.clients import connect


@pytest.mark.parametrize(
    "garbage", [b"", b"\x16", b"\x16\x03\x01\x00\x05\x01\x00\xff\xff\xff", b"GET / HTTP/1.0\r\n\r\n", b"\n" * 5000]
)
def test_no_garbage_stops_a_server(garbage: bytes) -> None:
    async def main() -> None:
        async def throw(row: FleetRow) -> None:
            with trio.move_on_after(0.5):
                for address in row.addresses:
                    with contextlib.suppress(OSError, trio.BrokenResourceError):
                        async with await connect(address, row.port) as stream:
                            await stream.send_all(garbage)
                            await stream.send_eof()
                            while await stream.receive_some():
                                pass

        async with run_servers(CASES) as servers:
            async with trio.open_nursery() as nursery:
                for row in servers.rows:
                    nursery.start_soon(throw, row)

    trio.run(main)
