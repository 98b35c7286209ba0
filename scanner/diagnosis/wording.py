"""Sentences and commands for one host: the catalogue's templates, filled with its facts.

What comes from outside is made harmless here (``scanner.text``), since a summary is read on terminals; the exact
text stands in the evidence. Nothing here raises for any evidence: a template whose fields are not all known gives way
to the next one, and the last resort is the code's title.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from scanner.diagnosis.catalogue import CODES, Code, translated, words_of
from scanner.language import ENGLISH
from scanner.model.evidence import Target
from scanner.text import printable, shorten

# A sentence stays readable with a few names in it, each no longer than a long host name.
MAX_LISTED: Final = 5
MAX_VALUE: Final = 120

_FIELD: Final = re.compile(r"\{([a-z_]+)\}")
# A number and what it counts
_COUNT: Final = re.compile(r"\{([a-z_]+)\} (day|byte|bit)s\b")

# Stores with names of their own; any other name is that of a PEM file.
_NAMED_STORES: Final = frozenset({"mozilla", "system"})

# What `openssl s_client -starttls` knows, by our names of the protocols
_S_CLIENT_STARTTLS: Final = {
    "smtp": "smtp",
    "lmtp": "lmtp",
    "imap": "imap",
    "pop3": "pop3",
    "ftp": "ftp",
    "ldap": "ldap",
    "xmpp": "xmpp",
    "xmpp-server": "xmpp-server",
    "postgres": "postgres",
    "mysql": "mysql",
    "nntp": "nntp",
    "sieve": "sieve",
    "irc": "irc",
}
# What curl speaks: our name -> the scheme of a URL
_CURL_SCHEME: Final = {
    "tls": "https",
    "https": "https",
    "smtps": "smtps",
    "imaps": "imaps",
    "pop3s": "pop3s",
    "ftps": "ftps",
    "ldaps": "ldaps",
}


def words(value: object, *, last: str = " and ") -> str:
    """Return a value of the evidence as a person reads it: lists shortened, control characters shown.

    ``last`` comes before the last item of a list.
    """
    if isinstance(value, (list, tuple)):
        shown = [words(item) for item in value[:MAX_LISTED]]
        more = len(value) - MAX_LISTED
        if more > 0:
            shown.append(f"{more} more")
            last = " and "
        return last.join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
    if isinstance(value, Mapping):
        shown = [f"{words(key)}: {words(item)}" for key, item in list(value.items())[:MAX_LISTED]]
        more = len(value) - MAX_LISTED
        return "; ".join([*shown, f"{more} more"] if more > 0 else shown)
    if isinstance(value, float):
        return f"{value:g}"
    return shorten(printable(str(value)[: MAX_VALUE + 1]), MAX_VALUE)


def _known(value: object) -> bool:
    return value is not None and value != "" and value != [] and value != ()


def _shell(value: object) -> str:
    """Return ``value`` as one word of a shell command that can do no harm when it is pasted."""
    return shlex.quote(printable(str(value)))


def _fill(templates: tuple[str, ...], facts: Mapping[str, Any], show: Callable[[object], str]) -> str | None:
    for template in templates:
        names = _FIELD.findall(template)
        if all(_known(facts.get(name)) for name in names):
            return _FIELD.sub(lambda found: show(facts[found[1]]), template)
    return None


def _without_dates_noise(evidence: Mapping[str, Any]) -> dict[str, Any]:
    # Midnight to the second says no more than the day does.
    return {
        key: value[:10] if key in ("not_before", "not_after", "revoked_at") and isinstance(value, str) else value
        for key, value in evidence.items()
    }


def _counted(facts: Mapping[str, Any], found: re.Match[str]) -> str:
    return f"{{{found[1]}}} {found[2]}" if facts.get(found[1]) in (1, "1") else found[0]


class Wording:
    """The words about one target, at one address of it; ``resolver`` is "ADDRESS:PORT" of the one that answered."""

    __slots__ = ("_facts", "_language", "_target")

    def __init__(
        self, target: Target, address: str | None = None, resolver: str | None = None, *, language: str = ENGLISH
    ) -> None:
        self._target = target
        self._language = language
        host = f"[{target.host}]" if ":" in target.host else target.host
        self._facts: dict[str, Any] = {
            "host": target.host,
            "name": target.name,
            "sni": target.sni,
            "port": target.port,
            "protocol": target.protocol,
            "target": f"{host}:{target.port}",
            "address": address or target.address or target.host,
            "resolver": resolver,
        }

    def summary(self, code: str, evidence: Mapping[str, Any]) -> str:
        """Return one sentence on this host."""
        entry = words_of(code, self._language)
        facts = {**self._facts, **_without_dates_noise(evidence)}
        if self._language != ENGLISH:
            show = _In(self._language)
            return _fill(entry.summary, facts, show) or f"{entry.title}{show.stop}"
        one = tuple(_COUNT.sub(lambda found: _counted(facts, found), template) for template in entry.summary)
        return _fill(one, facts, words) or f"{entry.title}."

    def remedy(self, code: str, evidence: Mapping[str, Any]) -> str:
        """Return what to do: the first remedy whose facts are all known, else the last one, with general words for those that are
        not."""
        entry = words_of(code, self._language)
        facts = {**self._facts, **_without_dates_noise(evidence)}
        if self._language != ENGLISH:
            show = _In(self._language)
            return _fill(entry.remedy, facts, show) or _FIELD.sub(
                lambda found: show(_known_or(facts, found[1], show.general)), entry.remedy[-1]
            )
        return _fill(entry.remedy, facts, words) or _FIELD.sub(
            lambda found: words(_general(facts, found[1])), entry.remedy[-1]
        )

    def confirm(self, code: str, evidence: Mapping[str, Any]) -> str | None:
        """Return a command that shows the fault, safe to paste into a POSIX shell whatever the host is called, if there is one."""
        return _command(CODES[code], {**self._facts, **evidence}, self._target)


class _In:
    """Shows values in another language than English: its lists, and the words of ours that evidence holds."""

    __slots__ = ("_values", "general", "stop")

    def __init__(self, language: str) -> None:
        table = translated(language)
        self._values: Mapping[str, str] = table["values"]
        self.general: Mapping[str, str] = table["general"]
        self.stop = table["general"]["."]

    def __call__(self, value: object) -> str:
        if isinstance(value, (list, tuple)):
            shown = [self(item) for item in value[:MAX_LISTED]]
            more = len(value) - MAX_LISTED
            return self.general["list"].join(shown) + (self.general["more"].format(count=more) if more > 0 else "")
        if isinstance(value, Mapping):
            return words(value)
        shown_value = words(value)
        return self._values.get(shown_value, shown_value)


def _general(facts: Mapping[str, Any], name: str) -> object:
    return _known_or(facts, name, _GENERAL)


def _known_or(facts: Mapping[str, Any], name: str, general: Mapping[str, str]) -> object:
    value = facts.get(name)
    return value if _known(value) else general.get(name) or general["it"]


_GENERAL: Final = {
    "it": "it",
    "ca": "the CA",
    "ca_domains": "its domain",
    "owner": "the name",
    "product": "the product",
    "refused_by": "the others",
    "subject": "the certificate",
    "versions": "them",
    "sni": "the name",
}


def _command(entry: Code, facts: Mapping[str, Any], target: Target) -> str | None:
    address = str(facts["address"])
    connect = _shell(f"[{address}]:{target.port}" if ":" in address else f"{address}:{target.port}")
    starttls = _S_CLIENT_STARTTLS.get(target.protocol)
    base = f"openssl s_client -connect {connect}" + (f" -starttls {starttls}" if starttls else "")
    named = f"{base} -servername {_shell(target.sni)}" if target.sni else f"{base} -noservername"
    scheme = _CURL_SCHEME.get(target.protocol)
    file = next((name for name in facts.get("stores") or () if name not in _NAMED_STORES), None)
    commands: dict[str, str | None] = {
        "s_client": named,
        "s_client_of_warning": named if _known(facts.get("warning")) else None,
        "s_client_no_sni": f"{base} -noservername",
        "s_client_trusting": named if file is None else f"{named} -CAfile {_shell(file)}",
        "curl": f"curl -v --connect-to {_shell(f'::{address}:')} {scheme}://{_shell(facts['target'])}/"
        if scheme
        else named,
        # curl sends version 1, and before HTTP only
        "curl_proxy": f"curl -v --haproxy-protocol --connect-to {_shell(f'::{address}:')} https://{_shell(facts['target'])}/"
        if scheme == "https" and facts.get("header") == "v1"
        else None,
        "dig": "dig" + _at_resolver(facts.get("resolver")),
        "q_host": _shell(target.host),
        "q_address": _shell(address),
        "q_owner": _shell(facts["owner"]) if _known(facts.get("owner")) else None,
        "q_first": _shell(facts["first"]) if _known(facts.get("first")) else None,
        "q_url": _shell(facts["url"]) if _known(facts.get("url")) else None,
        "q_serial": _shell(facts["serial"]) if _known(facts.get("serial")) else None,
        "port": str(target.port),
    }
    filled = _fill(entry.confirm, commands, str)
    if filled is None:
        return None
    # s_client waits for input unless it gets none
    return "; ".join(_no_input(part.strip()) for part in filled.split("; "))


def _at_resolver(resolver: object) -> str:
    """Return the arguments that send a question to the resolver that answered."""
    address, _, port = str(resolver or "").rpartition(":")
    if not address or not port.isdigit():
        return ""
    return f" @{_shell(address.strip('[]'))}" + ("" if port == "53" else f" -p {port}")


def _no_input(command: str) -> str:
    if not command.startswith("openssl s_client"):
        return command
    first, bar, rest = command.partition(" | ")
    return f"{first} </dev/null{bar}{rest}"
