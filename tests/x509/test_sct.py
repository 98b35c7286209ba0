"""SCTs: read whatever comes, rebuilt precertificates equal to the byte, signatures of real logs."""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.x509 import sct
from scanner.x509.certificate import Certificate
from scanner.x509.pem import certificates_in_pem
from scanner.x509.sct import SctError
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW
from tests.helpers.scts import (
    ARGON,
    STAPLED,
    TILES,
    YETI,
    Log,
    extension,
    precert_entry,
    sct_list,
    with_scts,
    x509_entry,
)
from tests.trust.test_limbo import SUITE

CA = pki.authority("SCT CA", pki.root("SCT Root"))
RSA_LOG = Log("RSA", kind="rsa:2048")


def real() -> tuple[Certificate, Certificate]:
    """A certificate of the public web, and its issuer."""
    leaf, issuer = certificates_in_pem((Path(__file__).parent / "python-org.pem").read_bytes())
    return Certificate.parse_untrusted(leaf), Certificate.parse_untrusted(issuer)


# --- rebuilding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [1, 3, 12, 900], ids=lambda count: f"{count} names")
def test_the_precertificate_is_rebuilt_to_the_byte(names: int) -> None:
    """With lists that move the length of every element around them over its boundaries."""
    san = [f"host-{number}.example" for number in range(names)]
    bare = pki.certificate("leaf.example", issuer=CA, san=san)
    for size in (1, 40, 80, 119, 127, 250, 40_000):
        listed = pki.certificate("leaf.example", issuer=CA, san=san, extra=[extension(bytes(size))])
        assert listed.parsed.tbs_der != bare.parsed.tbs_der
        assert sct.precertificate_untrusted(listed.parsed) == bare.parsed.tbs_der


