"""Servers from Debian's packages that start TLS within another protocol: how to run each, with TLS and without.

Each keeps its files in a temporary directory, ignores the machine's configuration, and is stopped with all of its
processes. If the tests run as root, a server that refuses root runs as ``nobody``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tests.helpers.process_trees import descendants, is_running, send
from tests.servers.pki import Credential
from tests.servers.software import ENVIRONMENT

START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 10.0
# Debian keeps PostgreSQL's programs in a directory for each version
PATH: Final = ":".join(
    [ENVIRONMENT["PATH"], *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server listens, and its files; without ``tls`` it supports the protocol only in plain text."""

    protocol: str
    name: str
    address: str
    port: int
    directory: Path
    tls: bool

    def path(self, name: str) -> Path:
        return self.directory / name

    def write(self, name: str, content: str) -> Path:
        self.path(name).write_text(content, encoding="utf-8")
        return self.path(name)


@dataclass(frozen=True, slots=True)
class Service:
    """One software for one protocol. ``command`` writes the configuration and returns the commands; the last one stays.

    ``user`` runs it if the tests run as root; ``root`` means that it can only run as root.
    ``ready`` is in its log once it serves clients, where that is later than it listens.
    """

    protocol: str
    software: str
    programs: tuple[str, ...]
    package: str
    command: Callable[[Site], list[list[str]]]
    user: str | None = "nobody"
    root: bool = False
    ready: bytes = b""

    @property
    def id(self) -> str:
        return f"{self.protocol}-{self.software}"

    def missing(self) -> str | None:
        """Return the reason why this service cannot be started here, or ``None``."""
        absent = [program for program in self.programs if shutil.which(program, path=PATH) is None]
        if absent:
            return f"{', '.join(absent)} is not installed (Debian: apt-get install {self.package})"
        if self.root and os.geteuid() != 0:
            return f"{self.software} can be started by root only"
        return None


def _postgres(site: Site) -> list[list[str]]:
    data = str(site.path("data"))
    run = [
        "postgres",
        "-D",
        data,
        "-h",
        site.address,
        "-p",
        str(site.port),
        "-k",
        str(site.directory),
        "-c",
        "fsync=off",
    ]
    if site.tls:
        run += [
            "-c",
            "ssl=on",
            "-c",
            f"ssl_cert_file={site.path('chain.pem')}",
            "-c",
            f"ssl_key_file={site.path('key.pem')}",
        ]
    return [["initdb", "-D", data, "-A", "reject", "-U", "test", "--no-sync"], run]


def _mariadb(site: Site) -> list[list[str]]:
    site.path("data").mkdir()
    run = ["mariadbd", "--no-defaults", "--skip-grant-tables", f"--datadir={site.path('data')}"]
    run += [f"--socket={site.path('socket')}", f"--pid-file={site.path('pid')}"]
    run += [
        f"--bind-address={site.address}",
        f"--port={site.port}",
        "--innodb-buffer-pool-size=8M",
        "--innodb-log-file-size=4M",
    ]
    if site.tls:
        run += [f"--ssl-cert={site.path('chain.pem')}", f"--ssl-key={site.path('key.pem')}"]
    else:
        run.append("--skip-ssl")
    return [run]


def _slapd(site: Site) -> list[list[str]]:
    tls = f"TLSCertificateFile {site.path('leaf.pem')}\nTLSCACertificateFile {site.path('chain.pem')}\n"
    tls += f"TLSCertificateKeyFile {site.path('key.pem')}\n"
    config = site.write("slapd.conf", f"pidfile {site.path('pid')}\n{tls if site.tls else ''}")
    return [["slapd", "-d", "0", "-h", f"ldap://{site.address}:{site.port}", "-f", str(config)]]


def _vsftpd(site: Site) -> list[list[str]]:
    lines = [
        "listen=YES", "background=NO", f"listen_address={site.address}", f"listen_port={site.port}", "anonymous_enable=YES",
        "run_as_launching_user=YES", "seccomp_sandbox=NO", f"secure_chroot_dir={site.directory}",
    ]  # fmt: skip
    if site.tls:
        lines += [
            "ssl_enable=YES",
            f"rsa_cert_file={site.path('chain.pem')}",
            f"rsa_private_key_file={site.path('key.pem')}",
        ]
    return [["vsftpd", str(site.write("vsftpd.conf", "\n".join(lines) + "\n"))]]


