"""A server with the OpenSSL that ``cryptography`` brings, which is newer than Debian's. A program, not a test.

``newest_openssl.py ADDRESS PORT CHAIN KEY CONFIG``: OpenSSL reads groups and the like from its configuration file when it
is loaded.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import closing, suppress


def main() -> None:
    """Complete the handshake on every connection, read what comes and hang up."""
    address, port, chain, key, os.environ["OPENSSL_CONF"] = sys.argv[1:]
    from OpenSSL import SSL  # reads the configuration

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(chain)
    context.use_privatekey_file(key)

    def serve(plain: socket.socket) -> None:
        with closing(plain), suppress(SSL.Error, OSError):
            connection = SSL.Connection(context, plain)
            connection.set_accept_state()
            connection.do_handshake()
            connection.recv(1000)

    with socket.create_server((address, int(port))) as listener:
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
