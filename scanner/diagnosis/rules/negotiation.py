"""Rules on what a completed flight negotiated, and on everything that a server accepts (``--enumerate``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from scanner.caching import bounded_memo
from scanner.codec.encode import LONGEST_NEGOTIATION, MAX_NEGOTIATIONS, negotiation_bytes
from scanner.diagnosis.case import Case, accepted_of, followup
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.parts import ChainSetting
from scanner.diagnosis.rules.opening import answer_word
from scanner.diagnosis.rules.refusal import alpn_facts
from scanner.model.evidence import EndpointEvidence, Negotiation
from scanner.tls.offers import BROWSER_SCHEMES, MODERN, NO_ALPN, RSA_KX, SHA1_SCHEMES, SHA224_SCHEMES, TLS12, TLS13
from scanner.tls.registry_names import cipher_name, cipher_suite, scheme_name, version_name
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.extensions import DIGITAL_SIGNATURE

# Below this every current client refuses a finite-field group (logjam; OpenSSL's security level 1).
MIN_DH_BITS: Final = 1024

NO_FORWARD_SECRECY: Final = "no forward secrecy"

_ALL_CLIENTS: Final = ("Chrome", "Firefox", "Go", "Java", "OpenSSL", "GnuTLS")
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
    # OpenSSL signs with SM2 by its own suites alone, and with ML-DSA since version 3.5
    **dict.fromkeys(("ec:SM2", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"), _ALL_CLIENTS),
}
_BROWSERS: Final = frozenset({"Chrome", "Firefox"})
# Schemes that are at the end of our list, since not all clients offer them, by the question that leaves them out.
OLD_SCHEMES: Final = {
    **dict.fromkeys(SHA1_SCHEMES, "no-sha1"),
    **dict.fromkeys(SHA224_SCHEMES, "no-sha224"),
}


@bounded_memo(MAX_NEGOTIATIONS, LONGEST_NEGOTIATION, negotiation_bytes)
def group_claims(negotiation: Negotiation) -> tuple[Claim, ...]:
    """Return what speaks against the group that the server chose."""
    if negotiation.dh_bits is not None and negotiation.dh_bits < MIN_DH_BITS:
        return (Claim("no-shared-group", {"dh_bits": negotiation.dh_bits}),)
    return ()


def key_claims(chain: ChainVerdict, setting: ChainSetting) -> Iterator[Claim]:
    """Yield ``no-shared-signature-scheme`` where mainstream clients do not take the kind of key that the leaf has."""
    refused_by = key_refused_by(chain, browsers=setting.browsers)
    if chain.leaf is None or not refused_by or not setting.answered or setting.has_another_key:
        return
    facts: dict[str, Any] = {"refused_by": list(refused_by), "key": chain.leaf.key}
    if setting.negotiation.signature_scheme is not None:
        facts["scheme"] = scheme_name(setting.negotiation.signature_scheme)
    yield Claim("no-shared-signature-scheme", facts)


def comparison_claims(case: Case) -> Iterator[Claim]:
    """Yield what further connections show of the parameters that the server chose in the first."""
    flight = case.probe.flight
    if flight is None or not case.probe.ok:
        return
    negotiation = flight.negotiation
    answer = followup(case.endpoint, "forward-secret")
    if negotiation.cipher in RSA_KX and answer is not None and not answer.ok:
        # only RSA key transport: Go (1.22) and Python (3.10) do not offer it, browsers still do
        yield Claim(
            "no-shared-cipher",
            {
                "cipher": cipher_name(negotiation.cipher),
                "cipher_code": negotiation.cipher,
                "rsa_cipher": cipher_name(negotiation.cipher),
                "tried": {"forward-secret": answer_word(answer)},
            },
        )
    if negotiation.version == TLS12:
        yield from _old_scheme(case, negotiation)
    if case.probe.offer == NO_ALPN.name:
        answer = followup(case.endpoint, MODERN.name)
        tried = {} if answer is None else {"tried": {MODERN.name: answer_word(answer)}}
        yield Claim("no-shared-alpn", alpn_facts(case.target.protocol) | tried, "note")
    answer = followup(case.endpoint, "no-sni")
    if case.probe.sni is not None and answer is not None and not answer.ok:
        yield Claim("sni-required", {"how": answer_word(answer)})


def _old_scheme(case: Case, negotiation: Negotiation) -> Iterator[Claim]:
    """Yield ``no-shared-signature-scheme`` if the server signs with SHA-1 or SHA-224, and a hello without these is refused, or is
    answered by the same signature."""
    scheme = negotiation.signature_scheme
    if scheme is None or (question := OLD_SCHEMES.get(scheme)) is None:
        return
    answer = followup(case.endpoint, question)
    if answer is None:
        return
    facts: dict[str, Any] = {"scheme": scheme_name(scheme), "tried": {question: answer_word(answer)}}
    signed = None if answer.flight is None else answer.flight.negotiation.signature_scheme
    if answer.ok and signed == scheme:
        facts |= {"signed_with": scheme_name(scheme), "scheme_code": scheme}
    elif answer.ok:
        return
    refusing = ["Chrome", "Go", "OpenSSL"] if scheme in SHA1_SCHEMES else ["Chrome", "Firefox", "Go"]
    yield Claim(
        "no-shared-signature-scheme",
        {**facts, "refused_by": [c for c in refusing if case.browsers or c not in _BROWSERS]},
    )


def key_refused_by(verdict: ChainVerdict | None, *, browsers: bool) -> tuple[str, ...]:
    """Return the mainstream clients that do not take the kind of key which the leaf has, of those that speak the protocol."""
    leaf = verdict.leaf if verdict is not None else None
    if leaf is None:
        return ()
    clients = _REFUSED_BY.get(leaf.key)
    if clients is None:
        # a key of an algorithm that is not known here, shown by its identifier, is known to no client
        clients = _ALL_CLIENTS if "." in leaf.key_type else _REFUSED_BY.get(leaf.key_type, ())
    return tuple([client for client in clients if browsers or client not in _BROWSERS]) if clients else ()


def has_another_key(endpoint: EndpointEvidence) -> bool:
    """Return whether the server, asked with a browser's schemes, shows another certificate: it has one of each kind."""
    answer, flight = followup(endpoint, "browser-schemes"), endpoint.probe.flight
    if answer is None or not answer.ok or answer.flight is None or not answer.flight.certificates or flight is None:
        return False
    return answer.flight.leaf_first[:1] != flight.leaf_first[:1] and (
        answer.flight.negotiation.signature_scheme in (None, *BROWSER_SCHEMES)
    )


