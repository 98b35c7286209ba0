"""What Go's parser refuses, we say that Go refuses, over every certificate of others' tests that is here.

Go brings PKITS and its own; ``TLSWEEP_BORINGSSL`` names a folder with BoringSSL's sources, and ``TLSWEEP_VECTORS`` one with
the package cryptography-vectors. Our own odd certificates are always asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner.trust import certificate_rules as rules
from scanner.trust.client_algorithms import key_refused_by
from scanner.x509 import malformations
from scanner.x509.certificate import Certificate, CertificateError
from scanner.x509.pem import certificates_in_pem
from tests.clients import running
from tests.clients.odd_certificates import odd_chains
from tests.helpers.go_source import x509_tests

HERE = Path(__file__).parent
GO = x509_tests()
# Files of more are not of one certificate, or a few.
MAX_BYTES = 1 << 20
# Codes that speak of what a certificate contains
PARSED = frozenset({"malformed-certificate", "unsupported-algorithm", "policy-not-satisfied"})
# Go parses these, and refuses them when it verifies.
LATER = frozenset({malformations.SIGNATURE_BITS, malformations.EXTENSIONS_BEFORE_V3})

pytestmark = pytest.mark.skipif(GO is None, reason="Go is not installed")


def _folders() -> Iterator[Path]:
    if GO is not None:
        yield GO / "testdata"
    for variable, below in (("TLSWEEP_BORINGSSL", "pki/testdata"), ("TLSWEEP_VECTORS", "x509")):
        folder = Path(os.environ.get(variable, "/nonexistent")) / below
        if folder.is_dir():
            yield folder


def _certificates() -> dict[bytes, str]:
    """Return all certificates, and where each was found."""
    found: dict[bytes, str] = {}
    for identity, chain in odd_chains().items():
        for item in (*chain.chain, chain.root):
            found.setdefault(item.der, identity)
    for folder in _folders():
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < MAX_BYTES):
            content = path.read_bytes()
            named = f"{path.parent.name}/{path.name}"
            if path.suffix in (".der", ".crt", ".cer") and content[:1] == b"\x30":
                found.setdefault(content, named)
            for der in certificates_in_pem(content):
                found.setdefault(der, named)
    return found


def refused(der: bytes) -> tuple[bool, str]:
    """Return whether we say that Go refuses a certificate for what it contains, and why."""
    try:
        certificate = Certificate.parse_untrusted(der)
    except CertificateError as error:
        return True, str(error)
    problems = [item for item in rules._contents(certificate, leaf=not certificate.is_ca) if item.code in PARSED]
    refusing = [item for item in problems if "go" in item.evidence.get("refused_by", ("go",))]
    why = "; ".join(str(item.evidence) for item in refusing) or str(certificate.flaws)
    key = "go" in key_refused_by(certificate) and certificate.key_type != "rsa-pss"
    return bool(refusing) or key, why


@pytest.mark.timeout(300)  # a program is built
def test_go_parses_what_we_say_it_parses(tmp_path: Path) -> None:
    shutil.copy(HERE / "parse.go", tmp_path)
    (tmp_path / "go.mod").write_text("module parse\n\ngo 1.24\n")
    environment = {**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GO111MODULE": "on"}
    build = ["go", "build", "-o", "parse", "."]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, env=environment, timeout=running.SECONDS)
    certificates = _certificates()
    assert len(certificates) > 500
    lines = "".join(f"{number}\t{der.hex()}\n" for number, der in enumerate(certificates))
    done = subprocess.run(
        [str(tmp_path / "parse")], input=lines, capture_output=True, text=True, check=True, timeout=running.SECONDS
    )
    said = [line.split("\t", 1)[1] for line in done.stdout.splitlines()]
    different = {}
    for (der, named), answer in zip(certificates.items(), said, strict=True):
        ours, why = refused(der)
        if ours is not (answer != "ok") and not any(flaw in why for flaw in LATER):
            different[named] = (answer, why)
    assert different == {}
