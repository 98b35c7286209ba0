"""Trust stores: what is read, what is refused, and in words a person can use."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import certifi
import pytest

from scanner.trust import stores
from scanner.trust.intermediates import Intermediates
from scanner.trust.path_check import check_path
from scanner.trust.paths import ChainContext, IssuerPath, Link
from scanner.trust.stores import StoreError, load_public_roots, load_store
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import tlv

ROOT = pki.root()
OTHER = pki.root("Other Root")


def _file(directory: Path, content: bytes) -> str:
    path = directory / "roots.pem"
    path.write_bytes(content)
    return str(path)


def test_a_file_of_many_blocks_with_junk_between(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    text = f"\ufeff# Root one\n{ROOT.pem}\nsome: words\n{key}{OTHER.pem}{ROOT.pem}"
    for content in (text, text.replace("\n", "\r\n"), text.replace("\n", "\r"), text + "-----BEGIN CERTIFICATE-----"):
        path = _file(tmp_path, content.encode())
        store = load_store(path)
        assert store.name == path
        assert set(store.anchors) == {ROOT.sha256, OTHER.sha256}
        assert len(store) == 2
        assert [item.sha256 for item in store.with_subject(ROOT.subject_der)] == [ROOT.sha256]
        assert ROOT.parsed in store
        assert store.with_subject(b"") == []


def test_an_unreadable_certificate_is_counted_and_skipped(tmp_path: Path) -> None:
    store = load_store(_file(tmp_path, (pki.pem(b"\x30\x00") + ROOT.pem).encode()))
    assert len(store) == 1 and store.unreadable == 1


_VALUE = pki.sequence(pki.oid("2.5.4.10"), tlv(0x0C, b"Org"))
_MISORDERED = sorted([_VALUE, pki.sequence(pki.oid("2.5.4.3"), tlv(0x0C, b"Odd"))], reverse=True)
# What cryptography does not read or warns of -> the clients that refuse it
ODD_ROOTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "wildcard in a PrintableString": ({"subject": pki.name(CN=tlv(0x13, b"*.example"))}, []),
    "misordered relative name": ({"subject": pki.sequence(tlv(0x31, *_MISORDERED))}, []),
    "zero as serial number": ({"serial": 0}, []),
    "long serial number": ({"serial": 1 << 300}, []),
    "ampersand": ({"subject": pki.name(O=tlv(0x13, b"A & B"))}, ["chrome"]),
    "underscore": ({"subject": pki.name(O=tlv(0x13, b"A_B"))}, ["go", "chrome"]),
    "negative serial number": ({"serial": -5}, ["go"]),
    "critical FALSE": (
        {"extra": [pki.sequence(pki.oid("1.2.3"), pki.boolean(False), pki.octets(b"x"))]},
        ["chrome"],
    ),
    "version 1 with extensions": ({"version": None}, ["java", "chrome", "gnutls"]),
    "version 4": ({"version": 3}, ["go", "java", "chrome"]),
    "NULL inside": (
        {"inner_algorithm": pki.sequence(pki.oid("1.2.840.10045.4.3.2"), tlv(0x05))},
        ["go"],
    ),
    "time in another zone": (
        {"validity": pki.sequence(tlv(0x17, b"250101000000+0100"), pki.time(pki.NOW + pki.DAY))},
        ["openssl", "chrome", "firefox", "gnutls"],
    ),
}


def test_roots_that_cryptography_does_not_read_are_anchors_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    roots = {label: pki.root(**{"subject": label, **changes}) for label, (changes, _) in ODD_ROOTS.items()}
    path.write_text(pki.pem(*roots.values()))
    store = load_store(str(path))
    assert len(store.anchors) == len(roots) and not store.unreadable
    verifier = ChainVerifier([store], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    for label, root in roots.items():
        leaf = pki.certificate("leaf.example", issuer=root)
        verdict = verifier.verify((leaf.der,), name="leaf.example", at=pki.NOW).stores[str(path)]
        assert verdict.anchor == root.sha256
        # names are in the leaf too, as those of its issuer
        refusing = {client for problem in verdict.problems for client in problem.evidence["refused_by"]}
        assert (label, refusing) == (label, set(ODD_ROOTS[label][1]))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no certificate in it"),
        (b"\x00\xff" * 100, "no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n", "no certificate in it"),
        (pki.pem(b"\x30\x00").encode(), "none of its 1 certificates can be read"),
        (ROOT.der, "no certificate in it"),
    ],
)
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(StoreError, match=why) as caught:
        load_store(_file(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(StoreError) as caught:
            load_store(str(path))
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_STORE_BYTES", 100)
    with pytest.raises(StoreError, match="more than"):
        load_store(_file(tmp_path, bytes(200)))


def test_mozilla_is_certifi_restricted_by_trust_and_dates() -> None:
    store = load_store("mozilla")
    assert store.name == "mozilla"
    assert 90 < len(store) <= Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")
    table = json.loads((Path(stores.__file__).parents[1] / "data" / "mozilla-roots.json").read_text())["roots"]
    assert all(table[sha256]["server"] for sha256 in store.anchors if sha256 in table)
    assert store.distrust_after and set(store.distrust_after) <= set(store.anchors)
    # What real roots hold must never count as a flaw, or every path below them would fail.
    assert [anchor for anchor in store.anchors.values() if anchor.flaws or anchor.unknown_critical] == []
    assert all(anchor.self_signed for anchor in store.anchors.values())


def test_certificates_after_the_distrust_date_of_a_mozilla_root_are_untrusted() -> None:
    """Izenpe.com is in certifi without the date that Mozilla's own store has for it."""
    store = load_store("mozilla")
    (root,) = [anchor for anchor in store.anchors.values() if anchor.common_name == "Izenpe.com"]
    until = store.distrust_after[root.sha256]
    assert datetime.fromtimestamp(until, UTC).date().isoformat() == "2026-04-15"
    for begins, trusted in ((until, True), (until + 1, False)):
        leaf = pki.certificate("a.example", issuer=pki.root("x"), not_before=begins, not_after=until + 10**7).parsed
        context = ChainContext(store, {})
        above_path = IssuerPath((root,), "anchor", (), (), root.not_before, root.not_after, constrained=False)
        path = check_path(
            leaf, Link(root, "anchor"), above_path, context, until + 86_400, violation=lambda authority, lower: None
        )
        assert [problem.code for problem in path.problems] == ([] if trusted else ["untrusted-root"])
        assert path.anchor == root


def test_system_is_what_openssl_would_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", _file(tmp_path, ROOT.pem.encode()))
    store = load_store("system")
    assert store.name == "system" and set(store.anchors) == {ROOT.sha256}
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setattr(stores, "_BUNDLES", ())
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    assert set(load_store("system").anchors) == {ROOT.sha256}
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(StoreError, match="none that could be found"):
        load_store("system")


def test_public_roots_are_mozilla_s_and_those_of_the_file(tmp_path: Path) -> None:
    shipped = load_public_roots(None)
    assert 100 < len(shipped) < 200
    assert load_public_roots(_file(tmp_path, ROOT.pem.encode())) == shipped | {ROOT.sha256}
    with pytest.raises(StoreError):
        load_public_roots(str(tmp_path / "absent"))
