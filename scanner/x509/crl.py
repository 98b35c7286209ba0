"""Certificate revocation lists (RFC 5280 section 5), complete ones, of one issuer.

Lists of public CAs have up to half a million entries in 20 MB, and a run asks each of them about a few of its
certificates. So a list is kept as its bytes. A serial number that is nowhere in them is not revoked, which
``bytes.find`` shows in some 20 ms; after ``SEARCHES`` of these an array of the hashes of all serial numbers is made,
4 MB for the longest. Entries are parsed only where a serial number may be found, and critical extensions of entries
are looked for by their bytes. ``cryptography`` would parse each entry into objects of its own, and says nothing of
what is malformed in it.

What cannot be processed (indirect lists, deltas, critical extensions that are not known) is refused in words. Lists
come from strangers, so every error is a ``CrlError``.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from scanner.x509 import certificate_fields as fields
from scanner.x509 import der, extensions
from scanner.x509.certificate import Certificate
from scanner.x509.distinguished import comparable, name_text
from scanner.x509.ocsp import BROKEN_HASHES, MAX_MESSAGE, reason_untrusted, what_instead
from scanner.x509.pem import blocks
from scanner.x509.signatures import SignatureAlgorithm, algorithm_untrusted

# The longest lists of public CAs have some 20 MB; the fetcher gives up before this.
MAX_CRL_BYTES: Final = 64 << 20
# Look-ups by searching the bytes (20 ms in the longest lists) before an index is made (half a second for those).
SEARCHES: Final = 16

CRL_SIGN: Final = 1 << 6
_DELTA_INDICATOR: Final = der.encoded_oid("2.5.29.27")
_ISSUING_POINT: Final = der.encoded_oid("2.5.29.28")
_REASON: Final = der.encoded_oid("2.5.29.21")
_CERTIFICATE_ISSUER: Final = der.encoded_oid("2.5.29.29")
_AUTHORITY_KEY: Final = extensions.AUTHORITY_KEY_IDENTIFIER
# These change nothing if they are critical: the list's number, its key, where newer lists are.
_HARMLESS: Final = frozenset({der.encoded_oid("2.5.29.20"), _AUTHORITY_KEY, der.encoded_oid("2.5.29.46")})
# The encoding of a critical extension's flag
_CRITICAL: Final = b"\x01\x01\xff"
# ReasonFlags: bit n (RFC 5280 section 4.2.1.13)
_REASON_FLAGS: Final = (
    "unused",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "privilegeWithdrawn",
    "aACompromise",
)


class CrlError(Exception):
    """This list proves nothing about the certificate; the message tells a person why."""

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…")


class RevokedEntry(Struct, frozen=True):
    """The entry of a revoked certificate. ``reason`` is one of RFC 5280 section 5.3.1, or ``None``."""

    revoked_at: float
    reason: str | None = None


class IssuingPoint(Struct, frozen=True):
    """issuingDistributionPoint (RFC 5280 section 5.2.5): the scope of the list. ``names`` may be absent (``None``)."""

    names: tuple[tuple[int, bytes], ...] | None = None
    relative: bool = False
    only_user: bool = False
    only_ca: bool = False
    only_attribute: bool = False
    indirect: bool = False
    reasons: tuple[str, ...] | None = None


class Crl:
    """One list, read and not verified. Times are seconds since the epoch."""

    def __init__(self, data: bytes) -> None:
        """Use ``load_crl_untrusted``."""
        self._data = data
        self.bytes = len(data)
        self._verified: tuple[bytes, bool] | None = None  # the last key that was tried, and whether it fits
        self._entries: tuple[int, int] | None = None
        self._understood = False
        self._asked = 0
        self._hashes: array[int] | None = None
        self.objection: str | None = None
        self.issuing_point: IssuingPoint | None = None
        self.authority_key_id: bytes | None = None
        self.next_update: float | None = None
        self._read()

    def _read(self) -> None:
        data = self._data
        start, stop = der.whole_untrusted(data, der.SEQUENCE, "CertificateList")
        at, end = der.expect_untrusted(data, start, stop, der.SEQUENCE, "tbsCertList")
        self._tbs = start, end
        outer, algorithm_stop = der.element_untrusted(data, end, stop, der.SEQUENCE, "signatureAlgorithm")
        self.algorithm: SignatureAlgorithm = algorithm_untrusted(outer)
        bits_start, bits_stop = der.expect_untrusted(data, algorithm_stop, stop, der.BIT_STRING, "signatureValue")
        unused, self.signature = der.bits_untrusted(data, bits_start, bits_stop)
        if unused or bits_stop != stop:
            raise der.DerError("signatureValue: not a whole number of bytes at the end")

        if at < end and data[at] == der.INTEGER:
            number_start, at = der.expect_untrusted(data, at, end, der.INTEGER, "version")
            if (version := der.integer_untrusted(data, number_start, at)) != 1:
                raise der.DerError(f"version: {version}, which no list has")
        inner, at = der.element_untrusted(data, at, end, der.SEQUENCE, "signature")
        if inner != outer:
            raise der.DerError("the signature algorithms inside and outside the signed part differ")
        self.issuer_der, at = der.element_untrusted(data, at, end, der.SEQUENCE, "issuer")
        tag, time_start, at = der.header_untrusted(data, at, end)
        self.this_update = fields.time_untrusted(tag, data[time_start:at])
        if at < end and data[at] in (der.UTC_TIME, der.GENERALIZED_TIME):
            tag, time_start, at = der.header_untrusted(data, at, end)
            self.next_update = fields.time_untrusted(tag, data[time_start:at])
        if at < end and data[at] == der.SEQUENCE:
            list_start, at = der.expect_untrusted(data, at, end, der.SEQUENCE, "revokedCertificates")
            self._entries = list_start, at
        if at < end:
            ext_start, ext_stop = der.expect_untrusted(data, at, end, 0xA0, "crlExtensions")
            self._read_extensions(extensions.split_untrusted(data, ext_start, ext_stop, []))
            if ext_stop != end:
                raise der.DerError("tbsCertList: bytes after the extensions")

    def _read_extensions(self, found: dict[bytes, tuple[bool, bytes]]) -> None:
        if _DELTA_INDICATOR in found:
            self.objection = "it is a delta CRL: it says only what changed since another one"
        if _ISSUING_POINT in found:
            self.issuing_point = _issuing_point_untrusted(found[_ISSUING_POINT][1])
        if _AUTHORITY_KEY in found:
            self.authority_key_id = extensions.authority_key_untrusted(found[_AUTHORITY_KEY][1]).identifier
        for oid, (critical, _) in found.items():
            if critical and oid not in _HARMLESS and oid not in (_DELTA_INDICATOR, _ISSUING_POINT):
                self.objection = f"it has a critical extension that is not known: {der.oid_untrusted(oid)}"

    @property
    def issuer(self) -> str:
        """The issuer's name as RFC 4514 text."""
        return name_text(self.issuer_der).text

    def signed_by(self, issuer: Certificate) -> bool:
        """Return True if the issuer's key verifies the list."""
        known = self._verified
        if known is None or known[0] != issuer.spki_der:
            known = self._verified = issuer.spki_der, self._verify(issuer)
        return known[1]

    def _verify(self, issuer: Certificate) -> bool:
        start, stop = self._tbs
        return (
            self.algorithm.hash not in BROKEN_HASHES
            and issuer.verifies(self.algorithm, self.signature, self._data[start:stop]) is True
        )

    # --- entries -----------------------------------------------------------------------------------

    def entry_untrusted(self, serial: int) -> RevokedEntry | None:
        """Return the entry of a serial number, ``None`` if there is none; raises only ``CrlError``."""
        if self._entries is None:
            return None
        content = der.integer_content(serial)
        try:
            if not self._understood:
                self._refuse_critical_entries()
                self._understood = True
            return self._entry(content) if self._may_hold(content) else None
        except der.DerError as error:
            raise CrlError(f"its entries cannot be read: {error}") from None

    def _may_hold(self, content: bytes) -> bool:
        """Return False if there is certainly no entry with this serial number."""
        if self._hashes is None and self._asked < SEARCHES:
            # bytes that are nowhere in the list are in no entry
            self._asked += 1
            header = bytes((der.INTEGER, len(content))) if len(content) < 0x80 else b""
            return self._data.find(header + content, *self._entries_at) >= 0
        if self._hashes is None:
            data = self._data
            self._hashes = array("q", sorted(hash(data[at:end]) for at, end, _ in self._rows()))
        wanted = hash(content)
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted

    @property
    def _entries_at(self) -> tuple[int, int]:
        return self._entries or (0, 0)

    def _rows(self) -> Iterator[tuple[int, int, int]]:
        """Yield (start of the serial number, end of it, end of the entry) of each entry."""
        data, header = self._data, der.header_untrusted
        start, stop = self._entries_at
        while start < stop:
            # the short lengths that nearly every entry has
            if stop - start > 4 and data[start] == 0x30 and data[start + 1] < 0x80 and data[start + 2] == 0x02:
                at, end = start + 4, start + 2 + data[start + 1]
                number_stop = at + data[start + 3]
                if data[start + 3] < 0x80 and number_stop < end <= stop:
                    yield at, number_stop, end
                    start = end
                    continue
            tag, at, end = header(data, start, stop)
            number_tag, at, number_stop = header(data, at, end)
            if tag != der.SEQUENCE or number_tag != der.INTEGER:
                raise der.DerError("an entry without a serial number")
            yield at, number_stop, end
            start = end

    def _entry(self, content: bytes) -> RevokedEntry | None:
        data = self._data
        for at, number_stop, end in self._rows():
            if data[at:number_stop] != content:
                continue
            time_tag, time_start, time_stop = der.header_untrusted(data, number_stop, end)
            revoked_at = fields.time_untrusted(time_tag, data[time_start:time_stop])
            reason = None
            if time_stop < end:
                found = extensions.split_untrusted(data, time_stop, end, [])
                if _CERTIFICATE_ISSUER in found:
                    raise CrlError("its entry is about another issuer's certificate")
                if _REASON in found:
                    value = found[_REASON][1]
                    reason = reason_untrusted(value, *der.whole_untrusted(value, der.ENUMERATED, "reasonCode"))
            return RevokedEntry(revoked_at, reason)
        return None

    def _refuse_critical_entries(self) -> None:
        """Raise ``CrlError`` if an entry has an unknown critical extension (RFC 5280 section 5.3)."""
        data = self._data
        if data.find(_CRITICAL, *self._entries_at) < 0:
            return
        for _, at, end in self._rows():
            if data.find(_CRITICAL, at, end) < 0:
                continue
            _, _, at = der.header_untrusted(data, at, end)
            if at < end:
                for oid, (critical, _) in extensions.split_untrusted(data, at, end, []).items():
                    if critical and oid != _REASON:
                        raise CrlError(f"an entry has a critical extension that is not known: {der.oid_untrusted(oid)}")


