from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import load_der_x509_certificate
from cryptography.x509 import ocsp as their

from scanner.x509 import ocsp, ocsp_request
from scanner.x509.ocsp import OcspError, OcspRefusal, verify_untrusted
from tests.helpers import revocation as made
from tests.helpers.pki import DAY, NOW, Issued, authority, certificate, extension, key, octets, oid, sequence, tlv
from tests.helpers.revocation import WORLD, damaged, ocsp_of, responder, single

LEAF, CA = WORLD.leaf, WORLD.ca
OPENSSL = shutil.which("openssl")


def refused(data: bytes, leaf: Issued = LEAF, issuer: Issued = CA) -> str:
    with pytest.raises(OcspError) as caught:
        verify_untrusted(data, leaf.parsed, issuer.parsed)
    return str(caught.value)


# --- who may answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("hash_name", ["sha1", "sha256", "sha512"])
def test_responses_of_the_issuer_verify(by_name: bool, hash_name: str) -> None:
    data = ocsp_of(single(LEAF, CA, hash_name=hash_name), signer=CA, by_name=by_name)
    said = verify_untrusted(data, *WORLD.parsed())
    assert (said.single.status, said.delegated, said.responder) == ("good", False, "CN=Revocation CA")
    assert said.single.this_update == NOW - DAY and said.single.next_update == NOW + 6 * DAY


@pytest.mark.parametrize("kind", ["rsa:2048", "ec:P-384", "ed25519"])
def test_responses_signed_with_every_kind_of_key_verify(kind: str) -> None:
    ca = authority("Kinds CA", WORLD.root, private=key("kinds", "rsa:2048" if kind == "rsa:2048" else "ec:P-256"))
    leaf = certificate("leaf.example", issuer=ca)
    signer = responder(ca, private=key("responder of kinds", kind))
    for pss in (False, True) if kind == "rsa:2048" else (False,):
        data = ocsp_of(single(leaf, ca), signer=signer, certificates=[signer], by_name=True, pss=pss)
        assert verify_untrusted(data, leaf.parsed, ca.parsed).delegated


def test_responses_of_a_delegated_responder_verify() -> None:
    signer = responder(CA)
    said = verify_untrusted(ocsp_of(single(LEAF, CA), signer=signer, certificates=[CA, signer]), *WORLD.parsed())
    assert said.delegated and said.responder == "CN=Responder"
    assert (said.not_before, said.not_after) == (signer.parsed.not_before, signer.parsed.not_after)


def test_responders_without_delegation_are_refused() -> None:
    def by(signer: Issued, *more: Issued) -> str:
        return refused(ocsp_of(single(LEAF, CA), signer=signer, certificates=[signer, *more]))

    assert "not allowed to sign OCSP" in by(responder(CA, purposes=("serverAuth",)))
    assert "not allowed to sign OCSP" in by(responder(CA, without=("san", "eku")))
    assert "not named by the certificate's issuer" in by(responder(WORLD.root))
    assert "not named by the certificate's issuer" in by(responder(WORLD.other_key))
    between = authority("Between", CA)
    assert "not named by the certificate's issuer" in by(responder(between), between)
    assert "critical extension" in by(responder(CA, extra=[made.UNHEARD_OF]))
    assert "not named by" in by(responder(CA, break_signature=True))


def test_responses_signed_by_others_are_refused() -> None:
    assert refused(ocsp_of(single(LEAF, CA), signer=WORLD.other_key)).startswith("it is signed by somebody else: key ")
    named = refused(ocsp_of(single(LEAF, CA), signer=WORLD.root, by_name=True))
    assert named == "it is signed by somebody else: CN=Revocation Root"
    assert "issuer's key" in refused(ocsp_of(single(LEAF, CA), signer=CA, signed_by=key("a thief")))
    assert "issuer's key" in refused(ocsp_of(single(LEAF, CA), signer=CA, break_signature=True))
    # the right name, another key, and a certificate of it that a stranger could have made
    impostor = made.responder(WORLD.other_key, label="Revocation CA", private=key("an impostor"))
    assert refused(ocsp_of(single(LEAF, CA), signer=impostor, by_name=True, certificates=[impostor]))
    signer = responder(CA)
    broken = ocsp_of(single(LEAF, CA), signer=signer, certificates=[signer], break_signature=True)
    assert "responder's key" in refused(broken)


