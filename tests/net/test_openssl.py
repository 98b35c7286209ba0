"""Alerts as OpenSSL names them. How it is carried over sockets is tested with ``scanner.net.complete``."""

from __future__ import annotations

import ssl

import pytest

from scanner.net.openssl import alert_of
from scanner.tls.registry_names import ALERTS


def error(reason: str | None, text: str = "") -> ssl.SSLError:
    made = ssl.SSLError(1, text)
    made.reason = reason or ""
    return made


@pytest.mark.parametrize(
    ("reason", "number"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", 116),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", 40),
        ("SSLV3_ALERT_BAD_CERTIFICATE", 42),
        ("TLSV1_ALERT_UNKNOWN_CA", 48),
        ("TLSV1_ALERT_ACCESS_DENIED", 49),
        ("TLSV1_ALERT_USER_CANCELLED", 90),
        ("TLSV1_UNRECOGNIZED_NAME", 112),
        ("TLSV1_ALERT_NO_APPLICATION_PROTOCOL", 120),
        ("WRONG_VERSION_NUMBER", None),
        ("SSLV3_ROLLBACK_ATTACK", None),
    ],
)
def test_the_number_of_an_alert(reason: str, number: int | None) -> None:
    assert alert_of(error(reason)) == number


def test_reasons_without_a_name_are_told_by_their_text() -> None:
    assert alert_of(error(None, "[SSL] tlsv13 alert certificate required (_ssl.c:2580)")) == 116
    assert alert_of(error(None, "[SSL] ssl/tls alert bad certificate (_ssl.c:2580)")) == 42
    assert alert_of(error(None, "[SSL] internal error")) is None


def test_every_reason_of_this_python_that_is_an_alert_is_known() -> None:
    for number, name in ALERTS.items():
        assert alert_of(error(f"TLSV1_ALERT_{name.upper()}")) == number
