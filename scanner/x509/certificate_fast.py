"""Reads the certificate that nearly every server has, in one walk without a call for each of its elements.

A scan meets another leaf on each host, and reading one costs as many microseconds as steps of Python are taken. Real
ones differ little: version 3, lengths of at most two bytes, an algorithm that is written in one of two ways, two
UTCTimes, the key of a usual kind, and extensions of which all but subjectAltName, key identifier and timestamps are
those of the issuer's other certificates. So positions are computed instead of elements parsed, and what repeats is
looked up by its bytes: algorithm, days, names, the head of a key, whole extensions.

The contract with ``certificate_exact`` is one-sided: ``read_untrusted`` returns ``None`` for whatever it does not
expect, malformed or only rare, and else exactly the ``Fields`` that the exact reader returns. It never reports
anything itself, so no check may be weaker than the exact reader's: DER's shortest lengths, the order of the elements,
each one ending where its parent ends, no extension twice. ``tests/x509/test_certificate_fast.py`` holds both against
each other over thousands of damaged certificates and all public authorities.

Measured (tight loops, one core): a leaf with three timestamps takes 6 microseconds, and 24 with the exact reader;
SHA-256 and ``cryptography``'s own parser add 2 to both. That is 3 % of a target. What such gains are made of: a
function call costs 0.07, so the checks of a common name are spelled out here; a memo that checks lengths itself costs
as much for each extension, so this one is asked only for short ones; the record is a msgspec struct, which takes 0.2
to make where a named tuple takes 0.7.
"""

from __future__ import annotations

from typing import Any, Final

from scanner.caching import bounded_memo
from scanner.x509 import der, extensions
from scanner.x509.certificate_fields import Fields, day_untrusted, key_untrusted
from scanner.x509.distinguished import EMPTY_NAME, short_name_text
from scanner.x509.extensions import GeneralNames
from scanner.x509.signatures import COMMON_IDENTIFIERS

# All certificates of one issuer have the same extensions, subjectAltName and key identifier apart: CAs of the public
# web have some thousands, a fleet a few dozen. An entry takes some 400 bytes as a rule, 1.5 KB at the longest.
_BLOCKS_KEPT: Final = 2048
_LONGEST_BLOCK: Final = 512

_LONG_SEQUENCE: Final = b"\x30\x82"  # its length follows in two bytes
_VERSION_3: Final = b"\xa0\x03\x02\x01\x02\x02"  # and the tag of the serial number
_FIRST_TIME: Final = b"\x30\x1e\x17\x0d"  # a Validity of two UTCTimes, up to the digits of the first
_SECOND_TIME: Final = b"Z\x17\x0d"
# Two digits of a UTCTime -> seconds, and their text in a finding
_HOURS: Final = {b"%02d" % hour: (hour * 3600.0, f"T{hour:02d}:") for hour in range(24)}
_MINUTES: Final = {b"%02d" % minute: (minute * 60.0, f"{minute:02d}:") for minute in range(60)}
_SECONDS: Final = {b"%02d" % second: (float(second), f"{second:02d}Z") for second in range(60)}
_COMMON_NAME: Final = b"\x06\x03\x55\x04\x03"
# A value of nothing else is the same text in PrintableString and UTF8String, and needs no escape (RFC 4514).
_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-*"
_NAMES_OID: Final = b"\x06\x03" + extensions.SUBJECT_ALT_NAME
# A key identifier of 20 bytes, in two OCTET STRINGs: the extension's and its own
_SHA1_KEY_ID: Final = b"\x06\x03" + extensions.SUBJECT_KEY_IDENTIFIER + b"\x04\x16\x04\x14"
# The signed timestamps of RFC 6962, which no two certificates share
_TIMESTAMPS: Final = der.encoded_oid("1.3.6.1.4.1.11129.2.4.2")
_TIMESTAMPS_OID: Final = b"\x06\x0a" + _TIMESTAMPS


