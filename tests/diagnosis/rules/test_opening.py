"""Rules on the dialogue before TLS: what was said, by whom it was refused, and what silence does not prove."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.model.evidence import Failure, Probe, Stage
from scanner.model.findings import DiagnosisRecord
from tests.helpers.evidence import answered, at, codes, diagnosed, evidence, failed, target

EHLO = "250-mx.example.org\n250-XXXXXXXA\n250 8BITMIME"


def opening(failure: Failure, **facts: Any) -> Probe:
    return failed(failure, stage=Stage.STARTTLS, sni="mx.example.org", **facts)


def diagnosis_of(probe: Probe, protocol: str = "smtp", language: str = "en") -> DiagnosisRecord:
    seen = evidence(probe, of=target("mx.example.org", protocol=protocol, port=25))
    found = diagnosed(seen)
    assert found.outcome == "fail"
    assert found.stage is Stage.STARTTLS
    assert not {"chrome", "firefox"} & set(found.clients)
    (diagnosis,) = found.diagnoses
    return diagnosis


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure.STARTTLS_NOT_OFFERED, "starttls-not-offered"),
        (Failure.STARTTLS_REFUSED, "starttls-refused"),
        (Failure.STARTTLS_MALFORMED, "starttls-not-offered"),
        (Failure.SESSION_REFUSED, "session-refused"),
        (Failure.SILENT, "no-greeting"),
        (Failure.CLOSED, "session-refused"),
        (Failure.RESET, "session-refused"),
    ],
)
def test_failures_of_the_opening_have_their_codes(failure: Failure, code: str) -> None:
    diagnosis = diagnosis_of(opening(failure, detail="454 not now"))
    assert diagnosis["code"] == code
    assert "-starttls smtp" in (diagnosis["confirm"] or "")
    if failure in (Failure.STARTTLS_REFUSED, Failure.SESSION_REFUSED, Failure.STARTTLS_NOT_OFFERED):
        assert "454 not now" in diagnosis["summary"]


@pytest.mark.parametrize(
    ("protocol", "facts", "expected"),
    [
        (
            "smtp",
            {"awaited": "greeting"},
            "sends no greeting (smtp) within 10.5 s, the share of --timeout for a first answer",
        ),
        (
            "smtp",
            {"awaited": "EHLO", "bytes_received": 40, "first_bytes": b"220 mx"},
            "does not answer EHLO (smtp) within 10.5 s, the share of --timeout for a first answer",
        ),
        ("imap", {"awaited": "STARTTLS", "bytes_received": 90}, "does not answer STARTTLS (imap) within 10.5 s"),
        ("smtp", {"awaited": "greeting", "bytes_received": 9}, "sends 9 bytes, which are no whole greeting (smtp)"),
        ("postgres", {"awaited": "SSLRequest"}, "does not answer SSLRequest (postgres) within 10.5 s"),
        ("xmpp", {"awaited": "stream header"}, "does not answer stream header (xmpp) within 10.5 s"),
    ],
)
def test_silence_is_reported_with_what_was_waited_for_and_how_long(
    protocol: str, facts: dict[str, Any], expected: str
) -> None:
    diagnosis = diagnosis_of(opening(Failure.SILENT, starttls_seconds=10.4999998, **facts), protocol)
    assert diagnosis["code"] == "no-greeting"
    assert expected in diagnosis["summary"]
    assert (diagnosis["evidence"]["seconds"], diagnosis["evidence"]["option"]) == (10.5, "--timeout")
    assert diagnosis["remedy"].startswith("Scan again with a larger --timeout")
    told = f"{diagnosis['summary']} {diagnosis['evidence']}"
    assert "offer" not in told
    assert "first byte" not in told


@pytest.mark.parametrize(
    ("failure", "facts", "code", "expected"),
    [
        (Failure.CLOSED, {"awaited": "greeting"}, "session-refused", "hangs up before it has sent a greeting (smtp)"),
        (Failure.RESET, {"awaited": "greeting"}, "session-refused", "resets the connection before it has sent a greeting"),
        (
            Failure.CLOSED,
            {"awaited": "EHLO", "bytes_received": 30, "detail": "220 mx"},
            "session-refused",
            "hangs up when it is sent EHLO (smtp), before TLS could be asked for",
        ),
        (Failure.CLOSED, {"awaited": "StartTLS"}, "session-refused", "hangs up without a word when the session begins"),
        (
            Failure.CLOSED,
            {"awaited": "STARTTLS", "bytes_received": 90, "detail": "220 mx"},
            "starttls-refused",
            "takes the session (smtp) and hangs up when it is asked for TLS (STARTTLS)",
        ),
        (
            Failure.RESET,
            {"awaited": "STARTTLS", "bytes_received": 90},
            "starttls-refused",
            "takes the session (smtp) and resets the connection when it is asked for TLS (STARTTLS)",
        ),
    ],
)  # fmt: skip
def test_an_end_without_a_word_is_the_sessions_until_tls_was_asked_for(
    failure: Failure, facts: dict[str, Any], code: str, expected: str
) -> None:
    diagnosis = diagnosis_of(opening(failure, **facts))
    assert diagnosis["code"] == code
    assert expected in diagnosis["summary"]


def test_a_port_that_is_shown_to_begin_with_tls_is_said_to() -> None:
    silent = opening(Failure.SILENT, awaited="greeting", starttls_seconds=10.5)
    row = target("mx.example.org", protocol="smtp", port=465)
    found = diagnosed(evidence(at(silent, tls_first=answered(sni="mx.example.org")), of=row))
    assert codes(found)[0] == "starttls-not-offered"
    assert "port 465 is not in plain smtp: it speaks TLS" in found.diagnoses[0]["summary"]
    assert "put `protocol` `smtps`" in found.diagnoses[0]["remedy"]
    # an answer that is no flight proves nothing
    found = diagnosed(evidence(at(silent, tls_first=failed(Failure.PLAINTEXT)), of=row))
    assert codes(found) == ["no-greeting"]
    assert found.diagnoses[0]["evidence"]["tried"] == {"tls-first": "plaintext"}


def test_a_refused_session_is_told_with_its_meaning_and_what_to_do() -> None:
    words = "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"
    diagnosis = diagnosis_of(opening(Failure.SESSION_REFUSED, detail=words, awaited="greeting"))
    assert diagnosis["evidence"]["words"] == words
    assert diagnosis["evidence"]["reason"] == "client-blocklisted"
    assert diagnosis["evidence"]["meaning"] in diagnosis["summary"]
    assert diagnosis["evidence"]["advice"] in diagnosis["remedy"]
    assert "offers STARTTLS" not in diagnosis["summary"]


def test_an_xmpp_domain_that_is_not_served_leads_to_the_column_sni() -> None:
    said = (
        "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>No such domain</text></stream:error>"
    )
    for protocol in ("xmpp", "xmpp-server"):
        diagnosis = diagnosis_of(opening(Failure.SESSION_REFUSED, detail=said, awaited="stream header"), protocol)
        assert diagnosis["evidence"]["domain"] == "mx.example.org"
        assert (
            "does not serve the XMPP domain mx.example.org; it says: host-unknown: No such domain."
            in diagnosis["summary"]
        )
        assert "`sni`" in diagnosis["remedy"]


@pytest.mark.parametrize(
    ("failure", "code", "said", "first", "mask"),
    [
        (Failure.STARTTLS_NOT_OFFERED, "starttls-not-offered", EHLO, b"", "XXXXXXXA"),
        (Failure.STARTTLS_NOT_OFFERED, "starttls-not-offered", "250-mx\n250 XXXXXXXX", b"", "XXXXXXXX"),
        (Failure.STARTTLS_NOT_OFFERED, "starttls-not-offered", "500 5.5.1 Command unrecognized: \"XXXX tlsweep.invalid\"", b"", "XXXX"),
        (Failure.STARTTLS_NOT_OFFERED, "starttls-not-offered", "502 unimplemented", b"220 ****************0*2******\r\n", "******"),
        (Failure.STARTTLS_REFUSED, "starttls-refused", "500 5.5.1 Command unrecognized: \"XXXXXXXX\"", b"", "XXXXXXXX"),
    ],
)  # fmt: skip
def test_words_that_a_firewall_masks_are_reported_as_its_work(
    failure: Failure, code: str, said: str, first: bytes, mask: str
) -> None:
    diagnosis = diagnosis_of(opening(failure, detail=said, first_bytes=first, awaited="EHLO"))
    assert diagnosis["code"] == code
    assert diagnosis["evidence"]["mask"].startswith(mask)
    assert "firewall" in diagnosis["summary"]
    assert "inspect esmtp" in diagnosis["remedy"]
    assert "Configure a certificate" not in diagnosis["remedy"]


@pytest.mark.parametrize("said", ["250-mx\n250 XCLIENT NAME", "250-mx\n250-XX\n250 HELP", "250-mx\n250 XEXCH50"])
def test_extensions_with_an_x_are_no_mask(said: str) -> None:
    diagnosis = diagnosis_of(opening(Failure.STARTTLS_NOT_OFFERED, detail=said))
    assert "mask" not in diagnosis["evidence"]
    assert diagnosis["remedy"].startswith("Configure a certificate")


def test_codes_of_older_findings_are_still_judged() -> None:
    """A finding that does not say what was awaited, or how long."""
    assert codes(diagnosed(opening(Failure.SILENT))) == ["no-greeting"]
    assert codes(diagnosed(opening(Failure.CLOSED))) == ["session-refused"]


# --- a row whose protocol seems wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "port", "recognised", "put"),
    [
        ("smtp", 143, "imap", "imap"),
        ("imap", 25, "smtp", "smtp"),
        ("pop3", 5432, "postgresql", "postgres"),
        ("smtp", 465, "tls", "smtps"),
        ("smtp", 2465, "tls", "smtps"),
        ("imap", 993, "tls", "imaps"),
        ("postgres", 5433, "tls", "tls"),
        ("smtp", 443, "tls", "tls"),
    ],
)
def test_the_remedy_names_the_protocol_that_the_port_speaks(
    protocol: str, port: int, recognised: str, put: str
) -> None:
    probe = opening(Failure.STARTTLS_MALFORMED, recognised=recognised, first_bytes=b"x", bytes_received=1)
    for language, sign in (("en", "put `protocol` "), ("zh", "`protocol` 写 ")):
        found = diagnosed(
            evidence(probe, of=target("mx.example.org", protocol=protocol, port=port)), language=language
        ).diagnoses[0]
        assert found["code"] == "starttls-not-offered" and found["evidence"]["row_protocol"] == put
        assert f"{sign}`{put}`" in found["remedy"]


def test_a_port_that_is_silent_and_speaks_tls_first_has_that_in_its_remedy() -> None:
    silent = opening(Failure.SILENT, starttls_seconds=10.5, awaited="greeting")
    seen = evidence(at(silent, tls_first=answered()), of=target("mx.example.org", protocol="imap", port=993))
    (diagnosis,) = diagnosed(seen).diagnoses
    assert "put `protocol` `imaps`" in diagnosis["remedy"]


@pytest.mark.parametrize("recognised", ["http", "ssh", None])
def test_plain_text_that_has_no_upgrade_names_no_protocol_to_put(recognised: str | None) -> None:
    probe = opening(Failure.STARTTLS_MALFORMED, recognised=recognised, first_bytes=b"x", bytes_received=1)
    diagnosis = diagnosis_of(probe)
    assert "row_protocol" not in diagnosis["evidence"] and "put `protocol`" not in diagnosis["remedy"]
