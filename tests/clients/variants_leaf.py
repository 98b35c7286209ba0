"""Variants of leaves: keys, names, extensions, serial numbers and dates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from tests.clients.variants import (
    CA,
    DOMAIN,
    NOW,
    ROOT,
    WEAK,
    Variant,
    at_address,
    foreign_key,
    host_of,
    leaf,
    odd_leaf,
    policy,
)
from tests.helpers import pki
from tests.helpers.pki import DAY, name, oid, sequence, tlv


def keys() -> Iterator[Variant]:
    """Return variants of the key."""
    for kind in ("ec:P-384", "ec:P-521", "ed25519", "ed448", "rsa:2048"):
        yield odd_leaf(
            "key-" + kind.replace(":", "-").lower(),
            private=pki.key(kind, kind),
            usages=("digitalSignature", "keyEncipherment"),
        )
    yield odd_leaf("key-rsa-1024", private=pki.key("1024", "rsa:1024"), serve={"ciphers": WEAK})
    yield odd_leaf("key-rsa-1536", private=pki.key("1536", "rsa:1536"), serve={"ciphers": WEAK})
    yield odd_leaf(
        "key-p224", private=pki.key("224", "ec:P-224"), serve={"ciphers": WEAK, "maximum": ssl.TLSVersion.TLSv1_2}
    )
    yield foreign_key("key-rsa-pss", "-algorithm", "RSA-PSS")
    for bits in (3072, 4096):
        yield foreign_key(f"key-rsa-{bits}", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}")
    yield foreign_key("key-rsa-e3", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_pubexp:3")
    yield foreign_key("key-rsa-2056", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2056")
    yield foreign_key("key-rsa-2047", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2047", ciphers=WEAK)
    yield foreign_key("key-brainpool", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1")
    yield foreign_key("key-secp256k1", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1")
    yield foreign_key(
        "key-explicit", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"
    )


def names() -> Iterator[Variant]:
    """Return variants of the names."""
    yield at_address("address", lambda address: leaf("address", subject=address, san=[f"IP:{address}"]))
    yield odd_leaf("underscore_in_name", san=["underscore_in_name." + DOMAIN])
    yield odd_leaf("uppercase", san=["UPPERCASE.Variants.TEST"])
    yield odd_leaf("trailing-dot-san", san=[host_of("trailing-dot-san") + "."])
    yield odd_leaf("wildcard-partial", san=["wildcard-p*." + DOMAIN])
    yield odd_leaf("wildcard-label", san=["*." + DOMAIN])
    yield odd_leaf("wildcard-tld", host="wildcard.com", san=["*.com"])
    yield odd_leaf("wildcard-suffix", host="wildcard.co.uk", san=["*.co.uk"])
    yield odd_leaf("wildcard-private-suffix", host="wildcard.github.io", san=["*.github.io"])
    yield odd_leaf("wildcard-test", host="wildcard-unknown-suffix", san=["*"])
    yield odd_leaf("single-label", host="intranet", san=["intranet"])
    yield odd_leaf("many-names", san=[*(f"host-{number}.{DOMAIN}" for number in range(1000)), host_of("many-names")])
    yield odd_leaf(
        "very-many-names", san=[*(f"host-{number}.{DOMAIN}" for number in range(5000)), host_of("very-many-names")]
    )
    yield odd_leaf("duplicate-names", san=[host_of("duplicate-names")] * 3)
    yield odd_leaf("non-ascii-san", san=[host_of("non-ascii-san"), tlv(0x82, "bücher.example".encode())])
    yield odd_leaf("odd-san", san=[host_of("odd-san"), "not a host name", "", "-dash.example"])
    yield odd_leaf("empty-san-entry", san=[host_of("empty-san-entry"), ""])
    yield odd_leaf("bad-ip-san", san=[host_of("bad-ip-san"), tlv(0x87, b"\x7f\0\0\1\0")])
    yield odd_leaf("other-names-in-san", san=[host_of("other-names-in-san"), "email:a@b.example", "URI:https://x.example/",
             tlv(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xA0, tlv(0x0C, b"a@b"))), tlv(0xA4, name(CN="x"))])  # fmt: skip
    yield odd_leaf("bad-uri-in-san", san=[host_of("bad-uri-in-san"), "URI:http://[::1/%zz"])
    yield odd_leaf("empty-subject", subject=name(), san=[host_of("empty-subject")])
    yield odd_leaf(
        "empty-subject-critical-san",
        subject=name(),
        without=("san",),
        extra=[pki.subject_alt_name([host_of("empty-subject-critical-san")], critical=True)],
    )
    yield odd_leaf("cn-only", without=("san",))
    yield odd_leaf("cn-only-wildcard", subject="*." + DOMAIN, without=("san",))
    yield odd_leaf("san-of-other-kinds", subject=host_of("san-of-other-kinds"), san=["email:a@b.example"])
    yield odd_leaf("wrong-san-right-cn", san=["other.example"])
    yield at_address("address-as-dns-name", lambda address: leaf("address", subject=address, san=[address]))


def extensions() -> Iterator[Variant]:
    """Return variants of the extensions."""
    yield odd_leaf("critical-unknown", extra=[pki.extension("1.2.3.4.5", b"\x05\0", critical=True)])
    yield odd_leaf("unknown", extra=[pki.extension("1.2.3.4.5", b"\x05\0")])
    yield odd_leaf("critical-eku", without=("eku",), extra=[pki.extended_key_usage(["serverAuth"], critical=True)])
    yield odd_leaf(
        "critical-ski", without=("ski",), extra=[pki.extension("2.5.29.14", pki.octets(b"1" * 20), critical=True)]
    )
    yield odd_leaf(
        "critical-aki",
        without=("aki",),
        extra=[pki.extension("2.5.29.35", sequence(tlv(0x80, pki.key_id(CA.private))), critical=True)],
    )
    yield odd_leaf(
        "critical-aia",
        extra=[
            pki.extension(
                "1.3.6.1.5.5.7.1.1",
                sequence(sequence(oid("1.3.6.1.5.5.7.48.2"), tlv(0x86, b"http://127.0.0.1:9/x"))),
                critical=True,
            )
        ],
    )
    yield odd_leaf("critical-policies", extra=[policy("2.5.29.32", sequence(sequence(oid("2.23.140.1.2.1"))))])
    yield odd_leaf(
        "critical-crl-points",
        extra=[policy("2.5.29.31", sequence(sequence(tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://127.0.0.1:9/x.crl"))))))],
    )
    yield odd_leaf("critical-issuer-alt-name", extra=[policy("2.5.29.18", sequence(tlv(0x82, b"ca.example")))])
    yield odd_leaf("critical-netscape", extra=[policy("2.16.840.1.113730.1.1", pki.bit_string(b"\x40", 6))])
    yield odd_leaf("critical-tls-feature", extra=[policy("1.3.6.1.5.5.7.1.24", sequence(pki.integer(5)))])
    yield odd_leaf(
        "critical-freshest-crl",
        extra=[policy("2.5.29.46", sequence(sequence(tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://127.0.0.1:9/x.crl"))))))],
    )
    yield odd_leaf(
        "critical-private-key-usage-period", extra=[policy("2.5.29.16", sequence(tlv(0x80, b"20200101000000Z")))]
    )
    yield odd_leaf("critical-ct-poison", extra=[policy("1.3.6.1.4.1.11129.2.4.3", b"\x05\0")])
    yield odd_leaf("must-staple", extra=[policy("1.3.6.1.5.5.7.1.24", sequence(pki.integer(5)), critical=False)])
    yield odd_leaf("constraints-in-leaf", extra=[pki.name_constraints(permitted=["other.example"])])
    yield odd_leaf("twice-the-same-extension", extra=[pki.extension("2.5.29.14", pki.octets(b"2" * 20))])
    yield odd_leaf("no-eku", without=("eku",))
    yield odd_leaf("any-eku", purposes=("anyExtendedKeyUsage",))
    yield odd_leaf("server-and-any-eku", purposes=("serverAuth", "anyExtendedKeyUsage"))
    yield odd_leaf("client-eku", purposes=("clientAuth",))
    yield odd_leaf("gated-eku", purposes=("2.16.840.1.113730.4.1",))
    yield odd_leaf("no-key-usage", without=("ku",))
    yield odd_leaf("key-encipherment-only", private=pki.key("ke", "rsa:2048"), usages=("keyEncipherment",))
    yield odd_leaf(
        "key-encipherment-only-tls12",
        private=pki.key("ke", "rsa:2048"),
        usages=("keyEncipherment",),
        serve={"maximum": ssl.TLSVersion.TLSv1_2},
    )
    yield odd_leaf(
        "key-encipherment-only-rsa-kx",
        private=pki.key("ke", "rsa:2048"),
        usages=("keyEncipherment",),
        serve={"maximum": ssl.TLSVersion.TLSv1_2, "ciphers": "AES128-GCM-SHA256"},
    )
    yield odd_leaf(
        "signature-only-rsa-kx",
        private=pki.key("ke", "rsa:2048"),
        usages=("digitalSignature",),
        serve={"maximum": ssl.TLSVersion.TLSv1_2, "ciphers": "AES128-GCM-SHA256"},
    )
    yield odd_leaf("key-agreement-only", usages=("keyAgreement",))
    yield odd_leaf("non-repudiation-only", usages=("nonRepudiation",))
    yield odd_leaf("cert-sign-only", usages=("keyCertSign",))
    yield odd_leaf("sign-and-cert-sign", usages=("digitalSignature", "keyCertSign"))
    yield odd_leaf(
        "noncritical-key-usage", without=("ku",), extra=[pki.key_usage(["digitalSignature"], critical=False)]
    )
    yield odd_leaf(
        "leaf-is-a-ca",
        ca=True,
        san=[host_of("leaf-is-a-ca")],
        purposes=("serverAuth",),
        usages=("digitalSignature", "keyCertSign"),
    )
    yield odd_leaf(
        "leaf-is-a-ca-without-purposes",
        ca=True,
        san=[host_of("leaf-is-a-ca-without-purposes")],
        usages=("digitalSignature", "keyCertSign"),
    )
    yield odd_leaf("no-basic-constraints", without=("bc",))
    yield odd_leaf("path-length-without-ca", without=("bc",), extra=[pki.basic_constraints(False, 3)])
    yield odd_leaf("no-identifiers", without=("ski", "aki"))
    yield odd_leaf("other-aki", authority_key_id=b"x" * 20)
    yield odd_leaf(
        "aki-of-another-serial",
        without=("aki",),
        extra=[
            pki.extension(
                "2.5.29.35",
                sequence(
                    tlv(0x80, pki.key_id(CA.private)),
                    tlv(0xA1, tlv(0xA4, ROOT.subject_der)),
                    tlv(0x82, b"\x01\x02\x03"),
                ),
            )
        ],
    )
    yield odd_leaf("v1-leaf", version=None, without=("extensions",))


def forms() -> Iterator[Variant]:
    """Return variants of serial numbers, dates and encodings."""
    yield odd_leaf("serial-negative", serial=-5)
    yield odd_leaf("serial-zero", serial=0)
    yield odd_leaf("serial-20", serial=1 << 158)
    yield odd_leaf("serial-21", serial=1 << 163)
    yield odd_leaf("serial-40", serial=1 << 318)
    yield odd_leaf("valid-399-days", not_before=NOW - 10 * DAY, not_after=NOW + 389 * DAY)
    yield odd_leaf("valid-826-days", not_before=NOW - 10 * DAY, not_after=NOW + 816 * DAY)
    yield odd_leaf("valid-20-years", not_before=NOW - 10 * DAY, not_after=NOW + 7300 * DAY)
    yield odd_leaf("valid-for-ever", validity=sequence(pki.time(NOW - 10 * DAY), tlv(0x18, b"99991231235959Z")))
    yield odd_leaf("valid-since-1950", validity=sequence(tlv(0x17, b"500101000000Z"), pki.time(NOW + 80 * DAY)))
    yield odd_leaf(
        "generalized-before-2050", validity=sequence(tlv(0x18, b"20250101000000Z"), pki.time(NOW + 80 * DAY))
    )
    yield odd_leaf("time-with-offset", validity=sequence(tlv(0x17, b"250101000000+0000"), pki.time(NOW + 80 * DAY)))
    yield odd_leaf("time-without-seconds", validity=sequence(tlv(0x17, b"2501010000Z"), pki.time(NOW + 80 * DAY)))
    yield odd_leaf("outlives-its-issuer", not_after=NOW + 2000 * DAY)
