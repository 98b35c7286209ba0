"""Any bytes in place of a certificate, staple, CRL, SCT, cookie, finding or configuration are parsed to a value or raise the
reader's one error, never another exception; and the resulting finding can be written.

By hand: ``python -m tests.fuzz.fuzz_readers --seconds 600``; a failure prints the ``--case`` that reproduces it.

DER is changed as a tree, so that changes are deep inside while the lengths around them fit, and then as bytes.
Certificates, OCSP responses and CRLs are mostly signed again, since what does not verify is not read any further.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import click
import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7

from scanner.cli.options import _read_config
from scanner.cli.scan import scan as scan_command
from scanner.codec.decode import RecordedError
from scanner.diagnosis.case import Context
from scanner.diagnosis.finding import finding_of as judged
from scanner.diagnosis.recorded import evidence_of
from scanner.errors import UsageProblem
from scanner.fleet.correlate.fold import Fold
from scanner.fleet.correlate.gather import facts_of
from scanner.fleet.stats.fleet_correlation import seen_of
from scanner.fleet.stats.fleet_stats import FleetStats
from scanner.model.evidence import Evidence, FetchedIssuer
from scanner.model.findings import Finding
from scanner.net.http.response import NotHttp, read_answer_untrusted
from scanner.net.http.url_policy import UrlRefused, read_url_untrusted
from scanner.net.lookups.sources import bundle_untrusted
from scanner.net.sntp import NtpError, read_untrusted
from scanner.output import dumps_line
from scanner.output.reader import finding_of
from scanner.starttls import dialogue
from scanner.tls import constants as c
from scanner.tls import messages, offers
from scanner.tls.plaintext import recognise
from scanner.tls.wire import DecodeError, u16, vector8, vector16, vector24
from scanner.trust.ct_logs import log_list_untrusted
from scanner.trust.file_chains import leaf_position, ordered_chain
from scanner.trust.revocation import judge_crl, judge_ocsp_untrusted
from scanner.trust.transparency import Transparency
from scanner.trust.verifier import ChainVerifier
from scanner.x509 import crl, ocsp, sct
from scanner.x509.certificate import Certificate, CertificateError, describe
from scanner.x509.certificate_files import ChainFileError, chain_file_untrusted
from scanner.x509.crl import CrlError
from scanner.x509.ocsp import OcspError
from scanner.x509.sct import SctError
from tests.fuzz.fuzz_handshake import change_bytes
from tests.helpers import evidence, pki, revocation, scts
from tests.tls.peers import RANDOM, client, message, record

# The most calls, of Python and C functions, that reading one case may take; 500,000 were seen.
MAX_CALLS: Final = 5_000_000
# Values that replace a number, a text or a time.
CONTENTS: Final = (
    b"", b"\0", b"\x7f", b"\x80", b"\xff" * 9, b"\x01" + bytes(3000), b"\xff" + bytes(5000), b"99991231235959Z", b"00000101000000Z",
    b"20260230000000Z", b"\xed\xa0\x80", b"\x06\x01\x80", b"a" * 70000, b"\x2a" * 127, b"*.", b"..", b"xn--\xff", b"http://[", b"ldap:///%",
)  # fmt: skip
TAGS: Final = (
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x0A,
    0x0C,
    0x13,
    0x16,
    0x17,
    0x18,
    0x1C,
    0x1E,
    0x30,
    0x31,
    0x80,
    0x82,
    0x86,
    0xA0,
    0xA1,
    0xA3,
)


class Violation(AssertionError):
    """The invariant is violated."""


# --- changing DER ----------------------------------------------------------------------------------


class Node(NamedTuple):
    """A DER element with its children, or its content if it has none; without a tag, the content is the whole encoding."""

    tag: int | None
    content: bytes
    children: list[Node]

    def encoded(self) -> bytes:
        """Return the encoding of the element."""
        if self.tag is None:
            return self.content
        return pki.tlv(self.tag, self.content, *[child.encoded() for child in self.children])


def parse(data: bytes, depth: int = 0) -> list[Node]:
    """Parse the elements of ``data``, including those inside octet and bit strings."""
    found = []
    at = 0
    while at < len(data):
        tag, length, start = data[at], data[at + 1], at + 2
        if length >= 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[start : start + count], "big")
            start += count
        content = data[start : start + length]
        if len(content) < length:
            raise ValueError
        children: list[Node] = []
        # a bit string starts with the number of unused bits
        skipped = 1 if tag == 0x03 else 0
        if depth < 20 and content and (tag & 0x20 or tag == 0x04 or (tag == 0x03 and content[:1] == b"\0")):
            try:
                children = parse(content[skipped:], depth + 1)
            except (ValueError, IndexError):
                children = []
        found.append(Node(tag, content[:skipped] if children else content, children))
        at = start + length
    return found


def _nodes(node: Node) -> list[tuple[Node, int]]:
    """Yield (parent, index) of every element below ``node``."""
    found = []
    for place, child in enumerate(node.children):
        found.append((node, place))
        found += _nodes(child)
    return found


def change_tree(random: Random, data: bytes) -> bytes:
    """Change some elements of a DER encoding; the lengths around them fit."""
    (top,) = parse(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        places = _nodes(top)
        if not places:
            break
        parent, at = random.choice(places)
        child = parent.children[at]
        whole = child.encoded()
        tag = whole[0] if whole else 0
        match random.randrange(10):
            case 0:
                del parent.children[at]
            case 1:
                parent.children[at:at] = [Node(None, whole, [])] * random.choice((1, 2, 200))
            case 2:
                parent.children[at] = Node(random.choice(TAGS), child.content, child.children)
            case 3:
                for _ in range(random.choice((1, 3, 300))):
                    whole = pki.tlv(0x30, whole)
                parent.children[at] = Node(None, whole, [])
            case 4:
                other, there = random.choice(places)
                parent.children[at] = Node(None, other.children[there].encoded(), [])
            case 5:
                parent.children[at] = Node(tag, change_bytes(random, whole[2:]), [])
            case 6:
                parent.children[at] = Node(tag, random.randbytes(random.randrange(40)), [])
            case _:
                parent.children[at] = Node(tag, random.choice(CONTENTS), [])
    return top.encoded()


def change(random: Random, data: bytes) -> bytes:
    """Change an encoding as a tree, as bytes, or both."""
    chance = random.random()
    if chance < 0.85:
        data = change_tree(random, data)
    if chance > 0.8:
        data = change_bytes(random, data)
    return data[: 1 << 19]


def signed(random: Random, data: bytes, private: pki.PrivateKey) -> bytes:
    """Return SIGNED{}: its first element changed and signed again, the rest mostly unchanged."""
    (top,) = parse(data)
    if len(top.children) < 3 or random.random() < 0.2:
        return change(random, data)
    first = change(random, top.children[0].encoded())
    signature = pki.bit_string(pki.sign(private, first))
    return pki.sequence(first, pki.algorithm(private), signature, *[each.encoded() for each in top.children[3:]])


# --- inputs ----------------------------------------------------------------------------------------

WORLD: Final = revocation.World()
URL: Final = revocation.URL


@cache
def _log() -> scts.Log:
    return scts.Log("Fuzz", "Operator")


@cache
def _leaf() -> pki.Issued:
    """Return a leaf with every part that is parsed."""
    return scts.with_scts(
        [_log()],
        evidence.HOST,
        issuer=evidence.issuing(),
        san=[evidence.HOST, "192.0.2.1", "*.example.org"],
        extra=[
            pki.authority_info_access(issuers=["http://aia.test/ca"], ocsp=["http://ocsp.test"]),
            revocation.points(URL),
            revocation.MUST_STAPLE,
            pki.extension("2.5.29.32", pki.sequence(pki.sequence(pki.oid("2.23.140.1.2.1")))),
        ],
    )


@cache
def _authority() -> pki.Issued:
    """Return a CA with all constraints on what is below it."""
    directory = pki.tlv(0xA4, pki.name(O="Fuzz"))
    permitted: list[str | bytes] = ["DNS:example.org", pki.network("192.0.2.0/24"), "email:example.org", directory]
    excluded: list[str | bytes] = ["DNS:other.test.", "URI:.other.test", pki.tlv(0x88, b"\x2a\x03")]
    policies = [pki.sequence(pki.oid("2.5.29.32.0")), pki.sequence(pki.oid("1.2.3.4"))]
    extra = [
        pki.name_constraints(permitted=permitted, excluded=excluded),
        pki.extension("2.5.29.32", pki.sequence(*policies), critical=True),
        pki.extension("2.5.29.33", pki.sequence(pki.sequence(pki.oid("1.2.3.4"), pki.oid("1.2.3.5")))),
        pki.extension("2.5.29.36", pki.sequence(pki.tlv(0x80, b"\1"), pki.tlv(0x81, b"\2"))),
        pki.extension("2.5.29.54", pki.integer(1)),
    ]
    return pki.certificate("Fuzz CA", issuer=evidence.root(), ca=True, path_length=0, extra=extra)


@cache
def _verifier() -> ChainVerifier:
    return evidence.verifier(public=True)


@cache
def _transparency() -> Transparency:
    return Transparency(log_list_untrusted(orjson.dumps(scts.log_list(_log())), "fuzz"))


def _finding(random: Random, seen: Evidence) -> Finding:
    """Return the finding of evidence, through verification and diagnosis, encoded as a line."""
    verdicts = evidence.verdicts(seen, _verifier())
    context = Context(at=evidence.AT, transparency=_transparency())
    found = judged(seen, verdicts, context, "fuzz", facts=facts_of(seen, verdicts, _transparency()))
    if "error" in found:
        raise Violation(found["error"])
    orjson.dumps(found)  # which refuses what JSON cannot represent
    line = dumps_line(found)
    if random.random() < 0.2:
        _read_finding(line)
    return found


def _seen(certificates: Sequence[bytes], **changes: Any) -> Evidence:
    return evidence.evidence(evidence.answered(certificates, **changes))


def _read_finding(line: bytes) -> None:
    """Read a finding like ``stats`` and ``diagnose`` do."""
    found = finding_of(line)
    if isinstance(found, str):
        return
    statistics = FleetStats(("owner",))
    statistics.add(found)
    orjson.dumps(statistics.to_json())
    told = seen_of(found)
    fold = Fold()
    fold.add(None if told is None else told.facts)
    fold.verdict()
    if found["outcome"] == "invalid":
        return
    try:
        seen = evidence_of(found, _known().get)
    except RecordedError:
        return
    verdicts = evidence.verdicts(seen, _verifier())
    orjson.dumps(judged(seen, verdicts, Context(at=seen.started), "fuzz"))


@cache
def _known() -> dict[str, bytes]:
    return {each.sha256: each.der for each in (_leaf(), evidence.leaf(), evidence.issuing(), evidence.root())}


def _certificate(random: Random) -> None:
    if random.random() < 0.6:
        leaf, issuer = signed(random, _leaf().der, evidence.issuing().private), evidence.issuing().der
    else:
        issuer = signed(random, _authority().der, evidence.root().private)
        leaf = pki.certificate(evidence.HOST, issuer=_authority()).der
    for data in (leaf, issuer):
        try:
            read = Certificate.parse_untrusted(data)
        except CertificateError:
            continue
        orjson.dumps(describe(read, with_der=True))
        for reader in (sct.embedded_untrusted, sct.precertificate_untrusted):
            try:
                reader(read)
            except SctError:
                pass
    sent = [leaf, issuer] if random.random() < 0.9 else [leaf, issuer, leaf, change_bytes(random, issuer)]
    _finding(random, _seen(sent))


def _ocsp(random: Random) -> None:
    leaf, issuer = WORLD.parsed()
    good = revocation.ocsp(WORLD.leaf, WORLD.ca, random.choice(("good", "revoked", "unknown")))
    (top,) = parse(good)
    if random.random() < 0.7:
        # the BasicOCSPResponse, signed again
        octets = top.children[1].children[0].children[1]
        inner = signed(random, octets.children[0].encoded(), WORLD.ca.private)
        data = pki.sequence(
            pki.tlv(0x0A, b"\0"),
            pki.tlv(0xA0, pki.sequence(pki.oid("1.3.6.1.5.5.7.48.1.1"), pki.octets(inner))),
        )
    else:
        data = change(random, random.choice((good, revocation.refusal(6))))
    for read in (ocsp.parse_untrusted, lambda bytes_: ocsp.verify_untrusted(bytes_, leaf, issuer)):
        try:
            read(data)
        except OcspError as error:
            if len(str(error)) > 5000:
                raise Violation("an error without end") from error
    judge_ocsp_untrusted(data, leaf, issuer, pki.NOW, "http://ocsp.test")
    try:
        sct.stapled_untrusted(data, leaf)
    except SctError:
        pass
    staple = data if random.random() < 0.5 else change(random, revocation.ocsp(_leaf(), evidence.issuing()))
    _finding(random, _seen([_leaf().der, evidence.issuing().der], ocsp_response=staple))


def _crl(random: Random) -> None:
    leaf, issuer = WORLD.parsed()
    entries = [revocation.entry(int(leaf.serial, 16) + random.choice((0, 0, 1)), reason=1), revocation.entry(5)]
    good = revocation.crl(WORLD.ca, *entries, extensions=[revocation.issuing_point(URL, reasons=["keyCompromise"])])
    data = signed(random, good, WORLD.ca.private)
    try:
        read = crl.load_crl_untrusted(data)
        judge_crl(read, leaf, issuer, pki.NOW, URL)
        crl.look_up_untrusted(read, leaf, issuer, URL)
    except CrlError:
        pass


@cache
def _bundle() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = [x509.load_der_x509_certificate(each.der) for each in (evidence.issuing(), evidence.root())]
        return pkcs7.serialize_certificates(both, Encoding.DER)


def _pkcs7(random: Random) -> None:
    data = change(random, random.choice((_bundle(), evidence.issuing().der)))
    if random.random() < 0.2:
        data = change_bytes(
            random, pki.pem(data).replace("CERTIFICATE", random.choice(("PKCS7", "CERTIFICATE"))).encode()
        )
    try:
        file = chain_file_untrusted(data, "a file")
    except ChainFileError:
        pass
    else:
        ordered_chain(file.certificates, leaf_position(file.certificates, file.keys, "www.example.org"))
    bundle = bundle_untrusted(data, "text/html")
    fetched = FetchedIssuer(_leaf().sha256, "http://aia.test", tuple(each.der for each in bundle.certificates))
    if fetched.certificates:
        _verifier().intermediates.learn_fetched(bundle.certificates[0], _leaf().parsed)


def _file(random: Random) -> None:
    """Chain files of several kinds, some of which are no chain files."""
    parts = [
        evidence.leaf().pem,
        evidence.issuing().pem,
        evidence.leaf().key_pem,
        "\ufeff",
        "-----",
        "\n",
        " ",
        "x: y\n",
    ]
    text = "".join(random.choices(parts, k=random.randrange(1, 8)))
    if random.random() < 0.3:
        text = text.replace("\n", random.choice(("\r\n", "\r", "\n\n", "")), random.randrange(1, 40))
    content = text.encode(random.choice(("utf-8", "utf-8", "utf-8", "utf-16")))
    if random.random() < 0.2:
        content = base64.b64encode(content)
    if random.random() < 0.2:
        private = evidence.leaf().private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        content = random.choice((private, private + evidence.leaf().der, evidence.leaf().der + evidence.issuing().der))
    try:
        file = chain_file_untrusted(change_bytes(random, content), "a file")
    except ChainFileError as error:
        assert "\n" not in str(error)
    else:
        position = leaf_position(file.certificates, file.keys)
        assert sorted(ordered_chain(file.certificates, position)) == sorted(file.certificates)


def _sct(random: Random) -> None:
    entry = scts.x509_entry(_leaf().der)
    good = scts.sct_list([_log().sct(entry, random.choice((0, pki.NOW - 1, pki.NOW + 1e9, 1e16))) for _ in range(2)])
    data = change_bytes(random, good)
    for read in (sct.list_untrusted, sct.sct_untrusted):
        try:
            read(data)
        except SctError:
            pass
    try:
        listed = messages.sct_list_untrusted(data)
    except DecodeError:
        listed = (data, change_bytes(random, _log().sct(entry, pki.NOW)))
    _finding(random, _seen([_leaf().der, evidence.issuing().der], scts=listed))


def _cookie(random: Random) -> None:
    size = random.choice((0, 1, 40, 4096, 16_384, 60_000, 64_000, 65_400, 65_520, 65_531, 65_533))
    cookie = vector16(random.randbytes(size))
    if random.random() < 0.2:
        cookie = change_bytes(random, cookie)
    block = u16(c.EXT_SUPPORTED_VERSIONS) + vector16(u16(offers.TLS13))
    extensions = block if size > 65_000 else block + u16(c.EXT_KEY_SHARE) + vector16(u16(offers.SECP256R1))
    extensions += u16(c.EXT_COOKIE) + len(cookie).to_bytes(3, "big")[1:] + cookie
    body = u16(offers.TLS12) + c.HELLO_RETRY_RANDOM + vector8(RANDOM[32:64]) + b"\x13\x01\x00"
    body += (len(extensions) & 0xFFFF).to_bytes(2, "big") + extensions
    retry = message(c.SERVER_HELLO, body)
    if random.random() < 0.2:
        retry = change_bytes(random, retry)
    conn = client(offers.MODERN)
    conn.data_to_send()
    for at in range(0, len(retry), 16_000):
        conn.receive_data(record(c.HANDSHAKE, retry[at : at + 16_000]))
    sent = conn.data_to_send()
    while sent:
        length = int.from_bytes(sent[3:5], "big")
        if not length or length > 1 << 14 or len(sent) < 5 + length:
            raise Violation(f"a record of {length} bytes was sent")
        sent = sent[5 + length :]
    conn.receive_data(b"")


def _status_message(random: Random) -> None:
    body = change_bytes(random, b"\x01" + vector24(revocation.ocsp(WORLD.leaf, WORLD.ca)))
    try:
        messages.ocsp_response_untrusted(body)
    except DecodeError:
        pass


@cache
def _lines() -> tuple[bytes, ...]:
    random = Random(1)
    expired = pki.certificate(evidence.HOST, issuer=evidence.issuing(), not_after=pki.NOW - pki.DAY)
    staple = revocation.ocsp(_leaf(), evidence.issuing(), "revoked")
    seen = (
        _seen([_leaf().der, evidence.issuing().der], ocsp_response=staple),
        _seen([expired.der]),
        evidence.evidence(evidence.alerted(40)),
    )
    return tuple(orjson.dumps(_finding(random, each)) for each in seen)


# Values that replace others in a finding
STRANGE: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 1 << 62, 1e308, -1e308, "", "a", "9999-99-99", "0001-01-01T00:00:00Z", "\u0000\ud7ff", "f" * 64,
    [], {}, [[]], [None], {"a": 1}, ["x"] * 50, "0303", "nan",
)  # fmt: skip


def _change_json(random: Random, value: Any) -> Any:
    """Change one value somewhere in ``value``."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        if random.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _change_json(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        return [*value[:at], _change_json(random, value[at]), *value[at + 1 :]]
    return random.choice(STRANGE)


