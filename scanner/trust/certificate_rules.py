"""The rules for one certificate in its place in a path (RFC 5280 section 6, as mainstream clients apply it).

Pure functions from certificates to ``Problem``s. Time is an argument only where it matters, so that all other results
can be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from scanner.times import DAY
from scanner.trust.client_algorithms import EVERYBODY as ALL_CLIENTS
from scanner.trust.client_algorithms import known_to_none
from scanner.trust.policy_rules import list_problems
from scanner.trust.verdicts import Problem
from scanner.x509 import extensions, malformations
from scanner.x509.certificate import Certificate
from scanner.x509.distinguished import EMPTY_NAME, name_text
from scanner.x509.name_constraints import EVERYBODY, MAX_SUBTREES, OPENSSL, Violation

# What OpenSSL refuses at security level 2: less than 112 bits of strength, which by its rounded formula (SP 800-57's)
# begins at 1962 bits of RSA. Other clients take 1024.
MIN_RSA_BITS: Final = 1962
MIN_RSA_BITS_ELSEWHERE: Final = 1024
MIN_EC_BITS: Final = 224
# Nearly all there are
_STRONG_KEYS: Final = frozenset({"ec:P-256", "ec:P-384", "rsa:2048", "rsa:3072", "rsa:4096"})
# A server's key needs one of these, with whatever key exchange
_TLS_USAGES: Final = extensions.DIGITAL_SIGNATURE | extensions.KEY_ENCIPHERMENT | extensions.KEY_AGREEMENT

# Names times constraints of one CA that OpenSSL compares (NAME_CHECK_MAX in v3_ncons.c), GnuTLS since 2024, and Chrome;
# beyond it they refuse the certificate (seen with OpenSSL 3.0.19 and GnuTLS 3.7.9). Go 1.26 and Java 17 take it.
OPENSSL_COMPARISONS: Final = 1 << 20
# (more than, clients that refuse it): what clients keep a path length in, from 63 bits down to Firefox's signed byte
LONGEST_PATH_LENGTHS: Final = (
    ((1 << 63) - 1, ("go", "java", "chrome", "firefox", "gnutls")),
    ((1 << 31) - 1, ("java", "chrome", "firefox", "gnutls")),
    (0xFF, ("chrome", "firefox")),
    (0x7F, ("firefox",)),
)
# Clients that want basicConstraints of an anchor too (seen, "root-no-bc" in docs/clients.md)
_ANCHOR_MUST_SAY: Final = ["go", "java", "firefox"]
# Returns which name of the second certificate the constraints of the first do not allow; None: all are allowed.
FindViolation = Callable[[Certificate, Certificate], "Violation | None"]


def _epoch(year: int, month: int, day: int) -> float:
    return datetime(year, month, day, tzinfo=UTC).timestamp()


# (issued from, days): CA/Browser Forum TLS Baseline Requirements section 6.3.2, the newest first.
VALIDITY_LIMITS: Final = (
    (_epoch(2029, 3, 15), 47),
    (_epoch(2027, 3, 15), 100),
    (_epoch(2026, 3, 15), 200),
    (_epoch(2020, 9, 1), 398),
    (_epoch(2018, 3, 1), 825),
)

# Worst first, in the order in which causes take precedence: what stops a client before anything else would.
ORDER: Final = {
    code: place
    for place, code in enumerate(
        (
            "malformed-certificate",
            "certificate-expired",
            "certificate-not-yet-valid",
            "self-signed-leaf",
            "intermediate-not-sent",
            "intermediate-unobtainable",
            "untrusted-root",
            "issuer-unknown",
            "bad-signature",
            "unsupported-algorithm",
            "intermediate-expired",
            "issuer-not-a-ca",
            "path-length-exceeded",
            "name-constraint-violated",
            "policy-not-satisfied",
            "too-costly-to-judge",
            "wrong-key-usage",
            "not-for-server-auth",
            "unknown-critical-extension",
            "weak-signature",
            "weak-key",
        )
    )
}


def worst_first(problems: list[Problem]) -> tuple[Problem, ...]:
    """Return the problems by precedence, those of one code in the order of the path."""
    return tuple(sorted(problems, key=lambda problem: ORDER.get(problem.code, len(ORDER))))


def _problem(code: str, certificate: Certificate, **evidence: Any) -> Problem:
    return Problem(code, certificate.sha256, {"subject": certificate.subject or "(empty subject)", **evidence})


def _contents(certificate: Certificate, *, leaf: bool = False, anchor: bool = False) -> list[Problem]:
    """Return the problems of what a certificate contains."""
    problems = []
    if certificate.name_constraints is not None:
        certificate.load_constraints()
    if certificate.flaws and (unknown_key := known_to_none(certificate)) is not None:
        problems.append(unknown_key)
    if certificate.flaws and (flaws := [flaw for flaw in certificate.flaws if flaw not in malformations.KEY_FORMS]):
        minding = malformations.refused_by(flaws, leaf=leaf, anchor=anchor)
        if minding is None:
            problems.append(_problem("malformed-certificate", certificate, flaws=flaws))
        elif minding:
            problems.append(_problem("malformed-certificate", certificate, flaws=flaws, refused_by=minding))
    form = _form_flaws(certificate)
    if form:
        clients = [client for client in EVERYBODY if any(client in refusing for _, refusing in form)]
        flaws = [flaw for flaw, _ in form]
        problems.append(_problem("malformed-certificate", certificate, flaws=flaws, refused_by=clients))
    if certificate.critical:
        unknown = _not_understood(certificate)
        if unknown:
            problems.append(_problem("unknown-critical-extension", certificate, **unknown))
    problems += list_problems(certificate)
    if certificate.key not in _STRONG_KEYS and (weak := _weak_key(certificate)):
        problems.append(_problem("weak-key", certificate, key=certificate.key, **weak))
    # A CA's purposes limit what is below it; OpenSSL and Go apply that to anchors as well, and OpenSSL does not take
    # anyExtendedKeyUsage for serverAuth.
    purposes = certificate.extended_key_usage
    if purposes is not None and "serverAuth" not in purposes:
        problems.append(_problem("not-for-server-auth", certificate, extended_key_usage=list(purposes)))
    return problems


def _weak_key(certificate: Certificate) -> dict[str, Any]:
    """Return evidence on a key that clients find too weak; empty if they do not."""
    kind, bits = certificate.key_type, certificate.key_bits
    if kind == "dsa" and not certificate.is_ca:
        # Java alone takes DSA keys in TLS (DHE_DSS in TLS 1.2), of any length that it takes elsewhere.
        return {"dsa_bits": bits or 0, "refused_by": [client for client in ALL_CLIENTS if client != "java"]}
    if bits is None:
        return {}
    if kind == "ec" and bits < MIN_EC_BITS:
        return {"refused_by": [client for client in ALL_CLIENTS if client != "gnutls"]}
    if kind == "dsa" and bits < MIN_RSA_BITS:
        return {"refused_by": ["openssl", "go", "chrome", "firefox"]}
    if kind in ("rsa", "rsa-pss") and bits < MIN_RSA_BITS:
        return {"refused_by": list(ALL_CLIENTS) if bits < MIN_RSA_BITS_ELSEWHERE else ["openssl"]}
    return {}


def _form_flaws(certificate: Certificate) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is odd in the form of a certificate that others read, and the clients that refuse it for that."""
    found: list[tuple[str, tuple[str, ...]]] = []
    length = certificate.path_length
    if length is not None and length > LONGEST_PATH_LENGTHS[-1][0]:
        clients = next(clients for most, clients in LONGEST_PATH_LENGTHS if length > most)
        found.append((f"basicConstraints: a path length of {length.bit_length()} bits", clients))
    key = certificate.authority_key
    if (key.issuer is None) is not (key.serial is None):
        # RFC 5280 section 4.2.1.1 wants both or neither.
        found.append(("authorityKeyIdentifier: only half of issuer and serial number", ("chrome",)))
    if certificate.is_ca and certificate.subject_der == EMPTY_NAME:
        found.append(("the subject of a CA is empty", ("curl", "java", "firefox")))
    return found


