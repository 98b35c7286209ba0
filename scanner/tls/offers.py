"""The offers of the ClientHellos that are sent, by name.

``MODERN`` has the versions, suites and groups of Chromium, the strictest current browser, so that a server which refuses it
refuses people. It has more signature schemes, at the end of the list, so that a certificate of a rare kind is seen at once.
Every other offer changes one thing; ``scanner.diagnosis.questions`` decides when one is worth a connection.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

SSL3: Final = 0x0300
TLS10: Final = 0x0301
TLS11: Final = 0x0302
TLS12: Final = 0x0303
TLS13: Final = 0x0304

MLKEM512: Final = 0x0200
MLKEM768: Final = 0x0201
MLKEM1024: Final = 0x0202
SECP256R1MLKEM768: Final = 0x11EB
X25519MLKEM768: Final = 0x11EC
SECP384R1MLKEM1024: Final = 0x11ED
X25519: Final = 0x001D
SECP256R1: Final = 0x0017
SECP384R1: Final = 0x0018
SECP521R1: Final = 0x0019
X448: Final = 0x001E
FFDHE2048: Final = 0x0100
FFDHE3072: Final = 0x0101
FFDHE4096: Final = 0x0102
FFDHE6144: Final = 0x0103
FFDHE8192: Final = 0x0104
# brainpoolP256r1tls13, P384r1tls13 and P512r1tls13 (RFC 8734)
BRAINPOOL_P256_TLS13: Final = 0x001F
BRAINPOOL_P384_TLS13: Final = 0x0020
BRAINPOOL_P512_TLS13: Final = 0x0021
CURVE_SM2: Final = 0x0029
CURVE_SM2MLKEM768: Final = 0x11EE
# brainpoolP256r1..P512r1, and the older curves that some appliances still have alone (RFC 8422, RFC 7027)
RARE_CURVES: Final = (0x001A, 0x001B, 0x001C, 0x0016, 0x0015, 0x0013)

TLS13_SUITES: Final = (0x1301, 0x1302, 0x1303)
# AES-CCM, which GnuTLS offers and constrained devices have alone
CCM_TLS13_SUITES: Final = (0x1304, 0x1305)

ECDHE_AEAD: Final = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8)
ECDHE_CBC_SHA1: Final = (0xC013, 0xC014)
RSA_KX: Final = (0x009C, 0x009D, 0x002F, 0x0035)
# No longer offered by Chromium and Firefox, strongest first: ECDHE-ECDSA/RSA CBC, DHE, CCM, Camellia, ARIA, RSA CBC-SHA256
RETIRED: Final = (
    0xC009, 0xC00A, 0xC023, 0xC027, 0xC024, 0xC028,
    0x009E, 0x009F, 0xCCAA, 0x0033, 0x0039, 0x0067, 0x006B, 0x00A2, 0x00A3, 0x0032, 0x0038, 0x0040, 0x006A,
    0xC0AC, 0xC0AD, 0xC0AE, 0xC0AF, 0xC09C, 0xC09D, 0xC0A0, 0xC0A1, 0xC09E, 0xC09F, 0xC0A2, 0xC0A3,
    0x003C, 0x003D, 0x0041, 0x0084, 0x0045, 0x0088, 0x00BA, 0x00C0, 0x00BE, 0x00C4, 0xC076, 0xC077, 0xC072, 0xC073,
    0xC050, 0xC051, 0xC05C, 0xC05D, 0xC060, 0xC061, 0xC052, 0xC053, 0xC056, 0xC057, 0x00BD, 0x00C3, 0x0044, 0x0087, 0x0096, 0x009A,
)  # fmt: skip
# No client of this decade accepts these: 3DES, RC4, single DES, export, anonymous, NULL
BROKEN: Final = (
    0xC008, 0xC012, 0x0016, 0x0013, 0x000A, 0x0007,
    0xC007, 0xC011, 0x0005, 0x0004,
    0x0015, 0x0012, 0x0009, 0x0014, 0x0011, 0x0008, 0x0003, 0x0006,
    0xC018, 0xC019, 0xC017, 0x00A6, 0x00A7, 0x006C, 0x006D, 0x0034, 0x003A, 0x00BF, 0x00C5, 0x0046, 0x0089, 0x001B, 0x0018, 0xC016,
    0x003B, 0x0002, 0x0001, 0xC006, 0xC010, 0xC015,
)  # fmt: skip

MODERN_SUITES: Final = (*TLS13_SUITES, *ECDHE_AEAD, *ECDHE_CBC_SHA1, *RSA_KX)
ALL_SUITES: Final = (*MODERN_SUITES, *CCM_TLS13_SUITES, *RETIRED, *BROKEN)

MODERN_GROUPS: Final = (X25519MLKEM768, X25519, SECP256R1, SECP384R1)
# Of TLS 1.3 alone: what OpenSSL 3.5, GnuTLS and appliances offer beside what browsers do
TLS13_GROUPS: Final = (
    SECP256R1MLKEM768, SECP384R1MLKEM1024, MLKEM768, MLKEM1024, MLKEM512,
    BRAINPOOL_P256_TLS13, BRAINPOOL_P384_TLS13, BRAINPOOL_P512_TLS13, CURVE_SM2, CURVE_SM2MLKEM768,
)  # fmt: skip
# Of these no share can be made here: a HelloRetryRequest is as far as a handshake comes.
UNCOMPUTED_GROUPS: Final = (MLKEM512, CURVE_SM2, CURVE_SM2MLKEM768)
FFDHE_GROUPS: Final = (FFDHE2048, FFDHE3072, FFDHE4096, FFDHE6144, FFDHE8192)
ALL_GROUPS: Final = (*MODERN_GROUPS, SECP521R1, X448, *FFDHE_GROUPS, *TLS13_GROUPS, *RARE_CURVES)

# Chromium's list first (RFC 8446 section 4.2.3 code points), then those of other clients
BROWSER_SCHEMES: Final = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
SHA1_SCHEMES: Final = (0x0203, 0x0201, 0x0202)
SHA224_SCHEMES: Final = (0x0303, 0x0301, 0x0302)
OTHER_SCHEMES: Final = (0x0603, 0x0807, 0x0808, 0x0809, 0x080A, 0x080B, *SHA224_SCHEMES, 0x0402, 0x0502, 0x0602)
# ML-DSA-44, -65 and -87, brainpool in TLS 1.3 (RFC 8734), SM2 (RFC 8998). Not in ``MODERN``: a server that has a second
# certificate of such a kind would show that one, which clients without them never see.
RARE_SCHEMES: Final = (0x0904, 0x0905, 0x0906, 0x081A, 0x081B, 0x081C, 0x0708)


class Offer(Struct, frozen=True):
    """What one ClientHello offers: code points of the IANA registries, in order of preference.

    ``versions`` that include TLS 1.3 go into supported_versions (RFC 8446 section 4.2.1). ``key_shares`` are the ``groups`` for
    which a share is sent. Without ``alpn`` the protocol's ALPN names are left out, without ``status_request`` no staple is asked for,
    without ``extensions`` there is no extension block (SSL 3.0).
    """

    name: str
    versions: tuple[int, ...] = (TLS13, TLS12)
    suites: tuple[int, ...] = MODERN_SUITES
    groups: tuple[int, ...] = MODERN_GROUPS
    key_shares: tuple[int, ...] = (X25519MLKEM768, X25519)
    schemes: tuple[int, ...] = (*BROWSER_SCHEMES, *OTHER_SCHEMES, *SHA1_SCHEMES)
    alpn: bool = True
    status_request: bool = True
    extensions: bool = True


MODERN: Final = Offer("modern")
# One TCP segment: no post-quantum share, nothing else changed
SMALL: Final = replace(MODERN, name="small", groups=(X25519, SECP256R1, SECP384R1), key_shares=(X25519,))
# As small, with the two shares that most clients send: answers "was it the size, or the number of shares?"
TWO_SHARES: Final = replace(SMALL, name="two-shares", key_shares=(X25519, SECP256R1))
# As small, without asking for a staple, as OpenSSL, curl, Python and Node: answers "was it status_request?"
NO_STATUS: Final = replace(SMALL, name="no-status", status_request=False)
# Does not mention TLS 1.3 at all
TLS12_ONLY: Final = Offer(
    "tls12", versions=(TLS12,), suites=MODERN_SUITES[3:], groups=(X25519, SECP256R1, SECP384R1), key_shares=()
)
TLS13_ONLY: Final = replace(MODERN, name="tls13", versions=(TLS13,), suites=TLS13_SUITES)
# Every suite, same groups: answers "was it the suites?"
ALL_SUITES_OFFER: Final = replace(MODERN, name="all-suites", suites=ALL_SUITES)
# Same suites, every group: answers "was it the groups?"
ALL_GROUPS_OFFER: Final = replace(MODERN, name="all-groups", groups=ALL_GROUPS)
# Same lists, every signature scheme: answers "was it the schemes?"
ALL_SCHEMES_OFFER: Final = replace(MODERN, name="all-schemes", schemes=(*MODERN.schemes, *RARE_SCHEMES))
# Same lists, no ALPN: answers "was it the application protocol?"
NO_ALPN: Final = replace(MODERN, name="no-alpn", alpn=False)
# Everything that any client offers in TLS 1.3 and 1.2, neither ALPN nor a request for a staple: answers "is there any offer it takes?"
EVERYTHING: Final = replace(
    ALL_SCHEMES_OFFER, name="everything", suites=ALL_SUITES, groups=ALL_GROUPS, alpn=False, status_request=False
)
# No RSA key transport: Go (since 1.22) and Python do not offer it
FORWARD_SECRET: Final = replace(MODERN, name="forward-secret", suites=(*TLS13_SUITES, *ECDHE_AEAD, *ECDHE_CBC_SHA1))
# No SHA-1 signatures, which Chromium, Go and OpenSSL at level 2 do not offer
NO_SHA1: Final = replace(MODERN, name="no-sha1", schemes=(*BROWSER_SCHEMES, *OTHER_SCHEMES))
# No SHA-224 either, which Chromium, Firefox, Go and GnuTLS do not offer
NO_SHA224: Final = replace(
    MODERN, name="no-sha224", schemes=tuple(scheme for scheme in NO_SHA1.schemes if scheme not in SHA224_SCHEMES)
)

# All there are before TLS 1.3
LEGACY_SUITES: Final = tuple(s for s in ALL_SUITES if s not in (*TLS13_SUITES, *CCM_TLS13_SUITES))
_LEGACY_GROUPS: Final = tuple(g for g in ALL_GROUPS if g not in (X25519MLKEM768, *TLS13_GROUPS))
# ``EVERYTHING`` without TLS 1.3
TLS12_EVERYTHING: Final = Offer(
    "tls12-everything",
    versions=(TLS12,),
    suites=LEGACY_SUITES,
    groups=_LEGACY_GROUPS,
    key_shares=(),
    schemes=EVERYTHING.schemes,
    alpn=False,
)
TLS11_ONLY: Final = replace(TLS12_EVERYTHING, name="tls11", versions=(TLS11,))
TLS10_ONLY: Final = replace(TLS12_EVERYTHING, name="tls10", versions=(TLS10,))
SSL3_ONLY: Final = replace(TLS12_EVERYTHING, name="ssl3", versions=(SSL3,), groups=(), schemes=(), extensions=False)

OFFERS: Final = {
    offer.name: offer
    for offer in (
        MODERN, SMALL, TWO_SHARES, NO_STATUS, TLS12_ONLY, TLS13_ONLY, ALL_SUITES_OFFER, ALL_GROUPS_OFFER, ALL_SCHEMES_OFFER,
        NO_ALPN, EVERYTHING, FORWARD_SECRET, NO_SHA1, NO_SHA224, TLS12_EVERYTHING, TLS11_ONLY, TLS10_ONLY, SSL3_ONLY,
    )
}  # fmt: skip
