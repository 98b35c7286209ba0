"""Which questions are asked, and in which order: scripts of answers, read like a conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scanner.diagnosis.questions import (
    MAX_ENUMERATION,
    MAX_QUESTIONS,
    UNKNOWABLE_NAME,
    Question,
    accepted_from,
    next_question,
)
from scanner.model.evidence import (
    ClientAuthRequest,
    Completion,
    EndpointEvidence,
    Failure,
    Negotiation,
    Probe,
    ServerFlight,
    Stage,
    Target,
)
from scanner.tls import offers
from tests.helpers import pki
from tests.helpers.evidence import ADDRESS, alerted, answered, evidence, failed, issuing, target, verdicts

RESET = failed(Failure.RESET)
SILENT = failed(Failure.SILENT)
REFUSED = alerted(40)
VERSION = alerted(70)


def refused_at(awaited: str, words: str) -> Probe:
    return failed(
        Failure.SESSION_REFUSED, stage=Stage.STARTTLS, awaited=awaited, detail=words, bytes_received=len(words)
    )


LEGACY = ["tls11", "tls10", "ssl3"]


LISTS = ("all-suites", "all-groups", "all-schemes")
PROXY = ["proxy-v1", "proxy-v2"]
CUT = ("small", "other-sni", "tls12", "everything")


def conversation(
    first: Probe,
    server: dict[str, Probe] | Callable[[Question], Probe],
    *,
    of: Target | None = None,
    enumerate: bool = False,
) -> tuple[list[str], EndpointEvidence]:
    """Ask until nothing is open. The server answers by the question's name; what it does not know it answers as before."""
    asked: dict[str, Probe] = {}
    completed: dict[str, Completion] = {}
    endpoint = EndpointEvidence(ADDRESS, first)
    of = of or target()
    while True:
        verdict = verdicts(evidence(endpoint, of=of))[0]
        question = next_question(of, endpoint, verdict, enumerate=enumerate)
        if question is None:
            return [*asked, *completed], endpoint
        assert question.name not in (*asked, *completed), "the same question twice"
        if question.complete is not None:
            completed[question.name] = Completion(Stage.DONE)
            endpoint = EndpointEvidence(ADDRESS, first, dict(asked), completions=dict(completed))
            continue
        asked[question.name] = server(question) if callable(server) else server.get(question.name, first)
        endpoint = EndpointEvidence(ADDRESS, first, dict(asked), completions=dict(completed))


