"""What completed handshakes showed, as a finding publishes it: whether a client certificate is demanded, and what answered.

All of every completed handshake stands in ``observed`` as well; this is the part that is read by people and warehouses.
"""

from __future__ import annotations

from typing import Final

from scanner.codec.json_safe import safe_text, timestamp
from scanner.diagnosis.case import AUTHENTICATED, CLIENT_AUTH, HTTP
from scanner.diagnosis.rules.client_auth import ours_taken, required, said
from scanner.model.evidence import Completion, EndpointEvidence, ServerFlight, Stage
from scanner.model.findings import ApplicationRecord, ClientAuthRecord
from scanner.tls.registry_names import alert_name
from scanner.x509.distinguished import name_text

NOT_REQUESTED: Final[ClientAuthRecord] = {"requested": False, "required": False, "authorities": []}


def client_auth_record(endpoint: EndpointEvidence, flight: ServerFlight, protocol: str) -> ClientAuthRecord:
    """Return whether a client certificate is requested, which CAs may issue it, and whether clients without one are refused."""
    request = flight.negotiation.client_auth
    if request is None:
        return NOT_REQUESTED
    record: ClientAuthRecord = {
        "requested": True,
        "required": required(endpoint, protocol),
        "authorities": [safe_text(name_text(name).text) for name in request.authorities],
    }
    if AUTHENTICATED in endpoint.completions:
        record["accepted"] = ours_taken(endpoint, protocol)
    return record


def application_record(endpoint: EndpointEvidence) -> ApplicationRecord | None:
    """Return what the application answered, to our certificate if there was one; ``None`` if no request was sent."""
    for question in (AUTHENTICATED, CLIENT_AUTH, HTTP):
        completion = endpoint.completions.get(question)
        if completion is not None:
            return _application(question, completion)
    return None


def _application(question: str, completion: Completion) -> ApplicationRecord:
    record: ApplicationRecord = {
        "question": question,
        "stage": completion.stage.value,
        "error": None if completion.failure is None else completion.failure.value,
        "status": completion.status,
    }
    if completion.alert is not None:
        record["alert"] = alert_name(completion.alert)
    if completion.presented:
        record["authenticated"] = True
    if completion.server is not None:
        record["server"] = safe_text(completion.server)
    if completion.location is not None:
        record["location"] = safe_text(completion.location)
    if completion.date is not None:
        record["date"] = timestamp(completion.date)
    refused = completion.stage is Stage.APPLICATION or (completion.status or 0) >= 400
    if refused and (words := said(completion)):
        record["words"] = safe_text(words)
    return record
