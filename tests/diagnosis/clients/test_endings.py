"""How a handshake ends is known for everybody, and what stands on OpenSSL agrees."""

from __future__ import annotations

from scanner.diagnosis.clients.endings import (
    CLIENTS,
    CLOSED,
    MALFORMED,
    OK,
    RESET,
    SILENT,
    broken_on_texts,
    by_release,
    since,
    verify_texts,
)
from scanner.diagnosis.rules.refusal import STATUS_REQUEST, TWO_SHARES


def test_every_table_has_every_client() -> None:
    for texts in (RESET, CLOSED, SILENT):
        assert set(texts) == set(CLIENTS)
        assert all(text and text == text.strip() for text in texts.values())
    assert set(MALFORMED) < set(CLIENTS)


def test_a_prediction_names_the_release_and_what_older_ones_say() -> None:
    said = since("Received fatal alert: handshake_failure", "Java 24")
    assert said == "Received fatal alert: handshake_failure (since Java 24; before: ok)"
    assert by_release(said) == ("Received fatal alert: handshake_failure", "Java 24", "ok")
    assert by_release(since("b", "OpenSSL 4.0", "a")) == ("b", "OpenSSL 4.0", "a")
    assert by_release("a (since yesterday) b") == ("a (since yesterday) b", None, None)


def test_who_does_not_send_what_breaks_a_server_accepts_it() -> None:
    staple = broken_on_texts({"failure": "reset", "breaks_on": STATUS_REQUEST})
    assert {client for client, text in staple.items() if text == OK} == {"openssl", "curl", "python", "node"}
    shares = broken_on_texts({"failure": "closed", "breaks_on": TWO_SHARES})
    assert {client: by_release(text)[1] for client, text in shares.items() if by_release(text)[1]} == {
        "openssl": "OpenSSL 3.5",
        "curl": "OpenSSL 3.5",
        "python": "OpenSSL 3.5",
        "node": "Node 24",
    }
    assert OK not in shares.values()
    assert broken_on_texts({"failure": "reset"}) == RESET


def test_one_library_in_four_clients() -> None:
    assert set(verify_texts(10, "certificate has expired")) == {"openssl", "curl", "python", "node"}
    assert all("certificate has expired" in text for text in verify_texts(10, "certificate has expired").values())


def test_node_has_names_for_some() -> None:
    assert verify_texts(18, "self-signed certificate")["node"] == "DEPTH_ZERO_SELF_SIGNED_CERT: self-signed certificate"
    assert verify_texts(47, "permitted subtree violation")["node"] == "UNSPECIFIED: permitted subtree violation"