def load_crl_untrusted(data: bytes) -> Crl:
    """Read one CRL, DER or a PEM block of it; raises only ``CrlError``."""
    if len(data) > MAX_CRL_BYTES:
        raise CrlError(f"{len(data)} bytes, more than the {MAX_CRL_BYTES} read as one list")
    if data[:64].lstrip().startswith(b"-----BEGIN"):
        # RFC 5280 demands DER at these addresses; some servers send PEM, and clients' tools accept it.
        data = next((content for label, content in blocks(data) if label == b"X509 CRL" and content), data)
    try:
        return Crl(data)
    except der.DerError as error:
        raise CrlError(f"not a CRL: {what_instead(data) or error}") from None


def _issuing_point_untrusted(value: bytes) -> IssuingPoint:
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "issuingDistributionPoint")
    names: tuple[tuple[int, bytes], ...] | None = None
    relative = False
    flags = dict.fromkeys((0x81, 0x82, 0x84, 0x85), False)
    reasons: tuple[str, ...] | None = None
    for tag, at, end in der.children_untrusted(value, start, stop):
        if tag == 0xA0:
            kind, name_start, name_stop = der.header_untrusted(value, at, end)
            relative = kind == 0xA1
            if kind == 0xA0:
                names = tuple(
                    (name_tag, value[low:high])
                    for name_tag, low, high in der.children_untrusted(value, name_start, name_stop)
                )
        elif tag == 0x83:
            _, bits = der.bits_untrusted(value, at, end)
            reasons = tuple(
                name
                for place, name in enumerate(_REASON_FLAGS)
                if place < len(bits) * 8 and bits[place >> 3] & 0x80 >> (place & 7)
            )
        elif tag in flags:
            flags[tag] = der.boolean_untrusted(value, at, end)
        else:
            raise der.DerError(f"issuingDistributionPoint: tag 0x{tag:02x}")
    return IssuingPoint(names, relative, flags[0x81], flags[0x82], flags[0x85], flags[0x84], reasons)


