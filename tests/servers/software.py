"""Turns a ``ServerSpec`` into the configuration files and command line of each software.

Every command stays in the foreground, keeps its files in the given directory, and ignores the machine's configuration
(see ``ENVIRONMENT``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.pki import PASSWORD, Credential
from tests.servers.spec import ServerSpec, Software, Version

# Debian's openssl.cnf refuses TLS 1.0 and 1.1; the machine's policy must not affect the tests.
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "OPENSSL_CONF": "/dev/null",
    "GNUTLS_SYSTEM_PRIORITY_FILE": "/dev/null",
    "NSS_IGNORE_SYSTEM_POLICY": "1",
    "NSS_SDB_USE_CACHE": "no",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What to start: the spec, address, port, credential and directory."""

    spec: ServerSpec
    address: str
    port: int
    credential: Credential
    # Client certificates are requested from these CAs
    authorities: Path
    directory: Path

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def leaf(self) -> Path:
        return self.write("leaf.pem", self.credential.leaf_pem)

    def chain(self) -> Path:
        return self.write("chain.pem", self.credential.leaf_pem + self.credential.intermediates_pem)

    def key(self) -> Path:
        return self.write("key.pem", self.credential.key_pem)

    def staple(self) -> Path:
        said, own = self.spec.stapled, self.credential
        return self.write("ocsp.der", own.ocsp_response if said == "good" else own.stapled(said))


OPENSSL_LEGACY: Final = "ALL:@SECLEVEL=0"


def _openssl_ciphers(spec: ServerSpec) -> str | None:
    return spec.ciphers or (OPENSSL_LEGACY if spec.legacy else None)


