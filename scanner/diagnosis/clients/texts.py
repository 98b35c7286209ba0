"""What each client says, code by code, with its default settings: ``scanner/data/client-texts.json``.

``RELEASES`` names the releases of each client that the table holds for; where two of them differ, a text says since when it
holds and what came before (``endings.since``). ``docs/clients.md`` says what was seen, and with which versions. ``{fields}``
are filled from the evidence. A client that is not in a code's entry is not known; ``OK`` means that it accepts. Texts of
GnuTLS's verification are sentences, of which it says all that hold.

Left out on purpose: what curl says to ``bad-signature``, where it reports the library's error (35) for some signatures; and what
Chrome says to ``revoked-ocsp`` and ``revoked-crl``: it carries a choice of what is revoked, and asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from scanner.shipped import shipped

_TABLE: Final[Mapping[str, Any]] = orjson.loads(shipped("client-texts.json"))

# Client -> the releases that the predictions hold for. Alerts are put as OpenSSL 3.2 to 3.6 put them: before, "sslv3" stood for
# "ssl/tls", and since 4.0 "tls" does. Since Java 25 the alert that it sends stands in brackets before its message.
RELEASES: Final[Mapping[str, str]] = _TABLE["releases"]
TEXTS: Final[Mapping[str, Mapping[str, str]]] = _TABLE["codes"]
# A name, and an address, that the certificate is not for
NAME_TEXTS: Final[Mapping[str, str]] = _TABLE["name"]
ADDRESS_TEXTS: Final[Mapping[str, str]] = _TABLE["address"]
# What Node says where nothing but the leaf came: it keeps the last error of OpenSSL, not the first.
NODE_LEAF_ALONE: Final[str] = _TABLE["node-leaf-alone"]
# keyUsage of the leaf that lacks what the key exchange needs: what is missing -> who refuses, and how
USAGE_TEXTS: Final[Mapping[str, Mapping[str, str]]] = _TABLE["usage"]
# A key in a form that some do not read, where that differs from an algorithm that they do not know
KEY_FORM_TEXTS: Final[Mapping[str, str]] = _TABLE["key-form"]
# A path that is longer than some follow
TOO_LONG_TEXTS: Final[Mapping[str, str]] = _TABLE["too-long"]
# What Go says where the list of policies itself is malformed
MALFORMED_POLICIES: Final[str] = _TABLE["malformed-policies"]
# More names times constraints than some compare; the others were seen to take that
COMPARISONS_TEXTS: Final[Mapping[str, str]] = _TABLE["comparisons"]
TOO_COSTLY_TEXTS: Final[Mapping[str, str]] = _TABLE["too-costly"]
# A certificate without a name of the kind that was asked for: a DNS name, an address
NAMELESS_TEXTS: Final[Mapping[str, str]] = _TABLE["nameless"]
NAMELESS_ADDRESS_TEXTS: Final[Mapping[str, str]] = _TABLE["nameless-address"]
# What curl says, by protocol, to an upgrade that is not offered or refused, and to a session that is
UPGRADE_TEXTS: Final[Mapping[str, Mapping[str, str]]] = _TABLE["upgrade"]