def _not_understood(certificate: Certificate) -> dict[str, Any]:
    """Return evidence on critical extensions that all or some clients do not understand; empty if there are none."""
    if certificate.unknown_critical:
        return {"extensions": list(certificate.unknown_critical)}
    constraints = certificate.name_constraints
    if constraints is not None and constraints.critical and constraints.unusual:
        # Go reads constraints of four types of names; Firefox applies an excluded directoryName to every name.
        minding = ["go", "firefox"] if constraints.excluded.directories else ["go"]
        return {"extensions": ["2.5.29.30"], "constrains": list(constraints.unusual), "refused_by": minding}
    unknown = extensions.half_understood(certificate.critical)
    if extensions.APPLICATION_POLICIES in certificate.critical and certificate.extended_key_usage is None:
        # Chrome does without it only where extended key usage says the same
        unknown["refused_by"] = sorted({*unknown["refused_by"], "chrome"})
    return unknown


def leaf_problems(leaf: Certificate, at: float) -> list[Problem]:
    """Return what stops a client at the end-entity certificate, whatever is above it. ``at`` is epoch seconds."""
    usage = leaf.key_usage
    problems = _contents(leaf, leaf=True)
    if usage is not None and not usage & _TLS_USAGES:
        # OpenSSL refuses it as "unsuitable certificate purpose".
        problems.append(_problem("wrong-key-usage", leaf, key_usage=usages(leaf)))
    purposes = leaf.extended_key_usage
    if purposes is not None and "OCSPSigning" in purposes and "serverAuth" in purposes:
        evidence = {"extended_key_usage": list(purposes), "reason": "it may also sign OCSP responses"}
        problems.append(_problem("not-for-server-auth", leaf, **evidence, responder=True, refused_by=["firefox"]))
    if leaf.signature_algorithm.weak:
        problems.append(_problem("weak-signature", leaf, signature=leaf.signature))
    return problems if leaf.not_before <= at <= leaf.not_after else problems + date_problems(leaf, at)