@pytest.mark.parametrize(
    ("first", "server", "asked"),
    [
        # in order, or nothing that another hello could explain
        (answered(), {}, []),
        (failed(Failure.CONNECTION_REFUSED, stage=Stage.CONNECT), {}, []),
        (failed(Failure.PLAINTEXT, first_bytes=b"HTTP/1.1 400"), {}, []),
        (failed(Failure.STARTTLS_REFUSED, stage=Stage.STARTTLS), {}, []),
        (failed(Failure.SILENT, stage=Stage.STARTTLS), {}, []),
        (failed(Failure.MALFORMED), {}, []),
        (failed(Failure.BUG), {}, []),
        (failed(Failure.CLOSED, bytes_received=500), {}, []),
        # silence
        # ... at any TLS 1.3: is it the version or the size? Where the first is silent too, a small hello would be
        (SILENT, {"tls12": answered()}, ["tls12", "small"]),
        (SILENT, {"tls12": answered(), "small": answered()}, ["tls12", "small", "two-shares"]),
        (SILENT, {"tls12": alerted(70), "small": answered()}, ["tls12", "small", "two-shares"]),
        (SILENT, {"tls12": RESET}, ["tls12", "small", "other-sni", "tls12-everything"]),
        # ... whose greeting did not come in time has not been silent at the hello
        (
            SILENT,
            {"tls12": failed(Failure.SILENT, stage=Stage.STARTTLS), "small": answered()},
            ["tls12", "small", "two-shares"],
        ),
        (SILENT, {"other-sni": answered(sni=UNKNOWABLE_NAME)}, ["tls12", "other-sni"]),
        (SILENT, {"other-sni": alerted(112, sni=UNKNOWABLE_NAME)}, ["tls12", "other-sni"]),
        (SILENT, {}, ["tls12", "other-sni", "tls12-everything"]),
        (SILENT, {"tls12-everything": answered()}, ["tls12", "other-sni", "tls12-everything", "everything"]),
        # resets
        (RESET, {"small": answered()}, ["small", "two-shares"]),
        (RESET, {"everything": answered(), "no-status": answered()}, [*CUT, "no-status"]),
        (RESET, {"tls12": answered()}, ["small", "other-sni", "tls12"]),
        (RESET, {}, [*CUT, "tls12-everything", *PROXY, *LEGACY]),
        (RESET, {"tls10": answered()}, [*CUT, "tls12-everything", *PROXY, *LEGACY]),
        (RESET, {"proxy-v1": answered()}, [*CUT, "tls12-everything", "proxy-v1"]),
        (failed(Failure.CLOSED), {"proxy-v2": answered()}, [*CUT, "tls12-everything", *PROXY]),
        # ... before a word of the opening dialogue
        (failed(Failure.CLOSED, stage=Stage.STARTTLS), {}, PROXY),
        (failed(Failure.RESET, stage=Stage.STARTTLS), {"proxy-v1": answered()}, ["proxy-v1"]),
        (failed(Failure.CLOSED, stage=Stage.STARTTLS, bytes_received=9), {}, []),
        (refused_at("greeting", "421 4.3.0 mx Server local error"), {}, PROXY),
        (refused_at("greeting", "421 4.3.0 mx Server local error"), {"proxy-v1": answered()}, ["proxy-v1"]),
        (refused_at("greeting", "220-x\n554 why?"), {}, PROXY),
        # ... for reasons that a header would not change
        (refused_at("greeting", "421 4.7.0 Too many connections"), {}, []),
        (refused_at("greeting", "554 5.7.1 Access denied"), {}, []),
        (refused_at("EHLO", "421 4.3.0 mx Server local error"), {}, []),
        # alerts
        (REFUSED, {"everything": answered(cipher=0x009E, group=None)}, ["everything"]),
        (REFUSED, {"everything": answered(group=0x0019)}, ["everything"]),
        (REFUSED, {"everything": answered(cipher=0xC009, group=0x0019)}, ["everything", *LISTS, "no-alpn", "no-status"]),
        (
            REFUSED,
            {"everything": answered(cipher=0xC009, group=0x0019), "all-suites": answered()},
            ["everything", "all-suites"],
        ),
        (REFUSED, {"no-sni": answered(sni=None)}, ["everything", "no-sni"]),
        (REFUSED, {}, ["everything", "no-sni", "tls12-everything", *LEGACY]),
        (REFUSED, {"everything": answered(signature_scheme=0x0905)}, ["everything"]),
        (REFUSED, {"everything": answered()}, ["everything", *LISTS, "no-alpn", "no-status"]),
        (
            REFUSED,
            {"everything": answered(), "all-schemes": answered()},
            ["everything", "all-suites", "all-groups", "all-schemes"],
        ),
        (RESET, {"everything": answered(), "no-alpn": answered()}, [*CUT[:4], "no-status", *LISTS, "no-alpn"]),
        (alerted(120), {"no-alpn": answered()}, ["no-alpn"]),
        (alerted(120), {}, ["no-alpn", "everything", "no-sni", "tls12-everything", *LEGACY]),
        (VERSION, {"tls12": answered()}, ["tls12", "small"]),
        (VERSION, {"tls11": answered(), "tls10": answered()}, ["tls12", *LEGACY]),
        (VERSION, {}, ["tls12", *LEGACY, "tls12-everything"]),
        (alerted(80), {"no-sni": answered(sni=None)}, ["no-sni"]),
        (alerted(112), {}, ["no-sni"]),
        (alerted(50), {"tls12": answered()}, ["small", "tls12"]),
        (alerted(200), {}, ["everything", "no-sni", "tls12-everything", *LEGACY]),
        # doubts about a whole flight
        (answered(version=0x0303, cipher=0x009C), {}, ["forward-secret"]),
        (answered(version=0x0303, cipher=0xC02F, signature_scheme=0x0201), {}, ["no-sha1"]),
        (answered(version=0x0301, cipher=0x002F), {}, LEGACY),
    ],
)  # fmt: skip
def test_each_failure_has_its_plan(first: Probe, server: dict[str, Probe], asked: list[str]) -> None:
    assert conversation(first, server)[0] == asked


