"""The specification of a test server, independent of the software."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Software = Literal["nginx", "openssl", "gnutls", "haproxy", "apache", "nss", "stunnel", "newest-openssl"]
Version = Literal["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
# "optional-no-ca" accepts certificates of any CA; "behind" lets any client complete TLS, but refuses it in the service; "by-path"
# and "by-path-optional" ask only when a page is requested, by renegotiation or after the handshake
ClientAuth = Literal["none", "optional", "optional-no-ca", "required", "behind", "by-path", "by-path-optional"]

MODERN: tuple[Version, ...] = ("TLSv1.2", "TLSv1.3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a client that sends the spec's offer sees, with names as in findings (IANA suites, RFC group names)."""

    version: Version
    # None: any of the server's suites or groups.
    cipher: str | None = None
    group: str | None = None
    hello_retry: bool = False
    alpn: str | None = None
    # The exact codes of the finding
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """A server; ``id`` is the test id, ``offer`` the name of an offer in ``scanner.tls.offers`` that it accepts."""

    id: str
    software: Software
    expected: Expected
    versions: tuple[Version, ...] = MODERN
    # As in findings, or "rsa-pss:2048" for a key restricted to RSASSA-PSS (RFC 4055)
    key: str = "ec:P-256"
    # The issuing CA signs with RSASSA-PSS
    signed_with_pss: bool = False
    intermediates: int = 1
    # Further names in the certificate
    more_names: int = 0
    # Suites up to TLS 1.2, in the software's syntax
    ciphers: str | None = None
    # Groups, in the software's syntax
    groups: str | None = None
    client_auth: ClientAuth = "none"
    staple: bool = False
    # The staple: "good", "revoked", "expired", or for "another" certificate
    stapled: str = "good"
    alpn: str | None = None
    # Sends the alert unrecognized_name as a warning, and goes on (openssl up to TLS 1.2)
    warns_of_name: bool = False
    # The most bytes of plaintext in a record (openssl only)
    max_fragment: int | None = None
    offer: str = "modern"

    @property
    def legacy(self) -> bool:
        """Whether it only supports versions that current clients refuse."""
        return not {"TLSv1.2", "TLSv1.3"} & set(self.versions)

    @property
    def name(self) -> str:
        """The host name in the certificate."""
        return f"{self.id}.servers.test"
