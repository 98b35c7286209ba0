"""Paths as OpenSSL and GnuTLS build them: one issuer after the other, without ever turning back.

``path_search`` tries all paths, as Go, Chrome and Firefox do, and Java for most chains. OpenSSL (with curl, Python and Node) and GnuTLS
take one issuer at each step by what it looks like, and verify the path only when it is complete. Where a certificate
that leads nowhere is sent before the one that leads to an anchor, they refuse a chain for which a valid path exists.

How each chooses, by its source and seen with the versions that ``docs/clients.md`` names:

- OpenSSL 1.1.0 to 4.0 (``build_chain`` and ``find_issuer`` in crypto/x509/x509_vfy.c): anchors of the issuer's name
  first; once one is found, no more of what was sent. Else the first certificate sent that looks like the issuer and is
  valid today; if none is valid, the one that expired last. Looking like it means: name, authority key identifier with
  issuer and serial number, and the kind of key that the signature needs.
- GnuTLS 3.7 (``_gnutls_sort_clist`` in lib/x509/verify-high.c): the first certificate sent of the issuer's name and
  key identifier, valid or not, until there is none; then an anchor is looked for, for the last one.
- Java 17 (``engineValidate`` in sun.security.validator.PKIXValidator): where each certificate sent has the name of the
  issuer of the one before, and an anchor signed the last one, they are the path. Else it searches. A CA that certified
  its own new keys may be sent in such a row, though no certificate of it signed the one before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct

from scanner.trust.link_problems import key_identifiers_match, not_verified
from scanner.trust.path_check import CheckedPath
from scanner.trust.paths import MAX_DEPTH, ChainContext, PathBuilder
from scanner.trust.verdicts import Problem
from scanner.x509.certificate import Certificate
from scanner.x509.name_constraints import EVERYBODY

_OPENSSL_CLIENTS: Final = ("openssl", "curl", "python")
_TURNING_BACK: Final = ("go", "java", "chrome", "firefox")
_Path = tuple[Certificate, ...]


def openssl_path(leaf: Certificate, context: ChainContext, builder: PathBuilder, at: float) -> _Path:
    """Return the path that OpenSSL builds at ``at`` (epoch seconds), as far as it comes. May raise ``TooCostly``."""
    path = [leaf]
    only_anchors = False
    while len(path) < MAX_DEPTH and not _ends(path, context):
        last = path[-1]
        issuer = _anchor(last, context, builder, at)
        only_anchors = only_anchors or issuer is not None
        if issuer is None and not only_anchors and not _looks_self_signed(last, builder):
            sent = context.sent.get(last.issuer_der, ())
            builder.budget.charge(2 + 4 * len(sent))
            issuer = _first_valid([item for item in sent if item not in path and _looks_like(last, item, builder)], at)
        if issuer is None:
            break
        path.append(issuer)
    return tuple(path)


def gnutls_path(leaf: Certificate, context: ChainContext, builder: PathBuilder) -> _Path:
    """Return the path that GnuTLS builds, as far as it comes. May raise ``TooCostly``."""
    path = [leaf]
    while len(path) < MAX_DEPTH and path[-1] not in context.store:
        last = path[-1]
        sent = context.sent.get(last.issuer_der, ())
        builder.budget.charge(2 + 2 * len(sent))
        issuer = next((item for item in sent if item not in path and key_identifiers_match(last, item)), None)
        if issuer is None or builder.self_signed(issuer):
            break
        path.append(issuer)
    last = path[-1]
    if last in context.store:
        return tuple(path)
    # an anchor of its own name and key ends the path in its place
    anchors = [item for item in context.store.with_subject(last.subject_der) if item.spki_der == last.spki_der]
    anchors += [item for item in context.store.with_subject(last.issuer_der) if key_identifiers_match(last, item)]
    anchor = _verifying(last, anchors, builder)
    if anchor is not None and anchor.subject_der == last.subject_der:
        path.pop()
    return tuple(path) if anchor is None else (*path, anchor)


def java_path(leaf: Certificate, context: ChainContext, builder: PathBuilder) -> _Path | None:
    """Return the path that Java validates without a search; ``None`` where it searches. May raise ``TooCostly``."""
    path = [leaf]
    builder.budget.charge(2 + len(context.order))
    for item in context.order:
        if item.subject_der != path[-1].issuer_der:
            return None
        anchors = context.store.with_subject(item.subject_der)
        if any(anchor.spki_der == item.spki_der for anchor in anchors):
            break  # it is an anchor, or has the name and key of one
        path.append(item)
    last = path[-1]
    for anchor in context.store.with_subject(last.issuer_der):
        builder.budget.charge_signature(last, anchor)
        if builder.signed_by(last, anchor):
            return (*path, anchor)
    return None


class FirstPath(Struct, frozen=True):
    """The path that a client takes, and what stops it there; empty if it accepts that one."""

    certificates: tuple[Certificate, ...]
    problems: tuple[Problem, ...]


def first_paths(
    leaf: Certificate, context: ChainContext, checked: Sequence[CheckedPath], builder: PathBuilder, at: float
) -> dict[str, FirstPath]:
    """Return the paths of clients that do not search; ``checked`` are all paths. May raise ``TooCostly``."""
    found = {
        "openssl": openssl_path(leaf, context, builder, at),
        "gnutls": gnutls_path(leaf, context, builder),
    }
    in_order = java_path(leaf, context, builder)
    if in_order is not None:
        found["java"] = in_order
    return {
        client: FirstPath(path, _problems_for(client, path, checked, context, builder))
        for client, path in found.items()
    }


def for_each_client(best: CheckedPath, checked: Sequence[CheckedPath], first: Mapping[str, FirstPath]) -> CheckedPath:
    """Return ``best`` without its problems for clients that accept the chain by another path, which they find."""
    accepting = {
        client for client in _TURNING_BACK if client not in first and not all(path.concerns(client) for path in checked)
    }
    for client, taken in first.items():
        if not taken.problems:
            accepting.update(_OPENSSL_CLIENTS if client == "openssl" else (client,))
    if not any(best.concerns(client) for client in accepting):
        return best
    problems, notices = ([_left(item, accepting) for item in items] for items in (best.problems, best.notices))
    return CheckedPath(
        best.kind,
        best.certificates,
        [item for item in problems if item is not None],
        best.completed,
        best.anchor,
        notices=tuple([item for item in notices if item is not None]),
    )


def not_found_by_all(
    stores: Sequence[tuple[CheckedPath, Sequence[CheckedPath], Mapping[str, FirstPath]]],
    sent: Sequence[Certificate | None],
) -> Problem | None:
    """Return ``path-not-found-by-all`` if OpenSSL or GnuTLS end at another path than one that they accept, in every store.

    ``stores`` has, of each, the best path, all of them, and what ``first_paths`` returned.
    """
    refusing: dict[str, FirstPath] = {}
    valid: list[_Path] = []
    for client in ("openssl", "gnutls", "java"):
        # where the best path is one that it refuses, that is said already
        taken = [first.get(client) for best, _, first in stores if not best.concerns(client)]
        if taken and taken[0] is not None and all(path is not None and path.problems for path in taken):
            refusing[client] = taken[0]
            valid += [path.certificates for _, checked, _ in stores for path in checked if not path.concerns(client)]
    if not refusing:
        return None
    path = next(iter(refusing.values()))
    clients = [name for client in refusing for name in (_OPENSSL_CLIENTS if client == "openssl" else (client,))]
    return _problem(path.certificates, path.problems, valid, sent, clients)


def _left(problem: Problem, accepting: Collection[str]) -> Problem | None:
    """Return a problem without these clients; ``None`` if nobody else minds it."""
    clients = [client for client in problem.evidence.get("refused_by", EVERYBODY) if client not in accepting]
    if not clients:
        return None
    return Problem(problem.code, problem.certificate, {**problem.evidence, "refused_by": clients})


def _ends(path: Sequence[Certificate], context: ChainContext) -> bool:
    """Return whether the last certificate of a path is an anchor that was taken from the store."""
    return len(path) > 1 and path[-1] in context.store


def _anchor(child: Certificate, context: ChainContext, builder: PathBuilder, at: float) -> Certificate | None:
    """Return the anchor that OpenSSL takes for the issuer of ``child``."""
    found = [item for item in context.store.with_subject(child.issuer_der) if _looks_like(child, item, builder)]
    builder.budget.charge(2 + 4 * len(found))
    valid = [item for item in found if item.not_before <= at <= item.not_after]
    # which of several comes first depends on the client's store, so it has the benefit of the doubt
    return _verifying(child, valid, builder) or _first_valid(valid or found, at)


def _verifying(child: Certificate, candidates: Iterable[Certificate], builder: PathBuilder) -> Certificate | None:
    """Return the first of these that signed ``child`` or has its name and key; else the first one."""
    listed = list(candidates)
    for item in listed:
        if item.spki_der == child.spki_der and item.subject_der == child.subject_der:
            return item
        builder.budget.charge_signature(child, item)
        if builder.signed_by(child, item):
            return item
    return listed[0] if listed else None


def _first_valid(candidates: Sequence[Certificate], at: float) -> Certificate | None:
    """Return the first of these that is valid, else the one that ends last."""
    for item in candidates:
        if item.not_before <= at <= item.not_after:
            return item
    return max(candidates, key=lambda item: item.not_after, default=None)


def _looks_like(child: Certificate, issuer: Certificate, builder: PathBuilder) -> bool:
    """Return what OpenSSL's ``X509_check_issued`` does, where the names are equal: it verifies no signature."""
    return (
        key_identifiers_match(child, issuer)
        and child.signature_algorithm.kind in (None, issuer.key_type.removesuffix("-pss"))
        and not builder.names_another_certificate(child, issuer)
    )