@pytest.mark.parametrize(("protocol", "replaces"), [("tls", True), ("https", False)])
def test_only_where_the_protocol_may_be_any_the_answer_without_alpn_counts(protocol: str, replaces: bool) -> None:
    question = next_question(target(protocol=protocol), EndpointEvidence(ADDRESS, alerted(120)), None)
    assert question is not None
    assert (question.name, question.offer.alpn, question.replaces) == ("no-alpn", False, replaces)


def test_one_change_at_a_time() -> None:
    """The offers and names that the questions send."""
    seen: dict[str, Question] = {}

    def note(question: Question) -> Probe:
        seen[question.name] = question
        return RESET

    conversation(RESET, note)
    assert seen["other-sni"] == Question("other-sni", offers.MODERN, UNKNOWABLE_NAME)
    assert seen["small"].sni == "www.example.org"
    assert offers.X25519MLKEM768 not in seen["small"].offer.groups
    assert seen["tls12"].offer.versions == (offers.TLS12,)
    assert UNKNOWABLE_NAME.endswith(".invalid")
    assert [seen[name].proxy for name in ("small", *PROXY)] == [0, 1, 2]
    assert [seen[name].sni for name in PROXY] == ["www.example.org"] * 2


def test_a_name_that_does_not_match_asks_for_the_default_certificate() -> None:
    stranger = pki.certificate("other.example.net", issuer=issuing())
    first = answered((stranger, issuing()))
    assert conversation(first, {})[0] == ["default-certificate", "http"]
    # the name was meant: the server's choice is not the question
    short = pki.certificate("x", issuer=issuing(), san=["*.org", "*.a.example.org", "example.org"])
    wildcard = pki.certificate("x", issuer=issuing(), san=["*.example.org"])
    assert conversation(answered((wildcard, issuing())), {}, of=target("a.b.example.org"))[0] == []
    assert conversation(answered((short, issuing()), sni=None), {}, of=target("192.0.2.1"))[0] == []


def test_an_issuer_that_nobody_trusts_is_asked_for_a_name_that_cannot_exist() -> None:
    box = pki.root("Box CA")
    first = answered((pki.certificate("www.example.org", issuer=box), box))
    assert conversation(first, {})[0] == ["default-certificate", "http"]
    # a certificate that vouches for itself is nobody's work but the server's
    assert conversation(answered((pki.certificate("www.example.org"),)), {})[0] == ["http"]
    expired = pki.certificate("www.example.org", issuer=issuing(), not_after=pki.NOW - 9)
    assert conversation(answered((expired, issuing())), {})[0] == ["http"]


def test_a_rare_key_asks_with_a_browsers_schemes() -> None:
    rare = pki.certificate("www.example.org", issuer=issuing(), private=pki.key("ed", "ed25519"))
    first = answered((rare, issuing()), signature_scheme=0x0807)
    assert conversation(first, {})[0] == ["browser-schemes"]
    assert conversation(first, {}, of=target(protocol="smtp"))[0] == []


@pytest.mark.parametrize(
    ("protocol", "port", "awaited", "asked"),
    [
        ("smtp", 465, "greeting", ["tls-first"]),
        ("imap", 993, "greeting", ["tls-first"]),
        ("ftp", 2121, "greeting", ["tls-first"]),
        # who greets late turns away those who speak first
        ("smtp", 25, "greeting", []),
        ("smtp", 587, "greeting", []),
        ("imap", 143, "greeting", []),
        # it has spoken, or we have
        ("smtp", 465, "EHLO", []),
        ("ldap", 636, "StartTLS", []),
    ],
)
def test_a_port_that_does_not_greet_is_asked_whether_tls_comes_first(
    protocol: str, port: int, awaited: str, asked: list[str]
) -> None:
    silent = failed(Failure.SILENT, stage=Stage.STARTTLS, awaited=awaited)
    seen: list[Question] = []

    def note(question: Question) -> Probe:
        seen.append(question)
        return answered()

    assert conversation(silent, note, of=target(protocol=protocol, port=port), enumerate=True)[0] == asked
    assert [question.direct for question in seen] == [True] * len(asked)


