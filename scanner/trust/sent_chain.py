"""Compares what was sent with the path: order, certificates that no path uses, roots that clients have already.

RFC 8446 section 4.4.2 allows a server to send more than a path, in any order after the leaf; RFC 5246 section 7.4.2
did not, and clients differ. None of this stops a mainstream client, so these problems have severities of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from scanner.trust.verdicts import Problem
from scanner.x509.certificate import Certificate


def sent_chain_problems(
    sent: Sequence[Certificate | None],
    path: Sequence[Certificate],
    used: Collection[str],
    roots: Collection[str],
    at: float,
) -> tuple[Problem, ...]:
    """Return the problems of the certificates as sent, compared with ``path`` (leaf first, anchor last).

    ``used`` are the SHA-256 of all certificates that some valid path goes through, ``roots`` those of all anchors.
    """
    first: dict[str, int] = {}
    duplicates: list[int] = []
    for place, certificate in enumerate(sent):
        if certificate is not None and first.setdefault(certificate.sha256, place) != place:
            duplicates.append(place)
    problems: list[Problem] = []
    extras: list[dict[str, Any]] = [_extra(sent[place], place, "sent twice") for place in duplicates]
    needed: list[tuple[int, Certificate]] = []
    for place in list(first.values())[1:] if sent and sent[0] is not None else ():
        certificate = sent[place]
        if certificate is None:
            continue
        if (certificate.sha256 in used and certificate.sha256 in roots) or _is_root_of(certificate, path):
            problems.append(
                Problem("root-sent", certificate.sha256, {"position": place, "subject": certificate.subject})
            )
        elif certificate.sha256 not in used:
            outside = certificate.not_after < at or certificate.not_before > at
            extras.append(_extra(certificate, place, "outside its validity" if outside else "no valid path uses it"))
        else:
            needed.append((place, certificate))
    order = {certificate.sha256: place for place, certificate in enumerate(path)}
    in_path = [order[certificate.sha256] for _, certificate in needed if certificate.sha256 in order]
    if in_path != sorted(in_path):
        problems.insert(
            0,
            Problem(
                "chain-misordered",
                sent[0].sha256 if sent[0] is not None else None,
                {
                    "sent": [certificate.subject if certificate else None for certificate in sent],
                    "should_be": [certificate.subject for certificate in path if certificate.sha256 in first],
                },
            ),
        )
    if extras:
        extras.sort(key=lambda extra: int(extra["position"]))
        problems.append(Problem("chain-has-extras", extras[0]["sha256"], {"extras": extras}))
    return tuple(problems)


def _is_root_of(certificate: Certificate, path: Sequence[Certificate]) -> bool:
    """Return True if ``certificate`` is self-signed, and the name and key of one in ``path``: a root, perhaps in another edition."""
    if not (certificate.self_issued and certificate.self_signed):
        return False
    return any(item.subject_der == certificate.subject_der and item.spki_der == certificate.spki_der for item in path)


def _extra(certificate: Certificate | None, place: int, why: str) -> dict[str, Any]:
    return {
        "position": place,
        "sha256": certificate.sha256 if certificate else None,
        "subject": certificate.subject if certificate else None,
        "not_after": certificate.not_after_text if certificate else None,
        "why": why,
    }
