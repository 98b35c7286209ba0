from __future__ import annotations

from typing import Any

import orjson

from scanner.model.evidence import Evidence, RevocationAnswer
from tests.helpers import revocation as made
from tests.helpers.evidence import answered, evidence, finding_of, issuing, leaf
from tests.helpers.pki import DAY, NOW
from tests.helpers.schema import validate


def endpoint(staple: bytes | None = None, *answers: RevocationAnswer, **context: Any) -> dict[str, Any]:
    """The endpoint of a finding as a reader gets it."""
    plain = evidence(answered(ocsp_response=staple))
    seen = Evidence(plain.target, plain.started, plain.dns, plain.endpoints, revocation=tuple(answers))
    read: dict[str, Any] = orjson.loads(orjson.dumps(finding_of(seen, **context)))
    validate(read)
    found: dict[str, Any] = read["endpoints"][0]
    return found


def test_without_staple_and_answers_there_are_no_fields() -> None:
    assert "ocsp" not in endpoint() and "crl" not in endpoint()


def test_staple_is_written_with_what_it_is_worth() -> None:
    data = made.ocsp(leaf(), issuing(), "revoked", reason=1)
    assert endpoint(data)["ocsp"] == {
        "stapled": True,
        "bytes": len(data),
        "status": "revoked",
        "this_update": "2026-11-22T12:00:00Z",
        "next_update": "2026-11-29T12:00:00Z",
        "produced_at": "2026-11-22T12:00:00Z",
        "revoked_at": "2026-11-13T12:00:00Z",
        "reason": "keyCompromise",
        "responder": "CN=Issuing CA",
    }
    assert endpoint(b"x")["ocsp"] == {
        "stapled": True,
        "bytes": 1,
        "status": "invalid",
        "error": "not an OCSP response: text",
    }
    assert endpoint(data, revocation="off")["ocsp"] == {"stapled": True, "bytes": len(data)}


def test_answers_are_written_by_source() -> None:
    refused = RevocationAnswer(leaf().sha256, "ocsp", "http://o/", "unavailable", error="refused \udcff", blocked=True)
    listed = RevocationAnswer(
        issuing().sha256, "crl", "http://c/", "good", this_update=NOW, next_update=NOW + DAY, responder="CN=x"
    )
    elsewhere = RevocationAnswer("ab" * 32, "crl", "http://c/", "good")
    found = endpoint(None, refused, listed, elsewhere)
    assert found["ocsp"] == {
        "stapled": False,
        "answers": [
            {
                "certificate": leaf().sha256,
                "url": "http://o/",
                "status": "unavailable",
                "error": "refused \\udcff",
                "blocked": True,
            }
        ],
    }
    assert found["crl"] == {
        "answers": [
            {
                "certificate": issuing().sha256,
                "url": "http://c/",
                "status": "good",
                "this_update": "2026-11-23T12:00:00Z",
                "next_update": "2026-11-24T12:00:00Z",
                "responder": "CN=x",
            }
        ]
    }
