"""Measures the CPU cost of the worst 256 KB that one peer can send; each input is made expensive for one piece of code.

Three figures for each: reading (parsing one message on the event loop), judging (verifying a chain and its name) and
writing (rules, finding and line). During each, the event loop is blocked. No network is involved.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import dns.name
import dns.rdatatype
import trio
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.judging import AT, make_evidence, make_variant
from benchmarks.measure import table
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.net.dns.caa_tlsa import caa_set_untrusted
from scanner.net.dns.dnspython_codec import read_answer_untrusted as read_long_untrusted
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.message_wire import read_answer_untrusted as read_short_untrusted
from scanner.net.http.response import read_answer_untrusted as read_http_untrusted
from scanner.output import dumps_line
from scanner.run.inputs import RunInputs, make_judgement
from scanner.run.judgement import TargetJudgement
from scanner.run.observed_target import Observed
from scanner.run.scan import Callbacks
from scanner.run.wiring import open_run
from scanner.starttls import NeedData, dialogue
from scanner.tls import messages
from scanner.tls.record_layer import RecordBuffer
from scanner.trust.hostname import nearest_names
from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import load_store
from scanner.trust.verifier import ChainVerifier
from scanner.x509 import crl, ocsp, sct
from scanner.x509.distinguished import name_text
from scanner.x509.ocsp_request import digest, key_bits
from tests.helpers import pki
from tests.helpers.pki import Issued, name, network, tlv

# A message of the TLS handshake has no more (``scanner.tls.handshake.MAX_MESSAGE``).
BYTES: Final = 255 << 10
HOST: Final = "h0.fleet0.example"
ROOT: Final = pki.root("Benchmark Root")
LEAF: Final = pki.certificate(HOST, issuer=ROOT)

Chain = tuple[bytes, ...]


def _filled(piece: Callable[[int], bytes], size: int = BYTES - 2048) -> list[bytes]:
    """Return as many different pieces as fit in ``size`` bytes."""
    found: list[bytes] = []
    total = number = 0
    while total < size:
        found.append(piece(number))
        total += len(found[-1])
        number += 1
    return found


def _leaf(**changes: Any) -> Issued:
    return pki.certificate("leaf.example", issuer=ROOT, **changes)


def _names(piece: Callable[[int], bytes]) -> Chain:
    return (_leaf(san=_filled(piece)).der,)


def _extension(dotted: str, piece: Callable[[int], bytes]) -> Chain:
    return (_leaf(extra=[pki.extension(dotted, pki.sequence(*_filled(piece)))]).der,)


def _subject(piece: Callable[[int], bytes]) -> Chain:
    return (_leaf(san=[HOST]).der, pki.authority(tlv(0x30, *_filled(piece)), ROOT).der)  # type: ignore[arg-type]


def _attribute(number: int, oid: str = "2.5.4.3") -> bytes:
    return tlv(0x31, pki.sequence(pki.oid(oid), tlv(0x0C, b"%x" % number)))


def _maze(issuers: int, depth: int, kind: str = "dns", many: int = 0, constraints: int = 0) -> Chain:
    return tuple(item.der for item in _issued_maze(issuers, depth, kind, many, constraints))


def _issued_maze(issuers: int, depth: int, kind: str = "dns", many: int = 0, constraints: int = 0) -> list[Issued]:
    """Return two levels of issuers that share a name and key, below a line of CAs with constraints, without a root."""
    kinds_of_subtrees: dict[str, Callable[[int], str | bytes]] = {
        "directory": lambda n: tlv(0xA4, name(CN=f"z{n:x}")),
        "address": lambda n: network(f"192.{n >> 8}.{n & 255}.0/24"),
        "dns": lambda n: f"z{n}.test",
    }
    kinds_of_names: dict[str, Callable[[int], str | bytes]] = {
        "directory": lambda n: tlv(0xA4, name(CN=f"{n:x}")),
        "address": lambda n: f"IP:10.{n >> 16}.{n >> 8 & 255}.{n & 255}",
        "dns": lambda n: f"n{n}.example",
    }
    subtrees, names = kinds_of_subtrees[kind], kinds_of_names[kind]
    extra = [pki.name_constraints(excluded=[subtrees(n) for n in range(constraints)])] if constraints else []
    above, line = pki.root("Nowhere"), []
    for place in reversed(range(depth)):
        above = pki.authority(f"D{place}", above, extra=extra)
        line.append(above)
    first = [pki.authority("B", above, serial=100 + place) for place in range(issuers)]
    second = [pki.authority("A", first[0], serial=200 + place) for place in range(issuers)]
    leaf = pki.certificate("leaf.example", issuer=second[0], san=[HOST, *[names(n) for n in range(many)]])
    return [leaf, *second, *first, *reversed(line)]


def _mesh(size: int) -> Chain:
    authorities = [pki.root(f"Mesh {number}") for number in range(size)]
    leaf = pki.certificate(HOST, issuer=authorities[0])
    mesh = [
        pki.authority(f"Mesh {lower}", authorities[upper], private=authorities[lower].private)
        for lower in range(size)
        for upper in range(size)
        if lower != upper
    ]
    return tuple(item.der for item in (leaf, *mesh))


def _slow_keys(bits: int, exponent_bits: int, count: int = 60) -> Chain:
    """Return CAs with the name of the leaf's issuer, each with another key that is slow to verify with."""
    flood = []
    for number in range(count):
        modulus = (1 << bits - 1) + (1 << 64) + 2 * number + 1
        exponent = (1 << exponent_bits - 1) + 1 if exponent_bits > 17 else 65537
        key = pki.sequence(
            pki.sequence(pki.oid("1.2.840.113549.1.1.1"), tlv(0x05)),
            pki.bit_string(pki.sequence(pki.integer(modulus), pki.integer(exponent))),
        )
        flood.append(pki.authority("Dear", ROOT, public_key=key, without=["ski", "aki"]))
    signer = rsa.generate_private_key(65537, bits if bits <= 4096 else 4096)
    leaf = pki.certificate(HOST, issuer=flood[0], signed_by=signer, without=["aki"])
    return tuple(item.der for item in (leaf, *flood))