def _looks_self_signed(certificate: Certificate, builder: PathBuilder) -> bool:
    """Return what OpenSSL's ``EXFLAG_SS`` says, which looks at names and identifiers only."""
    return certificate.self_issued and _looks_like(certificate, certificate, builder)


def _problems_for(
    client: str, path: _Path, checked: Iterable[CheckedPath], context: ChainContext, builder: PathBuilder
) -> tuple[Problem, ...]:
    """Return what stops a client on the path that it built; empty if it accepts that one."""
    for candidate in checked:
        if candidate.certificates == path and candidate.anchor is not None:
            return candidate.problems_for(client)
    for child, issuer in pairwise(path):
        builder.budget.charge_signature(child, issuer)
        if (verified := builder.signed_by(child, issuer)) is not True:
            return (not_verified(child, issuer, verified),)
    last = path[-1]
    if last in context.store:
        return ()  # a path of its own that was not looked at
    if last.self_issued:
        return (Problem("untrusted-root", last.sha256, {"root_sent": True}),)
    return (Problem("issuer-unknown", last.sha256, {"subject": last.subject, "issuer": last.issuer}),)


def _problem(
    path: _Path,
    problems: Sequence[Problem],
    valid: Sequence[_Path],
    sent: Sequence[Certificate | None],
    clients: list[str],
) -> Problem:
    good = max(valid, key=lambda each: _shared(path, each))
    shared = _shared(path, good)
    wrong = path[shared] if shared < len(path) else path[-1]
    evidence: dict[str, Any] = {
        "subject": wrong.subject,
        "issuer": wrong.issuer,
        "not_after": wrong.not_after_text,
        "path": [certificate.subject for certificate in path],
        "valid_path": [certificate.sha256 for certificate in good],
        "because": problems[0].code,
        "refused_by": clients,
    }
    if wrong in sent:
        evidence["position"] = sent.index(wrong)
    else:
        evidence["anchor_taken"] = wrong.subject
    return Problem("path-not-found-by-all", wrong.sha256, evidence)


def _shared(one: _Path, other: _Path) -> int:
    """Return how many certificates two paths have in common from the leaf on."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
