"""Predictions agree with severities, with the lists that Python really has, and with what OpenSSL really says."""

from __future__ import annotations

import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.diagnosis.case import Context
from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.clients.by_evidence import texts_of
from scanner.diagnosis.clients.endings import CLIENTS, OK
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.engine import diagnose
from scanner.model.evidence import Failure
from scanner.model.findings import DiagnosisRecord
from tests.helpers import pki
from tests.helpers.evidence import (
    HOST,
    alerted,
    answered,
    at,
    diagnosed,
    evidence,
    failed,
    issuing,
    leaf,
    root,
    target,
    verdicts,
)

MAINSTREAM = {"openssl", "curl", "go", "java", "chrome", "firefox"}
# What clients say is said by the codes that come with it.
SAID_BY_OTHERS = {
    "no-greeting",  # clients that wait longer may get through: what they say is not known
    "placeholder-certificate",
    "sct-invalid",
    "client-certificate-required-by-application",
    "known-middlebox",
    "issuer-across-unrelated-names",
    "captive-portal",
}
# The failure of these is none of TLS, and depends on the protocol.
BEFORE_TLS = {"session-refused", "starttls-refused"}
EVIDENCE: dict[str, dict[str, Any]] = {
    "no-shared-cipher": {"cipher_code": 0x009E, "failure": "alert", "alert_code": 40},
    **{code: {"failure": None, "words": "554 no"} for code in BEFORE_TLS},
    "no-shared-group": {"group": "secp521r1", "failure": "alert", "alert_code": 40},
    "no-shared-signature-scheme": {"refused_by": ["Chrome"]},
    "legacy-version-only": {"versions": ["TLSv1.0"]},
    "oversized-message": {"message": "Certificate", "size": 40_000, "refused_by": ["Java"]},
    "weak-key": {"key": "rsa:1024", "leaf": True},
    "revoked-ocsp": {"leaf": True},
    "staple-invalid": {"fault": "signature"},
    "path-not-found-by-all": {"because": "issuer-unknown"},
}


def record(code: str, **facts: Any) -> DiagnosisRecord:
    entry = CODES[code]
    return DiagnosisRecord(code=code, cause=entry.cause, severity=entry.severity, summary="", evidence=facts)


@pytest.mark.parametrize("code", [code.code for code in CODES.values() if code.severity == "error"])
def test_an_error_is_refused_by_somebody(code: str) -> None:
    """Severity is what mainstream clients do, so the table must know one that refuses."""
    facts = {"failure": "alert", "alert_code": 40, **EVIDENCE.get(code, {})}
    said = predict(target(protocol="smtp" if code in BEFORE_TLS else "tls"), [record(code, **facts)])
    if code in SAID_BY_OTHERS:
        assert said == {}
    else:
        assert {client for client, text in said.items() if text != OK} & MAINSTREAM


@pytest.mark.parametrize("code", [code.code for code in CODES.values() if code.severity != "error"])
def test_less_than_an_error_is_refused_by_nobody(code: str) -> None:
    assert texts_of(code, {}, target()) is None
    assert predict(target(), [record(code)]) == {}


def test_browsers_only_where_they_speak() -> None:
    assert set(predict(target(), [record("certificate-expired")])) == set(CLIENTS)
    assert set(predict(target(protocol="imap"), [record("certificate-expired")])) == set(CLIENTS) - {
        "chrome",
        "firefox",
    }


@pytest.mark.parametrize(
    ("protocol", "silent"),
    [
        ("https", set()),
        ("smtp", {"chrome", "firefox"}),
        ("postgres", {"curl", "chrome", "firefox"}),
        ("mysql", {"curl", "chrome", "firefox", "gnutls"}),
        ("mssql", {"openssl", "curl", "chrome", "firefox", "gnutls"}),
        ("rdp", set(CLIENTS)),
    ],
)
def test_what_a_client_does_not_speak_is_left_out(protocol: str, silent: set[str]) -> None:
    assert set(predict(target(protocol=protocol), [record("certificate-expired")])) == set(CLIENTS) - silent