def test_responses_signed_with_broken_hashes_are_refused() -> None:
    ca = authority("RSA CA", WORLD.root, private=key("rsa ca", "rsa:2048"))
    leaf = certificate("leaf.example", issuer=ca)
    assert "md5" in refused(ocsp_of(single(leaf, ca), signer=ca, hash_name="md5"), leaf, ca)
    said = verify_untrusted(ocsp_of(single(leaf, ca), signer=ca, hash_name="sha1"), leaf.parsed, ca.parsed)
    assert said.single.status == "good"


# --- about what --------------------------------------------------------------------------------------


def test_responses_about_another_certificate_are_refused() -> None:
    words = refused(made.ocsp(WORLD.other_leaf, CA))
    assert words.startswith("it is about another certificate (serial number ")
    # the same serial number under another key of the issuer's name
    assert "another certificate" in refused(ocsp_of(single(LEAF, WORLD.other_key), signer=CA))
    assert "another certificate" in refused(ocsp_of(single(LEAF, WORLD.root), signer=CA))
    assert refused(ocsp_of(signer=CA)) == "it is about nothing"


def test_the_part_about_the_certificate_is_used() -> None:
    several = [single(WORLD.other_leaf, CA, "revoked"), single(LEAF, CA), single(LEAF, CA, "good", serial=5)]
    assert verify_untrusted(ocsp_of(*several, signer=CA), *WORLD.parsed()).single.status == "good"


def test_revoked_wins_and_else_the_newest() -> None:
    both = [single(LEAF, CA), single(LEAF, CA, "revoked", this_update=NOW - 2 * DAY), single(LEAF, CA)]
    assert verify_untrusted(ocsp_of(*both, signer=CA), *WORLD.parsed()).single.status == "revoked"
    two = [single(LEAF, CA, this_update=NOW - DAY), single(LEAF, CA, this_update=NOW - 3 * DAY)]
    assert verify_untrusted(ocsp_of(*two, signer=CA), *WORLD.parsed()).single.this_update == NOW - DAY


@pytest.mark.parametrize(
    ("number", "reason"), [(None, None), (0, "unspecified"), (1, "keyCompromise"), (6, "certificateHold"), (7, "7")]
)
def test_revocations_have_a_time_and_a_reason(number: int | None, reason: str | None) -> None:
    said = verify_untrusted(made.ocsp(LEAF, CA, "revoked", reason=number), *WORLD.parsed()).single
    assert (said.status, said.reason, said.revoked_at) == ("revoked", reason, NOW - 10 * DAY)


def test_unknown_is_a_status() -> None:
    assert verify_untrusted(made.ocsp(LEAF, CA, "unknown"), *WORLD.parsed()).single.status == "unknown"


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (1, "malformedRequest"),
        (2, "internalError"),
        (3, "tryLater"),
        (5, "sigRequired"),
        (6, "unauthorized"),
        (9, "status 9"),
    ],
)
def test_refusals_of_the_responder_are_named(status: int, name: str) -> None:
    with pytest.raises(OcspRefusal, match=name):
        verify_untrusted(made.refusal(status), *WORLD.parsed())


def test_unknown_critical_extensions_are_refused() -> None:
    nonce = extension("1.3.6.1.5.5.7.48.1.2", octets(b"12345678"), critical=True)
    harmless = extension("1.3.6.1.4.1.32473.9", tlv(0x05))
    kept = verify_untrusted(
        ocsp_of(single(LEAF, CA, extensions=[harmless]), signer=CA, extensions=[nonce]), *WORLD.parsed()
    )
    assert len(kept.single.extensions) == 1
    assert "critical" in refused(ocsp_of(single(LEAF, CA), signer=CA, extensions=[made.UNHEARD_OF]))
    assert "critical" in refused(ocsp_of(single(LEAF, CA, extensions=[made.UNHEARD_OF]), signer=CA))