def test_behind_a_header_nothing_is_completed_or_enumerated() -> None:
    answers = {"proxy-v1": answered(client_auth=ClientAuthRequest())}
    assert conversation(failed(Failure.RESET), answers, enumerate=True)[0] == [*CUT, "tls12-everything", "proxy-v1"]


def test_without_a_server_name_names_are_not_asked_about() -> None:
    asked, _ = conversation(failed(Failure.RESET, sni=None), {}, of=target("192.0.2.1"))
    assert asked == ["small", "tls12", "everything", "tls12-everything", *PROXY, *LEGACY]


def server_with(accepted: dict[int, list[int]]) -> Callable[[Question], Probe]:
    """A server with its own order of preference."""

    def answer(question: Question) -> Probe:
        for version in sorted(question.offer.versions, reverse=True):
            for suite in accepted.get(version, []):
                if suite in question.offer.suites:
                    return answered(version=version, cipher=suite, sni=question.sni, offer=question.offer.name)
        return alerted(40, sni=question.sni)

    return answer


def test_enumeration_finds_all() -> None:
    """Version by version, each accepted suite taken away in turn; what is found stands in the server's order."""
    accepted = {
        offers.TLS13: [0x1302, 0x1301],
        offers.TLS12: [0xC02F, 0xC030, 0x009C, 0x000A],
        offers.TLS10: [0x000A],
    }
    asked, endpoint = conversation(answered(), server_with(accepted), enumerate=True)
    assert accepted_from(endpoint.followups) == {
        0x0304: (0x1302, 0x1301),
        0x0303: (0xC02F, 0xC030, 0x009C, 0x000A),
        0x0302: (),
        0x0301: (0x000A,),
        0x0300: (),
    }
    # the answer without a name, and what the server's clock says
    assert {"no-sni", "http"} <= set(asked)
    # every accepted suite, and a refusal to end each version that did not run out
    assert len(asked) == 2 + 3 + 5 + 1 + 2 + 1


def test_enumeration_is_bounded() -> None:
    """A server that takes everything, in every version, and one that always chooses the same."""
    everything = [*offers.TLS13_SUITES, *offers.ALL_SUITES]
    greedy = dict.fromkeys((offers.TLS13, offers.TLS12, offers.TLS11, offers.TLS10), everything)
    asked, _ = conversation(answered(), server_with(greedy), enumerate=True)
    assert len(asked) <= MAX_ENUMERATION + 2
    stubborn, _ = conversation(
        answered(), lambda question: answered(version=max(question.offer.versions)), enumerate=True
    )
    assert len(stubborn) <= 12


def test_no_enumeration_of_what_does_not_speak_tls() -> None:
    assert conversation(failed(Failure.PLAINTEXT), {}, enumerate=True)[0] == []


PROBES = st.sampled_from(
    [
        answered(), answered(group=0x0019), answered(cipher=0x009C, version=0x0303), answered(version=0x0301), RESET, SILENT,
        failed(Failure.CLOSED), failed(Failure.MALFORMED), failed(Failure.BUG), failed(Failure.PLAINTEXT), REFUSED, VERSION,
        *(alerted(number) for number in (0, 10, 47, 50, 71, 80, 112, 116, 255)),
    ]
)  # fmt: skip


@given(first=PROBES, answers=st.lists(PROBES, min_size=1, max_size=12))
def test_every_conversation_ends(first: Probe, answers: list[Probe]) -> None:
    """Whatever a server answers, no question comes twice and the bound holds."""
    count = iter(range(1000))
    asked, _ = conversation(first, lambda question: answers[next(count) % len(answers)])
    assert len(asked) <= MAX_QUESTIONS


