from __future__ import annotations

import base64
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scanner.x509 import crl as lists
from scanner.x509.crl import SEARCHES, Crl, CrlError, RevokedEntry, load_crl_untrusted, look_up_untrusted
from scanner.x509.ocsp import MAX_MESSAGE
from scanner.x509.signatures import SignatureAlgorithm, verify_signature
from tests.helpers import revocation as made
from tests.helpers.pki import (
    DAY,
    NOW,
    Issued,
    authority,
    certificate,
    extension,
    general_name,
    integer,
    key,
    octets,
    oid,
    sequence,
    time,
    tlv,
)
from tests.helpers.revocation import URL, WORLD, crl, damaged, entry, issuing_point, points

LEAF, CA = WORLD.leaf, WORLD.ca
SERIAL = int(LEAF.parsed.serial, 16)
OPENSSL = shutil.which("openssl")


def says(data: bytes, leaf: Issued = LEAF, issuer: Issued = CA, url: str | None = URL) -> RevokedEntry | None:
    return look_up_untrusted(load_crl_untrusted(data), leaf.parsed, issuer.parsed, url)


def refused(data: bytes, leaf: Issued = LEAF, issuer: Issued = CA, url: str | None = URL) -> str:
    with pytest.raises(CrlError) as caught:
        says(data, leaf, issuer, url)
    return str(caught.value)


# --- entries -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, None])
def test_entries_are_found_and_absence_is_good(version: int | None) -> None:
    others = [entry(number) for number in (1, SERIAL + 1, SERIAL << 8)]
    assert says(crl(CA, version=version)) is None
    assert says(crl(CA, *others, version=version)) is None
    assert says(crl(CA, *others, entry(SERIAL), version=version)) == RevokedEntry(NOW - 10 * DAY)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(0, "unspecified"), (1, "keyCompromise"), (4, "superseded"), (6, "certificateHold"), (7, "7")],
)
def test_entries_have_a_reason(number: int, reason: str) -> None:
    found = says(crl(CA, entry(1), entry(SERIAL, reason=number), entry(2)))
    assert found == RevokedEntry(NOW - 10 * DAY, reason)


def test_remove_from_crl_is_not_revoked() -> None:
    assert says(crl(CA, entry(SERIAL, reason=8))) is None


@pytest.mark.parametrize("serial", [1, 0x7F, 0x80, -0x80, 2**159 - 1])
def test_serial_numbers_of_any_length(serial: int) -> None:
    leaf = certificate("numbered.example", issuer=CA, serial=serial)
    assert says(crl(CA, entry(serial)), leaf) is not None
    # bytes of one number inside another, or inside an extension, are no entry
    hiding = entry(0x0201_0102_0101, extensions=[extension("1.2.3", tlv(0x02, b"\x01"))])
    assert says(crl(CA, hiding, entry(serial + 1)), leaf) is None


def test_searching_and_indexing_find_the_same() -> None:
    """After a few searches an index is made, and the answers are the same."""
    listed = [7, 200, 2**64, 2**150 + 3, SERIAL]
    loaded = load_crl_untrusted(crl(CA, *(entry(number, reason=1) for number in listed)))
    for _ in range(SEARCHES):
        for number in listed:
            assert loaded.entry_untrusted(number) == RevokedEntry(NOW - 10 * DAY, "keyCompromise")
            assert loaded.entry_untrusted(number + 1) is None


def test_long_serial_numbers_are_found() -> None:
    leaf = certificate("long.example", issuer=CA, serial=tlv(0x02, b"\x01" * 200))
    assert says(crl(CA, entry(5)), leaf) is None
    assert says(crl(CA, entry(5), entry(int.from_bytes(b"\x01" * 200))), leaf) is not None


