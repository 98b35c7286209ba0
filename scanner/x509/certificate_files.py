"""Certificate files as people have them: PEM with one or many blocks and text between them, DER, PKCS #7.

What else people take for such a file (PKCS #12, keys, requests, UTF-16, base64 without boundaries) is named as what it is, and what
was passed over in a file that could be used is said.
"""

from __future__ import annotations

import binascii
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    pkcs7,
)
from msgspec import Struct

from scanner.errors import TlsweepError
from scanner.x509 import der
from scanner.x509.certificate import Certificate, CertificateError
from scanner.x509.pem import BYTE_ORDER_MARK, CERTIFICATE_LABELS, Block, PemText, certificates_in, read_pem
from scanner.x509.signatures import CRYPTOGRAPHY_ERRORS

# A full chain has some 10 KB.
MAX_CHAIN_FILE_BYTES: Final = 8 << 20
# PKCS #7 begins with this type (RFC 2315 section 14), after a header of at most 6 bytes.
_SIGNED_DATA: Final = b"\x06\x09" + der.encoded_oid("1.2.840.113549.1.7.2")
_HEAD_BYTES: Final = 6 + len(_SIGNED_DATA)
_PKCS7_LABELS: Final = frozenset({b"PKCS7", b"PKCS #7 SIGNED DATA", b"CMS"})
# What PKCS #12 (RFC 7292 section 4) begins with, after its length: version 3 and a ContentInfo of one of two types
_VERSION_3: Final = b"\x02\x01\x03\x30"
_DATA: Final = b"\x06\x09" + der.encoded_oid("1.2.840.113549.1.7.1")
# Elements of a file of DER certificates one after the other
MAX_ELEMENTS: Final = 64
# Kinds of what was passed over that are listed
MAX_NOTES: Final = 8

_KINDS: Final = {
    b"PRIVATE KEY": "private key",
    b"RSA PRIVATE KEY": "private key",
    b"EC PRIVATE KEY": "private key",
    b"DSA PRIVATE KEY": "private key",
    b"ENCRYPTED PRIVATE KEY": "encrypted private key",
    b"EC PARAMETERS": "block of EC parameters",
    b"DH PARAMETERS": "block of DH parameters",
    b"PUBLIC KEY": "public key",
    b"CERTIFICATE REQUEST": "certificate request, which a CA has yet to turn into a certificate",
    b"NEW CERTIFICATE REQUEST": "certificate request, which a CA has yet to turn into a certificate",
    b"X509 CRL": "revocation list",
    b"PKCS12": "PKCS #12 file",
}
_PKCS12: Final = "a PKCS #12 file (.p12, .pfx), whose certificates are taken out with `openssl pkcs12 -in {file} -nokeys -out chain.pem`"
_KEYSTORES: Final = {
    b"\xfe\xed\xfe\xed": "a Java keystore, whose certificates are taken out with `keytool -exportcert -rfc`",
    b"\xce\xce\xce\xce": "a Java keystore, whose certificates are taken out with `keytool -exportcert -rfc`",
}


class ChainFileError(TlsweepError):
    """A file of certificates cannot be used; the message is one line for a person."""


class ChainFile(Struct, frozen=True):
    """The certificates of a file, as unparsed DER.

    ``ordered``: their order is the file's, and not that of a set (PKCS #7). ``keys`` are the public keys (DER) of private keys that
    are in the file too. ``faults`` are what servers stumble on that load the file with OpenSSL, ``passed_over`` what else was in it.
    """

    certificates: tuple[bytes, ...]
    ordered: bool = True
    keys: tuple[bytes, ...] = ()
    faults: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


def chain_untrusted(content: bytes, shown: str) -> tuple[bytes, ...]:
    """Return the certificates in a file in their order, as unparsed DER; raises only ``ChainFileError``."""
    return chain_file_untrusted(content, shown).certificates


def chain_file_untrusted(content: bytes, shown: str) -> ChainFile:
    """Return what is in a file; raises only ``ChainFileError``."""
    if b"-----BEGIN " in content:
        return _from_pem(content, shown)
    if content[:1] == b"\x30":
        return _from_der(content, shown)
    raise ChainFileError(f"{shown}: {_what_it_is(content, shown)}")


