"""Whatever was seen and whatever the judges say, there is one valid finding, and its parts agree with one another."""

from __future__ import annotations

from typing import Any, get_args

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.diagnosis.case import Context
from scanner.diagnosis.catalogue import CODES, rank
from scanner.diagnosis.clients.endings import CLIENTS
from scanner.diagnosis.finding import finding_of
from scanner.diagnosis.questions import next_question
from scanner.model.evidence import (
    ClientAuthRequest,
    Deviation,
    DeviationKind,
    DnsAnswer,
    DnsStatus,
    EndpointEvidence,
    Evidence,
    Failure,
    Negotiation,
    Probe,
    ServerFlight,
    Stage,
    Target,
)
from scanner.model.findings import Finding
from scanner.trust.verdicts import ChainVerdict, NameVerdict, Problem, StoreVerdict
from tests.helpers import pki
from tests.helpers.evidence import chain, issuing, leaf, root
from tests.helpers.schema import validate

CODES_OF_JUDGES = [
    "certificate-expired", "certificate-not-yet-valid", "self-signed-leaf", "intermediate-not-sent", "issuer-unknown",
    "intermediate-unobtainable", "untrusted-root", "bad-signature", "intermediate-expired", "issuer-not-a-ca",
    "path-length-exceeded", "name-constraint-violated", "wrong-key-usage", "not-for-server-auth", "weak-signature",
    "unknown-critical-extension", "malformed-certificate", "weak-key", "validity-too-long", "placeholder-certificate",
    "chain-misordered", "chain-has-extras", "root-sent", "path-not-found-by-all", "policy-not-satisfied",
]  # fmt: skip

texts = st.text(max_size=12) | st.sampled_from(["\ud800", "\x1b[0m", "{host}", "CN=a,O=b"])
numbers = st.integers(0, 0xFFFF) | st.sampled_from(
    [0x0304, 0x0303, 0x0301, 0x1301, 0xC02F, 0x009C, 0x11EC, 0x0201, 0x0807]
)
maybe = st.none()
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
certificates = st.sampled_from([(), chain(), (leaf().der,), (b"garbage",), (*chain(), root().der)]) | st.tuples(
    st.binary(max_size=20)
)
deviations = st.builds(
    Deviation,
    kind=st.sampled_from(get_args(DeviationKind)),
    message=st.sampled_from(["", "ServerHello", "EncryptedExtensions", "CertificateRequest"]) | texts,
    code=maybe | numbers,
    name=maybe | texts,
    size=maybe | st.integers(0, 300_000),
)
negotiations = st.builds(
    Negotiation,
    version=maybe | numbers,
    cipher=maybe | numbers,
    group=maybe | numbers,
    dh_bits=maybe | st.integers(0, 5000),
    alpn=maybe | texts,
    signature_scheme=maybe | numbers,
    signature_valid=maybe | st.booleans(),
    finished_valid=maybe | st.booleans(),
    client_auth=maybe
    | st.builds(ClientAuthRequest, authorities=st.lists(st.binary(max_size=20), max_size=2).map(tuple)),
    hello_retry=st.booleans(),
    complete=st.booleans(),
    deviations=st.lists(deviations, max_size=3).map(tuple),
)
flights = st.builds(
    ServerFlight,
    negotiation=negotiations,
    random=maybe | st.just(b"r" * 32),
    certificates=certificates,
    ocsp_response=maybe | st.binary(max_size=5),
    scts=st.lists(st.binary(max_size=5), max_size=2).map(tuple),
)
probes = st.builds(
    Probe,
    offer=st.just("modern"),
    sni=maybe | texts,
    stage=st.sampled_from(Stage),
    failure=maybe | st.sampled_from(Failure),
    alert=maybe | st.tuples(st.integers(0, 255), st.integers(0, 255)),
    detail=maybe | texts,
    recognised=maybe | st.sampled_from(["http", "ssh"]),
    first_bytes=maybe | st.binary(max_size=6),
    bytes_received=st.integers(0, 10),
    flight=maybe | flights,
    connect_seconds=maybe | st.floats(0, 10),
    handshake_seconds=maybe | st.floats(0, 10),
)
QUESTIONS = (
    "small", "other-sni", "no-sni", "tls12", "everything", "all-suites", "all-groups", "tls12-everything", "tls11", "tls10",
    "ssl3", "forward-secret", "no-sha1", "browser-schemes", "default-certificate", "enumerate-0303-0",
)  # fmt: skip
endpoints = st.builds(
    EndpointEvidence,
    address=st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "10.0.0.1"]),
    probe=probes,
    followups=st.dictionaries(st.sampled_from(QUESTIONS), probes, max_size=3),
    accepted=maybe | st.dictionaries(numbers, st.lists(numbers, max_size=3).map(tuple), max_size=3),
)
answers = st.builds(
    DnsAnswer,
    status=st.sampled_from(DnsStatus),
    addresses=st.lists(st.sampled_from(["192.0.2.1", "10.0.0.1", "nonsense"]), max_size=2).map(tuple),
    cname=st.lists(texts, max_size=3).map(tuple),
    loop=st.booleans(),
    authenticated=st.booleans(),
    bogus=st.booleans(),
    extended_errors=st.lists(st.tuples(st.integers(0, 40), texts), max_size=2).map(tuple),
    resolver=maybe | texts,
    source=st.sampled_from(["dns", "hosts"]),
    detail=maybe | texts,
    caa=maybe | st.lists(st.tuples(st.sampled_from([0, 128]), texts, texts), max_size=3).map(tuple),
    caa_owner=maybe | texts,
    tlsa=maybe
    | st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 3), st.binary(max_size=32)), max_size=2
    ).map(tuple),
)
targets = st.builds(
    Target,
    row=st.integers(1, 10**9),
    host=texts,
    port=st.integers(0, 65535),
    protocol=st.sampled_from(["tls", "https", "smtp", "rdp"]),
    sni=maybe | texts,
    id=maybe | texts | st.integers(),
    tags=st.dictionaries(texts, json_values, max_size=2),
    host_is_ip=st.booleans(),
)
evidences = st.builds(
    Evidence,
    target=targets,
    started=st.floats(allow_nan=True),
    dns=maybe | answers,
    endpoints=st.lists(endpoints, max_size=3, unique_by=lambda endpoint: endpoint.address).map(tuple),
    duration=st.floats(0, 100),
    bug=maybe | st.just("KeyError"),
)
problems = st.builds(
    Problem,
    code=st.sampled_from(CODES_OF_JUDGES),
    certificate=maybe | st.sampled_from([leaf().sha256, issuing().sha256, "ab" * 32]),
    evidence=st.dictionaries(
        st.sampled_from(
            ["aia", "missing", "extras", "refused_by", "flaws", "error", "fetched", "subject", "key", "days"]
        )
        | texts,
        json_values,
        max_size=3,
    ),
)
problem_lists = st.lists(problems, max_size=3).map(tuple)
stores = st.builds(
    StoreVerdict,
    store=st.just("s"),
    trusted=st.booleans(),
    anchor=maybe | st.just(root().sha256),
    path=st.just(()) | st.just((leaf().sha256, root().sha256)),
    problems=problem_lists,
)
names = st.builds(
    NameVerdict,
    matches=st.booleans(),
    code=maybe | st.sampled_from(["name-not-in-san", "wildcard-depth", "common-name-only"]),
    matched_by=maybe | texts,
    nearest=st.lists(texts, max_size=3).map(tuple),
    names=st.integers(0, 9),
    common_name=maybe | texts,
)
KEYS = [
    pki.certificate("www.example.org", issuer=issuing(), private=pki.key("k", kind)).parsed
    for kind in ("ec:P-256", "ec:P-521", "ed25519", "ed448")
]
verdict_lists = st.lists(
    maybe
    | st.builds(
        ChainVerdict,
        sent=st.just(()) | st.tuples(maybe | st.sampled_from(KEYS), maybe | st.just(issuing().parsed)),
        leaf_problems=problem_lists,
        stores=st.dictionaries(st.sampled_from(["mozilla", "system", "\ud800"]), stores, max_size=2),
        chain_problems=problem_lists,
        name=maybe | names,
        publicly_trusted=st.booleans(),
    ),
    max_size=3,
)
contexts = st.builds(
    Context,
    at=st.floats(-1e12, 1e12),
    expiry_warning_days=maybe | st.floats(-10, 1000),
    public=st.booleans(),
)


