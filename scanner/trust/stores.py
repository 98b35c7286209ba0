"""Trust stores: the anchors at which a path may end.

``system`` is what this machine's OpenSSL and curl read, ``mozilla`` is certifi's bundle restricted by what Mozilla's
store has beyond it (trust for servers, and dates after which newly issued certificates are no longer trusted),
anything else is a PEM file.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from scanner.errors import TlsweepError
from scanner.shipped import shipped
from scanner.trust.onecrl import Blocklist, onecrl
from scanner.x509.certificate import Certificate, CertificateError
from scanner.x509.distinguished import comparable
from scanner.x509.pem import certificates_in_pem

# The largest bundles in use have about 300 KB; a file of this size is something else.
MAX_STORE_BYTES: Final = 64 << 20

# Where distributions have one file with all roots, tried after OpenSSL's own defaults.
_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class StoreError(TlsweepError):
    """A trust store cannot be used; the message is one line for a person."""


class TrustStore:
    """Anchors by subject. Every certificate in a store is an anchor, self-signed or not.

    That is what curl, Go, GnuTLS and Python since 3.13 do (OpenSSL's own programs only with ``-partial_chain``). An
    anchor's own validity and constraints still count: OpenSSL, curl, Go and GnuTLS all refuse a path that ends at an
    expired root. ``distrust_after`` maps an anchor's SHA-256 to the moment after which leaves must not begin to be
    valid.
    """

    __slots__ = ("_by_name", "_by_subject", "anchors", "blocked", "distrust_after", "name", "unreadable")

    def __init__(
        self,
        name: str,
        certificates: Iterable[Certificate],
        *,
        distrust_after: Mapping[str, float] = MappingProxyType({}),
        blocked: Blocklist | None = None,
        unreadable: int = 0,
    ) -> None:
        """``unreadable`` counts unreadable blocks of the file; ``blocked`` are CAs that no path may contain."""
        self.name = name
        self.blocked = blocked
        self.distrust_after = distrust_after
        self.unreadable = unreadable
        self._by_subject: dict[bytes, list[Certificate]] = {}
        self._by_name: dict[object, list[Certificate]] | None = None
        self.anchors: dict[str, Certificate] = {}
        for certificate in certificates:
            if certificate.sha256 not in self.anchors:
                self.anchors[certificate.sha256] = certificate
                self._by_subject.setdefault(certificate.subject_der, []).append(certificate)

    def __contains__(self, certificate: Certificate) -> bool:
        return certificate.sha256 in self.anchors

    def __len__(self) -> int:
        return len(self.anchors)

    def with_subject(self, subject: bytes) -> list[Certificate]:
        """Return the anchors with this subject (DER of the Name)."""
        return self._by_subject.get(subject, [])

    def with_similar_subject(self, subject: bytes) -> list[Certificate]:
        """Return the anchors whose subject is this name in any spelling (RFC 5280 section 7.1)."""
        if self._by_name is None:
            self._by_name = {}
            for certificate in self.anchors.values():
                self._by_name.setdefault(comparable(certificate.subject_der), []).append(certificate)
        return self._by_name.get(comparable(subject), [])


def load_store(spec: str) -> TrustStore:
    """Load ``system``, ``mozilla`` or a PEM file by its path; raises ``StoreError``."""
    if spec == "mozilla":
        return _mozilla()
    if spec == "system":
        return _system()
    return _parse(spec, _read(Path(spec)), spec)


def load_public_roots(path: str | None) -> frozenset[str]:
    """Return the SHA-256 of the roots that public rules apply to: Mozilla's, and those of a PEM file if given."""
    roots = frozenset(sha256 for sha256, entry in _mozilla_table().items() if entry["server"])
    if path is None:
        return roots
    return roots | load_store_file(path).anchors.keys()


def load_store_file(path: str) -> TrustStore:
    """Load a PEM file, even one called ``system`` or ``mozilla``; raises ``StoreError``."""
    return _parse(path, _read(Path(path)), path)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_STORE_BYTES + 1)
    except OSError as error:
        raise StoreError(f"trust store {path}: {error.strerror or error}") from None
    if len(content) > MAX_STORE_BYTES:
        raise StoreError(f"trust store {path}: more than {MAX_STORE_BYTES >> 20} MiB")
    return content


def _parse(name: str, text: bytes, shown: str) -> TrustStore:
    certificates = []
    unreadable = 0
    last_error = ""
    for data in certificates_in_pem(text):
        try:
            certificates.append(Certificate.parse_untrusted(data))
        except CertificateError as error:
            unreadable += 1
            last_error = str(error)
    if not certificates:
        why = "no certificate in it"
        if unreadable:
            why = f"none of its {unreadable} certificates can be read ({last_error})"
        raise StoreError(f"trust store {shown}: {why}")
    return TrustStore(name, certificates, unreadable=unreadable)


def _system() -> TrustStore:
    paths = ssl.get_default_verify_paths()  # SSL_CERT_FILE and SSL_CERT_DIR are respected, as by curl and openssl
    for candidate in (paths.cafile, *_BUNDLES):
        if candidate and Path(candidate).is_file():
            return _parse("system", _read(Path(candidate)), f"system ({candidate})")
    directory = Path(paths.capath) if paths.capath else None
    if directory is not None and directory.is_dir():
        files = sorted({file.resolve() for file in directory.iterdir() if file.suffix in (".pem", ".crt", ".0")})
        return _parse("system", b"\n".join(_read(file) for file in files if file.is_file()), f"system ({directory})")
    raise StoreError("trust store system: this machine has none that could be found; use mozilla or a PEM file")


def _mozilla_table() -> dict[str, dict[str, Any]]:
    text = shipped("mozilla-roots.json")
    table: dict[str, dict[str, Any]] = json.loads(text)["roots"]
    return table


def _mozilla() -> TrustStore:
    try:
        import certifi
    except ImportError:
        raise StoreError("trust store mozilla: the package certifi is not installed") from None
    table = _mozilla_table()
    parsed = _parse("mozilla", _read(Path(certifi.where())), "mozilla")
    kept = []
    dates = {}
    for certificate in parsed.anchors.values():
        # a root that is newer than our table is for servers too, since certifi has no others
        entry = table.get(certificate.sha256, {"server": True})
        if entry["server"]:
            kept.append(certificate)
            if "distrust_after" in entry:
                dates[certificate.sha256] = datetime.fromisoformat(entry["distrust_after"]).timestamp()
    return TrustStore(
        "mozilla", kept, distrust_after=MappingProxyType(dates), blocked=onecrl(), unreadable=parsed.unreadable
    )
