"""Rules on what a completed flight negotiated, and on everything that a server accepts (``--enumerate``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from scanner.diagnosis.case import Case, Claim, accepted_of, flight_of, followup
from scanner.diagnosis.rules.refusal import answer_word
from scanner.model.evidence import ServerFlight
from scanner.tls.offers import BROWSER_SCHEMES, RSA_KX, SHA1_SCHEMES, TLS12, TLS13
from scanner.tls.registry_names import cipher_name, cipher_suite, scheme_name, version_name

# Below this every current client refuses a finite-field group (logjam; OpenSSL's security level 1).
MIN_DH_BITS: Final = 1024

NO_FORWARD_SECRECY: Final = "no forward secrecy"

# Key kinds of a leaf that some mainstream clients do not take, and which: Chromium's list of schemes has none of them,
# Firefox has ECDSA P-521, Go has P-521 and Ed25519; neither reads RSASSA-PSS keys.
_REFUSED_BY: Final = {
    "ec:P-256": (),
    "ec:P-384": (),
    "ec:P-521": ("Chrome",),
    "ec": ("Chrome", "Firefox", "Go"),
    "ed25519": ("Chrome", "Firefox"),
    "ed448": ("Chrome", "Firefox", "Go"),
    "rsa-pss": ("Chrome", "Firefox", "Go"),
    "dsa": ("Chrome", "Firefox", "Go", "OpenSSL"),
}
_BROWSERS: Final = frozenset({"Chrome", "Firefox"})


def negotiation_claims(case: Case) -> Iterator[Claim]:
    """What speaks against the parameters that the server chose when it answered the first hello."""
    flight = case.endpoint.probe.flight
    if flight is None or not case.endpoint.probe.ok:
        return
    yield from _no_forward_secrecy(case, flight)
    yield from _group(flight)
    yield from _schemes(case, flight)
    no_sni = followup(case.endpoint, "no-sni")
    if case.probe.sni is not None and no_sni is not None and not no_sni.ok:
        yield Claim("sni-required", {"how": answer_word(no_sni)})


def _no_forward_secrecy(case: Case, flight: ServerFlight) -> Iterator[Claim]:
    """Only RSA key transport: Go (1.22) and Python (3.10) do not offer it, browsers still do."""
    answer = followup(case.endpoint, "forward-secret")
    if flight.negotiation.cipher in RSA_KX and answer is not None and not answer.ok:
        yield Claim(
            "no-shared-cipher",
            {
                "cipher": cipher_name(flight.negotiation.cipher),
                "cipher_code": flight.negotiation.cipher,
                "rsa_cipher": cipher_name(flight.negotiation.cipher),
                "tried": {"forward-secret": answer_word(answer)},
            },
        )


def _group(flight: ServerFlight) -> Iterator[Claim]:
    if flight.negotiation.dh_bits is not None and flight.negotiation.dh_bits < MIN_DH_BITS:
        yield Claim("no-shared-group", {"dh_bits": flight.negotiation.dh_bits})


def _schemes(case: Case, flight: ServerFlight) -> Iterator[Claim]:
    refused_by = key_refused_by(case)
    if refused_by and not _another_key(case, flight):
        leaf = case.verdict.leaf if case.verdict is not None else None
        facts: dict[str, Any] = {"refused_by": list(refused_by)}
        if leaf is not None:
            facts["key"] = leaf.key
        if flight.negotiation.signature_scheme is not None:
            facts["scheme"] = scheme_name(flight.negotiation.signature_scheme)
        yield Claim("no-shared-signature-scheme", facts)
    if flight.negotiation.version == TLS12 and flight.negotiation.signature_scheme in SHA1_SCHEMES:
        answer = followup(case.endpoint, "no-sha1")
        if answer is not None and not answer.ok:
            yield Claim(
                "no-shared-signature-scheme",
                {
                    "scheme": scheme_name(flight.negotiation.signature_scheme),
                    "refused_by": ["Chrome", "Go", "OpenSSL"],
                    "tried": {"no-sha1": answer_word(answer)},
                },
            )


def key_refused_by(case: Case) -> tuple[str, ...]:
    """The mainstream clients that speak this protocol and do not take the kind of key which the leaf has."""
    leaf = case.verdict.leaf if case.verdict is not None else None
    if leaf is None:
        return ()
    clients = _REFUSED_BY.get(leaf.key)
    if clients is None:
        clients = _REFUSED_BY.get(leaf.key.partition(":")[0], ())
    return tuple(client for client in clients if case.browsers or client not in _BROWSERS)


def _another_key(case: Case, flight: ServerFlight) -> bool:
    """Asked with a browser's schemes, the server shows another certificate: it has one of each kind."""
    answer = followup(case.endpoint, "browser-schemes")
    if answer is None or not answer.ok or answer.flight is None or not answer.flight.certificates:
        return False
    return answer.flight.certificates[0] != flight.certificates[0] and answer.flight.negotiation.signature_scheme in (
        None,
        *BROWSER_SCHEMES,
    )


def enumeration_claims(case: Case) -> Iterator[Claim]:
    """What ``--enumerate`` found that should not be on, or is worth knowing."""
    accepted = accepted_of(case.endpoint)
    if not accepted:
        return
    versions = sorted((version for version, suites in accepted.items() if suites), reverse=True)
    legacy = [version for version in versions if version < TLS12]
    if legacy and len(legacy) < len(versions):
        yield Claim("legacy-version-enabled", {"versions": [version_name(version) for version in legacy]})
    if versions == [TLS13]:
        yield Claim("modern-version-only", {"versions": [version_name(TLS13)]})
    weak: dict[str, list[str]] = {}
    for version in versions:
        for code in accepted[version]:
            suite = cipher_suite(code)
            word = suite.weak or (None if suite.forward_secret else NO_FORWARD_SECRECY)
            if word is not None and suite.name not in weak.setdefault(word, []):
                weak[word].append(suite.name)
    if weak:
        # What is broken outright comes before what only lacks forward secrecy.
        kinds = sorted(weak, key=lambda word: (word == NO_FORWARD_SECRECY, word))
        ciphers = list(dict.fromkeys(name for word in kinds for name in weak[word]))
        yield Claim(
            "weak-cipher-enabled",
            {"kinds": kinds, "ciphers": ciphers, "weaknesses": {word: weak[word] for word in kinds}},
        )


def server_claims(case: Case) -> Iterator[Claim]:
    """A flight that came whole and is wrong in itself."""
    flight = flight_of(case.endpoint)
    if flight is None or not flight.negotiation.complete:
        return
    if not flight.certificates:
        facts = {} if flight.negotiation.cipher is None else {"cipher": cipher_name(flight.negotiation.cipher)}
        yield Claim("no-certificate", facts)
        return
    if flight.negotiation.signature_valid is False:
        mismatch: dict[str, Any] = {}
        if flight.negotiation.signature_scheme is not None:
            mismatch["scheme"] = scheme_name(flight.negotiation.signature_scheme)
        leaf = case.verdict.leaf if case.verdict is not None else None
        if leaf is not None:
            mismatch.update(certificate=leaf.sha256, subject=leaf.subject, key=leaf.key)
        yield Claim("key-mismatch", mismatch)
    elif flight.negotiation.finished_valid is False:
        yield Claim("malformed-handshake", {"detail": "the server's Finished does not verify"})