# --- verifying -------------------------------------------------------------------------------------


def look_up_untrusted(crl: Crl, certificate: Certificate, issuer: Certificate, url: str | None) -> RevokedEntry | None:
    """Return the entry of ``certificate``, or ``None`` if the list covers it and has none.

    ``url`` is the distribution point that it was fetched for, if any. Raises only ``CrlError``; nothing here depends
    on the time of day.
    """
    if comparable(crl.issuer_der) != comparable(issuer.subject_der):
        raise CrlError(f"it is the list of another issuer: {crl.issuer}")
    if issuer.key_usage is not None and not issuer.key_usage & CRL_SIGN:
        raise CrlError("the issuer's key usage does not allow it to sign lists")
    point = crl.issuing_point
    if point is not None and point.indirect:
        raise CrlError("it is an indirect CRL: it speaks for several issuers")
    if crl.objection is not None:
        raise CrlError(crl.objection)
    if not crl.signed_by(issuer):
        raise CrlError("its signature does not verify with the issuer's key")
    if point is not None:
        _check_scope(point, certificate, url)
    entry = crl.entry_untrusted(int(certificate.serial, 16))
    if entry is not None and entry.reason == "removeFromCRL":
        return None
    if entry is None and point is not None and point.reasons is not None:
        raise CrlError(f"it covers only some reasons ({', '.join(point.reasons)}) and does not have the certificate")
    return entry


