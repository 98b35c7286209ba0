"""Parsing: what a healthy certificate says, and what a broken or strange one does not do to us."""

from __future__ import annotations

import json
import random

import pytest
from cryptography import x509 as cryptography_x509

from scanner.trust.intermediates import Intermediates
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate, CertificateError, describe, describe_malformed
from scanner.x509.distinguished import name_text
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, tlv

ROOT = pki.root()
LEAF = pki.certificate(
    "leaf.example",
    issuer=ROOT,
    san=["leaf.example", "*.leaf.example", "IP:192.0.2.1", "IP:2001:db8::1", "email:a@b.example"],
    serial=0xABCDEF,
    extra=[
        pki.authority_info_access(issuers=["http://ca.test/ca.crt"], ocsp=["http://ocsp.test/"]),
        pki.extension("1.3.6.1.5.5.7.1.24", pki.sequence(pki.integer(5))),
        pki.extension(
            "2.5.29.31", pki.sequence(pki.sequence(tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://crl.test/ca.crl")))))
        ),
    ],
)


def test_fields() -> None:
    certificate = LEAF.parsed
    assert certificate.subject == "CN=leaf.example"
    assert certificate.issuer == "CN=Test Root"
    assert certificate.common_name == "leaf.example"
    assert certificate.serial == "00abcdef"[2:]
    assert (certificate.not_before, certificate.not_after) == (NOW - 30 * DAY, NOW + 60 * DAY)
    assert certificate.san == ("leaf.example", "*.leaf.example", "192.0.2.1", "2001:db8::1")
    assert certificate.dns_names == ("leaf.example", "*.leaf.example")
    assert certificate.ip_addresses == (bytes([192, 0, 2, 1]), bytes.fromhex("20010db8" + "0" * 22 + "01"))
    assert (certificate.key, certificate.key_type, certificate.key_bits) == ("ec:P-256", "ec", 256)
    assert certificate.signature == "ecdsa-with-SHA256"
    assert certificate.extended_key_usage == ("serverAuth",)
    assert not certificate.is_ca and not certificate.self_issued and not certificate.self_signed
    assert certificate.aia_ca_issuers == ("http://ca.test/ca.crt",)
    assert certificate.ocsp_urls == ("http://ocsp.test/",)
    assert certificate.crl_urls == ("http://crl.test/ca.crl",)
    assert certificate.must_staple
    assert certificate.flaws == () and certificate.unknown_critical == ()
    assert certificate.signed_by(ROOT.parsed)
    root = ROOT.parsed
    assert root.is_ca and root.self_issued and root.self_signed and root.path_length is None


def test_agrees_with_cryptography() -> None:
    certificate = LEAF.parsed
    other = cryptography_x509.load_der_x509_certificate(certificate.der)
    assert certificate.not_before == other.not_valid_before_utc.timestamp()
    assert certificate.not_after == other.not_valid_after_utc.timestamp()
    assert int(certificate.serial, 16) == other.serial_number
    assert certificate.subject == other.subject.rfc4514_string()
    assert certificate.tbs_der == other.tbs_certificate_bytes
    assert certificate.signature_bytes == other.signature
    assert certificate.subject_der == other.subject.public_bytes()


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("rsa:1024", "rsa:1024"),
        ("rsa:2048", "rsa:2048"),
        ("ec:P-384", "ec:P-384"),
        ("ec:P-521", "ec:P-521"),
        ("ec:P-192", "ec:P-192"),
        ("ed25519", "ed25519"),
        ("ed448", "ed448"),
        ("dsa:1024", "dsa:1024"),
    ],
)
def test_keys_and_signatures(kind: str, shown: str) -> None:
    certificate = pki.certificate("k", private=pki.key("k", kind)).parsed
    assert certificate.key == shown
    assert certificate.self_signed