def _curve_keys(kind: str) -> Chain:
    flood = [pki.authority("Dear", ROOT, private=pki.key(f"dear {n}", kind), without=["ski"]) for n in range(60)]
    return tuple(item.der for item in (pki.certificate(HOST, issuer=flood[-1], without=["aki"]), *flood))


def _self_issued(count: int = 90) -> Chain:
    flood = [pki.root(f"Self {n}", private=pki.key(f"self {n}", "ec:P-521")) for n in range(count)]
    return tuple(item.der for item in (pki.certificate(HOST, issuer=ROOT), *flood))


def _constrained_line(depth: int = 28, each: int = 5500) -> Chain:
    """Return a line of CAs, each with as many name constraints as fit."""
    above, line = ROOT, []
    for place in range(depth):
        excluded: list[str | bytes] = [tlv(0xA4, content) for content in _filled(lambda n: name(CN=f"{n:x}"), each)]
        above = pki.authority(f"D{place}", above, extra=[pki.name_constraints(excluded=excluded)])
        line.append(above)
    return tuple(item.der for item in (pki.certificate(HOST, issuer=above), *reversed(line)))


def _differently_encoded_names(count: int = 30) -> Chain:
    """Return CAs none of whose subjects is byte-identical to the issuer's name, so that all are compared as names."""
    long = [tlv(0x30, *_filled(_attribute, 7000), _attribute(n, "2.5.4.10")) for n in range(count)]
    flood = [pki.authority(subject, ROOT) for subject in long]  # type: ignore[arg-type]
    return tuple(item.der for item in (pki.certificate(HOST, issuer=ROOT, issuer_name=name(CN="x")), *flood))