def test_unknown_critical_extensions_of_entries_refuse_the_list() -> None:
    elsewhere = entry(1, extensions=[made.UNHEARD_OF])
    assert "an entry has a critical extension" in refused(crl(CA, entry(SERIAL), elsewhere))
    critical_reason = entry(SERIAL, extensions=[extension("2.5.29.21", tlv(0x0A, b"\x01"), critical=True)])
    assert says(crl(CA, critical_reason)) == RevokedEntry(NOW - 10 * DAY, "keyCompromise")
    indirect = entry(SERIAL, extensions=[extension("2.5.29.29", sequence(tlv(0xA4, WORLD.root.subject_der)))])
    assert "another issuer's certificate" in refused(crl(CA, indirect))
    broken = sequence(integer(SERIAL), tlv(0x17, b"yesterday"))
    assert "entries cannot be read" in refused(crl(CA, broken))


# --- whose list --------------------------------------------------------------------------------------


def test_lists_of_another_issuer_are_refused() -> None:
    assert refused(crl(WORLD.root)) == "it is the list of another issuer: CN=Revocation Root"
    assert "signature does not verify" in refused(crl(WORLD.other_key))
    assert "signature does not verify" in refused(crl(CA, break_signature=True))
    assert "signature does not verify" in refused(crl(CA, signed_by=key("a thief")))


def test_issuers_without_crl_sign_are_refused() -> None:
    ca = authority("No Lists", WORLD.root, usages=("keyCertSign",))
    leaf = certificate("leaf.example", issuer=ca)
    assert "key usage does not allow" in refused(crl(ca), leaf, ca)
    silent = authority("Says Nothing", WORLD.root, without=("ku",))
    assert says(crl(silent), certificate("leaf.example", issuer=silent), silent) is None


def test_issuer_names_are_compared_in_any_spelling() -> None:
    assert (
        says(crl(CA, issuer_name=sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x13, b"revocation  ca")))))) is None
    )


def test_the_signature_of_a_list_is_verified_once_for_its_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[bytes] = []

    def counting(key: Any, algorithm: SignatureAlgorithm, signature: bytes, signed: bytes) -> bool | None:
        verified.append(signature)
        return verify_signature(key, algorithm, signature, signed)

    monkeypatch.setattr("scanner.x509.certificate.verify_signature", counting)
    loaded = load_crl_untrusted(crl(CA, entry(SERIAL)))
    leaf, ca = WORLD.parsed()
    for _ in range(3):
        assert look_up_untrusted(loaded, leaf, ca, URL) is not None
    assert len(verified) == 1


# --- what it is about --------------------------------------------------------------------------------


def test_indirect_and_delta_lists_are_refused() -> None:
    assert "indirect CRL" in refused(crl(CA, extensions=[issuing_point(indirect=True)]))
    # an indirect one is by another issuer as a rule: then that is what is said
    assert "another issuer" in refused(crl(WORLD.root, extensions=[issuing_point(indirect=True)]))
    assert "delta CRL" in refused(crl(CA, entry(SERIAL), extensions=[made.DELTA]))
    assert says(crl(CA, extensions=[made.FRESHEST])) is None
    assert "critical extension that is not known: 1.3.6.1.4.1.32473.1.2.3" in refused(
        crl(CA, extensions=[made.UNHEARD_OF])
    )


def test_lists_of_another_scope_are_refused() -> None:
    below = authority("Below", CA)
    user = crl(CA, extensions=[issuing_point(only_user=True)])
    authorities = crl(CA, extensions=[issuing_point(only_ca=True)])
    attributes = crl(CA, extensions=[issuing_point(only_attribute=True)])
    assert says(user) is None and "end-entity certificates only" in refused(user, below)
    assert says(authorities, below) is None and "CA certificates only" in refused(authorities)
    assert "attribute certificates only" in refused(attributes) and "attribute" in refused(attributes, below)


def test_lists_of_some_reasons_prove_revocation_alone() -> None:
    some = issuing_point(reasons=("keyCompromise", "cACompromise"))
    assert says(crl(CA, entry(SERIAL, reason=1), extensions=[some])) == RevokedEntry(NOW - 10 * DAY, "keyCompromise")
    words = refused(crl(CA, extensions=[some]))
    assert words == "it covers only some reasons (keyCompromise, cACompromise) and does not have the certificate"


