"""Certificate Transparency (RFC 6962) of one certificate: verifies each SCT, and applies the policies to all of them.

Each SCT costs a signature, so they are verified once for a certificate, its issuer and what was sent with it. What
depends on the time is computed again when a moment has passed at which it can change.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, Literal

from msgspec import Struct, field

from scanner.caching import Cache
from scanner.model.findings import SctRecord
from scanner.times import moment
from scanner.trust import ct_policies
from scanner.trust.ct_logs import STALE_AFTER, CtLog, LogList, load_log_list
from scanner.trust.ct_policies import PolicyVerdict, Source, VerifiedSct
from scanner.x509 import sct
from scanner.x509.certificate import Certificate
from scanner.x509.sct import Sct, SctError

# Certificates whose SCTs are kept: many hosts have one certificate. An entry has some 3 KB.
MAX_JUDGED: Final = 2048
MAX_JUDGED_BYTES: Final = 16 << 20
# Bytes of an entry beside what was sent
JUDGEMENT_BYTES: Final = 2048

# valid         verified, of a log in use
# retired       verified, of a retired log; whether it counts depends on when it was made
# not-accepted  verified, of a log that is in the list and not accepted (rejected, pending, for tests)
# outside       verified, of a log that does not take certificates of this expiry
# unknown-log   the list does not have the log, or no key of it that could be used
# invalid       the signature does not verify, or the time lies ahead
# unreadable    not an SCT of version 1
# unverified    its issuer is not known, or no public CA is involved
Status = Literal["valid", "retired", "not-accepted", "outside", "unknown-log", "invalid", "unreadable", "unverified"]
# Why an SCT that verifies does not count: some clock is wrong, and it may be ours.
AHEAD: Final = "its time lies ahead"
_BY_STANDING: Final[dict[str, Status]] = {"approved": "valid", "once": "retired", "never": "not-accepted"}


class JudgedSct(Struct, frozen=True):
    """One SCT and its status, which ``why`` explains. ``verified``: its signature verifies, whatever its time."""

    source: Source
    raw: bytes
    sct: Sct | None
    log: CtLog | None
    verified: bool
    status: Status
    why: str | None = None


class TransparencyVerdict(Struct, frozen=True):
    """The SCTs of a certificate, and the verdict of each policy at one moment.

    ``certain`` is False if the log list is too old, or of unknown age; ``list_made`` is when it was made. ``earlier``: the
    moment is so long before that logs which were in use may have left the list.
    ``records`` are the SCTs as findings show them.
    """

    scts: tuple[JudgedSct, ...]
    chrome: PolicyVerdict
    apple: PolicyVerdict
    certain: bool
    earlier: bool
    list_made: float | None
    records: list[SctRecord] = field(default_factory=list)

    @property
    def satisfied(self) -> bool:
        """Whether no policy is certainly broken."""
        return self.chrome.complies is not False and self.apple.complies is not False

    @property
    def damaged(self) -> bool:
        """Whether an SCT is of a log whose entry in the list is damaged: browsers may count it."""
        return any(item.status == "unknown-log" and item.log is not None for item in self.scts)

    @property
    def times(self) -> tuple[tuple[str, float], ...]:
        """(operator, time) of each SCT whose signature verifies, in the future too: witnesses of the time."""
        return tuple(
            (item.log.operator_at(item.sct.time), item.sct.time)
            for item in self.scts
            if item.verified and item.log is not None and item.sct is not None
        )


class _CachedScts(Struct):
    """Verified SCTs, and the latest verdict with the interval in which it holds."""

    scts: tuple[JudgedSct, ...]
    changes: tuple[float, ...]
    verdict: TransparencyVerdict
    low: float
    high: float


_Key = tuple[str, str | None, tuple[bytes, ...], bytes | None]


def _judgement_bytes(key: _Key, judged: _CachedScts) -> int:
    size = JUDGEMENT_BYTES + (0 if key[3] is None else len(key[3]))
    for item in judged.scts:
        size += 4 * len(item.raw)  # as sent, decoded, and in base64
    return size


class Transparency:
    """Evaluates SCTs by one log list; belongs to one thread."""

    def __init__(self, logs: LogList | None = None) -> None:
        """``None`` is the shipped list, read at the first evaluation: a fleet without public certificates has none."""
        self._given = logs
        self._judged: Cache[_Key, _CachedScts] = Cache(
            MAX_JUDGED, MAX_JUDGED_BYTES, _judgement_bytes, on_second_put=True
        )

    def evaluate(
        self,
        leaf: Certificate,
        issuer: Certificate | None,
        *,
        at: float,
        tls: tuple[bytes, ...] = (),
        staple: bytes | None = None,
    ) -> TransparencyVerdict:
        """Return the verdict on ``leaf``, issued by ``issuer`` (``None``: not known), at ``at`` (epoch seconds).

        ``tls`` are the SerializedSCTs of the TLS extension, ``staple`` is the OCSPResponse of the handshake.
        """
        key = (leaf.sha256, None if issuer is None else issuer.sha256, tls, staple)
        judged = self._judged.get(key)
        if judged is None:
            found = tuple(self._verified(leaf, issuer, tls, staple))
            changes = self._changes(found)
            judged = _CachedScts(found, changes, *self._at(leaf, found, changes, at))
            self._judged.put(key, judged)
        if not judged.low <= at < judged.high:
            judged.verdict, judged.low, judged.high = self._at(leaf, judged.scts, judged.changes, at)
        return judged.verdict

    @cached_property
    def logs(self) -> LogList:
        """The log list in use."""
        return load_log_list(None) if self._given is None else self._given

    # --- what holds at any moment ----------------------------------------------------------------

    def _verified(
        self, leaf: Certificate, issuer: Certificate | None, tls: tuple[bytes, ...], staple: bytes | None
    ) -> Iterator[JudgedSct]:
        try:
            embedded = sct.embedded_untrusted(leaf)
        except SctError as error:
            yield JudgedSct("certificate", b"", None, None, False, "unreadable", str(error))
            embedded = ()
        if embedded:
            entry: bytes | None = None
            try:
                entry = None if issuer is None else sct.precert_entry_untrusted(leaf, issuer)
                why = "its issuer is not known"
            except SctError as error:
                why = str(error)
            for data in embedded:
                yield self._verify("certificate", data, entry, why)
        stapled: tuple[bytes, ...] = ()
        if staple is not None:
            try:
                stapled = sct.stapled_untrusted(staple, leaf)
            except SctError:
                pass  # reported by the revocation rules
        if tls or stapled:
            entry = sct.x509_entry(leaf)
            for data in tls[: sct.MAX_SCTS]:
                yield self._verify("tls", data, entry, "")
            for data in stapled:
                yield self._verify("staple", data, entry, "")

    def _verify(self, source: Source, data: bytes, entry: bytes | None, why: str) -> JudgedSct:
        try:
            read = sct.sct_untrusted(data)
        except SctError as error:
            return JudgedSct(source, data, None, None, False, "unreadable", str(error))
        log = self.logs.logs.get(read.log_id)
        if log is None:
            return JudgedSct(source, data, read, None, False, "unknown-log", "the log is not in the list")
        key = log.public_key()
        if key is None:
            damage = f"the log list has a damaged entry: {log.flaw or 'its key cannot be used'}"
            return JudgedSct(source, data, read, log, False, "unknown-log", damage)
        if entry is None:
            return JudgedSct(source, data, read, log, False, "unverified", why)
        flaw = sct.signature_flaw(read, entry, key)
        if flaw is not None:
            return JudgedSct(source, data, read, log, False, "invalid", flaw)
        return JudgedSct(source, data, read, log, True, "valid")

    # --- what depends on the moment --------------------------------------------------------------

    def _changes(self, found: Sequence[JudgedSct]) -> tuple[float, ...]:
        """Return the moments at which something about these SCTs changes, sorted."""
        moments: set[float] = set()
        if self.logs.timestamp is not None:
            moments.update((self.logs.timestamp - STALE_AFTER, self.logs.timestamp, self.logs.timestamp + STALE_AFTER))
        for item in found:
            if item.sct is not None:
                moments.add(item.sct.time)
            if item.log is not None:
                moments.update(since for since in (item.log.since, item.log.apple_since) if since is not None)
        return tuple(sorted(moments))

    def _at(
        self, leaf: Certificate, found: Sequence[JudgedSct], changes: tuple[float, ...], at: float
    ) -> tuple[TransparencyVerdict, float, float]:
        listed = self.logs.timestamp
        judged = tuple([_now(item, leaf, at, listed) for item in found])
        counted = [
            VerifiedSct(item.log, item.source, item.sct.time)
            for item in judged
            if item.log is not None and item.sct is not None and item.status in ("valid", "retired")
        ]
        lifetime = leaf.not_after - leaf.not_before
        verdict = TransparencyVerdict(
            judged,
            ct_policies.exempt(leaf.not_before, ct_policies.CHROME_SINCE)
            or ct_policies.chrome(counted, lifetime, at, listed),
            ct_policies.exempt(leaf.not_before, ct_policies.APPLE_SINCE)
            or ct_policies.apple(counted, lifetime, at, listed, known=self.logs.knows_apple),
            not self.logs.stale(at),
            listed is not None and listed - at >= STALE_AFTER,
            self.logs.timestamp,
            [sct_record(item) for item in judged],
        )
        low = max((moment for moment in changes if moment <= at), default=float("-inf"))
        high = min((moment for moment in changes if moment > at), default=float("inf"))
        return verdict, low, high


def _now(item: JudgedSct, leaf: Certificate, at: float, listed: float | None) -> JudgedSct:
    """Return the SCT with its status at a moment; the log list was made at ``listed``."""
    log, read = item.log, item.sct
    if not item.verified or log is None or read is None:
        return item
    status: Status
    why: str | None = None
    if read.time > at:
        status, why = "invalid", AHEAD
    elif not log.takes(leaf.not_after):
        status, why = "outside", "the log does not take certificates that expire then"
    else:
        how = ct_policies.standing(log.state, log.since, at, listed)
        status = _BY_STANDING.get(how, "valid")
        if how == "unknown":
            why = f"the log was {log.state} since, and the list does not say when"
        elif status == "retired":
            why = "the log was retired" + (f" on {moment(log.since)[:10]}" if log.since is not None else "")
        elif status == "not-accepted":
            why = f"the log is {log.state}" if log.state is not None else "the log is not one that browsers accept"
    return JudgedSct(item.source, item.raw, read, log, True, status, why)


def unjudged(tls: Sequence[bytes]) -> list[SctRecord]:
    """Return the records of SCTs of the TLS extension where no public CA is involved, so that they have no effect."""
    return [
        sct_record(JudgedSct("tls", data, _readable(data), None, False, "unverified", "not held to public rules"))
        for data in tls
    ]


def _readable(data: bytes) -> Sct | None:
    try:
        return sct.sct_untrusted(data)
    except SctError:
        return None


def sct_record(item: JudgedSct) -> SctRecord:
    """Return the record of an SCT in a finding."""
    read, log = item.sct, item.log
    shown: SctRecord = {
        "source": item.source,
        "log_id": None if read is None else base64.b64encode(read.log_id).decode("ascii"),
        "log": None if log is None else log.name,
        "operator": None if log is None else log.operator if read is None else log.operator_at(read.time),
        "timestamp": None if read is None else moment(read.time, "milliseconds"),
        "status": item.status,
    }
    if log is not None and log.state is not None:
        shown["state"] = log.state
    if item.why is not None:
        shown["why"] = item.why
    if item.source == "tls":
        shown["raw"] = base64.b64encode(item.raw).decode("ascii")
    return shown