# the listener of each protocol; its variant with implicit TLS is disabled by port 0
_DOVECOT_LISTENERS: Final = {
    "imap": ("imap-login", "imap", "inet_listener imaps {\n port = 0\n }\n"),
    "pop3": ("pop3-login", "pop3", "inet_listener pop3s {\n port = 0\n }\n"),
    "sieve": ("managesieve-login", "sieve", ""),
    "lmtp": ("lmtp", "lmtp", ""),
}


def _dovecot(site: Site) -> list[list[str]]:
    service, listener, others = _DOVECOT_LISTENERS[site.protocol]
    lines = [
        f"base_dir = {site.path('run')}", f"state_dir = {site.path('state')}", "log_path = /dev/stderr",
        f"protocols = {site.protocol}", f"listen = {site.address}",
        f"service {service} {{\n inet_listener {listener} {{\n address = {site.address}\n port = {site.port}\n }}\n {others}}}",
        "passdb {\n driver = static\n args = password=never\n}",
        "userdb {\n driver = static\n args = uid=65534 gid=65534 home=/nowhere\n}",
        "service anvil {\n chroot =\n}", "service stats {\n chroot =\n}",
    ]  # fmt: skip
    if site.tls:
        lines += ["ssl = yes", f"ssl_cert = <{site.path('chain.pem')}", f"ssl_key = <{site.path('key.pem')}"]
    else:
        lines.append("ssl = no")
    return [["dovecot", "-F", "-c", str(site.write("dovecot.conf", "\n".join(lines) + "\n"))]]


def _postfix(site: Site) -> list[list[str]]:
    site.path("data").mkdir()
    shutil.chown(site.path("data"), "postfix", "postfix")
    site.path("spool").mkdir()
    lines = [
        "compatibility_level = 3.6", f"queue_directory = {site.path('spool')}", f"data_directory = {site.path('data')}",
        f"myhostname = {site.name}", "inet_protocols = ipv4", "inet_interfaces = loopback-only", "mydestination =",
        "alias_maps =", "alias_database =", "local_recipient_maps =", f"maillog_file = {site.path('mail.log')}",
        f"maillog_file_prefixes = {site.directory}", f"smtpd_tls_security_level = {'may' if site.tls else 'none'}",
        f"smtpd_tls_chain_files = {site.path('key.pem')}, {site.path('chain.pem')}",
    ]  # fmt: skip
    site.write("main.cf", "\n".join(lines) + "\n")
    services = [
        f"{site.address}:{site.port} inet n - n - - smtpd", "tlsmgr unix - - n 1000? 1 tlsmgr", "rewrite unix - - n - - trivial-rewrite",
        "anvil unix - - n - 1 anvil", "cleanup unix n - n - 0 cleanup", "pickup unix n - n 60 1 pickup", "qmgr unix n - n 300 1 qmgr",
        "proxymap unix - - n - - proxymap", "postlog unix-dgram n - n - 1 postlogd",
    ]  # fmt: skip
    site.write("master.cf", "\n".join(services) + "\n")
    return [["postfix", "-c", str(site.directory), "start-fg"]]


def _prosody(site: Site) -> list[list[str]]:
    site.path("data").mkdir()
    port, other = ("c2s", "s2s") if site.protocol == "xmpp" else ("s2s", "c2s")
    modules = ["saslauth", "dialback", *(["tls"] if site.tls else [])]
    listed = "; ".join(f'"{module}"' for module in modules)
    config = site.write(
        "prosody.cfg.lua",
        f'daemonize = false\npidfile = "{site.path("pid")}"\ndata_path = "{site.path("data")}"\n'
        f'interfaces = {{ "{site.address}" }}\n{port}_ports = {{ {site.port} }}\n{other}_ports = {{}}\n'
        f'modules_enabled = {{ {listed} }}\nmodules_disabled = {{ "{other}" }}\n'
        f"{port}_require_encryption = {'true' if site.tls else 'false'}\n"
        'log = { { levels = { min = "info" }, to = "console" } }\n'
        f'ssl = {{ certificate = "{site.path("chain.pem")}"; key = "{site.path("key.pem")}" }}\n'
        f'VirtualHost "{site.name}"\n',
    )
    return [["prosody", "--config", str(config)]]


