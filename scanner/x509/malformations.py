"""What can be malformed in a certificate that can be read, and which clients refuse it for that.

Parsers differ more than verifiers do: Go and Chromium are strict about what OpenSSL and Firefox never look at. All of
this was seen, with the versions that ``docs/clients.md`` names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

NEGATIVE_SERIAL: Final = "the serial number is negative"
NAME_NOT_ASCII: Final = "subjectAltName: a dNSName that is not ASCII"
ADDRESS_LENGTH: Final = "subjectAltName: an iPAddress of"
CRITICAL_ACCESS: Final = "authorityInfoAccess is marked critical"
UNNAMED: Final = "the subject is empty and subjectAltName is not critical"
UNIVERSAL_STRING: Final = "a UniversalString"
WRONG_STRING: Final = "is not valid in the string type that it claims"
EMPTY_CONSTRAINTS: Final = "nameConstraints: neither permits nor excludes anything"

PERMITTED_EVERYTHING: Final = "nameConstraints: an empty dNSName is permitted"
BOUNDED_CONSTRAINT: Final = "nameConstraints: a subtree with a minimum or maximum"
CONSTRAINT_LENGTH: Final = "nameConstraints: an address range of"
CONSTRAINT_WITH_HOLES: Final = "nameConstraints: a network mask with holes"
CONSTRAINT_WITH_FINAL_DOT: Final = "nameConstraints: a dNSName that ends with a dot"
CONSTRAINT_NOT_A_HOST: Final = "nameConstraints: a uniformResourceIdentifier that is no host"

_EVERYBODY: Final = ("openssl", "curl", "python", "go", "java", "chrome", "firefox", "gnutls")
# Part of a flaw's sentence -> clients that refuse it. Of other flaws the clients are not known.
_REFUSED_BY: Final = {
    NEGATIVE_SERIAL: ("go",),
    NAME_NOT_ASCII: ("go", "chrome"),
    ADDRESS_LENGTH: ("go", "chrome"),
    CRITICAL_ACCESS: ("openssl", "curl", "python", "go", "java", "chrome"),
    UNNAMED: ("java", "chrome"),
    UNIVERSAL_STRING: ("go",),
    WRONG_STRING: ("go", "chrome"),
    EMPTY_CONSTRAINTS: ("go", "chrome", "firefox"),
    PERMITTED_EVERYTHING: ("java",),
    BOUNDED_CONSTRAINT: ("chrome", "firefox"),
    CONSTRAINT_LENGTH: ("go", "java", "chrome", "gnutls"),
    CONSTRAINT_WITH_HOLES: ("go", "chrome", "gnutls"),
    CONSTRAINT_WITH_FINAL_DOT: ("go", "firefox"),
    CONSTRAINT_NOT_A_HOST: ("java",),
}


def refused_by(flaws: Iterable[str]) -> list[str] | None:
    """Return the clients that refuse a certificate with these flaws; ``None`` if that is not known of one of them."""
    found: set[str] = set()
    for flaw in flaws:
        clients = next((clients for part, clients in _REFUSED_BY.items() if part in flaw), None)
        if clients is None:
            return None
        found.update(clients)
    return [client for client in _EVERYBODY if client in found]
