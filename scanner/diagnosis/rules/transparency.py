"""Rules on Certificate Transparency: what Chrome and Apple make of a publicly trusted certificate's SCTs.

Only browsers ask for SCTs, so to other protocols it is a note. What hangs on the moment, on logs and policies, is said of a
certificate that is valid then: an expired one's logs are closed, which is no fault of anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from scanner.diagnosis.claim import Claim
from scanner.diagnosis.parts import ChainSetting
from scanner.model.findings import Severity
from scanner.times import DAY, moment
from scanner.trust.revocation import issuer_of_leaf
from scanner.trust.transparency import JudgedSct, TransparencyVerdict, sct_record
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate

# Certificates know whole seconds, SCTs milliseconds.
END_OF_SECOND: Final = 0.999


def transparency_of(chain: ChainVerdict, setting: ChainSetting) -> TransparencyVerdict | None:
    """Return the verdict on the SCTs of an address's certificate; ``None`` where it is not held to public rules."""
    leaf, judge = chain.leaf, setting.transparency
    if judge is None or leaf is None or not chain.publicly_trusted or len(chain.path) < 2:
        return None
    # by the end of the second: an SCT that was made in it does not lie ahead
    at = setting.at + END_OF_SECOND
    # without an issuer whose signature verifies nothing inside the certificate can be verified either
    return judge.evaluate(leaf, issuer_of_leaf(chain), at=at, tls=setting.scts, staple=setting.staple)


def transparency_claims(
    chain: ChainVerdict, setting: ChainSetting, judged: TransparencyVerdict | None
) -> Iterator[Claim]:
    """Yield ``no-scts``, ``too-few-scts``, ``unknown-log``, ``log-retired`` and ``sct-invalid``; ``judged`` is ``transparency_of`` them."""
    leaf, at = chain.leaf, setting.at
    if judged is None or leaf is None or not setting.public:
        return
    current = leaf.not_before <= at <= leaf.not_after
    if current and judged.satisfied and all(item.status == "valid" for item in judged.scts):
        return  # as most are
    common = _common(leaf, judged)
    if not judged.scts:
        if not judged.satisfied:
            yield Claim("no-scts", common, _severity(setting, judged, "error"))
        return
    if any(item.status == "unverified" for item in judged.scts):
        return  # its issuer is not known, which has a code of its own
    unknown = [item for item in judged.scts if item.status == "unknown-log"]
    # logs of that time may have left the list, so that neither are they unknown, nor the others too few
    left_out = judged.earlier and bool(unknown)
    refused = not judged.satisfied and not left_out
    if current and refused:
        yield Claim("too-few-scts", {**_shortage(judged), **common}, _severity(setting, judged, "error"))
    if current:
        if unknown and not left_out:
            yield Claim("unknown-log", {**_logs(unknown), **common}, _severity(setting, judged, "warning"))
        out_of_use = [item for item in judged.scts if not _counts(item, judged)]
        if out_of_use:
            # an SCT more, of a log that is not in use yet, does no harm
            early = all(item.log is None or item.log.state in (None, "pending") for item in out_of_use)
            worst: Severity = "note" if early and judged.satisfied else "warning"
            yield Claim("log-retired", {**_logs(out_of_use), **common}, _severity(setting, judged, worst))
    invalid = [
        item
        for item in judged.scts
        if item.status == "unreadable" or (item.status == "invalid" and (current or not item.verified))
    ]
    if invalid:
        # browsers pass over what they cannot verify, and count the rest
        worst = "error" if refused else "warning"
        yield Claim("sct-invalid", {**_logs(invalid), **common}, _severity(setting, judged, worst))


def _counts(item: JudgedSct, judged: TransparencyVerdict) -> bool:
    """Return whether the log gives rise to no claim: it is in use, or was when it signed, or another code is about it."""
    if item.status == "not-accepted" or item.status == "outside":
        return False
    if item.status != "retired" or item.log is None or item.sct is None:
        return True
    if judged.satisfied and item.log.since is not None and item.source == "certificate":
        return item.sct.time < item.log.since
    return False


def _severity(setting: ChainSetting, judged: TransparencyVerdict, worst: Severity) -> Severity:
    if not setting.browsers:
        return "note"
    return "warning" if worst == "error" and (judged.damaged or not judged.certain) else worst


def _shortage(judged: TransparencyVerdict) -> dict[str, Any]:
    refusing = []
    if judged.chrome.complies is False:
        refusing.append("Chrome")
        # Firefox counts as Chrome does; that it takes none from staples is not known
        if not any(item.source == "staple" and item.verified for item in judged.scts):
            refusing.append("Firefox")
    if judged.apple.complies is False:
        refusing.append("Safari")
    policy = judged.chrome if judged.chrome.complies is False else judged.apple
    reason = policy.reason
    if "Chrome" in refusing and "Safari" in refusing and judged.apple.reason != reason:
        reason = f"Chrome: {reason}; Safari: {judged.apple.reason}"
    return {"refused_by": refusing, "count": policy.count, "needed": policy.needed, "reason": reason}


def _logs(items: Sequence[JudgedSct]) -> dict[str, Any]:
    """Return the first of some SCTs in fields of its own, for the sentence; all of them are in ``scts``."""
    first = sct_record(items[0])
    names = [shown["log"] or shown["log_id"] for shown in map(sct_record, items)]
    return {
        "log": first["log"],
        "log_id": first["log_id"],
        "reason": items[0].why,
        "logs": [name for name in names if name is not None],
    }


def _common(leaf: Certificate, judged: TransparencyVerdict) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "certificate": leaf.sha256,
        "subject": leaf.subject or "(empty subject)",
        "issuer": leaf.issuer or "(empty issuer)",
        "lifetime_days": round((leaf.not_after - leaf.not_before) / DAY, 1),
        "scts": [{key: value for key, value in record.items() if key != "raw"} for record in judged.records],
        "chrome": judged.chrome.as_json(),
        "apple": judged.apple.as_json(),
        "log_list": None if judged.list_made is None else moment(judged.list_made),
    }
    if not judged.certain:
        facts["log_list_too_old"] = True
    if judged.damaged:
        facts["log_list_damaged"] = True
    return facts
