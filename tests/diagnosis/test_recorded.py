"""Evidence survives a finding: written, read back and judged again, it gives the finding that it came from."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scanner.codec.decode import RecordedError
from scanner.diagnosis.case import flight_of
from scanner.diagnosis.recorded import evidence_of
from scanner.model.evidence import (
    ClientAuthRequest,
    Completion,
    Deviation,
    DnsStatus,
    EndpointEvidence,
    Evidence,
    Failure,
    FetchedIssuer,
    Negotiation,
    Probe,
    RevocationAnswer,
    ServerFlight,
    Stage,
)
from tests.diagnosis import test_properties as any_of
from tests.helpers.evidence import (
    AT,
    HOST,
    alerted,
    answered,
    at,
    dns,
    evidence,
    failed,
    finding_of,
    issuing,
    leaf,
    target,
)
from tests.helpers.schema import validate


def line(seen: Evidence) -> bytes:
    """The finding, as it stands in a file."""
    return orjson.dumps(finding_of(seen))


def written(seen: Evidence) -> dict[str, Any]:
    """The finding, as it is read from a file."""
    read: dict[str, Any] = orjson.loads(line(seen))
    validate(read)
    return read


def read_back(record: dict[str, Any]) -> Evidence:
    """The evidence in a finding that is complete by itself."""
    known = {entry["sha256"]: base64.b64decode(entry["der"]) for entry in record["certificates"] if "der" in entry}
    assert all(hashlib.sha256(der).hexdigest() == sha256 for sha256, der in known.items())
    return evidence_of(record, known.get)


# What a finding rounds or leaves out, since no rule reads it
def comparable(seen: Evidence) -> Evidence:
    def probe(one: Probe, *, first: bool) -> Probe:
        if not first:
            return replace(one, connect_seconds=None, starttls_seconds=None, handshake_seconds=None)
        times = {
            name: None if (value := getattr(one, name)) is None else round(value, 6)
            for name in ("connect_seconds", "starttls_seconds", "handshake_seconds")
        }
        changes: dict[str, Any] = {**times, "bytes_received": 0} if one.failure is None else dict(times)
        if one.failure is None and one.flight is not None and one.flight.negotiation.version == 0x0304:
            changes["flight"] = replace(one.flight, random=None)
        return replace(one, **changes)

    return replace(
        seen,
        dns=None if seen.dns is None else replace(seen.dns, duration=0.0),
        duration=round(seen.duration, 6),
        endpoints=tuple(
            replace(
                endpoint,
                probe=probe(endpoint.probe, first=True),
                followups={name: probe(one, first=False) for name, one in endpoint.followups.items()},
            )
            for endpoint in seen.endpoints
        ),
    )


FLIGHT = answered().flight
assert FLIGHT is not None
CUT = replace(FLIGHT, negotiation=replace(FLIGHT.negotiation, complete=False, finished_valid=None))
CASES = {
    "healthy": evidence(answered()),
    "nothing at all": evidence(answer=dns(DnsStatus.NXDOMAIN, cname=("gone.example",), detail="no such name")),
    "a loop of names": evidence(answer=dns(DnsStatus.SERVFAIL, cname=("a", "b"), loop=True, extended_errors=((9, "x"),))),
    "records": evidence(
        answered(), answer=dns(caa=((128, "issue", "a"),), caa_owner="example.org", tlsa=((3, 1, 1, b"\x00\x01"),), authenticated=True)
    ),
    "hosts file": evidence(answered(), answer=dns(source="hosts")),
    "an address": evidence(answered(sni=None), of=target("192.0.2.1"), answer=None),
    "refused": evidence(failed(Failure.CONNECTION_REFUSED, stage=Stage.CONNECT, detail="ECONNREFUSED", connect_seconds=0.0123456)),
    "plain text": evidence(
        failed(Failure.PLAINTEXT, recognised="ssh", first_bytes=b"SSH-2.0-\xff", bytes_received=40, detail="SSH-2.0")
    ),
    "half a flight": evidence(
        failed(Failure.RESET, bytes_received=90, flight=ServerFlight(Negotiation(version=0x0303, cipher=0xC02F), random=b"r" * 32))
    ),
    "certificates, then an alert": evidence(
        replace(alerted(42), stage=Stage.CERTIFICATE, flight=CUT)
    ),
    "a follow-up that worked": evidence(
        at(alerted(40), everything=answered(version=0x0303, cipher=0x009E, group=None, dh_bits=1024), no_sni=alerted(112, sni=None))
    ),
    "another certificate for another name": evidence(
        at(answered(), default_certificate=answered((leaf("other.example"), issuing()), sni="x.invalid"))
    ),
    "key mismatch": evidence(answered(signature_valid=False)),
    "unknown key": evidence(answered(signature_valid=None, finished_valid=False)),
    "old": evidence(answered(version=0x0301, cipher=0x0005, group=None, signature_scheme=None, finished_valid=None, random=b"\x01" * 32)),
    "codes without a name of their own": evidence(
        answered(version=0x7F1C, cipher=0x0A0A, group=0xFE31, signature_scheme=0x1A1A, finished_valid=None)
    ),
    "codes without a name": evidence(answered(version=0x1234, cipher=0xFEFE, group=0x9999, signature_scheme=0x7777, finished_valid=None)),
    "asks for a certificate": evidence(answered(client_auth=ClientAuthRequest((b"\x30\x00", b"\xff"), (0x0403, 0x0804)))),
    "asks nobody's": evidence(answered(client_auth=ClientAuthRequest())),
    "stapled": evidence(answered(ocsp_response=b"\x30\x03\x0a\x01\x06", scts=(b"sct", b""))),
    "garbage for a certificate": evidence(answered((b"garbage", issuing().der))),
    "no certificate": evidence(answered(())),
    "enumerated": evidence(at(answered(), accepted={0x0304: (0x1301,), 0x0303: (), 0x0300: ()})),
    "two addresses": evidence(at(answered()), at(failed(Failure.SILENT), "2001:db8::1")),
    "our own fault": evidence(answered(), bug="KeyError: 'x' in f (g.py:7)"),
    "our own fault at an address": evidence(at(failed(Failure.BUG, detail="KeyError", stage=Stage.HELLO))),
    "our own fault without words": evidence(at(failed(Failure.BUG, stage=Stage.HELLO))),
    "completed": replace(
        evidence(at(answered())),
        endpoints=(
            EndpointEvidence(
                "192.0.2.1",
                answered(),
                completions={"http": Completion(Stage.DONE, status=200, date=1.5, local_time=2.0, reply=b"HTTP/1.1 \xff")},
            ),
        ),
    ),
    "fetched": replace(
        evidence(answered((leaf(),))),
        issuers=(FetchedIssuer(leaf().sha256, "http://a/", (issuing().der,)), FetchedIssuer("ab", "http://b/", (), "no", True)),
        revocation=(RevocationAnswer(leaf().sha256, "crl", "http://c/", "good", this_update=1.0, next_update=2.5),),
    ),
    "cut before": evidence(replace(answered(), cut=2)),
    "deviations": evidence(
        answered(version=0x0303, finished_valid=None, deviations=(Deviation("alpn", name="x"), Deviation("long-message", size=9)))
    ),
    "a file": evidence(answered(offer="file", sni=None)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_was_seen_is_read_back(name: str) -> None:
    seen = CASES[name]
    record = written(seen)
    again = read_back(record)
    assert comparable(again) == comparable(seen)
    assert written(again) == record


def test_a_healthy_target_has_nothing_observed() -> None:
    """What every finding of a healthy fleet would repeat is not written."""
    record = written(evidence(answered(alpn="h2", sni_acknowledged=True, random=b"r" * 32)))
    assert "observed" not in record and "judged_with" not in record
    assert all("observed" not in part for part in (record["dns"], record["endpoints"][0]))


COMPLETIONS = st.builds(
    Completion,
    stage=st.sampled_from(Stage),
    failure=st.none() | st.sampled_from(Failure),
    status=st.none() | st.integers(100, 599),
    alert=st.none() | st.integers(0, 255),
    answered=st.booleans(),
    renegotiated=st.booleans(),
    date=st.none() | st.floats(0, 1e10),
    reply=st.binary(max_size=5),
)
ISSUERS = st.builds(
    FetchedIssuer,
    certificate=st.just(leaf().sha256),
    url=st.just("http://a/"),
    certificates=st.lists(st.sampled_from([issuing().der, b"garbage"]), max_size=2).map(tuple),
    error=st.none() | st.just("x"),
)
ANSWERS = st.builds(
    RevocationAnswer,
    certificate=st.just(leaf().sha256),
    source=st.sampled_from(["ocsp", "crl"]),
    url=st.just("http://b/"),
    status=st.sampled_from(["good", "revoked", "unknown", "invalid", "unavailable"]),
    revoked_at=st.none() | st.floats(0, 1e10),
    error=st.none() | st.just("y"),
)


@st.composite
def anything_seen(draw: st.DrawFn) -> Evidence:
    """Whatever may have been seen, but for what no run can see."""
    seen = draw(any_of.evidences)
    answer = seen.dns
    if answer is not None and answer.bogus:  # what is bogus is not authenticated
        answer = replace(answer, authenticated=False)
    row = seen.target
    endpoints = tuple(
        replace(
            endpoint,
            completions=draw(
                st.dictionaries(st.sampled_from(["http", "client-auth", "finish"]), COMPLETIONS, max_size=1)
            ),
        )
        for endpoint in seen.endpoints
    )
    return replace(
        seen,
        target=replace(row, host_is_ip=False),
        started=AT,
        dns=answer,
        endpoints=endpoints,
        issuers=draw(st.lists(ISSUERS, max_size=2).map(tuple)),
        revocation=draw(st.lists(ANSWERS, max_size=2).map(tuple)),
    )


@settings(max_examples=120)
@given(anything_seen())
def test_judged_again_it_is_the_same_finding(seen: Evidence) -> None:
    record = written(seen)
    again = written(read_back(record))
    assert once_cleaned(again) == once_cleaned(record)


def once_cleaned(record: dict[str, Any]) -> dict[str, Any]:
    """Without what differs where text was no valid UTF-8: it is escaped once when it is written, and is text from then on."""
    if "\\\\ud" in orjson.dumps(record).decode():
        return {key: value for key, value in record.items() if key in ("outcome", "cause", "stage")}
    return record


# --- what others write ------------------------------------------------------------------------------


def broken(path: str, value: Any) -> dict[str, Any]:
    """A finding with one place of it changed; ``...`` takes it away."""
    record = written(evidence(at(alerted(40), everything=answered(dh_bits=1), no_sni=alerted(112))))
    place: Any = record
    *way, last = path.split(".")
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    if value is ...:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value
    return record


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("target", 1, "target: not what a finding has there"),
        ("target.host", None, "host: not what"),
        ("target.port", 70000, "port: not what"),
        ("target.port", True, "port: not what"),
        ("target.row", ..., "row: missing"),
        ("target.tags", [], "tags: not what"),
        ("started", "yesterday", "started: not what"),
        ("duration_ms", "1", "duration_ms: not what"),
        ("dns.status", "FINE", "status: not what"),
        ("dns.source", "rumour", "source: not what"),
        ("dns.addresses", [1], "addresses: not what"),
        ("dns.tlsa", [{"usage": 1, "selector": 1, "matching_type": 1, "data": "xx"}], "data: not hexadecimal"),
        ("endpoints", {}, "endpoints: not what"),
        ("endpoints.0", None, "endpoints: not what"),
        ("endpoints.0.error", "tired", "error: not what"),
        ("endpoints.0.stage", "moon", "stage: not what"),
        ("endpoints.0.alert", {"level": 2}, "code: missing"),
        ("endpoints.0.observed", [], "observed: not what"),
        ("endpoints.0.timing_ms", {"connect": "fast"}, "connect: not what"),
        ("endpoints.0.followups.0.question", "enumerate-zzzz-1", "question: not a name"),
        ("endpoints.0.followups.0.result", "perhaps", "result: not what"),
        ("endpoints.0.followups.0.observed.flight.certificates", ["ab" * 32], "the certificate 'abababababababab' is in none"),
        ("endpoints.0.followups.0.observed.flight.certificates", [1], "certificates: not what"),
        ("endpoints.0.followups.0.observed.flight.scts", ["%"], "scts: not what"),
        ("endpoints.0.followups.0.observed.alert", [1, 2, 3], "alert: not what"),
        ("endpoints.0.followups.0.observed.bytes_received", 1e99, "bytes_received: not what"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_in_the_error(path: str, value: Any, reason: str) -> None:
    with pytest.raises(RecordedError) as caught:
        read_back(broken(path, value))
    assert str(caught.value).startswith(reason)


def test_an_unknown_name_of_a_cipher_suite_is_refused() -> None:
    record = written(evidence(answered()))
    record["endpoints"][0]["cipher"] = "TLS_SAFE"
    with pytest.raises(RecordedError, match="cipher: not known by that name"):
        read_back(record)


def test_fields_of_a_newer_version_are_ignored() -> None:
    record = written(evidence(at(answered(), default_certificate=answered(sni="x.invalid"))))
    record["endpoints"][0]["followups"][0]["observed"]["mood"] = "fine"
    record["endpoints"][0]["observed"] = {"colour": "red", "probe": {"weight": 1, "flight": {"age": 2}}}
    record["later"] = True
    assert comparable(read_back(record)) == comparable(
        evidence(at(answered(), default_certificate=answered(sni="x.invalid")))
    )


LINES = {name: line(seen) for name, seen in CASES.items()}
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=300)
@given(data=st.data())
def test_any_damage_gives_evidence_or_a_recorded_error(data: st.DataObject) -> None:
    """Any part of a finding replaced by anything: evidence that can be judged, or one named error."""
    record = orjson.loads(LINES[data.draw(st.sampled_from(sorted(LINES)))])
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = record
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and data.draw(st.booleans()):
                place = place[key]
                continue
            place[key] = data.draw(json_values)
            break
    try:
        seen = evidence_of(record, lambda _: issuing().der)
    except RecordedError as error:
        assert str(error).isprintable()
        return
    assert isinstance(seen, Evidence)
    for endpoint in seen.endpoints:
        flight_of(endpoint)


def test_whether_the_host_is_an_address_is_read_from_it() -> None:
    assert read_back(written(CASES["an address"])).target.host_is_ip
    assert read_back(written(CASES["healthy"])).target.name == HOST


@pytest.mark.parametrize("bug", [None, "resolver: KeyError: 'x'"])
@pytest.mark.parametrize("probe", [answered(), failed(Failure.BUG, detail="probe: oops")], ids=["ok", "bug"])
def test_what_failed_in_judging_is_judged_again(bug: str | None, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("injected")

    seen = evidence(probe, bug=bug)
    with monkeypatch.context() as patched:
        patched.setattr("scanner.diagnosis.engine.dns_claims", broken)
        record = orjson.loads(line(seen))
    assert "judging: injected" not in record["error"] and "KeyError: 'injected'" in record["error"]
    assert read_back(record).bug == bug
    assert written(read_back(record)).get("error") == written(seen).get("error")