def chains() -> Iterator[tuple[str, Chain]]:
    """Yield (label, certificates of one server) for everything that is expensive in certificates."""
    for kind in ("directory", "address", "dns"):
        yield f"maze 4 x 4 x 2, 300 excluded x 800 names ({kind})", _maze(4, 2, kind, 800, 300)
        yield f"maze 24 x 24 x 10, 300 excluded x 800 names ({kind})", _maze(24, 10, kind, 800, 300)
    yield "maze 24 x 24 x 10, unconstrained", _maze(24, 10)
    yield "mesh of 8 CAs, each signed by all others", _mesh(8)
    yield "60 namesakes with RSA keys of 8192 bits", _slow_keys(8192, 17)
    yield "60 namesakes with RSA exponents of 3000 bits", _slow_keys(3072, 3000)
    yield "60 namesakes with P-521 keys", _curve_keys("ec:P-521")
    yield "90 self-signed certificates with P-521 keys", _self_issued()
    yield "28 CAs with 8 kB of excluded names each", _constrained_line()
    yield "30 subjects of 7 kB, none as named", _differently_encoded_names()
    yield "dNSNames of 1 letter", _names(lambda n: tlv(0x82, b"%c" % (97 + n % 26)))
    yield "dNSNames of 9 letters", _names(lambda n: tlv(0x82, b"%09d" % n))
    yield "dNSNames of 126 labels", _names(lambda n: tlv(0x82, b"a." * 120 + b"%05d" % n))
    yield "dNSNames that are not ASCII", _names(lambda n: tlv(0x82, b"\xff%x" % n))
    yield "wildcards", _names(lambda n: tlv(0x82, b"*.%x.fleet0.example" % n))
    yield "one dNSName of all bytes", (_leaf(san=[tlv(0x82, b"a." * 126_000)]).der,)
    yield "iPAddresses (4)", _names(lambda n: tlv(0x87, struct.pack(">I", n)))
    yield "iPAddresses (16)", _names(lambda n: tlv(0x87, bytes(12) + struct.pack(">I", n)))
    yield "directoryNames in subjectAltName", _names(lambda n: tlv(0xA4, name(CN=f"{n:x}")))
    yield "a subject of common names", _subject(_attribute)
    yield "a subject of unknown attributes", _subject(lambda n: _attribute(n, f"1.2.{n + 1}.{n + 7}"))
    yield "purposes", _extension("2.5.29.37", lambda n: pki.oid(f"1.2.{n + 1}"))
    yield "caIssuers", _extension("1.3.6.1.5.5.7.1.1", partial(_access, "1.3.6.1.5.5.7.48.2"))
    yield "distribution points", _extension("2.5.29.31", _point)
    yield "empty distribution points", _extension("2.5.29.31", lambda n: tlv(0x30))
    yield (
        "elements nested 60,000 deep",
        (_leaf(extra=[pki.extension("2.5.29.17", _nested(60_000))], without=["san"]).der,),
    )
    yield "an extension 20,000 times", (_leaf(extra=[pki.extension("2.5.29.15", b"\x03\x02\x07\x80")] * 18_000).der,)
    yield "a serial number of all bytes", (_leaf(serial=tlv(0x02, b"\x7f" * (BYTES - 2048))).der,)
    yield "a negative serial number of all bytes", (_leaf(serial=tlv(0x02, b"\x80" * (BYTES - 2048))).der,)
    yield "SCTs", (_leaf(extra=[_scts()]).der, ROOT.der)
    yield "100 certificates that are none", tuple(b"\x30\x82\x0a\x00" + bytes(2560) for _ in range(100))


def _access(method: str, number: int) -> bytes:
    return pki.sequence(pki.oid(method), tlv(0x86, b"http://%x/" % number))