def enumeration_claims(case: Case) -> Iterator[Claim]:
    """Yield what ``--enumerate`` found that should be disabled, or is worth knowing."""
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


def flight_claims(negotiation: Negotiation, chain: ChainVerdict | None) -> Iterator[Claim]:
    """Yield what is wrong in itself with a flight that came whole and has certificates."""
    if not negotiation.complete:
        return
    if chain is not None and chain.leaf is not None and 0 < negotiation.leaf_position < len(chain.sent):
        moved = _moved(negotiation.leaf_position, chain)
        if negotiation.version is not None:
            moved["version"] = version_name(negotiation.version)
        yield Claim("chain-misordered", moved, severity="error")
    if negotiation.signature_valid is False:
        mismatch: dict[str, Any] = {}
        if negotiation.signature_scheme is not None:
            mismatch["scheme"] = scheme_name(negotiation.signature_scheme)
        if chain is not None and chain.leaf is not None:
            mismatch.update(certificate=chain.leaf.sha256, subject=chain.leaf.subject, key=chain.leaf.key)
        yield Claim("key-mismatch", mismatch)
    elif negotiation.finished_valid is False:
        yield Claim("malformed-handshake", {"detail": "the server's Finished does not verify"})


def _moved(place: int, chain: ChainVerdict) -> dict[str, Any]:
    """Return which certificate of a chain is the leaf although another is first. ``chain.sent`` has it first."""
    leaf, *others = [certificate and (certificate.subject or "(empty subject)") for certificate in chain.sent]
    first = chain.sent[1]
    order = {certificate.sha256: number for number, certificate in enumerate(chain.path)}
    sorted_path = sorted(
        (one for one in chain.sent if one is not None and one.sha256 in order), key=lambda one: order[one.sha256]
    )
    return {
        "leaf_position": place,
        "leaf_number": place + 1,
        "count": len(chain.sent),
        "misplaced": leaf,
        "in_its_place": others[0] or "a certificate that cannot be read",
        "certificate": None if chain.leaf is None else chain.leaf.sha256,
        "sent": [*others[:place], leaf, *others[place:]],
        "should_be": [one.subject for one in sorted_path],
        "first_signs": first is not None and (first.key_usage is None or bool(first.key_usage & DIGITAL_SIGNATURE)),
    }


@bounded_memo(MAX_NEGOTIATIONS, LONGEST_NEGOTIATION, negotiation_bytes)
def bare_flight_claims(negotiation: Negotiation) -> tuple[Claim, ...]:
    """Return what is wrong with a flight that came whole and has no certificate.

    With an anonymous suite it has none by design (RFC 5246 section 7.4.2): then it is the suite. Up to TLS 1.2 the refusal of our
    own hello already says so.
    """
    if not negotiation.complete:
        return ()
    if negotiation.cipher is None:
        return (Claim("no-certificate", {}),)
    name = cipher_name(negotiation.cipher)
    if cipher_suite(negotiation.cipher).auth != "anon":
        return (Claim("no-certificate", {"cipher": name}),)
    if negotiation.version is None or negotiation.version >= TLS12:
        return ()
    facts = {"cipher": name, "cipher_code": negotiation.cipher, "anonymous_cipher": name}
    return (Claim("no-shared-cipher", {**facts, "version": version_name(negotiation.version)}),)
