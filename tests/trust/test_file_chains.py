"""Which certificate of a file is the leaf, and the order of a set."""

from __future__ import annotations

import itertools

import pytest

from scanner.trust.file_chains import leaf_position, ordered_chain
from tests.helpers import pki
from tests.helpers.pki import Issued

ROOT = pki.root("Root")
UPPER = pki.authority("Upper", ROOT)
LOWER = pki.authority("Lower", UPPER)
LEAF = pki.certificate("www.example", issuer=LOWER)
OTHER = pki.certificate("mail.example", issuer=LOWER, private=pki.key("mail"))
SELF_SIGNED = pki.certificate("self.example")


def der(*certificates: Issued) -> list[bytes]:
    return [each.der for each in certificates]


@pytest.mark.parametrize("order", [*itertools.permutations((LEAF, LOWER, UPPER, ROOT))])
def test_the_leaf_is_found_wherever_it_is(order: tuple[Issued, ...]) -> None:
    assert order[leaf_position(der(*order))] is LEAF
    assert ordered_chain(der(*order), order.index(LEAF)) == tuple(der(LEAF, LOWER, UPPER, ROOT))


@pytest.mark.parametrize(
    ("files", "keys", "name", "leaf"),
    [
        pytest.param((LEAF, OTHER, LOWER), (), None, LEAF, id="the first of two"),
        pytest.param((LEAF, OTHER, LOWER), (), "mail.example", OTHER, id="by name"),
        pytest.param(
            (LEAF, OTHER, LOWER), (OTHER.parsed.spki_der,), "www.example", OTHER, id="by key, which says more"
        ),
        pytest.param((LEAF, OTHER, LOWER), (b"?",), "nobody.example", LEAF, id="neither helps"),
        pytest.param((LOWER, UPPER), (), None, LOWER, id="CAs alone"),
        pytest.param((ROOT, UPPER, LOWER), (), "www.example", LOWER, id="CAs alone, from the top"),
        pytest.param((ROOT,), (), None, ROOT, id="a root alone"),
        pytest.param((ROOT, SELF_SIGNED), (), None, SELF_SIGNED, id="a self-signed leaf"),
    ],
)
def test_key_then_name_then_place(
    files: tuple[Issued, ...], keys: tuple[bytes, ...], name: str | None, leaf: Issued
) -> None:
    assert files[leaf_position(der(*files), keys, name)] is leaf


def test_what_cannot_be_read_is_never_the_leaf() -> None:
    assert leaf_position([b"\x30\x01", *der(LOWER, LEAF)]) == 2
    assert leaf_position([b"\x30\x01", b"?"]) == 0
    assert ordered_chain([b"\x30\x01", *der(LOWER, LEAF)], 2) == (*der(LEAF, LOWER), b"\x30\x01")


def test_two_issuers_of_one_name_are_told_apart_by_their_signatures() -> None:
    twin = pki.authority("Lower", UPPER, private=pki.key("twin"))
    assert ordered_chain(der(twin, UPPER, LEAF, LOWER), 2) == tuple(der(LEAF, LOWER, UPPER, twin))


def test_two_cas_that_signed_each_other() -> None:
    one = pki.certificate("One", ca=True)
    two = pki.certificate("Two", ca=True, issuer=one)
    again = pki.certificate("One", ca=True, issuer=two)
    assert set(ordered_chain(der(two, again), 0)) == set(der(two, again))
