"""Clients accept the flights of the hostile servers except for the malformed part."""

from __future__ import annotations

import ssl
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from scanner.tls import constants as c
from scanner.tls import offers
from scanner.tls.events import FlightComplete
from scanner.tls.wire import vector24
from tests.tls.peers import client
from tests.torture.farm import SMALL_HOSTILE_CHAIN, write_certificates
from tests.torture.hostile import Credential, Hello, complete_flight, garbage_staples, make_servers
from tests.torture.rows import KINDS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    write_certificates(directory, SMALL_HOSTILE_CHAIN)
    return directory


@pytest.fixture(scope="module")
def credential(certificates: Path) -> Credential:
    return Credential(certificates / "misnamed.pem", certificates / "leaf.key")


def test_every_hostile_kind_has_a_server(credential: Credential) -> None:
    kinds = {kind.name for kind in KINDS.values() if kind.hostile}
    by_nginx = {"hostile-chain", "garbage-issuer", "garbage-ocsp", "garbage-crl"}
    assert set(make_servers(credential)) == kinds - by_nginx


@pytest.mark.parametrize("number", range(len(garbage_staples(Random(1)))))
def test_flights_are_valid_except_for_the_staple(credential: Credential, number: int) -> None:
    conn = client(offers.MODERN)
    hello = Hello(conn.data_to_send()[5:])
    staple = garbage_staples(Random(1))[number]
    body = b"\x01" + vector24(staple)
    extension = c.EXT_STATUS_REQUEST.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body
    assert FlightComplete() in conn.receive_data(complete_flight(hello, credential, extension))


def test_the_hostile_chain_is_linked_by_name_and_key(certificates: Path) -> None:
    chain = x509.load_pem_x509_certificates((certificates / "hostile.pem").read_bytes())
    first, second, depth, names, constraints = SMALL_HOSTILE_CHAIN
    assert len(chain) == 1 + first + second + depth
    sans = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(sans)) == names + 1
    excluded = chain[-1].extensions.get_extension_for_class(x509.NameConstraints).value.excluded_subtrees
    assert excluded is not None
    assert len(excluded) == constraints
    for position, issuer in ((0, 1), (1, 1 + first), (1 + first, 1 + first + second), (len(chain) - 2, len(chain) - 1)):
        chain[position].verify_directly_issued_by(chain[issuer])


def test_openssl_loads_the_certificates(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("good", "expired", "misnamed", "hostile", "garbage-issuer", "garbage-ocsp", "garbage-crl"):
        context.load_cert_chain(certificates / f"{name}.pem", certificates / "leaf.key")