def date_problems(leaf: Certificate, at: float) -> list[Problem]:
    """Return whether it is expired, or not yet valid, at ``at`` (epoch seconds)."""
    if at > leaf.not_after:
        return [_problem("certificate-expired", leaf, not_after=leaf.not_after_text, days=_days(at - leaf.not_after))]
    if at < leaf.not_before:
        days = _days(leaf.not_before - at)
        return [_problem("certificate-not-yet-valid", leaf, not_before=leaf.not_before_text, days=days)]
    return []


def issuer_problems(path: tuple[Certificate, ...], *, closed: bool, violation: FindViolation) -> list[Problem]:
    """Return the timeless problems of the ``path`` above a leaf; if ``closed`` it ends at a root, whose own signature means nothing."""
    problems: list[Problem] = []
    below = below_all = 0  # CA certificates between the leaf and this one: without self-issued ones, and all of them
    for place, certificate in enumerate(path):
        is_root = closed and place == len(path) - 1
        problems += _contents(certificate, anchor=is_root)
        if certificate.signature_algorithm.weak and not is_root:
            problems.append(_problem("weak-signature", certificate, signature=certificate.signature))
        # Version 1 roots, which have no extensions, are still anchors for OpenSSL, Go and GnuTLS.
        if not certificate.is_ca and not (is_root and certificate.version < 3):
            missing = (
                is_root
                and certificate.self_issued
                and extensions.BASIC_CONSTRAINTS not in certificate.extensions
                and certificate.key_usage is not None
            )
            # an anchor that says nothing of it is a CA to the others, since its key usage is one's
            problems.append(
                _problem("issuer-not-a-ca", certificate, **({"refused_by": _ANCHOR_MUST_SAY} if missing else {}))
            )
        elif not certificate.is_ca and certificate.version == 2:
            # OpenSSL and Firefox take no old certificates but self-signed ones of version 1 for CAs
            problems.append(_problem("issuer-not-a-ca", certificate, refused_by=[*OPENSSL, "firefox"]))
        elif certificate.key_usage is not None and not certificate.key_usage & extensions.KEY_CERT_SIGN:
            problems.append(_problem("wrong-key-usage", certificate, key_usage=usages(certificate)))
        if certificate.path_length is not None and below_all > certificate.path_length:
            exceeded: dict[str, Any] = {"path_length": certificate.path_length, "below": below}
            if below <= certificate.path_length:
                # the others leave them out, as RFC 5280 section 4.2.1.9 does
                exceeded |= {
                    "below": below_all,
                    "self_issued": below_all - below,
                    "refused_by": ["go", "firefox", "gnutls"],
                }
            problems.append(_problem("path-length-exceeded", certificate, **exceeded))
        if certificate.name_constraints is not None:
            for lower in path[:place]:
                for problem in constraint_problems(certificate, lower, violation):
                    minded = _for_authority(problem, self_issued=lower.self_issued)
                    if minded is not None:
                        problems.append(minded)
        below_all += 1
        if not certificate.self_issued:
            below += 1
    return problems


