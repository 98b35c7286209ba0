"""The client's side of a handshake, up to the end of the server's first flight. Sans-IO.

Two verbs and one answer: ``receive_data`` takes what the peer sent (``b""`` is its end of file), ``next_event`` gives one event or
``NEED_DATA``, ``data_to_send`` what is to go out. What was learnt stands in attributes. Chunking never changes the events.

Rules of this file: the transitions are data (``events.TRANSITIONS``), every handler takes one whole message; a peer's fault is an event
(``Broken``, ``NotTls``, ``AlertReceived``, ``PeerClosed``) and ends the handshake; nothing here knows sockets, clocks or trust.
A TLS 1.3 flight is decrypted (RFC 8446); one of TLS 1.2 to SSL 3.0 is in the clear (RFC 5246, 4346, 2246, 6101). After it there is nothing
left to learn without a client's own secrets, so the handshake is not completed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from scanner.tls import constants as c
from scanner.tls import messages
from scanner.tls.constants import APPLICATION_DATA, HANDSHAKE
from scanner.tls.events import (
    NEED_DATA,
    TRANSITIONS,
    AlertReceived,
    Broken,
    Event,
    FlightComplete,
    MessageReceived,
    NeedData,
    NotTls,
    PeerClosed,
    State,
)
from scanner.tls.hello import HelloTemplate
from scanner.tls.key_share import KEY_SHARE_GROUPS, KeyMaterial
from scanner.tls.offers import SSL3, TLS12, TLS13
from scanner.tls.record_layer import MAX_FRAGMENT, HandshakeBuffer, RecordBuffer
from scanner.tls.registry_names import cipher_name, cipher_suite, scheme_name, version_name
from scanner.tls.schedule import SUITES, HandshakeKeys, RecordProtection
from scanner.tls.signatures import NOT_IN_TLS13, VERIFY_CONTEXT, verify_handshake_signature
from scanner.tls.wire import DecodeError, Reader, vector16, vector24

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

# Warning alerts before the flight ends: real servers send one (unrecognized_name); OpenSSL gives up after 5.
MAX_WARNING_ALERTS: Final = 5
_CLOSE_NOTIFY: Final = bytes((c.ALERT_WARNING, c.ALERT_CLOSE_NOTIFY))

PublicKeyOf = Callable[[bytes], "CertificatePublicKeyTypes | None"]


class ClientHandshake:
    """One handshake with one hello. ``random`` is 64 unpredictable bytes: the client random and the session id.

    ``public_key_of`` takes the leaf's DER and gives its public key (a ``cryptography`` object) or ``None``.
    """

    # what was learnt; None and empty mean not known
    version: int | None = None
    suite: int | None = None
    group: int | None = None
    dh_bits: int | None = None
    alpn: str | None = None
    sni_acknowledged: bool | None = None
    hello_retry = False
    server_random: bytes | None = None
    signature_scheme: int | None = None
    signature_valid: bool | None = None
    finished_valid: bool | None = None
    certificates: tuple[bytes, ...] = ()
    ocsp_response: bytes | None = None
    scts: tuple[bytes, ...] = ()
    request: messages.CertificateRequest | None = None
    plaintext = b""

    state = State.SERVER_HELLO
    # the flight is complete, or will never be
    ended = False
    _warnings = 0
    _transcript: Any = None
    _secrets: HandshakeKeys | None = None
    _protection: RecordProtection | None = None
    _suite_record: Any = None

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
        self._handshake = HandshakeBuffer()
        self._events: list[Event] = []

    def __repr__(self) -> str:
        return f"<ClientHandshake {self._template.offer.name} awaiting {self.state.name}>"

    # --- the two verbs -------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """What is to be sent now; each byte is given once."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer; ``b""`` is its end of file."""
        if self.ended:
            if self.plaintext:
                self.plaintext += data
            return
        if not data:
            self._fail(PeerClosed())
            return
        records = self._records
        records.feed(data)
        try:
            self._records_untrusted(records)
        except DecodeError as error:
            self._fail(Broken(str(error)))
            return
        if records.not_tls:
            self.plaintext = records.unread()
            self._fail(NotTls())

    def next_event(self) -> Event | NeedData:
        """The next thing that happened."""
        return self._events.pop(0) if self._events else NEED_DATA

    def all_events(self) -> list[Event]:
        """What ``next_event`` would give one by one until it needs data."""
        happened, self._events = self._events, []
        return happened

    def farewell(self) -> bytes:
        """The alert with which the probe takes its leave: close_notify (RFC 8446 section 6.1), protected where keys are agreed."""
        if self._secrets is not None:
            return self._secrets.client_protection().encrypt(c.ALERT, _CLOSE_NOTIFY)
        return self._plain_record(c.ALERT, _CLOSE_NOTIFY)

    # --- records -------------------------------------------------------------------------------

    def _plain_record(self, content_type: int, content: bytes) -> bytes:
        version = self._template.record_version if self.version is None else min(self.version, TLS12)
        return bytes([content_type]) + version.to_bytes(2, "big") + vector16(content)

    def _fail(self, event: Event) -> None:
        self._events.append(event)
        self.state = State.FAILED
        self.ended = True

    def _records_untrusted(self, records: RecordBuffer) -> bool:
        """Read records until the handshake has ended; ``True`` where it goes on."""
        handshake, happened = self._handshake, self._events.append
        while (record := records.next_untrusted()) is not None:
            content_type, header, body = record
            protection = self._protection
            if protection is not None:
                if content_type == APPLICATION_DATA:
                    content_type, body = protection.decrypt_untrusted(header, body)
                elif content_type == HANDSHAKE:
                    # alerts may come in the clear: not every server has its keys when it gives up (RFC 8446 section 6)
                    raise DecodeError("record", "handshake message in the clear after ServerHello", 0)
            if content_type == HANDSHAKE:
                if not body:
                    raise DecodeError("record", "empty handshake record", 0)
                handshake.feed_untrusted(body)
                while (message := handshake.next_untrusted()) is not None:
                    kind = message[0]
                    found = _HANDLERS[self.state].get(kind)
                    if found is None:
                        self._unexpected(message)
                        continue
                    handler, self.state = found
                    handler(self, message)
                    happened(_RECEIVED[kind])
                    if self.state is _DONE:
                        happened(_COMPLETE)
                        self.ended = True
                        return False
            elif content_type == c.ALERT:
                self._alert_untrusted(body)
                if self.ended:
                    return False
            elif content_type == c.CHANGE_CIPHER_SPEC:
                # middlebox compatibility mode (RFC 8446 appendix D.4): one byte, no meaning
                if body != b"\x01":
                    raise DecodeError("change_cipher_spec", "is not the one byte 1", 0)
                if self.version is None or self.version < TLS13:
                    raise DecodeError("change_cipher_spec", "comes before the server's flight is complete", 0)
            else:
                raise DecodeError("record", f"content type {content_type} during the handshake", 0)
        return True

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

    # --- messages ------------------------------------------------------------------------------

    def _unexpected(self, message: bytes) -> None:
        """A message that the table does not have in this state."""
        kind = message[0]
        if kind == c.HELLO_REQUEST and len(message) == 4 and (self.version is None or self.version < TLS13):
            return  # to be ignored during a handshake (RFC 5246 section 7.4.1.1), and not part of the transcript
        raise DecodeError("handshake", f"message of type {kind} while awaiting {self.state.name}", 0)

    def _server_hello(self, message: bytes) -> None:
        hello = messages.server_hello_untrusted(message[4:])
        self.version = hello.version
        self.suite = hello.suite
        offer = self._template.offer
        if not SSL3 <= hello.version <= TLS13:
            raise DecodeError("ServerHello", f"selects version {version_name(hello.version)}", 0)
        if hello.version == TLS13 and TLS13 not in offer.versions:
            raise DecodeError("ServerHello", "selects TLS 1.3, which was not offered", 0)
        if hello.version < TLS13 and max(offer.versions) < hello.version:
            raise DecodeError("ServerHello", f"selects {version_name(hello.version)}, which is above the offer", 0)
        if hello.suite not in offer.suites:
            raise DecodeError("ServerHello", f"selects {cipher_name(hello.suite)}, which was not offered", 35)
        if (hello.suite in SUITES) != (hello.version == TLS13):
            raise DecodeError("ServerHello", f"selects {cipher_name(hello.suite)} for another version", 35)
        if hello.compression:
            raise DecodeError("ServerHello", f"selects compression {hello.compression}", 37)
        if hello.version == TLS13:
            if hello.session_id != self._session_id:
                raise DecodeError("ServerHello", "does not echo the session id", 34)
            if hello.is_retry:
                self._retry_untrusted(hello, message)
            else:
                self._modern_hello_untrusted(hello, message)
        else:
            if self.hello_retry:
                raise DecodeError("ServerHello", "falls back below TLS 1.3 after a HelloRetryRequest", 0)
            self._old_hello_untrusted(hello)

    def _old_hello_untrusted(self, hello: messages.ServerHello) -> None:
        self.server_random = hello.random
        if TLS13 in self._template.offer.versions and hello.random[-8:] in c.DOWNGRADE_MARKS:
            raise DecodeError(
                "ServerHello", f"selects {version_name(hello.version)} and says that it knows TLS 1.3", 26
            )
        self._suite_record = cipher_suite(hello.suite)
        extensions = hello.extensions
        if self._sni is not None:
            self.sni_acknowledged = c.EXT_SERVER_NAME in extensions
        if c.EXT_ALPN in extensions:
            self.alpn = messages.alpn_untrusted(extensions[c.EXT_ALPN])
        if c.EXT_SCT in extensions:
            self.scts = messages.sct_list_untrusted(extensions[c.EXT_SCT])
        self.state = State.OLD_CERTIFICATE

    def _retry_untrusted(self, hello: messages.ServerHello, message: bytes) -> None:
        if self.hello_retry:
            raise DecodeError("HelloRetryRequest", "comes a second time", 0)
        self.hello_retry = True
        offer = self._template.offer
        group = cookie = None
        if c.EXT_KEY_SHARE in hello.extensions:
            group = messages.retry_group_untrusted(hello.extensions[c.EXT_KEY_SHARE])
            self.group = group
            if group not in offer.groups or group in offer.key_shares:
                raise DecodeError("HelloRetryRequest", f"asks for group {group}, which makes no sense", 0)
            if group not in KEY_SHARE_GROUPS:
                raise DecodeError("HelloRetryRequest", f"asks for group {group}, which TLS 1.3 does not have", 0)
        if c.EXT_COOKIE in hello.extensions:
            cookie = messages.cookie_untrusted(hello.extensions[c.EXT_COOKIE])
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
        self.state = State.SERVER_HELLO

    def _modern_hello_untrusted(self, hello: messages.ServerHello, message: bytes) -> None:
        self.server_random = hello.random
        if c.EXT_KEY_SHARE not in hello.extensions:
            raise DecodeError("ServerHello", "has no key_share", 0)
        group, share = messages.key_share_untrusted(hello.extensions[c.EXT_KEY_SHARE])
        offered = (self.group,) if self.hello_retry and self.group is not None else self._template.offer.key_shares
        if group not in offered:
            raise DecodeError("ServerHello", f"answers with group {group}, for which no share was sent", 0)
        self.group = group
        self._agree_untrusted(message, share)

    def _agree_untrusted(self, message: bytes, share: bytes) -> None:
        """Keys out of the ServerHello's share."""
        assert self.suite is not None and self.group is not None
        secret = self._keys.shared_secret_untrusted(self.group, share)
        if self._handshake.pending:
            raise DecodeError("handshake", "unencrypted data follows ServerHello", 0)
        if self._transcript is None:
            self._transcript = SUITES[self.suite].hash(self._hello)
        self._transcript.update(message)
        self._secrets = HandshakeKeys(self.suite, secret, self._transcript.digest())
        self._protection = self._secrets.server_protection()
        self.state = State.ENCRYPTED_EXTENSIONS

    def _encrypted_extensions(self, message: bytes) -> None:
        acknowledged, self.alpn = messages.encrypted_extensions_untrusted(message[4:])
        if self._sni is not None:
            self.sni_acknowledged = acknowledged
        self._transcript.update(message)

    def _certificate_request(self, message: bytes) -> None:
        self.request = messages.certificate_request_untrusted(message[4:], self.version or TLS12)
        if self._transcript is not None:
            self._transcript.update(message)

    def _certificate(self, message: bytes) -> None:
        tls13 = self.version == TLS13
        certificate = messages.certificate_untrusted(message[4:], tls13=tls13)
        self.certificates = certificate.certificates
        if extensions := certificate.leaf_extensions:
            if c.EXT_STATUS_REQUEST in extensions:
                self.ocsp_response = messages.ocsp_response_untrusted(extensions[c.EXT_STATUS_REQUEST])
            if c.EXT_SCT in extensions:
                self.scts = messages.sct_list_untrusted(extensions[c.EXT_SCT])
        if self._transcript is not None:
            self._transcript.update(message)

    def _certificate_status(self, message: bytes) -> None:
        if self.ocsp_response is not None:
            raise DecodeError("CertificateStatus", "comes a second time", 0)
        self.ocsp_response = messages.ocsp_response_untrusted(message[4:])

    def _leaf_key(self) -> CertificatePublicKeyTypes | None:
        return self._public_key_of(self.certificates[0]) if self.certificates else None

    def _server_key_exchange(self, message: bytes) -> None:
        suite, version = self._suite_record, self.version or TLS12
        exchange = messages.server_key_exchange_untrusted(
            message[4:], version, suite.kx, anonymous=suite.auth == "anon"
        )
        self.group, self.dh_bits, self.signature_scheme = exchange.group, exchange.dh_bits, exchange.scheme
        if exchange.group is not None and exchange.group not in self._template.offer.groups and version > SSL3:
            raise DecodeError("ServerKeyExchange", f"uses group {exchange.group}, which was not offered", 1)
        key = self._leaf_key()
        if exchange.signature is None or key is None:
            return
        content = self._random + (self.server_random or b"") + exchange.params
        self.signature_valid = verify_handshake_signature(key, exchange.scheme, exchange.signature, content)

    def _server_hello_done(self, message: bytes) -> None:
        Reader(message[4:], "ServerHelloDone").done()

    def _certificate_verify(self, message: bytes) -> None:
        scheme, signature = messages.certificate_verify_untrusted(message[4:])
        self.signature_scheme = scheme
        if scheme in NOT_IN_TLS13:
            raise DecodeError(
                "CertificateVerify", f"is signed with {scheme_name(scheme)}, which TLS 1.3 does not have", 0
            )
        key = self._leaf_key()
        if key is not None:
            content = VERIFY_CONTEXT + self._transcript.digest()
            self.signature_valid = verify_handshake_signature(key, scheme, signature, content)
        self._transcript.update(message)

    def _finished(self, message: bytes) -> None:
        assert self._secrets is not None  # the state after ServerHello is reached with keys only
        self.finished_valid = message[4:] == self._secrets.server_finished(self._transcript.digest())


# The table by number of the state
_HANDLERS: Final[list[dict[int, tuple[Callable[[ClientHandshake, bytes], None], State]]]] = [
    {
        kind: (getattr(ClientHandshake, handler), following)
        for (state, kind), (handler, following) in TRANSITIONS.items()
        if state == number
    }
    for number in range(max(State) + 1)
]
# One event for each kind of message, since they are the same in every handshake
_RECEIVED: Final = [MessageReceived(kind) for kind in range(256)]
_COMPLETE: Final = FlightComplete()
_DONE: Final = State.COMPLETE
