"""Write scanner/data/client-errors.json: names and numbers of the errors of TLS clients, without their texts.

python scripts/build_client_errors.py --errors ERRORS.json

``ERRORS.json`` is a document with ``entries``, each with ``client``, ``name`` and ``code``; what is taken are facts (which
number has which name), no sentence of any project. ``scanner/data/meanings.toml`` says what they mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

TARGET: Final = Path(__file__).resolve().parent.parent / "scanner" / "data" / "client-errors.json"

# Group in the input -> (group in the output, what its names begin with)
GROUPS: Final = {
    "openssl-verify": ("openssl-verify", "X509_V_ERR_"),
    "openssl-ssl-reason": ("openssl", "SSL_R_"),
    "curl": ("curl", "CURLE_"),
    "chrome": ("chrome", "ERR_"),
    "firefox": ("nss", ""),
    "firefox-nss": ("nss", ""),
    "gnutls": ("gnutls", "GNUTLS_E_"),
    "schannel": ("windows", ""),
    "node": ("node", ""),
    "dotnet": ("dotnet", ""),
}
# Of Windows' numbers these are results and not errors; of NSS's, those of files, tokens and mail have to do with no server.
LEFT_OUT: Final = ("SEC_I_", "XP_", "SEC_ERROR_PKCS12_", "SEC_ERROR_JS_", "SEC_ERROR_KRL_", "CURLE_OK", "X509_V_OK")


def build(document: dict[str, Any]) -> str:
    """Return the file: each group's names without their common prefix, with their numbers if they have any."""
    groups: dict[str, dict[str, Any]] = {}
    for entry in document["entries"]:
        group = GROUPS.get(entry["client"])
        name = entry["name"]
        if group is None or not name or name.startswith((*LEFT_OUT, "net_")) or not name.replace("_", "").isalnum():
            continue
        names = groups.setdefault(group[0], {"prefix": group[1], "names": {}})["names"]
        number = entry["code"]
        if group[0] == "windows":
            number &= 0xFFFFFFFF
        names.setdefault(name.removeprefix(group[1]), number)
    lines = []
    for group_name, content in sorted(groups.items()):
        inside = json.dumps(dict(sorted(content["names"].items())), separators=(",", ":"))
        lines.append(f'"{group_name}":{{"prefix":"{content["prefix"]}","names":{inside}}}')
    return "{" + ",\n".join(lines) + "}\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--errors", type=Path, required=True, help="the document with the entries")
    options = parser.parse_args(arguments)
    TARGET.write_text(build(json.loads(options.errors.read_text("utf-8"))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
