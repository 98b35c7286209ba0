"""The real servers that the tests scan.

Their certificates are valid. ``Expected.codes`` are the only codes that apply to each: an old version, suites or groups
that current clients do not offer, or a kind of key that browsers do not accept.
"""

from __future__ import annotations

from typing import Final

from tests.servers.spec import Expected, ServerSpec, Version

# TLS 1.3 suites and groups that OpenSSL 3 and GnuTLS 3.7 pick on their own
AES256: Final = "TLS_AES_256_GCM_SHA384"

# Servers that ask for a client certificate and continue without one.
ASKS: Final = "client-certificate-optional"

_ONLY_12: Final[tuple[Version, ...]] = ("TLSv1.2",)
_ONLY_13: Final[tuple[Version, ...]] = ("TLSv1.3",)


def _tls13(
    *codes: str, cipher: str | None = None, group: str = "x25519", retry: bool = False, alpn: str | None = None
) -> Expected:
    return Expected(version="TLSv1.3", cipher=cipher, group=group, hello_retry=retry, alpn=alpn, codes=codes)


def _tls12(*codes: str, cipher: str | None = None, group: str | None = None, alpn: str | None = None) -> Expected:
    return Expected(version="TLSv1.2", cipher=cipher, group=group, alpn=alpn, codes=codes)


def _old(version: Version) -> Expected:
    return Expected(version=version, codes=("legacy-version-only",))


