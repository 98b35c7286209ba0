"""Which column of an inventory means what, by its header: aliases in any case and punctuation, and columns that only look like one.

``FIELDS`` is the documented table of names. Of two columns with one meaning the more specific name is used: ``fqdn`` names a
host better than ``name`` does, and ``ssl_port`` the port of a TLS service better than ``port``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from scanner.text import folded, quoted

# Meaning -> its names as `folded` writes them, the most specific in the first text.
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "host": (
        "fqdn fullyqualifieddomainname fullhostname hostfqdn dnsname dnshostname 完整域名",
        "host hostname dnsentry rechnername 主机 主机名",
        "url uri endpoint website vhost virtualhost 网址",
        "name servername server machine machinename computername target 服务器 服务器名",
        "domain domainname 域名",
    ),
    "port": (
        "sslport tlsport httpsport secureport portssl porttls porthttps",
        "port ports tcpport portno portnr portnumber portnum tcpportno tcpportnumber serviceport serverport listenport"
        " listeningport destinationport dstport dport remoteport targetport hostport portnummer 端口 端口号",
    ),
    "protocol": ("protocol", "proto applicationprotocol appprotocol serviceprotocol l7protocol scheme protokoll 协议"),
    "sni": ("sni sniname tlssni sslsni tlsservername sslservername",),
    "address": (
        "address",
        "ip ipaddress ipaddr ipadr hostip hostaddress serverip serveraddress targetip ipadresse ip地址",
        "ipv4 ipv4address ipv4addr ip4",
        "ipv6 ipv6address ipv6addr ip6",
    ),
    "id": ("id",),
}
# Folded name -> (meaning, rank within it: the least is used)
_MEANING: Final = {
    name: (field, rank) for field, ranks in FIELDS.items() for rank, names in enumerate(ranks) for name in names.split()
}

# What spreadsheets and people write into a cell that has nothing to say.
EMPTY_WORDS: Final = (
    "-|--|---|–|—|?|??|???|.|n/a|n.a.|na|n/d|none|null|nil|nan|tbd|tba|tbc|t.b.d.|unknown|undefined|empty|not available"
    "|not applicable|not set|not known|no value|to be defined|(none)|(null)|(empty)|(blank)|<none>|<null>|#n/a|#n/v|#ref!|#value!"
    "|#name?|#null!|#nv|k.a.|k. a.|unbekannt|keine|offen|无|未知|待定|暂无|空"
).split("|")
# The same in the cases that people use: looked up for every cell that matters, which may be millions.
EMPTY_CELLS: Final = frozenset(
    form for word in EMPTY_WORDS for form in (word, word.upper(), word.capitalize(), word.title())
)

# Words at the end of a header by which a column looks like one of these, beside the names above.
_HEADS: Final = {
    "host": frozenset("host hosts hostname hostnames fqdn fqdns domain domains dns url urls uri vhost".split()),
    "port": frozenset("port ports".split()),
    "protocol": frozenset("protocol protocols proto scheme".split()),
    "address": frozenset("ip ips ipv4 ipv6 addr address addresses".split()),
}
# ... but not with one of these words before it: a postal address, the port of a switch.
_OTHER_THINGS: Final = frozenset(
    "mail email e mac street postal billing office home contact switch patch usb serial source src client routing storage ticket"
    " wiki doc docs documentation git repo repository".split()
)
# Endings that say nothing: "Port No.", "Host Name", "URL 2".
_TAILS: Final = frozenset("no nr num number name names id".split())
# "sslPort", "SSLPort" -> words
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD: Final = re.compile(r"[\W_]+")
# Ends of one word: "httpport", "webhost"; not "support" or "report"
_GLUED_PORT: Final = re.compile(
    r"(?:ssl|tls|https?|tcp|udp|web|smtps?|imaps?|ldaps?|db|app|service|server|listen|mgmt|admin|api)port[0-9]?"
)
_GLUED_HOST: Final = re.compile(
    r"(?:web|db|app|target|server|service|mail|virtual|full|dns)(?:host|hostname|fqdn|domain|url)[0-9]?"
)


class ColumnChoice(NamedTuple):
    """What the columns of an inventory mean: the index of each known one, and for people what was not used although it looks so."""

    places: dict[str, int]
    unused: dict[int, str]  # index of a column -> the meaning that it looks like


def meaning(name: str) -> tuple[str, int] | None:
    """Return what a column of this name means, and how specific that is (0 most); ``None`` for the inventory's own columns."""
    return _MEANING.get(folded(name))


def looks_like(name: str) -> str | None:
    """Return which of host, port, protocol and address the header of an unknown column names, in whatever words; else ``None``."""
    known = meaning(name)
    if known is not None:
        return None if known[0] == "id" else known[0]
    words = [word for word in _NOT_WORD.split(_CAMEL.sub(" ", name).casefold()) if word]
    while len(words) > 1 and (words[-1] in _TAILS or words[-1].isdigit()):
        words.pop()
    if not words or _OTHER_THINGS.intersection(words[:-1]):
        return None
    last = words[-1].rstrip("0123456789") or words[-1]
    for field, heads in _HEADS.items():
        if last in heads or words[-1] in heads:
            return field
    if _GLUED_PORT.fullmatch(words[-1]):
        return "port"
    return "host" if _GLUED_HOST.fullmatch(words[-1]) else None


class MappingError(ValueError):
    """``--column`` names a column that the inventory does not have, or cannot have."""


def chosen(names: Sequence[str], mapping: Mapping[str, str]) -> ColumnChoice:
    """Return what columns of these names mean. ``mapping`` (meaning -> header) comes first. Raises ``MappingError``."""
    places: dict[str, int] = {}
    for field, header in mapping.items():
        places[field] = _find(names, field, header)
    taken = set(places.values())
    ranks: dict[str, tuple[int, bool, int]] = {}
    for index, name in enumerate(names):
        known = meaning(name)
        if known is None or index in taken or known[0] in mapping:
            continue
        field, rank = known
        # of two equally specific names the one that is spelled as the documentation does, then the first
        order = (rank, folded(name) != field, index)
        if field not in ranks or order < ranks[field]:
            ranks[field], places[field] = order, index
    used = set(places.values())
    unused = {}
    for index, name in enumerate(names):
        looks = looks_like(name) if index not in used else None
        if looks is not None:
            unused[index] = looks
    return ColumnChoice(places, unused)


def _find(names: Sequence[str], field: str, header: str) -> int:
    for same in (lambda name: name == header, lambda name: folded(name) == folded(header)):
        found = [index for index, name in enumerate(names) if name and same(name)]
        if len(found) > 1:
            raise MappingError(f"has the column {quoted(header)} of --column {field}=... more than once")
        if found:
            return found[0]
    raise MappingError(
        f"has no column {quoted(header)}, which --column {field}=... names (it has {', '.join(quoted(name, 40) for name in names if name)})"
    )


def refuse_twice(names: Sequence[str], places: Mapping[str, int], mapping: Mapping[str, str]) -> None:
    """Raise ``MappingError`` where a column that decides what is contacted, and is not in ``mapping``, is there twice by one name."""
    for field, index in places.items():
        if field in mapping:
            continue
        same = [name for name in names if folded(name) == folded(names[index])]
        if len(same) > 1:
            raise MappingError(f"names the column {quoted(same[1])} twice in its header: which is the {field}?")
