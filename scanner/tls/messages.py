"""Decoders of the server's handshake messages (RFC 8446 section 4, RFC 5246 section 7.4, RFC 6066 section 8).

A decoder takes the body of a message, without its header, and raises ``DecodeError`` alone. Code points stay numbers and
unknown extensions stay bytes.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.model.evidence import ClientAuthRequest
from scanner.tls import constants as c
from scanner.tls.key_share import fault_of_share
from scanner.tls.offers import TLS12, TLS13
from scanner.tls.wire import DecodeError, Reader, cut_short, whole_vector

# Longest chain that is kept: real ones have up to 5 or 6, curl and OpenSSL verify at most 100 deep.
MAX_CERTIFICATES: Final = 100
# type and length
_EXTENSION_HEADER: Final = struct.Struct(">HH").unpack_from
# of a ServerHello: version, random and length of the session id, which comes next; then suite and compression
_HELLO_START: Final = struct.Struct(">H32sB").unpack_from
_HELLO_CHOICE: Final = struct.Struct(">HB").unpack_from


class ServerHello(Struct, frozen=True):
    """A ServerHello or HelloRetryRequest. ``version`` is from supported_versions if that is there."""

    version: int
    random: bytes
    session_id: bytes
    suite: int
    compression: int
    extensions: dict[int, bytes]

    @property
    def is_retry(self) -> bool:
        """Whether it is a HelloRetryRequest (RFC 8446 section 4.1.4)."""
        return self.random == c.HELLO_RETRY_RANDOM and c.EXT_SUPPORTED_VERSIONS in self.extensions


def extensions_untrusted(block: bytes, what: str) -> dict[int, bytes]:
    """Decode an extension block without its length. A type that comes twice is an error (RFC 8446 section 4.2)."""
    found: dict[int, bytes] = {}
    at, end = 0, len(block)
    while at < end:
        start = at + 4
        if start > end:
            raise DecodeError(what, "ends early", at)
        kind, size = _EXTENSION_HEADER(block, at)
        at = start + size
        if kind in found:
            raise DecodeError(what, f"extension {kind} comes twice", start)
        if at > end:
            raise DecodeError(what, f"{size} bytes wanted, {end - start} left", start)
        found[kind] = block[start:at]
    return found


def server_hello_untrusted(body: bytes) -> ServerHello:
    """Decode a ServerHello of SSL 3.0 to TLS 1.3."""
    what, end = "ServerHello", len(body)
    if end < 35:
        if 2 <= end < 34:
            raise DecodeError(what, f"32 bytes wanted, {end - 2} left", 2)
        raise DecodeError(what, "ends early", 0 if end < 2 else 34)
    version, random, size = _HELLO_START(body)
    at = 35 + size
    if at > end:
        raise cut_short(body, 34, 1, what)
    if size > 32:
        raise DecodeError(what, "session id of more than 32 bytes", at)
    if at + 3 > end:
        raise DecodeError(what, "ends early", at + 2 if at + 2 == end else at)
    suite, compression = _HELLO_CHOICE(body, at)
    session_id = body[35:at]
    extensions = {}
    at += 3
    if at < end:
        start = at + 2
        stop = start + int.from_bytes(body[at:start], "big")
        if stop > end:
            raise cut_short(body, at, 2, what)
        extensions = extensions_untrusted(body[start:stop], "ServerHello extensions")
        if stop < end:
            raise DecodeError(what, f"{end - stop} bytes left over", stop)
    selected = extensions.get(c.EXT_SUPPORTED_VERSIONS)
    if selected is not None:
        if len(selected) != 2:
            raise DecodeError(what, "supported_versions is not one version", end)
        version = int.from_bytes(selected, "big")
    return ServerHello(version, random, session_id, suite, compression, extensions)


def retry_group_untrusted(body: bytes) -> int:
    """Return the group that a HelloRetryRequest asks for."""
    reader = Reader(body, "HelloRetryRequest key_share")
    group = reader.number(2)
    reader.done()
    return group


def alpn_untrusted(body: bytes) -> str:
    """Return the protocol that the server chose (RFC 7301 section 3.1); invalid UTF-8 is escaped."""
    name = whole_vector(whole_vector(body, 2, "ALPN"), 1, "ALPN")
    return name.decode("utf-8", "backslashreplace")


# Servers of one kind and configuration send the same few bytes.
@bounded_memo(256, 256)
def encrypted_extensions_untrusted(body: bytes) -> tuple[bool, str | None, tuple[int, ...]]:
    """Return (server name acknowledged, ALPN protocol, extensions that do not belong there) of EncryptedExtensions (RFC 8446
    section 4.3.1)."""
    what = "EncryptedExtensions"
    found = extensions_untrusted(whole_vector(body, 2, what), what)
    alpn = alpn_untrusted(found[c.EXT_ALPN]) if c.EXT_ALPN in found else None
    strange = tuple(kind for kind in found if kind not in c.IN_ENCRYPTED_EXTENSIONS)
    return c.EXT_SERVER_NAME in found, alpn, strange


def ocsp_response_untrusted(body: bytes) -> bytes:
    """Return the DER of the OCSPResponse in a CertificateStatus, be that a message or an extension (RFC 6066 section 8)."""
    reader = Reader(body, "CertificateStatus")
    kind = reader.number(1)
    if kind != 1:
        raise reader.error(f"status type {kind} is not ocsp")
    response = reader.vector(3)
    reader.done()
    return response


def _vectors_untrusted(block: bytes, what: str) -> tuple[bytes, ...]:
    """Decode vectors with 16-bit lengths, one after the other."""
    reader = Reader(block, what)
    vectors = []
    while reader.position < reader.end:
        vectors.append(reader.vector(2))
    return tuple(vectors)


def sct_list_untrusted(body: bytes) -> tuple[bytes, ...]:
    """Return the SerializedSCTs of a SignedCertificateTimestampList (RFC 6962 section 3.3)."""
    what = "SignedCertificateTimestampList"
    return _vectors_untrusted(whole_vector(body, 2, what), what)


def certificate_untrusted(body: bytes, *, tls13: bool) -> tuple[tuple[bytes, ...], dict[int, bytes]]:
    """Return (certificates as sent, extensions of the leaf's entry) of a Certificate message.

    Before TLS 1.3 (RFC 8446 section 4.4.2) there is no request context, and entries have no extensions (RFC 5246 section 7.4.2).
    """
    what = "Certificate"
    if tls13 and body[:1] != b"\x00":
        reader = Reader(body, what)
        reader.vector(1)
        raise reader.error("request context is not empty")
    entries = whole_vector(body, 3, what, 1 if tls13 else 0)
    certificates: list[bytes] = []
    leaf_extensions: dict[int, bytes] = {}
    stop, end = 0, len(entries)
    while (at := stop) < end:
        if len(certificates) == MAX_CERTIFICATES:
            raise DecodeError(what, f"more than {MAX_CERTIFICATES} certificates", at)
        start = at + 3
        stop = start + int.from_bytes(entries[at:start], "big")
        if stop > end:
            raise cut_short(entries, at, 3, what)
        certificates.append(entries[start:stop])
        if tls13:
            at, start = stop, stop + 2
            stop = start + int.from_bytes(entries[at:start], "big")
            if stop > end:
                raise cut_short(entries, at, 2, what)
            if stop > start:
                extensions = extensions_untrusted(entries[start:stop], "CertificateEntry extensions")
                if len(certificates) == 1:
                    leaf_extensions = extensions
    return tuple(certificates), leaf_extensions


def certificate_request_untrusted(body: bytes, version: int) -> ClientAuthRequest:
    """Decode a CertificateRequest of any version (RFC 8446 section 4.3.2, RFC 5246 section 7.4.4)."""
    reader = Reader(body, "CertificateRequest")
    schemes: tuple[int, ...] = ()
    if version >= TLS13:
        reader.vector(1)  # request context
        extensions = extensions_untrusted(reader.vector(2), "CertificateRequest")
        reader.done()
        if c.EXT_SIGNATURE_ALGORITHMS in extensions:
            schemes = Reader(extensions[c.EXT_SIGNATURE_ALGORITHMS], "signature_algorithms").codes16()
        names = b""
        if c.EXT_CERTIFICATE_AUTHORITIES in extensions:
            names = Reader(extensions[c.EXT_CERTIFICATE_AUTHORITIES], "certificate_authorities").vector(2)
        return ClientAuthRequest(_vectors_untrusted(names, "certificate authorities"), schemes)
    reader.vector(1)  # certificate types
    if version >= TLS12:
        schemes = reader.codes16()
    # some SSL 3.0 and TLS 1.0 servers leave the empty list out altogether
    names = reader.vector(2) if reader.position < reader.end else b""
    reader.done()
    return ClientAuthRequest(_vectors_untrusted(names, "certificate authorities"), schemes)


class ServerKeyExchange(Struct, frozen=True):
    """What the server signed (``params``) and how. ``scheme`` is None before TLS 1.2, ``signature`` in anonymous exchanges;
    ``fault`` says why the public key is none of its group, or is ``None``.
    """

    params: bytes
    group: int | None
    dh_bits: int | None
    scheme: int | None
    signature: bytes | None
    fault: Literal["form", "order"] | None = None


def server_key_exchange_untrusted(body: bytes, version: int, kx: str, *, anonymous: bool) -> ServerKeyExchange:
    """Decode a ServerKeyExchange for ``kx`` "ECDHE", "DHE" or "RSA" (export) (RFC 8422 section 5.4, RFC 5246 section 7.4.3)."""
    reader = Reader(body, "ServerKeyExchange")
    group = dh_bits = None
    fault: Literal["form", "order"] | None = None
    if kx == "ECDHE":
        kind = reader.number(1)
        if kind != 3:
            raise reader.error(f"curve type {kind} is not a named curve")
        group = reader.number(2)
        share = reader.vector(1)
        if not share:
            raise reader.error("empty public point")
        fault = fault_of_share(group, share)
    elif kx == "DHE":
        prime = int.from_bytes(reader.vector(2), "big")
        dh_bits = prime.bit_length()
        reader.vector(2)
        fault = None if 1 < int.from_bytes(reader.vector(2), "big") < prime - 1 else "order"
    elif kx == "RSA":
        reader.vector(2)
        reader.vector(2)
    else:
        raise DecodeError("ServerKeyExchange", f"not expected with key exchange {kx}", 0)
    params = body[: reader.position]
    scheme = signature = None
    if not anonymous:
        if version >= TLS12:
            scheme = reader.number(2)
        signature = reader.vector(2)
    reader.done()
    return ServerKeyExchange(params, group, dh_bits, scheme, signature, fault)