# --- what is no response -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an OCSP response: empty"),
        (b"<!DOCTYPE html><title>Log in", "not an OCSP response: an HTML page"),
        (b'\r\n<?xml version="1.0"?>', "not an OCSP response: XML or HTML"),
        (b'{"error": 1}', "not an OCSP response: JSON"),
        (b"Not found\n", "not an OCSP response: text"),
        (b"\xff\xfe\x00", "not an OCSP response: OCSPResponse: tag 0xff where 0x30 belongs"),
        (b"\x30" * 40, "not an OCSP response: "),
        (bytes(ocsp.MAX_RESPONSE_BYTES + 1), "bytes, more than"),
    ],
)
def test_what_is_not_a_response_is_refused(data: bytes, words: str) -> None:
    assert words in refused(data)


def test_responses_of_another_type_are_refused() -> None:
    inner = sequence(oid("1.3.6.1.5.5.7.48.1.99"), octets(b"x"))
    assert "type 1.3.6.1.5.5.7.48.1.99" in refused(sequence(tlv(0x0A, b"\x00"), tlv(0xA0, inner)))


def test_too_many_responses_are_refused() -> None:
    many = [single(LEAF, CA, serial=number) for number in range(ocsp.MAX_SINGLES + 1)]
    assert "more than 1000 certificates" in refused(ocsp_of(*many, signer=CA))


def test_damaged_responses_raise_ocsp_error_alone() -> None:
    signer = responder(CA)
    sound = ocsp_of(
        single(LEAF, CA, "revoked", reason=1, extensions=[extension("1.2.3", tlv(0x05))]),
        signer=signer,
        certificates=[signer],
    )
    leaf, ca = WORLD.parsed()
    for data in damaged(sound, 7):
        try:
            said = verify_untrusted(data, leaf, ca)
        except OcspError:
            continue
        # what still verifies says the same: only what is not signed was hit
        assert said.single.status == "revoked"


