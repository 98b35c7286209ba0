"""URLs in certificates, fetched from real servers: issuers and CRLs of every size from nginx, and OpenSSL's OCSP responder.

Each case is a whole scan with its own DNS and a TLS server, and checks the finding.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers import pki, revocation
from tests.helpers.loopback_scan import scan_rows
from tests.helpers.pki import DAY, Issued, authority_info_access
from tests.servers.running import free_port, loopback_address, missing
from tests.servers.software import ENVIRONMENT

START_SECONDS: Final = 20.0
NOW: Final = time.time()
# As large as the largest CRLs of public CAs
LARGE: Final = 20 << 20


def _dates(days: float) -> dict[str, Any]:
    return {"not_before": NOW - 30 * DAY, "not_after": NOW + days * DAY}


ROOT: Final = pki.root("CertificateLookups Root", **_dates(3000))
CA: Final = pki.authority("CertificateLookups CA", ROOT, **_dates(1000))


@dataclass
class Place:
    """The real servers of a test run, and the requests they received."""

    directory: Path
    address: str
    web: int
    ocsp: int
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.directory / "access.log"

    def url(self, path: str) -> str:
        return f"http://{self.address}:{self.web}/{path}"

    @property
    def responder(self) -> str:
        return f"http://{self.address}:{self.ocsp}"

    def asked(self) -> list[str]:
        """Return the paths requested from nginx, in order."""
        return [line.split()[1] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def leaf(
        self, name: str, *, serial: int, aia: str | None = None, crl: str | None = None, ocsp: bool = False
    ) -> Issued:
        access = authority_info_access(issuers=[self.url(aia)] if aia else (), ocsp=[self.responder] if ocsp else ())
        extra = [access] if aia or ocsp else []
        if crl is not None:
            extra.append(revocation.points(self.url(crl)))
        return pki.certificate(name, issuer=CA, serial=serial, extra=extra, **_dates(60))


GOOD, REVOKED = 0x1001, 0x1002


def _files(directory: Path) -> None:
    www = directory / "www"
    www.mkdir()
    (www / "ca.cer").write_bytes(CA.der)
    (www / "ca.pem").write_text(CA.pem)
    (directory / "ca.pem").write_text(CA.pem)
    (directory / "ca.key").write_text(CA.key_pem)
    subprocess.run(
        ["openssl", "crl2pkcs7", "-nocrl", "-certfile", directory / "ca.pem", "-outform", "DER", "-out", www / "ca.p7c"],
        env=ENVIRONMENT, check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    times: dict[str, Any] = {"this_update": NOW - 3600, "next_update": NOW + DAY}
    entry = revocation.entry(REVOKED, revoked_at=NOW - DAY)
    (www / "ca.crl").write_bytes(revocation.crl(CA, entry, **times))
    many = b"".join(revocation.entry(serial, revoked_at=NOW - DAY) for serial in range(1 << 40, (1 << 40) + 1000))
    (www / "large.crl").write_bytes(revocation.crl(CA, many * (LARGE // len(many) + 1), entry, **times))
    (www / "bomb.crl").write_bytes(gzip.compress(bytes(50 << 20)))
    (www / "page").write_text("<!DOCTYPE html><html><body>Welcome</body></html>")
    day = time.strftime("%y%m%d%H%M%SZ", time.gmtime(NOW + 60 * DAY))
    (directory / "index.txt").write_text(
        f"V\t{day}\t\t{GOOD:X}\tunknown\t/CN=good\n"
        f"R\t{day}\t{time.strftime('%y%m%d%H%M%SZ', time.gmtime(NOW - DAY))},keyCompromise\t{REVOKED:X}\tunknown\t/CN=revoked\n"
    )


def _nginx(place: Place) -> list[str]:
    folder = place.directory
    folders = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr info;
events {{ worker_connections 256; }}
http {{
  {folders}
  log_format asked '$request_method $uri';
  access_log {place.log} asked;
  server {{
    listen {place.address}:{place.web};
    root {folder}/www;
    location = /moved {{ return 302 /ca.cer; }}
    location = /inside {{ return 302 http://169.254.169.254/latest/meta-data/; }}
    location = /round {{ return 302 /round; }}
    location = /bomb.crl {{ add_header Content-Encoding gzip; }}
    location = /page {{ default_type text/html; }}
  }}
}}
"""
    )
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def _responder(place: Place) -> list[str]:
    folder = place.directory
    command = [
        "openssl",
        "ocsp",
        "-index",
        f"{folder}/index.txt",
        "-port",
        str(place.ocsp),
        "-rsigner",
        f"{folder}/ca.pem",
    ]
    return [*command, "-rkey", f"{folder}/ca.key", "-CA", f"{folder}/ca.pem", "-ndays", "1", "-ignore_err"]


