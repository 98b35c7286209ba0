"""Path building under attack: meshes, floods and loops end quickly, and an answer always comes."""

from __future__ import annotations

import pytest

from scanner.trust import paths
from scanner.trust.intermediates import Intermediates
from scanner.trust.path_search import PathSearch
from scanner.trust.paths import End, PathBuilder, chain_context
from scanner.trust.step_budget import MAX_STEPS, StepBudget, TooCostly
from scanner.x509.certificate import Certificate
from tests.helpers import pki
from tests.helpers.pki import NOW, Issued

ROOT = pki.root()


class Counting(PathBuilder):
    """Counts the signatures that are asked for."""

    def __init__(self) -> None:
        super().__init__(Intermediates(shipped=False))
        self.asked = 0

    def signed_by(self, child: Certificate, issuer: Certificate) -> bool | None:
        self.asked += 1
        return super().signed_by(child, issuer)


def path_set(leaf: Issued, sent: list[Issued], anchors: tuple[Issued, ...] = (ROOT,)) -> tuple[Counting, list[End]]:
    """All ends of all paths from a leaf, whatever that costs, and the builder that counted."""
    builder = Counting()
    builder.budget = StepBudget(10_000_000)
    context = chain_context(pki.store(*anchors), tuple(item.parsed for item in sent))
    ends = [
        above_path.end
        for link in builder.links(leaf.parsed, context, complete=False)
        for above_path in builder.paths_above(link.issuer, context, link.source, complete=False)
    ]
    return builder, ends


def test_a_mesh_of_cross_signs_is_bounded() -> None:
    authorities = [pki.root(f"Mesh {number}") for number in range(8)]
    mesh = [
        pki.authority(f"Mesh {lower}", authorities[above_path], private=authorities[lower].private)
        for lower in range(8)
        for above_path in range(8)
        if lower != above_path
    ]
    leaf = pki.certificate("leaf.example", issuer=authorities[0])
    _, ends = path_set(leaf, mesh)
    assert len(ends) <= paths.MAX_CANDIDATES * paths.MAX_PATHS
    builder = PathBuilder(Intermediates(shipped=False))
    context = chain_context(pki.store(ROOT), tuple(item.parsed for item in mesh))
    search = PathSearch(builder, leaf.parsed, [context], NOW)
    assert [problem.code for problem in search.best(context).problems] == ["too-costly-to-judge"]
    assert search.exhausted
    assert len(builder._signatures) * 100 <= MAX_STEPS


def test_the_anchor_is_found_beside_a_mesh() -> None:
    authorities = [pki.root(f"Mesh {number}") for number in range(8)]
    mesh = [
        pki.authority(f"Mesh {lower}", authorities[above_path], private=authorities[lower].private)
        for lower in range(8)
        for above_path in range(8)
        if lower != above_path
    ]
    leaf = pki.certificate("leaf.example", issuer=authorities[0])
    _, ends = path_set(leaf, mesh, anchors=(authorities[7],))
    assert "anchor" in ends
    context = chain_context(pki.store(authorities[7]), tuple(item.parsed for item in mesh))
    search = PathSearch(PathBuilder(Intermediates(shipped=False)), leaf.parsed, [context], NOW)
    assert search.best(context).problems == []


def test_many_issuers_of_one_name_with_other_keys_are_bounded() -> None:
    ca = pki.authority("Flood", ROOT)
    flood = [pki.authority("Flood", ROOT, private=pki.key(f"flood {number}"), without=["ski"]) for number in range(200)]
    leaf = pki.certificate("leaf.example", issuer=ca)
    builder, ends = path_set(leaf, [ca, *flood])
    assert ends == ["anchor"]
    assert builder.asked <= 2 * paths.MAX_CANDIDATES


