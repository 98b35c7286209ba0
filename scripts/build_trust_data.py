"""Make the trust material of scanner/data/ from newer inputs. For a maintainer; the program itself never runs this.

    python scripts/build_trust_data.py --nss nss-roots.json --intermediates intermediates.pem \
        --onecrl onecrl.json.gz --chrome chrome-root-store.json \
        --placeholders placeholder-certificates.json scripts/added_placeholders.json

writes mozilla-roots.json, intermediates.bin, onecrl.bin, placeholders.json and (with --nss too) chrome-roots.json. Every
option may be left out; its output then stays as it is. The formats of the inputs are those described in
scanner/data/NOTICE.md.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scanner.trust import onecrl
from scanner.trust.intermediates import ENTRY, MAGIC, subject_key
from scanner.x509.certificate import Certificate, CertificateError
from scanner.x509.pem import certificates_in_pem
from scripts.origins import origin

DATA = Path(__file__).resolve().parent.parent / "scanner" / "data"


def write_json(name: str, content: Any) -> None:
    """Write JSON in a stable format, so that newer inputs give small diffs."""
    (DATA / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def roots(source: Path) -> None:
    """Write the SHA-256 of each root with its server trust and its distrust date, if any, without certificates."""
    document = json.loads(source.read_text())
    table = {}
    for root in document["roots"]:
        entry: dict[str, Any] = {"server": root["trust_server_auth"] == "TRUSTED_DELEGATOR"}
        if root["server_distrust_after"]:
            entry["distrust_after"] = root["server_distrust_after"]
        table[root["sha256"]] = entry
    write_json("mozilla-roots.json", {"source": document["source"], "roots": dict(sorted(table.items()))})
    print(f"mozilla-roots.json: {len(table)} roots, {sum(entry['server'] for entry in table.values())} for servers")


def revoked(source: Path | None) -> tuple[set[tuple[bytes, str]], set[tuple[bytes, str]]]:
    """Return what OneCRL revokes: (issuer, serial) pairs and (subject, hash of the key) pairs."""
    by_serial: set[tuple[bytes, str]] = set()
    by_key: set[tuple[bytes, str]] = set()
    if source is None:
        return by_serial, by_key
    opened = gzip.open(source) if source.suffix == ".gz" else source.open("rb")
    with opened as stream:
        entries = json.load(stream)["entries"]
    for entry in entries:
        if "spki_sha256" in entry and "subject_der_base64" in entry:
            by_key.add((base64.b64decode(entry["subject_der_base64"]), entry["spki_sha256"]))
        issuer = entry.get("issuer_der_base64")
        serial = entry.get("serial") or entry.get("serial_hex")
        if issuer and serial:
            by_serial.add((base64.b64decode(issuer), serial.lower().lstrip("0")))
    return by_serial, by_key


def blocked(source: Path) -> None:
    """Write OneCRL as a sorted list of truncated hashes."""
    by_serial, by_key = revoked(source)
    entries = {onecrl.serial_entry(issuer, serial) for issuer, serial in by_serial}
    entries |= {onecrl.key_entry(subject, bytes.fromhex(key)) for subject, key in by_key}
    (DATA / "onecrl.bin").write_bytes(onecrl.MAGIC + b"".join(sorted(entries)))
    print(f"onecrl.bin: {len(entries)} entries")


def chrome(source: Path, nss: Path) -> None:
    """Write Chrome's anchors with the date after which certificates are no longer accepted, and Mozilla's part of them."""
    document = json.loads(source.read_text())
    servers = {
        root["sha256"]
        for root in json.loads(nss.read_text())["roots"]
        if root["trust_server_auth"] == "TRUSTED_DELEGATOR"
    }
    anchors: dict[str, str | None] = {}
    for root in document["roots"]:
        dates = [item["sct_not_after"] for item in root.get("constraints", ()) if "sct_not_after" in item]
        anchors[root["sha256"]] = min(dates, default=None)
    for authority in document["additional_trust_anchors"]:
        anchors[authority["sha256"]] = None
    elsewhere = sorted(root["subject"] for root in document["roots"] if root["sha256"] not in servers)
    content = {
        "source": document["source"],
        "anchors": dict(sorted(anchors.items())),
        "elsewhere": elsewhere,
        "mozilla": sorted(servers),
    }
    write_json("chrome-roots.json", content)
    print(
        f"chrome-roots.json: {len(anchors)} anchors, {sum(date is not None for date in anchors.values())} with a date"
    )


def intermediates(source: Path, onecrl: Path | None) -> None:
    """Write the certificates after an index of (hash of the subject, offset, length)."""
    by_serial, by_key = revoked(onecrl)
    kept: dict[str, Certificate] = {}
    dropped = 0
    for data in certificates_in_pem(source.read_bytes()):
        try:
            certificate = Certificate.parse_untrusted(data)
        except CertificateError as error:
            print(f"left out, unreadable: {hashlib.sha256(data).hexdigest()}: {error}")
            continue
        key = hashlib.sha256(certificate.spki_der).hexdigest()
        serial = certificate.serial.lstrip("0")
        is_revoked = (certificate.issuer_der, serial) in by_serial or (certificate.subject_der, key) in by_key
        if is_revoked or not certificate.is_ca or certificate.self_signed:
            dropped += 1
            continue
        kept[certificate.sha256] = certificate
    ordered = sorted(kept.values(), key=lambda item: (subject_key(item.subject_der), item.sha256))
    index = bytearray()
    offset = len(MAGIC) + 4 + ENTRY.size * len(ordered)
    for certificate in ordered:
        index += ENTRY.pack(subject_key(certificate.subject_der), offset, len(certificate.der))
        offset += len(certificate.der)
    bodies = b"".join(certificate.der for certificate in ordered)
    (DATA / "intermediates.bin").write_bytes(MAGIC + struct.pack(">I", len(ordered)) + bytes(index) + bodies)
    print(f"intermediates.bin: {len(ordered)} certificates, {dropped} left out (revoked, self-signed or no CA)")


def placeholders(sources: list[Path]) -> None:
    """Write the catalogue of placeholder certificates; every pattern must compile."""
    entries = []
    for entry in [entry for source in sources for entry in json.loads(source.read_text())["entries"]]:
        if entry["kind"] == "test host":
            continue  # badssl.com shows its causes under certificates of its own name: none of them is a fallback
        for field, pattern in entry["match"].items():
            if field.endswith("_regex"):
                re.compile(pattern)
        if entry.pop("checked") is not ("not checked" not in entry["source"]):
            raise ValueError(f"the source of {entry['product']} does not say whether it was checked")
        entries.append(entry | {name: origin(entry[name]) for name in ("source", "note") if name in entry})
    write_json("placeholders.json", {"entries": entries})
    print(f"placeholders.json: {len(entries)} entries")


def main() -> int:
    """Parse the options and write the requested files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("nss", "intermediates", "onecrl", "chrome"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--placeholders", type=Path, nargs="+")
    options = parser.parse_args()
    if options.nss:
        roots(options.nss)
    if options.intermediates:
        intermediates(options.intermediates, options.onecrl)
    if options.onecrl:
        blocked(options.onecrl)
    if options.chrome and options.nss:
        chrome(options.chrome, options.nss)
    if options.placeholders:
        placeholders(options.placeholders)
    return 0


if __name__ == "__main__":
    sys.exit(main())
