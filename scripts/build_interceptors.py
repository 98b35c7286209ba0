"""Make scanner/data/interceptors.json from newer inputs. For a maintainer; the program itself never runs this.

    python scripts/build_interceptors.py --issuers interception-issuers.json --chrome chromium-ssl-error-assistant.json \
        --seen "mitmproxy=read from certificates that mitmproxy 8.1.1 made"

``--seen PRODUCT=HOW`` records that the pattern of a product was held against the software itself: its entry then
decides. The formats of the inputs are those described in scanner/data/NOTICE.md.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.origins import origin

OUTPUT = Path(__file__).resolve().parent.parent / "scanner" / "data" / "interceptors.json"


def pattern(match: dict[str, str], field: str) -> str | None:
    """Return the full-match regular expression for an attribute; an exact text is escaped."""
    if f"{field}_regex" in match:
        re.compile(match[f"{field}_regex"])
        return match[f"{field}_regex"]
    return re.escape(match[field]) if field in match else None


def entries(document: dict[str, Any], seen: dict[str, str]) -> list[dict[str, Any]]:
    """Return the entries that can be matched, each pattern once. Whether an entry is decisive follows from its source."""
    made: list[dict[str, Any]] = []
    for entry in document["entries"]:
        row: dict[str, Any] = {"product": entry["product"], "kind": entry["kind"]}
        for field, attribute in (("issuer_cn", "CN"), ("issuer_o", "O"), ("issuer_ou", "OU")):
            text = pattern(entry["match"], field)
            if text is not None:
                row[attribute] = text
        if len(row) == 2:
            continue
        row["source"] = seen.get(entry["product"], origin(entry["source"]))
        row["decides"] = "not checked" not in row["source"]
        if "example" in entry:
            row["example"] = entry["example"]
        same = [known for known in made if all(known.get(key) == row.get(key) for key in ("CN", "O", "OU"))]
        if not same:
            made.append(row)
    return made


def key_hash(text: str) -> str:
    """Return the hex form of ``sha256/<base64>``."""
    return base64.b64decode(text.removeprefix("sha256/")).hex()


def main() -> int:
    """Parse the options and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--issuers", type=Path, required=True)
    parser.add_argument("--chrome", type=Path, required=True)
    parser.add_argument("--seen", action="append", default=[], metavar="PRODUCT=HOW")
    options = parser.parse_args()
    seen = dict(text.split("=", 1) for text in options.seen)
    chrome = json.loads(options.chrome.read_text())
    rows = entries(json.loads(options.issuers.read_text()), seen)
    keys: dict[str, str] = {}
    for entry in chrome["dynamic_interstitial"]:
        for text in entry["sha256_hashes"]:
            keys[key_hash(text)] = entry["mitm_software_name"][0]
    content = {
        "chrome": chrome["source"],
        "issuers": rows,
        "keys": dict(sorted(keys.items())),
        "portal_keys": sorted(key_hash(text) for text in chrome["captive_portal_spki_sha256"]),
    }
    OUTPUT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    deciding = sum(row["decides"] for row in rows)
    portals = len(content["portal_keys"])
    print(f"{OUTPUT.name}: {len(rows)} issuers, {deciding} of them decide; {len(keys)} keys; {portals} portal keys")
    return 0


if __name__ == "__main__":
    sys.exit(main())