def _line(random: Random) -> None:
    line = random.choice(_lines())
    if random.random() < 0.8:
        value = orjson.loads(line)
        for _ in range(random.choice((1, 1, 2, 5))):
            value = _change_json(random, value)
        line = orjson.dumps(value)
    if random.random() < 0.2:
        line = change_bytes(random, line)
    if random.random() < 0.02:
        line = b'{"schema":"tlsweep/1","a":' + b"[" * 5000 + b"]" * 5000 + b"}"
    _read_finding(line)


CONFIG: Final = b"""# a run
output = "findings.ndjson"
concurrency = 500
timeout = 8.5
resolver = ["127.0.0.1", "127.0.0.2:5353"]
fail-on = ["dns", "any"]
enumerate = true
at = 2026-11-23T12:00:00Z
expiry-warning = 10
[tags]
owner = {name = "a", more = [1, 2, {b = 3}]}
"""
TOML: Final = (
    b"a = " + b"[" * 3000, b"a = " + b"9" * 5000, b"a = 0x" + b"f" * 5000, b"a = 9999-12-31T23:59:60Z", b"a = {" * 500,
    b"\xff\xfe", b"\x00",
    b"timeout = nan", b"concurrency = 1" + b"0" * 400, b"at = 0000-01-01", b"[a.b.c." + b"d." * 3000 + b"e]",
)  # fmt: skip