_KEY_BEGIN: Final = 23  # bytes that tell the usual keys apart
# First bytes of a SubjectPublicKeyInfo -> its length, the bytes that follow, the position of the highest byte of a
# modulus (it decides the number of bits) or 0, and type, bits and text of the key.
_KEYS: Final[dict[bytes, tuple[int, bytes, int, str, int | None, str]]] = {
    bytes.fromhex(begin): (length, bytes.fromhex(middle), highest, *key)
    for begin, length, middle, highest, key in (
        ("3059301306072a8648ce3d020106082a8648ce3d030107", 91, "03420004", 0, ("ec", 256, "ec:P-256")),
        ("3076301006072a8648ce3d020106052b81040022036200", 120, "04", 0, ("ec", 384, "ec:P-384")),
        ("30820122300d06092a864886f70d01010105000382010f", 294, "003082010a0282010100", 33, ("rsa", 2048, "rsa:2048")),
        ("308201a2300d06092a864886f70d01010105000382018f", 422, "003082018a0282018100", 33, ("rsa", 3072, "rsa:3072")),
        ("30820222300d06092a864886f70d01010105000382020f", 550, "003082020a0282020100", 33, ("rsa", 4096, "rsa:4096")),
    )
}

# Kinds of extensions, and their values where they are absent
_OTHER, _USAGE, _PURPOSES, _CONSTRAINTS, _AUTHORITY, _ACCESS, _KEY_ID = range(7)
_UNSAID: Final[tuple[Any, ...]] = (
    None, None, None, extensions.NO_CONSTRAINTS, extensions.NO_KEY, extensions.NO_ACCESS, None
)  # fmt: skip
_READERS: Final[dict[bytes, tuple[int, Any]]] = {
    extensions.KEY_USAGE: (_USAGE, extensions.key_usage_untrusted),
    extensions.EXT_KEY_USAGE: (_PURPOSES, extensions.extended_key_usage_untrusted),
    extensions.BASIC_CONSTRAINTS: (_CONSTRAINTS, extensions.basic_constraints_untrusted),
    extensions.AUTHORITY_KEY_IDENTIFIER: (_AUTHORITY, extensions.authority_key_untrusted),
    extensions.AUTHORITY_INFO_ACCESS: (_ACCESS, extensions.information_access_untrusted),
    extensions.SUBJECT_KEY_IDENTIFIER: (_KEY_ID, extensions.subject_key_identifier_untrusted),
    extensions.CRL_DISTRIBUTION_POINTS: (_OTHER, extensions.check_distribution_points_untrusted),
    extensions.TLS_FEATURE: (_OTHER, extensions.demands_staple_untrusted),
}


def _block_untrusted(block: bytes) -> tuple[bytes, tuple[bool, bytes], int, Any]:
    """Read one Extension: (identifier, (critical, content of extnValue), kind, value)."""
    start, stop = der.whole_untrusted(block, der.SEQUENCE, "extension")
    oid, critical, value, flaw = extensions.one_untrusted(block, start, stop)
    if flaw is not None:
        raise der.DerError(flaw)
    if oid == extensions.NAME_CONSTRAINTS or oid == extensions.SUBJECT_ALT_NAME:
        raise der.DerError("an extension that is not read here")
    if critical and (oid in extensions.NEVER_CRITICAL or oid not in extensions.UNDERSTOOD_WHEN_CRITICAL):
        raise der.DerError("an extension that should not be critical")
    kind, reader = _READERS.get(oid, (_OTHER, None))
    return oid, (critical, value), kind, None if reader is None else reader(value)


_known_block_untrusted = bounded_memo(_BLOCKS_KEPT, None)(_block_untrusted)