def _inspircd(site: Site) -> list[list[str]]:
    tls = (
        f'<module name="ssl_gnutls">\n<sslprofile name="Clients" provider="gnutls" certfile="{site.path("chain.pem")}" '
        f'keyfile="{site.path("key.pem")}">\n<module name="cap">\n<module name="starttls">\n'
        '<gnutls starttls="Clients">\n<starttls sslprofile="Clients">\n'
    )
    config = site.write(
        "inspircd.conf",
        f'<server name="irc.{site.name}" description="x" id="1AB" network="test">\n<admin name="x" nick="x" email="x@{site.name}">\n'
        f'<bind address="{site.address}" port="{site.port}" type="clients">\n<connect name="main" allow="*" timeout="60">\n'
        f'<pid file="{site.path("pid")}">\n<files motd="{site.path("motd")}">\n'
        f'<log method="file" type="*" level="default" target="{site.path("irc.log")}">\n'
        f'<path configdir="{site.directory}" datadir="{site.directory}" logdir="{site.directory}" runtimedir="{site.directory}">\n'
        + (tls if site.tls else ""),
    )
    site.write("motd", "hello\n")
    return [["inspircd", "--nofork", f"--config={config}"]]


def _dovecot_service(protocol: str, package: str) -> Service:
    return Service(protocol, "dovecot", ("dovecot",), package, _dovecot, user=None, root=True)


SERVICES: Final = (
    Service("smtp", "postfix", ("postfix",), "postfix", _postfix, user=None, root=True),
    _dovecot_service("imap", "dovecot-imapd"),
    _dovecot_service("pop3", "dovecot-pop3d"),
    _dovecot_service("sieve", "dovecot-managesieved"),
    _dovecot_service("lmtp", "dovecot-lmtpd"),
    Service("ftp", "vsftpd", ("vsftpd",), "vsftpd", _vsftpd),
    Service("ldap", "slapd", ("slapd",), "slapd", _slapd),
    Service("xmpp", "prosody", ("prosody",), "prosody", _prosody),
    Service("xmpp-server", "prosody", ("prosody",), "prosody", _prosody),
    Service("irc", "inspircd", ("inspircd",), "inspircd", _inspircd),
    Service(
        "postgres", "postgresql", ("postgres", "initdb"), "postgresql", _postgres, ready=b"ready to accept connections"
    ),
    Service("mysql", "mariadb", ("mariadbd",), "mariadb-server-core", _mariadb),
)


@contextmanager
def running(service: Service, credential: Credential, *, name: str, address: str, tls: bool) -> Iterator[Site]:
    """Run the service on a free port for the block."""
    directory = Path(tempfile.mkdtemp(prefix="tlsweep-"))
    with socket.socket() as free:
        free.bind((address, 0))
        site = Site(service.protocol, name, address, free.getsockname()[1], directory, tls)
    try:
        with _started(service, site, credential):
            yield site
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _started(service: Service, site: Site, credential: Credential) -> Iterator[None]:
    site.path("leaf.pem").write_bytes(credential.leaf_pem)
    site.path("chain.pem").write_bytes(credential.leaf_pem + credential.intermediates_pem)
    site.path("key.pem").write_bytes(credential.key_pem)
    site.path("key.pem").chmod(0o600)
    site.directory.chmod(0o755)
    commands = service.command(site)
    if os.geteuid() == 0 and service.user is not None:
        for path in (site.directory, *site.directory.rglob("*")):
            shutil.chown(path, service.user, "nogroup")
        commands = [
            ["setpriv", f"--reuid={service.user}", "--regid=nogroup", "--clear-groups", *command]
            for command in commands
        ]
    environment = {**ENVIRONMENT, "PATH": PATH, "HOME": str(site.directory)}
    # The log is outside of the directory that belongs to the server's user.
    with tempfile.TemporaryFile() as log:
        for command in commands[:-1]:
            subprocess.run(
                command,
                cwd=site.directory,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                check=True,
            )
        process = subprocess.Popen(
            commands[-1],
            cwd=site.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            if not _listens(site, process) or not _is_ready(service, process, log):
                log.seek(0)
                raise AssertionError(f"{service.id} does not listen:\n{log.read()[-4000:].decode('utf-8', 'replace')}")
            yield
        finally:
            _stop(process)


def _listens(site: Site, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((site.address, site.port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


def _is_ready(service: Service, process: subprocess.Popen[bytes], log: IO[bytes]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        if service.ready in os.pread(log.fileno(), 1 << 20, 0):  # the file's position is the server's
            return True
        time.sleep(0.02)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Postfix's master leaves its process group, so all descendants get the signal.
    family = [process.pid, *descendants(process.pid)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        send([pid for pid in family if is_running(pid)], number)
        deadline = time.monotonic() + STOP_TIMEOUT
        while time.monotonic() < deadline and any(map(is_running, family)):
            process.poll()
            time.sleep(0.02)
    process.wait()
