"""The verdict on the leaf alone, for a chain whose verification failed by a bug of ours."""

from __future__ import annotations

from collections.abc import Sequence

from scanner.errors import describe_caught, joined
from scanner.trust import certificate_rules as rules
from scanner.trust.hostname import match_name
from scanner.trust.verdicts import ChainVerdict, NameVerdict, Problem
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate


def verify_or_leaf(verifier: ChainVerifier, chain: tuple[bytes, ...], *, name: str | None, at: float) -> ChainVerdict:
    """Verify a chain; if that fails by a bug of ours, return the verdict on its leaf alone, with the ``error``."""
    try:
        return verifier.verify(chain, name=name, at=at)
    except BaseException as error:  # noqa: BLE001 - our own bug costs the judgement of the path, not of the leaf
        return leaf_verdict(chain, name=name, at=at, error=describe_caught("certificates", error))


def leaf_verdict(chain: Sequence[bytes], *, name: str | None, at: float, error: str) -> ChainVerdict:
    """Return the verdict on the validity, key and name of the leaf of ``chain``; what fails here is added to ``error``."""
    failed = [error]
    sent: list[Certificate | None] = []
    for data in chain:
        try:
            sent.append(Certificate.parse_untrusted(data))
        except BaseException as problem:  # noqa: BLE001 - where it is malformed, it is none that can be judged alone
            describe_caught("certificate", problem)
            sent.append(None)
    leaf = sent[0] if sent else None
    problems: list[Problem] = []
    matched: NameVerdict | None = None
    if leaf is not None:
        for rule in (rules.leaf_problems, rules.date_problems):
            try:
                problems = rule(leaf, at // 1.0)
                break
            except BaseException as problem:  # noqa: BLE001 - the dates are what is left
                failed.append(describe_caught(rule.__name__, problem))
        try:
            matched = None if name is None else match_name(leaf, name)
        except BaseException as problem:  # noqa: BLE001 - the rest stands without the name
            failed.append(describe_caught("name", problem))
    return ChainVerdict(tuple(sent), tuple(problems), name=matched, error=joined(*failed))