def _toml(random: Random) -> None:
    text = random.choice((CONFIG, CONFIG, b"timeout = 5\n"))
    if random.random() < 0.3:
        lines = text.split(b"\n")
        lines.insert(random.randrange(len(lines)), random.choice(TOML))
        text = b"\n".join(lines)
    else:
        text = change_bytes(random, text)
    with tempfile.TemporaryDirectory(prefix="tlsweep-fuzz-") as folder:
        path = Path(folder) / "config.toml"
        path.write_bytes(text)
        context = click.Context(scan_command)
        try:
            _read_config(context, scan_command.params[0], str(path))
        except UsageProblem as problem:
            if len(str(problem)) > 5000:
                raise Violation("a message without end") from problem


def _http(random: Random) -> None:
    answer = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nAge: 12\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello"
    try:
        read_answer_untrusted(change_bytes(random, answer))
    except NotHttp:
        pass


# The greetings of servers by protocol
SAID: Final = {
    "smtp": b"220 mail ESMTP\r\n250-mail\r\n250-SIZE 10\r\n250 STARTTLS\r\n220 ready\r\n",
    "imap": b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n* CAPABILITY STARTTLS\r\na1 OK done\r\na2 OK begin\r\n",
    "pop3": b"+OK hi\r\n+OK list\r\nSTLS\r\n.\r\n+OK begin\r\n",
    "sieve": b'"IMPLEMENTATION" "x"\r\n"SIEVE" {5}\r\nabcde\r\n"STARTTLS"\r\nOK\r\nOK begin\r\n',
    "ftp": b"220-hi\r\n220 there\r\n234 AUTH TLS\r\n",
    "ldap": bytes.fromhex("300c02010178070a010004000400"),
    "postgres": b"E\0\0\0\x20SFATAL\0C28000\0Mno\0\0",
    "mysql": b"\x4a\0\0\0\x0a8.0.36\0" + bytes(12) + b"\xff\xff\xff" + bytes(50),
    "xmpp": b"<?xml version='1.0'?><stream:stream version='1.0'><stream:features><starttls xmlns='urn:x'/></stream:features>",
    "nntp": b"200 hi\r\n101 list\r\nSTARTTLS\r\n.\r\n382 go\r\n",
    "irc": b":srv CAP * LS :tls sasl\r\n:srv 670 * :go\r\n",
    "rdp": bytes.fromhex("030000130ed000001234000200080002000000"),
    "mssql": bytes.fromhex("0401002b00000100000010000601001600010200170001ff") + bytes(19),
}


