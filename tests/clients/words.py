"""Whether what a client says is what is predicted of it: times, lists of names and what releases put otherwise left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

# The client's own time, the names of a certificate in their order, and what programs put around a library's words
_VARIABLE: Final = (
    (re.compile(r"current time \S+ is"), "current time NOW is"),
    (re.compile(r"is valid for (.*), not "), "is valid for NAMES, not "),
    (re.compile(r"^(\(\d+\)) (?:OpenSSL SSL_read: )?(?:OpenSSL/[\d.]+: )?error:[0-9A-F]+:"), r"\1 TLS connect error: "),
    (re.compile(r"^(\(56\)) OpenSSL SSL_read: (?:OpenSSL/[\d.]+: error:[0-9A-F]+:)?"), r"\1 TLS connect error: "),
    (re.compile(r":SSL alert number \d+$|, errno 0$"), ""),
    (re.compile(r"(\.) is not in the cert's altnames.*"), r"\1 is not in the cert's altnames"),
)
# What other releases put in the place of the words that are predicted (``releases`` in client-texts.json)
_RELEASES: Final[Mapping[str, tuple[tuple[re.Pattern[str], str], ...]]] = {
    "openssl": (
        (re.compile(r"(?:sslv3|(?<![/\w])tls) alert "), "ssl/tls alert "),
        (re.compile("SSLV3_ALERT"), "SSL/TLS_ALERT"),
    ),
    "java": ((re.compile(r"^(javax\.net\.ssl\.\w+: )\(\w+\) "), r"\1"),),
}
_OVER_OPENSSL: Final = frozenset({"openssl", "curl", "python", "node"})
# pyOpenSSL passes the number of a fault, not its words.
_NUMBER_ALONE: Final = re.compile(r"(verify error:num=\d+:).*")


def are_same(predicted: str, said: str, client: str) -> bool:
    """Return whether ``said`` is what is predicted, or begins with it."""
    name = client.removesuffix("-newest")
    wanted, real = (_fixed(" ".join(text.split()), name) for text in (predicted, said))
    if client == "openssl-newest":
        wanted = _NUMBER_ALONE.sub(r"\1", wanted)
    if client == "gnutls":  # the alert's name and the error's sentence come in either order
        return all(part in real for part in re.split(r"(?<=\.) ", wanted))
    return real.startswith(wanted)


def _fixed(text: str, name: str) -> str:
    rules = _RELEASES.get("openssl" if name in _OVER_OPENSSL else name, ())
    for pattern, replacement in (*_VARIABLE, *rules):
        text = pattern.sub(replacement, text)
    return text