def test_node_says_what_openssl_finds_last() -> None:
    """Node keeps the last error, and looks at the name after the handshake."""
    missing = record("issuer-unknown", leaf=True)
    expired = record("certificate-expired", not_after="2026-01-01")
    name = record("name-not-in-san", nearest=["other.example"])
    assert predict(target(), [missing])["node"].startswith("UNABLE_TO_VERIFY_LEAF_SIGNATURE: ")
    assert predict(target(), [record("issuer-unknown", leaf=False)])["node"].startswith(
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "
    )
    assert predict(target(), [missing, expired, name])["node"] == "CERT_HAS_EXPIRED: certificate has expired"
    assert predict(target(), [name])["node"].startswith("ERR_TLS_CERT_ALTNAME_INVALID: ")
    assert "UNSPECIFIED: " in predict(target(), [record("name-constraint-violated")])["node"]


def test_each_client_has_its_own_order() -> None:
    """Expired and misnamed: OpenSSL and Python say the name, curl and Go the date, GnuTLS both."""
    wrong = pki.certificate("other.example.net", issuer=issuing(), not_after=pki.NOW - pki.DAY)
    said = diagnosed(answered((wrong, issuing()))).clients
    assert said["openssl"] == "verify error:num=62:hostname mismatch"
    assert "Hostname mismatch" in said["python"]
    assert said["curl"] == "(60) SSL certificate problem: certificate has expired"
    assert "has expired or is not yet valid" in said["go"]
    assert said["chrome"] == "ERR_CERT_COMMON_NAME_INVALID"
    assert said["firefox"] == "SSL_ERROR_BAD_CERT_DOMAIN"
    assert said["gnutls"] == (
        "The certificate is NOT trusted. The certificate chain uses expired certificate. "
        "The name in the certificate does not match the expected."
    )


def test_the_connection_comes_before_the_certificate() -> None:
    said = predict(target(), [record("certificate-expired"), record("legacy-version-only", versions=["SSLv3"])])
    assert said["chrome"] == "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"


def test_an_unknown_client_is_left_out() -> None:
    """What follows a text that is not known cannot be known either."""
    said = predict(target(), [record("malformed-handshake", failure="malformed")])
    assert "openssl" not in said and "chrome" in said