# --- completed handshakes --------------------------------------------------------------------------

ASKS = ClientAuthRequest()
HUNG_UP = Completion(Stage.APPLICATION, failure=Failure.CLOSED)
FINE = Completion(Stage.DONE)


def completions(
    first: Probe, *, of: Target | None = None, authenticate: bool = False, answer: Completion = FINE
) -> list[str]:
    """The handshakes that are completed, each of which ends so."""
    endpoint = EndpointEvidence(ADDRESS, first)
    of = of or target()
    while True:
        verdict = verdicts(evidence(endpoint, of=of))[0]
        question = next_question(of, endpoint, verdict, authenticate=authenticate)
        if question is None:
            return list(endpoint.completions)
        if question.complete is None:
            endpoint = replace(endpoint, followups={**endpoint.followups, question.name: answered()})
            continue
        assert question.complete is first.flight
        assert question.present is (question.name == "authenticated")
        assert question.quiet is (question.name in ("client-auth-quiet", "finish"))
        endpoint = replace(endpoint, completions={**endpoint.completions, question.name: answer})


def test_who_asks_for_a_certificate_is_met_without_one_and_with_ours() -> None:
    asking = answered(client_auth=ASKS)
    assert completions(answered()) == completions(answered(), authenticate=True) == []
    for protocol in ("https", "tls", "smtp", "postgres"):
        of = target(protocol=protocol)
        assert completions(asking, of=of) == ["client-auth"]
        assert completions(asking, of=of, authenticate=True) == ["client-auth", "authenticated"]


@pytest.mark.parametrize(
    ("protocol", "port", "alpn", "quiet"),
    [
        ("tls", 6379, None, True),
        ("tls", 8883, "mqtt", True),
        ("tls", 8443, None, True),
        ("tls", 8443, "h2", False),
        ("tls", 8443, "http/1.1", False),
        ("tls", 443, None, False),
        ("https", 8443, None, False),
        ("imaps", 10993, None, False),
        ("mysql", 3306, None, False),
    ],
)
def test_only_a_protocol_that_the_service_speaks_is_asked_in(
    protocol: str, port: int, alpn: str | None, quiet: bool
) -> None:
    asking = answered(client_auth=ASKS, alpn=alpn)
    endpoint = EndpointEvidence(ADDRESS, asking)
    for name in ("client-auth", "authenticated"):
        question = next_question(target(protocol=protocol, port=port), endpoint, None, authenticate=True)
        assert question is not None
        assert (question.name, question.quiet, question.patient) == (name, quiet, True)
        endpoint = replace(endpoint, completions={**endpoint.completions, name: FINE})


def test_who_hung_up_on_http_is_met_with_our_certificate_in_silence() -> None:
    endpoint = EndpointEvidence(
        ADDRESS, answered(client_auth=ASKS), completions={"client-auth": HUNG_UP, "client-auth-quiet": FINE}
    )
    question = next_question(target(protocol="tls"), endpoint, None, authenticate=True)
    assert question is not None
    assert (question.name, question.quiet) == ("authenticated", True)


def test_hanging_up_on_a_word_that_may_be_wrong_is_looked_into() -> None:
    asking = answered(client_auth=ASKS)
    assert completions(asking, answer=HUNG_UP) == ["client-auth"]
    assert completions(asking, of=target(protocol="imaps"), answer=HUNG_UP) == ["client-auth"]
    assert completions(asking, of=target(protocol="tls"), answer=HUNG_UP) == ["client-auth", "client-auth-quiet"]
    known = answered(client_auth=ASKS, alpn="http/1.1")
    assert completions(known, of=target(protocol="tls"), answer=HUNG_UP) == ["client-auth"]


