"""CT logs for tests: keys derived from names, SCTs over any entry, certificates with embedded SCTs, and log lists.

The certificate that the logs sign is built without the SCT list, from the same parts as the final one. So tests compare
the precertificate that the scanner reconstructs with one that never had the list.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, Issued

SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"
STAPLED = "1.3.6.1.4.1.11129.2.4.5"


def vector(data: bytes, size: int = 2) -> bytes:
    """Return a variable-length vector of TLS."""
    return len(data).to_bytes(size, "big") + data


def rfc3339(moment: float) -> str:
    """Return a time in the format of log lists."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Log:
    """A CT log; ``kind`` is that of its key, ``changes`` override fields of its entry in a log list."""

    name: str
    operator: str = "Operator A"
    kind: str = "ec:P-256"
    tiled: bool = False
    state: str | None = "usable"
    since: float = NOW - 900 * DAY
    changes: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def private(self) -> pki.PrivateKey:
        """The log's private key."""
        return pki.key(f"log {self.name}", self.kind)

    @property
    def spki(self) -> bytes:
        """The log's public key (DER)."""
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def id(self) -> bytes:
        """The log id."""
        return hashlib.sha256(self.spki).digest()

    def sct(self, entry: bytes, at: float, *, extensions: bytes = b"", version: int = 0) -> bytes:
        """Return a SerializedSCT over an entry (type and content) with the timestamp ``at``."""
        timestamp = round(at * 1000).to_bytes(8, "big")
        signed = bytes([version, 0]) + timestamp + entry + vector(extensions)
        signature = pki.sign(self.private, signed)
        algorithm = b"\x04\x01" if self.kind.startswith("rsa") else b"\x04\x03"
        return bytes([version]) + self.id + timestamp + vector(extensions) + algorithm + vector(signature)

    def entry(self) -> dict[str, Any]:
        """Return the log's entry in a log list."""
        shown: dict[str, Any] = {
            "description": self.name,
            "log_id": base64.b64encode(self.id).decode(),
            "key": base64.b64encode(self.spki).decode(),
            "mmd": 86400,
        }
        if self.state is not None:
            shown["state"] = {self.state: {"timestamp": rfc3339(self.since)}}
        return shown | self.changes


ARGON = Log("Argon")
XENON = Log("Xenon")
YETI = Log("Yeti", "Operator B")
TILES = Log("Tiles", "Operator B", tiled=True)
STRANGER = Log("Stranger", "Operator C")


def precert_entry(tbs: bytes, issuer: Issued) -> bytes:
    """Return entry type and PreCert."""
    spki = issuer.parsed.spki_der
    return b"\x00\x01" + hashlib.sha256(spki).digest() + vector(tbs, 3)


def x509_entry(der: bytes) -> bytes:
    """Return entry type and ASN.1Cert."""
    return b"\x00\x00" + vector(der, 3)


def sct_list(scts: Iterable[bytes]) -> bytes:
    """Return a SignedCertificateTimestampList."""
    return vector(b"".join(vector(sct) for sct in scts))


def with_scts(
    logs: Sequence[Log],
    subject: str = "leaf.example",
    *,
    issuer: Issued,
    at: float | None = None,
    times: dict[Log, float] | None = None,
    spoil: Sequence[Log] = (),
    **changes: Any,
) -> Issued:
    """Create a certificate with an SCT of each log, an hour after its notBefore; ``spoil`` sign something else."""
    bare = pki.certificate(subject, issuer=issuer, **changes)
    made = at if at is not None else bare.parsed.not_before + 3600
    scts = []
    for log in logs:
        tbs = bare.parsed.tbs_der + (b"?" if log in spoil else b"")
        scts.append(log.sct(precert_entry(tbs, issuer), (times or {}).get(log, made)))
    extra = [*changes.pop("extra", ()), extension(sct_list(scts))]
    return pki.certificate(subject, issuer=issuer, extra=extra, **changes)


def extension(serialized: bytes, oid: str = SCT_LIST) -> bytes:
    """Return the extension with an SCT list."""
    return pki.extension(oid, pki.octets(serialized))


def log_list(*logs: Log, timestamp: float | None = NOW - 10 * DAY, **changes: Any) -> dict[str, Any]:
    """Return a log list of version 3."""
    operators: dict[str, dict[str, Any]] = {}
    for log in logs:
        operator = operators.setdefault(log.operator, {"name": log.operator, "email": [], "logs": [], "tiled_logs": []})
        operator["tiled_logs" if log.tiled else "logs"].append(log.entry())
    listed: dict[str, Any] = {"version": "3.99", "operators": list(operators.values())}
    if timestamp is not None:
        listed["log_list_timestamp"] = rfc3339(timestamp)
    return listed | changes