# --- others' responses -------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", list(their.OCSPResponderEncoding))
@pytest.mark.parametrize("status", list(their.OCSPCertStatus))
def test_responses_made_by_cryptography_are_read(
    encoding: their.OCSPResponderEncoding, status: their.OCSPCertStatus
) -> None:
    leaf, ca = WORLD.parsed()
    certificates = [load_der_x509_certificate(certificate.der) for certificate in (leaf, ca)]
    now = datetime.fromtimestamp(NOW, UTC)
    revoked = status is their.OCSPCertStatus.REVOKED
    data = (
        their.OCSPResponseBuilder()
        .add_response(
            certificates[0], certificates[1], hashes.SHA256(), status, now, now, now if revoked else None, None
        )
        .responder_id(encoding, certificates[1])
        .sign(CA.private, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    assert verify_untrusted(data, leaf, ca).single.status == status.name.lower()


@pytest.mark.skipif(OPENSSL is None, reason="no openssl program on this machine")
def test_responses_made_by_openssl_are_read(tmp_path: Path) -> None:
    """`openssl ocsp` as a responder over files: the CA itself, a named responder, and a stranger."""
    leaf, ca = WORLD.parsed()
    signer, stranger = responder(CA), responder(WORLD.root, label="Stranger")
    (tmp_path / "ca.pem").write_text(CA.pem + CA.key_pem)
    (tmp_path / "request").write_bytes(ocsp_request.encode_request(leaf, ca))
    serial = leaf.serial.upper()
    lines = [
        f"R\t270101000000Z\t261101000000Z,keyCompromise\t{serial}\tunknown\t/CN=leaf.example",
        f"V\t270101000000Z\t\t{WORLD.other_leaf.parsed.serial.upper()}\tunknown\t/CN=other.example",
    ]
    (tmp_path / "index.txt").write_text("\n".join(lines) + "\n")

    def answer(by: Issued, *more: str, request: bytes | None = None) -> bytes:
        (tmp_path / "signer.pem").write_text(by.pem + by.key_pem)
        (tmp_path / "asked").write_bytes(request or (tmp_path / "request").read_bytes())
        files = (
            "-index",
            "index.txt",
            "-CA",
            "ca.pem",
            "-rsigner",
            "signer.pem",
            "-reqin",
            "asked",
            "-respout",
            "answer",
        )
        subprocess.run(
            [str(OPENSSL), "ocsp", *files, "-ndays", "3", "-noverify", *more],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        return (tmp_path / "answer").read_bytes()

    said = verify_untrusted(answer(CA), leaf, ca)
    assert (said.single.status, said.single.reason, said.delegated) == ("revoked", "keyCompromise", False)
    said = verify_untrusted(answer(signer, "-resp_key_id"), leaf, ca)
    assert (said.single.status, said.delegated) == ("revoked", True)
    other = WORLD.other_leaf.parsed
    good = answer(signer, request=ocsp_request.encode_request(other, ca, hash_name="sha256"))
    assert verify_untrusted(good, other, ca).single.status == "good"
    assert "another certificate" in refused(good)
    unlisted = certificate("unlisted.example", issuer=CA).parsed
    assert (
        verify_untrusted(answer(CA, request=ocsp_request.encode_request(unlisted, ca)), unlisted, ca).single.status
        == "unknown"
    )
    assert "not named by" in refused(answer(stranger))


def test_an_unreadable_signer_certificate_is_named_in_the_error() -> None:
    data = ocsp_of(single(LEAF, CA), signer=responder(CA), certificates=[sequence(tlv(0x02, b"\x01"))])
    assert "cannot be read" in refused(data)


def test_keys_that_cannot_be_used_verify_nothing() -> None:
    strange = certificate("Strange CA", ca=True, public_key=sequence(sequence(oid("1.2.3")), tlv(0x03, b"\x00abc")))
    leaf = certificate("leaf.example", issuer=strange)
    with pytest.raises(OcspError):
        verify_untrusted(ocsp_of(single(leaf, strange), signer=strange, by_name=True), leaf.parsed, strange.parsed)


# --- what is too much --------------------------------------------------------------------------------


@pytest.mark.parametrize("octets_of_status", [9, 3_000, 100_000])
def test_a_status_is_a_small_number(octets_of_status: int) -> None:
    data = sequence(tlv(0x0A, b"\x01" + bytes(octets_of_status - 1)))
    assert f"INTEGER of {octets_of_status} bytes" in refused(data)


def test_a_reason_is_a_small_number() -> None:
    status = tlv(0xA1, made.generalized(NOW), tlv(0xA0, tlv(0x0A, b"\x01" + bytes(5000))))
    about = sequence(made.certificate_id(LEAF, CA), status, made.generalized(NOW))
    assert "INTEGER of 5001 bytes" in refused(ocsp_of(about, signer=CA))


def test_long_serial_numbers_are_refused_or_shown_in_part() -> None:
    assert "serialNumber: 1025 bytes" in refused(made.ocsp(LEAF, CA, serial=1 << 8 * 1024))
    words = refused(made.ocsp(LEAF, CA, serial=1 << 8 * 1000))
    assert words.startswith("it is about another certificate (serial number 1000") and len(words) < 200


def test_error_messages_are_bounded() -> None:
    stranger = certificate(
        sequence(*[tlv(0x31, sequence(oid("2.5.4.10"), tlv(0x0C, b"x" * 900)))] * 50), private=key("s")
    )
    words = refused(ocsp_of(single(LEAF, CA), signer=stranger, by_name=True))
    assert len(words) == ocsp.MAX_MESSAGE and words.endswith("…")
