"""Real servers that do not come to TLS: they want a PROXY header first, refuse the session, or greet late.

``expected`` is the code for a client like any other, and ``reason`` what the server's words mean, if it has any.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tests.servers.software import APACHE_MODULES
from tests.servers.starttls_services import SERVICES, Service, Site


@dataclass(frozen=True, slots=True)
class Refusing:
    """A service that refuses. It is asked for ``name``, or its own, while so many other connections are
    ``occupied``."""

    id: str
    service: Service
    expected: str
    reason: str | None = None
    name: str | None = None
    occupied: int = 0


def _usual(software: str, protocol: str | None = None) -> Service:
    return next(
        service for service in SERVICES if service.software == software and protocol in (None, service.protocol)
    )


def _changed(software: str, file: str, change: Callable[[str], str], protocol: str | None = None) -> Service:
    """Return a service whose configuration ``file`` is changed."""
    usual = _usual(software, protocol)

    def command(site: Site) -> list[list[str]]:
        commands = usual.command(site)
        site.write(file, change(site.path(file).read_text("utf-8")))
        return commands

    return replace(usual, command=command)


def _nginx(site: Site) -> list[list[str]]:
    directory = site.directory
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = site.write(
        "nginx.conf",
        f"daemon off; error_log stderr; pid {directory}/pid; events {{}}\nhttp {{ access_log off; {temporary}\n"
        f"server {{ listen {site.address}:{site.port} ssl proxy_protocol; server_name {site.name};\n"
        f"ssl_certificate {site.path('chain.pem')}; ssl_certificate_key {site.path('key.pem')};\n"
        "location / { return 200; } } }\n",
    )
    return [["nginx", "-p", str(directory), "-c", str(config), "-e", "stderr"]]


def _haproxy(site: Site) -> list[list[str]]:
    site.write("both.pem", site.path("chain.pem").read_text("utf-8") + site.path("key.pem").read_text("utf-8"))
    config = site.write(
        "haproxy.cfg",
        "defaults\n mode http\n timeout connect 3s\n timeout client 5s\n timeout server 5s\n"
        f"frontend f\n bind {site.address}:{site.port} accept-proxy ssl crt {site.path('both.pem')}\n"
        " http-request return status 200\n",
    )
    return [["haproxy", "-f", str(config)]]


def _apache(site: Site) -> list[list[str]]:
    # as root, Apache switches to another user
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    names = ("mpm_event", "authz_core", "ssl", "alias", "remoteip")
    config = site.write(
        "apache.conf",
        f"ServerRoot {site.directory}\nDefaultRuntimeDir {site.directory}\nPidFile {site.directory}/httpd.pid\n"
        + "".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n" for name in names)
        + f"{user}Listen {site.address}:{site.port}\nServerName {site.name}\nErrorLog /dev/stderr\nSSLEngine on\n"
        f"SSLCertificateFile {site.path('chain.pem')}\nSSLCertificateKeyFile {site.path('key.pem')}\n"
        "RemoteIPProxyProtocol On\nRedirect 204 /\n",
    )
    return [["apache2", "-DFOREGROUND", "-f", str(config)]]


def _postfix(lines: str) -> Service:
    return _changed("postfix", "main.cf", lambda config: f"{config}{lines}\n")


def _crowded_mariadb(site: Site) -> list[list[str]]:
    (run,) = _usual("mariadb").command(site)
    return [[*run, "--max-connections=10"]]


EXPECTED_HEADER: Final = "proxy-header-expected"
REFUSED: Final = "session-refused"
REFUSING: Final = (
    Refusing("nginx", Service("https", "nginx", ("nginx",), "nginx", _nginx), EXPECTED_HEADER),
    Refusing("nginx-tls", Service("tls", "nginx", ("nginx",), "nginx", _nginx), EXPECTED_HEADER),
    Refusing("apache", Service("https", "apache", ("apache2",), "apache2-bin", _apache, user=None), EXPECTED_HEADER),
    Refusing("haproxy", Service("https", "haproxy", ("haproxy",), "haproxy", _haproxy), EXPECTED_HEADER),
    Refusing(
        "postfix-proxied",
        _postfix("smtpd_upstream_proxy_protocol = haproxy\nsmtpd_upstream_proxy_timeout = 1s"),
        EXPECTED_HEADER,
    ),
    Refusing(
        "dovecot-proxied",
        _changed(
            "dovecot",
            "dovecot.conf",
            lambda config: (
                config.replace("inet_listener imap {", "inet_listener imap {\n haproxy = yes", 1)
                + "haproxy_trusted_networks = 127.0.0.0/8\nhaproxy_timeout = 1s\n"
            ),
            "imap",
        ),
        EXPECTED_HEADER,
    ),
    Refusing(
        "postfix-clients",
        _postfix("smtpd_delay_reject = no\nsmtpd_client_restrictions = reject"),
        REFUSED,
        "client-refused",
    ),
    Refusing(
        "postfix-names",
        _postfix("smtpd_delay_reject = no\nsmtpd_helo_required = yes\nsmtpd_helo_restrictions = reject"),
        REFUSED,
        "client-name-refused",
    ),
    Refusing(
        "postfix-crowded",
        _postfix("smtpd_client_connection_count_limit = 1\nsmtpd_client_event_limit_exceptions =\nsmtpd_client_connection_rate_limit = 1"),
        REFUSED,
        "too-many-connections",
        occupied=1,
    ),
    Refusing(
        "vsftpd",
        _changed("vsftpd", "vsftpd.conf", lambda config: f"{config}anonymous_enable=NO\nlocal_enable=NO\n"),
        REFUSED,
        "unavailable",
    ),
    Refusing("prosody", _usual("prosody", "xmpp"), REFUSED, "domain-not-served", "xmpp1.servers.test"),
    Refusing("prosody-server", _usual("prosody", "xmpp-server"), REFUSED, "domain-not-served", "xmpp1.servers.test"),
    Refusing(
        "mariadb",
        replace(_usual("mariadb"), command=_crowded_mariadb),
        REFUSED,
        "too-many-connections",
        occupied=12,
    ),
)  # fmt: skip
#: Postfix that greets after some seconds
LATE: Final = _postfix("smtpd_delay_reject = no\nsmtpd_client_restrictions = sleep 4")
#: Postfix with TLS from the first byte, as on port 465
WRAPPED: Final = _postfix("smtpd_tls_wrappermode = yes\nsmtpd_tls_security_level = encrypt")
