"""Code points that the engine acts upon (IANA TLS registries). Names for people are in ``names``."""

from __future__ import annotations

from typing import Final

# ContentType (RFC 8446 section 5.1)
CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23
CONTENT_TYPES: Final = frozenset({CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA})

# HandshakeType (RFC 8446 section 4, RFC 5246 section 7.4)
HELLO_REQUEST: Final = 0
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
ENCRYPTED_EXTENSIONS: Final = 8
CERTIFICATE: Final = 11
SERVER_KEY_EXCHANGE: Final = 12
CERTIFICATE_REQUEST: Final = 13
SERVER_HELLO_DONE: Final = 14
CERTIFICATE_VERIFY: Final = 15
FINISHED: Final = 20
CERTIFICATE_STATUS: Final = 22
MESSAGE_HASH: Final = 254

# ExtensionType
EXT_SERVER_NAME: Final = 0
EXT_STATUS_REQUEST: Final = 5
EXT_SUPPORTED_GROUPS: Final = 10
EXT_EC_POINT_FORMATS: Final = 11
EXT_SIGNATURE_ALGORITHMS: Final = 13
EXT_ALPN: Final = 16
EXT_SCT: Final = 18
EXT_PADDING: Final = 21
EXT_EXTENDED_MASTER_SECRET: Final = 23
EXT_SESSION_TICKET: Final = 35
EXT_SUPPORTED_VERSIONS: Final = 43
EXT_COOKIE: Final = 44
EXT_PSK_KEY_EXCHANGE_MODES: Final = 45
EXT_CERTIFICATE_AUTHORITIES: Final = 47
EXT_KEY_SHARE: Final = 51
EXT_RENEGOTIATION_INFO: Final = 0xFF01

# The extensions that may answer our hellos, by the message of the server (RFC 8446 section 4.2; RFC 5246 section 7.4.1.4).
# BoringSSL and OpenSSL let supported_groups pass in a ServerHello of TLS 1.2, since some servers send it.
IN_OLD_SERVER_HELLO: Final = frozenset(
    {
        EXT_SERVER_NAME,
        EXT_STATUS_REQUEST,
        EXT_SUPPORTED_GROUPS,
        EXT_EC_POINT_FORMATS,
        EXT_ALPN,
        EXT_SCT,
        EXT_EXTENDED_MASTER_SECRET,
        EXT_SESSION_TICKET,
        EXT_RENEGOTIATION_INFO,
    }
)
IN_SERVER_HELLO: Final = frozenset({EXT_SUPPORTED_VERSIONS, EXT_KEY_SHARE})
IN_RETRY: Final = frozenset({EXT_SUPPORTED_VERSIONS, EXT_KEY_SHARE, EXT_COOKIE})
IN_ENCRYPTED_EXTENSIONS: Final = frozenset({EXT_SERVER_NAME, EXT_SUPPORTED_GROUPS, EXT_ALPN})
IN_CERTIFICATE_ENTRY: Final = frozenset({EXT_STATUS_REQUEST, EXT_SCT})
# A renegotiation_info of a first handshake is an empty vector (RFC 5746 section 3.4).
FIRST_HANDSHAKE: Final = b"\x00"

ALERT_WARNING: Final = 1
ALERT_CLOSE_NOTIFY: Final = 0

# The random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3): SHA-256 of "HelloRetryRequest"
HELLO_RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

# The end of the random of a server that knows TLS 1.3 and selects less (RFC 8446 section 4.1.3). A client that offered 1.3 must
# refuse it, since a third party has changed the offer.
DOWNGRADE_MARKS: Final = frozenset({b"DOWNGRD\x01", b"DOWNGRD\x00"})
