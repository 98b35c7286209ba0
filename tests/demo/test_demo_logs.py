"""The demo's CT logs: their list can be loaded, and their SCTs have the form of RFC 6962."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

from cryptography import x509

from scanner.demo.demo_logs import RETIRED_SINCE, Logs, sct_list
from scanner.demo.pki import DAY, Pki
from scanner.trust.ct_logs import log_list_untrusted


def test_the_log_list_can_be_loaded() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    logs = Logs()
    content = logs.as_json(now)
    read = log_list_untrusted(content, "ctlogs.json")
    assert read.notes == () and not read.stale(now.timestamp())
    assert {log.name for log in read.logs.values()} == {log.name for log in logs.listed}
    assert logs.unlisted.name not in content.decode()
    assert len({log.operator for log in logs.sufficient}) == 2 and not all(log.tiled for log in logs.sufficient)
    states = {log.name: (log.state, log.since, log.tiled) for log in read.logs.values()}
    assert states["Demo Slate"] == ("retired", (now - RETIRED_SINCE).timestamp(), False)
    assert states["Demo Basalt"][0] == "usable" and states["Demo Basalt"][2]
    assert b"PRIVATE" not in content and json.loads(content)["version"] == "3.0"


def test_certificates_have_scts() -> None:
    pki = Pki(time.time())
    leaf = x509.load_der_x509_certificate(pki.leaf("www.demo.test", logs=pki.logs.three).leaf)
    found = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    assert len(list(found)) == 3
    assert all(sct.timestamp.replace(tzinfo=UTC) == pki.now - 10 * DAY for sct in found)
    later = x509.load_der_x509_certificate(pki.leaf("www.demo.test", validity=(3 * DAY, 93 * DAY)).leaf)
    for sct in later.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value:
        assert sct.timestamp.replace(tzinfo=UTC) < pki.now


def test_without_logs_there_is_no_sct_extension() -> None:
    pki = Pki(time.time())
    leaf = x509.load_der_x509_certificate(pki.leaf("www.demo.test", logs=()).leaf)
    oids = [extension.oid.dotted_string for extension in leaf.extensions]
    assert "1.3.6.1.4.1.11129.2.4.2" not in oids


def test_sct_extensions_of_any_length_are_encoded() -> None:
    for size in (1, 100, 121, 122, 250, 251, 252, 40_000):
        content = sct_list([bytes(size)]).value
        parsed = content[2:] if content[1] < 0x80 else content[2 + (content[1] & 0x7F) :]
        assert content[0] == 4 and len(parsed) == size + 4
