"""Cases of the causes that stand in certificates: expired-or-self-signed, missing-intermediate, untrusted-ca, chain-validation.

The chains are real and so is the judge; what is tested is how its verdicts are weighed and said once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.diagnosis.case import Context
from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.engine import Diagnosis, diagnose
from scanner.diagnosis.rules.certificate import CONSEQUENCES
from scanner.model.evidence import Stage
from scanner.trust import step_budget
from scanner.trust.verdicts import ChainVerdict, Problem, StoreVerdict
from tests.helpers import pki
from tests.helpers.evidence import (
    AT,
    HOST,
    answered,
    codes,
    diagnosed,
    evidence,
    issuing,
    leaf,
    proof,
    root,
    target,
    verifier,
)

DAY = pki.DAY


def of(**changes: Any) -> pki.Issued:
    """A leaf for HOST with something changed."""
    return pki.certificate(HOST, **{"issuer": issuing(), **changes})


def sent(*certificates: pki.Issued) -> Any:
    return answered(certificates)


def test_expired_certificate_is_claimed_with_its_end() -> None:
    """Nine days ago; the days are counted and the date is told."""
    diagnosis = diagnosed(sent(of(not_after=AT - 9 * DAY), issuing()))
    assert codes(diagnosis) == ["certificate-expired"]
    assert (diagnosis.cause, diagnosis.stage) == ("expired-or-self-signed", Stage.CERTIFICATE)
    assert diagnosis.diagnoses[0]["summary"] == f"The certificate for CN={HOST} expired on 2026-11-14, 9 days ago."
    assert diagnosis.clients["openssl"] == "verify error:num=10:certificate has expired"


def test_certificate_that_is_not_yet_valid_is_claimed_with_its_begin() -> None:
    diagnosis = diagnosed(sent(of(not_before=AT + 2 * DAY), issuing()))
    assert codes(diagnosis) == ["certificate-not-yet-valid"]
    assert "valid only from 2026-11-25" in diagnosis.diagnoses[0]["summary"]


def test_self_signed_leaf_is_claimed_alone() -> None:
    """Issuer and subject are the same and its own key verifies it: not also an untrusted root or an unknown issuer."""
    own = pki.certificate(HOST)
    diagnosis = diagnosed(sent(own))
    assert codes(diagnosis) == ["self-signed-leaf"]
    assert diagnosis.clients["firefox"] == "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"


def test_self_signed_leaf_that_is_an_anchor_is_not_claimed() -> None:
    """The very certificate is an anchor of the selected store."""
    own = pki.certificate(HOST)
    assert codes(diagnosed(sent(own), verifier(own))) == []


def test_self_signed_leaf_can_be_expired_too() -> None:
    own = pki.certificate(HOST, not_after=AT - DAY)
    assert codes(diagnosed(sent(own))) == ["certificate-expired", "self-signed-leaf"]


@pytest.mark.parametrize(
    ("lifetime", "left", "warning_days", "warned"),
    [
        (90, 31, None, False),  # a third of 90 is 30
        (90, 29, None, True),
        (47, 20, None, False),  # a third of 47 is 15.7
        (47, 15, None, True),
        (398, 40, None, False),  # never more than 30
        (398, 29, None, True),
        (6, 2.1, None, False),
        (6, 1.9, None, True),
        (398, 40, 60, True),
        (90, 20, 10, False),
        (90, 20, 0, False),
    ],
)
def test_expires_soon(lifetime: float, left: float, warning_days: float | None, warned: bool) -> None:
    """The default shrinks with the lifetime; ``--expiry-warning`` replaces it."""
    certificate = of(not_before=AT + (left - lifetime) * DAY, not_after=AT + left * DAY)
    diagnosis = diagnosed(sent(certificate, issuing()), expiry_warning_days=warning_days)
    assert codes(diagnosis) == (["expires-soon?"] if warned else [])
    if warned:
        facts = proof(diagnosis, "expires-soon")
        assert facts["days_left"] == int(left)
        assert facts["lifetime_left_percent"] == round(100 * left / lifetime)


def test_intermediate_not_sent_and_known_from_this_run() -> None:
    """Another server of the run sent it: the path closes, and the server is at fault all the same."""
    by = verifier()
    by.verify((leaf("other.example.org").der, issuing().der), name=None, at=AT)
    seen = evidence(sent(leaf()))
    diagnosis = diagnosed(seen, by)
    assert codes(diagnosis) == ["intermediate-not-sent"]
    assert diagnosis.cause == "missing-intermediate"
    facts = proof(diagnosis, "intermediate-not-sent")
    assert (facts["missing_subjects"], facts["completed_from"]) == (["CN=Issuing CA"], ["run"])
    assert "does not send CN=Issuing CA" in diagnosis.diagnoses[0]["summary"]


def test_unobtainable_intermediate_is_claimed_with_its_urls() -> None:
    """Nobody has it; the certificate says where it is published, which these rules do not ask."""
    certificate = of(extra=[pki.authority_info_access(issuers=["http://ca.example/i.cer"])])
    diagnosis = diagnosed(sent(certificate))
    assert codes(diagnosis) == ["intermediate-unobtainable"]
    assert "published at http://ca.example/i.cer" in diagnosis.diagnoses[0]["summary"]
    assert "chrome" not in diagnosis.clients  # it would go and look


def test_unknown_issuer_is_claimed() -> None:
    diagnosis = diagnosed(sent(leaf()))
    assert codes(diagnosis) == ["issuer-unknown"]
    assert diagnosis.cause == "untrusted-ca"


def test_untrusted_root_is_claimed() -> None:
    """Sent along or not, the root is named once, and sending it is not a second finding."""
    stranger = pki.root("Stranger Root")
    certificate = pki.certificate(HOST, issuer=stranger)
    diagnosis = diagnosed(sent(certificate, stranger))
    assert codes(diagnosis) == ["untrusted-root"]
    assert diagnosis.clients["curl"].endswith("self-signed certificate in certificate chain")
    assert proof(diagnosis, "untrusted-root")["root"] == "CN=Stranger Root"


def test_stores_that_differ_are_a_warning() -> None:
    """One of two stores trusts: a warning that names both, since nobody knows which one a client has."""
    by = verifier(stores={"ours": [root()], "theirs": [pki.root("Their Root")]})
    diagnosis = diagnosed(sent(leaf(), issuing()), by)
    assert codes(diagnosis) == ["store-differs?"]
    facts = proof(diagnosis, "store-differs")
    assert (facts["trusted_by"], facts["refused_by"]) == (["ours"], ["theirs"])
    assert (diagnosis.outcome, diagnosis.clients) == ("warn", {})


def test_what_stops_each_store_is_claimed() -> None:
    """Two stores say the same: one error, not two."""
    by = verifier(stores={"a": [pki.root("A")], "b": [pki.root("B")]})
    diagnosis = diagnosed(sent(leaf(), issuing()), by)
    assert codes(diagnosis) == ["issuer-unknown"]
    assert proof(diagnosis, "issuer-unknown")["stores"] == ["a", "b"]


def test_an_expired_leaf_is_said_once_for_all_stores() -> None:
    """What is wrong with the leaf holds in every store; a store that lacks the root as well differs."""
    by = verifier(stores={"ours": [root()], "theirs": [pki.root("Their Root")]})
    diagnosis = diagnosed(sent(of(not_after=AT - DAY), issuing()), by)
    assert codes(diagnosis) == ["certificate-expired", "store-differs?"]


@pytest.mark.parametrize(
    ("certificates", "code"),
    [
        ((of(break_signature=True), issuing()), "bad-signature"),
        ((of(purposes=["clientAuth"]), issuing()), "not-for-server-auth"),
        ((of(extra=[pki.extension("1.2.3.4", b"\x05\x00", critical=True)]), issuing()), "unknown-critical-extension"),
        ((of(private=pki.key("short", "rsa:1024")), issuing()), "weak-key"),
        ((of(usages=["keyEncipherment"]), issuing()), "wrong-key-usage"),
    ],
)
def test_problems_of_the_path_are_claimed(certificates: tuple[pki.Issued, ...], code: str) -> None:
    """Each broken rule is one error that names the certificate, and nothing beside it."""
    diagnosis = diagnosed(sent(*certificates))
    assert codes(diagnosis) == [code]
    assert diagnosis.cause == "chain-validation"
    assert proof(diagnosis, code)["certificate"] == certificates[0].sha256
    assert f"CN={HOST}" in diagnosis.diagnoses[0]["summary"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"not_after": AT - DAY, "not_before": AT - 100 * DAY}, "intermediate-expired"),
        ({"ca": False, "usages": ["keyCertSign"], "without": ["eku", "san"]}, "issuer-not-a-ca"),
        ({"usages": ["cRLSign"]}, "wrong-key-usage"),
    ],
)
def test_a_ca_certificate_that_will_not_do(changes: Mapping[str, Any], code: str) -> None:
    middle = pki.certificate("Middle CA", **{"issuer": root(), "ca": True, **changes})
    diagnosis = diagnosed(sent(pki.certificate(HOST, issuer=middle), middle))
    assert codes(diagnosis) == [code]
    assert "CN=Middle CA" in diagnosis.diagnoses[0]["summary"]


def test_some_want_digital_signature() -> None:
    """With forward secrecy the key signs; where it only takes a secret in, nobody asks for that."""
    certificate = of(usages=["keyEncipherment"], private=pki.key("transport", "rsa:2048"))
    web = diagnosed(sent(certificate, issuing()))
    assert codes(web) == ["wrong-key-usage"]
    assert {client for client, text in web.clients.items() if text != "ok"} == {"chrome", "gnutls", "java"}
    transport = diagnosed(answered((certificate, issuing()), version=0x0303, cipher=0x009C, group=None))
    assert "wrong-key-usage" not in codes(transport)


def test_key_transport_wants_key_encipherment() -> None:
    certificate = of(private=pki.key("transport", "rsa:2048"))
    diagnosis = diagnosed(answered((certificate, issuing()), version=0x0303, cipher=0x009C, group=None))
    assert codes(diagnosis) == ["wrong-key-usage"]
    assert {client for client, text in diagnosis.clients.items() if text != "ok"} == {"chrome", "gnutls", "java"}


def test_what_browsers_alone_refuse_is_a_note_for_mail() -> None:
    certificate = of(ca=True, usages=["digitalSignature", "keyCertSign"], purposes=["serverAuth"], san=[HOST])
    web = diagnosed(sent(certificate, issuing()))
    assert (codes(web), web.outcome) == (["not-for-server-auth"], "fail")
    assert {client for client, text in web.clients.items() if text != "ok"} == {"firefox"}
    mail = diagnosed(evidence(sent(certificate, issuing()), of=target(protocol="smtp", port=25)))
    assert (codes(mail), mail.outcome) == (["not-for-server-auth."], "ok")


def test_a_name_spelled_otherwise_is_not_called_missing() -> None:
    named = pki.name(CN=pki.tlv(0x13, b"ISSUING ca"))
    diagnosis = diagnosed(sent(of(issuer_name=named), issuing()))
    assert codes(diagnosis) == ["issuer-unknown"]
    assert "not sent" not in diagnosis.diagnoses[0]["summary"]
    assert {client for client, text in diagnosis.clients.items() if text != "ok"} == {"go", "firefox"}


def test_a_long_path_is_for_some_clients_too_long() -> None:
    chain = [root()]
    for number in range(12):
        chain.append(pki.authority(f"Step {number}", chain[-1]))
    diagnosis = diagnosed(sent(pki.certificate(HOST, issuer=chain[-1]), *reversed(chain[1:])))
    assert codes(diagnosis) == ["too-many-certificates"]
    assert "12 intermediates" in diagnosis.diagnoses[0]["summary"]
    assert {client for client, text in diagnosis.clients.items() if text != "ok"} == {"firefox", "java"}


def _crossed(first: pki.Issued, second: pki.Issued) -> Diagnosis:
    return diagnosed(sent(pki.certificate(HOST, issuer=first), first, second))


def test_a_cross_sign_that_leads_nowhere_is_named_with_its_place() -> None:
    key = pki.key("crossed")
    good = pki.authority("Crossed CA", root(), private=key, serial=1)
    cross = pki.authority("Crossed CA", pki.root("Gone Root"), private=key, serial=2)
    diagnosis = _crossed(cross, good)
    assert codes(diagnosis) == ["chain-has-extras?", "path-not-found-by-all"]
    record = diagnosis.diagnoses[-1]
    assert "CN=Crossed CA (number 2, issued by CN=Gone Root)" in record["summary"]
    assert record["remedy"].startswith("Leave that certificate out")
    assert record["evidence"]["leave_out"] == cross.sha256
    assert {client for client, text in diagnosis.clients.items() if text == "ok"} == {"go", "java", "chrome", "firefox"}
    assert codes(_crossed(good, cross)) == ["chain-has-extras?"]


def test_what_gnutls_alone_refuses_is_a_warning_with_its_words() -> None:
    key = pki.key("crossed")
    good = pki.authority("Crossed CA", root(), private=key, serial=1)
    old = pki.authority("Crossed CA", root(), private=key, serial=2, not_after=pki.NOW - pki.DAY)
    diagnosis = _crossed(old, good)
    assert codes(diagnosis) == ["chain-has-extras?", "path-not-found-by-all?"]
    assert {client for client, text in diagnosis.clients.items() if text != "ok"} == {"gnutls"}


def test_an_expired_root_that_is_taken_first_is_the_store_s_fault() -> None:
    bridge = pki.authority("Renewed Root", root(), private=pki.key("renewed root"))
    old = pki.root("Renewed Root", private=pki.key("renewed root"), not_after=pki.NOW - pki.DAY)
    leaf = pki.certificate(HOST, issuer=bridge)
    diagnosis = diagnosed(sent(leaf, bridge), verifier(root(), old))
    assert codes(diagnosis) == ["path-not-found-by-all"]
    record = diagnosis.diagnoses[0]
    assert "take the certificate CN=Renewed Root from their store" in record["summary"]
    assert record["remedy"].startswith("Update the trust store")


def test_a_policy_that_is_demanded_and_a_list_that_is_wrong_have_words_of_their_own() -> None:
    demanding = pki.extension("2.5.29.36", pki.sequence(pki.tlv(0x80, b"\0")))
    twice = pki.extension("2.5.29.32", pki.sequence(*[pki.sequence(pki.oid("1.2.3.4"))] * 2))
    without = diagnosed(sent(of(), issuing()))
    assert codes(without) == []
    authority = pki.authority("Demanding CA", root(), extra=[demanding])
    demanded = diagnosed(sent(pki.certificate(HOST, issuer=authority), authority))
    wrong = diagnosed(sent(of(extra=[twice]), issuing()))
    assert codes(demanded) == codes(wrong) == ["policy-not-satisfied"]
    assert "which Go, Java and Chrome apply: a policy is demanded" in demanded.diagnoses[0]["summary"]
    assert "lists the policy 1.2.3.4 twice" in wrong.diagnoses[0]["remedy"]
    assert wrong.clients["go"].endswith("x509: invalid certificate policies")
    assert wrong.clients["java"] == "ok" != demanded.clients["java"]


def test_a_fault_of_a_ca_is_not_hidden_by_the_same_code_of_the_leaf() -> None:
    authority = pki.authority("CA for clients", root(), purposes=("clientAuth",))
    leaf = pki.certificate(HOST, issuer=authority, purposes=("serverAuth", "1.3.6.1.5.5.7.3.9"))
    diagnosis = diagnosed(sent(leaf, authority))
    assert codes(diagnosis) == ["not-for-server-auth"]
    assert diagnosis.clients["openssl"] != "ok" and diagnosis.clients["firefox"] != "ok"


def test_signatures_that_some_do_not_verify() -> None:
    authority = pki.authority("Ed25519 CA", root(), private=pki.key("modern", "ed25519"))
    diagnosis = diagnosed(sent(pki.certificate(HOST, issuer=authority), authority))
    assert codes(diagnosis) == ["unsupported-algorithm"]
    assert "is signed with ed25519, which is not known to Chrome and Firefox" in diagnosis.diagnoses[0]["summary"]
    assert {client for client, text in diagnosis.clients.items() if text != "ok"} == {"chrome", "firefox"}


def test_a_leaf_that_cannot_be_read() -> None:
    """It says nothing about names or dates, so nothing is said about them."""
    diagnosis = diagnosed(answered((b"\x30\x05nope!", issuing().der)))
    assert codes(diagnosis) == ["malformed-certificate"]


def test_lifetime_limit_is_for_public_certificates() -> None:
    """400 days, from a root that is held to public rules; a private one may."""
    certificate = of(not_before=AT - DAY, not_after=AT + 400 * DAY)
    assert codes(diagnosed(sent(certificate, issuing()), verifier(public=True))) == ["validity-too-long?"]
    assert codes(diagnosed(sent(certificate, issuing()))) == []


def test_problems_of_the_sent_chain_are_claimed() -> None:
    """The root along is a note; a stranger in the chain warns, and is named."""
    assert codes(diagnosed(sent(leaf(), issuing(), root()))) == ["root-sent."]
    stranger = pki.certificate("Some CA", issuer=pki.root("Other"), ca=True)
    diagnosis = diagnosed(sent(leaf(), issuing(), stranger))
    assert codes(diagnosis) == ["chain-has-extras?"]
    assert "CN=Some CA" in diagnosis.diagnoses[0]["summary"]
    second = pki.certificate("Second CA", issuer=issuing(), ca=True)
    misordered = sent(pki.certificate(HOST, issuer=second), issuing(), second)
    assert codes(diagnosed(misordered)) == ["chain-misordered?"]


def test_placeholder_first_and_the_rest_after() -> None:
    """A product's own certificate is named before what else is wrong with it."""
    name = "Kubernetes Ingress Controller Fake Certificate"
    own = pki.certificate(pki.name(O="Acme Co", CN=name), san=["ingress.local"])
    diagnosis = diagnosed(sent(own))
    assert codes(diagnosis) == ["placeholder-certificate", "self-signed-leaf", "name-not-in-san"]
    assert diagnosis.cause == "server-misconfiguration"
    assert "ingress-nginx" in diagnosis.diagnoses[0]["summary"]