def constraint_problems(authority: Certificate, lower: Certificate, violation: FindViolation) -> list[Problem]:
    """Return the problem of names of ``lower`` that ``authority`` may not vouch for, or that are too many to check."""
    constraints = authority.name_constraints
    if constraints is None:
        return []
    carried = lower.names
    names = len(carried.dns) + len(carried.ips) + len(carried.others)
    # an attribute of the subject takes nine bytes at least
    with_subject = names + len(lower.subject_der) // 9
    if with_subject * constraints.count > OPENSSL_COMPARISONS:
        with_subject = names + len(name_text(lower.subject_der).attributes)
    if with_subject * constraints.count > OPENSSL_COMPARISONS:
        clients = [*OPENSSL, *(("gnutls",) if names * constraints.count > OPENSSL_COMPARISONS else ())]
        if constraints.comparisons_of_chrome(carried) > OPENSSL_COMPARISONS:
            clients.append("chrome")
        return [_too_many_comparisons(authority, lower, with_subject, constraints.count, clients)]
    if constraints.cut:
        return [_too_many_constraints(authority, lower)]
    broken = violation(authority, lower)
    if broken is None:
        return []
    evidence: dict[str, Any] = {
        "subject": lower.subject,
        "name": broken.name,
        "constrained_by": authority.subject,
        "authority": authority.sha256,
    }
    if broken.refused_by is not None and len(broken.refused_by) < len(EVERYBODY):
        evidence["refused_by"] = list(broken.refused_by)
    return [Problem("name-constraint-violated", lower.sha256, evidence)]


def _for_authority(problem: Problem, *, self_issued: bool) -> Problem | None:
    """Return the problem of a CA's own names; ``None`` if no client minds them.

    GnuTLS applies constraints to servers' certificates alone. To self-issued CAs only Go and Firefox apply them, against
    RFC 5280 section 6.1.3.
    """
    applying = ("go", "firefox") if self_issued else tuple([client for client in EVERYBODY if client != "gnutls"])
    clients = [client for client in problem.evidence.get("refused_by", EVERYBODY) if client in applying]
    return Problem(problem.code, problem.certificate, {**problem.evidence, "refused_by": clients}) if clients else None


def _too_many_constraints(authority: Certificate, lower: Certificate) -> Problem:
    evidence = {
        "subject": lower.subject,
        "authority": authority.sha256,
        "constrained_by": authority.subject,
        "detail": f"a CA above has more than the {MAX_SUBTREES} name constraints that are read",
    }
    return Problem("too-costly-to-judge", lower.sha256, evidence)


def _too_many_comparisons(
    authority: Certificate, lower: Certificate, names: int, constraints: int, clients: list[str]
) -> Problem:
    evidence = {
        "subject": lower.subject,
        "authority": authority.sha256,
        "constrained_by": authority.subject,
        "detail": f"{names} names under {constraints} name constraints",
        "names": names,
        "constraints": constraints,
        "client_limits": [
            f"OpenSSL, GnuTLS and Chrome make {OPENSSL_COMPARISONS} comparisons of names with constraints"
        ],
        "comparisons": names * constraints,
        "refused_by": clients,
    }
    return Problem("too-costly-to-judge", lower.sha256, evidence)


def validity_problems(path: tuple[Certificate, ...], at: float) -> list[Problem]:
    """Return ``intermediate-expired`` for each certificate of ``path`` that is outside its validity at ``at``."""
    problems = []
    for certificate in path:
        if at > certificate.not_after:
            problems.append(_problem("intermediate-expired", certificate, not_after=certificate.not_after_text))
        elif at < certificate.not_before:
            problems.append(_problem("intermediate-expired", certificate, not_before=certificate.not_before_text))
    return problems


def lifetime_problem(leaf: Certificate) -> Problem | None:
    """Return ``validity-too-long`` for a publicly trusted leaf, by the limit in force when it was issued."""
    seconds = leaf.not_after - leaf.not_before + 1  # both ends belong to it (RFC 5280 section 4.1.2.5)
    for since, days in VALIDITY_LIMITS:
        if leaf.not_before >= since:
            if seconds > days * DAY:
                return _problem(
                    "validity-too-long",
                    leaf,
                    days=round(seconds / DAY, 2),
                    limit_days=days,
                    not_before=leaf.not_before_text,
                )
            return None
    return None


def too_many_names(leaf: Certificate) -> Problem:
    """Return ``too-costly-to-judge`` for a leaf of which not all names were read."""
    detail = f"it has more than the {extensions.MAX_NAMES} names that are read"
    return Problem("too-costly-to-judge", leaf.sha256, {"subject": leaf.subject, "detail": detail})


def usages(certificate: Certificate) -> list[str]:
    """Return keyUsage as the names of RFC 5280."""
    mask = certificate.key_usage or 0
    return [name for place, name in enumerate(extensions.KEY_USAGE_NAMES) if mask >> place & 1]


def _days(seconds: float) -> float:
    return round(seconds / DAY, 1)
