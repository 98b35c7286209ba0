"""PEM as it is found, and what OpenSSL reads of it."""

from __future__ import annotations

import base64
import shutil
import subprocess
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.x509.pem import Block, blocks, certificates_in_pem, read_pem
from tests.helpers import pki

LEAF: Final = pki.certificate()
OTHER: Final = pki.certificate("other.example")
A, B = LEAF.pem, OTHER.pem


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
    body = base64.encodebytes(LEAF.der + b"\x30\x00").decode()
    text = f"-----BEGIN TRUSTED CERTIFICATE-----\n{body}-----END TRUSTED CERTIFICATE-----\n"
    assert list(certificates_in_pem(text.encode())) == [LEAF.der]


def test_a_block_without_an_end_is_skipped() -> None:
    text = b"-----BEGIN CERTIFICATE-----\nAAAA\n" * 3 + LEAF.pem.encode()
    assert list(certificates_in_pem(text)) == [LEAF.der]


@pytest.mark.parametrize(
    "part",
    [
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----END CERTIFICATE-----\n",
        b"-----END CERTIFICATE----------BEGIN CERTIFICATE-----",
        b"-",
        b"----- ",
        b"BEGIN CERTIFICATE ",
        b"-BEGIN CERTIFICATE-",
        b"\n*",
        b"-----BEGIN " + b"A" * 60,
        b" " * 60 + b"-----BEGIN CERTIFICATE-----",
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(part: bytes) -> None:
    assert list(certificates_in_pem(part * ((1 << 20) // len(part)))) == []


def test_a_key_that_is_encrypted_has_headers() -> None:
    text = (
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X\n\nAA==\n-----END RSA PRIVATE KEY-----\n"
    )
    assert read_pem(text).blocks == (Block(b"RSA PRIVATE KEY", b"\0", 1, headers=True),)
    assert read_pem(text).faults == ()


def _mapped(text: str, change: str) -> str:
    return "".join(change.format(line) + "\n" for line in text.splitlines())


_FIRST, *_BODY, _LAST = A.splitlines()
# what, the text, the faults (the start of each)
TEXTS: Final[dict[str, tuple[str, list[str]]]] = {
    "as it should be": (A + B, []),
    "CRLF": ((A + B).replace("\n", "\r\n"), []),
    "a byte order mark": ("\ufeff" + A + B, []),
    "a byte order mark in the middle": (A + "\ufeff" + B, []),
    "text around": (f"subject=CN=x\n{A}\nissuer=y\n# c\n{B}end\n", []),
    "the words in a comment": (f"# BEGIN CERTIFICATE of mine\nmy END CERTIFICATE\n{A}# END CERTIFICATE\n{B}", []),
    "bag attributes": (f"Bag Attributes\n    localKeyID: 01\n{A}{B}", []),
    "no line end at the end": ((A + B).rstrip(), []),
    "white space after boundaries": ((A + B).replace("-----\n", "-----  \n"), []),
    "indented base64": ("\n".join([_FIRST, *(f"  {line}" for line in _BODY), _LAST, B]), []),
    "base64 on one line": ("\n".join([_FIRST, "".join(_BODY), _LAST, B]), []),
    "other words for a certificate": ((A + B).replace(" CERTIFICATE", " X509 CERTIFICATE"), []),
    "END and BEGIN on one line": (A.rstrip() + B, ["BEGIN CERTIFICATE is on the line of the boundary before it"]),
    "indented": (_mapped(A, "  {}") + B, ["line 1: BEGIN CERTIFICATE is indented", "END CERTIFICATE is indented"]),
    "a tab before": ("\t" + A + B, ["line 1: BEGIN CERTIFICATE is indented"]),
    "the second is indented": (A + _mapped(B, " {}"), ["BEGIN CERTIFICATE is indented", "END CERTIFICATE is indented"]),
    "quoted as in a mail": (_mapped(A, "> {}") + B, ["BEGIN CERTIFICATE has something before it"] * 1),
    "something before": ("cert: " + A + B, ["line 1: BEGIN CERTIFICATE has something before it"]),
    "something after": (A.replace(_FIRST, _FIRST + " x") + B, ["line 1: BEGIN CERTIFICATE has something after it"]),
    "four hyphens": (A.replace("-----BEGIN", "----BEGIN") + B, ["line 1: BEGIN CERTIFICATE has not five hyphens"]),
    "six hyphens": (A + B.replace("-----BEGIN", "------BEGIN"), ["BEGIN CERTIFICATE has not five hyphens"]),
    "four at the end of BEGIN": (A.replace("TE-----\n", "TE----\n", 1) + B, ["BEGIN CERTIFICATE has not five hyphens"]),
    "four at END": (A.replace("-----END", "----END") + B, ["END CERTIFICATE has not five hyphens"]),
    "dashes of a word processor": (
        (A + B).replace("-----", "\u2013" * 5),
        ["line 1: BEGIN CERTIFICATE is not between hyphens"],
    ),
    "no END": (A.replace(_LAST + "\n", "") + B, ["line 1: BEGIN CERTIFICATE has no END"]),
    "cut off": (A + B[:300], ["BEGIN CERTIFICATE has no END"]),
    "another word at END": (A.replace("END CERTIFICATE", "END X509") + B, ["END X509 ends a block that begins as"]),
    "in small letters": ((A + B).replace("BEGIN", "begin"), ["END CERTIFICATE has no BEGIN"]),
    "no base64": (A.replace("\n", "\n!!!\n", 1) + B, ["line 1: the block that begins here is not base64"]),
    "a comment in it": (A.replace("\n", "\n# mine\n", 2) + B, ["line 1: the block that begins here is not base64"]),
    "empty lines in it": (A.replace("\n", "\n\n") + B, ["line 1: the block that begins here has an empty line"]),
    "a header in it": (A.replace("\n", "\nName: x\n\n", 1) + B, ["line 1: the block that begins here has a header"]),
    "carriage returns alone": ((A + B).replace("\n", "\r"), ["its lines end with a carriage return alone"]),
    "line ends as text": ((A + B).replace("\n", "\\n"), ["BEGIN CERTIFICATE has something after it"]),
    "a NUL": (A + "\0" + B, ["BEGIN CERTIFICATE has something before it"]),
}


@pytest.mark.parametrize("what", TEXTS)
def test_what_servers_cannot_read_is_a_fault_with_its_line(what: str) -> None:
    text, expected = TEXTS[what]
    faults = read_pem(text.encode()).faults
    assert bool(faults) is bool(expected)
    for words in expected:
        assert any(words in fault for fault in faults), faults


@pytest.mark.skipif(shutil.which("openssl") is None, reason="OpenSSL is not installed")
@pytest.mark.parametrize("what", TEXTS)
def test_openssl_reads_two_certificates_where_there_is_no_fault(what: str) -> None:
    text, expected = TEXTS[what]
    found = subprocess.run(
        ["openssl", "crl2pkcs7", "-nocrl", "-certfile", "/dev/stdin"],
        input=text.encode(), capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    printed = subprocess.run(
        ["openssl", "pkcs7", "-print_certs", "-noout"],
        input=found.stdout, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert (printed.stdout.count(b"subject") == 2) is not bool(expected)


@given(st.lists(st.sampled_from([*A.splitlines(keepends=True), "\n", " ", "-", "x", "\r", "-----", "BEGIN "])))
def test_no_text_is_too_strange(parts: list[str]) -> None:
    pem = read_pem("".join(parts).encode())
    assert all(fault and "\n" not in fault for fault in pem.faults)
    assert all(block.label for block in pem.blocks)
