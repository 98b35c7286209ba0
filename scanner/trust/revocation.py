"""Revocation: where to ask about a certificate, and what an answer or a staple proves at a moment.

``scanner.x509.ocsp`` and ``scanner.x509.crl`` verify; here time is added, and everything becomes a
``RevocationAnswer``. An answer that does not verify, or is not current, proves nothing, and its ``error`` says why.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from msgspec import Struct

from scanner.caching import PARSED, bounded_memo
from scanner.model.evidence import RevocationAnswer
from scanner.times import DAY
from scanner.trust.verdicts import ChainVerdict
from scanner.x509 import ocsp
from scanner.x509.certificate import Certificate
from scanner.x509.crl import Crl, CrlError, look_up_untrusted
from scanner.x509.extensions import NO_REVOCATION
from scanner.x509.ocsp import OcspError, OcspRefusal, Verified

# Seconds by which clocks of responders and ours may differ: responders commonly date answers some minutes back, and
# mozilla::pkix and Go's checkers tolerate about as much.
TOLERANCE: Final = 300.0
# Seconds for which an answer without nextUpdate is current, as for mozilla::pkix.
WITHOUT_NEXT_UPDATE: Final = DAY
# CA/Browser Forum TLS Baseline Requirements section 1.6.1, "Short-lived Subscriber Certificate": certificates issued
# from the date, and the longest validity in seconds with which they need neither OCSP nor CRL. Newest first.
SHORT_LIVED: Final = (
    (datetime(2026, 3, 15, tzinfo=UTC).timestamp(), 7 * DAY),
    (datetime(2024, 3, 15, tzinfo=UTC).timestamp(), 10 * DAY),
)
# Statuses of answers that settle whether a certificate is revoked.
SETTLED: Final = frozenset({"good", "revoked"})
# Staples that are memoised: each address and host of a certificate sends the same one. Some 10 KB each.
MAX_STAPLES: Final = 512
# Bytes of a staple with both certificates, parsed: usual ones have 20 kB.
LONGEST_STAPLE: Final = 65_536

_WEB: Final = ("http://", "https://")


class RevocationSources(Struct, frozen=True):
    """Where revocation is published (``unusable``: not by HTTP), or why none is needed."""

    ocsp_urls: tuple[str, ...] = ()
    crl_urls: tuple[str, ...] = ()
    none_needed: str | None = None
    unusable: tuple[str, ...] = ()


def sources_of(certificate: Certificate, issuer: Certificate) -> RevocationSources:
    """Return where to ask whether ``certificate``, issued by ``issuer``, is revoked."""
    every = (*dict.fromkeys(certificate.ocsp_urls), *dict.fromkeys(certificate.crl_urls))
    unusable = tuple(url for url in every if not url.lower().startswith(_WEB))
    return RevocationSources(
        tuple(url for url in dict.fromkeys(certificate.ocsp_urls) if url not in unusable),
        tuple(url for url in dict.fromkeys(certificate.crl_urls) if url not in unusable),
        none_needed(certificate, issuer),
        unusable,
    )


def none_needed(certificate: Certificate, issuer: Certificate) -> str | None:
    """Return why no revocation check of this certificate is needed; ``None`` if one is."""
    if certificate == issuer:
        return "it is its own issuer"
    if any(certificate.extension(oid) is not None for oid in NO_REVOCATION):
        return "it says that no revocation information is made for it"
    if certificate.is_ca:
        return None
    # both ends belong to the validity period
    lifetime = certificate.not_after - certificate.not_before + 1
    for since, longest in SHORT_LIVED:
        if certificate.not_before >= since:
            return f"it is short-lived: valid for {lifetime / DAY:.3g} days" if lifetime <= longest else None
    return None


def issuer_of_leaf(verdict: ChainVerdict) -> Certificate | None:
    """Return the certificate that signed the leaf; ``None`` if it is not known."""
    if len(verdict.path) < 2 or any(
        problem.code == "bad-signature" for store in verdict.stores.values() for problem in store.problems
    ):
        return None
    return verdict.path[1]


def answer_bytes(answer: RevocationAnswer) -> int:
    """Return the bytes of an answer beside its fixed fields, estimated."""
    return len(answer.url) + len(answer.error or "") + len(answer.responder or "")


# --- OCSP ------------------------------------------------------------------------------------------


class _Timeless(Struct, frozen=True):
    """The part of a verdict on a response that does not depend on the time."""

    verified: Verified | None = None
    error: str | None = None
    fault: str | None = None
    refusal: bool = False


def _timeless_untrusted(data: bytes, certificate: Certificate, issuer: Certificate) -> _Timeless:
    try:
        return _Timeless(ocsp.verify_untrusted(data, certificate, issuer))
    except OcspRefusal as error:
        return _Timeless(None, str(error), error.fault, True)
    except OcspError as error:
        return _Timeless(None, str(error), error.fault)


def _staple_bytes(data: bytes, certificate: Certificate, issuer: Certificate) -> int:
    return len(data) + PARSED * (len(certificate.der) + len(issuer.der))


_remembered = bounded_memo(MAX_STAPLES, LONGEST_STAPLE, _staple_bytes)(_timeless_untrusted)


def judge_ocsp_untrusted(
    data: bytes, certificate: Certificate, issuer: Certificate, at: float, url: str
) -> RevocationAnswer:
    """Return what a responder's answer proves at ``at`` (epoch seconds); never raises."""
    return _ocsp_answer(_timeless_untrusted(data, certificate, issuer), certificate, at, url)