def _starttls(random: Random) -> None:
    protocol = random.choice(list(SAID))
    talk = dialogue(protocol, host="a.example", recognise=recognise)
    assert talk is not None
    data = change_bytes(random, SAID[protocol])
    if random.random() < 0.1:
        data = data.replace(b"1", b"9" * 5000)
    at = random.randrange(len(data) + 1)
    for piece in (data[:at], data[at:], b""):
        talk.receive_data(piece)
        talk.wrap(talk.data_to_send())
    talk.unwrap(talk.leftover + data)
    repr(talk.outcome)
    recognise(data[:512])


def _url(random: Random) -> None:
    text = random.choice(
        ("http://a.example:80/x?y#z", "https://[::1%25eth0]:443/", "http://user@xn--nxasmq6b/", "ldap:///cn=x")
    )
    text = change_bytes(random, text.encode()).decode(
        "utf-8", random.choice(("backslashreplace", "surrogateescape", "replace"))
    )
    for url in (text, text * 500, text.replace("80", "9" * 5000)):
        try:
            read_url_untrusted(url)
        except UrlRefused:
            pass


def _sntp(random: Random) -> None:
    cookie = b"12345678"
    good = bytes((0x24, 1, 0, 0)) + bytes(8) + b"GPS\0" + bytes(8) + cookie + b"\xe9" * 16
    try:
        orjson.dumps(read_untrusted(change_bytes(random, good), cookie, pki.NOW, pki.NOW + 0.01))
    except NtpError:
        pass


