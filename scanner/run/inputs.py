"""The inputs of a run beside its limits, and what is loaded from them: stores, logs, intermediates, a client certificate."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct, field

from scanner.codec.certificate_dedup import Fragments
from scanner.inventory.exclude import Exclusions
from scanner.model.config import ScanConfig
from scanner.net.complete import Completer
from scanner.run.judgement import Judgement
from scanner.trust.ct_logs import load_log_list
from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import load_public_roots, load_store, load_store_file
from scanner.trust.transparency import Transparency
from scanner.trust.untrusted_issuer import OwnAuthorities
from scanner.trust.verifier import ChainVerifier


class RunInputs(Struct, frozen=True, kw_only=True):
    """Whom a run asks, whom it trusts, and whom it must not contact."""

    resolvers: Sequence[str] = ()
    trust_stores: Sequence[str] = ("mozilla",)
    public_roots: str | None = None
    ct_logs: str | None = None
    private_cas: Sequence[str] = ()
    # findings of an earlier run
    earlier: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    ntp: Sequence[str] = ()
    # a directory that keeps what was fetched between runs
    cache: str | None = None
    exclusions: Exclusions = field(default_factory=Exclusions)
    # what in the inventory may be a mistake, for the run's record
    warnings: Sequence[str] = ()


# Options that the judgement of a finding depends on, as `judged_with` names them -> the fields with their values. The trust
# stores are in the findings themselves.
JUDGED_BY_CONFIG: Final = {
    "at": "at",
    "expiry_warning": "expiry_warning_days",
    "revocation": "revocation",
    "lang": "language",
}
JUDGED_BY_INPUTS: Final = {"public_roots": "public_roots", "private_ca": "private_cas", "ct_logs": "ct_logs"}


def new_run_id(now: float) -> str:
    """Return a unique id that sorts by time: ``20261123T060000Z-1a2b3c4d``."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def judged_with(config: ScanConfig, inputs: RunInputs) -> dict[str, Any]:
    """Return the options of the judgement that are not the default."""
    options: dict[str, Any] = {}
    sources = ((JUDGED_BY_CONFIG, config, ScanConfig()), (JUDGED_BY_INPUTS, inputs, RunInputs()))
    for names, record, plain in sources:
        for name, field_name in names.items():
            value = getattr(record, field_name)
            if value != getattr(plain, field_name) and value != [] and value is not None:
                options[name] = list(value) if isinstance(value, (tuple, list)) else value
    return options


def make_verifier(inputs: RunInputs, intermediates: Intermediates | None = None) -> ChainVerifier:
    """Return the verifier of chains for the chosen trust stores. Raises ``StoreError``."""
    return ChainVerifier(
        [load_store(spec) for spec in inputs.trust_stores],
        public_roots=load_public_roots(inputs.public_roots),
        intermediates=intermediates or Intermediates(),
        own=own_authorities(inputs.private_cas),
    )


def own_authorities(paths: Sequence[str]) -> OwnAuthorities | None:
    """Return the CAs of ``--private-ca``; ``None`` if there are none. Raises ``StoreError``."""
    return OwnAuthorities(own for path in paths for own in load_store_file(path).anchors.values()) if paths else None


def make_transparency(inputs: RunInputs) -> Transparency:
    """Return the judge of SCTs, by the log list of ``inputs`` or the shipped one. Raises ``LogListError``."""
    return Transparency(None if inputs.ct_logs is None else load_log_list(inputs.ct_logs))


def make_judgement(
    config: ScanConfig,
    inputs: RunInputs,
    verifier: ChainVerifier | None = None,
    *,
    run_id: str,
    transparency: Transparency | None = None,
    fragments: Fragments | None = None,
) -> Judgement:
    """Return the judgement of a run; what is not given is loaded from ``inputs``. Raises ``StoreError``, ``LogListError``."""
    return Judgement(
        config,
        verifier or make_verifier(inputs),
        run_id=run_id,
        transparency=transparency or make_transparency(inputs),
        fragments=fragments,
        judged_with=judged_with(config, inputs),
        run_warnings=inputs.warnings,
    )


def make_completer(inputs: RunInputs, clock: Callable[[], float] = time.time) -> Completer:
    """Return the completer of handshakes, with the run's client certificate. Raises ``ClientCertificateError``."""
    certificate, key = inputs.client_cert, inputs.client_key
    if certificate is None:
        return Completer(clock=clock)
    from scanner.x509.client_certificate import ClientCertificateError, load_client_certificate  # most runs have none

    completer = Completer(certificate, key, presented=load_client_certificate(certificate, key), clock=clock)
    try:
        completer.check()
    except OSError as error:
        raise ClientCertificateError(f"--client-cert: OpenSSL cannot use {certificate}: {error}") from None
    return completer
