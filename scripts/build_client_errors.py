"""Write scanner/data/client-errors.json: names and numbers of the errors of TLS clients, and digests of their texts.

python scripts/build_client_errors.py --errors ERRORS.json

``ERRORS.json`` is a document with ``entries``, each with ``client``, ``name``, ``code`` and ``text``; what is taken are facts
(which number has which name) and digests, by which a text is recognised, no sentence of any project.
``scanner/data/meanings.toml`` says what they mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from scanner.explain.recognise import MIN_LONG_NAME, alphanumerics, message_digest, sanitise

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
    "gnutls-verify": ("gnutls-verify", "GNUTLS_CERT_"),
    "schannel": ("windows", ""),
    "node": ("node", ""),
    "dotnet": ("dotnet", ""),
}
# Names that only have texts: ``scanner.explain.recognise`` reads the alert out of the name.
ALERTS: Final = frozenset({"gnutls-alert"})


def build(document: dict[str, Any]) -> str:
    """Return the file: each group's names without their common prefix with their numbers, and the digests of texts."""
    groups: dict[str, dict[str, Any]] = {}
    messages: dict[str, str] = {}
    for entry in document["entries"]:
        group = GROUPS.get(entry["client"])
        name = entry["name"]
        if not name or name == "X509_V_OK" or not name.replace("_", "").isalnum():
            continue
        if group is not None:
            names = groups.setdefault(group[0], {"prefix": group[1], "names": {}})["names"]
            number = entry["code"]
            if group[0] == "windows":
                number &= 0xFFFFFFFF
            names.setdefault(name.removeprefix(group[1]), number)
        # Node prints the texts of OpenSSL.
        if entry["client"] in ALERTS or (group is not None and group[0] != "node"):
            prefix = "" if group is None else group[1]
            for text in texts(entry["text"] or "", name, prefix):
                messages.setdefault(message_digest(text), name)
    lines = []
    for group_name, content in sorted(groups.items()):
        inside = json.dumps(dict(sorted(content["names"].items())), separators=(",", ":"))
        lines.append(f'"{group_name}":{{"prefix":"{content["prefix"]}","names":{inside}}}')
    digests = json.dumps(dict(sorted(messages.items())), separators=(",", ":"))
    return '{"groups":{' + ",\n".join(lines) + '},\n"messages":' + digests + "}\n"


def texts(text: str, name: str, prefix: str) -> list[str]:
    """Return the letters and digits of a text and of its first sentence, unless they are those of the name."""
    cleaned = sanitise(text)
    found = [alphanumerics(cleaned)]
    first = alphanumerics(cleaned.partition(". ")[0])
    if len(first) >= MIN_LONG_NAME:
        found.append(first)
    known = {"", alphanumerics(name), alphanumerics(name.removeprefix(prefix))}
    return [each for each in dict.fromkeys(found) if each not in known and "%" not in text and "{" not in text]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--errors", type=Path, required=True, help="the document with the entries")
    options = parser.parse_args(arguments)
    TARGET.write_text(build(json.loads(options.errors.read_text("utf-8"))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