@given(place=st.integers(0, 3), content=st.binary(max_size=400), critical=st.booleans(), others=st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_extensions_around_the_list_stay(place: int, content: bytes, critical: bool, others: int) -> None:
    around = [pki.extension(f"1.3.6.1.4.1.32473.{n}", pki.octets(bytes(others)), critical=critical) for n in range(3)]
    bare = pki.certificate("leaf.example", issuer=CA, extra=around)
    with_list = [*around[:place], pki.extension(sct_oid(), content), *around[place:]]
    listed = pki.certificate("leaf.example", issuer=CA, extra=with_list)
    assert sct.precertificate_untrusted(listed.parsed) == bare.parsed.tbs_der


def sct_oid() -> str:
    return "1.3.6.1.4.1.11129.2.4.2"


def test_the_poison_is_removed() -> None:
    bare = pki.certificate("leaf.example", issuer=CA)
    poisoned = pki.extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\x00", critical=True)
    presented = pki.certificate("leaf.example", issuer=CA, extra=[poisoned])
    assert sct.precertificate_untrusted(presented.parsed) == bare.parsed.tbs_der


def test_without_a_list_nothing_changes() -> None:
    for certificate in (pki.certificate("leaf.example", issuer=CA), pki.certificate("old", without=["extensions"])):
        assert sct.precertificate_untrusted(certificate.parsed) == certificate.parsed.tbs_der


def test_a_list_alone_leaves_no_extensions() -> None:
    everything = ("bc", "ku", "eku", "san", "ski", "aki")
    bare = pki.certificate("leaf.example", issuer=CA, without=["extensions"])
    listed = pki.certificate("leaf.example", issuer=CA, without=everything, extra=[extension(b"\0\0")])
    assert sct.precertificate_untrusted(listed.parsed) == bare.parsed.tbs_der


# --- signatures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [ARGON, TILES, RSA_LOG], ids=lambda log: log.name)
def test_signatures_over_both_kinds_of_entry(log: Log) -> None:
    leaf = with_scts([log], issuer=CA).parsed
    (embedded,) = sct.embedded_untrusted(leaf)
    key = log.private.public_key()
    precert = sct.precert_entry_untrusted(leaf, CA.parsed)
    assert precert == precert_entry(pki.certificate("leaf.example", issuer=CA).parsed.tbs_der, CA)
    assert sct.signature_flaw(sct.sct_untrusted(embedded), precert, key) is None
    sent = sct.sct_untrusted(log.sct(x509_entry(leaf.der), NOW, extensions=b"more"))
    assert sct.signature_flaw(sent, sct.x509_entry(leaf), key) is None
    # one for the other
    assert sct.signature_flaw(sent, precert, key) is not None
    # another certificate, another issuer, another log
    assert sct.signature_flaw(sct.sct_untrusted(embedded), sct.precert_entry_untrusted(leaf, leaf), key) is not None
    assert sct.signature_flaw(sent, sct.x509_entry(CA.parsed), key) is not None
    other = (YETI if log is not YETI else ARGON).private.public_key()
    assert sct.signature_flaw(sent, sct.x509_entry(leaf), other) is not None


def test_a_signature_of_a_kind_that_logs_do_not_use() -> None:
    leaf = with_scts([ARGON], issuer=CA).parsed
    data = bytearray(sct.embedded_untrusted(leaf)[0])
    data[43] = 2  # SHA-1
    flaw = sct.signature_flaw(sct.sct_untrusted(bytes(data)), sct.x509_entry(leaf), ARGON.private.public_key())
    assert flaw is not None and "kind" in flaw


def test_real_logs_signed_a_real_certificate() -> None:
    leaf, issuer = real()
    keys = log_keys()
    entry = sct.precert_entry_untrusted(leaf, issuer)
    found = [sct.sct_untrusted(data) for data in sct.embedded_untrusted(leaf)]
    assert [keys[item.log_id][0] for item in found] == [
        "Sectigo 'Elephant2027h1'",
        "Cloudflare 'Nimbus2027'",
        "Let's Encrypt 'Sycamore2027h1'",
    ]
    for item in found:
        assert sct.signature_flaw(item, entry, keys[item.log_id][1]) is None
    # a static log tells the place of the entry in an extension
    assert [bool(item.extensions) for item in found] == [False, False, True]


@pytest.mark.skipif(not SUITE.is_file(), reason=f"x509-limbo's suite is not at {SUITE}")
def test_real_precertificates_are_rebuilt() -> None:
    """Those of the public web that x509-limbo has: whatever a listed log signed verifies."""
    keys = log_keys()
    found: dict[str, Certificate] = {}
    for case in json.loads(SUITE.read_text())["testcases"]:
        if case["id"].startswith(("online::", "cve::")):
            for text in (case["peer_certificate"], *case["untrusted_intermediates"], *case["trusted_certs"]):
                for data in certificates_in_pem(text.encode()):
                    certificate = Certificate.parse_untrusted(data)
                    found[certificate.sha256] = certificate
    verified = 0
    for leaf in found.values():
        issuer = next(
            (one for one in found.values() if one.subject_der == leaf.issuer_der and leaf.signed_by(one)), None
        )
        for data in sct.embedded_untrusted(leaf) if issuer is not None else ():
            assert issuer is not None
            read = sct.sct_untrusted(data)
            if read.log_id in keys:
                entry = sct.precert_entry_untrusted(leaf, issuer)
                assert sct.signature_flaw(read, entry, keys[read.log_id][1]) is None, leaf.subject
                verified += 1
    assert verified > 20


def log_keys() -> dict[bytes, tuple[str, Any]]:
    listed = json.loads((resources.files("scanner") / "data" / "ct-logs.json").read_bytes())
    return {
        base64.b64decode(log["log_id"]): (log["description"], load_der_public_key(base64.b64decode(log["key"])))
        for operator in listed["operators"]
        for log in [*operator["logs"], *operator["tiled_logs"]]
    }


# --- times -----------------------------------------------------------------------------------------


def test_times_of_embedded_scts_are_sorted() -> None:
    leaf = with_scts([ARGON, YETI], issuer=CA, times={ARGON: NOW - 5 * DAY, YETI: NOW - 6 * DAY}, spoil=[ARGON]).parsed
    assert sct.sct_times_untrusted(leaf) == (NOW - 6 * DAY, NOW - 5 * DAY)
    assert sct.sct_times_untrusted(CA.parsed) == ()
    good = ARGON.sct(b"", NOW)
    mixed = pki.certificate("leaf.example", issuer=CA, extra=[extension(sct_list([b"\x01v2", good]))])
    assert sct.sct_times_untrusted(mixed.parsed) == (NOW,)
    broken = pki.certificate("leaf.example", issuer=CA, extra=[extension(b"\xff\xff")])
    assert sct.sct_times_untrusted(broken.parsed) == ()


# --- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\0\0", b"\0\1", b"\0\2\0\0", b"\0\3\0\2x", b"\0\3\0\1xy", b"\0\4\0\1xy", b"\0\2\0\0\0"],
    ids=lambda data: data.hex() or "empty",
)
def test_malformed_lists_are_refused(data: bytes) -> None:
    with pytest.raises(SctError):
        sct.list_untrusted(data)


