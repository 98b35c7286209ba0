"""Many unrelated names at one login page are a portal; brands, an estate's sign-in and a few strays are not."""

from __future__ import annotations

import pickle
from collections.abc import Iterable

import pytest

from scanner.fleet.correlate.facts import PageSighting
from scanner.fleet.correlate.shared_pages import NAMES_OF_PORTAL, PortalsFold

PAGE = "wlan.hotel.example/login"
NAMES = [f"www.{word}.com" for word in ("alpha", "bravo", "charlie", "delta", "foxtrot", "golf", "hotel", "india")]


def seen(name: str, page: str = PAGE) -> PageSighting:
    return PageSighting(name, page, page.partition("/")[0])


def folded(sightings: Iterable[PageSighting]) -> PortalsFold:
    fold = PortalsFold()
    for each in sightings:
        fold.add([each])
    return fold


def test_many_unrelated_names_at_one_page_are_a_portal() -> None:
    fold = folded(map(seen, NAMES))
    found = fold.verdict(len(NAMES))[PAGE]
    assert found["names_count"] == len(NAMES) and found["names"][0] == NAMES[0]
    # others of the run were reached: this is where some names lead, and nothing in the way of all
    assert fold.verdict(100) == {}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(NAMES[: NAMES_OF_PORTAL - 1], id="few"),
        pytest.param([f"app{n}.corp" for n in range(20)], id="an estate's sign-in"),
        pytest.param([f"www.acme{n}.com" for n in ("", "-shop", "cloud", "group", "bank", "x")], id="one owner's brands"),
        pytest.param([f"app{n}.hotel.example" for n in range(20)], id="the page's own domain"),
        pytest.param([f"192.0.2.{n}" for n in range(20)], id="addresses"),
    ],
)  # fmt: skip
def test_few_or_related_names_are_no_portal(names: list[str]) -> None:
    assert folded(map(seen, names)).verdict(len(names)) == {}


def test_names_at_pages_of_their_own_are_no_portal() -> None:
    each = folded(seen(name, f"{number}.example/login") for number, name in enumerate(NAMES))
    assert each.verdict(len(NAMES)) == {}


def test_pages_and_domains_are_bounded_and_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = folded(map(seen, NAMES[::2])), folded(map(seen, NAMES[1::2]))
    other.merge(pickle.loads(pickle.dumps(one)))
    assert other.verdict(8) == folded(map(seen, NAMES)).verdict(8)
    monkeypatch.setattr("scanner.fleet.correlate.shared_pages.MAX_PAGES", 1)
    monkeypatch.setattr("scanner.fleet.correlate.shared_pages.MAX_DOMAINS", 4)
    fold = folded(map(seen, NAMES))
    fold.add([seen("www.alpha.com", "other.example/login")])
    fold.merge(folded([seen("www.alpha.com", "third.example/login")]))
    assert fold.verdict(8) == {}  # of eight names four are kept, and of three pages one