# --- PEM -------------------------------------------------------------------------------------------


def _from_pem(content: bytes, shown: str) -> ChainFile:
    pem = read_pem(content)
    ordered, found = True, tuple(certificates_in(pem))
    if not found:
        ordered = False
        found = tuple(
            certificate
            for block in pem.blocks
            if block.label in _PKCS7_LABELS and block.content
            for certificate in _pkcs7_untrusted(block.content)
        )
    if not found:
        others = list(dict.fromkeys(_with_article(block) for block in pem.blocks))
        what = f"only {', '.join(others[:5])}" if others else "no block that can be read"
        if pem.faults and not any(block.content for block in pem.blocks):
            what += f" ({pem.faults[0]})"
        raise ChainFileError(f"{shown}: no certificate in it, {what}")
    keys = [key for block in pem.blocks if (key := _public_key_of(block)) is not None]
    return ChainFile(found, ordered, tuple(keys), pem.faults, _passed_over(content, pem, ordered=ordered))


def _kind_of(block: Block) -> str:
    if block.headers and block.label.endswith(b"PRIVATE KEY"):
        return "encrypted private key"
    return _KINDS.get(block.label) or block.label.decode("ascii", "replace")


def _with_article(block: Block) -> str:
    kind = _kind_of(block)
    return kind if block.content is None or kind[0].isupper() else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _passed_over(content: bytes, pem: PemText, *, ordered: bool) -> tuple[str, ...]:
    notes = []
    if content.startswith(BYTE_ORDER_MARK):
        notes.append(
            "a byte order mark at its start, for which servers written in Go (Traefik, Caddy) lose the first certificate"
        )
    used = CERTIFICATE_LABELS if ordered else _PKCS7_LABELS
    counted = Counter(_kind_of(block) for block in pem.blocks if block.label not in used)
    notes += [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counted.items()]
    unreadable = sum(1 for block in pem.blocks if block.label in used and not block.content)
    if unreadable:
        notes.append(f"{unreadable} block{'s' if unreadable > 1 else ''} of a certificate that cannot be read")
    return tuple(notes[:MAX_NOTES])


def _public_key_of(block: Block) -> bytes | None:
    """Return the public key of a private key that is not encrypted; it tells which certificate is the server's own."""
    if block.content is None or not _kind_of(block) == "private key":
        return None
    key: bytes | None = _attempt(_public_half, block.content)
    return key


def _public_half(content: bytes) -> bytes:
    key = load_der_private_key(content, None).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- DER -------------------------------------------------------------------------------------------


def _from_der(content: bytes, shown: str) -> ChainFile:
    if _SIGNED_DATA in content[:_HEAD_BYTES]:
        found = _pkcs7_untrusted(content)
        if not found:
            raise ChainFileError(f"{shown}: PKCS #7 without a certificate, or that cannot be read")
        return ChainFile(found, ordered=False)
    elements, rest = _elements(content)
    if (other := _named_der(elements[0] if elements else content)) is not None:
        raise ChainFileError(f"{shown}: no certificate in it, only {other.format(file=shown)}")
    if not elements:
        return ChainFile((content,))
    notes = (f"{len(rest)} bytes after {len(elements)} elements of DER",) if rest.strip(b"\r\n\0 ") else ()
    faults = (
        ()
        if len(elements) == 1
        else ("its DER certificates stand one after the other, of which servers read the first",)
    )
    return ChainFile(tuple(elements), faults=faults, passed_over=notes)