def test_lists_of_another_distribution_point_are_refused() -> None:
    own = crl(CA, extensions=[issuing_point(URL)])
    assert says(own) is None
    assert says(own, url=None) is None
    assert says(crl(CA, extensions=[issuing_point("HTTP://CRL.test/ca.crl")])) is None
    another = crl(CA, extensions=[issuing_point("http://crl.test/2.crl")])
    assert refused(another) == "it is for another distribution point: http://crl.test/2.crl"
    assert "for another distribution point" in refused(crl(CA, extensions=[issuing_point("http://crl.test/CA.crl")]))
    assert "another distribution point" in refused(crl(CA, extensions=[issuing_point("http://[")]))
    # any name of the same point will do: the list may know only the other one
    full = sequence(tlv(0xA0, tlv(0xA0, general_name("URI:ldap://x/y"), general_name("URI:http://two.test/a"))))
    leaf = certificate("leaf.example", issuer=CA, extra=[points(more=[full])])
    assert says(crl(CA, extensions=[issuing_point("ldap://x/y")]), leaf, url="http://two.test/a") is None
    by_name = issuing_point(names=[tlv(0xA4, CA.subject_der)])
    assert "one without a URL" in refused(crl(CA, extensions=[by_name]))
    both = sequence(tlv(0xA0, tlv(0xA0, general_name(f"URI:{URL}"), tlv(0xA4, CA.subject_der))))
    assert (
        says(crl(CA, extensions=[by_name]), certificate("leaf.example", issuer=CA, extra=[points(more=[both])])) is None
    )
    assert "relative to its issuer" in refused(crl(CA, extensions=[issuing_point(relative=True)]))


# --- what is no list ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a CRL: empty"),
        (b"<html><body>404</body></html>", "not a CRL: an HTML page"),
        (b"-----BEGIN X509 CRL-----\n!!!\n-----END X509 CRL-----\n", "not a CRL: text"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "not a CRL: text"),
        (b"\x30\x03\x02\x01\x00", "not a CRL: tbsCertList: tag 0x02"),
        (crl(CA, trailing=b"\x00"), "not a CRL: CertificateList: 1 bytes after its end"),
        (crl(CA)[:-10], "not a CRL: an element reaches beyond what holds it"),
        (crl(CA, version=4), "not a CRL: version: 4"),
    ],
)
def test_what_is_not_a_list_is_refused(data: bytes, words: str) -> None:
    assert words in refused(data)


def test_lists_that_are_too_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MAX_CRL_BYTES", 100)
    assert "more than the 100 read" in refused(crl(CA))


def test_lists_in_pem_are_read() -> None:
    block = base64.encodebytes(crl(CA, entry(SERIAL)))
    assert says(b"\n-----BEGIN X509 CRL-----\n" + block + b"-----END X509 CRL-----\n") is not None


def test_damaged_lists_raise_crl_error_alone() -> None:
    sound = crl(CA, entry(5, reason=1), entry(SERIAL, reason=1), extensions=[issuing_point(URL)])
    leaf, ca = WORLD.parsed()
    for data in damaged(sound, 11):
        try:
            loaded = load_crl_untrusted(data)
            assert isinstance(loaded.issuer, str)
            for serial in (5, SERIAL, 6):
                try:
                    loaded.entry_untrusted(serial)
                except CrlError:
                    pass
            found = look_up_untrusted(loaded, leaf, ca, URL)
        except CrlError:
            continue
        assert found is not None and found.reason == "keyCompromise"


# --- size --------------------------------------------------------------------------------------------


def huge(count: int, last: int) -> bytes:
    """A list of so many entries as public CAs write them; put together quickly, signed as any other."""
    rest = time(NOW - 20 * DAY) + sequence(extension("2.5.29.21", tlv(0x0A, b"\x04")))
    numbers = random.Random(3).randbytes(count * 15)
    head = bytes((0x30, 18 + len(rest), 0x02, 16, 0x4B))
    rows = [head + numbers[at : at + 15] + rest for at in range(0, count * 15, 15)]
    return crl(CA, *rows, entry(last, reason=1))


