"""PEM as it is found."""

from __future__ import annotations

from scanner.x509.pem import blocks, certificates_in_pem
from tests.helpers import pki

LEAF = pki.certificate()


def test_blocks_of_every_label_are_read() -> None:
    text = LEAF.pem.encode() + b"-----BEGIN X-----\n!\n-----END X-----\n" + b"-----BEGIN Y-----\nAA==\n-----END Y-----"
    assert list(blocks(text)) == [(b"CERTIFICATE", LEAF.der), (b"X", None), (b"Y", b"\0")]
    assert list(certificates_in_pem(text)) == [LEAF.der]


def test_headers_indentation_and_one_long_line() -> None:
    lines = LEAF.pem.splitlines()
    body = "".join(lines[1:-1])
    for text in (
        "\n".join(f"   {line}  " for line in lines),
        f"{lines[0]}\n{body}\n{lines[-1]}",
        f"{lines[0]}\nProc-Type: 4,ENCRYPTED\n\n{body}\n{lines[-1]}",
    ):
        assert list(certificates_in_pem(text.encode())) == [LEAF.der]


def test_trust_settings_after_a_trusted_certificate_are_cut() -> None:
    import base64

    body = base64.encodebytes(LEAF.der + b"\x30\x00").decode()
    text = f"-----BEGIN TRUSTED CERTIFICATE-----\n{body}-----END TRUSTED CERTIFICATE-----\n"
    assert list(certificates_in_pem(text.encode())) == [LEAF.der]


def test_a_block_without_an_end_is_skipped() -> None:
    text = b"-----BEGIN CERTIFICATE-----\nAAAA\n" * 3 + LEAF.pem.encode()
    assert list(certificates_in_pem(text)) == [LEAF.der]


def test_many_beginnings_are_read_in_linear_time() -> None:
    assert list(blocks(b"-----BEGIN CERTIFICATE-----\n" * 100_000)) == []
