"""Chrome's own roots and dates beside a chain that Mozilla's store trusts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scanner.trust.chrome_store import ChromeStore, chrome_problem, chrome_store
from scanner.x509.certificate import Certificate
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, Issued
from tests.trust.test_verifier import CA, ROOT, verdict_on

OTHER = pki.root("Other Root")
CROSS = pki.authority("Test CA", OTHER, private=CA.private)


def scts(*moments: float) -> bytes:
    """The extension with SCTs of these times, by a log that nobody knows."""
    listed = b""
    for moment in moments:
        sct = b"\0" + bytes(32) + int(moment * 1000).to_bytes(8) + b"\0\0" + b"\4\3" + b"\0\2\x30\0"
        listed += len(sct).to_bytes(2) + sct
    return pki.extension("1.3.6.1.4.1.11129.2.4.2", pki.octets(len(listed).to_bytes(2) + listed))


def logged(*moments: float) -> Issued:
    return pki.certificate("leaf.example", issuer=CA, extra=[scts(*moments)] if moments else [])


def chrome(anchors: dict[Issued, float | None], *, elsewhere: Sequence[str] = ()) -> ChromeStore:
    mozilla = frozenset((ROOT.parsed.sha256, OTHER.parsed.sha256))
    return ChromeStore(
        {issued.parsed.sha256: until for issued, until in anchors.items()}, frozenset(elsewhere), mozilla
    )


def path(*issued: Issued) -> tuple[Certificate, ...]:
    return tuple(item.parsed for item in issued)


YESTERDAY, LAST_WEEK = NOW - DAY, NOW - 7 * DAY


@pytest.mark.parametrize(
    ("times", "until", "accepted"),
    [
        ((YESTERDAY,), None, True),
        ((YESTERDAY,), NOW, True),
        ((YESTERDAY, NOW), LAST_WEEK, False),
        ((LAST_WEEK - 1, NOW), LAST_WEEK, True),  # the earliest counts
        ((), LAST_WEEK, True),  # not logged at all: that is another code
    ],
)
def test_a_root_with_a_date_is_refused_for_what_was_logged_later(
    times: tuple[float, ...], until: float | None, accepted: bool
) -> None:
    leaf = logged(*times)
    problem = chrome_problem([path(leaf, CA, ROOT)], path(leaf, CA), chrome({ROOT: until}))

    assert (problem is None) is accepted
    if problem is not None:
        assert problem.code == "untrusted-root"
        assert problem.evidence["refused_by"] == ["chrome"]
        assert problem.evidence["first_logged"].startswith("2026-11-22")


def test_a_root_that_chrome_does_not_have_is_untrusted() -> None:
    leaf = logged(YESTERDAY)
    problem = chrome_problem([path(leaf, CA, ROOT)], path(leaf, CA), chrome({}))

    assert problem is not None
    assert problem.evidence["store"] == "Chrome Root Store"


def test_an_intermediate_that_is_an_anchor_of_chrome_suffices() -> None:
    leaf = logged(YESTERDAY)
    assert chrome_problem([path(leaf, CA, ROOT)], path(leaf, CA), chrome({CA: None})) is None


def test_one_path_that_chrome_accepts_suffices() -> None:
    leaf = logged(YESTERDAY)
    paths = [path(leaf, CA, ROOT), path(leaf, CROSS, OTHER)]
    assert chrome_problem(paths, path(leaf, CA, CROSS), chrome({OTHER: None})) is None


def test_nothing_is_reported_if_a_root_that_only_chrome_has_may_close_the_path() -> None:
    leaf = logged(YESTERDAY)
    store = chrome({}, elsewhere=[ROOT.parsed.subject])
    assert chrome_problem([path(leaf, CA, ROOT)], path(leaf, CA), store) is None


def test_a_locally_installed_root_is_accepted_by_chrome() -> None:
    private = pki.root("Private Root")
    leaf = pki.certificate("leaf.example", issuer=private)
    assert chrome_problem([path(leaf, private)], path(leaf), chrome({})) is None
    assert chrome_problem([], path(leaf), chrome({})) is None


def test_shipped_facts_cover_mozilla_s_roots() -> None:
    store = chrome_store()
    assert len(store.anchors) > 100
    assert sum(until is not None for until in store.anchors.values()) >= 40
    assert len(store.mozilla) > 100


def test_the_verifier_reports_it_beside_a_trusted_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = logged(YESTERDAY)
    monkeypatch.setattr("scanner.trust.verifier.chrome_store", lambda: chrome({ROOT: LAST_WEEK}))

    verdict = verdict_on(leaf, CA, public=True)
    assert verdict.trusted
    assert [problem.code for problem in verdict.chain_problems] == ["untrusted-root"]

    assert verdict_on(leaf, CA, ROOT, OTHER, CROSS, public=False).trusted
    assert not [p for p in verdict_on(leaf, CA, public=False).chain_problems if p.code == "untrusted-root"]
