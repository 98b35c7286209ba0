"""The published part of completed handshakes."""

from __future__ import annotations

from msgspec.structs import replace

from scanner.diagnosis.assembly.application_fields import application_record, client_auth_record
from scanner.model.evidence import ClientAuthRequest, Completion, EndpointEvidence, Failure, Stage
from tests.helpers import pki
from tests.helpers.evidence import ADDRESS, answered, flight

ASKS = ClientAuthRequest((pki.root("Client CA").subject_der,))
REFUSED = Completion(Stage.CLIENT_AUTH, failure=Failure.ALERT, alert=116, version=0x0304)
PAGE = Completion(
    Stage.DONE,
    version=0x0304,
    status=403,
    server="Apache\ud800",
    location="/login",
    date=1_795_435_200.0,
    reply=b"<title>no certificate</title>",
)
FINE = Completion(Stage.DONE, presented=True, version=0x0304, status=200, reply=b"hello")


def endpoint(**completions: Completion) -> EndpointEvidence:
    named = {name.replace("_", "-"): completion for name, completion in completions.items()}
    return EndpointEvidence(ADDRESS, answered(client_auth=ASKS), completions=named)


def test_server_that_requests_no_certificate_requires_none() -> None:
    assert client_auth_record(endpoint(), flight(), "tls") == {
        "requested": False,
        "required": False,
        "authorities": [],
    }


def test_request_names_its_cas_and_what_becomes_of_clients_without() -> None:
    asking = flight(client_auth=ASKS)
    known = {"requested": True, "authorities": ["CN=Client CA"]}
    assert client_auth_record(endpoint(), asking, "tls") == {**known, "required": None}
    assert client_auth_record(endpoint(client_auth=REFUSED), asking, "tls") == {**known, "required": True}
    both = endpoint(client_auth=REFUSED, authenticated=FINE)
    assert client_auth_record(both, asking, "tls") == {**known, "required": True, "accepted": True}
    neither = endpoint(client_auth=PAGE, authenticated=replace(REFUSED, presented=True))
    assert client_auth_record(neither, asking, "tls") == {**known, "required": True, "accepted": False}
    lost = endpoint(client_auth=FINE, authenticated=Completion(Stage.CONNECT, failure=Failure.CONNECT_TIMEOUT))
    assert client_auth_record(lost, asking, "tls") == {**known, "required": False, "accepted": None}


def test_application_record_is_of_the_best_known_client() -> None:
    assert application_record(endpoint()) is None
    assert application_record(endpoint(client_auth=REFUSED)) == {
        "question": "client-auth",
        "stage": "client-auth",
        "error": "alert",
        "status": None,
        "alert": "certificate_required",
    }
    assert application_record(endpoint(http=PAGE)) == {
        "question": "http",
        "stage": "done",
        "error": None,
        "status": 403,
        "server": "Apache\\ud800",
        "location": "/login",
        "date": "2026-11-23T12:00:00.000Z",
        "words": "no certificate",
    }
    assert application_record(endpoint(client_auth=PAGE, authenticated=FINE)) == {
        "question": "authenticated",
        "stage": "done",
        "error": None,
        "status": 200,
        "authenticated": True,
    }
