"""What a chain decides is described once, and what depends on more is made anew when that changes."""

from __future__ import annotations

import gc
import weakref

from scanner.diagnosis.parts import part_of
from scanner.trust.verdicts import ChainVerdict, StoreVerdict
from tests.helpers import pki
from tests.helpers.evidence import AT, chain, issuing, leaf, root, verifier


def verdict(*names: str, sent: tuple[bytes, ...] | None = None) -> list[ChainVerdict]:
    by = verifier()
    return [by.verify(sent or chain(), name=name, at=AT) for name in names]


def test_verdicts_on_one_chain_for_different_names_have_one_part() -> None:
    one, other = verdict("www.example.org", "other.example")
    assert one.name != other.name
    assert part_of(one) is part_of(other)


def test_part_describes_what_was_sent_and_who_trusts_it() -> None:
    part = part_of(verdict("www.example.org")[0])
    assert part.sent == chain() and part.chain == [leaf().sha256, issuing().sha256]
    assert part.trust == {
        "test": {"trusted": True, "anchor": root().sha256, "path": [leaf().sha256, issuing().sha256, root().sha256]}
    }
    assert part.completing == ()


def test_chain_with_something_that_is_no_certificate_is_described_for_each_target() -> None:
    part = part_of(verdict("www.example.org", sent=(leaf().der, b"no certificate"))[0])
    assert part.sent == () and part.certificates == ()


def test_certificates_that_completed_a_path_are_named_with_their_source() -> None:
    path = (leaf().parsed, issuing().parsed)
    store = StoreVerdict("s", False, None, (leaf().sha256, issuing().sha256), (), {issuing().sha256: "aia"})
    incomplete = ChainVerdict(path[:1], stores={"s": store}, path=path)
    assert part_of(incomplete).completing == ((issuing().parsed, "aia"),)


def test_part_is_gone_with_its_verdict() -> None:
    (held,) = verdict("gone.example", sent=(pki.certificate("gone.example", issuer=issuing()).der, issuing().der))
    assert part_of(held).chain[0] == held.path[0].sha256
    identity = weakref.ref(held.identity)
    del held
    gc.collect()
    assert identity() is None
