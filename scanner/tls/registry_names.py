"""Names of the code points of TLS as in the IANA registries, and codes by name; an unknown one is a number in hexadecimal.

Code points are integers everywhere else, and get names only where a person reads them. Reserved GREASE values (RFC 8701)
are named "GREASE".
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import orjson
from msgspec import Struct

from scanner.shipped import shipped

GREASE: Final = "GREASE"

# "TLSv1.3" rather than "TLS 1.3": one word, as OpenSSL, curl and Python print it
VERSIONS: Final = {
    0x0002: "SSLv2",
    0x0300: "SSLv3",
    0x0301: "TLSv1.0",
    0x0302: "TLSv1.1",
    0x0303: "TLSv1.2",
    0x0304: "TLSv1.3",
}

# RFC 8446 section 6, RFC 5246 section 7.2, and the older and later ones of the registry "TLS Alerts"
ALERTS: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",  # TLS 1.0 (RFC 2246); reserved since TLS 1.1
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",  # SSL 3.0 (RFC 6101)
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    52: "too_many_cids_requested",  # RFC 9147
    60: "export_restriction",  # TLS 1.0 (RFC 2246); reserved since TLS 1.1
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",  # RFC 7507
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",  # RFC 6066
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",  # RFC 6066
    115: "unknown_psk_identity",
    116: "certificate_required",
    117: "general_error",  # the revision of TLS 1.3
    120: "no_application_protocol",  # RFC 7301
    121: "ech_required",
}

# Registry "TLS ExtensionType Values", and what was deployed without being registered: next_protocol_negotiation, and ALPS drafts.
EXTENSIONS: Final = {
    0: "server_name",
    1: "max_fragment_length",
    2: "client_certificate_url",
    3: "trusted_ca_keys",
    4: "truncated_hmac",
    5: "status_request",
    6: "user_mapping",
    7: "client_authz",
    8: "server_authz",
    9: "cert_type",
    10: "supported_groups",
    11: "ec_point_formats",
    12: "srp",
    13: "signature_algorithms",
    14: "use_srtp",
    15: "heartbeat",
    16: "application_layer_protocol_negotiation",
    17: "status_request_v2",
    18: "signed_certificate_timestamp",
    19: "client_certificate_type",
    20: "server_certificate_type",
    21: "padding",
    22: "encrypt_then_mac",
    23: "extended_master_secret",
    24: "token_binding",
    25: "cached_info",
    27: "compress_certificate",
    28: "record_size_limit",
    34: "delegated_credential",
    35: "session_ticket",
    41: "pre_shared_key",
    42: "early_data",
    43: "supported_versions",
    44: "cookie",
    45: "psk_key_exchange_modes",
    47: "certificate_authorities",
    48: "oid_filters",
    49: "post_handshake_auth",
    50: "signature_algorithms_cert",
    51: "key_share",
    57: "quic_transport_parameters",
    13172: "next_protocol_negotiation",
    17513: "application_settings",
    17613: "application_settings",
    0xFE0D: "encrypted_client_hello",
    0xFF01: "renegotiation_info",
}

_REGISTRIES: Final[dict[str, Any]] = orjson.loads(shipped("tls-registries.json"))


def _by_code(registry: str) -> dict[int, Any]:
    return {int(code, 16): entry for code, entry in _REGISTRIES[registry].items()}


# Registry "TLS Supported Groups", and what was deployed without ever being registered: CECPQ2 and Kyber drafts.
GROUPS: Final[dict[int, str]] = _by_code("groups")
# Registry "TLS SignatureScheme"; pairs of TLS 1.2 (RFC 5246 section 7.4.1.4.1) without a name there follow its manner.
SCHEMES: Final[dict[int, str]] = _by_code("signature_schemes")
# Cipher suites: (IANA name, OpenSSL name or "", key exchange, authentication, cipher, MAC), see ``Suite``. Names that begin
# with ``OLD_TLS_`` were never in the registry.
SUITES: Final[dict[int, tuple[str, str, str, str, str, str]]] = {
    code: tuple(fields) for code, fields in _by_code("cipher_suites").items()
}

FORWARD_SECRET_EXCHANGES: Final = frozenset({"ECDHE", "DHE", "TLS13", "CECPQ1", "ECCPWD", "IBSDH", "SRP"})


class Suite(Struct, frozen=True):
    """The parts of a cipher suite.

    ``kx`` is the key exchange: "TLS13" where the suite does not name it (RFC 8446 appendix B.4), "ECDHE", "DHE", "RSA",
    "ECDH", "DH", "PSK", "SRP", ...; ``auth`` is what authenticates the server: "any" for TLS 1.3, "RSA", "ECDSA", "DSS",
    "PSK", "anon" for nothing. ``mac`` is "AEAD" where the cipher includes it. A signalling value (RFC 5746, RFC 7507) has
    "SCSV" in every field, a code point that is not in the table "unknown".
    ``weak`` names a part that is broken beyond dispute ("NULL", "anon", "EXPORT", "RC4", "RC2", "DES", "3DES", "IDEA"), or
    is None. A lack of forward secrecy does not count as that.
    """

    code: int
    name: str
    openssl: str | None
    kx: str
    auth: str
    cipher: str
    mac: str
    weak: str | None
    forward_secret: bool


def is_grease(code: int) -> bool:
    """Return whether a 16-bit code point is one of the sixteen reserved by RFC 8701: 0x0A0A, 0x1A1A, ... 0xFAFA."""
    return code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF


def cipher_name(code: int) -> str:
    """Return the IANA name of a cipher suite, or its code as "0x1a2b"."""
    entry = SUITES.get(code)
    return entry[0] if entry is not None else _unnamed(code)


def group_name(code: int) -> str:
    """Return the IANA name of a group of supported_groups (RFC 8446 section 4.2.7), or its code as "0x1a2b"."""
    return GROUPS.get(code) or _unnamed(code)


def scheme_name(code: int) -> str:
    """Return the IANA name of a signature scheme (RFC 8446 section 4.2.3), or its code as "0x1a2b"."""
    return SCHEMES.get(code) or _unnamed(code)


def extension_name(code: int) -> str:
    """Return the IANA name of an ExtensionType, or its code as "0x1a2b"."""
    return EXTENSIONS.get(code) or _unnamed(code)


def version_name(code: int) -> str:
    """Return a protocol version as "TLSv1.3"; drafts of TLS 1.3 as "TLSv1.3-draft28"; else its code as "0x1a2b"."""
    if 0x7F00 < code <= 0x7F1C:
        return f"TLSv1.3-draft{code & 0xFF}"
    return VERSIONS.get(code) or _unnamed(code)


def cipher_code(name: str) -> int | None:
    """Return the code of a name of ``cipher_name``, or None."""
    return _codes("cipher").get(name, _code_as_text(name))


def group_code(name: str) -> int | None:
    """Return the code of a name of ``group_name``, the lowest of several, or None."""
    return _codes("group").get(name, _code_as_text(name))


def scheme_code(name: str) -> int | None:
    """Return the code of a name of ``scheme_name``, or None."""
    return _codes("scheme").get(name, _code_as_text(name))


def version_code(name: str) -> int | None:
    """Return the code of a name of ``version_name``, or None."""
    draft = name.removeprefix("TLSv1.3-draft")
    if draft != name and draft.isascii() and draft.isdigit() and int(draft[:3]) <= 28:
        return 0x7F00 + int(draft)
    return _codes("version").get(name, _code_as_text(name))


@cache
def _codes(kind: str) -> dict[str, int]:
    named: dict[str, dict[int, str]] = {
        "cipher": {code: entry[0] for code, entry in SUITES.items()},
        "group": GROUPS,
        "scheme": SCHEMES,
        "version": VERSIONS,
    }
    codes: dict[str, int] = {}
    for code, name in named[kind].items():
        codes.setdefault(name, code)
    return codes


def _code_as_text(name: str) -> int | None:
    try:
        return int(name, 16) if name.startswith("0x") and len(name) == 6 else None
    except ValueError:
        return None


def alert_name(code: int) -> str:
    """Return the name of an AlertDescription (RFC 8446 section 6), or its code as "0x7b"."""
    return ALERTS.get(code) or f"0x{code:02x}"


@cache  # at most one entry for each of 65,536 code points
def cipher_suite(code: int) -> Suite:
    """Return the parts of a suite by its code point, "unknown" for those that are not in the table."""
    entry = SUITES.get(code)
    if entry is None:
        return Suite(code, _unnamed(code), None, "unknown", "unknown", "unknown", "unknown", None, False)
    name, openssl, kx, auth, cipher, mac = entry
    weak = _weakness(name, auth, cipher)
    return Suite(code, name, openssl or None, kx, auth, cipher, mac, weak, kx in FORWARD_SECRET_EXCHANGES)


def _weakness(name: str, auth: str, cipher: str) -> str | None:
    if cipher == "NULL":
        return "NULL"
    if auth == "anon":
        return "anon"
    if "_EXPORT" in name:
        return "EXPORT"
    return next((name for name in ("RC4", "RC2", "DES", "3DES", "IDEA") if cipher.startswith(name)), None)


def _unnamed(code: int) -> str:
    return GREASE if is_grease(code) else f"0x{code:04x}"
