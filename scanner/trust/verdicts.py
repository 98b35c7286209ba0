"""Verdicts on certificates: records that ``scanner.trust`` makes and ``scanner.diagnosis`` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from scanner.x509.certificate import Certificate


class Problem(Struct, frozen=True):
    """A rule that a certificate or path breaks.

    ``code`` is a code of the catalogue (``certificate-expired``, ``bad-signature``, ...); ``certificate`` is the
    SHA-256 (hex) of the certificate that breaks it; ``evidence`` goes into the finding unchanged (JSON types only).
    """

    code: str
    certificate: str | None
    evidence: Mapping[str, Any] = field(default_factory=dict)


class StoreVerdict(Struct, frozen=True):
    """The verdict of one trust store on one chain at one moment.

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


class NameVerdict(Struct, frozen=True):
    """Whether the leaf is for the target's name (RFC 9525), and what it is for instead.

    ``code`` is ``None`` on a match, else ``name-not-in-san``, ``wildcard-depth`` or ``common-name-only``;
    ``nearest`` is a few of the leaf's names, most similar first; ``names`` counts them all. Where clients disagree,
    ``refused_by`` are those for which it does not match, ``reason`` says why, and there is a code though it ``matches``
    for most.
    """

    matches: bool
    code: str | None = None
    matched_by: str | None = None
    nearest: tuple[str, ...] = ()
    names: int = 0
    common_name: str | None = None
    refused_by: tuple[str, ...] = ()
    reason: str | None = None


_T = TypeVar("_T")


class _Once(Generic[_T]):
    """A property that is worked out when it is first asked for. ``functools.cached_property`` takes a lock for that,
    and more than twice the time (Python 3.11): each chain that one host alone has pays it for each of its
    properties."""

    __slots__ = ("_make", "_name")

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make = make
        self._name = make.__name__

    def __get__(self, verdict: Any, owner: object = None) -> _T:
        value = verdict.__dict__[self._name] = self._make(verdict)
        return value


def _once(make: Callable[[Any], _T]) -> _Once[_T]:
    return _Once(make)


class ChainIdentity:
    """What verdicts on one chain for different names have in common. ``part`` is for whoever describes the chain, who finds there
    what was described before (``scanner.diagnosis.parts``)."""

    __slots__ = ("__weakref__", "part")

    def __init__(self) -> None:
        self.part: Any = None


class ChainVerdict(Struct, frozen=True, dict=True):
    """The verdict on the certificates that one endpoint sent.

    ``sent`` is parallel to the certificates as sent; an entry is ``None`` if that certificate cannot be read.
    ``leaf_problems`` concern the leaf alone, whatever the stores say (expired, not yet valid, self-signed, weak key;
    not expires-soon). ``chain_problems`` has the problems of what was sent: ``chain-misordered``, ``chain-has-extras``,
    ``root-sent``, ``malformed-certificate`` for what was sent after the leaf and cannot be read, and what only some
    clients refuse in a valid path (``scanner.trust.client_limits``). ``publicly_trusted``: a path ends at an anchor
    of the public set. ``path`` is the best path of all stores, leaf first, with its anchor if it has one. ``own_ca``:
    a CA of ``--private-ca`` issued it. ``error`` is a bug of ours that prevented stores and paths from being judged.
    """

    sent: tuple[Certificate | None, ...]
    leaf_problems: tuple[Problem, ...] = ()
    stores: Mapping[str, StoreVerdict] = field(default_factory=dict)
    chain_problems: tuple[Problem, ...] = ()
    name: NameVerdict | None = None
    publicly_trusted: bool = False
    path: tuple[Certificate, ...] = ()
    own_ca: bool = False
    error: str | None = None

    def __hash__(self) -> int:
        return hash((self.sent, self.path, self.name))  # the rest has mappings in it

    @_once
    def leaf(self) -> Certificate | None:
        """The end-entity certificate, if one was sent and parses."""
        return self.sent[0] if self.sent else None

    @_once
    def trusted(self) -> bool:
        """Whether some selected store finds a valid path."""
        return any(store.trusted for store in self.stores.values())

    @_once
    def is_clean(self) -> bool:
        """Whether all selected stores find a valid path, the name matches, and there is no problem."""
        return bool(
            self.stores
            and self.leaf is not None
            and self.name is not None
            and self.name.code is None
            and not self.leaf_problems
            and not self.chain_problems
            and all(s.trusted and not s.problems and not s.completed_from for s in self.stores.values())
        )

    @_once
    def identity(self) -> ChainIdentity:
        """Return what verdicts on one chain for different names share, and no other verdict has."""
        return ChainIdentity()

    def for_name(self, name: NameVerdict) -> ChainVerdict:
        """Return the verdict on this chain where ``name`` is the verdict on the name."""
        named = replace(self, name=name)
        named.__dict__["identity"] = self.identity
        return named
