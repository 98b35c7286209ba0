"""The fields of a certificate as one record, and the readers of times, keys and serial numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.x509 import der, malformations
from scanner.x509.distinguished import NameText
from scanner.x509.extensions import AuthorityKey, GeneralNames
from scanner.x509.name_constraints import NameConstraints
from scanner.x509.signatures import SignatureAlgorithm


class Fields(Struct):
    """What a certificate says (RFC 5280 section 4.1), as ``certificate_fast`` or ``certificate_exact`` read it.

    Times are seconds since the epoch (UTC), their texts ISO 8601; ``serial`` is lower-case hex; ``subject`` is RFC
    4514 text and ``common_name`` its last, most specific CN. ``extensions`` maps the content bytes of an identifier
    to (critical, content of extnValue), ``critical`` has the identifiers of the critical ones and
    ``unknown_critical`` those that clients do not understand, dotted. ``key_usage`` (a mask), ``extended_key_usage``
    and the key identifiers are ``None`` where the extension is absent. ``flaws`` are sentences about what is
    malformed.
    """

    version: int
    serial: str
    signature_algorithm: SignatureAlgorithm
    signature_bytes: bytes
    tbs_der: bytes
    issuer_der: bytes
    issuer_name: NameText
    not_before: float
    not_after: float
    not_before_text: str
    not_after_text: str
    subject_der: bytes
    subject: str
    common_name: str | None
    spki_der: bytes
    key_type: str
    key_bits: int | None
    key: str
    extensions: Mapping[bytes, tuple[bool, bytes]]
    critical: tuple[bytes, ...]
    unknown_critical: tuple[str, ...]
    names: GeneralNames
    is_ca: bool
    path_length: int | None
    key_usage: int | None
    extended_key_usage: tuple[str, ...] | None
    authority_key: AuthorityKey
    subject_key_id: bytes | None
    aia_ca_issuers: tuple[str, ...]
    ocsp_urls: tuple[str, ...]
    name_constraints: NameConstraints | None
    flaws: tuple[str, ...]


_CURVES: Final = {
    der.encoded_oid(oid): row
    for oid, row in {
        "1.2.840.10045.3.1.1": ("P-192", 192),
        "1.3.132.0.33": ("P-224", 224),
        "1.2.840.10045.3.1.7": ("P-256", 256),
        "1.3.132.0.34": ("P-384", 384),
        "1.3.132.0.35": ("P-521", 521),
        "1.3.132.0.10": ("secp256k1", 256),
        "1.3.36.3.3.2.8.1.1.7": ("brainpoolP256r1", 256),
        "1.3.36.3.3.2.8.1.1.11": ("brainpoolP384r1", 384),
        "1.3.36.3.3.2.8.1.1.13": ("brainpoolP512r1", 512),
        "1.2.156.10197.1.301": ("SM2", 256),
        # SEC 2 and RFC 5639: no client accepts these, and the small ones are weak too
        "1.3.36.3.3.2.8.1.1.1": ("brainpoolP160r1", 160),
        "1.3.36.3.3.2.8.1.1.3": ("brainpoolP192r1", 192),
        "1.3.36.3.3.2.8.1.1.5": ("brainpoolP224r1", 224),
        "1.3.36.3.3.2.8.1.1.9": ("brainpoolP320r1", 320),
        "1.3.36.3.3.2.8.1.1.2": ("brainpoolP160t1", 160),
        "1.3.36.3.3.2.8.1.1.4": ("brainpoolP192t1", 192),
        "1.3.36.3.3.2.8.1.1.6": ("brainpoolP224t1", 224),
        "1.3.36.3.3.2.8.1.1.8": ("brainpoolP256t1", 256),
        "1.3.36.3.3.2.8.1.1.10": ("brainpoolP320t1", 320),
        "1.3.36.3.3.2.8.1.1.12": ("brainpoolP384t1", 384),
        "1.3.36.3.3.2.8.1.1.14": ("brainpoolP512t1", 512),
        "1.3.132.0.6": ("secp112r1", 112),
        "1.3.132.0.7": ("secp112r2", 112),
        "1.3.132.0.28": ("secp128r1", 128),
        "1.3.132.0.29": ("secp128r2", 128),
        "1.3.132.0.8": ("secp160r1", 160),
        "1.3.132.0.9": ("secp160k1", 160),
        "1.3.132.0.30": ("secp160r2", 160),
        "1.3.132.0.31": ("secp192k1", 192),
        "1.3.132.0.32": ("secp224k1", 224),
        "1.3.132.0.4": ("sect113r1", 113),
        "1.3.132.0.5": ("sect113r2", 113),
        "1.3.132.0.22": ("sect131r1", 131),
        "1.3.132.0.23": ("sect131r2", 131),
        "1.3.132.0.1": ("sect163k1", 163),
        "1.3.132.0.2": ("sect163r1", 163),
        "1.3.132.0.15": ("sect163r2", 163),
        "1.3.132.0.24": ("sect193r1", 193),
        "1.3.132.0.25": ("sect193r2", 193),
        "1.3.132.0.26": ("sect233k1", 233),
        "1.3.132.0.27": ("sect233r1", 233),
        "1.3.132.0.3": ("sect239k1", 239),
        "1.3.132.0.16": ("sect283k1", 283),
        "1.3.132.0.17": ("sect283r1", 283),
        "1.3.132.0.36": ("sect409k1", 409),
        "1.3.132.0.37": ("sect409r1", 409),
        "1.3.132.0.38": ("sect571k1", 571),
        "1.3.132.0.39": ("sect571r1", 571),
    }.items()
}
_RSA: Final = der.encoded_oid("1.2.840.113549.1.1.1")
_RSA_PSS: Final = der.encoded_oid("1.2.840.113549.1.1.10")
_EC: Final = der.encoded_oid("1.2.840.10045.2.1")
_DSA: Final = der.encoded_oid("1.2.840.10040.4.1")
_FIXED: Final = {
    der.encoded_oid("1.3.101.110"): ("x25519", 253),
    der.encoded_oid("1.3.101.111"): ("x448", 446),
    der.encoded_oid("1.3.101.112"): ("ed25519", 253),
    der.encoded_oid("1.3.101.113"): ("ed448", 456),
    der.encoded_oid("2.16.840.1.101.3.4.3.17"): ("ml-dsa-44", None),
    der.encoded_oid("2.16.840.1.101.3.4.3.18"): ("ml-dsa-65", None),
    der.encoded_oid("2.16.840.1.101.3.4.3.19"): ("ml-dsa-87", None),
}


def serial_text_untrusted(content: bytes) -> str:
    """Return the content of a serial number as hex, with a ``-`` if it is negative."""
    if content[0] & 0x80:
        return f"-{-int.from_bytes(content, 'big', signed=True):x}"
    return (content[1:] if content[0] == 0 and len(content) > 1 else content).hex()


# --- time ------------------------------------------------------------------------------------------


def _seconds_untrusted(text: bytes, digits_of_year: int) -> float:
    if len(text) != digits_of_year + 11 or text[-1:] != b"Z" or not text[:-1].isdigit():
        raise der.DerError("a time that is not YYMMDDhhmmssZ or YYYYMMDDhhmmssZ")
    year = int(text[:digits_of_year])
    if digits_of_year == 2:
        year += 1900 if year >= 50 else 2000  # RFC 5280 section 4.1.2.5.1
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(digits_of_year, digits_of_year + 10, 2))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= (_DAYS[month - 1] + (leap and month == 2)):
        raise der.DerError("a date that is in no calendar")
    if hour > 23 or minute > 59 or second > 59:
        raise der.DerError("an impossible time of day")
    # Days since 1970-01-01 in the proleptic Gregorian calendar; also for the years that datetime does not have.
    before = year - (month <= 2)
    days = 365 * before + before // 4 - before // 100 + before // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468
    return float(days * 86400 + hour * 3600 + minute * 60 + second)


_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def time_untrusted(tag: int, content: bytes) -> float:
    """Decode the content of a Time (RFC 5280 section 4.1.2.5) to epoch seconds."""
    if tag == der.UTC_TIME:
        return _seconds_untrusted(content, 2)
    if tag == der.GENERALIZED_TIME:
        return _seconds_untrusted(content, 4)
    raise der.DerError("something that is not a time")


# The days on which certificates of a fleet begin or end to be valid: ten years of them, 200 bytes each.
@bounded_memo(4096, None)
def day_untrusted(digits: bytes) -> tuple[float, str]:
    """Decode the YYMMDD of a UTCTime: the epoch seconds at which the day begins, and YYYY-MM-DD."""
    seconds = _seconds_untrusted(digits + b"000000Z", 2)
    text = digits.decode("ascii")
    return seconds, f"{'19' if text >= '50' else '20'}{text[:2]}-{text[2:4]}-{text[4:]}"


# A time as BER has it (X.680 sections 46 and 47), by its tag: to the minute or second, with a fraction, an offset from UTC
_BER_TIMES: Final = {
    tag: re.compile(rb"(\d{%d})(\d\d)?([.,]\d{1,9})?(Z|[+-](?:0\d|1[0-4])[0-5]\d)" % digits)
    for tag, digits in ((der.UTC_TIME, 10), (der.GENERALIZED_TIME, 12))
}


def _plain_time_untrusted(tag: int, content: bytes, flaws: list[str]) -> tuple[int, bytes]:
    """Return a time as RFC 5280 has it, from one that BER allows as well; say so in ``flaws``."""
    form = _BER_TIMES.get(tag)
    found = None if form is None else form.fullmatch(content)
    if found is None:
        return tag, content
    minutes, seconds, fraction, zone = found.groups()
    if seconds and not fraction and zone == b"Z":
        return tag, content
    if not seconds:
        flaws.append(malformations.NO_SECONDS)
    if fraction or zone in (b"+0000", b"-0000"):
        flaws.append(malformations.TIME_OFFSET)
    elif zone != b"Z":
        flaws.append(malformations.TIME_ZONE)
    century = b"" if tag == der.GENERALIZED_TIME else b"19" if minutes >= b"50" else b"20"
    text = (century + minutes + (seconds or b"00") + zone.replace(b"Z", b"+0000")).decode("ascii")
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%S%z").astimezone(UTC)
    except (ValueError, OverflowError):
        raise der.DerError("a date that is in no calendar") from None
    return der.GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode("ascii")


def validity_untrusted(encoded: bytes, flaws: list[str]) -> tuple[float, float, str, str]:
    """Decode a Validity (RFC 5280 section 4.1.2.5): both times as epoch seconds, then as ISO text."""
    if len(encoded) > 64:
        raise der.DerError("validity: longer than two times")
    start, stop = der.whole_untrusted(encoded, der.SEQUENCE, "validity")
    times = der.children_untrusted(encoded, start, stop)
    if len(times) != 2:
        raise der.DerError("validity: not two times")
    seconds: list[float] = []
    texts: list[str] = []
    for tag, at, end in times:
        if tag not in (der.UTC_TIME, der.GENERALIZED_TIME):
            raise der.DerError("validity: something that is not a time")
        tag, content = _plain_time_untrusted(tag, encoded[at:end], flaws)
        seconds.append(time_untrusted(tag, content))
        text = content.decode("ascii")
        if tag == der.UTC_TIME:
            text = ("19" if text >= "50" else "20") + text
        texts.append(f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:14]}Z")
    return seconds[0], seconds[1], texts[0], texts[1]


# --- keys ------------------------------------------------------------------------------------------


def key_untrusted(spki: bytes, flaws: list[str]) -> tuple[str, int | None, str]:
    """Decode a SubjectPublicKeyInfo to (type, bits, text); add what clients refuse in it to ``flaws``."""
    start, stop = der.whole_untrusted(spki, der.SEQUENCE, "subjectPublicKeyInfo")
    algorithm_start, algorithm_stop = der.expect_untrusted(spki, start, stop, der.SEQUENCE, "key algorithm")
    oid_start, oid_stop = der.expect_untrusted(spki, algorithm_start, algorithm_stop, der.OID, "key algorithm")
    bits_start, bits_stop = der.expect_untrusted(spki, algorithm_stop, stop, der.BIT_STRING, "key")
    _, key = der.bits_untrusted(spki, bits_start, bits_stop)
    oid = spki[oid_start:oid_stop]
    if oid == _EC:
        if oid_stop == algorithm_stop:
            raise der.DerError("key: an elliptic curve key without its curve")
        tag, curve_start, curve_stop = der.header_untrusted(spki, oid_stop, algorithm_stop)
        if tag != der.OID:
            flaws.append(malformations.EXPLICIT_CURVE)
            return "ec", None, "ec:explicit"
        form = malformations.POINT_FORMS.get(key[:1])
        if form is not None:
            flaws.append(form)
        name, bits = _CURVES.get(spki[curve_start:curve_stop], (None, None))
        if name is None:
            name = der.oid_untrusted(spki[curve_start:curve_stop])
        return "ec", bits, f"ec:{name}"
    if oid in (_RSA, _RSA_PSS):
        kind = "rsa" if oid == _RSA else "rsa-pss"
        if oid == _RSA and oid_stop == algorithm_stop:
            flaws.append(malformations.RSA_WITHOUT_NULL)
        key_start, key_stop = der.whole_untrusted(key, der.SEQUENCE, "RSA key")
        modulus_start, modulus_stop = der.expect_untrusted(key, key_start, key_stop, der.INTEGER, "RSA modulus")
        length = int.from_bytes(key[modulus_start:modulus_stop], "big").bit_length()
        return kind, length, f"{kind}:{length}"
    if oid == _DSA:
        prime_bits = None
        if oid_stop < algorithm_stop:
            _, dsa_start, dsa_stop = der.header_untrusted(spki, oid_stop, algorithm_stop)
            if dsa_start < dsa_stop:
                p_start, p_stop = der.expect_untrusted(spki, dsa_start, dsa_stop, der.INTEGER, "DSA prime")
                prime_bits = int.from_bytes(spki[p_start:p_stop], "big").bit_length()
        return "dsa", prime_bits, f"dsa:{prime_bits}" if prime_bits else "dsa"
    if oid in _FIXED:
        name, bits = _FIXED[oid]
        return name, bits, name
    dotted = der.oid_untrusted(oid)
    return dotted, None, dotted
