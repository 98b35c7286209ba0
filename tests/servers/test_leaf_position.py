"""A server that sends its own certificate after those of its issuers: one of Java's, which takes the chain that it is given."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers import pki
from tests.helpers.loopback_scan import scan_rows
from tests.helpers.pki import DAY, Issued
from tests.servers.running import loopback_address

pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed"),
    pytest.mark.timeout(180),  # it compiles the server first
]

SERVER: Final = """
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.spec.PKCS8EncodedKeySpec;
import javax.net.ssl.*;

public class Server {
  // ADDRESS VERSION KEY CHAIN VERSION KEY CHAIN ...: a port for each, which is printed
  public static void main(String[] given) throws Exception {
    for (int at = 1; at < given.length; at += 3) {
      SSLServerSocket server = listening(given[0], given[at], given[at + 1], given[at + 2]);
      System.out.println(server.getLocalPort());
      new Thread(() -> serve(server)).start();
    }
  }

  static SSLServerSocket listening(String address, String version, String own, String sent) throws Exception {
    X509Certificate[] chain;
    try (InputStream in = new FileInputStream(sent)) {
      chain = CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new X509Certificate[0]);
    }
    byte[] encoded = Files.readAllBytes(Path.of(own));
    PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(encoded));
    X509ExtendedKeyManager keys = new X509ExtendedKeyManager() {
      public String[] getClientAliases(String type, Principal[] issuers) { return null; }
      public String chooseClientAlias(String[] types, Principal[] issuers, Socket socket) { return null; }
      public String[] getServerAliases(String type, Principal[] issuers) { return new String[] {"own"}; }
      public String chooseServerAlias(String type, Principal[] issuers, Socket socket) { return "own"; }
      public X509Certificate[] getCertificateChain(String alias) { return chain; }
      public PrivateKey getPrivateKey(String alias) { return key; }
    };
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(new KeyManager[] {keys}, null, null);
    SSLServerSocketFactory factory = context.getServerSocketFactory();
    SSLServerSocket server = (SSLServerSocket) factory.createServerSocket(0, 50, InetAddress.getByName(address));
    server.setEnabledProtocols(new String[] {version});
    return server;
  }

  static void serve(SSLServerSocket server) {
    while (true) {
      try {
        Socket socket = server.accept();
        new Thread(() -> {
          try (socket) { socket.getInputStream().read(); } catch (IOException refused) { }
        }).start();
      } catch (IOException closed) {
        return;
      }
    }
  }
}
"""
NAME: Final = "www.order.test"
NOW: Final = time.time()
_VALIDITY: Final[dict[str, Any]] = {"not_before": NOW - DAY, "not_after": NOW + 60 * DAY}
ROOT: Final = pki.root("Order Root", **_VALIDITY)
UPPER: Final = pki.authority("Order Upper CA", ROOT, **_VALIDITY)
# As public CAs are: it may sign, and is for servers
CA: Final = pki.authority(
    "Order CA", UPPER, usages=("digitalSignature", "keyCertSign", "cRLSign"), purposes=("serverAuth",), **_VALIDITY
)
LEAF: Final = pki.certificate(NAME, issuer=CA, **_VALIDITY)
EXPIRED: Final = pki.certificate(NAME, issuer=CA, not_before=NOW - 90 * DAY, not_after=NOW - DAY)

VERSIONS: Final = ("TLSv1.2", "TLSv1.3")
# by what is wrong: what is sent, which of it is the server's own, and the codes
ORDERS: Final[Mapping[str, tuple[Sequence[Issued], Issued, list[str]]]] = {
    "in order": ([LEAF, CA, UPPER], LEAF, []),
    "after its issuer": ([CA, LEAF, UPPER], LEAF, ["error chain-misordered"]),
    "at the end": ([UPPER, CA, LEAF], LEAF, ["error chain-misordered"]),
    "after the root": ([ROOT, CA, UPPER, LEAF], LEAF, ["error chain-misordered", "note root-sent"]),
    "and incomplete": ([CA, LEAF], LEAF, ["error chain-misordered", "error issuer-unknown"]),
    "and expired": ([CA, EXPIRED, UPPER], EXPIRED, ["error chain-misordered", "error certificate-expired"]),
}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[tuple[str, str], int]]:
    """Run a server for each version and order of certificates; return their ports."""
    directory = tmp_path_factory.mktemp("java")
    (directory / "Server.java").write_text(SERVER)
    key = directory / "own.key"
    key.write_bytes(LEAF.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    wanted, arguments = [], []
    sent = {**{order: given[0] for order, given in ORDERS.items()}, "not sent at all": [CA, UPPER]}
    for number, (order, certificates) in enumerate(sent.items()):
        chain = directory / f"chain{number}.pem"
        chain.write_text(pki.pem(*certificates))
        for version in VERSIONS:
            wanted.append((version, order))
            arguments += [version, str(key), str(chain)]
    process = subprocess.Popen(
        ["java", str(directory / "Server.java"), loopback_address(), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield {each: int(process.stdout.readline()) for each in wanted}
    process.terminate()
    process.wait(10)
    process.stdout.close()


def scanned(port: int, directory: Path) -> Finding:
    (directory / "roots.pem").write_text(ROOT.pem)
    row = Target(row=1, host=NAME, port=port, protocol="https", sni=NAME, address=loopback_address())
    inputs = RunInputs(trust_stores=[str(directory / "roots.pem")])
    (finding,) = trio.run(partial(scan_rows, [row], inputs, ScanConfig(retries=0)))
    return finding


def codes(finding: Finding) -> list[str]:
    return [f"{diagnosis['severity']} {diagnosis['code']}" for diagnosis in finding["diagnoses"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("order", ORDERS)
def test_the_leaf_is_the_certificate_whose_key_signed(
    ports: Mapping[tuple[str, str], int], tmp_path: Path, order: str, version: str
) -> None:
    sent, leaf, expected = ORDERS[order]
    finding = scanned(ports[version, order], tmp_path)
    assert codes(finding) == expected, finding["diagnoses"][0]["evidence"]
    assert finding["endpoints"][0]["chain"] == [each.sha256 for each in sent]
    if sent[0] is not leaf:
        said = finding["diagnoses"][0]
        assert f"CN={NAME}, as number {sent.index(leaf) + 1} of {len(sent)}" in said["summary"]
        assert said["remedy"].startswith(f"Move the certificate CN={NAME} to the top")
        assert said["evidence"]["sent"] == [each.parsed.subject for each in sent]
        assert finding["clients"] and "ok" not in finding["clients"].values()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_key_of_no_certificate_that_was_sent(
    ports: Mapping[tuple[str, str], int], tmp_path: Path, version: str
) -> None:
    assert codes(scanned(ports[version, "not sent at all"], tmp_path))[0] == "error key-mismatch"
