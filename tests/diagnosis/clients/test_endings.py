"""How a handshake ends is known for everybody, and what stands on OpenSSL agrees."""

from __future__ import annotations

from scanner.diagnosis.clients.endings import (
    CLIENTS,
    CLOSED,
    MALFORMED,
    RESET,
    SILENT,
    verify_texts,
)


def test_every_table_has_every_client() -> None:
    for texts in (RESET, CLOSED, SILENT):
        assert set(texts) == set(CLIENTS)
        assert all(text and text == text.strip() for text in texts.values())
    assert set(MALFORMED) < set(CLIENTS)


def test_one_library_in_four_clients() -> None:
    assert set(verify_texts(10, "certificate has expired")) == {"openssl", "curl", "python", "node"}
    assert all("certificate has expired" in text for text in verify_texts(10, "certificate has expired").values())


def test_node_has_names_for_some() -> None:
    assert verify_texts(18, "self-signed certificate")["node"] == "DEPTH_ZERO_SELF_SIGNED_CERT: self-signed certificate"
    assert verify_texts(47, "permitted subtree violation")["node"] == "UNSPECIFIED: permitted subtree violation"
