"""Server contexts are loaded from files that are deleted afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scanner.demo.cases import DemoCase, Endpoint, ServerFactory, presenting, valid_credential
from scanner.demo.pki import Pki


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(time.time())


def test_no_key_stays_on_disk(pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ServerFactory(pki) as factory:
        factory.context(pki.leaf("www.demo.test"))
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        (directory,) = tmp_path.iterdir()
        assert directory.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_the_default_context_is_created_once(pki: Pki) -> None:
    with ServerFactory(pki) as factory:
        presenting(valid_credential)(factory, Endpoint("a.demo.test", "127.94.0.1", 443, "A."))
        made = factory.default_context
        presenting(valid_credential)(factory, Endpoint("b.demo.test", "127.94.0.2", 443, "B."))
        assert factory.default_context is made


def test_hosts_default_to_the_name_under_the_domain() -> None:
    assert DemoCase(name="www", story="").full_host == "www.demo.test"
    assert DemoCase(name="www", story="", host="intranet.example.net").full_host == "intranet.example.net"
    assert DemoCase(name="www", story="", host="").full_host is None


def test_an_endpoint_is_named_unless_its_host_is_the_address() -> None:
    assert Endpoint("www.demo.test", "127.94.0.1", 443, "").named
    assert not Endpoint("127.94.0.1", "127.94.0.1", 443, "").named
