"""The demo's Certificate Transparency logs: their keys, the SCTs that they issue, and the log list.

The logs store nothing: an SCT is a signature over a precertificate entry (RFC 6962 section 3.2), which is made here
from the certificate as it is before the SCTs are added.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct, field

from scanner.times import moment

SCT_LIST: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
# Age of the log list and of the logs' states when the demo starts.
LIST_AGE: Final = timedelta(days=1)
IN_USE_SINCE: Final = timedelta(days=900)
RETIRED_SINCE: Final = timedelta(days=200)

_V1: Final = b"\x00"
_CERTIFICATE_TIMESTAMP: Final = b"\x00"
_PRECERT_ENTRY: Final = b"\x00\x01"
# SHA-256 and ECDSA (RFC 5246 section 7.4.1.4.1)
_ECDSA_SHA256: Final = b"\x04\x03"


def _vector(data: bytes, size: int = 2) -> bytes:
    return len(data).to_bytes(size, "big") + data


class DemoLog(Struct, frozen=True):
    """A log with its key; ``tiled`` means a static-ct-api log."""

    name: str
    operator: str
    tiled: bool = False
    retired: bool = False
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def spki(self) -> bytes:
        """The log's public key (DER)."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign_sct(self, tbs: bytes, issuer_spki: bytes, at: datetime) -> bytes:
        """Return a SerializedSCT for a precertificate, given its TBSCertificate and its issuer's public key."""
        timestamp = round(at.timestamp() * 1000).to_bytes(8, "big")
        entry = _PRECERT_ENTRY + hashlib.sha256(issuer_spki).digest() + _vector(tbs, 3)
        signed = _V1 + _CERTIFICATE_TIMESTAMP + timestamp + entry + _vector(b"")
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return _V1 + hashlib.sha256(self.spki).digest() + timestamp + _vector(b"") + _ECDSA_SHA256 + _vector(signature)


class Logs:
    """The logs of one fleet; all but ``unlisted`` are in the log list."""

    def __init__(self) -> None:
        self.alder: Final = DemoLog("Demo Alder", "Demo Trees")
        self.birch: Final = DemoLog("Demo Birch", "Demo Trees")
        self.basalt: Final = DemoLog("Demo Basalt", "Demo Stones", tiled=True)
        self.retired: Final = DemoLog("Demo Slate", "Demo Stones", retired=True)
        self.unlisted: Final = DemoLog("Demo Driftwood", "Demo Shore")

    @property
    def listed(self) -> tuple[DemoLog, ...]:
        """The logs in the log list."""
        return self.alder, self.birch, self.basalt, self.retired

    @property
    def sufficient(self) -> tuple[DemoLog, ...]:
        """Enough logs for a certificate of up to 180 days: two operators, and one log of RFC 6962."""
        return self.alder, self.basalt

    @property
    def three(self) -> tuple[DemoLog, ...]:
        """Enough logs for a longer validity."""
        return self.alder, self.birch, self.basalt

    def as_json(self, now: datetime) -> bytes:
        """Return the log list in version 3 of Google's format."""
        operators: dict[str, dict[str, Any]] = {}
        for log in self.listed:
            operator = operators.setdefault(
                log.operator, {"name": log.operator, "email": [], "logs": [], "tiled_logs": []}
            )
            state = {"retired": now - RETIRED_SINCE} if log.retired else {"usable": now - IN_USE_SINCE}
            entry = {
                "description": log.name,
                "log_id": base64.b64encode(hashlib.sha256(log.spki).digest()).decode(),
                "key": base64.b64encode(log.spki).decode(),
                "mmd": 86400,
                "state": {name: {"timestamp": moment(since.timestamp())} for name, since in state.items()},
            }
            operator["tiled_logs" if log.tiled else "logs"].append(entry)
        listed = {
            "version": "3.0",
            "log_list_timestamp": moment((now - LIST_AGE).timestamp()),
            "operators": list(operators.values()),
        }
        return json.dumps(listed, indent=1).encode() + b"\n"


def sct_list(scts: Sequence[bytes]) -> x509.UnrecognizedExtension:
    """Return the extension with these SCTs (RFC 6962 section 3.3)."""
    content = _vector(b"".join(map(_vector, scts)))
    if len(content) < 0x80:
        return x509.UnrecognizedExtension(SCT_LIST, bytes((0x04, len(content))) + content)
    size = (len(content).bit_length() + 7) // 8
    length = bytes((0x80 | size,)) + len(content).to_bytes(size, "big")
    return x509.UnrecognizedExtension(SCT_LIST, b"\x04" + length + content)
