"""A small DNS server on loopback for the demo and the tests. It acts as a resolver that only knows its own zone.

:func:`respond` is a pure function from a query and a zone to a response, or ``None`` for silence. A zone maps lower-case
names without a final dot to a :class:`Node`; ``*.example`` answers for every name below ``example`` without a node of
its own, and ``*`` for every name. Other names do not exist (NXDOMAIN).

Like real resolvers, it follows CNAMEs within its zone, answers a loop with SERVFAIL unless the CNAME itself is asked
for, and answers bogus names only when checking is disabled.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import trio
from msgspec import Struct

# CNAMEs followed before a chain counts as endless; common resolvers stop at 8 to 16.
MAX_CHAIN: Final = 12
# The largest answer over UDP to a query without EDNS (RFC 1035 section 2.3.4).
PLAIN_UDP_SIZE: Final = 512
# Seconds that an idle TCP connection is kept open.
TCP_TIMEOUT: Final = 10.0
# UDP and TCP need the same port. The kernel picks the UDP port; attempts until it is free for TCP too.
BIND_ATTEMPTS: Final = 32
NEGATIVE_TTL: Final = 30
# Queries answered before other tasks run. If it were one, each query would wait for all the handshakes of a fleet in
# the same process, and a hundred concurrent ones would time out.
READ_BATCH: Final = 64


class Node(Struct, frozen=True):
    """The records of one name. By default the name exists and has no records (NODATA).

    ``caa`` is (flags, tag, value), ``tlsa`` (usage, selector, matching type, data). ``rcode`` replaces the answer
    by an error ("SERVFAIL", "REFUSED", "NXDOMAIN", ...). ``extended_errors`` is (code, text) of RFC 8914. ``bogus``
    answers SERVFAIL unless the query disables checking. ``silent`` drops every query, ``silent_types`` those for some
    types. ``truncated`` answers over UDP with TC and no records. ``stops_at_cname`` does not follow the CNAME.
    """

    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    cname: str | None = None
    caa: tuple[tuple[int, str, str], ...] = ()
    tlsa: tuple[tuple[int, int, int, bytes], ...] = ()
    ttl: int = 60
    rcode: str | None = None
    extended_errors: tuple[tuple[int, str], ...] = ()
    authenticated: bool = False
    bogus: bool = False
    silent: bool = False
    silent_types: tuple[str, ...] = ()
    failing_types: tuple[str, ...] = ()  # SERVFAIL for questions of these types
    truncated: bool = False
    stops_at_cname: bool = False


Zone = Mapping[str, Node]

_NO_NODE = Node(rcode="NXDOMAIN")


def find_node(zone: Zone, name: str) -> Node | None:
    """Return the node for ``name``: its own, or the wildcard of its nearest ancestor."""
    node = zone.get(name)
    while node is None and name:
        _, _, name = name.partition(".")
        node = zone.get(f"*.{name}" if name else "*")
    return node


def respond(query: bytes, zone: Zone, *, tcp: bool = False, edns: bool = True) -> bytes | None:
    """Return the response to ``query``, or ``None`` for silence and for malformed queries.

    With ``edns=False`` it acts as a server without EDNS: a query with an OPT record gets FORMERR.
    """
    try:
        message = dns.message.from_wire(query)
    except (dns.exception.DNSException, ValueError):
        return None
    if message.flags & dns.flags.QR or message.opcode() != 0 or len(message.question) != 1:
        return None
    response = dns.message.make_response(message, recursion_available=True)
    if message.edns >= 0 and not edns:
        response.use_edns(-1)
        response.set_rcode(dns.rcode.FORMERR)
        return response.to_wire()
    if _build_answer(response, message, zone, tcp):
        return None
    size = 65535 if tcp else max(PLAIN_UDP_SIZE, message.payload) if message.edns >= 0 else PLAIN_UDP_SIZE
    try:
        return response.to_wire(max_size=size, want_shuffle=False)  # in the order of the zone
    except dns.exception.TooBig:
        response.answer.clear()
        response.authority.clear()
        response.flags |= dns.flags.TC
        return response.to_wire()


def _build_answer(response: dns.message.Message, query: dns.message.Message, zone: Zone, tcp: bool) -> bool:
    """Fill in ``response``; return True if the query must not be answered at all."""
    question = query.question[0]
    rdtype = dns.rdatatype.to_text(question.rdtype)
    name = question.name.canonicalize().to_text(omit_final_dot=True)
    unchecked = bool(query.flags & dns.flags.CD)
    errors: list[tuple[int, str]] = []
    authenticated = True
    seen = {name}
    while True:
        node = find_node(zone, name) or _NO_NODE
        if node.silent or rdtype in node.silent_types:
            return True
        if node.truncated and not tcp:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return False
        errors += node.extended_errors
        authenticated = authenticated and node.authenticated
        rcode = node.rcode
        if (node.bogus and not unchecked) or rdtype in node.failing_types:
            rcode = "SERVFAIL"
        if rcode is not None:
            response.set_rcode(dns.rcode.from_text(rcode))
            if rcode == "NXDOMAIN":
                _add_soa(response)
            elif rcode == "SERVFAIL":
                response.answer.clear()
            break
        owner = dns.name.from_text(name)
        if node.cname is not None:
            target = dns.name.from_text(node.cname)
            response.answer.append(dns.rrset.from_text(owner, node.ttl, "IN", "CNAME", target.to_text()))
            if rdtype == "CNAME" or node.stops_at_cname:
                break
            name = target.canonicalize().to_text(omit_final_dot=True)
            if name in seen or len(seen) > MAX_CHAIN:
                response.answer.clear()
                response.set_rcode(dns.rcode.SERVFAIL)
                break
            seen.add(name)
            continue
        texts = _record_texts(node, rdtype)
        if texts:
            response.answer.append(dns.rrset.from_text_list(owner, node.ttl, "IN", rdtype, texts))
        else:
            _add_soa(response)
        break
    if query.edns >= 0 and errors:
        response.use_edns(
            0,
            payload=1232,
            options=[dns.edns.EDEOption(dns.edns.EDECode.make(code), text or None) for code, text in errors],
        )
    if authenticated and response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and query.flags & dns.flags.AD:
        response.flags |= dns.flags.AD
    return False


def _record_texts(node: Node, rdtype: str) -> list[str]:
    if rdtype in ("A", "AAAA"):
        return list(node.a if rdtype == "A" else node.aaaa)
    if rdtype == "CAA":
        return [f"{flags} {tag} {_quoted(value)}" for flags, tag, value in node.caa]
    if rdtype == "TLSA":
        return [f"{usage} {selector} {matching} {data.hex()}" for usage, selector, matching, data in node.tlsa]
    return []


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _add_soa(response: dns.message.Message) -> None:
    """Add the SOA of a negative answer (RFC 2308)."""
    texts = [f"ns.invalid. admin.invalid. 1 3600 600 86400 {NEGATIVE_TTL}"]
    response.authority.append(dns.rrset.from_text_list(dns.name.root, NEGATIVE_TTL, "IN", "SOA", texts))


# --- sockets -------------------------------------------------------------------------------------


class DnsServer(Struct):
    """A running server; ``queries`` lists (name, type) of the questions received."""

    zone: Zone
    address: str
    port: int
    queries: list[tuple[str, str]]
    edns: bool = True

    @property
    def text(self) -> str:
        """The address and port in the form of ``--resolver``."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def respond(self, query: bytes, *, tcp: bool) -> bytes | None:
        """Return the response from this server's zone, and record the question."""
        response = respond(query, self.zone, tcp=tcp, edns=self.edns)
        if response is not None:
            asked = dns.message.from_wire(response, question_only=True).question
            self.queries.extend((q.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(q.rdtype)) for q in asked)
        return response