def handshake(chain: tuple[pki.Issued, ...], name: str = HOST) -> str:
    """What Python's ssl (OpenSSL underneath) says to a server in memory that sends this chain; "ok" where it accepts."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.set_ciphers("DEFAULT@SECLEVEL=0")
    _load(server_context, chain)
    client_context = ssl.create_default_context(cadata=root().pem)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        try:
            client.do_handshake()
            return OK
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return str(error).partition(" (_ssl.c")[0]
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            pass
    raise AssertionError("the handshake never ends")


def _load(context: ssl.SSLContext, chain: tuple[pki.Issued, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificates, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        certificates.write_text(pki.pem(*chain))
        key.write_text(chain[0].key_pem)
        context.load_cert_chain(certificates, key)


def _leaf(**changes: Any) -> pki.Issued:
    # The real client judges by the real clock.
    now = time.time()
    given = {"issuer": _issuing(), "not_before": now - 30 * pki.DAY, "not_after": now + 60 * pki.DAY, **changes}
    if "ago" in given:
        given["not_after"] = now - given.pop("ago")
    return pki.certificate(HOST, **given)


def _issuing(**changes: Any) -> pki.Issued:
    now = time.time()
    given = {
        "issuer": root(),
        "ca": True,
        "not_before": now - 900 * pki.DAY,
        "not_after": now + 900 * pki.DAY,
        **changes,
    }
    return pki.certificate("CA now", **given)


REAL_CHAINS: dict[str, Callable[[], tuple[pki.Issued, ...]]] = {
    "healthy": lambda: (_leaf(), _issuing()),
    "expired": lambda: (_leaf(ago=pki.DAY), _issuing()),
    "self-signed": lambda: (_leaf(issuer=None),),
    "no intermediate": lambda: (_leaf(),),
    "name": lambda: (_leaf(san=["other.example.net"]), _issuing()),
    "common name only": lambda: (_leaf(without=["san"]), _issuing()),
    "wildcard": lambda: (_leaf(san=["*.org", "*.www.example.org"]), _issuing()),
    "expired and misnamed": lambda: (_leaf(ago=pki.DAY, san=["other.example.net"]), _issuing()),
    "purpose": lambda: (_leaf(purposes=["clientAuth"]), _issuing()),
    "critical extension": lambda: (_leaf(extra=[pki.extension("1.2.3.4", b"\x05\x00", critical=True)]), _issuing()),
    "signature": lambda: (_leaf(break_signature=True), _issuing()),
    "not a CA": lambda: (_leaf(issuer=_issuing(ca=False, usages=["keyCertSign"])), _issuing(ca=False, usages=["keyCertSign"])),
    "key usage": lambda: (_leaf(issuer=_issuing(usages=["cRLSign"])), _issuing(usages=["cRLSign"])),
    "path length": lambda: (
        _leaf(issuer=pki.certificate("Below", issuer=_issuing(path_length=0), ca=True, not_after=pki.NOW + 900 * pki.DAY)),
        pki.certificate("Below", issuer=_issuing(path_length=0), ca=True, not_after=pki.NOW + 900 * pki.DAY),
        _issuing(path_length=0),
    ),
    "CA expired": lambda: (_leaf(issuer=_issuing(not_after=pki.NOW - 400 * pki.DAY)), _issuing(not_after=pki.NOW - 400 * pki.DAY)),
    "stranger": lambda: (_leaf(issuer=pki.root("Stranger")), pki.root("Stranger")),
}  # fmt: skip


@pytest.mark.parametrize("story", REAL_CHAINS)
def test_what_python_really_says(story: str) -> None:
    """The prediction for Python is, word for word, what the ssl module of this machine says to the same chain."""
    chain = REAL_CHAINS[story]()
    seen = evidence(answered(chain))
    now = time.time()
    diagnosis = diagnose(seen, verdicts(seen, when=now), Context(at=now))
    real = handshake(chain)
    predicted = diagnosis.clients.get("python", OK)
    assert predicted == real, [entry["code"] for entry in diagnosis.diagnoses]


def test_refusals_are_told_in_each_clients_words() -> None:
    said = diagnosed(failed(Failure.RESET)).clients
    assert said["python"] == "ConnectionResetError: [Errno 104] Connection reset by peer"
    said = diagnosed(evidence(at(alerted(70), tls12=alerted(70)))).clients
    assert said["go"] == "remote error: tls: protocol version not supported"


def test_an_intermediate_that_browsers_find() -> None:
    """AIA in the certificate: Chrome fetches what is missing; Firefox knows what its CAs disclosed."""
    published = {"completed_from": ["shipped"], "urls": ["http://ca.example/i.cer"]}
    said = predict(target(), [record("intermediate-not-sent", **published)])
    assert (said["chrome"], said["firefox"]) == (OK, OK)
    assert said["curl"].startswith("(60)")
    said = predict(target(), [record("intermediate-not-sent", completed_from=["run"])])
    assert OK not in said.values()


def test_leaf_is_healthy() -> None:
    assert diagnosed(answered((leaf(), issuing()))).clients == {}


def test_certificates_are_looked_at_before_clients_are_refused() -> None:
    """A client that gives up on the server's certificate never learns that its own is missing."""
    asked: DiagnosisRecord = {
        "code": "client-certificate-required",
        "cause": "client-certificate",
        "severity": "error",
        "summary": "",
        "evidence": {"failure": "alert", "alert_code": 116, "version_code": 0x0304},
    }
    expired: DiagnosisRecord = {
        "code": "certificate-expired",
        "cause": "expired-or-self-signed",
        "severity": "error",
        "summary": "",
        "evidence": {"not_after": "2026-01-01"},
    }
    said = predict(target(), [asked, expired])
    assert "certificate has expired" in said["curl"]
    assert said["chrome"] == "ERR_CERT_DATE_INVALID"
    assert said["gnutls"].startswith("The certificate is NOT trusted.")
    assert predict(target(), [asked])["chrome"] == "ERR_BAD_SSL_CLIENT_AUTH_CERT"