def test_rsassa_pss_certificates_verify() -> None:
    certificate = pki.certificate("k", private=pki.key("k", "rsa:2048"), pss=True, hash_name="sha384").parsed
    assert certificate.signature == "rsassa-pss-sha384"
    assert certificate.self_signed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (tlv(0x0C, b'a,b+c"d\\e<f>g;h'), 'CN=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h'),
        (tlv(0x0C, b" x "), "CN=\\ x\\ "),
        (tlv(0x0C, b"#x"), "CN=\\#x"),
        (tlv(0x0C, b"a\0b"), "CN=a\\00b"),
        (tlv(0x0C, b"\x1b[31mred"), "CN=\x1b[31mred"),
        (tlv(0x0C, "bücher 漢".encode()), "CN=bücher 漢"),
        (tlv(0x1E, "bücher".encode("utf-16-be")), "CN=bücher"),
        (tlv(0x14, b"b\xfccher"), "CN=bücher"),
        (tlv(0x1C, "x".encode("utf-32-be")), "CN=x"),
        (tlv(0x0C, b"\xff\xfe"), "CN=#0c02fffe"),
        (tlv(0x02, b"\x05"), "CN=#020105"),
        (tlv(0x0C, b""), "CN="),
    ],
)
def test_names_are_exact_and_valid_text(value: bytes, text: str) -> None:
    certificate = pki.certificate(pki.name(CN=value), san=["a.example"]).parsed
    assert certificate.subject == text
    assert certificate.subject_attributes == name_text(certificate.subject_der).attributes
    json.dumps(describe(certificate), ensure_ascii=False).encode()


@pytest.mark.parametrize("value", [tlv(0x1E, b"\xd8\x00"), tlv(0x1E, b"\x00"), tlv(0x13, b"ab\xe9")])
def test_strings_that_break_their_own_type(value: bytes) -> None:
    broken = pki.name(CN=value)
    assert name_text(broken).text == f"CN=#{value.hex()}"
    assert "string type" in (name_text(broken).flaw or "")
    certificate = pki.certificate(broken, san=["a.example"]).parsed
    assert certificate.subject == f"CN=#{value.hex()}" and "string type" in certificate.flaws[0]


def test_several_attributes_are_written_last_first() -> None:
    certificate = pki.certificate(pki.name(C="DE", O="Ö, Inc", CN="x"), san=["x.example"]).parsed
    assert certificate.subject == "CN=x,O=Ö\\, Inc,C=DE"
    assert certificate.subject_attributes == (("C", "DE"), ("O", "Ö, Inc"), ("CN", "x"))
    assert pki.certificate(pki.name(), san=["x.example"]).parsed.subject == ""


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"serial": -5}, "serial number is negative"),
        ({"extra": [pki.basic_constraints(False)]}, "there twice"),
        ({"subject": pki.name(CN=tlv(0x0C, b"\xff")), "san": ["a.example"]}, "string type"),
    ],
)
def test_flaws_are_reported_and_the_rest_is_read(changes: dict[str, object], flaw: str) -> None:
    certificate = pki.certificate(**{"subject": "x.example", **changes}).parsed  # type: ignore[arg-type]
    assert flaw in " ".join(certificate.flaws)
    assert flaw in describe(certificate)["error"]
    assert certificate.not_after == NOW + 60 * DAY


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cut off"),
        (b"\x30", "cut off"),
        (b"\x30\x80\x00\x00", "indefinite"),
        (b"\x30\x84\xff\xff\xff\xff", "beyond"),
        (b"\x30\x89" + b"\xff" * 9, "too long"),
        (b"\x1f\x81\x00", "tag"),
        (b"-----BEGIN CERTIFICATE-----", "tag"),
        (pki.certificate("x", version=-3).der, "version"),
        (pki.certificate("x", serial=b"\x02\x00").der, "serial"),
        (pki.certificate("x", validity=pki.sequence(tlv(0x17, b"261332000000Z"), pki.time(NOW))).der, "calendar"),
        (pki.certificate("x", validity=pki.sequence(tlv(0x17, b"260230000000Z"), pki.time(NOW))).der, "calendar"),
        (pki.certificate("x", validity=pki.sequence(tlv(0x17, b"260228000000"), pki.time(NOW))).der, "time"),
        (pki.certificate("x", validity=pki.sequence(pki.time(NOW))).der, "two times"),
        (b"\x30\x82\x03\xe8" + bytes(1000), "tag"),
        (bytes(2 << 20), "more than"),
    ],
)
def test_what_is_not_a_certificate_raises_certificate_error(data: bytes, why: str) -> None:
    with pytest.raises(CertificateError, match=why) as caught:
        Certificate.parse_untrusted(data)
    record = describe_malformed(data, caught.value)
    assert record["subject"] is None and record["error"] == str(caught.value)