def _check_scope(point: IssuingPoint, certificate: Certificate, url: str | None) -> None:
    if point.only_attribute:
        raise CrlError("it is about attribute certificates only")
    if point.only_user and certificate.is_ca:
        raise CrlError("it is about end-entity certificates only, and this is a CA")
    if point.only_ca and not certificate.is_ca:
        raise CrlError("it is about CA certificates only, and this is none")
    if point.relative:
        raise CrlError("it names its distribution point relative to its issuer")
    if point.names is None or url is None:
        return
    if not _matches(point.names, _names_of_point(certificate, url)):
        own = [content.decode("utf-8", "backslashreplace") for tag, content in point.names if tag == 0x86]
        raise CrlError(f"it is for another distribution point: {', '.join(own[:3]) or 'one without a URL'}")


def _matches(names: Collection[tuple[int, bytes]], wanted: Collection[tuple[int, bytes]]) -> bool:
    return not {_comparable(*name) for name in names}.isdisjoint({_comparable(*name) for name in wanted})


def _comparable(tag: int, content: bytes) -> tuple[int, object]:
    if tag == 0xA4:
        return tag, comparable(content)
    if tag != 0x86:
        return tag, content
    text = content.decode("utf-8", "backslashreplace")
    try:
        parts = urlsplit(text)
    except ValueError:
        return tag, text
    # Scheme and host may be written in any case (RFC 3986 section 6.2.2.1).
    return tag, urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path, parts.query, parts.fragment))


def _names_of_point(certificate: Certificate, url: str) -> tuple[tuple[int, bytes], ...]:
    """Return all names of the certificate's distribution point with this URL; the URL alone if there is none."""
    own = (0x86, url.encode("utf-8", "surrogatepass"))
    for names in extensions.points_of(certificate.extension(extensions.CRL_DISTRIBUTION_POINTS)):
        if own in names:
            return names
    return (own,)
