"""The workshop: contexts are made from files that are gone afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scanner.demo.cases import Case, Place, Workshop, presenting, sound
from scanner.demo.pki import Pki


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(time.time())


def test_no_key_stays_on_disk(pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Workshop(pki) as shop:
        shop.context(pki.leaf("www.demo.test"))
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        (directory,) = tmp_path.iterdir()
        assert directory.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_the_default_site_is_made_once(pki: Pki) -> None:
    with Workshop(pki) as shop:
        presenting(sound)(shop, Place("a.demo.test", "127.94.0.1", 443, "A."))
        made = shop.default_context
        presenting(sound)(shop, Place("b.demo.test", "127.94.0.2", 443, "B."))
        assert shop.default_context is made


def test_hosts() -> None:
    assert Case(name="www", story="").full_host == "www.demo.test"
    assert Case(name="www", story="", host="intranet.example.net").full_host == "intranet.example.net"
    assert Case(name="www", story="", host="").full_host is None


def test_place_knows_whether_it_has_a_name() -> None:
    assert Place("www.demo.test", "127.94.0.1", 443, "").named
    assert not Place("127.94.0.1", "127.94.0.1", 443, "").named
