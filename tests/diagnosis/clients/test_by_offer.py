"""Texts that depend on what each client offers: suites, groups, schemes and shares, and since which release."""

from __future__ import annotations

import ssl

import pytest

from scanner.diagnosis.clients.by_evidence import texts_of
from scanner.diagnosis.clients.by_offer import OFFERED
from scanner.diagnosis.clients.endings import CLIENTS, OK, by_release
from scanner.tls.registry_names import SUITES, cipher_suite
from tests.helpers.evidence import target


def refusing(code: str, **facts: object) -> set[str]:
    """The clients that refuse, as far as they are known."""
    texts = texts_of(code, facts, target())
    assert texts is not None
    return {client for client, text in texts.items() if text != OK}


def texts(code: str, **facts: object) -> dict[str, str]:
    found = texts_of(code, facts, target())
    assert found is not None
    return dict(found)


def test_pythons_list_of_suites() -> None:
    """The list that this Python offers by default, against the table."""
    context = ssl.create_default_context()
    real = {entry["id"] & 0xFFFF for entry in context.get_ciphers()}
    asked = real | set(SUITES)
    known = {code for code in asked if cipher_suite(code).kx in ("ECDHE", "DHE", "RSA", "TLS13")}
    assert {code for code in known if OFFERED["python"](code)} - real == set()
    assert real - {code for code in known if OFFERED["python"](code)} == set()


@pytest.mark.parametrize(
    ("name", "refused_by"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", set()),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", {"python"}),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", {"python", "chrome", "firefox"}),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", {"python", "go", "java"}),
        ("TLS_RSA_WITH_AES_256_CCM", {"openssl", "curl", "python", "go", "java", "chrome", "firefox"}),
        ("TLS_RSA_WITH_CAMELLIA_128_CBC_SHA", set(CLIENTS)),
    ],
)
def test_clients_accept_the_suites_that_they_offer(name: str, refused_by: set[str]) -> None:
    code = next(code for code in SUITES if cipher_suite(code).name == name)
    assert refusing("no-shared-cipher", cipher_code=code, failure="alert", alert_code=40) - {"gnutls"} == refused_by - {
        "gnutls"
    }


def test_each_client_has_its_shortest_prime() -> None:
    """OpenSSL at level 2 wants 2048 bits, the others that still know Diffie-Hellman 1024."""
    code = next(code for code in SUITES if cipher_suite(code).name == "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256")
    assert refusing("no-shared-cipher", cipher_code=code, dh_bits=2048, failure="alert", alert_code=40) == {
        "go",
        "chrome",
        "firefox",
    }
    short = texts_of("no-shared-cipher", {"cipher_code": code, "dh_bits": 1024, "alert_code": 40}, target())
    assert short is not None
    assert short["openssl"] == "SSL routines::dh key too small"
    assert short["java"] == OK


def test_texts_that_hold_since_a_release_name_it() -> None:
    """RSA key transport and SHA-1 in Java, short keys and primes in Node, post-quantum shares over OpenSSL."""
    rsa = next(code for code in SUITES if cipher_suite(code).name == "TLS_RSA_WITH_AES_128_CBC_SHA")
    said = texts("no-shared-cipher", cipher_code=rsa)
    assert by_release(said["java"])[1:] == ("Java 24", OK)
    assert by_release(said["go"])[1:] == (None, None)
    sha1 = texts("no-shared-signature-scheme", scheme="rsa_pkcs1_sha1", refused_by=["Chrome", "Go"])
    assert by_release(sha1["java"])[1:] == ("Java 25", OK)
    assert by_release(texts("weak-key", key="rsa:1024", leaf=True)["node"])[1:] == ("Node 24", OK)
    assert by_release(texts("weak-key", key="rsa:512", leaf=True)["node"])[1] is None
    large = texts("large-hello-dropped", failure="silent")
    assert {client: by_release(large[client])[1] for client in ("openssl", "curl", "python", "node", "go")} == {
        "openssl": "OpenSSL 3.5",
        "curl": "OpenSSL 3.5",
        "python": "OpenSSL 3.5",
        "node": "Node 24",
        "go": None,
    }
    assert large["java"] == large["gnutls"] == OK


def test_suites_for_dsa_are_offered_by_java_and_node() -> None:
    dsa = next(code for code in SUITES if cipher_suite(code).name == "TLS_DHE_DSS_WITH_AES_128_GCM_SHA256")
    said = texts("no-shared-cipher", cipher_code=dsa, dh_bits=2048)
    assert {client for client, text in said.items() if text == OK} == {"java", "node"}


@pytest.mark.parametrize("name", ["TLS_DH_anon_WITH_AES_128_CBC_SHA", "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"])
def test_a_long_enough_prime_helps_only_where_the_suite_is_offered(name: str) -> None:
    code = next(code for code in SUITES if cipher_suite(code).name == name)
    facts = {"cipher_code": code, "dh_bits": 1024, "failure": "alert", "alert_code": 40}
    assert refusing("no-shared-cipher", **facts) == set(CLIENTS)
