"""The farm: nginx, SMTP and hostile servers on every address of the network, and a resolver for each scanner."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from benchmarks.server_programs import closed_zone, nginx_command, nginx_server, unbound_command, wait_for
from tests.torture.namespaces import Slot
from tests.torture.rows import HOSTILE_URL_ADDRESS, HOSTILE_URL_PORT, KINDS, ZONE, Row, resolver_records

START_SECONDS: Final = 30.0
_NAMES: Final = (f"*.{ZONE}", ZONE)
# Shape of the chain that is expensive to verify: issuers of one name above the leaf and above those, CAs with name
# constraints, names in the leaf, constraints in each CA.
HOSTILE_CHAIN: Final = (4, 4, 2, 800, 300)
SMALL_HOSTILE_CHAIN: Final = (3, 3, 2, 150, 100)


# --- certificates ----------------------------------------------------------------------------------


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
    names: Sequence[x509.GeneralName] = (),
    days: tuple[float, float] = (-10, 80),
    excluded: Sequence[x509.GeneralName] = (),
    more: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(_name(issuer), _name(subject), key.public_key(), x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if excluded:
        builder = builder.add_extension(x509.NameConstraints(None, excluded), critical=False)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _access(method: x509.ObjectIdentifier, path: str) -> x509.AuthorityInformationAccess:
    return x509.AuthorityInformationAccess([x509.AccessDescription(method, _url(path))])


def _url(path: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(f"http://{HOSTILE_URL_ADDRESS}:{HOSTILE_URL_PORT}/{path}")


def _write_chain(path: Path, *certificates: x509.Certificate) -> None:
    path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))


def hostile_chain(
    key: ec.EllipticCurvePrivateKey, first: int, second: int, depth: int, names: int, constraints: int
) -> list[x509.Certificate]:
    """Return a chain in which every path has all constraints, each of which is checked against every name."""
    sans = [x509.DNSName(ZONE), *(x509.DirectoryName(_name(f"{number:x}")) for number in range(names))]
    excluded = [x509.DirectoryName(_name(f"z{number:x}")) for number in range(constraints)]
    a, b, upper = _key(), _key(), [_key() for _ in range(depth + 1)]
    chain = [_certificate("leaf", key, "A", a, names=sans)]
    chain += [_certificate("A", a, "B", b, ca=True, days=(-20 - number, 90)) for number in range(first)]
    chain += [_certificate("B", b, "D0", upper[0], ca=True, days=(-20 - number, 90)) for number in range(second)]
    chain += [
        _certificate(f"D{number}", upper[number], f"D{number + 1}", upper[number + 1], ca=True, excluded=excluded)
        for number in range(depth)
    ]
    return chain


def write_certificates(directory: Path, chain_shape: tuple[int, int, int, int, int]) -> None:
    """Write the root, the leaf's key and the chain of each kind of server."""
    root_key, issuer_key, key = _key(), _key(), _key()
    root = _certificate("Torture Root", root_key, "Torture Root", root_key, ca=True, days=(-1000, 4000))
    issuer = _certificate("Torture Issuer", issuer_key, "Torture Root", root_key, ca=True, days=(-900, 2000))

    def leaf(
        *names: str, days: tuple[float, float] = (-10, 80), more: x509.ExtensionType | None = None
    ) -> x509.Certificate:
        dns_names = [x509.DNSName(name) for name in names]
        extensions = [] if more is None else [more]
        return _certificate(names[-1], key, "Torture Issuer", issuer_key, names=dns_names, days=days, more=extensions)

    _write_chain(directory / "root.pem", root)
    _write_chain(directory / "good.pem", leaf(*_NAMES), issuer)
    _write_chain(directory / "expired.pem", leaf(*_NAMES, days=(-100, -10)), issuer)
    _write_chain(directory / "misnamed.pem", leaf("elsewhere.test"), issuer)
    _write_chain(
        directory / "garbage-issuer.pem",
        leaf(*_NAMES, more=_access(AuthorityInformationAccessOID.CA_ISSUERS, "issuer")),
    )
    _write_chain(
        directory / "garbage-ocsp.pem", leaf(*_NAMES, more=_access(AuthorityInformationAccessOID.OCSP, "ocsp")), issuer
    )
    lists = x509.CRLDistributionPoints([x509.DistributionPoint([_url("crl")], None, None, None)])
    _write_chain(directory / "garbage-crl.pem", leaf(*_NAMES, more=lists), issuer)
    _write_chain(directory / "hostile.pem", *hostile_chain(key, *chain_shape))
    (directory / "leaf.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


# --- configurations --------------------------------------------------------------------------------

_NGINX_SERVERS: Final = (
    ("tls13", "TLSv1.3", "good"),
    ("tls12", "TLSv1.2", "good"),
    ("expired", "TLSv1.2 TLSv1.3", "expired"),
    ("misnamed", "TLSv1.2 TLSv1.3", "misnamed"),
    ("hostile-chain", "TLSv1.2 TLSv1.3", "hostile"),
    ("garbage-issuer", "TLSv1.2 TLSv1.3", "garbage-issuer"),
    ("garbage-ocsp", "TLSv1.2 TLSv1.3", "garbage-ocsp"),
    ("garbage-crl", "TLSv1.2 TLSv1.3", "garbage-crl"),
)


def _server_blocks(directory: Path) -> Iterator[str]:
    """Yield nginx's server blocks, one per kind of row, on every address."""
    key = directory / "leaf.key"
    for kind, protocols, chain in _NGINX_SERVERS:
        listen = f"0.0.0.0:{KINDS[kind].port} backlog=8192"
        yield nginx_server(listen, protocols=protocols, chain=directory / f"{chain}.pem", key=key)


# --- processes -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Farm:
    """The running servers, which end with the namespace of the harness."""

    directory: Path
    seed: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.directory / "root.pem"

    def _start(self, what: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{what}.out").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=os.environ
            )
        self.processes.append(process)
        return process

    def start(self) -> None:
        """Start all servers but the resolvers."""
        nginx = self._start("nginx", *nginx_command(self.directory, _server_blocks(self.directory)))
        files = ("--chain", str(self.directory / "good.pem"), "--key", str(self.directory / "leaf.key"))
        mutes = (f"--mute-port={KINDS['mute'].port}", f"--mute-port={KINDS['silent'].port}")
        module = (sys.executable, "-m")
        smtp = self._start("smtp", *module, "tests.torture.smtp", f"--port={KINDS['smtp'].port}", *mutes, *files)
        misnamed = ("--chain", str(self.directory / "misnamed.pem"), "--key", str(self.directory / "leaf.key"))
        hostile = self._start("hostile", *module, "tests.torture.hostile", *misnamed, f"--seed={self.seed}")
        wait_for(KINDS["tls13"].port, nginx, what="nginx", seconds=START_SECONDS)
        wait_for(KINDS["smtp"].port, smtp, what="the SMTP server", seconds=START_SECONDS)
        wait_for(KINDS["garbage"].port, hostile, what="the hostile servers", seconds=START_SECONDS)

    def start_resolver(self, slot: Slot, rows: Sequence[Row], mode: str) -> subprocess.Popen[bytes]:
        """Start the resolver of a slot: unbound, or the fake one in another ``mode``."""
        what = f"resolver-{slot.number}"
        if mode == "unbound":
            command = unbound_command(
                self.directory, name=f"unbound-{slot.number}", interface=slot.farm_address, zone=ZONE,
                addresses=resolver_records(rows), options=("access-control: 10.0.0.0/8 allow", *closed_zone(ZONE)),
            )  # fmt: skip
            process = self._start(what, *command)
        else:
            fake = ("-m", "tests.torture.resolver", f"--address={slot.farm_address}", f"--mode={mode}")
            process = self._start(what, sys.executable, *fake, f"--seed={self.seed}")
        wait_for(53, process, what="the resolver", address=slot.farm_address, seconds=START_SECONDS)
        return process


def start_farm(directory: Path, *, seed: int, small_chain: bool) -> Farm:
    """Make the certificates and start the servers."""
    directory.mkdir()
    write_certificates(directory, SMALL_HOSTILE_CHAIN if small_chain else HOSTILE_CHAIN)
    farm = Farm(directory, seed)
    farm.start()
    return farm