def test_long_lists_are_cut() -> None:
    assert sct.list_untrusted(sct_list([b"x"] * 20_000)) == (b"x",) * sct.MAX_SCTS


def test_every_cut_of_an_sct_is_refused() -> None:
    whole = ARGON.sct(b"entry", NOW, extensions=b"ext")
    assert sct.sct_untrusted(whole).time == NOW
    for end in range(len(whole)):
        with pytest.raises(SctError):
            sct.sct_untrusted(whole[:end])
    with pytest.raises(SctError):
        sct.sct_untrusted(whole + b"\0")
    with pytest.raises(SctError, match="version 2"):
        sct.sct_untrusted(b"\x01" + whole[1:])


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_raise_sct_error_alone(data: bytes) -> None:
    leaf = pki.certificate("leaf.example", issuer=CA).parsed
    listed = pki.certificate("leaf.example", issuer=CA, extra=[pki.extension(sct_oid(), data)]).parsed
    for read in (
        lambda: sct.list_untrusted(data),
        lambda: sct.sct_untrusted(data),
        lambda: sct.stapled_untrusted(data, leaf),
        lambda: sct.embedded_untrusted(listed),
        lambda: sct.precertificate_untrusted(listed),
    ):
        try:
            read()
        except SctError as error:
            assert str(error)


# --- staples ---------------------------------------------------------------------------------------


def staple(serial: int, *extensions: bytes) -> bytes:
    """An OCSP response of one certificate, signed by nobody."""
    hashed = pki.sequence(pki.oid("2.16.840.1.101.3.4.2.1"))
    identifier = pki.sequence(hashed, pki.octets(bytes(32)), pki.octets(bytes(32)), pki.integer(serial))
    when = pki.tlv(0x18, b"20261123000000Z")
    single = pki.sequence(
        identifier, pki.tlv(0x80), when, pki.tlv(0xA1, pki.sequence(*extensions)) if extensions else b""
    )
    data = pki.sequence(pki.tlv(0xA2, pki.octets(bytes(20))), when, pki.sequence(single))
    basic = pki.sequence(data, pki.sequence(pki.oid("1.2.840.10045.4.3.2")), pki.bit_string(b"none"))
    return pki.sequence(
        pki.tlv(0x0A, b"\0"), pki.tlv(0xA0, pki.sequence(pki.oid("1.3.6.1.5.5.7.48.1.1"), pki.octets(basic)))
    )


def test_scts_of_a_staple_are_those_of_the_certificate() -> None:
    leaf = pki.certificate("leaf.example", issuer=CA, serial=0x1234).parsed
    stapled = extension(sct_list([b"one", b"two"]), STAPLED)
    other = pki.extension("1.3.6.1.4.1.32473.1", pki.octets(b""))
    assert sct.stapled_untrusted(staple(0x1234, other, stapled), leaf) == (b"one", b"two")
    assert sct.stapled_untrusted(staple(0x1235, stapled), leaf) == ()
    assert sct.stapled_untrusted(staple(0x1234, other), leaf) == ()
    assert sct.stapled_untrusted(staple(0x1234), leaf) == ()
    # tryLater
    assert sct.stapled_untrusted(pki.sequence(pki.tlv(0x0A, b"\3")), leaf) == ()
    whole = staple(0x1234, stapled)
    for end in range(len(whole)):
        with pytest.raises(SctError):
            sct.stapled_untrusted(whole[:end], leaf)


def test_scts_of_a_staple_with_an_unknown_critical_extension_are_read() -> None:
    leaf = pki.certificate("leaf.example", issuer=CA, serial=0x1234).parsed
    unknown = pki.extension("1.3.6.1.4.1.32473.1", pki.octets(b""), critical=True)
    assert sct.stapled_untrusted(staple(0x1234, unknown, extension(sct_list([b"one"]), STAPLED)), leaf) == (b"one",)
