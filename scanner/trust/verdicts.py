"""What the judges of ``scanner.trust`` say about certificates: plain records, read by ``scanner.diagnosis``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scanner.model.evidence import record
from scanner.x509.certificate import Certificate


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


_NO_STORES: Mapping[str, StoreVerdict] = {}


@dataclass(slots=True, unsafe_hash=True, init=False)
class ChainVerdict:
    """Everything the judges say about what one endpoint sent, before any rule weighs it.

    ``sent`` is parallel to the certificates as sent; an entry is ``None`` where that certificate does not parse.
    ``leaf_problems`` concern the leaf alone and hold whatever the store says (expired, not yet valid, self-signed, weak
    key; expires-soon is not here). ``shape`` is about what was sent: ``chain-misordered``, ``chain-has-extras``,
    ``root-sent``, ``malformed-certificate`` for what was sent after the leaf and is no certificate, and what only some
    clients refuse in a path that is valid (``scanner.trust.client_limits``).
    ``publicly_trusted``: a path ends at an anchor of the public set. ``path`` is the best path of all stores, leaf first,
    with its anchor where it has one: who issued what, and whom revocation is asked of. ``own_ca``: one of the CAs that
    the estate calls its own (``--private-ca``) issued it.

    What every target is asked for several times over is worked out once, as the verdict is made: ``leaf`` is the end-entity
    certificate, if one was sent and parses; ``trusted``: some selected store finds a valid path; ``in_order``: all of them
    do, the name matches, and no judge has a word about anything. ``parts`` is for whoever writes findings of many targets
    with these certificates: what was made for one of them and serves the next, whatever its name. Nothing else about a
    verdict is ever changed. ``error`` is our own exception that kept the stores and paths from being judged.
    """

    sent: tuple[Certificate | None, ...]
    leaf_problems: tuple[Problem, ...]
    stores: Mapping[str, StoreVerdict]
    shape: tuple[Problem, ...]
    name: NameVerdict | None
    publicly_trusted: bool
    path: tuple[Certificate, ...]
    own_ca: bool
    error: str | None = field(compare=False)
    leaf: Certificate | None = field(init=False, repr=False, compare=False)
    trusted: bool = field(init=False, repr=False, compare=False)
    in_order: bool = field(init=False, repr=False, compare=False)
    parts: dict[Any, Any] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        sent: tuple[Certificate | None, ...],
        leaf_problems: tuple[Problem, ...] = (),
        stores: Mapping[str, StoreVerdict] = _NO_STORES,
        shape: tuple[Problem, ...] = (),
        name: NameVerdict | None = None,
        publicly_trusted: bool = False,
        path: tuple[Certificate, ...] = (),
        own_ca: bool = False,
        parts: dict[Any, Any] | None = None,
        error: str | None = None,
    ) -> None:
        self.sent = sent
        self.leaf_problems = leaf_problems
        self.stores = stores
        self.shape = shape
        self.name = name
        self.publicly_trusted = publicly_trusted
        self.path = path
        self.own_ca = own_ca
        self.error = error
        self.leaf = leaf = sent[0] if sent else None
        self.parts = {} if parts is None else parts
        trusted, quiet = False, bool(stores)
        for store in stores.values():
            if store.trusted:
                trusted = True
            if not store.trusted or store.problems or store.completed_from:
                quiet = False
        self.trusted = trusted
        self.in_order = (
            quiet and leaf is not None and name is not None and name.matches and not leaf_problems and not shape
        )