@contextmanager
def _running(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    for reason in (missing("nginx"), missing("openssl")):
        if reason is not None:
            pytest.skip(reason)
    directory, address = tmp_path_factory.mktemp("lookups"), loopback_address()
    place = Place(directory, address, free_port(address), free_port(address))
    _files(directory)
    ocsp_log = directory / "ocsp.log"
    with (
        _running(_nginx(place), directory / "nginx.log", lambda: _listens(address, place.web)),
        # it would wait for ever on a connection without a request
        _running(_responder(place), ocsp_log, lambda: "waiting for" in ocsp_log.read_text()),
    ):
        yield place


@contextmanager
def _tls_server(leaf: Issued, directory: Path, *chain: Issued) -> Iterator[tuple[str, int]]:
    """Run a TLS server on loopback that only completes handshakes."""
    path = directory / "server.pem"
    path.write_text(leaf.key_pem + leaf.pem + "".join(issued.pem for issued in chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listener = socket.create_server((loopback_address(), 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def scanned(
    leaf: Issued, directory: Path, *chain: Issued, count: int = 1, cache: Path | None = None, **config: Any
) -> Finding:
    """Return the finding of a server with this certificate, scanned ``count`` times under different names."""
    roots = directory / "roots.pem"
    roots.write_text(ROOT.pem)
    inputs = RunInputs(
        resolvers=("127.0.0.1:9",), trust_stores=(str(roots),), cache=None if cache is None else str(cache)
    )
    settings = ScanConfig(**{"private_urls": True, "retries": 0, **config})
    name = leaf.parsed.dns_names[0]
    with _tls_server(leaf, directory, *chain) as (address, port):
        rows = [
            Target(row=row, host=name, port=port, protocol="tls", sni=name, address=address, tags={"n": row}, id=row)
            for row in range(1, count + 1)
        ]
        findings = trio.run(scan_rows, rows, inputs, settings)
    assert len(findings) == count
    return findings[0]


def codes(finding: Finding) -> list[str]:
    return [diagnosis["code"] for diagnosis in finding["diagnoses"]]


@pytest.mark.parametrize("path", ["ca.cer", "ca.pem", "ca.p7c", "moved"])
def test_a_published_issuer_is_fetched(path: str, place: Place, tmp_path: Path) -> None:
    found = scanned(place.leaf("aia.example", serial=0x2001, aia=path), tmp_path)
    assert codes(found) == ["intermediate-not-sent"]
    assert found["diagnoses"][0]["evidence"]["completed_from"] == ["aia"]
    assert "CertificateLookups CA" in found["diagnoses"][0]["summary"]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("gone.cer", "HTTP status 404"),
        ("page", "sent as text/html"),
        ("ca.crl", "no certificate"),
        ("round", "more than 5 redirects"),
        ("inside", "not asked: 169.254.169.254"),
        ("large.crl", "more than the 1048576"),
    ],
)
def test_an_issuer_that_cannot_be_fetched_is_reported_with_the_error(
    path: str, error: str, place: Place, tmp_path: Path
) -> None:
    found = scanned(place.leaf("aia.example", serial=0x2002, aia=path), tmp_path)
    assert codes(found) == ["intermediate-unobtainable"]
    [answer] = found["diagnoses"][0]["evidence"]["answers"]
    assert answer["url"] == place.url(path)
    assert error in answer["error"]


def test_private_addresses_are_not_contacted_by_default(place: Place, tmp_path: Path) -> None:
    before = len(place.asked())
    leaf = place.leaf("aia.example", serial=REVOKED, aia="ca.cer", crl="ca.crl", ocsp=True)
    found = scanned(leaf, tmp_path, private_urls=False)
    assert codes(found) == ["intermediate-unobtainable"]
    assert "a loopback address; --private-urls" in found["diagnoses"][0]["evidence"]["answers"][0]["error"]
    assert len(place.asked()) == before


@pytest.mark.parametrize(("serial", "said"), [(GOOD, []), (REVOKED, ["revoked-ocsp"])])
def test_openssls_responder_decides(serial: int, said: list[str], place: Place, tmp_path: Path) -> None:
    found = scanned(place.leaf("ocsp.example", serial=serial, ocsp=True), tmp_path, CA)
    assert codes(found) == said


@pytest.mark.parametrize("path", ["ca.crl", "large.crl"])
@pytest.mark.parametrize(("serial", "said"), [(GOOD, []), (REVOKED, ["revoked-crl"])])
def test_crls_of_any_size_are_read(serial: int, said: list[str], path: str, place: Place, tmp_path: Path) -> None:
    assert (place.directory / "www" / "large.crl").stat().st_size > LARGE
    found = scanned(place.leaf("crl.example", serial=serial, crl=path), tmp_path, CA)
    assert codes(found) == said


@pytest.mark.parametrize("path", ["gone.crl", "page", "bomb.crl", "round", "inside"])
def test_unusable_crls_leave_revocation_unknown(path: str, place: Place, tmp_path: Path) -> None:
    found = scanned(place.leaf("crl.example", serial=REVOKED, crl=path), tmp_path, CA)
    assert (codes(found), found["outcome"]) == (["revocation-unknown"], "ok")


def test_a_crl_decides_if_the_responder_does_not_know(place: Place, tmp_path: Path) -> None:
    """OpenSSL's responder answers "unknown" for serial numbers that it does not have."""
    found = scanned(place.leaf("both.example", serial=0x3001, ocsp=True, crl="ca.crl"), tmp_path, CA)
    assert codes(found) == []


def test_each_url_is_fetched_once_and_not_again_by_the_next_run(place: Place, tmp_path: Path) -> None:
    leaf = place.leaf("once.example", serial=0x2003, aia="ca.cer", crl="ca.crl")
    before = len(place.asked())
    scanned(leaf, tmp_path, count=30, cache=tmp_path / "cache")
    assert place.asked()[before:] == ["/ca.cer", "/ca.crl"]
    scanned(leaf, tmp_path, count=3, cache=tmp_path / "cache")
    assert len(place.asked()) == before + 2
    scanned(leaf, tmp_path)
    assert len(place.asked()) == before + 4


# --- a CA that is renewed while answers are kept ---------------------------------------------------

NEW_KEY: Final = pki.authority("CertificateLookups CA", ROOT, private=pki.key("renewed CA"), **_dates(1000))
EXPIRED: Final = pki.authority("CertificateLookups CA", ROOT, private=CA.private, **_dates(-1))
UNRELATED: Final = pki.authority("Another CA", ROOT, **_dates(1000))


def _publish(place: Place, path: str, content: bytes) -> None:
    (place.directory / "www" / path).write_bytes(content)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(CA, NEW_KEY, id="a new key"),
        pytest.param(EXPIRED, CA, id="the same key, longer valid"),
        pytest.param(UNRELATED, CA, id="another CA was there"),
    ],
)
def test_a_kept_issuer_that_does_not_help_is_fetched_again(
    before: Issued, now: Issued, place: Place, tmp_path: Path
) -> None:
    """An earlier run has kept what was at the address. The CA is renewed, and the server that needs it is incomplete, no more."""
    url, cache, asked = place.url("renewed.cer"), tmp_path / "cache", len(place.asked())
    access = [authority_info_access(issuers=[url])]
    _publish(place, "renewed.cer", before.der)
    scanned(pki.certificate("old.example", issuer=before, extra=access, **_dates(60)), tmp_path, cache=cache)
    _publish(place, "renewed.cer", now.der)
    leaf = pki.certificate("new.example", issuer=now, extra=access, **_dates(60))
    found = scanned(leaf, tmp_path, count=5, cache=cache)
    assert codes(found) == ["intermediate-not-sent"]
    assert place.asked()[asked:] == ["/renewed.cer"] * 2
    assert codes(scanned(leaf, tmp_path, cache=cache)) == ["intermediate-not-sent"]
    assert place.asked()[asked:] == ["/renewed.cer"] * 2  # the new one is kept in its place


def test_a_kept_issuer_that_helps_is_not_fetched_again(place: Place, tmp_path: Path) -> None:
    leaf, asked = place.leaf("kept.example", serial=0x2004, aia="ca.cer"), len(place.asked())
    for _ in range(3):
        assert codes(scanned(leaf, tmp_path, cache=tmp_path / "cache")) == ["intermediate-not-sent"]
    assert place.asked()[asked:] == ["/ca.cer"]


def test_an_address_that_is_gone_by_now_is_reported(place: Place, tmp_path: Path) -> None:
    access = [authority_info_access(issuers=[place.url("gone-now.cer")])]
    _publish(place, "gone-now.cer", CA.der)
    scanned(pki.certificate("old.example", issuer=CA, extra=access, **_dates(60)), tmp_path, cache=tmp_path / "cache")
    (place.directory / "www" / "gone-now.cer").unlink()
    leaf = pki.certificate("new.example", issuer=NEW_KEY, extra=access, **_dates(60))
    found = scanned(leaf, tmp_path, count=3, cache=tmp_path / "cache")
    assert codes(found) == ["intermediate-unobtainable"]
    assert "HTTP status 404" in found["diagnoses"][0]["evidence"]["answers"][0]["error"]


@pytest.mark.parametrize("revoked", [False, True])
def test_a_kept_list_of_the_old_key_is_fetched_again(revoked: bool, place: Place, tmp_path: Path) -> None:
    """The list at the old address is signed by the new key now."""
    times: dict[str, Any] = {"this_update": NOW - 3600, "next_update": NOW + DAY}
    points, asked = [revocation.points(place.url("renewed.crl"))], len(place.asked())
    leaf = pki.certificate("old.example", issuer=CA, serial=0x4001, extra=points, **_dates(60))
    new = pki.certificate("new.example", issuer=NEW_KEY, serial=0x4002, extra=points, **_dates(60))
    _publish(place, "renewed.crl", revocation.crl(CA, **times))
    assert codes(scanned(leaf, tmp_path, CA, cache=tmp_path / "cache")) == []
    entries = [revocation.entry(0x4002, revoked_at=NOW - DAY)] if revoked else []
    _publish(place, "renewed.crl", revocation.crl(NEW_KEY, *entries, **times))
    found = scanned(new, tmp_path, NEW_KEY, count=5, cache=tmp_path / "cache")
    assert codes(found) == (["revoked-crl"] if revoked else [])
    assert place.asked()[asked:] == ["/renewed.crl"] * 2
