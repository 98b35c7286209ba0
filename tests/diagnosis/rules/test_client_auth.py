"""Servers that ask for a client certificate: what each way of going on, refusing or hanging up proves."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scanner.diagnosis.engine import Diagnosis
from scanner.diagnosis.rules.client_auth import required
from scanner.model.evidence import ClientAuthRequest, Completion, EndpointEvidence, Failure, Stage
from tests.helpers import pki
from tests.helpers.evidence import ADDRESS, AT, answered, codes, diagnosed, evidence, proof, target

CLIENT_CA = pki.root("Client CA")
OURS = pki.certificate("client", issuer=CLIENT_CA, purposes=["clientAuth"])
ASKS = ClientAuthRequest((CLIENT_CA.parsed.subject_der,))

TLS12_ALERT = Completion(Stage.CLIENT_AUTH, failure=Failure.ALERT, alert=40, version=0x0303)
TLS13_ALERT = Completion(Stage.CLIENT_AUTH, failure=Failure.ALERT, alert=116, version=0x0304)
HUNG_UP = Completion(Stage.APPLICATION, failure=Failure.CLOSED, version=0x0304)
RESET = Completion(Stage.APPLICATION, failure=Failure.RESET, version=0x0304)
SILENT = Completion(Stage.APPLICATION, failure=Failure.SILENT, version=0x0304)
LOST = Completion(Stage.CONNECT, failure=Failure.CONNECT_TIMEOUT)
NGINX = b"<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body></body></html>"
POSTGRES = b"E\0\0\0\x50SFATAL\0VFATAL\0C28000\0Mconnection requires a valid client certificate\0\0"
LDAP = b"\x30\x2b\x02\x01\x01\x61\x26\x0a\x01\x0d\x04\x00\x04\x1fTLS client certificate required"

REQUIRED, BEHIND = "client-certificate-required", "client-certificate-required-by-application"
OPTIONAL, REJECTED = "client-certificate-optional.", "client-certificate-rejected"


def http(status: int, body: bytes = b"", **changes: Any) -> Completion:
    return Completion(Stage.DONE, version=0x0304, status=status, reply=body, **changes)


def said(words: bytes) -> Completion:
    return Completion(Stage.APPLICATION, version=0x0304, detail="refused", reply=words)


def seen(protocol: str = "https", *, alpn: str | None = None, asks: Any = ASKS, **completions: Completion) -> Diagnosis:
    endpoint = EndpointEvidence(
        ADDRESS,
        answered(client_auth=asks, alpn=alpn),
        completions={name.replace("_", "-"): completion for name, completion in completions.items()},
    )
    return diagnosed(evidence(endpoint, of=target(protocol=protocol)))


@pytest.mark.parametrize(
    ("protocol", "completion", "expected"),
    [
        ("https", TLS12_ALERT, [REQUIRED]),
        ("https", TLS13_ALERT, [REQUIRED]),
        ("smtp", TLS13_ALERT, [REQUIRED]),
        ("https", Completion(Stage.CLIENT_AUTH, failure=Failure.CLOSED, version=0x0303), [REQUIRED]),
        # HTTP
        ("https", http(400, NGINX), [BEHIND]),
        ("https", http(400, b"Bad Request"), [OPTIONAL]),
        ("https", http(495), [BEHIND]),
        ("https", http(496), [BEHIND]),
        ("https", http(403), [BEHIND]),
        ("https", http(401, b"Client certificate missing", challenge="Basic"), [BEHIND]),
        ("https", http(401, challenge="Basic realm=x"), [OPTIONAL]),
        ("https", http(401), [BEHIND]),
        ("https", http(200, b"a page about certificates"), [OPTIONAL]),
        ("https", http(302, location="https://login.example/"), [OPTIONAL]),
        ("https", http(404), [OPTIONAL]),
        ("https", http(503, b"certificate"), [OPTIONAL]),
        # it hangs up on HTTP
        ("https", HUNG_UP, [BEHIND]),
        ("https", RESET, [BEHIND]),
        ("https", SILENT, []),
        ("https", LOST, []),
        # other protocols
        ("smtp", said(b"530 5.7.0 Client certificate not presented\r\n"), [BEHIND]),
        ("smtp", said(b"550 go away\r\n"), [OPTIONAL]),
        ("postgres", said(POSTGRES), [BEHIND]),
        # who has not looked at the client yet has not welcomed it
        ("postgres", said(b"E\0\0\0\x40SFATAL\0C57P03\0Mle syst\xc3\xa8me d\xc3\xa9marre\0\0"), []),
        ("postgres", said(b"E\0\0\0\x40SFATAL\0C53300\0Msorry, too many clients already\0\0"), []),
        ("postgres", said(b'E\0\0\0\x40SFATAL\0C28000\0Mrole "tlsweep" does not exist\0\0'), [OPTIONAL]),
        ("smtps", said(b"421 4.3.2 too many connections\r\n"), []),
        ("smtp", said(b"451 4.3.0 try again\r\n"), []),
        ("imaps", said(b"* BYE Server shutting down.\r\n"), []),
        ("ldaps", said(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x34\x04\x00\x04\x00"), []),
        ("ldap", said(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x30\x04\x00\x04\x00"), [OPTIONAL]),
        ("xmpps", said(b"<stream:error><system-shutdown xmlns='x'/></stream:error>"), []),
        ("ldap", said(LDAP), [BEHIND]),
        ("imaps", HUNG_UP, [BEHIND]),
        ("imaps", Completion(Stage.DONE, reply=b"* OK"), [OPTIONAL]),
    ],
)
def test_answers_to_clients_without_a_certificate_decide(
    protocol: str, completion: Completion, expected: list[str]
) -> None:
    assert codes(seen(protocol, client_auth=completion)) == expected


APACHE = b"<title>403 Forbidden</title><p>Reason: Cannot perform Post-Handshake Authentication.<br />"
TLS12: dict[str, Any] = {"version": 0x0303}


@pytest.mark.parametrize(
    ("completion", "asked"),
    [
        (http(403, APACHE), "after the handshake"),
        (Completion(Stage.APPLICATION, failure=Failure.ALERT, alert=116, version=0x0304), "after the handshake"),
        (
            Completion(Stage.APPLICATION, failure=Failure.ALERT, alert=40, renegotiated=True, **TLS12),
            "by renegotiation",
        ),
        (Completion(Stage.APPLICATION, failure=Failure.CLOSED, renegotiated=True, **TLS12), "by renegotiation"),
        (Completion(Stage.DONE, status=403, renegotiated=True, **TLS12), "by renegotiation"),
        (http(400, NGINX), "in its answer"),
        (http(496), "in its answer"),
        (http(403, b"403.7 Forbidden: client certificate required"), "in its answer"),
        (http(401, b"A valid certificate is missing: no client certificate"), "in its answer"),
    ],
)
def test_a_certificate_that_is_demanded_behind_the_handshake(completion: Completion, asked: str) -> None:
    diagnosis = seen(asks=None, http=completion)
    assert codes(diagnosis) == [BEHIND]
    assert proof(diagnosis, BEHIND)["asked"] == asked
    assert asked in diagnosis.diagnoses[0]["summary"]


@pytest.mark.parametrize(
    "completion",
    [
        http(403),
        http(403, b"you are not allowed to see this certificate store"),
        http(401, b"log in", challenge="Basic"),
        http(200, APACHE),
        http(404, b"client certificate"),
        Completion(Stage.DONE, status=200, renegotiated=True, **TLS12),
        Completion(Stage.DONE, status=401, renegotiated=True, challenge="Basic", **TLS12),
        HUNG_UP,
        RESET,
        SILENT,
        LOST,
        Completion(Stage.APPLICATION, failure=Failure.ALERT, alert=40, version=0x0304),
    ],
)
def test_who_does_not_ask_is_not_blamed_without_proof(completion: Completion) -> None:
    assert codes(seen(asks=None, http=completion)) == []


def test_not_asked_is_not_known() -> None:
    assert codes(seen()) == []


@pytest.mark.parametrize(
    ("alpn", "quiet", "expected"),
    [
        (None, None, []),
        ("http/1.1", None, [BEHIND]),
        ("h2", None, [BEHIND]),
        # it may not be HTTP that is spoken there: what does it do to a client that says nothing?
        (None, HUNG_UP, [BEHIND]),
        (None, TLS13_ALERT, [REQUIRED]),
        (None, Completion(Stage.DONE, version=0x0304), [OPTIONAL]),
        (None, LOST, []),
    ],
)
def test_hanging_up_on_a_word_that_may_be_wrong(
    alpn: str | None, quiet: Completion | None, expected: list[str]
) -> None:
    completions = {"client_auth": HUNG_UP} | ({} if quiet is None else {"client_auth_quiet": quiet})
    assert codes(seen("tls", alpn=alpn, **completions)) == expected


QUIETLY_FINE = Completion(Stage.DONE, version=0x0304, waited=1.0)
QUIETLY_CLOSED = replace(HUNG_UP, waited=1.0)


@pytest.mark.parametrize(
    ("without", "ours", "expected"),
    [
        (QUIETLY_FINE, None, [OPTIONAL]),
        (QUIETLY_CLOSED, None, [BEHIND]),
        (replace(TLS13_ALERT, waited=1.0), None, [REQUIRED]),
        (SILENT, None, []),
        # who hangs up on a request that is not of its protocol has rejected nothing
        (QUIETLY_FINE, HUNG_UP, [OPTIONAL]),
        (TLS13_ALERT, HUNG_UP, [REQUIRED]),
        (TLS13_ALERT, SILENT, [REQUIRED]),
        # ... and who hangs up on a client that sends nothing has
        (QUIETLY_FINE, QUIETLY_CLOSED, [REJECTED]),
        (TLS13_ALERT, replace(TLS13_ALERT, waited=1.0), [REJECTED]),
        (TLS13_ALERT, QUIETLY_FINE, []),
        (QUIETLY_FINE, QUIETLY_FINE, [OPTIONAL]),
    ],
)
def test_of_a_service_of_an_unknown_protocol_only_silence_decides(
    without: Completion, ours: Completion | None, expected: list[str]
) -> None:
    completions: dict[str, Any] = {"client_auth": without}
    if ours is not None:
        completions["authenticated"] = replace(ours, presented=True, offered=(OURS.der,))
    assert codes(seen("tls", **completions)) == expected


def test_the_seconds_that_a_server_had_to_refuse_are_in_summary_and_evidence() -> None:
    diagnosis = seen("tls", client_auth=replace(QUIETLY_FINE, waited=1.2300001))
    assert proof(diagnosis, "client-certificate-optional")["seconds"] == 1.2
    assert "did not refuse a client without one within 1.2 s" in diagnosis.diagnoses[0]["summary"]


@pytest.mark.parametrize(
    ("without", "ours", "expected"),
    [
        (TLS13_ALERT, http(200), []),
        (http(400, NGINX), http(200), []),
        (http(200), http(200), [OPTIONAL]),
        (TLS13_ALERT, TLS13_ALERT, [REJECTED]),
        (TLS12_ALERT, Completion(Stage.CLIENT_AUTH, failure=Failure.RESET, version=0x0303), [REJECTED]),
        (http(400, NGINX), http(400, b"<title>400 The SSL certificate error</title>"), [REJECTED]),
        (TLS13_ALERT, http(403), [REJECTED]),
        (http(200), http(403), [REJECTED]),
        # refused alike, and ours is of the CA that it names: certificates are not the reason that is proven
        (http(403), http(403), [BEHIND]),
        (TLS13_ALERT, LOST, [REQUIRED]),
    ],
)
def test_answers_to_our_certificate_decide(without: Completion, ours: Completion, expected: list[str]) -> None:
    ours = replace(ours, presented=True, offered=(OURS.der,))
    assert codes(seen(client_auth=without, authenticated=ours)) == expected


def test_refused_alike_with_one_that_has_expired() -> None:
    """With a page of its own for both cases a server says no word about certificates; ours alone can be the reason."""
    old = pki.certificate("client", issuer=CLIENT_CA, purposes=["clientAuth"], not_before=AT - 20, not_after=AT - 10)
    ours = replace(http(401), presented=True, offered=(old.der,))
    diagnosis = seen(client_auth=http(401), authenticated=ours)
    assert codes(diagnosis) == [REJECTED]
    assert proof(diagnosis, REJECTED)["reasons"] == ["expired"]


def rejection(*chain: pki.Issued, asks: ClientAuthRequest = ASKS) -> dict[str, Any]:
    ours = Completion(
        Stage.CLIENT_AUTH, True, Failure.ALERT, 48, version=0x0304, offered=tuple(issued.der for issued in chain)
    )
    return proof(seen(asks=asks, client_auth=TLS13_ALERT, authenticated=ours), REJECTED)


def test_what_the_server_may_mind_about_ours() -> None:
    facts = rejection(OURS)
    assert (facts["alert"], facts["alert_code"], facts["version"]) == ("unknown_ca", 48, "TLSv1.3")
    assert facts["authorities"] == ["CN=Client CA"]
    assert (facts["subject"], facts["issuer"]) == ("CN=client", "CN=Client CA")
    assert "reasons" not in facts
    other = pki.root("Other CA")
    wrong = pki.certificate(
        "client", issuer=other, purposes=["serverAuth"], usages=["keyAgreement"], not_before=AT - 20, not_after=AT - 10
    )
    assert rejection(wrong)["reasons"] == [
        "issuer-not-accepted",
        "expired",
        "not-for-client-auth",
        "not-for-signatures",
    ]
    early = pki.certificate("client", issuer=CLIENT_CA, without=("eku",), not_before=AT + 10, not_after=AT + 20)
    assert rejection(early)["reasons"] == ["not-yet-valid"]


def test_an_intermediate_that_is_shown_leads_to_the_ca() -> None:
    between = pki.authority("Client Issuing CA", CLIENT_CA)
    ours = pki.certificate("client", issuer=between, purposes=["clientAuth"])
    assert "reasons" not in rejection(ours, between)
    assert rejection(ours)["reasons"] == ["issuer-not-accepted"]
    # who names no CA takes any issuer
    assert "reasons" not in rejection(ours, asks=ClientAuthRequest())


def test_the_words_of_refusals() -> None:
    assert (
        proof(seen(client_auth=http(400, NGINX)), BEHIND)["answer"] == "HTTP 400: No required SSL certificate was sent"
    )
    assert proof(seen(client_auth=http(403)), BEHIND)["answer"] == "HTTP 403"
    facts = proof(seen("postgres", client_auth=said(POSTGRES)), BEHIND)
    assert facts["answer"] == "connection requires a valid client certificate"
    assert proof(seen("ldap", client_auth=said(LDAP)), BEHIND)["answer"] == "TLS client certificate required"
    assert proof(seen(client_auth=HUNG_UP), BEHIND)["answer"] == "it hangs up"
    assert proof(seen(client_auth=RESET), BEHIND)["answer"] == "the connection is reset"
    page = b"<html><style>b {}</style><body><h1>403</h1>\n certificate \xff please</body>"
    assert proof(seen(client_auth=http(403, page)), BEHIND)["words"] == "403 certificate \ufffd please"


@pytest.mark.parametrize(
    ("completion", "known"),
    [(TLS13_ALERT, True), (http(400, NGINX), True), (http(200), False), (LOST, None), (None, None)],
)
def test_required_is_known_or_not(completion: Completion | None, known: bool | None) -> None:
    completions = {} if completion is None else {"client-auth": completion}
    assert required(EndpointEvidence(ADDRESS, answered(client_auth=ASKS), completions=completions), "https") is known
