"""The client's side of a handshake, up to the end of the server's first flight. Sans-IO.

The problem: a scanner wants to know what a server shows, broken servers most of all. A TLS library tells of a broken server
that something failed, and keeps back what it had read by then. So this engine reads the first flight by itself, from
SSL 3.0 to TLS 1.3, and keeps all of it: version, suite, certificates, staple, CA names, the byte at which a message broke.

The design is that of h11: bytes go in, events come out, and nothing here knows sockets, clocks or trust.

- ``data_to_send`` returns what is to be sent, ``receive_data`` takes what arrived (``b""`` is the end of the stream) and
  returns what happened by it, ``flight`` returns what the server has shown so far.
- The transitions are data (``events.TRANSITIONS``). Each type of message has one handler, which is given one whole message.
- A peer's fault is an event (``Broken``, ``NotTls``, ``AlertReceived``, ``PeerClosed``) and ends the handshake. An
  exception that leaves ``receive_data`` is a bug of ours.
- What can be read and is not allowed (an extension that was not offered) is a ``Deviation`` and ends nothing: clients differ in
  what they make of it. So the flight of a server that one client refuses is read to its end.
- Everything is decided by record and message, never by what one call happened to bring, so chunking changes nothing.

The handshake is never completed. A flight of TLS 1.3 is decrypted (RFC 8446), with ephemeral keys that protect nothing of
ours; one of TLS 1.2 to SSL 3.0 is in the clear (RFC 5246, 4346, 2246, 6101). After it there is nothing left to learn without
a client's own secrets. What is signed in it is verified with the leaf's key, which the caller finds: whether a chain is
trusted is not decided here.

What breaks when touched: the transcript. CertificateVerify and Finished cover all messages *before* them, so a handler
computes its hash first and adds its own message afterwards. After a HelloRetryRequest the transcript begins with a hash of
the first hello (RFC 8446 section 4.4.1).

Tried and removed: remembering ServerHellos by their shape (1.5 us for a handshake), and readers by plain arithmetic beside
careful ones: what is in every flight has one reader, of plain arithmetic. ``ClientHandshake`` has slots, since it has more
attributes than the 30 that CPython keeps in an object without a dictionary of its own (1.7 us for a handshake). What costs
most besides the key exchange and the signature is the key schedule: 14 us of 32.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from scanner.model.evidence import ClientAuthRequest, Deviation, DeviationKind, Negotiation, ServerFlight
from scanner.tls import constants as c
from scanner.tls import messages
from scanner.tls.constants import APPLICATION_DATA, HANDSHAKE
from scanner.tls.events import (
    TRANSITIONS,
    AlertReceived,
    Broken,
    Event,
    FlightComplete,
    NotTls,
    PeerClosed,
    State,
)
from scanner.tls.hello import HelloTemplate
from scanner.tls.key_schedule import SUITES, HandshakeKeys, RecordProtection
from scanner.tls.key_share import KEY_SHARE_GROUPS, KeyMaterial
from scanner.tls.offers import SSL3, TLS12, TLS13
from scanner.tls.record_layer import MAX_FRAGMENT, RecordBuffer
from scanner.tls.registry_names import cipher_name, cipher_suite, scheme_name, version_name
from scanner.tls.signatures import NOT_IN_TLS13, VERIFY_CONTEXT, verify_handshake_signature
from scanner.tls.wire import DecodeError, Reader, code_and_vector, vector16, vector24, whole_vector

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

# Clients stop at about 100 kB (OpenSSL's max_cert_list); twice and a half that leaves room for post-quantum chains.
MAX_MESSAGE: Final = 2**18
# All handshake bytes until the flight is complete. One message may fill half of it.
MAX_FLIGHT: Final = 2**19
# Warning alerts before the flight ends: real servers send one (unrecognized_name); OpenSSL gives up after 5.
MAX_WARNING_ALERTS: Final = 5
# Deviations of one flight that are kept: more show nothing further.
MAX_DEVIATIONS: Final = 16
# Bytes of a message that every client takes: Java's jdk.tls.maxHandshakeMessageSize is the smallest limit.
MAX_FOR_ALL: Final = 32_768
# of a message: type, length of 24 bits
_HEADER: Final = struct.Struct(">BBH").unpack_from
_CLOSE_NOTIFY: Final = bytes((c.ALERT_WARNING, c.ALERT_CLOSE_NOTIFY))

# Certificates whose keys are tried for the signature of a handshake; the leaf of a bundle in the wrong order is among the first.
MAX_SIGNERS: Final = 16
PublicKeyOf = Callable[[bytes], "CertificatePublicKeyTypes | None"]


class ClientHandshake:
    """One handshake with one hello. ``random`` is 64 unpredictable bytes: the client random and the session id.

    ``public_key_of`` takes the leaf's DER and returns its public key, or None where there is none that can be used.
    ``ended`` says that the flight is complete or never will be; ``plaintext`` is what a peer sent that does not speak TLS.
    """

    __slots__ = (
        "_alpn", "_certificates", "_client_auth", "_deviations", "_dh_bits", "_events", "_finished_valid", "_group", "_hello",
        "_hello_retry", "_keys", "_leaf_position", "_ocsp_response", "_outgoing", "_partial", "_pending", "_protection",
        "_public_key_of", "_random", "_records", "_scts", "_secrets", "_server_random", "_session_id", "_signature_scheme",
        "_signature_valid", "_sni", "_sni_acknowledged", "_suite", "_template", "_total", "_transcript", "_version", "_warnings",
        "ended", "plaintext", "state",
    )  # fmt: skip

    def __init__(
        self,
        template: HelloTemplate,
        keys: KeyMaterial,
        *,
        sni: str | None,
        random: bytes,
        public_key_of: PublicKeyOf,
    ) -> None:
        self._template = template
        self._keys = keys
        self._sni = sni
        self._random = random[:32]
        self._session_id = random[32:64] if template.modern else b""
        self._public_key_of = public_key_of
        self._hello = hello = template.message(self._random, self._session_id, sni)
        self._outgoing = template.record_head + len(hello).to_bytes(2, "big") + hello
        self._records = RecordBuffer()
        self._events: list[Event] = []
        self.state = State.SERVER_HELLO
        self.ended = False
        self.plaintext = b""
        # what the server has shown so far; None and empty mean not known
        self._version: int | None = None
        self._suite: int | None = None
        self._group: int | None = None
        self._dh_bits: int | None = None
        self._alpn: str | None = None
        self._sni_acknowledged: bool | None = None
        self._hello_retry = False
        self._signature_scheme: int | None = None
        self._signature_valid: bool | None = None
        self._leaf_position = 0
        self._finished_valid: bool | None = None
        self._client_auth: ClientAuthRequest | None = None
        self._deviations: tuple[Deviation, ...] = ()
        self._server_random = b""
        self._certificates: tuple[bytes, ...] = ()
        self._ocsp_response: bytes | None = None
        self._scts: tuple[bytes, ...] = ()

        self._total = 0  # handshake bytes so far
        self._partial = b""  # those of them that are not a whole message yet
        self._pending = False  # whether any follow the message that is being handled
        self._warnings = 0
        self._transcript: Any = None  # the hash of all messages so far, in TLS 1.3
        self._secrets: HandshakeKeys | None = None
        self._protection: RecordProtection | None = None

    def __repr__(self) -> str:
        return f"<ClientHandshake {self._template.offer.name} awaiting {self.state.name}>"

    # --- interface -----------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """Return what is to be sent now; each byte is returned once."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes of the peer, or ``b""`` for the end of its stream, and return what happened by them."""
        if self.ended:
            if self.plaintext:
                self.plaintext += data
            return []
        if data:
            try:
                self._read_untrusted(data)
            except DecodeError as error:
                self._fail(Broken(str(error)))
            if self._records.not_tls:
                self.plaintext = self._records.unread
                self._fail(NotTls())
        else:
            self._fail(PeerClosed())
        happened, self._events = self._events, []
        return happened

    def flight(self) -> ServerFlight | None:
        """Return what the server has shown so far, or None before its hello."""
        if self._version is None:
            return None
        return ServerFlight(
            Negotiation(
                version=self._version,
                cipher=self._suite,
                group=self._group,
                dh_bits=self._dh_bits,
                alpn=self._alpn,
                sni_acknowledged=self._sni_acknowledged,
                hello_retry=self._hello_retry,
                signature_scheme=self._signature_scheme,
                signature_valid=self._signature_valid,
                finished_valid=self._finished_valid,
                client_auth=self._client_auth,
                complete=self.state is State.COMPLETE,
                leaf_position=self._leaf_position,
                deviations=self._deviations,
            ),
            random=self._server_random or None,
            certificates=self._certificates,
            ocsp_response=self._ocsp_response,
            scts=self._scts,
        )

    def close_notify(self) -> bytes:
        """Return the alert that closes the connection (RFC 8446 section 6.1), protected where keys are agreed."""
        if self._secrets is not None:
            return self._secrets.client_protection().encrypt(c.ALERT, _CLOSE_NOTIFY)
        version = self._template.record_version if self._version is None else min(self._version, TLS12)
        return bytes([c.ALERT]) + version.to_bytes(2, "big") + vector16(_CLOSE_NOTIFY)

    # --- records -------------------------------------------------------------------------------

    def _fail(self, event: Event) -> None:
        self._events.append(event)
        self.state = State.FAILED
        self.ended = True

    def _read_untrusted(self, data: bytes) -> None:
        """Read records until they or the handshake end."""
        for content_type, header, body in self._records.split_untrusted(data):
            protection = self._protection
            if protection is not None:
                if content_type == APPLICATION_DATA:
                    content_type, body = protection.decrypt_untrusted(header, body)
                elif content_type == HANDSHAKE:
                    # alerts may come in the clear: not every server has its keys when it gives up (RFC 8446 section 6)
                    raise DecodeError("record", "handshake message in the clear after ServerHello", 0)
            if content_type == HANDSHAKE:
                self._handshake_untrusted(body)
            elif content_type == c.ALERT:
                self._alert_untrusted(body)
            elif content_type == c.CHANGE_CIPHER_SPEC:
                # middlebox compatibility mode (RFC 8446 appendix D.4): one byte, no meaning
                if body != b"\x01":
                    raise DecodeError("change_cipher_spec", "is not the one byte 1", 0)
                if self._version is None or self._version < TLS13:
                    raise DecodeError("change_cipher_spec", "comes before the server's flight is complete", 0)
            else:
                raise DecodeError("record", f"content type {content_type} during the handshake", 0)
            if self.ended:
                return

    def _handshake_untrusted(self, content: bytes) -> None:
        """Handle each message that the content of one more record completes. A message may span and share records."""
        if not content:
            raise DecodeError("record", "empty handshake record", 0)
        self._total += len(content)
        if self._total > MAX_FLIGHT:
            raise DecodeError("handshake", f"flight of more than {MAX_FLIGHT} bytes", 0)
        buffer = self._partial + content
        start, end = 0, len(buffer)
        while (body := start + 4) <= end:
            kind, high, low = _HEADER(buffer, start)
            length = high << 16 | low
            if length > MAX_MESSAGE:
                raise DecodeError("handshake", f"message of {length} bytes", 1)
            stop = body + length
            if stop > end:
                break
            self._pending = stop < end
            message = buffer[start:stop]
            start = stop
            found = _HANDLERS[self.state].get(kind)
            if found is None:
                self._unexpected_untrusted(message)
                continue
            handler, following = found
            self.state = handler(self, message) or following
            if self.state is _COMPLETE:
                self._events.append(_FLIGHT_COMPLETE)
                self.ended = True
                return
        self._partial = buffer[start:]

    def _alert_untrusted(self, body: bytes) -> None:
        if len(body) != 2:
            raise DecodeError("alert", f"{len(body)} bytes instead of 2", 0)
        event = AlertReceived(body[0], body[1])
        # TLS 1.3 has no warnings but close_notify and user_canceled; before it, only level 2 is fatal
        if body[0] == c.ALERT_WARNING and body[1] != c.ALERT_CLOSE_NOTIFY:
            self._warnings += 1
            if self._warnings > MAX_WARNING_ALERTS:
                raise DecodeError("alert", f"more than {MAX_WARNING_ALERTS} warnings", 0)
            self._events.append(event)
        else:
            self._fail(event)

    # --- what is not allowed and can be read -----------------------------------------------------

    def _deviates(
        self,
        kind: DeviationKind,
        message: str = "",
        code: int | None = None,
        *,
        name: str | None = None,
        size: int | None = None,
    ) -> None:
        deviation = Deviation(kind, message, code, name, size)
        if deviation not in self._deviations and len(self._deviations) < MAX_DEVIATIONS:
            self._deviations += (deviation,)

    def _unoffered_alpn(self, message: str, alpn: str) -> None:
        if self._template.names:
            self._deviates("alpn", message, name=alpn)
        else:
            self._deviates("extension", message, c.EXT_ALPN)

    def _unexpected(self, message: str, kinds: Iterable[int], allowed: frozenset[int] = frozenset()) -> None:
        for kind in kinds:
            if kind not in allowed:
                self._deviates("extension", message, kind)

    # --- messages ------------------------------------------------------------------------------
    # A handler returns the next state where ``TRANSITIONS`` has several.

    def _unexpected_untrusted(self, message: bytes) -> None:
        """Raise ``DecodeError`` for a message that has no transition, unless it is to be ignored."""
        kind = message[0]
        if kind == c.HELLO_REQUEST and len(message) == 4 and (self._version is None or self._version < TLS13):
            return  # to be ignored during a handshake (RFC 5246 section 7.4.1.1), and not part of the transcript
        raise DecodeError("handshake", f"message of type {kind} while awaiting {self.state.name}", 0)

    def _server_hello_untrusted(self, message: bytes) -> State:
        hello = messages.server_hello_untrusted(message[4:])
        self._version = version = hello.version
        self._suite = suite = hello.suite
        offer = self._template.offer
        if version == TLS13:
            if TLS13 not in offer.versions:
                raise DecodeError("ServerHello", "selects TLS 1.3, which was not offered", 0)
        elif not SSL3 <= version < TLS13:
            raise DecodeError("ServerHello", f"selects version {version_name(version)}", 0)
        elif version > max(offer.versions):
            raise DecodeError("ServerHello", f"selects {version_name(version)}, which is above the offer", 0)
        if suite not in offer.suites:
            raise DecodeError("ServerHello", f"selects {cipher_name(suite)}, which was not offered", 35)
        if (suite in SUITES) != (version == TLS13):
            raise DecodeError("ServerHello", f"selects {cipher_name(suite)} for another version", 35)
        if hello.compression:
            raise DecodeError("ServerHello", f"selects compression {hello.compression}", 37)
        if version == TLS13:
            if hello.session_id != self._session_id:
                raise DecodeError("ServerHello", "does not echo the session id", 34)
            if hello.is_retry:
                self._retry_untrusted(hello, message)
                return State.SERVER_HELLO
            self._modern_hello_untrusted(hello, message)
            return State.ENCRYPTED_EXTENSIONS
        if self._hello_retry:
            raise DecodeError("ServerHello", "falls back below TLS 1.3 after a HelloRetryRequest", 0)
        self._old_hello_untrusted(hello)
        return State.OLD_CERTIFICATE

    def _old_hello_untrusted(self, hello: messages.ServerHello) -> None:
        self._server_random = hello.random
        extensions = hello.extensions
        if not extensions.keys() <= self._template.answers:
            self._unexpected("ServerHello", extensions, self._template.answers)
        if self._sni is None and c.EXT_SERVER_NAME in extensions:
            self._unexpected("ServerHello", (c.EXT_SERVER_NAME,))
        if hello.version > SSL3 and extensions.get(c.EXT_RENEGOTIATION_INFO) != c.FIRST_HANDSHAKE:
            missing = c.EXT_RENEGOTIATION_INFO not in extensions
            self._deviates("no-renegotiation-info" if missing else "wrong-renegotiation-info")
        if TLS13 in self._template.offer.versions and hello.random[-8:] in c.DOWNGRADE_MARKS:
            raise DecodeError(
                "ServerHello", f"selects {version_name(hello.version)} and says that it knows TLS 1.3", 26
            )
        if self._sni is not None:
            self._sni_acknowledged = c.EXT_SERVER_NAME in extensions
        if c.EXT_ALPN in extensions:
            self._alpn = alpn = messages.alpn_untrusted(extensions[c.EXT_ALPN])
            if alpn not in self._template.names:
                self._unoffered_alpn("ServerHello", alpn)
        if c.EXT_SCT in extensions:
            self._scts = messages.sct_list_untrusted(extensions[c.EXT_SCT])

    def _retry_untrusted(self, hello: messages.ServerHello, message: bytes) -> None:
        if self._hello_retry:
            raise DecodeError("HelloRetryRequest", "comes a second time", 0)
        self._hello_retry = True
        if not hello.extensions.keys() <= c.IN_RETRY:
            self._unexpected("HelloRetryRequest", hello.extensions, c.IN_RETRY)
        offer = self._template.offer
        group = cookie = None
        if c.EXT_KEY_SHARE in hello.extensions:
            group = messages.retry_group_untrusted(hello.extensions[c.EXT_KEY_SHARE])
            self._group = group
            if group not in offer.groups or group in offer.key_shares:
                raise DecodeError("HelloRetryRequest", f"asks for group {group}, which makes no sense", 0)
            if group not in KEY_SHARE_GROUPS:
                raise DecodeError("HelloRetryRequest", f"asks for group {group}, which TLS 1.3 does not have", 0)
        if c.EXT_COOKIE in hello.extensions:
            cookie = whole_vector(hello.extensions[c.EXT_COOKIE], 2, "cookie")
        if group is None and cookie is None:
            raise DecodeError("HelloRetryRequest", "asks for no change", 0)
        answer = self._template.retry(group, None)
        if cookie is not None:
            room = answer.cookie_room(self._sni)
            if len(cookie) > room:
                reason = f"asks for a cookie of {len(cookie)} bytes back, and a ClientHello has room for {room}"
                raise DecodeError("HelloRetryRequest", reason, 0)
            answer = self._template.retry(group, cookie)
        digest = SUITES[hello.suite].hash
        first = digest(self._hello).digest()
        self._transcript = digest(bytes([c.MESSAGE_HASH]) + vector24(first) + message)
        self._hello = again = answer.message(self._random, self._session_id, self._sni)
        self._transcript.update(again)
        head = bytes([c.HANDSHAKE]) + TLS12.to_bytes(2, "big")
        for at in range(0, len(again), MAX_FRAGMENT):
            self._outgoing += head + vector16(again[at : at + MAX_FRAGMENT])

    def _modern_hello_untrusted(self, hello: messages.ServerHello, message: bytes) -> None:
        self._server_random = hello.random
        if c.EXT_KEY_SHARE not in hello.extensions:
            raise DecodeError("ServerHello", "has no key_share", 0)
        if not hello.extensions.keys() <= c.IN_SERVER_HELLO:
            self._unexpected("ServerHello", hello.extensions, c.IN_SERVER_HELLO)
        group, share = code_and_vector(hello.extensions[c.EXT_KEY_SHARE], "key_share")
        offered = (self._group,) if self._hello_retry and self._group is not None else self._template.offer.key_shares
        if group not in offered:
            raise DecodeError("ServerHello", f"answers with group {group}, for which no share was sent", 0)
        self._group = group
        secret = self._keys.shared_secret_untrusted(group, share)
        if self._pending:
            raise DecodeError("handshake", "unencrypted data follows ServerHello", 0)
        if self._transcript is None:
            self._transcript = SUITES[hello.suite].hash(self._hello)
        self._transcript.update(message)
        self._secrets = HandshakeKeys(hello.suite, secret, self._transcript.digest())
        self._protection = self._secrets.server_protection()

    def _encrypted_extensions_untrusted(self, message: bytes) -> None:
        acknowledged, alpn, strange = messages.encrypted_extensions_untrusted(message[4:])
        self._alpn = alpn
        if alpn is not None and alpn not in self._template.names:
            self._unoffered_alpn("EncryptedExtensions", alpn)
        if self._sni is not None:
            self._sni_acknowledged = acknowledged
        elif acknowledged:
            strange = (*strange, c.EXT_SERVER_NAME)
        if strange:
            self._unexpected("EncryptedExtensions", strange)
        self._transcript.update(message)

    def _certificate_request_untrusted(self, message: bytes) -> None:
        self._client_auth = messages.certificate_request_untrusted(message[4:], self._version or TLS12)
        if len(message) > MAX_FOR_ALL + 4:
            self._deviates("long-message", "CertificateRequest", size=len(message) - 4)
        if self._transcript is not None:
            self._transcript.update(message)

    def _certificate_untrusted(self, message: bytes) -> None:
        self._certificates, extensions = messages.certificate_untrusted(message[4:], tls13=self._version == TLS13)
        if len(message) > MAX_FOR_ALL + 4:
            self._deviates("long-message", "Certificate", size=len(message) - 4)
        if extensions:
            if not extensions.keys() <= c.IN_CERTIFICATE_ENTRY:
                self._unexpected("Certificate", extensions, c.IN_CERTIFICATE_ENTRY)
            if c.EXT_STATUS_REQUEST in extensions:
                self._ocsp_response = messages.ocsp_response_untrusted(extensions[c.EXT_STATUS_REQUEST])
            if c.EXT_SCT in extensions:
                self._scts = messages.sct_list_untrusted(extensions[c.EXT_SCT])
        if self._transcript is not None:
            self._transcript.update(message)

    def _certificate_status_untrusted(self, message: bytes) -> None:
        if self._ocsp_response is not None:
            raise DecodeError("CertificateStatus", "comes a second time", 0)
        self._ocsp_response = messages.ocsp_response_untrusted(message[4:])

    def _verify(self, scheme: int | None, signature: bytes, content: bytes) -> None:
        """Verify the signature of the handshake with the first certificate's key."""
        key = self._public_key_of(self._certificates[0]) if self._certificates else None
        valid = None if key is None else verify_handshake_signature(key, scheme, signature, content)
        self._signature_valid = valid
        if not valid:
            self._find_leaf(scheme, signature, content)

    def _find_leaf(self, scheme: int | None, signature: bytes, content: bytes) -> None:
        """Look for the certificate whose key made the signature: some servers send their own after those of its issuers."""
        for place, certificate in enumerate(self._certificates[1:MAX_SIGNERS], 1):
            key = self._public_key_of(certificate)
            if key is not None and verify_handshake_signature(key, scheme, signature, content):
                self._signature_valid, self._leaf_position = True, place
                return

    def _server_key_exchange_untrusted(self, message: bytes) -> None:
        assert self._version is not None and self._suite is not None  # the state is reached by a ServerHello only
        suite = cipher_suite(self._suite)
        if suite.kx == "RSA" and suite.weak != "EXPORT":
            raise DecodeError("ServerKeyExchange", f"comes with {suite.name}, which has none", 0)
        exchange = messages.server_key_exchange_untrusted(
            message[4:], self._version, suite.kx, anonymous=suite.auth == "anon"
        )
        self._group, self._dh_bits, self._signature_scheme = exchange.group, exchange.dh_bits, exchange.scheme
        if exchange.group is not None and exchange.group not in self._template.offer.groups and self._version > SSL3:
            raise DecodeError("ServerKeyExchange", f"uses group {exchange.group}, which was not offered", 1)
        if exchange.fault is not None:
            self._deviates("share", "ServerKeyExchange", exchange.group, name=exchange.fault)
        if exchange.scheme is not None and exchange.scheme not in self._template.offer.schemes:
            self._deviates("scheme", "ServerKeyExchange", exchange.scheme)
        if exchange.signature is not None:
            self._verify(exchange.scheme, exchange.signature, self._random + self._server_random + exchange.params)

    def _server_hello_done_untrusted(self, message: bytes) -> None:
        Reader(message[4:], "ServerHelloDone").done()
        if self._group is None and self._dh_bits is None:
            assert self._suite is not None  # the state is reached by a ServerHello only
            if cipher_suite(self._suite).kx in ("ECDHE", "DHE"):
                self._deviates("no-key-exchange")

    def _certificate_verify_untrusted(self, message: bytes) -> None:
        scheme, signature = code_and_vector(message[4:], "CertificateVerify")
        self._signature_scheme = scheme
        if scheme in NOT_IN_TLS13:
            raise DecodeError(
                "CertificateVerify", f"is signed with {scheme_name(scheme)}, which TLS 1.3 does not have", 0
            )
        if scheme not in self._template.offer.schemes:
            self._deviates("scheme", "CertificateVerify", scheme)
        self._verify(scheme, signature, VERIFY_CONTEXT + self._transcript.digest())
        self._transcript.update(message)

    def _finished_untrusted(self, message: bytes) -> None:
        assert self._secrets is not None  # the state after ServerHello is reached with keys only
        self._finished_valid = message[4:] == self._secrets.server_finished(self._transcript.digest())