def test_many_issuers_of_one_name_and_key_are_bounded() -> None:
    ca = pki.authority("Flood", ROOT)
    flood = [pki.authority("Flood", ca, private=ca.private, serial=number + 1) for number in range(200)]
    leaf = pki.certificate("leaf.example", issuer=ca)
    builder, ends = path_set(leaf, [*flood[:20], ca, *flood[20:]])
    assert "anchor" in ends
    assert builder.asked < 1000


@pytest.mark.parametrize("same_name", [False, True])
def test_a_long_path_stops_at_the_depth_limit(same_name: bool) -> None:
    issuer = ROOT
    ladder = []
    for number in range(60):
        subject = "Ladder" if same_name else f"Ladder {number}"
        issuer = pki.authority(subject, issuer, private=pki.key(f"ladder {number}"))
        ladder.append(issuer)
    leaf = pki.certificate("leaf.example", issuer=issuer)
    _, ends = path_set(leaf, ladder)
    assert set(ends) == {"limit"}


def test_two_authorities_that_sign_each_other_end_the_search() -> None:
    first, second = pki.key("first"), pki.key("second")
    one = pki.authority("One", pki.root("Two", private=second), private=first)
    two = pki.authority("Two", pki.root("One", private=first), private=second)
    leaf = pki.certificate("leaf.example", issuer=one)
    _, ends = path_set(leaf, [one, two])
    assert ends == ["unknown"]


def test_a_certificate_is_never_its_own_issuer_by_name_alone() -> None:
    fake = pki.certificate("Self", ca=True, signed_by=pki.key("not its own"))
    _, ends = path_set(fake, [fake])
    assert ends == []


def test_signatures_are_computed_once() -> None:
    ca = pki.authority("CA", ROOT).parsed
    builder = PathBuilder(Intermediates(shipped=False))
    root = ROOT.parsed
    assert builder.signed_by(ca, root) is True
    assert builder.signed_by(ca, ca) is False
    assert len(builder._signatures) == 2
    assert builder.signed_by(ca, root) is True
    assert len(builder._signatures) == 2


def test_keys_that_would_cost_too_much_are_not_used() -> None:
    modulus = (1 << 16_385) - 1
    huge = pki.sequence(
        pki.sequence(pki.oid("1.2.840.113549.1.1.1"), pki.tlv(0x05)),
        pki.bit_string(pki.sequence(pki.integer(modulus), pki.integer(65537))),
    )
    ca = pki.authority("Huge", ROOT, public_key=huge)
    leaf = pki.certificate("leaf.example", issuer=ca, authority_key_id=pki.key_id(ca.private))
    context = chain_context(pki.store(ROOT), (ca.parsed,))
    (link,) = PathBuilder(Intermediates(shipped=False)).links(leaf.parsed, context, complete=False)
    assert [problem.code for problem in link.problems] == ["unsupported-algorithm"]
    assert "cannot verify" in link.problems[0].evidence["reason"]


def test_an_unfinished_search_is_not_kept_when_the_budget_is_spent() -> None:
    flood = [
        pki.authority("Flood", ROOT, private=pki.key(f"flood {number}"), without=["ski"], break_signature=True)
        for number in range(60)
    ]
    builder = PathBuilder(Intermediates(shipped=False))
    context = chain_context(pki.store(ROOT), tuple(item.parsed for item in flood))
    builder.budget = StepBudget(50)
    with pytest.raises(TooCostly):
        builder.paths_above(flood[0].parsed, context, "sent", complete=False)
    assert context.paths == {}
    builder.begin()
    assert builder.paths_above(flood[0].parsed, context, "sent", complete=False)
    assert len(context.paths) == 1