def test_the_root_that_was_distrusted_says_since_when() -> None:
    """A verdict by hand: the judge's word on a root with a distrust date reaches the summary."""
    problem = Problem(
        "untrusted-root", root().sha256, {"root": "CN=Trusted Root", "distrusted_for_certificates_from": AT - 40 * DAY}
    )
    store = StoreVerdict("mozilla", False, root().sha256, (leaf().sha256, root().sha256), (problem,))
    verdict = ChainVerdict((leaf().parsed,), stores={"mozilla": store})
    seen = evidence(sent(leaf()))
    diagnosis = diagnose(seen, [verdict], Context(at=AT))
    assert "trusts no longer for certificates issued after 2026-10-14" in diagnosis.diagnoses[0]["summary"]


def test_consequences_are_codes() -> None:
    assert set(CONSEQUENCES) | {code for implied in CONSEQUENCES.values() for code in implied} <= set(CODES)


def test_a_chain_too_costly_to_judge_is_an_error_where_a_client_gives_up_too() -> None:
    issuers = [pki.authority("Many", root(), serial=100 + place) for place in range(24)]
    maze = [pki.authority("Below", issuers[0], serial=200 + place) for place in range(24)]
    deep = pki.certificate(HOST, issuer=maze[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_budget.StepBudget.__init__, "__defaults__", (200,))
        many = diagnosed(sent(deep, *maze, *issuers))
        few = diagnosed(sent(deep, maze[0], issuers[0]))
    assert (codes(many)[-1], many.outcome) == ("too-costly-to-judge", "fail")
    assert "Java and GnuTLS" in many.diagnoses[-1]["summary"]
    assert many.diagnoses[-1]["evidence"]["client_limits"]
    assert (codes(few), few.outcome) == (["too-costly-to-judge?"], "warn")
    assert few.clients == {}