def _elements(content: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole elements of DER that follow each other, and what is left."""
    found: list[bytes] = []
    rest = content
    while rest[:1] == b"\x30" and len(rest) > 1 and len(found) < MAX_ELEMENTS:
        count = rest[1] & 0x7F if rest[1] & 0x80 else 0
        length = int.from_bytes(rest[2 : 2 + count]) if count else rest[1]
        end = 2 + count + length
        if not 2 <= end <= len(rest) or count > 4:
            break
        found.append(rest[:end])
        rest = rest[end:]
    return found, rest


def _named_der(element: bytes) -> str | None:
    """Return what an element is that is known and no certificate."""
    try:
        Certificate.parse_untrusted(element)
    except CertificateError:
        pass
    else:
        return None
    head = element[2 + (element[1] & 0x7F if len(element) > 1 and element[1] & 0x80 else 0) :][:40]
    if head.startswith(_VERSION_3) and (_DATA in head or _SIGNED_DATA in head):
        return _PKCS12
    if _attempt(lambda: load_der_private_key(element, None)) is not None:
        return "a private key"
    if _attempt(lambda: load_der_private_key(element, b"?"), encrypted=True) is not None:
        return "an encrypted private key"
    kinds: tuple[tuple[Callable[[bytes], Any], str], ...] = (
        (x509.load_der_x509_csr, "a certificate request, which a CA has yet to turn into a certificate"),
        (x509.load_der_x509_crl, "a revocation list"),
        (load_der_public_key, "a public key"),
    )
    return next((name for load, name in kinds if _attempt(load, element) is not None), None)


def _attempt(load: Callable[..., Any], *given: Any, encrypted: bool = False) -> Any:
    """Return what a loader of ``cryptography`` makes, ``None`` if it refuses. ``encrypted``: a wrong password counts as success."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load(*given)
    except ValueError as error:
        return True if encrypted and "password" in str(error).lower() else None
    except (*CRYPTOGRAPHY_ERRORS, x509.InvalidVersion):
        return None


def _pkcs7_untrusted(content: bytes) -> tuple[bytes, ...]:
    """Return the certificates of SignedData (RFC 2315 section 9.1), whatever is in them; of none if it cannot be read."""
    try:
        return _certificates_of_signed_data_untrusted(content)
    except der.DerError:
        pass  # in BER, as many tools write it, which cryptography turns into DER
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of BER, which many tools write here
            certificates = pkcs7.load_der_pkcs7_certificates(content)
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)
    except (*CRYPTOGRAPHY_ERRORS, x509.InvalidVersion):  # one certificate in it may be enough
        return ()


def _certificates_of_signed_data_untrusted(content: bytes) -> tuple[bytes, ...]:
    start, stop = der.whole_untrusted(content, der.SEQUENCE, "PKCS #7")
    _, at = der.expect_untrusted(content, start, stop, der.OID, "content type")
    start, stop = der.expect_untrusted(content, at, stop, 0xA0, "content")
    start, stop = der.expect_untrusted(content, start, stop, der.SEQUENCE, "SignedData")
    found: list[bytes] = []
    for tag, first, last in der.children_untrusted(content, start, stop):
        if tag == 0xA0:
            at = first
            for kind, _, end in der.children_untrusted(content, first, last):
                if kind == der.SEQUENCE:  # any other is a certificate of PKCS #6, or of attributes
                    found.append(content[at:end])
                at = end
    return tuple(found)


# --- neither ---------------------------------------------------------------------------------------


def _what_it_is(content: bytes, shown: str) -> str:
    if not content.strip():
        return "empty"
    for magic, name in _KEYSTORES.items():
        if content.startswith(magic):
            return f"no certificate in it, only {name}"
    for encoding in ("utf-16-le", "utf-16-be"):
        if "BEGIN ".encode(encoding) in content:
            return "UTF-16 text, as PowerShell and Notepad write it; save it as UTF-8, else no server reads it"
    try:
        decoded = binascii.a2b_base64(b"".join(content.split()), strict_mode=True)
    except binascii.Error:
        decoded = b""
    if b"-----BEGIN " in decoded:
        return "PEM that was encoded with base64 once more, as in a Kubernetes secret; decode it first"
    if decoded[:1] == b"\x30":
        other = _named_der(decoded)
        kind = "a certificate" if other is None else other.format(file=shown)
        return f"base64 without the lines BEGIN CERTIFICATE and END CERTIFICATE; what it encodes is {kind}"
    return "neither PEM nor DER certificates"


# --- files -----------------------------------------------------------------------------------------


def read_chain(path: str) -> ChainFile:
    """Read a chain file from disk; raises only ``ChainFileError``."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_CHAIN_FILE_BYTES + 1)
    except OSError as error:
        raise ChainFileError(f"{path}: {error.strerror or error}") from None
    if len(content) > MAX_CHAIN_FILE_BYTES:
        raise ChainFileError(f"{path}: more than {MAX_CHAIN_FILE_BYTES >> 20} MiB")
    return chain_file_untrusted(content, path)
