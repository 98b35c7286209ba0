"""Certificate policies over whole paths; what clients answer is in ``tests/clients/answers.py``."""

from __future__ import annotations

import pytest

from scanner.trust.intermediates import Intermediates
from scanner.trust.policy_rules import is_demanding, list_problems, policy_problem, steps_to_check
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import NOW, Issued, oid, sequence, tlv

ONE, TWO, THREE, ANY = "1.2.3.4", "1.2.3.5", "1.2.3.6", "2.5.29.32.0"
ROOT = pki.root()


def lists(*dotted: str) -> bytes:
    return pki.extension("2.5.29.32", sequence(*(sequence(oid(item)) for item in dotted)))


def demands(require: int | None = 0, inhibit_mapping: int | None = None) -> bytes:
    fields = [tlv(tag, bytes([skip])) for tag, skip in ((0x80, require), (0x81, inhibit_mapping)) if skip is not None]
    return pki.extension("2.5.29.36", sequence(*fields), critical=True)


def maps(*pairs: tuple[str, str]) -> bytes:
    return pki.extension("2.5.29.33", sequence(*(sequence(oid(one), oid(other)) for one, other in pairs)))


def inhibits_any(skip: int = 0) -> bytes:
    return pki.extension("2.5.29.54", pki.integer(skip), critical=True)


def path(*extras: list[bytes], root: Issued = ROOT) -> list[Issued]:
    """Return a path, leaf first, whose certificates have these extensions, from the CA below the root down."""
    issuer, made = root, [root]
    for place, extra in enumerate(extras[:-1]):
        issuer = pki.authority(f"CA {place}", issuer, extra=extra)
        made.insert(0, issuer)
    return [pki.certificate("leaf.example", issuer=issuer, extra=extras[-1]), *made]


def is_satisfied(*extras: list[bytes], root: Issued = ROOT) -> bool:
    return policy_problem([item.parsed for item in path(*extras, root=root)]) is None


@pytest.mark.parametrize(
    ("extras", "satisfied"),
    [
        # nobody demands anything
        (([lists(ONE)], [lists(TWO)]), True),
        (([inhibits_any(), lists(ANY)], []), True),
        # RFC 5280 section 6.1.5: a demand that is not due any more
        (([demands(2)], []), True),
        (([demands(1)], []), False),
        (([demands(0)], []), False),
        (([], [demands(0)]), False),
        (([], [demands(1)]), True),
        # one policy for the whole path
        (([demands(), lists(ONE)], [lists(ONE)]), True),
        (([demands(), lists(ONE, TWO)], [lists(TWO, THREE)], [lists(TWO)]), True),
        (([demands(), lists(ONE, TWO)], [lists(ONE)], [lists(TWO)]), False),
        # anyPolicy stands for all, where it is not inhibited
        (([demands(), lists(ANY)], [lists(ANY)], [lists(ONE)]), True),
        (([demands(), lists(ONE)], [lists(ANY)], [lists(ONE)]), True),
        (([demands(), lists(ONE)], [lists(ANY)], [lists(TWO)]), False),
        (([demands(), lists(ANY), inhibits_any(0)], [lists(ANY)], [lists(ONE)]), False),
        (([demands(), lists(ANY), inhibits_any(1)], [lists(ANY)], [lists(ONE)]), True),
        # mappings
        (([demands(), lists(ONE), maps((ONE, TWO))], [lists(TWO)]), True),
        (([demands(), lists(ONE), maps((ONE, TWO))], [lists(ONE)]), False),
        (([demands(), lists(ANY), maps((ONE, TWO))], [lists(TWO)]), True),
        (([demands(0, 0), lists(ONE)], [lists(ONE), maps((ONE, TWO))], [lists(TWO)]), False),
        (([demands(0, 1), lists(ONE)], [lists(ONE), maps((ONE, TWO))], [lists(TWO)]), True),
        (([lists(ONE), maps((ONE, ANY))], [lists(ONE)]), False),
        (([lists(ONE), maps((ANY, ONE))], [lists(ONE)]), False),
        # a list that cannot be read is none
        (([demands(), lists(ANY)], [pki.extension("2.5.29.32", b"\x05\0")]), False),
    ],
)
def test_paths_whose_policies_are_demanded(extras: tuple[list[bytes], ...], satisfied: bool) -> None:
    assert is_satisfied(*extras) is satisfied


def test_a_mapping_to_any_policy_is_chrome_s_alone_where_there_is_no_policy_to_map() -> None:
    for above, clients in (
        ([lists(ONE), maps((ONE, ANY))], ["go", "java", "chrome"]),
        ([maps((ONE, ANY))], ["chrome"]),
    ):
        found = policy_problem([item.parsed for item in path(above, [])])
        assert found is not None and found.evidence["refused_by"] == clients