_Handler = Callable[[ClientHandshake, bytes], "State | None"]
_HANDLER_OF: Final[dict[int, _Handler]] = {
    c.SERVER_HELLO: ClientHandshake._server_hello_untrusted,
    c.ENCRYPTED_EXTENSIONS: ClientHandshake._encrypted_extensions_untrusted,
    c.CERTIFICATE: ClientHandshake._certificate_untrusted,
    c.SERVER_KEY_EXCHANGE: ClientHandshake._server_key_exchange_untrusted,
    c.CERTIFICATE_REQUEST: ClientHandshake._certificate_request_untrusted,
    c.SERVER_HELLO_DONE: ClientHandshake._server_hello_done_untrusted,
    c.CERTIFICATE_VERIFY: ClientHandshake._certificate_verify_untrusted,
    c.FINISHED: ClientHandshake._finished_untrusted,
    c.CERTIFICATE_STATUS: ClientHandshake._certificate_status_untrusted,
}
# ``TRANSITIONS`` by number of the state, with the handlers, and the next state where there is only one
_HANDLERS: Final[list[dict[int, tuple[_Handler, State]]]] = [
    {kind: (_HANDLER_OF[kind], following[0]) for (state, kind), following in TRANSITIONS.items() if state == number}
    for number in range(max(State) + 1)
]
_FLIGHT_COMPLETE: Final = FlightComplete()
_COMPLETE: Final = State.COMPLETE