def test_an_http_answer_is_a_witness_where_a_certificate_is_in_doubt() -> None:
    doubtful = [
        pki.certificate("www.example.org", issuer=issuing(), not_after=pki.NOW - 10),
        pki.certificate("www.example.org", issuer=issuing(), not_before=pki.NOW + 10),
        pki.certificate("www.example.org", issuer=pki.root("Unheard-of Root")),
    ]
    for leaf in doubtful:
        first = answered([leaf, issuing()])
        assert completions(first) == completions(first, of=target(protocol="tls")) == ["http"]
        assert completions(first, of=target(protocol="smtp")) == []
    # HTTP is asked of who speaks it
    of = target(protocol="tls", port=6380)
    first = answered([doubtful[0], issuing()])
    assert completions(first, of=of) == completions(answered([doubtful[0], issuing()], alpn="mqtt"), of=of) == []
    assert completions(answered([doubtful[0], issuing()], alpn="h2"), of=of) == ["http"]
    # who asks for a certificate is spoken to anyhow
    assert completions(answered([doubtful[0], issuing()], client_auth=ASKS)) == ["client-auth"]


def test_where_only_the_clock_is_in_doubt_the_date_is_asked_for_as_long_as_it_is_wanted() -> None:
    expired = pki.certificate("www.example.org", issuer=issuing(), not_after=pki.NOW - 10)
    strange = pki.certificate("www.example.org", issuer=pki.root("Unheard-of Root"), not_after=pki.NOW - 10)
    other = pki.certificate("www.example.net", issuer=issuing(), not_after=pki.NOW - 10)
    names: list[str] = []

    def asked(leaf: pki.Issued, *, wanted: bool) -> str | None:
        def wants_date(name: str) -> bool:
            names.append(name)
            return wanted

        endpoint = EndpointEvidence(ADDRESS, answered([leaf, issuing()]))
        endpoint = replace(endpoint, followups={"default-certificate": answered()})
        verdict = verdicts(evidence(endpoint))[0]
        question = next_question(target(), endpoint, verdict, wants_date=wants_date)
        return None if question is None else question.name

    assert asked(expired, wanted=True) == "http"
    assert asked(expired, wanted=False) is None
    assert names == ["www.example.org"] * 2
    assert asked(strange, wanted=False) == asked(other, wanted=False) == "http"
    assert names == ["www.example.org"] * 2


TLS12: dict[str, Any] = {"version": 0x0303, "cipher": 0xC02F, "finished_valid": None}
RSA_KX: dict[str, Any] = {**TLS12, "cipher": 0x009C, "group": None, "signature_scheme": None, "signature_valid": None}


def test_a_flight_of_tls12_that_leaves_doubt_is_finished() -> None:
    for protocol in ("https", "smtp", "postgres"):
        of = target(protocol=protocol)
        assert completions(answered(**TLS12), of=of) == []
        assert completions(answered(**RSA_KX), of=of) == ["finish"]  # nothing is signed
        assert completions(replace(answered(**TLS12), cut=1), of=of) == ["finish"]
        # of TLS 1.3 the server's Finished was seen
        assert completions(replace(answered(), cut=1), of=of) == []
        # asking for a certificate completes it anyhow
        assert completions(answered(**RSA_KX, client_auth=ASKS), of=of) == ["client-auth"]


def test_enumeration_finishes_a_handshake_of_tls12() -> None:
    for protocol, expected in (("https", "http"), ("smtp", "finish")):
        endpoint = EndpointEvidence(ADDRESS, answered(**TLS12))
        verdict = verdicts(evidence(endpoint))[0]
        question = next_question(target(protocol=protocol), endpoint, verdict, enumerate=True)
        assert question is not None
        assert (question.name, question.quiet) == (expected, expected == "finish")


def test_a_demand_behind_the_handshake_is_met_with_our_certificate() -> None:
    refusal = Completion(Stage.DONE, status=496)
    expired = answered([pki.certificate("www.example.org", issuer=issuing(), not_after=pki.NOW - 10), issuing()])
    assert completions(expired, answer=refusal) == ["http"]
    assert completions(expired, answer=refusal, authenticate=True) == ["http", "authenticated"]
    assert completions(expired, answer=FINE, authenticate=True) == ["http"]


def test_what_is_not_whole_is_not_completed() -> None:
    flight = ServerFlight(Negotiation(version=0x0303, client_auth=ASKS))
    assert completions(failed(Failure.CLOSED, bytes_received=1000, flight=flight)) == []