# Current configurations
MODERN_SERVERS: Final = (
    ServerSpec(id="nginx-tls13-ecdsa", software="nginx", alpn="h2", expected=_tls13(alpn="h2")),
    ServerSpec(id="nginx-tls13-rsa", software="nginx", key="rsa:2048", expected=_tls13()),
    ServerSpec(id="nginx-tls13-staple", software="nginx", staple=True, expected=_tls13()),
    ServerSpec(
        id="nginx-tls13-retry", software="nginx", groups="secp384r1", expected=_tls13(group="secp384r1", retry=True)
    ),
    ServerSpec(
        id="nginx-tls12-rsa",
        software="nginx",
        versions=_ONLY_12,
        key="rsa:2048",
        ciphers="ECDHE-RSA-AES128-GCM-SHA256",
        expected=_tls12(cipher="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", group="x25519"),
    ),
    ServerSpec(
        id="nginx-tls12-ecdsa-staple",
        software="nginx",
        versions=_ONLY_12,
        staple=True,
        alpn="h2",
        expected=_tls12(alpn="h2"),
    ),
    ServerSpec(
        id="openssl-tls13-ed25519", software="openssl", key="ed25519", expected=_tls13("no-shared-signature-scheme")
    ),
    ServerSpec(
        id="openssl-tls12-ed25519",
        software="openssl",
        versions=_ONLY_12,
        key="ed25519",
        expected=_tls12("no-shared-signature-scheme"),
    ),
    ServerSpec(
        id="openssl-tls13-ed448", software="openssl", key="ed448", expected=_tls13("no-shared-signature-scheme")
    ),
    ServerSpec(id="openssl-tls13-p384", software="openssl", key="ec:P-384", expected=_tls13()),
    ServerSpec(
        id="openssl-tls13-p521", software="openssl", key="ec:P-521", expected=_tls13("no-shared-signature-scheme")
    ),
    ServerSpec(
        id="openssl-tls13-rsa-pss",
        software="openssl",
        key="rsa-pss:2048",
        expected=_tls13("no-shared-signature-scheme"),
    ),
    ServerSpec(
        id="openssl-tls12-rsa-pss",
        software="openssl",
        versions=_ONLY_12,
        key="rsa-pss:2048",
        expected=_tls12("no-shared-signature-scheme"),
    ),
    ServerSpec(
        id="openssl-tls13-signed-with-pss", software="openssl", key="rsa:2048", signed_with_pss=True, expected=_tls13()
    ),
    ServerSpec(
        id="openssl-tls13-retry-staple",
        software="openssl",
        groups="P-256",
        staple=True,
        expected=_tls13(group="secp256r1", retry=True),
    ),
    # No server of the web: the names that are offered in ALPN are refused, and a hello without ALPN is not
    ServerSpec(
        id="openssl-tls13-mqtt",
        software="openssl",
        alpn="mqtt",
        offer="no-alpn",
        expected=_tls13("no-shared-alpn"),
    ),
    ServerSpec(
        id="openssl-tls12-dot",
        software="openssl",
        versions=_ONLY_12,
        alpn="dot",
        offer="no-alpn",
        expected=_tls12("no-shared-alpn"),
    ),
    ServerSpec(
        id="gnutls-tls13-ccm",
        software="gnutls",
        ciphers="-CIPHER-ALL:+AES-128-CCM",
        offer="everything",
        expected=_tls13("no-shared-cipher", cipher="TLS_AES_128_CCM_SHA256"),
    ),
    ServerSpec(
        id="gnutls-tls13-ffdhe8192",
        software="gnutls",
        groups="FFDHE8192",
        offer="everything",
        expected=_tls13("no-shared-group", group="ffdhe8192", retry=True),
    ),
    *(
        ServerSpec(
            id=f"newest-openssl-{group.lower()}",
            software="newest-openssl",
            groups=group,
            offer="everything",
            expected=_tls13("no-shared-group", group=group, retry=True),
        )
        for group in (
            "MLKEM768",
            "MLKEM1024",
            "SecP256r1MLKEM768",
            "SecP384r1MLKEM1024",
            "brainpoolP256r1tls13",
            "brainpoolP512r1tls13",
        )
    ),
    *(
        ServerSpec(
            id=f"newest-openssl-{key}",
            software="newest-openssl",
            key=key,
            offer="everything",
            expected=_tls13("no-shared-signature-scheme", group="X25519MLKEM768"),
        )
        for key in ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
    ),
    ServerSpec(id="openssl-tls12-staple", software="openssl", versions=_ONLY_12, staple=True, expected=_tls12()),
    # A flight of many records: 512 bytes of plaintext is the smallest fragment that OpenSSL sends.
    ServerSpec(
        id="openssl-tls13-fragments",
        software="openssl",
        key="rsa:4096",
        intermediates=4,
        max_fragment=512,
        expected=_tls13(),
    ),
    ServerSpec(
        id="openssl-tls12-fragments",
        software="openssl",
        versions=_ONLY_12,
        key="rsa:4096",
        intermediates=4,
        max_fragment=512,
        expected=_tls12(),
    ),
    # A certificate with many names, too large for one record of 16 KB
    ServerSpec(id="nginx-tls13-many-names", software="nginx", key="rsa:2048", more_names=900, expected=_tls13()),
    ServerSpec(
        id="nginx-tls12-many-names",
        software="nginx",
        versions=_ONLY_12,
        key="rsa:2048",
        more_names=900,
        expected=_tls12(),
    ),
    ServerSpec(id="nginx-tls13-chain-of-seven", software="nginx", intermediates=6, expected=_tls13()),
    # Firefox follows six intermediates.
    ServerSpec(
        id="nginx-tls13-chain-of-nine", software="nginx", intermediates=8, expected=_tls13("too-many-certificates")
    ),
    ServerSpec(id="openssl-tls13-asks", software="openssl", client_auth="optional", expected=_tls13(ASKS)),
    ServerSpec(id="nginx-tls13-asks", software="nginx", client_auth="optional", expected=_tls13(ASKS)),
    ServerSpec(
        id="nginx-tls12-asks", software="nginx", versions=_ONLY_12, client_auth="optional", expected=_tls12(ASKS)
    ),
    ServerSpec(id="gnutls-tls13-ecdsa", software="gnutls", expected=_tls13()),
    ServerSpec(
        id="gnutls-tls13-ed25519", software="gnutls", key="ed25519", expected=_tls13("no-shared-signature-scheme")
    ),
    ServerSpec(id="gnutls-tls13-rsa-staple", software="gnutls", key="rsa:2048", staple=True, expected=_tls13()),
    ServerSpec(
        id="gnutls-tls13-retry", software="gnutls", groups="SECP384R1", expected=_tls13(group="secp384r1", retry=True)
    ),
    ServerSpec(
        id="gnutls-tls12-rsa-staple",
        software="gnutls",
        versions=_ONLY_12,
        key="rsa:2048",
        staple=True,
        expected=_tls12(),
    ),
    ServerSpec(
        id="gnutls-tls12-legacy-renegotiation",
        software="gnutls",
        versions=_ONLY_12,
        ciphers="%DISABLE_SAFE_RENEGOTIATION",
        expected=_tls12("legacy-renegotiation"),
    ),
    ServerSpec(
        id="openssl-tls12-warns-of-name",
        software="openssl",
        versions=_ONLY_12,
        warns_of_name=True,
        expected=_tls12("sni-unrecognized"),
    ),
    ServerSpec(
        id="gnutls-tls12-asks", software="gnutls", versions=_ONLY_12, client_auth="optional", expected=_tls12(ASKS)
    ),
    ServerSpec(
        id="haproxy-tls13-ecdsa", software="haproxy", alpn="h2,http/1.1", expected=_tls13(cipher=AES256, alpn="h2")
    ),
    ServerSpec(id="haproxy-tls13-rsa-staple", software="haproxy", key="rsa:2048", staple=True, expected=_tls13()),
    ServerSpec(id="haproxy-tls12-ecdsa", software="haproxy", versions=_ONLY_12, expected=_tls12()),
    ServerSpec(id="haproxy-tls13-asks", software="haproxy", client_auth="optional", expected=_tls13(ASKS)),
    ServerSpec(id="apache-tls13-ecdsa", software="apache", alpn="h2", expected=_tls13(alpn="h2")),
    ServerSpec(id="apache-tls12-rsa", software="apache", versions=_ONLY_12, key="rsa:2048", expected=_tls12()),
    ServerSpec(id="apache-tls13-asks", software="apache", client_auth="optional", expected=_tls13(ASKS)),
    # NSS packs its flight into as few records as possible.
    ServerSpec(id="nss-tls13-ecdsa", software="nss", expected=_tls13()),
    ServerSpec(id="nss-tls12-rsa", software="nss", versions=_ONLY_12, key="rsa:2048", expected=_tls12()),
    ServerSpec(id="nss-tls12-asks", software="nss", versions=_ONLY_12, client_auth="optional", expected=_tls12(ASKS)),
    ServerSpec(
        id="nss-tls13-retry",
        software="nss",
        groups="P521",
        offer="all-groups",
        expected=_tls13("no-shared-group", group="secp521r1", retry=True),
    ),
)

