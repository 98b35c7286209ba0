"""How real servers that ask for a client certificate treat clients with none, and with a good, bad or foreign one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import trio
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec.structs import replace

from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers.loopback_scan import scan_rows
from tests.servers.client_auth_services import BEHIND, NOT_HTTP, OPTIONAL, OTHERS, REQUIRED, WEB, Asking, web
from tests.servers.conftest import Start
from tests.servers.pki import Credential, Pki
from tests.servers.running import loopback_address
from tests.servers.spec import ServerSpec, Software, Version
from tests.servers.starttls_services import running

NAME = "client-auth.servers.test"
REJECTED = "client-certificate-rejected"
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH


def scan(target: Target, roots: Path, files: Path | None = None, **options: Any) -> Finding:
    """Return the finding of a server; ``files`` are the client certificate to present and its key."""
    config = ScanConfig(rate_per_address=None, timeout=20, retries=0, revocation="off", authenticate=files is not None)
    config = replace(config, **options)
    shown = None if files is None else str(files)
    inputs = RunInputs(trust_stores=[str(roots)], resolvers=["127.0.0.1:9"], client_cert=shown)
    (finding,) = trio.run(scan_rows, [target], inputs, config)
    return finding


def codes(finding: Finding) -> list[str]:
    return [diagnosis["code"] for diagnosis in finding["diagnoses"]]


def check(finding: Finding, code: str) -> None:
    """Check that the finding has this code and no other, and is consistent."""
    # Postfix sends the CAs that it is given to verify clients
    assert [each for each in codes(finding) if each != "root-sent"] == [code], finding["diagnoses"]
    assert finding["outcome"] == ("ok" if code == OPTIONAL else "fail")
    assert finding["cause"] == (None if code == OPTIONAL else "client-certificate")
    (endpoint,) = finding["endpoints"]
    # the server's certificate is recorded in any case
    assert endpoint["chain"]
    assert endpoint["client_auth"] is not None
    assert endpoint["client_auth"]["requested"] is True
    assert endpoint["client_auth"]["required"] is (code != OPTIONAL)
    assert finding["attempts"] == 2


def at(start: Start, spec: ServerSpec) -> tuple[Target, Path]:
    server = start(spec)
    target = Target(row=1, host=server.name, port=server.port, protocol="tls", sni=server.name, address=server.address)
    return target, server.roots


@pytest.mark.parametrize(("spec", "code"), WEB, ids=lambda value: value.id if isinstance(value, ServerSpec) else "")
def test_web_servers_that_want_a_client_certificate_are_recognised(spec: ServerSpec, code: str, start: Start) -> None:
    finding = scan(*at(start, spec))
    check(finding, code)
    assert finding["endpoints"][0]["version"] == spec.expected.version


@pytest.mark.parametrize(
    ("version", "mode", "code", "asked"),
    [
        ("TLSv1.2", "by-path", BEHIND, "by renegotiation"),
        ("TLSv1.3", "by-path", BEHIND, "after the handshake"),
        ("TLSv1.2", "by-path-optional", None, None),
        # browsers cannot be asked, so Apache refuses them
        ("TLSv1.3", "by-path-optional", BEHIND, "after the handshake"),
    ],
)
def test_apache_that_asks_only_for_a_page(
    version: Version, mode: Literal["by-path", "by-path-optional"], code: str | None, asked: str | None, start: Start
) -> None:
    target, roots = at(start, web("apache", version, mode))
    assert codes(scan(target, roots)) == []  # HTTP is not spoken to a healthy server
    finding = scan(target, roots, enumerate=True)
    causes = {"client-certificate"} if code else set()
    assert {each["cause"] for each in finding["diagnoses"] if each["severity"] == "error"} == causes
    assert finding["outcome"] == ("fail" if code else "ok")
    assert [each["evidence"]["asked"] for each in finding["diagnoses"] if each["code"] == code] == (
        [asked] if asked else []
    )


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_our_certificate_is_shown_where_it_is_asked_for_behind_the_handshake(
    version: Version, start: Start, pki: Pki, tmp_path: Path
) -> None:
    target, roots = at(start, web("apache", version, "by-path"))
    ours = pki.issue("ec:P-256", name="client", address="127.0.0.1", purpose=CLIENT_AUTH)
    finding = scan(target, roots, bundle(tmp_path, ours), enumerate=True)
    assert finding["outcome"] == "ok", finding["diagnoses"]
    others = Pki(tmp_path)
    foreign = others.issue("ec:P-256", name="client", address="127.0.0.1", intermediates=0, purpose=CLIENT_AUTH)
    finding = scan(target, roots, bundle(tmp_path, foreign), enumerate=True)
    assert (finding["outcome"], finding["cause"]) == ("fail", "client-certificate")
    assert REJECTED in codes(finding)


def served(chosen: Asking, pki: Pki) -> Iterator[tuple[Asking, Target]]:
    """Run a server of another protocol, and yield its row."""
    service = chosen.service(pki.roots_file)
    if (reason := service.missing()) is not None:
        pytest.skip(reason)
    address = loopback_address()
    credential = pki.issue("ec:P-256", name=NAME, address=address, intermediates=0)
    with running(service, credential, name=NAME, address=address, tls=True) as site:
        yield (
            chosen,
            Target(row=1, host=NAME, port=site.port, protocol=service.protocol, sni=NAME, address=site.address),
        )


@pytest.fixture(params=OTHERS, ids=lambda asking: asking.id)
def asking(request: pytest.FixtureRequest, pki: Pki) -> Iterator[tuple[Asking, Target]]:
    yield from served(request.param, pki)


@pytest.fixture(params=NOT_HTTP, ids=lambda asking: asking.id)
def asking_but_not_http(request: pytest.FixtureRequest, pki: Pki) -> Iterator[tuple[Asking, Target]]:
    yield from served(request.param, pki)


def test_servers_of_other_protocols_that_want_a_client_certificate_are_recognised(
    asking: tuple[Asking, Target], pki: Pki
) -> None:
    chosen, target = asking
    check(scan(target, pki.roots_file), chosen.without)


# --- with a certificate ----------------------------------------------------------------------------


def bundle(directory: Path, credential: Credential, *, alone: bool = False) -> Path:
    """Return a file with key and chain; ``alone`` omits the intermediates."""
    path = directory / "client.pem"
    chain = credential.leaf_pem if alone else credential.leaf_pem + credential.intermediates_pem
    path.write_bytes(credential.key_pem + chain)
    return path


DEMANDING = [(spec, code) for spec, code in WEB if code in (REQUIRED, BEHIND)]


@pytest.mark.parametrize(
    ("spec", "code"), DEMANDING, ids=lambda value: value.id if isinstance(value, ServerSpec) else ""
)
def test_a_certificate_of_the_servers_ca_is_accepted(
    spec: ServerSpec, code: str, start: Start, pki: Pki, tmp_path: Path
) -> None:
    if spec.software == "nss":
        pytest.skip("its database knows no CA of ours")
    ours = pki.issue("ec:P-256", name="client", address="127.0.0.1", purpose=CLIENT_AUTH)
    target, roots = at(start, spec)
    finding = scan(target, roots, bundle(tmp_path, ours))
    assert (finding["outcome"], codes(finding)) == ("ok", [])
    assert finding["endpoints"][0]["client_auth"] is not None
    assert finding["endpoints"][0]["client_auth"]["accepted"] is True
    assert finding["endpoints"][0]["application"].get("authenticated") is True


@pytest.mark.parametrize(
    ("spec", "code"), DEMANDING, ids=lambda value: value.id if isinstance(value, ServerSpec) else ""
)
def test_a_certificate_of_another_ca_is_rejected(spec: ServerSpec, code: str, start: Start, tmp_path: Path) -> None:
    others = Pki(tmp_path)
    foreign = others.issue("ec:P-256", name="client", address="127.0.0.1", intermediates=0, purpose=CLIENT_AUTH)
    target, roots = at(start, spec)
    finding = scan(target, roots, bundle(tmp_path, foreign))
    assert codes(finding) == [REJECTED], (finding["diagnoses"], finding["endpoints"])
    assert finding["endpoints"][0]["client_auth"] is not None
    assert finding["endpoints"][0]["client_auth"]["accepted"] is False


def test_who_hangs_up_on_http_has_not_rejected_our_certificate(
    asking_but_not_http: tuple[Asking, Target], pki: Pki, tmp_path: Path
) -> None:
    _, target = asking_but_not_http
    ours = pki.issue("ec:P-256", name="client", address="127.0.0.1", purpose=CLIENT_AUTH)
    finding = scan(target, pki.roots_file, bundle(tmp_path, ours))
    assert (finding["outcome"], finding["cause"]) == ("ok", None), finding["diagnoses"]
    assert finding["endpoints"][0]["client_auth"] is not None
    assert finding["endpoints"][0]["client_auth"]["accepted"] is True


def test_a_certificate_of_another_ca_is_rejected_by_who_speaks_no_http(
    asking_but_not_http: tuple[Asking, Target], pki: Pki, tmp_path: Path
) -> None:
    chosen, target = asking_but_not_http
    foreign = Pki(tmp_path).issue("ec:P-256", name="client", address="127.0.0.1", intermediates=0, purpose=CLIENT_AUTH)
    assert REJECTED in codes(scan(target, pki.roots_file, bundle(tmp_path, foreign))), chosen


REASONS = [
    ("openssl", {"ended": True}, "expired"),
    ("nginx", {"ended": True}, "expired"),
    ("openssl", {"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "not-for-client-auth"),
]


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(("software", "changes", "reason"), REASONS)
def test_the_reason_of_a_rejection_is_reported(
    software: Software, changes: dict[str, Any], reason: str, version: Version, start: Start, pki: Pki, tmp_path: Path
) -> None:
    ours = pki.issue("ec:P-256", name="client", address="127.0.0.1", **{"purpose": CLIENT_AUTH, **changes})
    target, roots = at(start, web(software, version, "required"))
    finding = scan(target, roots, bundle(tmp_path, ours))
    assert codes(finding) == [REJECTED]
    assert finding["diagnoses"][0]["evidence"]["reasons"] == [reason]


def test_a_missing_client_intermediate_is_reported(start: Start, pki: Pki, tmp_path: Path) -> None:
    ours = pki.issue("ec:P-256", name="client", address="127.0.0.1", purpose=CLIENT_AUTH)
    target, roots = at(start, web("haproxy", "TLSv1.3", "required"))
    finding = scan(target, roots, bundle(tmp_path, ours, alone=True))
    assert codes(finding) == [REJECTED]
    assert finding["diagnoses"][0]["evidence"]["reasons"] == ["issuer-not-accepted"]
