"""Rules on revocation: what the staple says, what responders and lists said, and what could not be found out.

Only answers that verify and are current decide (``scanner.trust.revocation``); a revoked one wins over any good one. That a
certificate has expired is no revocation, and nothing about it is then missed: CAs forget expired certificates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from scanner.diagnosis.claim import Claim
from scanner.diagnosis.parts import ChainSetting
from scanner.model.evidence import RevocationAnswer
from scanner.model.findings import Severity
from scanner.times import moment
from scanner.trust.revocation import issuer_of_leaf, judge_staple_untrusted
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate


def revocation_claims(chain: ChainVerdict, setting: ChainSetting) -> Iterator[Claim]:
    """Yield everything that an address's certificates have to do with revocation, as far as it may be asked about."""
    if setting.revocation == "off" or chain.leaf is None:
        return
    staple = staple_of(chain, setting)
    if staple is not None and staple.status != "good":
        yield from _staple_claims(chain.leaf, staple, setting)
    if chain.leaf.must_staple:
        yield from _must_staple_claims(chain.leaf, staple, setting)
    # all good, and nothing is to be said: most of a fleet
    if setting.revocation == "online" and any(answer.status != "good" for answer in setting.answers):
        yield from _answer_claims(chain, staple, setting)


def staple_of(chain: ChainVerdict, setting: ChainSetting) -> RevocationAnswer | None:
    """Return what the staple is worth; ``None`` where there is none, or its signature cannot be verified for want of an issuer."""
    issuer = None if setting.staple is None else issuer_of_leaf(chain)
    if setting.staple is None or issuer is None or chain.leaf is None:
        return None
    return judge_staple_untrusted(setting.staple, chain.leaf, issuer, setting.at)


def _severity(setting: ChainSetting) -> Severity | None:
    """Return the severity: only browsers ask about revocation by default, so other clients of other protocols do not refuse."""
    return None if setting.browsers else "warning"


# --- staples ---------------------------------------------------------------------------------------


def _staple_claims(leaf: Certificate, staple: RevocationAnswer, setting: ChainSetting) -> Iterator[Claim]:
    facts = {**_about(leaf, leaf), **_said(staple)}
    if staple.status == "revoked":
        yield Claim("revoked-ocsp-staple", facts, _severity(setting))
    else:
        fault = "unknown" if staple.status == "unknown" else staple.fault
        words = "its responder does not know the certificate" if staple.status == "unknown" else staple.error
        facts.update(reason=words, fault=fault, refused_by=_refused_by(leaf, fault, setting))
        refuses = setting.browsers and "Firefox" in facts["refused_by"]
        yield Claim("staple-invalid", facts, None if refuses else "warning")


# With these Firefox asks the responder itself, if the certificate names one that answers.
_FORGIVEN_BY_FIREFOX: Final = frozenset({"out-of-date", "without-end", "other-certificate", "signer", "try-later"})
# GnuTLS takes an answer that it can verify, and these for none.
_REFUSED_BY_GNUTLS: Final = frozenset({"out-of-date", "other-certificate", "signature", "signer"})


def _refused_by(leaf: Certificate, fault: str | None, setting: ChainSetting) -> list[str]:
    refusing: list[str] = []
    if fault == "future":
        return refusing
    asked = [answer.status for answer in setting.answers if answer.certificate == leaf.sha256]
    helped = bool(leaf.ocsp_urls) and (not asked or "good" in asked)
    if fault not in _FORGIVEN_BY_FIREFOX or not helped:
        refusing.append("Firefox")
    if fault in _REFUSED_BY_GNUTLS:
        refusing.append("GnuTLS")
    return refusing


def _must_staple_claims(leaf: Certificate, staple: RevocationAnswer | None, setting: ChainSetting) -> Iterator[Claim]:
    if not setting.negotiation.complete or (staple is None and setting.staple is not None):
        return
    if staple is None or staple.status not in ("good", "revoked"):
        yield Claim("must-staple-missing", {**_about(leaf, leaf), "stapled": staple is not None}, _severity(setting))


# --- what was asked --------------------------------------------------------------------------------


def _answer_claims(chain: ChainVerdict, staple: RevocationAnswer | None, setting: ChainSetting) -> Iterator[Claim]:
    leaf = chain.leaf
    assert leaf is not None
    for certificate in chain.path[:-1]:
        answers = [answer for answer in setting.answers if answer.certificate == certificate.sha256]
        if not answers:
            continue
        for source, code in (("ocsp", "revoked-ocsp"), ("crl", "revoked-crl")):
            revoked = [answer for answer in answers if answer.status == "revoked" and answer.source == source]
            if revoked:
                said = min(revoked, key=lambda answer: answer.revoked_at or 0.0)
                facts = {**_about(certificate, leaf), **_said(said), "urls": [answer.url for answer in revoked]}
                facts["publicly_trusted"] = chain.publicly_trusted
                yield Claim(code, facts, _severity(setting))
        known = any(answer.status in ("good", "revoked") for answer in answers)
        if certificate == leaf and staple is not None and staple.status in ("good", "revoked"):
            known = True
        if not known and certificate.not_after >= setting.at:
            yield Claim("revocation-unknown", _unknown(certificate, leaf, answers))


def _unknown(certificate: Certificate, leaf: Certificate, answers: list[RevocationAnswer]) -> dict[str, Any]:
    reasons = {
        answer.url: answer.error or "the responder does not know the certificate"
        for answer in answers
        if answer.status not in ("good", "revoked")
    }
    sources = [
        {"source": answer.source, "url": answer.url, "status": answer.status, "error": reasons[answer.url]}
        for answer in answers
    ]
    return {**_about(certificate, leaf), "sources": sources, "reasons": reasons, "url": answers[0].url}


# --- facts -----------------------------------------------------------------------------------------


def _about(certificate: Certificate, leaf: Certificate) -> dict[str, Any]:
    return {
        "certificate": certificate.sha256,
        "subject": certificate.subject or "(empty subject)",
        "issuer": certificate.issuer or "(empty issuer)",
        "serial": certificate.serial,
        "leaf": certificate == leaf,
    }


def _said(answer: RevocationAnswer) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if answer.url:
        facts["url"] = answer.url
    if answer.status == "revoked" or answer.revoked_at is not None:
        # RFC 5280 section 5.3.1: where no reason is given it is "unspecified"
        facts["reason"] = answer.reason or "unspecified"
    for name in ("revoked_at", "this_update", "next_update", "produced_at"):
        seconds = getattr(answer, name)
        if seconds is not None:
            facts[name] = moment(seconds)
    if answer.responder is not None:
        facts["responder"] = answer.responder
    return facts