def test_self_issued_certificates_are_not_counted() -> None:
    first = pki.authority("Renewed", ROOT, extra=[demands(1), lists(ANY)])
    again = pki.authority("Renewed", first, private=pki.key("again"), extra=[lists(ANY)])
    lower = pki.authority("Lower", again, extra=[lists(ONE)])
    for leaf_policies, satisfied in (([lists(ONE)], True), ([], False)):
        leaf = pki.certificate("leaf.example", issuer=lower, extra=leaf_policies)
        found = policy_problem([item.parsed for item in (leaf, lower, again, first, ROOT)])
        assert (found is None) is satisfied


def test_demands_of_the_anchor_are_chrome_s_alone() -> None:
    root = pki.root("Demanding Root", extra=[demands()])
    found = policy_problem([item.parsed for item in path([], [], root=root)])
    assert found is not None and found.evidence["refused_by"] == ["chrome"]


@pytest.mark.parametrize(
    ("extra", "clients"),
    [
        (lists(ONE, TWO), None),
        (lists(ONE, TWO, ONE), ["go", "chrome"]),
        (lists(), ["chrome"]),
        (pki.extension("2.5.29.32", b"\x05\0"), ["go", "chrome"]),
        (pki.extension("2.5.29.36", sequence()), ["chrome"]),
        (pki.extension("2.5.29.36", sequence(tlv(0x81, b"\xff"))), ["chrome"]),
        (pki.extension("2.5.29.36", sequence(tlv(0x80, b"\1\0"))), ["chrome"]),
        (pki.extension("2.5.29.36", sequence(tlv(0x80, b"\1\0\0\0\0"))), ["java", "chrome"]),
        (pki.extension("2.5.29.54", pki.integer(256)), ["chrome"]),
        (pki.extension("2.5.29.54", pki.integer(1 << 40)), ["chrome"]),
        (pki.extension("2.5.29.54", b"\x04\0"), ["go", "chrome"]),
        (maps(), ["chrome"]),
    ],
)
def test_lists_that_some_clients_refuse_wherever_they_are(extra: bytes, clients: list[str] | None) -> None:
    problems = list_problems(pki.authority("CA", ROOT, extra=[extra]).parsed)
    assert [problem.evidence["refused_by"] for problem in problems] == ([] if clients is None else [clients])
    assert all(problem.code == "policy-not-satisfied" and problem.evidence["mistake"] for problem in problems)


def test_the_policy_that_is_there_twice_is_named() -> None:
    (problem,) = list_problems(pki.authority("CA", ROOT, extra=[lists(TWO, ONE, THREE, ONE)]).parsed)
    assert problem.evidence["reason"] == "certificatePolicies lists the policy 1.2.3.4 twice"


def verdict_on(verifier: ChainVerifier, chain: list[Issued]) -> ChainVerdict:
    return verifier.verify(tuple(item.der for item in chain), name="leaf.example", at=NOW)


def test_a_path_without_a_demand_is_taken_if_there_is_one() -> None:
    demanding = pki.authority("Two certificates", ROOT, private=pki.key("two"), extra=[demands()])
    plain = pki.authority("Two certificates", ROOT, private=pki.key("two"), serial=9)
    leaf = pki.certificate("leaf.example", issuer=plain)
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    both = verdict_on(verifier, [leaf, demanding, plain])
    assert both.trusted and both.path[1].sha256 == plain.sha256
    alone = verdict_on(verifier, [leaf, demanding])
    assert [problem.code for problem in alone.stores["test"].problems] == ["policy-not-satisfied"]


def test_leaves_of_one_issuer_do_not_share_what_depends_on_their_policies() -> None:
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    demanding = pki.authority("Demanding", ROOT, extra=[demands(), lists(ANY)])
    having = [pki.certificate(f"{n}.example", issuer=demanding, extra=[lists(ONE)], san=["leaf.example"]) for n in "ab"]
    without = pki.certificate("c.example", issuer=demanding, san=["leaf.example"])
    for leaf, trusted in ((having[0], True), (without, False), (having[1], True)):
        assert verdict_on(verifier, [leaf, demanding]).trusted is trusted
    plain = pki.authority("Plain", ROOT)
    fine = [pki.certificate(f"{n}.example", issuer=plain, san=["leaf.example"]) for n in "ab"]
    own_demand = pki.certificate("c.example", issuer=plain, san=["leaf.example"], extra=[demands()])
    for leaf, trusted in ((fine[0], True), (own_demand, False), (fine[1], True)):
        assert verdict_on(verifier, [leaf, plain]).trusted is trusted


def test_the_cost_grows_with_the_lists() -> None:
    short = [item.parsed for item in path([demands(), lists(ONE)], [lists(ONE)])]
    long = [item.parsed for item in path([demands(), lists(*(f"1.2.{n}" for n in range(900)))], [lists(ONE)])]
    assert all(is_demanding(chain[1]) for chain in (short, long)) and not is_demanding(short[0])
    assert steps_to_check(long) > steps_to_check(short) + 1000
