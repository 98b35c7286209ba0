"""Certificates with rare algorithms and in odd forms: in the leaf, in the CA that issued it, and in a trusted root.

``odd_answers`` has what clients say of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from scanner.demo.pki import Credential
from tests.clients.variants import NOW
from tests.helpers import pki
from tests.helpers.pki import DAY, Issued, bit_string, integer, name, octets, oid, sequence, tlv

DOMAIN: Final = "odd.test"
NULL: Final = tlv(0x05)
_ALWAYS: Final = {"not_before": NOW - 500 * DAY, "not_after": NOW + 1500 * DAY}


@dataclass(frozen=True)
class OddChain:
    """A chain, leaf first, below ``root``; ``host`` is its name."""

    id: str
    chain: tuple[Issued, ...]
    root: Issued

    @property
    def host(self) -> str:
        """The name that the leaf is for."""
        return host_of(self.id)

    @property
    def credential(self) -> Credential:
        """What a scripted server sends and signs with."""
        private: Any = self.chain[0].private
        return Credential(tuple(item.der for item in self.chain), private)


def host_of(identity: str) -> str:
    """Return the server name of a chain."""
    return f"{identity}.{DOMAIN}"


@cache
def _root() -> Issued:
    return pki.root("Odd Root", **_ALWAYS)


@cache
def _ca() -> Issued:
    return pki.authority("Usual CA", _root(), **_ALWAYS)


def _leaf(identity: str, issuer: Issued, **changes: Any) -> Issued:
    given = {"not_before": NOW - 10 * DAY, "not_after": NOW + 80 * DAY, "san": [host_of(identity)], **changes}
    if "san" in given.get("without", ()):
        del given["san"]
    return pki.certificate(given.pop("subject", host_of(identity)), issuer=issuer, **given)


def _in_leaf(label: str, **changes: Any) -> OddChain:
    identity = f"leaf-{label}"
    return OddChain(identity, (_leaf(identity, _ca(), **changes), _ca()), _root())


def _in_issuer(
    label: str, issuer: dict[str, Any], leaf: dict[str, Any] | None = None, of_root: dict[str, Any] | None = None
) -> Iterator[OddChain]:
    """Yield a chain with an odd CA, and one with an odd root; ``leaf`` are changes of what they issue."""
    changes = {**_ALWAYS, **issuer}
    subject = changes.pop("subject", None)
    authority = pki.authority(subject or f"CA {label}", _root(), **changes)
    yield OddChain(f"ca-{label}", (_leaf(f"ca-{label}", authority, **(leaf or {})), authority), _root())
    # with another key, since one authority of the same name and key would close the path of the other
    if "private" not in changes:
        changes["private"] = pki.key(f"root {label}")
    root = pki.root(subject or f"Root {label}", **changes, **(of_root or {}))
    yield OddChain(f"root-{label}", (_leaf(f"root-{label}", root, **(leaf or {})),), root)


def _everywhere(label: str, **changes: Any) -> Iterator[OddChain]:
    yield _in_leaf(label, **changes)
    yield from _in_issuer(label, {key: value for key, value in changes.items() if key != "san"})


# --- algorithms ------------------------------------------------------------------------------------

_HASHES: Final[dict[str, Any]] = {
    "sha1": (hashes.SHA1, "1.3.14.3.2.26"),
    "sha224": (hashes.SHA224, "2.16.840.1.101.3.4.2.4"),
    "sha256": (hashes.SHA256, "2.16.840.1.101.3.4.2.1"),
    "sha384": (hashes.SHA384, "2.16.840.1.101.3.4.2.2"),
    "sha512-256": (hashes.SHA512_256, "2.16.840.1.101.3.4.2.6"),
    "sha3-256": (hashes.SHA3_256, ""),
    "sha3-512": (hashes.SHA3_512, ""),
}
_PSS: Final = "1.2.840.113549.1.1.10"


def _algorithm(dotted: str, *parameters: bytes) -> bytes:
    return sequence(oid(dotted), *parameters)


def _rsa_key() -> rsa.RSAPrivateKey:
    private = pki.key("odd rsa", "rsa:2048")
    assert isinstance(private, rsa.RSAPrivateKey)
    return private


def _ec_key() -> ec.EllipticCurvePrivateKey:
    private = pki.key("odd ec", "ec:P-256")
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private


def _pss_parameters(
    hash: str = "sha256",
    mask: str | None = None,
    salt: int | None = None,
    null: bytes = NULL,
    trailer: int | None = None,
) -> bytes:
    mask = mask or hash
    size = _HASHES[hash][0]().digest_size if salt is None else salt
    fields = [
        tlv(0xA0, _algorithm(_HASHES[hash][1], null)),
        tlv(0xA1, _algorithm("1.2.840.113549.1.1.8", _algorithm(_HASHES[mask][1], null))),
        tlv(0xA2, integer(size)),
        b"" if trailer is None else tlv(0xA3, integer(trailer)),
    ]
    return sequence(*fields)


def _pss_leaf(hash: str = "sha256", mask: str | None = None, salt: int | None = None, **form: Any) -> dict[str, Any]:
    """Return the changes of a certificate that an RSA key signs so."""
    digest, masking = _HASHES[hash][0], _HASHES[mask or hash][0]
    size = digest().digest_size if salt is None else salt
    scheme = padding.PSS(padding.MGF1(masking()), size)
    return {
        "scheme": _algorithm(_PSS, _pss_parameters(hash, mask, salt, **form)),
        "signer": lambda data: _rsa_key().sign(data, scheme, digest()),
    }


def _pss_issuer(parameters: bytes) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    key = sequence(_algorithm(_PSS, parameters), bit_string(pki.key_bits(_rsa_key())))
    return {"private": _rsa_key(), "public_key": key}, _pss_leaf(), _pss_leaf()


def _rsa_leaf(dotted: str, hash: str) -> dict[str, Any]:
    digest = _HASHES[hash][0]
    return {
        "scheme": _algorithm(dotted, NULL),
        "signer": lambda data: _rsa_key().sign(data, padding.PKCS1v15(), digest()),
    }


def _ec_leaf(dotted: str, hash: str, *parameters: bytes) -> dict[str, Any]:
    digest = _HASHES[hash][0]
    return {
        "scheme": _algorithm(dotted, *parameters),
        "signer": lambda data: _ec_key().sign(data, ec.ECDSA(digest(), deterministic_signing=True)),
    }


def signatures() -> Iterator[OddChain]:
    """Yield what CAs may sign with."""
    for size in (44, 65, 87):
        yield from _in_issuer(f"ml-dsa-{size}", {"private": pki.key("odd", f"mldsa:{size}")})
    ml_dsa = pki.key("odd", "mldsa:65")
    with_null = _algorithm("2.16.840.1.101.3.4.3.18", NULL)
    yield from _in_issuer("ml-dsa-with-null", {"private": ml_dsa}, {"scheme": with_null, "signer": ml_dsa.sign})
    yield from _in_issuer("ml-dsa-broken", {"private": ml_dsa}, {"signer": lambda _: bytes(3309)})
    for kind in ("ed25519", "ed448"):
        yield from _in_issuer(kind, {"private": pki.key("odd", kind)})
    edwards: Any = pki.key("odd", "ed25519")
    with_null = _algorithm("1.3.101.112", NULL)
    yield from _in_issuer("ed25519-with-null", {"private": edwards}, {"scheme": with_null, "signer": edwards.sign})

    signing: dict[str, Any] = {"private": _rsa_key()}
    yield from _in_issuer("pss", signing, _pss_leaf())
    yield from _in_issuer("pss-salt-20", signing, _pss_leaf(salt=20))
    yield from _in_issuer("pss-salt-0", signing, _pss_leaf(salt=0))
    yield from _in_issuer("pss-mask-sha1", signing, _pss_leaf(mask="sha1"))
    yield from _in_issuer("pss-mask-sha384", signing, _pss_leaf(mask="sha384"))
    yield from _in_issuer("pss-sha224", signing, _pss_leaf("sha224"))
    yield from _in_issuer("pss-sha512-256", signing, _pss_leaf("sha512-256"))
    yield from _in_issuer("pss-without-null", signing, _pss_leaf(null=b""))
    yield from _in_issuer("pss-trailer-1", signing, _pss_leaf(trailer=1))
    yield from _in_issuer("pss-trailer-2", signing, _pss_leaf(trailer=2))
    yield from _in_issuer("rsa-sha224", signing, _rsa_leaf("1.2.840.113549.1.1.14", "sha224"))
    yield from _in_issuer("rsa-sha512-256", signing, _rsa_leaf("1.2.840.113549.1.1.16", "sha512-256"))
    yield from _in_issuer("rsa-sha3-256", signing, _rsa_leaf("2.16.840.1.101.3.4.3.14", "sha3-256"))
    yield from _in_issuer("rsa-sha3-512", signing, _rsa_leaf("2.16.840.1.101.3.4.3.16", "sha3-512"))
    without_null = {**_rsa_leaf("1.2.840.113549.1.1.11", "sha256"), "scheme": _algorithm("1.2.840.113549.1.1.11")}
    yield from _in_issuer("rsa-signature-without-null", signing, without_null)
    yield from _in_issuer("rsa-broken", signing, {"break_signature": True})

    signing = {"private": _ec_key()}
    yield from _in_issuer("ec-sha224", signing, _ec_leaf("1.2.840.10045.4.3.1", "sha224"))
    yield from _in_issuer("ec-sha3-256", signing, _ec_leaf("2.16.840.1.101.3.4.3.10", "sha3-256"))
    yield from _in_issuer("ec-sha3-512", signing, _ec_leaf("2.16.840.1.101.3.4.3.12", "sha3-512"))
    yield from _in_issuer("ec-with-null", signing, _ec_leaf("1.2.840.10045.4.3.2", "sha256", NULL))
    unknown = {"signer": lambda _: b"s" * 64}
    yield from _in_issuer("signature-unknown", signing, {"scheme": _algorithm("1.2.3.4.5.7"), **unknown})
    yield from _in_issuer("signature-gost", signing, {"scheme": _algorithm("1.2.643.7.1.1.3.2"), **unknown})
    yield from _in_issuer("ec-broken", signing, {"break_signature": True})


def keys() -> Iterator[OddChain]:
    """Yield keys of CAs, and what leaves may have of them."""
    restricted = _pss_parameters()
    yield from _in_issuer("pss-key", *_pss_issuer(b""))
    yield from _in_issuer("pss-key-restricted", *_pss_issuer(restricted))
    yield from _in_issuer("pss-key-for-sha384", *_pss_issuer(_pss_parameters("sha384")))
    pkcs1 = _rsa_leaf("1.2.840.113549.1.1.11", "sha256")
    yield from _in_issuer("pss-key-signs-pkcs1", _pss_issuer(b"")[0], pkcs1)
    without_null = sequence(_algorithm("1.2.840.113549.1.1.1"), bit_string(pki.key_bits(_rsa_key())))
    yield from _in_issuer("rsa-key-without-null", {"private": _rsa_key(), "public_key": without_null})
    yield _in_leaf("rsa-key-without-null", private=_rsa_key(), public_key=without_null)

    for curve in ("P-224", "P-521", "secp256k1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"):
        yield from _in_issuer(f"key-{curve.lower()}", {"private": pki.key("odd", f"ec:{curve}")})
    numbers = _ec_key().public_key().public_numbers()
    x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
    named = _algorithm("1.2.840.10045.2.1", oid("1.2.840.10045.3.1.7"))
    forms = {
        "compressed": sequence(named, bit_string(bytes((2 + (numbers.y & 1),)) + x)),
        "hybrid": sequence(named, bit_string(bytes((6 + (numbers.y & 1),)) + x + y)),
        "explicit": sequence(_algorithm("1.2.840.10045.2.1", _p256()), bit_string(b"\x04" + x + y)),
        "on-no-curve": sequence(_algorithm("1.2.840.10045.2.1", oid("1.2.3.4.5")), bit_string(b"\x04" + x + y)),
    }
    for form, key in forms.items():
        yield from _in_issuer(f"key-{form}", {"private": _ec_key(), "public_key": key})
    for form in ("compressed", "explicit"):
        yield _in_leaf(f"key-{form}", private=_ec_key(), public_key=forms[form])
    yield from _in_issuer("key-dsa-2048", {"private": pki.key("odd", "dsa:2048")})
    unknown = sequence(_algorithm("1.2.3.4.5.6"), bit_string(b"k" * 40))
    yield from _in_issuer("key-unknown", {"private": _ec_key(), "public_key": unknown})


def _p256() -> bytes:
    """Return P-256 as explicit parameters (SEC 1 appendix C.2)."""
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    base = ec.derive_private_key(1, ec.SECP256R1()).public_key().public_numbers()
    point = b"\x04" + base.x.to_bytes(32, "big") + base.y.to_bytes(32, "big")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    curve = sequence(octets((p - 3).to_bytes(32, "big")), octets(b.to_bytes(32, "big")))
    return sequence(
        integer(1), sequence(oid("1.2.840.10045.1.1"), integer(p)), curve, octets(point), integer(order), integer(1)
    )


# --- forms -----------------------------------------------------------------------------------------


def _value(kind: str, value: bytes) -> bytes:
    return sequence(oid(pki.ATTRIBUTES[kind]), value)


def names() -> Iterator[OddChain]:
    """Yield forms of distinguished names."""
    for label, text in {
        "star": b"a*b",
        "ampersand": b"A & B",
        "at": b"a@b",
        "underscore": b"a_b",
        "umlaut": b"\xfc",
    }.items():
        yield from _everywhere(f"printable-{label}", subject=name(O=tlv(0x13, text), CN=label))
    parts = sorted([_value("CN", tlv(0x0C, b"multi")), _value("O", tlv(0x0C, b"org"))], reverse=True)
    yield from _everywhere("rdn-misordered", subject=sequence(tlv(0x31, *parts)))
    yield from _everywhere("rdn-empty", subject=sequence(tlv(0x31), tlv(0x31, _value("CN", tlv(0x0C, b"x")))))
    yield _in_leaf("rdn-two-values", subject=sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0C, b"x"), tlv(0x0C)))))
    for label, value in {
        "bmp-odd": tlv(0x1E, b"abc"),
        "utf8-invalid": tlv(0x0C, b"\xff\xfe"),
        "universal": tlv(0x1C, "AB".encode("utf-32-be")),
        "t61-umlaut": tlv(0x14, b"B\xfc"),
        "ia5-umlaut": tlv(0x16, b"B\xfc"),
        "numeric-letters": tlv(0x12, b"a1"),
        "visible": tlv(0x1A, b"a1"),
        "bits": tlv(0x03, b"\x00abc"),
        "empty": tlv(0x0C),
    }.items():
        yield from _everywhere(f"name-{label}", subject=name(O=value, CN="x"))


def bodies() -> Iterator[OddChain]:
    """Yield versions, serial numbers, times, and what is around the signed part."""
    bare = {"without": ("extensions",)}
    yield from _everywhere("version-1-with-extensions", version=None)
    yield from _everywhere("version-2-with-extensions", version=1)
    yield from _everywhere("version-4", version=3)
    yield from _in_issuer("version-1-explicit", {"version": 0, **bare})
    yield from _in_issuer("version-2", {"version": 1, **bare})
    for label, serial in {"negative": -5, "zero": 0, "long": 1 << 318, "padded": tlv(0x02, b"\x00\x05")}.items():
        yield from _everywhere(f"serial-{label}", serial=serial)
    end = pki.time(NOW + 900 * DAY)
    for label, begin in {
        "without-seconds": tlv(0x17, b"2501010000Z"),
        "with-offset": tlv(0x17, b"250101000000+0000"),
        "in-another-zone": tlv(0x17, b"250101000000+0130"),
        "with-fraction": tlv(0x18, b"20250101000000.5Z"),
        "generalized": tlv(0x18, b"20250101000000Z"),
        "before-1970": tlv(0x17, b"500101000000Z"),
    }.items():
        yield from _everywhere(f"time-{label}", validity=sequence(begin, end))
    yield from _everywhere("algorithm-null-inside", inner_algorithm=_algorithm("1.2.840.10045.4.3.2", NULL))
    yield from _everywhere("algorithm-other-inside", inner_algorithm=_algorithm("1.2.840.10045.4.3.3"))
    yield from _everywhere("trailing-bytes", trailing=b"\0\0")
    unique = pki.spki(_ec_key()) + tlv(0x81, b"\x00\x01\x02")
    yield _in_leaf("unique-identifier", private=_ec_key(), public_key=unique)


def extensions() -> Iterator[OddChain]:
    """Yield forms of extensions that are in all kinds of certificates."""
    false = sequence(oid("1.2.3.4"), tlv(0x01, b"\x00"), octets(NULL))
    yield from _everywhere("critical-false", extra=[false])
    yield from _in_issuer(
        "ca-true-as-1",
        {"without": ("bc",), "extra": [pki.extension("2.5.29.19", sequence(tlv(0x01, b"\x01")), critical=True)]},
    )
    more = pki.extension("2.5.29.19", sequence(pki.boolean(True), integer(9), NULL), critical=True)
    yield from _in_issuer("constraints-with-more", {"without": ("bc",), "extra": [more]})
    yield from _everywhere("extension-twice", extra=[pki.extension("1.2.3.4", NULL)] * 2)
    yield from _everywhere("key-identifier-twice", extra=[pki.extension("2.5.29.14", octets(b"12345"))])
    yield _in_leaf("access-twice", extra=[pki.authority_info_access(ocsp=["http://x.test/"])] * 2)
    yield from _everywhere("identifier-of-a-uuid", extra=[pki.extension("2.25." + str(1 << 120), NULL)])
    relative = tlv(0xA1, _value("CN", tlv(0x0C, b"crl")))
    yield from _everywhere("crl-point-relative", extra=[_points(tlv(0xA0, relative))])
    of_issuer = _points(tlv(0xA0, relative), tlv(0xA2, tlv(0xA4, name(CN="Odd Root"))))
    yield from _everywhere("crl-point-relative-to-issuer", extra=[of_issuer])
    yield from _everywhere("crl-point-empty", extra=[_points()])
    yield from _everywhere("crl-point-of-a-directory", extra=[_points(tlv(0xA0, tlv(0xA0, tlv(0xA4, name(CN="x")))))])
    for label, dotted in {
        "crl-points": "2.5.29.31",
        "access": "1.3.6.1.5.5.7.1.1",
        "key-identifier": "2.5.29.14",
        "authority-key": "2.5.29.35",
        "usage": "2.5.29.15",
        "purposes": "2.5.29.37",
        "names": "2.5.29.17",
        "constraints": "2.5.29.30",
        "basic-constraints": "2.5.29.19",
    }.items():
        yield from _everywhere(
            f"{label}-unreadable",
            without=[part for part, own in _PARTS.items() if own == dotted],
            extra=[pki.extension(dotted, integer(5))],
        )
    for label, dotted in {"usage": "2.5.29.15", "constraints": "2.5.29.30"}.items():
        broken = pki.extension(dotted, integer(5), critical=True)
        yield from _everywhere(
            f"critical-{label}-unreadable", without=("ku",) if label == "usage" else (), extra=[broken]
        )
    yield from _everywhere("access-empty", extra=[pki.extension("1.3.6.1.5.5.7.1.1", sequence())])
    access = sequence(sequence(oid("1.3.6.1.5.5.7.48.1"), tlv(0x86, b"http://x.test/")))
    yield from _everywhere("access-and-more", extra=[pki.extension("1.3.6.1.5.5.7.1.1", access + b"\0")])
    yield _in_leaf("timestamps-unreadable", extra=[pki.extension("1.3.6.1.4.1.11129.2.4.2", b"xyz")])


_PARTS: Final = {
    "san": "2.5.29.17", "bc": "2.5.29.19", "ku": "2.5.29.15", "eku": "2.5.29.37", "ski": "2.5.29.14", "aki": "2.5.29.35",
}  # fmt: skip


def _points(*fields: bytes) -> bytes:
    return pki.extension("2.5.29.31", sequence(sequence(*fields)))


def of_leaves() -> Iterator[OddChain]:
    """Yield forms of the extensions that matter in leaves."""
    yield _in_leaf(
        "ca-false-written",
        without=("bc",),
        extra=[pki.extension("2.5.29.19", sequence(pki.boolean(False)), critical=True)],
    )
    unused = pki.extension("2.5.29.15", tlv(0x03, b"\x05\xbf"), critical=True)
    yield _in_leaf("usage-unused-bits", without=("ku",), extra=[unused])
    yield _in_leaf("usage-and-more", without=("ku",), extra=[_usage_and_more()])
    not_critical = pki.extension("2.5.29.15", bit_string(b"\x80", 7) + b"\0")
    yield _in_leaf("usage-and-more-not-critical", without=("ku",), extra=[not_critical])
    purposes = pki.extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.1")) + b"\0")
    yield _in_leaf("purposes-and-more", without=("eku",), extra=[purposes])
    yield _in_leaf("names-empty", without=("san",), extra=[pki.extension("2.5.29.17", sequence())])
    for label, entry in {
        "address-of-five-bytes": tlv(0x87, b"12345"),
        "mailbox-umlaut": tlv(0x81, b"\xfc@x.test"),
        "uri-umlaut": tlv(0x86, b"http://\xfc.test/"),
        "registered": tlv(0x88, b"\x2a\x03"),
        "registered-broken": tlv(0x88, b"\x80"),
        "other": tlv(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xA0, tlv(0x0C, b"x"))),
        "other-broken": tlv(0xA0, b""),
        "directory": tlv(0xA4, name(CN="x")),
        "directory-broken": tlv(0xA4, tlv(0x04, b"x")),
        "edi": tlv(0xA5, tlv(0xA1, tlv(0x0C, b"x"))),
        "edi-broken": tlv(0xA5, tlv(0x81, b"x")),
        "dns-constructed": tlv(0xA2, b"x.test"),
        "no-general-name": tlv(0x89, b"x"),
    }.items():
        identity = f"name-of-{label}"
        yield _in_leaf(identity, san=[host_of(f"leaf-{identity}"), entry])


def _usage_and_more() -> bytes:
    return pki.extension("2.5.29.15", bit_string(b"\x80", 7) + b"\0", critical=True)


@cache
def odd_chains() -> dict[str, OddChain]:
    """Return all chains by their ids."""
    makers = (signatures, keys, names, bodies, extensions, of_leaves)
    return {chain.id: chain for maker in makers for chain in maker()}
