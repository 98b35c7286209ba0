"""Validity, serial number and key description."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.x509 import malformations
from scanner.x509.certificate_fields import day_untrusted, key_untrusted, serial_text_untrusted, validity_untrusted
from scanner.x509.der import DerError
from tests.helpers import pki
from tests.helpers.pki import sequence, tlv

MOMENTS = st.datetimes(datetime(1950, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS, MOMENTS)
def test_times_are_those_of_datetime(first: datetime, second: datetime) -> None:
    first, second = first.replace(microsecond=0), second.replace(microsecond=0)
    low, high, low_text, high_text = validity_untrusted(
        sequence(pki.time(first.timestamp()), pki.time(second.timestamp())), []
    )
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert epoch + timedelta(seconds=low) == first and epoch + timedelta(seconds=high) == second
    assert datetime.fromisoformat(low_text) == first and datetime.fromisoformat(high_text) == second


def test_two_digit_years_turn_at_fifty() -> None:
    _, _, low, high = validity_untrusted(sequence(tlv(0x17, b"500101000000Z"), tlv(0x17, b"491231235959Z")), [])
    assert (low, high) == ("1950-01-01T00:00:00Z", "2049-12-31T23:59:59Z")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Z",
        b"260101000000",
        b"260101000000+",
        b"26010100000\xb2Z",
        b"260001000000Z",
        b"260100000000Z",
        b"260101240000Z",
        b"260101006000Z",
        b"260101000060Z",
        b"270229000000Z",
        b"-60101000000Z",
        b"260101000000+2500",
        b"260230000000+0000",
    ],
)
def test_malformed_times_are_refused(text: bytes) -> None:
    with pytest.raises(DerError):
        validity_untrusted(sequence(tlv(0x17, text), pki.time(pki.NOW)), [])


def test_malformed_validities_are_refused() -> None:
    for data in (b"", sequence(), sequence(tlv(0x17, b"x" * 100)), sequence(pki.integer(1), pki.integer(2))):
        with pytest.raises(DerError):
            validity_untrusted(data, [])


@pytest.mark.parametrize(
    ("time", "shown", "flaws"),
    [
        (tlv(0x17, b"2601010000Z"), "2026-01-01T00:00:00Z", [malformations.NO_SECONDS]),
        (tlv(0x17, b"5001010000Z"), "1950-01-01T00:00:00Z", [malformations.NO_SECONDS]),
        (tlv(0x17, b"260101000000+0130"), "2025-12-31T22:30:00Z", [malformations.TIME_ZONE]),
        (tlv(0x17, b"260101000000-0000"), "2026-01-01T00:00:00Z", [malformations.TIME_OFFSET]),
        (tlv(0x18, b"20260101000000.25Z"), "2026-01-01T00:00:00Z", [malformations.TIME_OFFSET]),
        (tlv(0x18, b"202601010000Z"), "2026-01-01T00:00:00Z", [malformations.NO_SECONDS]),
        (tlv(0x17, b"2601010000-0100"), "2026-01-01T01:00:00Z", [malformations.NO_SECONDS, malformations.TIME_ZONE]),
    ],
)
def test_times_that_ber_allows_are_read_and_flaws(time: bytes, shown: str, flaws: list[str]) -> None:
    found: list[str] = []
    seconds, _, text, _ = validity_untrusted(sequence(time, pki.time(pki.NOW)), found)
    assert text == shown and found == flaws
    assert seconds == datetime.fromisoformat(shown).timestamp()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x05", "05"),
        (b"\x00\x80", "80"),
        (b"\x00", "00"),
        (b"\xff", "-1"),
        (b"\x80\x00", "-8000"),
        (b"\x0a\xbc", "0abc"),
    ],
)
def test_serial_numbers_are_shown_as_hex(content: bytes, text: str) -> None:
    assert serial_text_untrusted(content) == text


def test_curves_given_by_parameters_are_flaws() -> None:
    flaws: list[str] = []
    explicit = sequence(sequence(pki.oid("1.2.840.10045.2.1"), sequence(pki.integer(1))), pki.bit_string(b"\4"))
    assert key_untrusted(explicit, flaws) == ("ec", None, "ec:explicit")
    assert "spelled out" in flaws[0]
    other = sequence(sequence(pki.oid("1.2.840.10045.2.1"), pki.oid("1.2.3")), pki.bit_string(b"\4"))
    assert key_untrusted(other, []) == ("ec", None, "ec:1.2.3")
    weak = sequence(sequence(pki.oid("1.2.840.10045.2.1"), pki.oid("1.3.132.0.31")), pki.bit_string(b"\4"))
    assert key_untrusted(weak, []) == ("ec", 192, "ec:secp192k1")
    with pytest.raises(DerError):
        key_untrusted(sequence(sequence(pki.oid("1.2.840.10045.2.1")), pki.bit_string(b"\4")), [])


def test_days_of_utc_times_are_seconds_and_text() -> None:
    assert day_untrusted(b"700102") == (86400.0, "1970-01-02")
    assert day_untrusted(b"491231") == (2524521600.0, "2049-12-31")
    assert day_untrusted(b"500101")[1] == "1950-01-01"
    for wrong in (b"230229", b"23022", b"2302281", b"23 228", b"231301"):
        with pytest.raises(DerError):
            day_untrusted(wrong)