@pytest.mark.parametrize(
    ("text", "year"), [(b"99991231235959Z", "9999-12-31T23:59:59Z"), (b"20500101000000Z", "2050-01-01T00:00:00Z")]
)
def test_dates_after_2050_are_read(text: bytes, year: str) -> None:
    certificate = pki.certificate("x", validity=pki.sequence(pki.time(NOW), tlv(0x18, text))).parsed
    assert describe(certificate)["not_after"] == year
    assert (
        certificate.not_after
        == cryptography_x509.load_der_x509_certificate(certificate.der).not_valid_after_utc.timestamp()
    )


def test_dates_that_datetime_does_not_have_are_refused_or_read_never_fatal() -> None:
    for text in (b"00000101000000Z", b"00010101000000Z", b"99999999999999Z"):
        validity = pki.sequence(tlv(0x18, text), pki.time(NOW))
        try:
            certificate = pki.certificate("x", validity=validity).parsed
        except CertificateError:
            continue
        assert certificate.not_before < 0


def test_a_certificate_of_ten_thousand_names_is_read() -> None:
    certificate = pki.certificate(san=[f"h{number}.example" for number in range(10_000)]).parsed
    assert len(certificate.san) == 10_000


def test_unknown_key_is_described_and_unusable() -> None:
    strange = pki.sequence(pki.sequence(pki.oid("1.2.3.4")), pki.bit_string(b"key"))
    certificate = pki.certificate("x", public_key=strange).parsed
    assert certificate.key == "1.2.3.4"
    with pytest.raises(CertificateError, match="public key"):
        _ = certificate.public_key
    assert not certificate.self_signed


def test_a_certificate_that_was_released_is_as_before() -> None:
    certificate = Certificate.parse_untrusted(LEAF.der)
    loaded = certificate.public_key
    certificate.release()
    assert certificate.public_key is not loaded
    assert certificate.public_key == loaded
    assert certificate.signed_by(ROOT.parsed) is True


def test_damaged_certificates_raise_certificate_error_alone() -> None:
    """Any change to any byte gives a certificate or a CertificateError, and the judge always answers."""
    generator = random.Random(20261123)
    root = ROOT.parsed
    sources = [LEAF.der, ROOT.der, pki.certificate("m", issuer=ROOT, private=pki.key("m", "rsa:2048")).der]
    verifier = ChainVerifier(
        [pki.store(ROOT)], public_roots=frozenset({root.sha256}), intermediates=Intermediates(shipped=False)
    )
    parsed = 0
    for _ in range(1500):
        data = bytearray(generator.choice(sources))
        for _ in range(generator.choice((1, 1, 1, 2, 5))):
            place = generator.randrange(len(data))
            change = generator.randrange(4)
            if change == 0:
                data[place] ^= 1 << generator.randrange(8)
            elif change == 1:
                data[place] = generator.randrange(256)
            elif change == 2:
                del data[place]
            else:
                data.insert(place, generator.randrange(256))
        try:
            certificate = Certificate.parse_untrusted(bytes(data))
        except CertificateError:
            assert verifier.verify((bytes(data),), name="leaf.example", at=NOW).leaf is None
            continue
        parsed += 1
        json.dumps(describe(certificate), ensure_ascii=False).encode()
        _ = certificate.must_staple, certificate.crl_urls, certificate.self_signed
        verdict = verifier.verify((bytes(data), ROOT.der), name="leaf.example", at=NOW)
        assert verdict.leaf == certificate
        assert not verdict.trusted or bytes(data) in sources
        verifier.verify((LEAF.der, bytes(data)), name="leaf.example", at=NOW)
    assert parsed > 150


def test_certificates_of_equal_bytes_are_equal_and_not_unequal() -> None:
    issued = pki.root()
    first, second, other = issued.parsed, issued.parsed, pki.root("Other").parsed
    assert first is not second and first == second and not first != second
    assert first != other and not first == other and first != "text"