def judge_staple_untrusted(data: bytes, certificate: Certificate, issuer: Certificate, at: float) -> RevocationAnswer:
    """Return what a stapled response proves at ``at``; its ``url`` is empty. Never raises. Each is verified once."""
    return _ocsp_answer(_remembered(data, certificate, issuer), certificate, at, "")


def _ocsp_answer(timeless: _Timeless, certificate: Certificate, at: float, url: str) -> RevocationAnswer:
    verified = timeless.verified
    if verified is None:
        status: Literal["unavailable", "invalid"] = "unavailable" if timeless.refusal else "invalid"
        return RevocationAnswer(certificate.sha256, "ocsp", url, status, error=timeless.error, fault=timeless.fault)
    single = verified.single
    fault, error = _not_current(single.this_update, single.next_update, at)
    if error is None and verified.delegated and not verified.not_before <= at <= verified.not_after:
        fault = "signer"
        error = f"the certificate of its signer {verified.responder} is not valid at this time"
    return RevocationAnswer(
        certificate.sha256,
        "ocsp",
        url,
        "invalid" if error else single.status,
        reason=single.reason,
        revoked_at=single.revoked_at,
        this_update=single.this_update,
        next_update=single.next_update,
        produced_at=verified.produced_at,
        error=error,
        responder=verified.responder,
        fault=fault,
    )


def _not_current(this_update: float, next_update: float | None, at: float) -> tuple[str, str] | tuple[None, None]:
    """Return (fault, message) of an answer that is not current at ``at``."""
    if this_update > at + TOLERANCE:
        return "future", f"it is from the future: made for {_moment(this_update)} and later"
    if next_update is None:
        if at > this_update + WITHOUT_NEXT_UPDATE:
            words = f"it is out of date: made on {_moment(this_update)}, and it does not say how long it holds"
            return "without-end", words
    elif next_update < this_update:
        return "malformed", "it ends before it begins"
    elif at > next_update + TOLERANCE:
        return "out-of-date", f"it is out of date: it held until {_moment(next_update)}"
    return None, None


def _moment(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return "the end of the calendar"


# --- CRLs ------------------------------------------------------------------------------------------


def judge_crl(crl: Crl, certificate: Certificate, issuer: Certificate, at: float, url: str) -> RevocationAnswer:
    """Return what a list, which the certificate names as ``url``, proves at ``at``; never raises."""
    try:
        entry = look_up_untrusted(crl, certificate, issuer, url or None)
    except CrlError as refused:
        return RevocationAnswer(certificate.sha256, "crl", url, "invalid", error=str(refused))
    fault, error = _not_current(crl.this_update, crl.next_update, at)
    return RevocationAnswer(
        certificate.sha256,
        "crl",
        url,
        "invalid" if error else "good" if entry is None else "revoked",
        reason=entry.reason if entry else None,
        revoked_at=entry.revoked_at if entry else None,
        this_update=crl.this_update,
        next_update=crl.next_update,
        error=error,
        fault=fault,
    )
