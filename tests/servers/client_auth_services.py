"""More servers that ask for a client certificate: other software, and other ways to refuse.

``without`` is the code for a client without a certificate, if there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.servers.spec import ClientAuth, Expected, ServerSpec, Software, Version
from tests.servers.starttls_services import SERVICES, Service, Site

REQUIRED: Final = "client-certificate-required"
BEHIND: Final = "client-certificate-required-by-application"
OPTIONAL: Final = "client-certificate-optional"


def web(software: Software, version: Version, mode: ClientAuth) -> ServerSpec:
    """Return an HTTP server, or one of a similar protocol."""
    return ServerSpec(
        id=f"{software}-{version[-1]}-{mode}",
        software=software,
        versions=(version,),
        client_auth=mode,
        key="rsa:2048" if software == "nss" else "ec:P-256",
        expected=Expected(version=version),
    )


def _without(software: Software, mode: ClientAuth) -> str:
    if mode == "required" and software != "nginx":
        return REQUIRED
    # nginx completes the handshake and refuses in HTTP
    return BEHIND if mode in ("required", "behind") else OPTIONAL


_MODES: Final[tuple[tuple[Software, tuple[ClientAuth, ...]], ...]] = (
    ("nginx", ("optional", "optional-no-ca", "required", "behind")),
    ("apache", ("optional", "optional-no-ca", "required", "behind")),
    ("openssl", ("optional", "required")),
    ("gnutls", ("optional", "required")),
    ("haproxy", ("optional", "required")),
    ("nss", ("optional", "required")),
    ("stunnel", ("optional", "required")),
)
_VERSIONS: Final[tuple[Version, ...]] = ("TLSv1.2", "TLSv1.3")
#: (server, code)
WEB: Final = tuple(
    (web(software, version, mode), _without(software, mode))
    for software, modes in _MODES
    for mode in modes
    for version in _VERSIONS
)


# --- other protocols -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asking:
    """A server of another protocol that asks for a certificate, in one version of TLS."""

    software: str
    version: Version
    mode: ClientAuth
    without: str
    configure: Callable[[Site, Path, Version, ClientAuth], list[list[str]]]

    @property
    def id(self) -> str:
        return f"{self.software}-{self.version[-1]}-{self.mode}"

    def service(self, authorities: Path) -> Service:
        """Return the server, asking for certificates of these CAs."""
        return replace(
            _usual(self.software), command=lambda site: self.configure(site, authorities, self.version, self.mode)
        )


def _redis(site: Site, authorities: Path, version: Version, mode: ClientAuth) -> list[list[str]]:
    demand = "yes" if mode == "required" else "optional"
    run = ["redis-server", "--port", "0", "--tls-port", str(site.port), "--bind", site.address, "--save", ""]
    run += ["--tls-cert-file", str(site.path("chain.pem")), "--tls-key-file", str(site.path("key.pem"))]
    run += ["--tls-ca-cert-file", str(_authorities(site, authorities)), "--tls-auth-clients", demand]
    return [[*run, "--tls-protocols", version, "--dir", str(site.directory)]]


def _mosquitto(site: Site, authorities: Path, version: Version, mode: ClientAuth) -> list[list[str]]:
    config = site.write(
        "mosquitto.conf",
        f"per_listener_settings true\nlistener {site.port} {site.address}\nallow_anonymous true\n"
        f"certfile {site.path('chain.pem')}\nkeyfile {site.path('key.pem')}\ncafile {_authorities(site, authorities)}\n"
        f"require_certificate true\ntls_version {version.lower()}\n",
    )
    return [["mosquitto", "-c", str(config)]]


# Brokers and databases that speak neither HTTP nor a protocol with STARTTLS: their rows are of the protocol ``tls``.
_OTHER_SERVICES: Final = (
    Service("tls", "redis", ("redis-server",), "redis-server", lambda site: []),
    Service("tls", "mosquitto", ("mosquitto",), "mosquitto", lambda site: []),
)


def _usual(software: str) -> Service:
    return next(service for service in (*SERVICES, *_OTHER_SERVICES) if service.software == software)


def _authorities(site: Site, authorities: Path) -> Path:
    return site.write("authorities.pem", authorities.read_text("utf-8"))


def _postgres(site: Site, authorities: Path, version: Version, mode: ClientAuth) -> list[list[str]]:
    initialise, run = _usual("postgresql").command(site)
    demand = " clientcert=verify-ca" if mode == "required" else ""
    rules = site.write("hba.conf", f"hostssl all all all trust{demand}\n")
    run += ["-c", f"ssl_ca_file={_authorities(site, authorities)}", "-c", f"hba_file={rules}"]
    run += ["-c", f"ssl_min_protocol_version={version}", "-c", f"ssl_max_protocol_version={version}"]
    return [initialise, run]


def _postfix(site: Site, authorities: Path, version: Version, mode: ClientAuth) -> list[list[str]]:
    command = _usual("postfix").command(site)
    config = site.path("main.cf").read_text("utf-8").replace("security_level = may", "security_level = encrypt")
    demand = "req" if mode == "required" else "ask"
    site.write(
        "main.cf",
        f"{config}smtpd_tls_CAfile = {_authorities(site, authorities)}\nsmtpd_tls_{demand}_ccert = yes\n"
        f"smtpd_tls_protocols = {version}\nsmtpd_tls_mandatory_protocols = {version}\n",
    )
    return command


def _slapd(site: Site, authorities: Path, version: Version, mode: ClientAuth) -> list[list[str]]:
    command = _usual("slapd").command(site)
    config = site.path("slapd.conf").read_text("utf-8")
    config = "".join(line for line in config.splitlines(keepends=True) if "CACertificateFile" not in line)
    demand = "demand" if mode == "required" else "try"
    # 3.3 is TLS 1.2; the newest version cannot be limited
    site.write(
        "slapd.conf", f"{config}TLSCACertificateFile {_authorities(site, authorities)}\nTLSVerifyClient {demand}\n"
    )
    return command


def _vsftpd(site: Site, authorities: Path, version: Version, mode: ClientAuth) -> list[list[str]]:
    command = _usual("vsftpd").command(site)
    config = site.path("vsftpd.conf").read_text("utf-8")
    ask, demand = ("YES", "YES") if mode == "required" else ("YES", "NO")
    site.write(
        "vsftpd.conf",
        f"{config}ca_certs_file={_authorities(site, authorities)}\nssl_request_cert={ask}\nrequire_cert={demand}\n",
    )
    return command


# Both hang up on HTTP
NOT_HTTP: Final = (
    *(Asking("redis", version, "required", REQUIRED, _redis) for version in _VERSIONS),
    *(Asking("redis", version, "optional", OPTIONAL, _redis) for version in _VERSIONS),
    *(Asking("mosquitto", version, "required", REQUIRED, _mosquitto) for version in _VERSIONS),
)
#: Servers of other protocols
OTHERS: Final = (
    *NOT_HTTP,
    *(Asking("postgresql", version, "required", BEHIND, _postgres) for version in _VERSIONS),
    *(Asking("postgresql", version, "optional", OPTIONAL, _postgres) for version in _VERSIONS),
    *(Asking("postfix", version, "required", BEHIND, _postfix) for version in _VERSIONS),
    *(Asking("postfix", version, "optional", OPTIONAL, _postfix) for version in _VERSIONS),
    # Debian's slapd uses GnuTLS, and closes without an alert
    Asking("slapd", "TLSv1.3", "required", BEHIND, _slapd),
    Asking("slapd", "TLSv1.3", "optional", OPTIONAL, _slapd),
    Asking("vsftpd", "TLSv1.3", "required", REQUIRED, _vsftpd),
    Asking("vsftpd", "TLSv1.3", "optional", OPTIONAL, _vsftpd),
)