READERS: Final[dict[str, Callable[[Random], None]]] = {
    "certificate": _certificate,
    "ocsp": _ocsp,
    "crl": _crl,
    "pkcs7": _pkcs7,
    "file": _file,
    "sct": _sct,
    "cookie": _cookie,
    "status": _status_message,
    "line": _line,
    "toml": _toml,
    "http": _http,
    "starttls": _starttls,
    "url": _url,
    "sntp": _sntp,
}


def play(key: str) -> str:
    """Run one case, "reader-word", and return its reader. Equal keys are equal cases.

    Raises ``Violation``, and any exception of the reader that its name does not declare.
    """
    reader = key.partition("-")[0]
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        READERS[reader](Random(key))
    finally:
        sys.setprofile(before)
    if calls > MAX_CALLS:
        raise Violation(f"takes {calls} calls, more than {MAX_CALLS}")
    return reader


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cases for some time; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", default="1", help="a word that all cases of this run depend on")
    parser.add_argument("--reader", choices=READERS, action="append", help="only this one; repeatable")
    parser.add_argument("--case", help="play this one alone")
    given = parser.parse_args(arguments)
    until = time.monotonic() + given.seconds
    played: Counter[str] = Counter()
    number = 0
    names = given.reader or list(READERS)
    while time.monotonic() < until:
        key = given.case or f"{names[number % len(names)]}-{given.seed}-{number}"
        try:
            played[play(key)] += 1
        except BaseException as error:  # noqa: BLE001 - a panic in a library is not an Exception
            if isinstance(error, KeyboardInterrupt):
                break
            traceback.print_exception(error)
            sys.stdout.write(f"--case {key}\n")
            return 1
        number += 1
        if given.case:
            break
    sys.stdout.write("".join(f"{count:8} {name}\n" for name, count in played.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
