"""When no revocation host can be reached it is this network; when one can, it is the host."""

from __future__ import annotations

import pickle

from scanner.fleet.correlate.facts import Reached
from scanner.fleet.correlate.reachability import HOSTS_BLOCKED, ReachFold


def blocked(*hosts: str) -> ReachFold:
    fold = ReachFold()
    fold.add(Reached(host, False) for host in hosts)
    return fold


def test_several_unrelated_hosts_are_blocked_if_none_answers() -> None:
    fold = blocked("ocsp.alpha.com", "crl.bravo.com", "crl.charlie.com")
    found = fold.verdict()
    assert found == {"hosts_count": HOSTS_BLOCKED, "hosts": ["crl.bravo.com", "crl.charlie.com", "ocsp.alpha.com"]}
    assert [fold.add([Reached("crl.delta.com", True)]) for _ in range(2)] == [True, False]
    assert fold.verdict() is None and fold.is_final


def test_hosts_of_one_owner_are_one() -> None:
    assert blocked("ocsp.alpha.com", "crl.alpha.com", "r1.alpha.com", "crl.bravo.com").verdict() is None


def test_hosts_are_bounded_and_merged() -> None:
    one, other = blocked("a.alpha.com", "a.bravo.com"), blocked("a.charlie.com")
    other.merge(pickle.loads(pickle.dumps(one)))
    assert other.verdict() is not None
    reached = ReachFold()
    reached.add([Reached("a.delta.com", True)])
    other.merge(reached)
    assert other.verdict() is None
    many = blocked(*(f"h.d{n}.com" for n in range(1000))).verdict()
    assert many is not None and many["hosts_count"] == 256 and len(many["hosts"]) == 5


def test_a_host_longer_than_a_name_can_be_is_not_kept() -> None:
    fold = blocked(*(f"{'a' * 100_000}.d{n}.com" for n in range(5)))
    assert fold.verdict() is None and not fold._blocked
