"""Texts about names: wildcards that some accept, certificates without names, and names that a CA may not issue for."""

from __future__ import annotations

from scanner.diagnosis.clients.by_evidence import texts_of
from scanner.diagnosis.clients.endings import OK
from tests.helpers.evidence import target


def texts(code: str, **facts: object) -> dict[str, str]:
    found = texts_of(code, facts, target())
    assert found is not None
    return dict(found)


def test_a_name_that_some_clients_match_is_refused_by_the_others() -> None:
    refusing = ["OpenSSL", "curl", "Python", "Node", "Chrome", "Firefox", "GnuTLS"]
    said = texts("name-not-in-san", name="shop.com", nearest=["*.com"], names=1, refused_by=refusing)
    assert {client for client, text in said.items() if text == OK} == {"go", "java"}
    # Node compares names itself
    said = texts("name-not-in-san", name="a_b.example", nearest=[], names=1, refused_by=["OpenSSL", "Python"])
    assert {client for client, text in said.items() if text != OK} == {"openssl", "python"}


def test_a_certificate_without_names_has_words_of_its_own() -> None:
    said = texts("name-not-in-san", name="a.example", nearest=[], names=0)
    assert said["go"].endswith("x509: certificate is not valid for any names, but wanted to match {name}")
    assert said["java"].endswith("No name matching {name} found")
    assert texts("name-not-in-san", name="a.example", nearest=["b.example"], names=1)["go"].endswith("not {name}")
    by_address = texts_of("name-not-in-san", {"names": 0}, target(host="192.0.2.7", sni=None, host_is_ip=True))
    assert by_address is not None
    assert by_address["java"].endswith("No subject alternative names present")


def test_excluded_and_permitted_names_have_words_of_their_own() -> None:
    excluded = texts("name-constraint-violated", name="dNSName a.example is excluded")
    assert excluded["openssl"] == "verify error:num=48:excluded subtree violation"
    assert excluded["go"].endswith('for this name: DNS name "a.example" is excluded by constraint')
    permitted = texts("name-constraint-violated", name="dNSName a.example is not permitted")
    assert permitted["openssl"] == "verify error:num=47:permitted subtree violation"
    assert permitted["go"].endswith('DNS name "a.example" is not permitted by any constraint')
    assert texts("name-constraint-violated", name="URI x is not permitted")["go"].endswith("for this name")
