"""Measures the memory of scanning servers that each have a very large certificate of their own.

One process listens on 0.0.0.0, hence on every address of 127.0.0.0/8, and creates the certificate of an address for each
connection: a template with thousands of names, whose serial number and address are replaced before it is signed again.
"""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benchmarks.measure import CommandError, run, table, tlsweep

# Placeholders in the template for the parts that differ between certificates
ADDRESS: Final = bytes([203, 0, 113, 77])
SERIAL: Final = bytes(range(0x51, 0x61))
# Concurrent handshakes; each holds the GIL for 2 ms while OpenSSL reads such a certificate.
THREADS: Final = 8
PATIENCE: Final = 20.0


@dataclass(frozen=True, slots=True)
class LargeFarm:
    """The servers' port, the root that signed their certificates, and the size of a certificate."""

    port: int
    root: Path
    certificate_bytes: int


def address_of(number: int) -> str:
    """Return the address of the server with this number."""
    return str(ipaddress.IPv4Address("127.20.0.1") + number)


class _Maker:
    """Creates certificates from a template; the root signs them directly, so that no intermediate is needed."""

    def __init__(self, names: int) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.leaf_key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root of large certificates")])
        self.root = (
            x509.CertificateBuilder(issuer, issuer, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=100))
            .not_valid_after(now + timedelta(days=1000))
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
            .sign(self._key, hashes.SHA256())
        )
        san: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(ADDRESS))]
        san += [x509.DNSName(f"host-{number:06d}.example") for number in range(names)]
        template = (
            x509.CertificateBuilder(
                issuer,
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "large")]),
                self.leaf_key.public_key(),
                int.from_bytes(SERIAL, "big"),
            )
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=80))
            .add_extension(x509.SubjectAlternativeName(san), False)
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .sign(self._key, hashes.SHA256())
        )
        self._tbs = template.tbs_certificate_bytes
        # the AlgorithmIdentifier between the TBSCertificate and the signature
        self._identifier = bytes.fromhex("300a06082a8648ce3d040302")
        self.size = len(template.public_bytes(serialization.Encoding.DER))

    def certificate(self, address: bytes) -> bytes:
        """Return the DER of the certificate for an address."""
        tbs = self._tbs.replace(SERIAL, b"\x51" + address * 3 + address[:3], 1).replace(ADDRESS, address, 1)
        signature = self._key.sign(tbs, ec.ECDSA(hashes.SHA256()))
        bits = b"\x03" + bytes([len(signature) + 1, 0]) + signature
        content = tbs + self._identifier + bits
        return b"\x30" + _length(len(content)) + content


def _length(size: int) -> bytes:
    if size < 128:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _answer(connection: socket.socket, maker: _Maker, key: str) -> None:
    with connection, suppress(OSError):
        connection.settimeout(PATIENCE)
        address = socket.inet_aton(connection.getsockname()[0])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = ssl.DER_cert_to_PEM_cert(maker.certificate(address))
        with tempfile.NamedTemporaryFile("w", suffix=".pem", dir=_memory_or_disk()) as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name, key)
        context.num_tickets = 0
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)


def _memory_or_disk() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def _serve(listener: socket.socket, names: int, root: str, ready: Connection) -> None:
    maker = _Maker(names)
    Path(root).write_bytes(maker.root.public_bytes(serialization.Encoding.PEM))
    with tempfile.NamedTemporaryFile(suffix=".pem") as key, ThreadPoolExecutor(THREADS) as pool:
        key.write(
            maker.leaf_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        key.flush()
        ready.send(maker.size)
        # bounds the pool's queue, so that further connections wait in the kernel
        places = threading.Semaphore(4 * THREADS)
        while True:
            places.acquire()
            connection, _ = listener.accept()
            pool.submit(_answer, connection, maker, key.name).add_done_callback(lambda _: places.release())


@contextmanager
def large_farm(directory: Path, *, names: int) -> Iterator[LargeFarm]:
    """Run servers on all loopback addresses, each with its own certificate of ``names`` names (21 bytes each)."""
    root = directory / "large-root.pem"
    ours, theirs = multiprocessing.Pipe()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 0))
        listener.listen(4096)
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(listener, names, str(root), theirs), daemon=True
        )
        process.start()
        try:
            yield LargeFarm(listener.getsockname()[1], root, ours.recv())
        finally:
            process.kill()
            process.join()


def scan_of_large_certificates(*, hosts: int, limit: str, names: int = 11_230) -> dict[str, Any]:
    """Scan ``hosts`` servers, each with its own certificate of 236 kB, with ``limit`` as ``--max-memory``."""
    print(
        f"\nMemory: {hosts} servers, each with a certificate of its own with {names} names, --max-memory {limit}",
        flush=True,
    )
    rows = []
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="tlsweep-large-") as name:
        directory = Path(name)
        with large_farm(directory, names=names) as farm:
            inventory, output = directory / "targets.txt", directory / "findings.ndjson.zst"
            inventory.write_text("".join(f"{address_of(number)}:{farm.port}\n" for number in range(hosts)))
            for what, options in (("trusted", ["--trust-store", str(farm.root)]), ("held to the end", [])):
                argv = tlsweep(
                    "scan", str(inventory), "-o", str(output), "--force", "--no-progress", "--timeout", "60",
                    "--max-memory", limit, *options,
                )  # fmt: skip
                cost = run(argv, home=directory, timeout=600)
                if cost.exit != 0:
                    raise CommandError(f"exit status {cost.exit}")
                peaks[what] = cost.peak
                rows.append(
                    (what, f"{cost.peak / 1e6:.0f}", f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{farm.certificate_bytes}")
                )
    print(table(("certificates", "peak MB", "wall s", "CPU s", "bytes each"), rows), flush=True)
    return {"part": "large", "hosts": hosts, "limit": limit, "peaks": peaks}