# Drawing such an example costs more than judging it.
@settings(max_examples=120)
@given(seen=evidences, said=verdict_lists, context=contexts)
def test_one_valid_finding_whatever_was_seen(seen: Evidence, said: list[ChainVerdict | None], context: Context) -> None:
    record: Finding = orjson.loads(orjson.dumps(finding_of(seen, said, context, "run")))
    validate(record)
    agrees(record)
    for endpoint in seen.endpoints:
        question = next_question(seen.target, endpoint, said[0] if said else None, enumerate=True)
        assert question is None or question.name not in endpoint.followups


def agrees(record: Finding) -> None:
    """Outcome, cause, stage, diagnoses and clients tell one story."""
    diagnoses = record["diagnoses"]
    severities = [entry["severity"] for entry in diagnoses]
    errors = [entry for entry in diagnoses if entry["severity"] == "error"]
    if errors:
        assert (record["outcome"], record["cause"]) == ("fail", errors[0]["cause"])
        assert record["stage"] == CODES[errors[0]["code"]].stage.value
    else:
        assert record["cause"] is None
        assert record["outcome"] == ("warn" if "warning" in severities or "error" in record else "ok")
        assert record["clients"] == {}
    codes = [entry["code"] for entry in diagnoses]
    assert len(set(codes)) == len(codes)
    assert codes == sorted(codes, key=rank)
    addresses = {endpoint["address"] for endpoint in record["endpoints"]}
    for entry in diagnoses:
        assert entry["cause"] == CODES[entry["code"]].cause
        assert entry["summary"].isprintable() and entry["remedy"]
        assert set(entry.get("endpoints", ())) <= addresses
    assert set(record["clients"]) <= set(CLIENTS)
    if record["outcome"] == "ok":
        assert all(endpoint["error"] is None or errors for endpoint in record["endpoints"])


def test_the_strategies_know_every_word() -> None:
    assert set(CODES_OF_JUDGES) <= set(CODES)
    assert set(get_args(Finding.__annotations__["outcome"]) or ()) <= {"ok", "warn", "fail", "invalid"}
