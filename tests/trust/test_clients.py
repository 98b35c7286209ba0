"""The same chains before real clients: what we trust, OpenSSL, GnuTLS and cryptography trust, and the other way round.

Where they differ from each other, the table at the test says so: an error is what at least one mainstream client refuses.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from scanner.trust.intermediates import Intermediates
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW
from tests.trust.test_verifier import CASES, Case, verdict_on

OPENSSL = shutil.which("openssl")
CERTTOOL = shutil.which("certtool")
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

# Ours refuses, OpenSSL's verify accepts; who refuses instead.
NOT_OPENSSL = {"negative serial": "Go"}
# Ours refuses, GnuTLS accepts; who refuses instead.
NOT_GNUTLS = {"negative serial": "Go", "leaf for signing certificates": "OpenSSL"}
# Ours accepts as OpenSSL, curl and Go do; GnuTLS takes no anchor that is not a CA.
ONLY_GNUTLS = {"self-signed and trusted", "pinned leaf"}


@pytest.mark.skipif(OPENSSL is None, reason="the openssl program is not installed")
@pytest.mark.parametrize("label", CASES)
def test_openssl_agrees(label: str, tmp_path: Path) -> None:
    case = CASES[label]
    command = [str(OPENSSL), "verify", "-auth_level", "2", "-partial_chain", "-purpose", "sslserver"]
    command += ["-attime", str(int(case.at)), "-no-CApath", "-no-CAstore", *_files(case, tmp_path)]
    ended = subprocess.run(
        [*command, "-verify_hostname", "leaf.example", str(tmp_path / "leaf")],
        capture_output=True,
        text=True,
        timeout=20,
    )
    ours = verdict_on(*case.chain, anchors=case.anchors, at=case.at).trusted
    theirs = ended.returncode == 0
    if label in NOT_OPENSSL:
        assert (ours, theirs) == (False, True)
    else:
        assert ours == theirs, ended.stderr


def _files(case: Case, directory: Path) -> list[str]:
    (directory / "leaf").write_text(pki.pem(case.chain[0]))
    (directory / "roots").write_text(pki.pem(*case.anchors))
    (directory / "sent").write_text(pki.pem(*case.chain[1:]))
    untrusted = ["-untrusted", str(directory / "sent")] if len(case.chain) > 1 else []
    return ["-CAfile", str(directory / "roots"), *untrusted]


@pytest.mark.skipif(CERTTOOL is None, reason="GnuTLS's certtool is not installed")
@pytest.mark.skipif(FAKETIME is None, reason="libfaketime, by which certtool is told the time, is not installed")
@pytest.mark.parametrize("label", CASES)
def test_gnutls_agrees(label: str, tmp_path: Path) -> None:
    case = CASES[label]
    (tmp_path / "roots").write_text(pki.pem(*case.anchors))
    (tmp_path / "chain").write_text(pki.pem(*case.chain))
    command = [str(CERTTOOL), "--verify", "--load-ca-certificate", str(tmp_path / "roots")]
    command += ["--verify-purpose", "1.3.6.1.5.5.7.3.1", "--verify-profile", "medium"]
    moment = datetime.fromtimestamp(case.at, UTC).strftime("@%Y-%m-%d %H:%M:%S")
    ended = subprocess.run(
        [*command, "--verify-hostname", "leaf.example", "--infile", str(tmp_path / "chain")],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, "LD_PRELOAD": str(FAKETIME), "FAKETIME": moment, "TZ": "UTC"},
    )
    ours = verdict_on(*case.chain, anchors=case.anchors, at=case.at).trusted
    theirs = ended.returncode == 0
    if label in NOT_GNUTLS:
        assert (ours, theirs) == (False, True)
    elif label in ONLY_GNUTLS:
        assert (ours, theirs) == (True, False)
    else:
        assert ours == theirs, ended.stdout


@pytest.mark.parametrize(
    "label", ["healthy", "with its root", "out of order", "directly below the anchor", "RSA-PSS", "P-384"]
)
def test_cryptography_agrees_on_good_chains(label: str) -> None:
    """Its profile asks for more than mainstream clients do, so only good chains can be compared."""
    case = CASES[label]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = Store([x509.load_der_x509_certificate(anchor.der) for anchor in case.anchors])
        builder = PolicyBuilder().store(store).time(datetime.fromtimestamp(case.at, UTC))
        verifier = builder.build_server_verifier(x509.DNSName("leaf.example"))
        leaf, *issuers = (x509.load_der_x509_certificate(item.der) for item in case.chain)
    path = verifier.verify(leaf, issuers)
    verdict = verdict_on(*case.chain, anchors=case.anchors, at=case.at)
    assert verdict.trusted
    fingerprints = [certificate.fingerprint(SHA256()).hex() for certificate in path]
    assert list(verdict.stores["test"].path) == fingerprints


@pytest.mark.parametrize("label", [label for label, case in CASES.items() if case.expected])
def test_cryptography_refuses_what_we_refuse(label: str) -> None:
    case = CASES[label]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            store = Store([x509.load_der_x509_certificate(anchor.der) for anchor in case.anchors])
            builder = PolicyBuilder().store(store).time(datetime.fromtimestamp(NOW, UTC))
            verifier = builder.build_server_verifier(x509.DNSName("leaf.example"))
            leaf, *issuers = (x509.load_der_x509_certificate(item.der) for item in case.chain)
            verifier.verify(leaf, issuers)
    except (VerificationError, ValueError):
        return
    # OpenSSL refuses these three (security level 2; anyExtendedKeyUsage is no serverAuth there).
    assert label in {"short RSA leaf", "P-192", "CA for anything"}


def _cryptography_trusts(chain: list[pki.Issued], anchors: list[pki.Issued], at: float) -> bool:
    store = Store([x509.load_der_x509_certificate(anchor.der) for anchor in anchors])
    builder = PolicyBuilder().store(store).time(datetime.fromtimestamp(at, UTC))
    verifier = builder.build_server_verifier(x509.DNSName("leaf.example"))
    leaf, *issuers = (x509.load_der_x509_certificate(item.der) for item in chain)
    try:
        verifier.verify(leaf, issuers)
    except VerificationError:
        return False
    return True


@pytest.mark.parametrize("seed", range(60))
def test_random_webs_of_cross_signs_get_openssl_s_verdict(seed: int) -> None:
    """Authorities that sign each other at random, some expired or broken, sent in any order: both find a path, or neither."""
    dice = random.Random(seed)
    keys = [pki.key(f"web {number}") for number in range(5)]
    roots = [pki.root(f"Web {number}", private=keys[number]) for number in range(5)]
    anchors = dice.sample(roots, 2)
    sent: list[pki.Issued] = []
    for _ in range(dice.randrange(1, 9)):
        lower, above_path = dice.sample(range(5), 2)
        changes: dict[str, object] = {}
        if dice.random() < 0.3:
            changes["not_after"] = NOW + dice.choice([-DAY, DAY])
        if dice.random() < 0.1:
            changes["break_signature"] = True
        if dice.random() < 0.2:
            changes["path_length"] = dice.randrange(3)
        sent.append(
            pki.authority(f"Web {lower}", roots[above_path], private=keys[lower], serial=len(sent) + 1, **changes)
        )
    leaf = pki.certificate("leaf.example", issuer=dice.choice(roots))
    dice.shuffle(sent)
    verifier = ChainVerifier(
        [pki.store(*anchors)], public_roots=frozenset(), intermediates=Intermediates(shipped=False)
    )
    for at in (NOW, NOW + 2 * DAY, NOW - 2 * DAY, NOW):
        verdict = verifier.verify((leaf.der, *(item.der for item in sent)), name=None, at=at)
        assert verdict.trusted is _cryptography_trusts([leaf, *sent], anchors, at)
        again = ChainVerifier(
            [pki.store(*anchors)], public_roots=frozenset(), intermediates=Intermediates(shipped=False)
        )
        fresh = again.verify((leaf.der, *(item.der for item in sent)), name=None, at=at)
        assert fresh.stores["test"].trusted is verdict.trusted
