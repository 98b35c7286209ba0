"""An SMTP server with STARTTLS and the latency of a remote one: ``python -m tests.torture.smtp --help``.

One process serves every address. On mute ports it accepts connections and never sends a greeting.
"""

from __future__ import annotations

import argparse
import ssl
from functools import partial

import trio

# Seconds before each reply: long enough that most connections of a scan are in the middle of a dialogue.
LATENCY = 0.15
BACKLOG = 4096
LONGEST_LINE = 2048


async def _read_line(stream: trio.SocketStream) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < LONGEST_LINE:
        piece = await stream.receive_some(LONGEST_LINE)
        if not piece:
            break
        line += piece
    return line


async def serve_one(context: ssl.SSLContext, stream: trio.SocketStream) -> None:
    """Serve one session; only the commands that a scanner needs."""
    try:
        async with stream:
            await trio.sleep(LATENCY)
            await stream.send_all(b"220 mail.farm.test ESMTP\r\n")
            while line := await _read_line(stream):
                await trio.sleep(LATENCY)
                command = line[:4].upper()
                if command == b"EHLO":
                    await stream.send_all(b"250-mail.farm.test\r\n250 STARTTLS\r\n")
                elif command == b"STAR":
                    await stream.send_all(b"220 go ahead\r\n")
                    tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
                    await tls.do_handshake()
                    while await tls.receive_some(LONGEST_LINE):
                        await tls.send_all(b"250 OK\r\n")
                    return
                else:
                    await stream.send_all(b"221 bye\r\n" if command == b"QUIT" else b"250 OK\r\n")
    except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError):
        pass  # the client went away


async def serve_mute(stream: trio.SocketStream) -> None:
    """Read everything and send nothing."""
    try:
        async with stream:
            while await stream.receive_some(LONGEST_LINE):
                pass
    except (trio.BrokenResourceError, OSError):
        pass


async def serve(port: int, mute_ports: list[int], chain: str, key: str) -> None:
    """Run the server until cancelled."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_tcp, partial(serve_one, context), port, host="0.0.0.0", backlog=BACKLOG))
        for mute_port in mute_ports:
            nursery.start_soon(partial(trio.serve_tcp, serve_mute, mute_port, host="0.0.0.0", backlog=BACKLOG))


def main() -> None:
    """Run the server with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mute-port", type=int, action="append", default=[])
    parser.add_argument("--chain", required=True)
    parser.add_argument("--key", required=True)
    options = parser.parse_args()
    trio.run(serve, options.port, options.mute_port, options.chain, options.key)


if __name__ == "__main__":
    main()