# Healthy servers that refuse clients without a certificate.
CLOSED_SERVERS: Final = (
    ServerSpec(id="openssl-tls13-requires", software="openssl", client_auth="required", expected=_tls13()),
    ServerSpec(
        id="openssl-tls12-requires", software="openssl", versions=_ONLY_12, client_auth="required", expected=_tls12()
    ),
    ServerSpec(id="gnutls-tls13-requires", software="gnutls", client_auth="required", expected=_tls13()),
    ServerSpec(
        id="haproxy-tls12-requires", software="haproxy", versions=_ONLY_12, client_auth="required", expected=_tls12()
    ),
    ServerSpec(
        id="apache-tls12-requires", software="apache", versions=_ONLY_12, client_auth="required", expected=_tls12()
    ),
    # Refuses in HTTP: the handshake completes and the answer is 400.
    ServerSpec(id="nginx-tls13-requires", software="nginx", client_auth="required", expected=_tls13()),
)

# Servers that all or some current clients refuse, for their version or, at the end of the list, suites and groups
LEGACY_SERVERS: Final = (
    ServerSpec(
        id="openssl-tls10", software="openssl", versions=("TLSv1.0",), key="rsa:2048", offer="tls10",
        expected=_old("TLSv1.0"),
    ),
    ServerSpec(
        id="openssl-tls11-ecdsa", software="openssl", versions=("TLSv1.1",), offer="tls11",
        expected=_old("TLSv1.1"),
    ),
    ServerSpec(
        id="nginx-tls10-tls11", software="nginx", versions=("TLSv1.0", "TLSv1.1"), key="rsa:2048", offer="tls11",
        expected=_old("TLSv1.1"),
    ),
    ServerSpec(
        id="gnutls-tls10", software="gnutls", versions=("TLSv1.0",), key="rsa:2048", offer="tls10",
        expected=_old("TLSv1.0"),
    ),
    ServerSpec(
        id="gnutls-tls11", software="gnutls", versions=("TLSv1.1",), key="rsa:2048", offer="tls11",
        expected=_old("TLSv1.1"),
    ),
    ServerSpec(
        id="haproxy-tls10", software="haproxy", versions=("TLSv1.0",), key="rsa:2048", offer="tls10",
        expected=_old("TLSv1.0"),
    ),
    ServerSpec(
        id="apache-tls11", software="apache", versions=("TLSv1.1",), key="rsa:2048", offer="tls11",
        expected=_old("TLSv1.1"),
    ),
    ServerSpec(
        id="nss-ssl3", software="nss", versions=("SSLv3",), key="rsa:2048", offer="ssl3",
        expected=_old("SSLv3"),
    ),
    ServerSpec(
        id="openssl-tls12-dhe-rsa", software="openssl", versions=_ONLY_12, key="rsa:2048",
        ciphers="DHE-RSA-AES128-GCM-SHA256", offer="all-suites",
        expected=_tls12("no-shared-cipher", cipher="TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
    ),
    ServerSpec(
        id="openssl-tls12-dsa", software="openssl", versions=_ONLY_12, key="dsa:2048",
        ciphers="DHE-DSS-AES128-GCM-SHA256:@SECLEVEL=0", offer="all-suites",
        expected=_tls12("no-shared-cipher", "weak-key", cipher="TLS_DHE_DSS_WITH_AES_128_GCM_SHA256"),
    ),
    ServerSpec(
        id="openssl-tls13-p521-only", software="openssl", versions=_ONLY_13, groups="P-521", offer="all-groups",
        expected=_tls13("no-shared-group", group="secp521r1", retry=True),
    ),
    # Chromium and Firefox still accept it; Go and Python do not.
    ServerSpec(
        id="nginx-tls12-rsa-kx", software="nginx", versions=_ONLY_12, key="rsa:2048", ciphers="AES256-GCM-SHA384",
        expected=_tls12("no-shared-cipher", cipher="TLS_RSA_WITH_AES_256_GCM_SHA384"),
    ),
    ServerSpec(
        id="openssl-tls12-null", software="openssl", versions=_ONLY_12, key="rsa:2048",
        ciphers="NULL-SHA256:@SECLEVEL=0", offer="all-suites",
        expected=_tls12("no-shared-cipher", cipher="TLS_RSA_WITH_NULL_SHA256"),
    ),
)  # fmt: skip

# Servers without a certificate, by their suites or for want of one: Postfix with `smtpd_tls_cert_file = none` is another.
ANONYMOUS_SERVERS: Final = (
    ServerSpec(
        id="openssl-tls12-anonymous", software="openssl", versions=_ONLY_12, ciphers="aNULL:@SECLEVEL=0",
        expected=_tls12("no-shared-cipher"),
    ),
    ServerSpec(
        id="openssl-tls12-anonymous-dhe", software="openssl", versions=_ONLY_12, ciphers="ADH-AES128-SHA:@SECLEVEL=0",
        expected=_tls12("no-shared-cipher"),
    ),
    ServerSpec(
        id="openssl-tls10-anonymous", software="openssl", versions=("TLSv1.0",), ciphers="AECDH-AES128-SHA:@SECLEVEL=0",
        expected=Expected(version="TLSv1.0", codes=("legacy-version-only", "no-shared-cipher")),
    ),
    ServerSpec(
        id="gnutls-tls12-anonymous", software="gnutls", versions=_ONLY_12, ciphers="-KX-ALL:+ANON-ECDH",
        expected=_tls12("no-shared-cipher"),
    ),
)  # fmt: skip

# Invalid staples, and staples of revoked certificates, in the different messages of TLS 1.2 and 1.3.
STAPLING_SERVERS: Final = tuple(
    ServerSpec(
        id=f"{software}-tls{versions[0][-3:].replace('.', '')}-staple-{stapled}",
        software=software,
        versions=versions,
        staple=True,
        stapled=stapled,
        expected=expected(code),
    )
    for software in ("nginx", "openssl")
    for versions, expected in ((_ONLY_12, _tls12), (_ONLY_13, _tls13))
    for stapled, code in (
        ("revoked", "revoked-ocsp-staple"),
        ("expired", "staple-invalid"),
        ("another", "staple-invalid"),
    )
)

ALL_SERVERS: Final = MODERN_SERVERS + CLOSED_SERVERS + LEGACY_SERVERS


def by_id(identifier: str) -> ServerSpec:
    return next(spec for spec in ALL_SERVERS if spec.id == identifier)
