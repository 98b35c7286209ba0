"""An interceptor gives itself away; an estate's own CA, a hoster's, a vendor's and a CA that is merely untrusted do not."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import pytest

from scanner.fleet.correlate.facts import Sighting
from scanner.fleet.correlate.fleet_verdicts import InterceptionVerdict
from scanner.fleet.correlate.interceptors_fold import (
    MAX_DOMAINS,
    NAMES_FOR_WARNING,
    NAMES_WITH_SIGN,
    NAMES_WITHOUT_SIGN,
    IssuersFold,
    unrelated_domains,
)
from tests.helpers import pki

NOW = int(pki.NOW)
DAY = 86_400
WORDS = ("alpha", "bravo", "charlie", "delta", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima", "mike")
NAMES = tuple(f"www.{word}.{tld}" for word, tld in zip(WORDS, ("com", "de", "co.uk", "test") * 3, strict=True))


def sighting(name: str, *, key: str = "ca", number: int = 0, **changes: Any) -> Sighting:
    given: dict[str, Any] = {
        "issuer": "CN=Some CA",
        "keyed": True,
        "named": True,
        "place": f"192.0.2.{number} 443",
        "at": NOW + number,
        "leaf": f"leaf of {name}",
        "leaf_key": f"key of {name}",
        "not_before": NOW - (10 + number) * DAY,
        "not_after": NOW + 80 * DAY,
        **changes,
    }
    return Sighting(key=key, name=name, **given)


def told(seen: Iterable[Sighting], *, targets: int | None = None) -> InterceptionVerdict | None:
    sightings = list(seen)
    fold = IssuersFold()
    for each in sightings:
        fold.add([each])
    return fold.verdict(len(sightings) if targets is None else targets).get("ca")


def fleet(count: int, **changes: Any) -> list[Sighting]:
    return [sighting(name, number=number, **changes) for number, name in enumerate(NAMES[:count])]


# --- what gives an interceptor away ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        ({"own_key": True}, "issuer's own key"),
        ({"on_the_spot": True}, "a name that cannot exist"),
        ({"elsewhere": True}, "publicly trusted"),
        ({"product": "Box"}, "a product that intercepts"),
        ({"leaf_key": "one"}, "one key"),
    ],
)
def test_one_sign_and_three_names(sign: dict[str, Any], words: str) -> None:
    found = told(fleet(NAMES_WITH_SIGN, **sign), targets=1000)
    assert found is not None and found.certain
    assert words in found.evidence["reasons"][0]
    assert found.evidence["names_count"] == NAMES_WITH_SIGN
    assert told(fleet(NAMES_WITH_SIGN - 1, **sign)) is None


def test_one_sighting_with_a_sign_is_enough() -> None:
    found = told([sighting(NAMES[0], on_the_spot=True), *fleet(3)[1:]])
    assert found is not None and found.certain


def test_certificates_made_while_they_were_asked_for() -> None:
    fresh = [sighting(name, at=NOW + 10 * n, not_before=NOW + 10 * n) for n, name in enumerate(NAMES[:5])]
    found = told(fresh, targets=1000)
    assert found is not None and "while this run asked" in found.evidence["reasons"][0]
    batch = [sighting(name, at=NOW + n, not_before=NOW) for n, name in enumerate(NAMES[:3])]
    assert told(batch) is None


def test_an_operated_ca_with_a_sign_is_an_interceptor_all_the_same() -> None:
    found = told(fleet(3, operated=True, product="Zscaler"))
    assert found is not None and found.certain


# --- names alone -----------------------------------------------------------------------------------


def test_names_alone_are_a_warning() -> None:
    found = told(fleet(NAMES_FOR_WARNING))
    assert found is not None and not found.certain and "reasons" not in found.evidence
    assert told(fleet(NAMES_FOR_WARNING - 1)) is None


def test_many_names_that_are_most_of_the_run_are_an_error() -> None:
    found = told(fleet(NAMES_WITHOUT_SIGN))
    assert found is not None and found.certain and "a good part" in found.evidence["reasons"][0]


@pytest.mark.parametrize(
    ("changes", "targets"),
    [
        pytest.param({}, 1000, id="a hoster's CA for some of its customers"),
        pytest.param({"not_after": NOW + 1500 * DAY}, None, id="valid for longer than browsers take"),
    ],
)
def test_what_speaks_for_an_estate_leaves_a_warning(changes: dict[str, Any], targets: int | None) -> None:
    found = told(fleet(len(NAMES), **changes), targets=targets)
    assert found is not None and not found.certain


def test_internal_names_speak_for_an_estate() -> None:
    found = told([*fleet(len(NAMES)), sighting("wiki.corp")])
    assert found is not None and not found.certain


# --- what is no interception -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param([sighting(f"h{n}.example.com", number=n) for n in range(50)], id="one domain"),
        pytest.param(
            [sighting(f"www.{name}", number=n) for n, name in enumerate(
                ("acme.com", "acme.de", "acme-shop.com", "myacme.net", "acmecloud.io", "acme.co.uk"))],
            id="one owner's domains",
        ),
        pytest.param([sighting(f"h{n}.corp", number=n) for n in range(50)], id="a private top level"),
        pytest.param([sighting(f"h{n}", number=n) for n in range(50)], id="names without a dot"),
        pytest.param([sighting(f"192.0.2.{n}", number=n) for n in range(50)], id="addresses"),
        pytest.param(fleet(12, operated=True), id="a real CA that is in no store"),
        pytest.param(fleet(12, named=False), id="devices under names of their own"),
        pytest.param(fleet(12, keyed=False), id="namesakes that cannot be told apart"),
        pytest.param(
            [sighting(name, key=f"ca {n}", number=n) for n, name in enumerate(NAMES)], id="a vendor's CAs, one each"
        ),
        pytest.param(fleet(3, leaf_key="one", leaf="one leaf"), id="one certificate for three names"),
        pytest.param(fleet(3, leaf_key="one", place="192.0.2.1 443"), id="one machine with one key"),
        pytest.param(
            [*fleet(2), *(sighting(f"{n}.alpha.com", number=n, own_key=True) for n in range(9))], id="two domains"
        ),
    ],
)  # fmt: skip
def test_issuers_that_are_no_interceptors(seen: list[Sighting]) -> None:
    assert told(seen) is None


def test_unrelated_domains() -> None:
    assert unrelated_domains(["acme.com", "acme.de", "my-acme.net"]) == ["acme.com"]
    assert unrelated_domains(["b.com", "ab.com", "b.de"]) == ["ab.com", "b.com"]
    assert unrelated_domains(["alpha.test", "bravo.test"]) == ["alpha.test", "bravo.test"]


# --- the fold --------------------------------------------------------------------------------------


def test_order_of_arrival_and_processes_change_nothing() -> None:
    seen = fleet(12)
    whole, one, other = IssuersFold(), IssuersFold(), IssuersFold()
    whole.add(seen)
    one.add(reversed(seen[::2]))
    other.add(seen[1::2])
    other.merge(pickle.loads(pickle.dumps(one)))
    assert other.verdict(12) == whole.verdict(12)
    decided = IssuersFold()
    decided.add(fleet(3, own_key=True))
    other.merge(decided)
    assert other.verdict(12) == decided.verdict(3)


def test_issuers_and_domains_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    fold = IssuersFold()
    fold.add(sighting(f"www.{n:04x}z.com", number=n % 250) for n in range(1000))
    found = fold.verdict(1000)["ca"]
    assert found.evidence["names_count"] <= MAX_DOMAINS and found.evidence["targets"] == 1000
    monkeypatch.setattr("scanner.fleet.correlate.interceptors_fold.MAX_ISSUERS", 1)
    fold.add(fleet(12, key="another", own_key=True))
    other = IssuersFold()
    other.add(fleet(12, key="third", own_key=True))
    fold.merge(other)
    assert set(fold.verdict(1012)) == {"ca"}
    assert fold.is_final("another")


@pytest.mark.parametrize("order", [1, -1])
def test_weighing_becomes_rarer_the_oftener_it_was_in_vain(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weighed = []

    def weighing(domains: Iterable[str]) -> list[str]:
        weighed.append(len(found := unrelated_domains(domains)))
        return found

    monkeypatch.setattr("scanner.fleet.correlate.interceptors_fold.unrelated_domains", weighing)
    fold, names = IssuersFold(), [f"www.x{n:04x}z.com" for n in range(2000)][::order]
    fold.add(sighting(name, number=n % 250) for n, name in enumerate(names))
    # each of those that come before all others changes what is kept; the others change nothing
    assert len(weighed) < (MAX_DOMAINS if order == 1 else 200)
    found = fold.verdict(2000)["ca"]
    assert found.evidence["names"][0] == "www.x0000z.com"


def test_an_issuer_is_settled_once_it_has_given_itself_away() -> None:
    fold = IssuersFold()
    fold.add(fleet(2, own_key=True))
    assert not fold.is_final("ca")
    fold.add(fleet(3, own_key=True))
    assert fold.is_final("ca")
    told_then = fold.verdict(3)
    fold.add(fleet(12, own_key=True))
    assert fold.verdict(12) == told_then  # what is written already stays true
    alone = IssuersFold()
    alone.add(fleet(12))
    assert not alone.is_final("ca")


def test_the_order_of_arrival_changes_nothing_where_all_is_seen_first() -> None:
    seen = fleet(9, own_key=True)
    verdicts = []
    for order in (seen, seen[::-1], seen[4:] + seen[:4]):
        left, right = IssuersFold(early=False), IssuersFold(early=False)
        left.add(order[:5])
        right.add(order[5:])
        left.merge(right)
        verdicts.append(left.verdict(9)["ca"])
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert verdicts[0].certain and verdicts[0].evidence["targets"] == 9 and verdicts[0].evidence["names_count"] == 9
    early = told(seen)
    assert early is not None and early.evidence["names_count"] == NAMES_WITH_SIGN
