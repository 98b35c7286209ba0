"""What only some clients refuse is said beside a verdict that stays "trusted"."""

from __future__ import annotations

import pytest

from scanner.trust.client_limits import limits_exceeded
from scanner.trust.intermediates import Intermediates
from scanner.trust.paths import PathBuilder, chain_context
from scanner.trust.verdicts import ChainVerdict
from tests.helpers import pki
from tests.helpers.pki import NOW, Issued
from tests.trust.test_verifier import ROOT, verdict_on


def ladder(count: int) -> list[Issued]:
    """A chain with so many intermediates, leaf first, without the root."""
    chain = [ROOT]
    for number in range(count):
        chain.append(pki.authority(f"Rung {number}", chain[-1]))
    return [pki.certificate("leaf.example", issuer=chain[-1]), *reversed(chain[1:])]


def refusing(verdict: ChainVerdict) -> list[str]:
    return [client for problem in verdict.chain_problems for client in problem.evidence.get("refused_by", ())]


@pytest.mark.parametrize(
    ("count", "clients"),
    [
        (3, []),
        (6, []),
        (7, ["firefox"]),
        (9, ["firefox"]),
        (10, ["java", "firefox"]),
        (16, ["java", "firefox", "gnutls"]),
        (20, ["java", "chrome", "firefox", "gnutls"]),
        (30, ["java", "chrome", "firefox", "gnutls"]),
    ],
)
def test_long_paths_are_trusted_and_reported_for_the_clients_that_refuse_them(count: int, clients: list[str]) -> None:
    verdict = verdict_on(*ladder(count))
    assert verdict.trusted
    assert refusing(verdict) == clients
    assert {problem.code for problem in verdict.chain_problems} <= {"too-many-certificates"}
    assert all("extra_count" not in problem.evidence for problem in verdict.chain_problems)


@pytest.mark.parametrize(
    ("extras", "clients"), [(8, []), (9, ["java"]), (14, ["java"]), (15, ["java", "gnutls"]), (40, ["java", "gnutls"])]
)
def test_certificates_that_no_path_needs_count_too(extras: int, clients: list[str]) -> None:
    bundle = [pki.root(f"Unrelated Root {number}") for number in range(extras)]
    verdict = verdict_on(*ladder(1), *bundle)
    assert verdict.trusted
    assert refusing(verdict) == clients
    told = [problem for problem in verdict.chain_problems if problem.code == "too-many-certificates"]
    assert [(problem.evidence["needed"], problem.evidence["extra_count"]) for problem in told] == [(2, extras)] * bool(
        clients
    )
    others = [problem for problem in verdict.chain_problems if problem.code != "too-many-certificates"]
    assert [problem.code for problem in others] == ["chain-has-extras"]  # not root-sent: nobody has these roots
    assert len(others[0].evidence["extras"]) == extras


def test_a_long_path_with_extras_is_both() -> None:
    verdict = verdict_on(*ladder(7), *[pki.root(f"Unrelated Root {number}") for number in range(4)])
    told = next(problem for problem in verdict.chain_problems if problem.code == "too-many-certificates")
    assert told.evidence["refused_by"] == ["java", "firefox"]
    assert "7 intermediates" in told.evidence["detail"] and "12 certificates" in told.evidence["detail"]


def test_a_path_beyond_our_limit_is_not_reported_as_not_sent() -> None:
    verdict = verdict_on(*ladder(40))
    problems = verdict.stores["test"].problems
    assert [problem.code for problem in problems] == ["path-length-exceeded"]
    assert "detail" in problems[0].evidence
    assert verdict.chain_problems == ()


def test_certificates_beyond_those_that_take_part_are_not_called_unknown() -> None:
    """The one that is needed comes after more than are read: that it is missing cannot be said."""
    leaf, authority = ladder(1)
    others = [pki.authority(f"Other {number}", ROOT, private=authority.private) for number in range(70)]
    verdict = verdict_on(leaf, *others, authority)
    assert [problem.code for problem in verdict.stores["test"].problems] == ["path-length-exceeded"]


def test_a_ca_certificate_as_a_leaf_is_refused_by_firefox() -> None:
    leaf = pki.certificate(
        "leaf.example", issuer=ROOT, ca=True, san=["leaf.example"], usages=("digitalSignature", "keyCertSign")
    )
    verdict = verdict_on(leaf)
    assert verdict.trusted
    assert [(problem.code, problem.evidence["refused_by"]) for problem in verdict.leaf_problems] == [
        ("not-for-server-auth", ["firefox"])
    ]


@pytest.mark.parametrize(
    ("sizes", "clients"),
    [
        ([1000] * 9, []),
        ([1000] * 11, ["java"]),
        ([1000] * 17, ["java", "gnutls"]),
        ([33_000], ["java"]),
        ([60_000, 60_000], ["openssl", "curl", "python", "java"]),
    ],
)
def test_limits_on_the_number_of_certificates_sent_name_their_clients(sizes: list[int], clients: list[str]) -> None:
    builder = PathBuilder(Intermediates(shipped=False))
    leaf = pki.certificate("leaf.example", issuer=pki.root()).parsed
    context = chain_context(pki.store(pki.root("Other")), ())
    found, words = limits_exceeded(leaf, sizes, builder, [context], NOW)
    assert found == clients
    assert len(words) == len({client for client in clients if client not in ("curl", "python")})