def test_huge_lists_are_searched_and_then_indexed() -> None:
    """Look-ups of what is not listed do not walk: this test would take a minute, were it otherwise."""
    data = huge(200_000, SERIAL)
    assert len(data) > 8_000_000
    loaded = load_crl_untrusted(data)
    leaf, ca = WORLD.parsed()
    assert look_up_untrusted(loaded, leaf, ca, URL) == RevokedEntry(NOW - 10 * DAY, "keyCompromise")
    for serial in range(2**100, 2**100 + 50):
        assert loaded.entry_untrusted(serial) is None


# --- OpenSSL's lists ---------------------------------------------------------------------------------


@pytest.mark.skipif(OPENSSL is None, reason="no openssl program on this machine")
@pytest.mark.parametrize("extended", [False, True])
def test_lists_made_by_openssl_are_read(tmp_path: Path, extended: bool) -> None:
    """`openssl ca -gencrl`, without extensions (v1) and with (v2), of a certificate that `openssl ca -revoke` revoked."""
    (tmp_path / "ca.pem").write_text(CA.pem)
    (tmp_path / "ca.key").write_text(CA.key_pem)
    (tmp_path / "leaf.pem").write_text(LEAF.pem)
    (tmp_path / "index.txt").write_text("")
    (tmp_path / "number").write_text("1000\n")
    (tmp_path / "conf").write_text(
        "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ncertificate=ca.pem\nprivate_key=ca.key\ndefault_md=sha256\n"
        "default_crl_days=7\ncrlnumber=number\n"
        + (
            "crl_extensions=more\n[more]\nauthorityKeyIdentifier=keyid\nissuingDistributionPoint=critical,@point\n"
            if extended
            else ""
        )
        + f"[point]\nfullname=URI:{URL}\nonlyuser=TRUE\n"
    )

    def run(*arguments: str) -> None:
        subprocess.run([str(OPENSSL), *arguments], cwd=tmp_path, check=True, capture_output=True)

    if not extended:
        (tmp_path / "conf").write_text((tmp_path / "conf").read_text().replace("crlnumber=number\n", ""))
    run("ca", "-config", "conf", "-revoke", "leaf.pem", "-crl_reason", "superseded")
    run("ca", "-config", "conf", "-gencrl", "-out", "list.pem")
    run("crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der")
    for name in ("list.pem", "list.der"):
        data = (tmp_path / name).read_bytes()
        found = says(data)
        assert found is not None and found.reason == "superseded"
        assert says(data, WORLD.other_leaf) is None
    loaded: Crl = load_crl_untrusted((tmp_path / "list.der").read_bytes())
    assert loaded.next_update == loaded.this_update + 7 * DAY
    assert (loaded.issuing_point is not None) is extended
    assert loaded.authority_key_id == (CA.parsed.subject_key_id if extended else None)


def test_octets_are_not_taken_for_extensions() -> None:
    noise = entry(9, extensions=[extension("1.2.3", octets(b"\x01\x01\xff"))])
    assert says(crl(CA, noise, entry(SERIAL))) is not None


@pytest.mark.parametrize("octets_of_version", [9, 3_000, 100_000])
def test_a_version_is_a_small_number(octets_of_version: int) -> None:
    data = crl(CA, version=1 << (8 * octets_of_version - 2))
    with pytest.raises(CrlError, match=f"INTEGER of {octets_of_version} bytes"):
        load_crl_untrusted(data)


def test_a_reason_is_a_small_number() -> None:
    huge = extension("2.5.29.21", tlv(0x0A, b"\x01" + bytes(5000)))
    read = load_crl_untrusted(crl(CA, entry(SERIAL, extensions=[huge])))
    with pytest.raises(CrlError, match="INTEGER of 5001 bytes"):
        look_up_untrusted(read, LEAF.parsed, CA.parsed, None)


def test_an_issuers_name_does_not_make_a_message_without_end() -> None:
    name = sequence(*[tlv(0x31, sequence(oid("2.5.4.10"), tlv(0x0C, b"x" * 900)))] * 50)
    with pytest.raises(CrlError) as caught:
        look_up_untrusted(load_crl_untrusted(crl(CA, issuer_name=name)), LEAF.parsed, CA.parsed, None)
    assert len(str(caught.value)) == MAX_MESSAGE
