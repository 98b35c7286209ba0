"""Our verdicts on the servers of ``variants_paths`` are those of the clients in the table, without a client or a network."""

from __future__ import annotations

from functools import cache

import pytest

from scanner.diagnosis.case import Context
from scanner.diagnosis.clients.endings import CLIENTS, OK
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.engine import diagnose
from tests.clients.answers import REFUSED_BY
from tests.clients.catalogue import all_variants, path_variants
from tests.clients.known import DIFFERENT
from tests.clients.variants import NOW, Variant, chain_at
from tests.helpers.evidence import answered, evidence, target, verdicts, verifier

# Within the network that some variants permit
ADDRESS = "127.0.0.1"
MAINSTREAM = frozenset({"openssl", "curl", "go", "java", "chrome", "firefox"})


@cache
def variants() -> dict[str, Variant]:
    return {variant.id: variant for variant in path_variants()}


def refused_by(variant: Variant) -> tuple[set[str], set[str], str]:
    """Return the clients that a finding says refuse this server, those it says nothing of, and its outcome."""
    host = variant.host or ADDRESS
    seen = evidence(answered(chain_at(variant, ADDRESS), sni=variant.host or None), of=target(host))
    found = diagnose(seen, verdicts(seen, verifier(*variant.anchors), NOW), Context(at=NOW))
    said = predict(seen.target, found.diagnoses)
    silent = set(CLIENTS) - said.keys() if said else set()
    return {client for client, text in said.items() if text != OK}, silent, found.outcome


def test_the_table_is_of_all_servers() -> None:
    assert REFUSED_BY.keys() == variants().keys()
    assert {client for clients in REFUSED_BY.values() for client in clients.split()} == set(CLIENTS)


@pytest.mark.parametrize("identity", REFUSED_BY)
def test_findings_name_the_clients_that_refuse(identity: str) -> None:
    found, silent, outcome = refused_by(variants()[identity])
    # of some signatures it is not known which of two errors curl reports
    assert silent <= {"curl"}
    excused = silent | {client for client in CLIENTS if (identity, client) in DIFFERENT}
    refusing = set(REFUSED_BY[identity].split())
    assert found - excused == refusing - excused
    if not refusing & excused:
        assert (outcome == "fail") is bool(refusing & MAINSTREAM)


def test_ids_of_servers_are_unique() -> None:
    ids = [variant.id for variant in all_variants()]
    assert len(ids) == len(set(ids))