async def run_dns(
    zone: Zone,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    edns: bool = True,
    task_status: trio.TaskStatus[DnsServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``zone`` over UDP and TCP until cancelled; ``nursery.start`` returns the :class:`DnsServer`."""
    datagrams, listener = await _bind(host, port)
    server = DnsServer(zone, host, datagrams.getsockname()[1], [], edns)
    with datagrams:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve_datagrams, datagrams, server)
            nursery.start_soon(trio.serve_listeners, lambda stream: _serve_stream(stream, server), [listener])
            task_status.started(server)


@asynccontextmanager
async def serve_dns(
    zone: Zone, host: str = "127.0.0.1", port: int = 0, *, edns: bool = True
) -> AsyncIterator[DnsServer]:
    """Run a server for the block."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        server: DnsServer = await nursery.start(partial(run_dns, zone, host, port, edns=edns))
        try:
            yield server
        except Exception as error:  # noqa: BLE001 - raised again below; the nursery would wrap it into a group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _bind(host: str, port: int) -> tuple[socket.socket, trio.SocketListener]:
    family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
    for attempt in range(BIND_ATTEMPTS):
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        datagrams.setblocking(False)
        stream = trio.socket.socket(family, trio.socket.SOCK_STREAM)
        try:
            datagrams.bind((host, port))
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
            await stream.bind((host, datagrams.getsockname()[1]))
            stream.listen(128)
            return datagrams, trio.SocketListener(stream)
        except OSError:
            datagrams.close()
            stream.close()
            if port or attempt == BIND_ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


async def _serve_datagrams(datagrams: socket.socket, server: DnsServer) -> None:
    while True:
        await trio.lowlevel.wait_readable(datagrams)
        for _ in range(READ_BATCH):
            try:
                query, client = datagrams.recvfrom(4096)
                response = server.respond(query, tcp=False)
                if response is not None:
                    datagrams.sendto(response, client)
            except BlockingIOError:
                break  # nothing left to read, or the send buffer is full and the answer is dropped
            except OSError:
                continue  # the client is gone


async def _serve_stream(stream: trio.SocketStream, server: DnsServer) -> None:
    buffer = bytearray()
    try:
        with trio.move_on_after(TCP_TIMEOUT):
            while True:
                while len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2], "big"):
                    end = 2 + int.from_bytes(buffer[:2], "big")
                    response = server.respond(bytes(buffer[2:end]), tcp=True)
                    del buffer[:end]
                    if response is not None:
                        await stream.send_all(len(response).to_bytes(2, "big") + response)
                chunk = await stream.receive_some()
                if not chunk:
                    return
                buffer += chunk
    except trio.BrokenResourceError:
        return
    finally:
        await trio.aclose_forcefully(stream)
