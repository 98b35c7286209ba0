"""What the judges of ``scanner.pki`` say about certificates: plain records, read by ``scanner.diagnosis``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from scanner.evidence import record
from scanner.pki.certificate import Certificate


@record
class Problem:
    """A rule that a certificate or path breaks.

    ``code`` is a code of the catalogue (``certificate-expired``, ``bad-signature``, ...); ``certificate`` is the
    SHA-256 (hex) of the certificate that breaks it; ``evidence`` goes into the finding as it stands (JSON types only).
    """

    code: str
    certificate: str | None
    evidence: Mapping[str, Any] = field(default_factory=dict)


@record
class StoreVerdict:
    """One trust store's answer for one chain at one moment.

    ``path`` is SHA-256 (hex), leaf first and anchor last, of the path found: the valid one, else the best failing one
    (as far as it goes). ``problems`` is what stops that path, worst first; empty exactly when ``trusted``.
    ``completed_from`` maps the SHA-256 of each certificate of the path that the server did not send to where it came
    from ("shipped", "run", "aia"); anchors are not listed.
    """

    store: str
    trusted: bool
    anchor: str | None
    path: tuple[str, ...]
    problems: tuple[Problem, ...]
    completed_from: Mapping[str, str] = field(default_factory=dict)


@record
class NameVerdict:
    """Whether the leaf is for the name asked for (RFC 9525), and what it is for instead.

    ``code`` is ``None`` on a match, else ``name-not-in-san``, ``wildcard-depth`` or ``common-name-only``;
    ``nearest`` is a few of the leaf's names, most similar first; ``names`` counts them all.
    """

    matches: bool
    code: str | None = None
    matched_by: str | None = None
    nearest: tuple[str, ...] = ()
    names: int = 0
    common_name: str | None = None


@record
class ChainVerdict:
    """Everything the judges say about what one endpoint sent, before any rule weighs it.

    ``sent`` is parallel to the certificates as sent; an entry is ``None`` where that certificate does not parse.
    ``leaf_problems`` concern the leaf alone and hold whatever the store says (expired, not yet valid, self-signed, weak
    key; expires-soon is not here). ``shape`` is about what was sent: ``chain-misordered``, ``chain-has-extras``,
    ``root-sent``, ``malformed-certificate`` for what was sent after the leaf and is no certificate, and what only some
    clients refuse in a path that is valid (``scanner.pki.minority``).
    ``publicly_trusted``: a path ends at an anchor of the public set. ``path`` is the best path of all stores, leaf first,
    with its anchor where it has one: who issued what, and whom revocation is asked of. ``own_ca``: one of the CAs that
    the estate calls its own (``--private-ca``) issued it.
    """

    sent: tuple[Certificate | None, ...]
    leaf_problems: tuple[Problem, ...] = ()
    stores: Mapping[str, StoreVerdict] = field(default_factory=dict)
    shape: tuple[Problem, ...] = ()
    name: NameVerdict | None = None
    publicly_trusted: bool = False
    path: tuple[Certificate, ...] = ()
    own_ca: bool = False

    @property
    def leaf(self) -> Certificate | None:
        """The end-entity certificate, if one was sent and parses."""
        return self.sent[0] if self.sent else None

    @property
    def trusted(self) -> bool:
        """Some selected store finds a valid path."""
        return any(verdict.trusted for verdict in self.stores.values())