@pytest.mark.parametrize("complete", [False, True])
def test_paths_found_before_are_charged_as_if_they_were_new(complete: bool) -> None:
    authorities = [pki.root(f"Mesh {number}") for number in range(5)]
    limit = pki.name_constraints(permitted=["example"])
    mesh = [
        pki.authority(f"Mesh {lower}", authorities[above_path], private=authorities[lower].private, extra=[limit])
        for lower in range(5)
        for above_path in range(5)
        if lower != above_path
    ]
    leaf = pki.certificate("leaf.example", issuer=authorities[0]).parsed
    builder = PathBuilder(Intermediates(shipped=False))
    context = chain_context(pki.store(ROOT), tuple(item.parsed for item in mesh))
    spent = []
    for _ in range(3):
        builder.begin()
        for link in builder.links(leaf, context, complete=complete):
            builder.paths_above(link.issuer, context, link.source, complete=complete)
        spent.append((builder.budget.left, builder.budget.signatures))
    assert len(set(spent)) == 1
    assert spent[0][1] > 5


def test_a_long_straight_path_is_found() -> None:
    issuer, ladder = ROOT, []
    for number in range(31):
        issuer = pki.authority(f"Straight {number}", issuer)
        ladder.append(issuer)
    builder, ends = path_set(pki.certificate("leaf.example", issuer=issuer), ladder)
    assert ends == ["anchor"]
    assert builder.asked <= 2 * 32


def test_untried_candidates_make_the_end_a_limit_and_not_unknown() -> None:
    """More namesakes than are tried, none of which signed: nothing is said about the signature."""
    flood = [pki.authority("Flood", ROOT, private=pki.key(f"flood {number}"), without=["ski"]) for number in range(40)]
    other = pki.authority("Flood", ROOT, private=pki.key("the right one"))
    leaf = pki.certificate("leaf.example", issuer=other, without=["aki"])
    builder = PathBuilder(Intermediates(shipped=False))
    context = chain_context(pki.store(ROOT), tuple(item.parsed for item in flood))
    assert builder.links(leaf.parsed, context, complete=False) == []
    assert builder.cut


def test_issuers_whose_name_is_spelled_otherwise_are_found_with_a_problem() -> None:
    ca = pki.authority(pki.name(O="Some  Org", CN="Some CA"), ROOT)  # type: ignore[arg-type]
    leaf = pki.certificate("leaf.example", issuer=ca, issuer_name=pki.name(O=pki.tlv(0x13, b"some org"), CN="SOME CA"))
    context = chain_context(pki.store(ROOT), (ca.parsed,))
    (link,) = PathBuilder(Intermediates(shipped=False)).links(leaf.parsed, context, complete=False)
    assert link.issuer.sha256 == ca.sha256
    assert link.problems[0].evidence["refused_by"] == ["go", "firefox"]
    stranger = pki.certificate("leaf.example", issuer=ca, issuer_name=pki.name(O="Another"))
    assert PathBuilder(Intermediates(shipped=False)).links(stranger.parsed, context, complete=False) == []


def test_an_issuer_other_than_the_one_that_the_key_identifier_names_is_a_problem() -> None:
    """By serial number: the renewed one of the same key is not it for OpenSSL, and the right one comes first."""
    private = pki.key("renewed")
    old, new = (pki.authority("Renewed", ROOT, private=private, serial=number) for number in (5, 6))
    names = pki.sequence(pki.tlv(0x80, pki.key_id(private)), pki.tlv(0xA1, pki.tlv(0xA4, ROOT.subject_der)))
    named = names[:2] + names[2:] + pki.tlv(0x82, b"\x05")
    identifier = pki.extension("2.5.29.35", pki.sequence(named[2:]))
    leaf = pki.certificate("leaf.example", issuer=old, without=["aki"], extra=[identifier])
    builder = PathBuilder(Intermediates(shipped=False))
    (link,) = builder.links(leaf.parsed, chain_context(pki.store(ROOT), (new.parsed,)), complete=False)
    assert [problem.code for problem in link.problems] == ["issuer-unknown"]
    assert link.problems[0].evidence["refused_by"] == ["openssl", "curl", "python"]
    (link,) = builder.links(leaf.parsed, chain_context(pki.store(ROOT), (new.parsed, old.parsed)), complete=False)
    assert (link.issuer.sha256, link.problems) == (old.sha256, ())
