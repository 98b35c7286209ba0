"""What a server of the tests is to be, in words that hold for every software."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Software = Literal["nginx", "openssl", "gnutls", "haproxy", "apache", "nss", "stunnel"]
Version = Literal["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
# "optional-no-ca" takes a certificate of any CA; "behind" lets everybody into TLS, and only the known into the service
ClientAuth = Literal["none", "optional", "optional-no-ca", "required", "behind"]

MODERN: tuple[Version, ...] = ("TLSv1.2", "TLSv1.3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a client sees that sends the spec's offer: names as in findings (IANA suites, RFC group names)."""

    version: Version
    # None: the server may choose among its suites or groups, and which one is no matter of ours.
    cipher: str | None = None
    group: str | None = None
    hello_retry: bool = False
    alpn: str | None = None
    # Codes that a finding must have, and no other
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """One server. ``id`` is the test's id; ``offer`` names the hello of ``scanner.tls.offers`` that gets through."""

    id: str
    software: Software
    expected: Expected
    versions: tuple[Version, ...] = MODERN
    # As findings name keys, and "rsa-pss:2048" for a key of the RSASSA-PSS kind (RFC 4055)
    key: str = "ec:P-256"
    # The issuing CA signs with RSASSA-PSS
    signed_with_pss: bool = False
    intermediates: int = 1
    # Names in the certificate beside the server's own
    more_names: int = 0
    # Suites of TLS 1.2 and before, in the software's own words
    ciphers: str | None = None
    # Groups, in the software's own words
    groups: str | None = None
    client_auth: ClientAuth = "none"
    staple: bool = False
    # What the staple says: "good", "revoked", "expired", "another" (certificate)
    stapled: str = "good"
    alpn: str | None = None
    # Bytes of plaintext a record holds at most (openssl only)
    max_fragment: int | None = None
    offer: str = "modern"

    @property
    def legacy(self) -> bool:
        """Speaks only versions that current clients refuse."""
        return not {"TLSv1.2", "TLSv1.3"} & set(self.versions)

    @property
    def name(self) -> str:
        """The host name that the certificate is for."""
        return f"{self.id}.servers.test"