def read_untrusted(data: bytes) -> Fields | None:
    """Read a DER certificate of the usual form; ``None`` where it has another, or anything is wrong with it."""
    filling = der.filling_untrusted
    try:
        # Certificate and tbsCertificate, the version, the serial number
        if data[:2] != _LONG_SEQUENCE or data[4:6] != _LONG_SEQUENCE or data[8:14] != _VERSION_3:
            return None
        size = len(data)
        tbs_stop = 8 + (data[6] << 8 | data[7])
        length, first = data[14], data[15]
        if not data[2] or not data[6] or 4 + (data[2] << 8 | data[3]) != size or not 0 < length < 128 or first > 127:
            return None
        stop = 15 + length
        if not first and length > 1 and data[16] < 128:
            return None
        serial = data[15 if first or length == 1 else 16 : stop].hex()

        # the algorithm, inside and outside, and the signature
        at = stop
        stop = at + 2 + data[at + 1]
        identifier = data[at:stop]
        algorithm = COMMON_IDENTIFIERS.get(identifier)
        at = tbs_stop + len(identifier)
        if algorithm is None or data[tbs_stop:at] != identifier:
            return None
        at = filling(data, at, size, der.BIT_STRING)
        if data[at]:
            return None
        signature_bytes = data[at + 1 :]

        # issuer
        at = stop
        length = data[at + 1]
        stop = at + 2 + length
        if length > 127:
            stop = at + 3 + data[at + 2]
            if length != 0x81 or data[at + 2] < 128:
                return None
        issuer_der = data[at:stop]
        issuer = short_name_text(issuer_der)
        if issuer.flaw:
            return None

        # validity
        at = stop
        stop = at + 32
        if data[at : at + 4] != _FIRST_TIME or data[at + 16 : at + 19] != _SECOND_TIME or data[at + 31] != 0x5A:
            return None
        # anything but digits is a KeyError
        day, date = day_untrusted(data[at + 4 : at + 10])
        hour, hour_text = _HOURS[data[at + 10 : at + 12]]
        minute, minute_text = _MINUTES[data[at + 12 : at + 14]]
        second, second_text = _SECONDS[data[at + 14 : at + 16]]
        not_before = day + hour + minute + second
        not_before_text = date + hour_text + minute_text + second_text
        if not_before < 0:
            return None
        day, date = day_untrusted(data[at + 19 : at + 25])
        hour, hour_text = _HOURS[data[at + 25 : at + 27]]
        minute, minute_text = _MINUTES[data[at + 27 : at + 29]]
        second, second_text = _SECONDS[data[at + 29 : at + 31]]
        not_after = day + hour + minute + second
        not_after_text = date + hour_text + minute_text + second_text

        # subject: in most certificates a common name and nothing else
        at = stop
        length = data[at + 1]
        stop = at + 2 + length
        if length > 127:
            stop = at + 3 + data[at + 2]
            if length != 0x81 or data[at + 2] < 128:
                return None
        subject_der = data[at:stop]
        if (
            data[at + 6 : at + 11] == _COMMON_NAME
            and data[at] == der.SEQUENCE
            and data[at + 2] == der.SET
            and data[at + 3] == length - 2
            and data[at + 4] == der.SEQUENCE
            and data[at + 5] == length - 4
            and (data[at + 11] == der.UTF8_STRING or data[at + 11] == der.PRINTABLE_STRING)
            and data[at + 12] == length - 11
            and not (content := data[at + 13 : stop]).translate(None, _PLAIN)
        ):
            common_name: str | None = content.decode("ascii")
            subject = f"CN={common_name}"
        else:
            name = short_name_text(subject_der)
            if name.flaw:
                return None
            common_name, subject = name.common_name, name.text

        # the key
        at = stop
        row = _KEYS.get(data[at : at + _KEY_BEGIN])
        if row is None:
            wrong: list[str] = []
            _, _, stop = der.header_untrusted(data, at, tbs_stop)
            spki_der = data[at:stop]
            key_type, key_bits, key_text = key_untrusted(spki_der, wrong)
            if wrong:
                return None
        else:
            length, middle, highest, key_type, key_bits, key_text = row
            stop = at + length
            spki_der = data[at:stop]
            if not spki_der.startswith(middle, _KEY_BEGIN) or (highest and spki_der[highest] < 128):
                return None

        # the extensions, which fill the rest
        at = filling(data, filling(data, stop, tbs_stop, 0xA3), tbs_stop, der.SEQUENCE)
        found: dict[bytes, tuple[bool, bytes]] = {}
        critical: list[bytes] = []
        names = extensions.NO_NAMES
        said = list(_UNSAID)
        count = 0
        while at < tbs_stop:
            count += 1
            begin = at
            length = data[at + 1]
            at += 2
            if length > 127:
                if length == 0x81 and data[at] > 127:
                    length = data[at]
                    at += 1
                elif length == 0x82 and data[at]:
                    length = data[at] << 8 | data[at + 1]
                    at += 2
                else:
                    return None
            stop = at + length
            if data[begin] != der.SEQUENCE or stop > tbs_stop:
                return None
            last = data[at + 4]  # of an identifier as 2.5.29.14
            if last == 14 and stop == at + 29 and data[at : at + 9] == _SHA1_KEY_ID:
                said[_KEY_ID] = data[at + 9 : stop]
                found[extensions.SUBJECT_KEY_IDENTIFIER] = False, data[at + 7 : stop]
            elif last == 17 and data[at : at + 5] == _NAMES_OID:
                at += 5
                marked = data[at] == der.BOOLEAN
                if marked:
                    if data[at + 1] != 1 or data[at + 2] != 0xFF:
                        return None
                    at += 3
                    critical.append(extensions.SUBJECT_ALT_NAME)
                at = filling(data, at, stop, der.OCTET_STRING)
                value = data[at:stop]
                found[extensions.SUBJECT_ALT_NAME] = marked, value
                at = filling(data, at, stop, der.SEQUENCE)
                texts: list[str] = []
                most = extensions.MAX_NAMES
                while at < stop and data[at] == 0x82 and (length := data[at + 1]) < 128 and len(texts) < most:
                    texts.append(data[at + 2 : at + 2 + length].decode("ascii"))
                    at += 2 + length
                if at == stop and texts:
                    names = GeneralNames(san := tuple(texts), (), (), san)
                else:
                    names = extensions.subject_alt_name_untrusted(value)
                    if names.flaw:
                        return None
            elif last == 1 and data[at : at + 12] == _TIMESTAMPS_OID:
                at = filling(data, at + 12, stop, der.OCTET_STRING)
                if data[at] != der.OCTET_STRING:
                    return None
                found[_TIMESTAMPS] = False, data[at:stop]
            else:
                read = _known_block_untrusted if stop - begin <= _LONGEST_BLOCK else _block_untrusted
                oid, entry, kind, meaning = read(data[begin:stop])
                found[oid] = entry
                said[kind] = meaning
                if entry[0]:
                    critical.append(oid)
            at = stop
        if len(found) != count or count > extensions.MAX_EXTENSIONS:
            return None  # one is there twice
        is_ca, path_length = said[_CONSTRAINTS]
        ca_issuers, ocsp_urls = said[_ACCESS]
        if subject_der == EMPTY_NAME and not is_ca and extensions.SUBJECT_ALT_NAME not in critical:
            return None
    except (der.DerError, LookupError, ValueError):
        return None
    return Fields(
        3,
        serial,
        algorithm,
        signature_bytes,
        data[4:tbs_stop],
        issuer_der,
        issuer,
        not_before,
        not_after,
        not_before_text,
        not_after_text,
        subject_der,
        subject,
        common_name,
        spki_der,
        key_type,
        key_bits,
        key_text,
        found,
        tuple(critical),
        (),
        names,
        is_ca,
        path_length,
        said[_USAGE],
        said[_PURPOSES],
        said[_AUTHORITY],
        said[_KEY_ID],
        ca_issuers,
        ocsp_urls,
        None,
        (),
    )