def _point(number: int) -> bytes:
    return pki.sequence(tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://%x/" % number))))


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = tlv(0x30, content)
        if len(content) > BYTES - 4096:
            break
    return content


def _scts() -> bytes:
    one = b"\x00" + bytes(32) + bytes(8) + b"\x00\x00" + b"\x04\x03\x00\x46" + bytes(70)
    packed = (struct.pack(">H", len(one)) + one) * (65_000 // (len(one) + 2))
    return pki.extension("1.3.6.1.4.1.11129.2.4.2", pki.octets(struct.pack(">H", len(packed)) + packed))


# --- other messages --------------------------------------------------------------------------------


def _ocsp_entries() -> Callable[[], object]:
    moment = b"20261123120000Z"
    identifier = pki.sequence(pki.sequence(pki.oid("1.3.14.3.2.26")), pki.octets(bytes(20)), pki.octets(bytes(20)))

    def single(number: int) -> bytes:
        return pki.sequence(tlv(0x30, identifier[2:], pki.integer(number)), tlv(0x80), tlv(0x18, moment))

    return _ocsp(pki.sequence(*_filled(single)), b"")


def _ocsp_certificates() -> Callable[[], object]:
    signer = pki.certificate("r", issuer=ROOT, san=_filled(lambda _: tlv(0x82, b"a"), 24_000))
    identifier = pki.sequence(
        pki.sequence(pki.oid("1.3.14.3.2.26")),
        pki.octets(digest("sha1", ROOT.subject_der)),
        pki.octets(digest("sha1", key_bits(ROOT.parsed))),
        pki.integer(int(LEAF.parsed.serial, 16)),
    )
    single = pki.sequence(identifier, tlv(0x80), tlv(0x18, b"20261123120000Z"))
    return _ocsp(pki.sequence(single), tlv(0xA0, pki.sequence(*[signer.der] * 10)))


def _ocsp(singles: bytes, certificates: bytes) -> Callable[[], object]:
    data = pki.sequence(tlv(0xA1, pki.name(CN="r")), tlv(0x18, b"20261123120000Z"), singles)
    basic = pki.sequence(data, pki.algorithm(ROOT.private), pki.bit_string(bytes(70)), certificates)
    inner = pki.sequence(pki.oid("1.3.6.1.5.5.7.48.1.1"), pki.octets(basic))
    whole = pki.sequence(tlv(0x0A, b"\x00"), tlv(0xA0, inner))
    leaf = LEAF.parsed

    def verify() -> None:
        try:
            ocsp.verify_untrusted(whole, leaf, ROOT.parsed)
        except ocsp.OcspError:
            return

    return verify


def _crl(row: Callable[[int], bytes]) -> Callable[[], object]:
    moment = tlv(0x17, b"261123120000Z")
    scheme = pki.algorithm(ROOT.private)
    tbs = pki.sequence(pki.integer(1), scheme, ROOT.subject_der, moment, moment, pki.sequence(*_filled(row)))
    data = pki.sequence(tbs, scheme, pki.bit_string(pki.sign(ROOT.private, tbs)))
    leaf = pki.certificate(HOST, issuer=ROOT).parsed

    def look_up() -> None:
        try:
            found = crl.load_crl_untrusted(data)
            for _ in range(20):  # beyond SEARCHES an index is made
                crl.look_up_untrusted(found, leaf, ROOT.parsed, None)
        except crl.CrlError:
            return

    return look_up


def _revoked(number: int, extra: bytes = b"") -> bytes:
    return pki.sequence(pki.integer(number), tlv(0x17, b"261123120000Z"), extra)


def _records(record: bytes) -> Callable[[], object]:
    data = record * (BYTES // len(record))

    def read() -> None:
        buffer = RecordBuffer()
        for at in range(0, len(data), 1400):
            for _ in buffer.split_untrusted(data[at : at + 1400]):
                pass

    return _swallow(read)


def _dns(kind: str, data: bytes) -> Callable[[], object]:
    """Return a call that reads an answer of 64 kB: as many records of one type as fit."""
    rdtype = dns.rdatatype.from_text(kind)
    wire = dns.name.from_text(HOST).to_wire() or b""
    record = b"\xc0\x0c" + struct.pack(">HHIH", rdtype, 1, 300, len(data)) + data
    count = min(60_000 // len(record), 500)  # more are refused unread
    header = struct.pack(">HHHHHH", 1, 0x8180, 1, count, 0, 0)
    message = header + wire + struct.pack(">HH", rdtype, 1) + record * count
    question = DnsQuestion(HOST, rdtype, wire + struct.pack(">HH", rdtype, 1))

    def read() -> None:
        if read_short_untrusted(message, question) is None:
            _swallow(read_long_untrusted, message, question)()

    return read


def _words(line: bytes) -> Callable[[], object]:
    """Return a call that reads an endless SMTP greeting in pieces, as they come from the network."""
    data = line * (BYTES // len(line))

    def talk() -> None:
        words = dialogue("smtp", host=HOST)
        assert words is not None
        for at in range(0, len(data), 1400):
            words.receive_data(data[at : at + 1400])
            if not isinstance(words.outcome, NeedData):
                return

    return talk


def others() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield (label, call) for everything that is expensive in other messages."""
    yield "OCSP: 256 kB of entries", _ocsp_entries()
    yield "OCSP: 10 certificates of 24 kB", _ocsp_certificates()
    yield "CRL: entries", _crl(_revoked)
    critical = pki.sequence(pki.extension("2.5.29.21", b"\x0a\x01\x01", critical=True))
    yield "CRL: entries with critical extensions", _crl(lambda n: _revoked(n, critical))
    scts = b"\x00\x00" * 32_000
    yield "TLS: 32,000 empty SCTs", _swallow(sct.list_untrusted, struct.pack(">H", len(scts)) + scts)
    cas = struct.pack(">H", 2) + b"\x30\x00"
    block = cas * (65_000 // len(cas))
    extension = struct.pack(">HHH", 47, len(block) + 2, len(block)) + block
    body = b"\x00" + struct.pack(">H", len(extension)) + extension
    yield "TLS: 16,000 names of CAs", _swallow(messages.certificate_request_untrusted, body, 0x0304)
    dear = tlv(0x30, *_filled(_attribute, 60_000))
    yield "TLS: a CA's name of 60 kB", partial(name_text, dear)
    many = struct.pack(">I", 0)[1:] * 80_000
    yield (
        "TLS: 80,000 empty certificates",
        _swallow(partial(messages.certificate_untrusted, tls13=False), struct.pack(">I", len(many))[1:] + many),
    )
    empty = b"\xab\xcd\x00\x00" * 16_000
    yield "TLS: 16,000 empty extensions", _swallow(messages.extensions_untrusted, empty, "test")
    yield "TLS: records of 1 byte", _records(b"\x16\x03\x03\x00\x01a")
    yield "TLS: empty records", _records(b"\x16\x03\x03\x00\x00")
    yield "HTTP: 60,000 header lines", _swallow(read_http_untrusted, b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 65_000)
    yield "HTTP: one header of 256 kB", _swallow(read_http_untrusted, b"HTTP/1.1 200 OK\r\na: " + b"b" * BYTES)
    yield "DNS: 500 A records", _dns("A", bytes(4))
    yield "DNS: 500 AAAA records", _dns("AAAA", bytes(16))
    yield "DNS: 500 CAA records", _dns("CAA", b"\x00\x05issue")
    yield "CAA: a set of 5,000 records", partial(caa_set_untrusted, [b"\x00\x05issue\xff" * 1] * 5000)
    yield "STARTTLS: lines without an end", _words(b"220-x\r\n")
    yield "STARTTLS: one line without an end", _words(b"2")
    texts = tuple(f"{'a' * 100}{n}.fleet0.example" for n in range(2000))
    yield "nearest of 2,000 names of 120 letters", partial(nearest_names, texts, "a" * 200 + ".fleet0.example")


def _swallow(read: Callable[..., object], *arguments: object) -> Callable[[], object]:
    """Return a call that ignores the reader's errors, but not mistakes in this file."""

    def call() -> None:
        try:
            read(*arguments)
        except (TypeError, AttributeError, NameError):
            raise
        except Exception:
            return

    return call


def _seconds(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


# --- beside healthy targets ------------------------------------------------------------------------


class _LongestStep(trio.abc.Instrument):
    """Records the most CPU seconds of one task step; wall time would depend on the load of the machine."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._since = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._since = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.longest = max(self.longest, time.thread_time() - self._since)


def serve() -> None:
    """Run a TLS server on loopback for each PEM file named on standard input, and print the ports."""
    given = json.load(sys.stdin.buffer)

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with contextlib.suppress(trio.BrokenResourceError, ssl.SSLError, trio.TooSlowError), trio.fail_after(10):
            await stream.do_handshake()
            await stream.receive_some(1)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            ports = []
            for path in given:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(path)
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                ports.append(listener.socket.getsockname()[1])
                nursery.start_soon(trio.serve_listeners, answer, [trio.SSLListener(listener, context)])
            print(json.dumps(ports), flush=True)

    trio.run(main)


def with_hostile_targets(*, rounds: int, healthy: int = 500) -> dict[str, Any]:
    """Scan healthy targets alone and together with ten hostile ones; measure wall time and the longest task step."""
    title = f"{healthy} healthy targets, alone and beside ten hostile ones; {rounds} rounds"
    print(f"\n{title}", flush=True)
    fleet = pki.certificate("fleet", issuer=ROOT, san=["*.fleet.example"], not_after=time.time() + 90 * 86400)
    shapes = [(kind, *shape) for kind in ("directory", "address", "dns") for shape in ((4, 2), (24, 10), (24, 3))]
    mazes = [_issued_maze(issuers, depth, kind, 800, 200) for kind, issuers, depth in shapes]
    mazes.append(_issued_maze(24, 8))
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for number, chain in enumerate([[fleet], *mazes]):
            paths.append(str(Path(directory) / f"{number}.pem"))
            Path(paths[-1]).write_text(pki.pem(*chain) + chain[0].key_pem)
        command = [sys.executable, "-c", "from benchmarks.hostile import serve; serve()"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert server.stdin is not None and server.stdout is not None
            server.stdin.write(json.dumps(paths).encode())
            server.stdin.close()
            ports = json.loads(server.stdout.readline())
            spent: dict[str, list[tuple[float, float]]] = {"alone": [], "beside": []}
            for _ in range(rounds):
                for variant, some in spent.items():
                    some.append(_scan(ports if variant == "beside" else ports[:1], healthy))
        finally:
            server.terminate()
            server.wait()
    middle = {variant: statistics.median(wall for wall, _ in some) for variant, some in spent.items()}
    ratio = statistics.median(b[0] / a[0] for a, b in zip(spent["alone"], spent["beside"], strict=True))
    stretches = {variant: max(stretch for _, stretch in some) * 1e3 for variant, some in spent.items()}
    rows = [(variant, f"{middle[variant]:.2f}", f"{stretches[variant]:.0f}") for variant in spent]
    print(table(("", "wall s", "longest stretch ms"), rows))
    print(f"beside / alone: {ratio:.2f}")
    return {"title": title, "seconds": middle, "ratio": ratio, "stretches": stretches}


def _scan(ports: list[int], healthy: int) -> tuple[float, float]:
    rows = [
        Target(number, f"h{number}.fleet.example", ports[0], "tls", f"h{number}.fleet.example", "127.0.0.1")
        for number in range(healthy)
    ]
    for number, port in enumerate(ports[1:]):
        rows.insert(number * 40, Target(healthy + number, HOST, port, "tls", HOST, "127.0.0.1"))
    outcomes: Counter[str] = Counter()
    stretches = _LongestStep()
    config = ScanConfig(revocation="off", concurrency=100, retries=0)

    def emit(finding: Finding) -> None:
        dumps_line(finding)
        if finding["target"]["row"] < healthy:
            outcomes[finding["outcome"]] += 1

    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))

    async def main() -> None:
        async with open_run(
            config,
            RunInputs(),
            make_judgement(config, RunInputs(), verifier, run_id="bench"),
            Callbacks(on_finding=emit),
        ) as run:
            await run.run(iter(rows))

    begun = time.perf_counter()
    trio.run(main, instruments=[stretches])
    wall = time.perf_counter() - begun
    assert outcomes == {"ok": healthy}, outcomes
    return wall, stretches.longest


def hostile(*, rounds: int = 3) -> list[dict[str, Any]]:
    """Measure each input in some rounds, each with a new verifier, and print the least."""
    title = f"What 256 KB of one peer can cost: CPU milliseconds, the least of {rounds} rounds"
    print(f"\n{title}", flush=True)
    mozilla = load_store("mozilla")
    rows: list[tuple[str, float, float, float, str]] = []
    for label, chain in chains():
        assert sum(map(len, chain)) <= BYTES * 1.3, (label, sum(map(len, chain)))
        best = [float("inf")] * 3
        problems = ""
        for _ in range(rounds):
            verifier = ChainVerifier([mozilla], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
            scan, _ = make_variant(verifier, None, "off")
            evidence = make_evidence(0, chain, ())
            (endpoint,) = evidence.endpoints
            assert endpoint.probe.flight is not None
            parts = endpoint.probe.flight.certificates
            read = _seconds(lambda: verifier.leaf_key(parts[0]))  # noqa: B023
            judged = _seconds(lambda: TargetJudgement(scan.judgement).next_question(evidence.target, endpoint, AT))  # noqa: B023
            verdicts = scan.judgement.verdicts(evidence)
            assert verdicts[0] is not None
            problems = ",".join({item.code for item in verdicts[0].stores["mozilla"].problems})
            written = _seconds(lambda: scan._conclude(Observed(evidence, False, verdicts), final=True))  # noqa: B023
            best = [min(old, new) for old, new in zip(best, (read, judged, written), strict=True)]
        rows.append((label, best[0] * 1e3, best[1] * 1e3, best[2] * 1e3, problems))
    for label, call in others():
        rows.append((label, min(_seconds(call) for _ in range(rounds)) * 1e3, 0.0, 0.0, ""))
    shown = [(label, f"{a:.1f}", f"{b:.1f}", f"{c:.1f}", problems) for label, a, b, c, problems in rows]
    print(table(("", "reading", "judging", "writing", "problems"), shown))
    return [{"title": title, "rows": rows}, with_hostile_targets(rounds=rounds)]