def nginx(order: Order) -> list[str]:
    spec = order.spec
    names = {"TLSv1.0": "TLSv1"}
    lines = [
        f"listen {order.address}:{order.port} ssl{' http2' if spec.alpn == 'h2' else ''};",
        f"server_name {spec.name};",
        f"ssl_certificate {order.chain()};",
        f"ssl_certificate_key {order.key()};",
        f"ssl_protocols {' '.join(names.get(version, version) for version in spec.versions)};",
        "location / { return 200 'ok'; }",
    ]
    if ciphers := _openssl_ciphers(spec):
        lines.append(f"ssl_ciphers {ciphers};")
    if spec.groups:
        lines.append(f"ssl_ecdh_curve {spec.groups};")
    if spec.staple:
        lines += ["ssl_stapling on;", f"ssl_stapling_file {order.staple()};"]
    if spec.client_auth != "none":
        modes = {"required": "on", "optional-no-ca": "optional_no_ca"}
        lines += [
            f"ssl_verify_client {modes.get(spec.client_auth, 'optional')};",
            f"ssl_client_certificate {order.authorities};",
        ]
        if spec.client_auth == "behind":
            lines.append("if ($ssl_client_verify != SUCCESS) { return 403; }")
    folders = "".join(
        f"{kind}_temp_path {order.directory};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    server = "\n    ".join(lines)
    config = order.write(
        "nginx.conf",
        f"daemon off;\nmaster_process off;\npid {order.directory}/nginx.pid;\nerror_log stderr info;\n"
        f"events {{ worker_connections 256; }}\n"
        f"http {{\n  access_log off;\n  {folders}\n  server {{\n    {server}\n  }}\n}}\n",
    )
    return ["nginx", "-p", str(order.directory), "-e", "stderr", "-c", str(config)]


def openssl(order: Order) -> list[str]:
    spec = order.spec
    switches: dict[Version, str] = {"TLSv1.0": "tls1", "TLSv1.1": "tls1_1", "TLSv1.2": "tls1_2", "TLSv1.3": "tls1_3"}
    command = ["openssl", "s_server", "-accept", f"{order.address}:{order.port}", "-www"]
    command += ["-cert", str(order.leaf()), "-key", str(order.key())]
    if order.credential.intermediates:
        command += ["-cert_chain", str(order.write("intermediates.pem", order.credential.intermediates_pem))]
    if set(spec.versions) != {"TLSv1.2", "TLSv1.3"}:
        (only,) = spec.versions
        command.append(f"-{switches[only]}")
    if ciphers := _openssl_ciphers(spec):
        command += ["-cipher", ciphers]
    if spec.groups:
        command += ["-groups", spec.groups]
    if spec.staple:
        command += ["-status_file", str(order.staple())]
    if spec.alpn:
        command += ["-alpn", spec.alpn]
    if spec.warns_of_name:  # which knows one name alone, and that is not the one that is asked for
        other = ["-cert2", str(order.leaf()), "-key2", str(order.key())]
        command += ["-servername", "other.servers.test", *other]
    if spec.max_fragment:
        command += ["-max_send_frag", str(spec.max_fragment)]
    if spec.client_auth != "none":
        command += ["-CAfile", str(order.authorities), "-Verify" if spec.client_auth == "required" else "-verify", "3"]
        command.append("-verify_return_error")
    return command


def gnutls(order: Order) -> list[str]:
    spec = order.spec
    priority = "NORMAL:-VERS-ALL" + "".join(f":+VERS-{'SSL' if v == 'SSLv3' else 'TLS'}{v[-3:]}" for v in spec.versions)
    if spec.legacy:
        priority += ":%VERIFY_ALLOW_SIGN_WITH_SHA1:+SIGN-RSA-SHA1:+SIGN-ECDSA-SHA1"
    if spec.ciphers:
        priority += f":{spec.ciphers}"
    if spec.groups:
        priority += f":-GROUP-ALL:+GROUP-{spec.groups}"
    command = ["gnutls-serv", "--http", "--port", str(order.port), "--priority", priority]
    command += ["--x509certfile", str(order.chain()), "--x509keyfile", str(order.key())]
    if spec.staple:
        command += ["--ocsp-response", str(order.staple())]
    if spec.alpn:
        command += ["--alpn", spec.alpn]
    match spec.client_auth:
        case "none":
            command.append("--disable-client-cert")
        case "required":
            command += ["--x509cafile", str(order.authorities), "--require-client-cert", "--verify-client-cert"]
        case _:
            command += ["--x509cafile", str(order.authorities)]
    return command


def haproxy(order: Order) -> list[str]:
    spec = order.spec
    bundle = order.write("server.pem", order.chain().read_bytes() + order.credential.key_pem)
    bind = [f"bind {order.address}:{order.port} ssl crt {bundle}"]
    bind.append(f"ssl-min-ver {spec.versions[0]} ssl-max-ver {spec.versions[-1]}")
    if ciphers := _openssl_ciphers(spec):
        bind.append(f"ciphers {ciphers}")
    if spec.groups:
        bind.append(f"curves {spec.groups}")
    if spec.alpn:
        bind.append(f"alpn {spec.alpn}")
    if spec.staple:
        order.write("server.pem.ocsp", order.credential.ocsp_response)
    if spec.client_auth != "none":
        bind.append(f"ca-file {order.authorities} verify {spec.client_auth}")
    config = order.write(
        "haproxy.cfg",
        "global\n  maxconn 200\n  tune.ssl.default-dh-param 2048\n"
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 5s\n"
        f"frontend tests\n  {' '.join(bind)}\n  http-request return status 200 content-type text/plain string ok\n",
    )
    return ["haproxy", "-db", "-f", str(config)]


APACHE_MODULES: Final = Path("/usr/lib/apache2/modules")


def apache(order: Order) -> list[str]:
    spec = order.spec
    names = {"TLSv1.0": "TLSv1"}
    lines = [
        f"ServerRoot {order.directory}",
        f"DefaultRuntimeDir {order.directory}",
        f"PidFile {order.directory}/httpd.pid",
        *(
            f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so"
            for name in (
                "mpm_event",
                "authz_core",
                "ssl",
                "alias",
                "status",
                *(("http2",) if spec.alpn == "h2" else ()),
            )
        ),
        # As root, Apache switches to another user; otherwise it cannot.
        *(("User www-data", "Group www-data") if os.geteuid() == 0 else ()),
        f"Listen {order.address}:{order.port}",
        f"ServerName {spec.name}",
        "ErrorLog /dev/stderr",
        "LogLevel info",
        "SSLEngine on",
        f"SSLCertificateFile {order.chain()}",
        f"SSLCertificateKeyFile {order.key()}",
        "SSLProtocol -all " + " ".join(f"+{names.get(version, version)}" for version in spec.versions),
        "Redirect 204 /",
    ]
    if ciphers := _openssl_ciphers(spec):
        lines.append(f"SSLCipherSuite {ciphers}")
    if spec.groups:
        lines.append(f"SSLOpenSSLConfCmd Groups {spec.groups}")
    if spec.alpn:
        lines.append(f"Protocols {spec.alpn} http/1.1")
    if spec.client_auth.startswith("by-path"):
        demand = "require" if spec.client_auth == "by-path" else "optional"
        # a page that needs no file, since Apache may not be allowed to read those of the test
        lines[lines.index("Redirect 204 /")] = (
            f"DocumentRoot {APACHE_MODULES}\n<Location />\nSSLVerifyClient {demand}\nSSLVerifyDepth 3\n"
            "Require all granted\nSetHandler server-status\n</Location>"
        )
        lines.append(f"SSLCACertificateFile {order.authorities}")
    elif spec.client_auth != "none":
        modes = {"required": "require", "optional-no-ca": "optional_no_ca"}
        lines += [
            f"SSLVerifyClient {modes.get(spec.client_auth, 'optional')}",
            f"SSLCACertificateFile {order.authorities}",
            "SSLVerifyDepth 3",
        ]
        if spec.client_auth == "behind":
            lines[lines.index("Redirect 204 /")] = "<Location />\nRequire ssl-verify-client\n</Location>"
    assert not spec.staple, "Apache staples only what it has fetched itself"
    config = order.write("apache.conf", "\n".join(lines) + "\n")
    return ["apache2", "-X", "-f", str(config)]


NSS_NICKNAME: Final = "server"


def nss(order: Order) -> list[str]:
    """NSS's test server: it packs the messages of a flight into one record, and still supports SSL 3.0."""
    spec = order.spec
    database = order.directory / "db"
    database.mkdir()
    password = order.write("password", PASSWORD)
    bundle = order.write("server.p12", order.credential.pkcs12(NSS_NICKNAME))
    for command in (
        ["certutil", "-N", "-d", f"sql:{database}", "-f", str(password)],
        ["pk12util", "-i", str(bundle), "-d", f"sql:{database}", "-k", str(password), "-w", str(password)],
    ):
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr
    names: dict[Version, str] = {"SSLv3": "ssl3", "TLSv1.0": "tls1.0", "TLSv1.1": "tls1.1"}
    first, last = (names.get(v, v.lower().replace("v", "")) for v in (spec.versions[0], spec.versions[-1]))
    command = ["selfserv", "-p", str(order.port), "-d", f"sql:{database}", "-f", str(password), "-V", f"{first}:{last}"]
    command += ["-e" if spec.key.startswith("ec:") else "-n", NSS_NICKNAME]
    if spec.ciphers:
        command += ["-c", spec.ciphers]
    if spec.groups:
        command += ["-I", spec.groups]
    command += {"optional": ["-r"], "required": ["-r", "-r"]}.get(spec.client_auth, [])
    return command


def stunnel(order: Order) -> list[str]:
    """TLS in front of a program that answers a line."""
    spec = order.spec
    answer = order.write(
        "answer",
        "#!/bin/sh\nwhile read -r line && [ ${#line} -gt 1 ]; do :; done\nprintf 'HTTP/1.0 200 OK\\r\\n\\r\\nok'\n",
    )
    answer.chmod(0o755)
    lines = [
        "foreground = yes",
        "pid =",
        "[tests]",
        f"accept = {order.address}:{order.port}",
        f"cert = {order.chain()}",
        f"key = {order.key()}",
        f"sslVersionMin = {spec.versions[0]}",
        f"sslVersionMax = {spec.versions[-1]}",
        f"exec = {answer}",
    ]
    if spec.client_auth != "none":
        demand = "yes" if spec.client_auth == "required" else "no"
        lines += [f"CAfile = {order.authorities}", "verifyChain = yes", f"requireCert = {demand}"]
    return ["stunnel", str(order.write("stunnel.conf", "\n".join(lines) + "\n"))]


def newest_openssl(order: Order) -> list[str]:
    settings = {"Groups": order.spec.groups}
    lines = [f"{name} = {value}" for name, value in settings.items() if value]
    sections = ["openssl_conf = all", "[all]", "ssl_conf = ssl", "[ssl]", "system_default = default", "[default]"]
    config = order.write("openssl.cnf", "\n".join([*sections, *lines, ""]))
    program = Path(__file__).with_name("newest_openssl.py")
    server = [order.address, str(order.port), str(order.chain()), str(order.key()), str(config)]
    return [sys.executable, str(program), *server]


COMMANDS: Final[dict[Software, Callable[[Order], list[str]]]] = {
    "nginx": nginx,
    "openssl": openssl,
    "gnutls": gnutls,
    "haproxy": haproxy,
    "apache": apache,
    "nss": nss,
    "stunnel": stunnel,
    "newest-openssl": newest_openssl,
}
# Software -> the programs that it needs, and their Debian package
NEEDS: Final[dict[Software, tuple[tuple[str, ...], str]]] = {
    "nginx": (("nginx",), "nginx"),
    "openssl": (("openssl",), "openssl"),
    "gnutls": (("gnutls-serv",), "gnutls-bin"),
    "haproxy": (("haproxy",), "haproxy"),
    "apache": (("apache2",), "apache2-bin"),
    "nss": (("selfserv", "certutil", "pk12util"), "libnss3-tools"),
    "stunnel": (("stunnel",), "stunnel4"),
    "newest-openssl": ((), ""),
}
# These can only listen on all addresses of the machine, so their port is one that is free on all.
LISTENS_EVERYWHERE: Final[frozenset[Software]] = frozenset({"gnutls", "nss"})
