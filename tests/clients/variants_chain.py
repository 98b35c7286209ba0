"""Variants of chains: intermediates, roots, name encodings, and the certificates that are sent."""

from __future__ import annotations

from collections.abc import Iterator

from tests.clients.variants import (
    CA,
    DOMAIN,
    NOW,
    ROOT,
    WEAK,
    Variant,
    ca,
    host_of,
    leaf,
    odd_ca,
    odd_leaf,
    odd_root,
    policy,
    root,
    server,
)
from tests.helpers import pki
from tests.helpers.pki import DAY, name, oid, sequence, tlv


def intermediates() -> Iterator[Variant]:
    """Return variants of the intermediate."""
    yield odd_ca("ca-no-key-usage", without=("ku",))
    yield odd_ca("ca-no-basic-constraints", without=("bc",))
    yield odd_ca("ca-v1", version=None, without=("extensions",))
    yield odd_ca("ca-noncritical-bc", without=("bc",), extra=[pki.basic_constraints(True, critical=False)])
    yield odd_ca("ca-no-identifiers", without=("ski", "aki"))
    yield odd_ca("ca-no-ski-leaf-aki", without=("ski",))
    yield odd_ca("ca-server-eku", purposes=("serverAuth", "clientAuth"))
    yield odd_ca("ca-client-eku", purposes=("clientAuth",))
    yield odd_ca("ca-any-eku", purposes=("anyExtendedKeyUsage",))
    yield odd_ca("ca-gated-eku", purposes=("2.16.840.1.113730.4.1",))
    yield odd_ca("ca-critical-unknown", extra=[pki.extension("1.2.3.4.5", b"\x05\0", critical=True)])
    yield odd_ca(
        "ca-inhibit-any-policy",
        extra=[
            policy("2.5.29.54", pki.integer(0)),
            policy("2.5.29.32", sequence(sequence(oid("2.5.29.32.0"))), critical=False),
        ],
    )
    yield odd_ca("ca-require-policy", extra=[policy("2.5.29.36", sequence(tlv(0x80, b"\0")))])
    both = [
        policy("2.5.29.36", sequence(tlv(0x80, b"\0"))),
        policy("2.5.29.32", sequence(sequence(oid("2.5.29.32.0"))), critical=False),
    ]
    yield odd_ca(
        "ca-require-policy-that-is-there",
        extra=both,
        leaf_changes={"extra": [policy("2.5.29.32", sequence(sequence(oid("1.2.3.4"))), critical=False)]},
    )
    yield odd_ca("ca-require-policy-not-in-leaf", extra=both)
    yield odd_ca(
        "ca-policy-mappings",
        extra=[
            policy("2.5.29.33", sequence(sequence(oid("1.2.3.4"), oid("1.2.3.5")))),
            policy("2.5.29.32", sequence(sequence(oid("1.2.3.4"))), critical=False),
        ],
    )
    yield odd_ca("ca-permits-name", extra=[pki.name_constraints(permitted=[DOMAIN])])
    yield odd_ca("ca-permits-name-with-dot", extra=[pki.name_constraints(permitted=["." + DOMAIN])])
    yield odd_ca("ca-permits-noncritical", extra=[pki.name_constraints(permitted=["other.example"], critical=False)])
    yield odd_ca("ca-permits-other", extra=[pki.name_constraints(permitted=["other.example"])])
    yield odd_ca("ca-excludes-name", extra=[pki.name_constraints(excluded=[DOMAIN])])
    yield odd_ca("ca-excludes-other", extra=[pki.name_constraints(excluded=["other.example"])])
    yield odd_ca("ca-permits-uppercase", extra=[pki.name_constraints(permitted=["VARIANTS.test"])])
    yield odd_ca("ca-permits-address-only", extra=[pki.name_constraints(permitted=[pki.network("10.0.0.0/8")])])
    yield odd_ca(
        "ca-excludes-all-addresses",
        extra=[pki.name_constraints(excluded=[pki.network("0.0.0.0/0"), pki.network("::/0")])],
    )
    yield odd_ca("ca-permits-email", extra=[pki.name_constraints(permitted=["email:example.org"])])
    yield odd_ca("ca-permits-uri", extra=[pki.name_constraints(permitted=["URI:example.org"])])
    yield odd_ca("ca-permits-directory", extra=[pki.name_constraints(permitted=[tlv(0xA4, name(O="Nobody"))])])
    yield odd_ca("ca-excludes-directory", extra=[pki.name_constraints(excluded=[tlv(0xA4, name(O="Nobody"))])])
    yield odd_ca(
        "ca-permits-other-name",
        extra=[pki.name_constraints(permitted=[tlv(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xA0, tlv(0x0C, b"x")))])],
    )
    yield odd_ca(
        "ca-permits-other-with-wrong-cn",
        extra=[pki.name_constraints(permitted=[DOMAIN])],
        leaf_changes={"subject": "cn.other.example", "san": [host_of("ca-permits-other-with-wrong-cn")]},
    )
    yield odd_ca(
        "ca-permits-other-cn-only",
        extra=[pki.name_constraints(permitted=["other.example"])],
        leaf_changes={"without": ("san",)},
    )
    yield odd_ca("ca-rsa-1024", private=pki.key("ca 1024", "rsa:1024"), serve={"ciphers": WEAK})
    yield odd_ca("ca-p521", private=pki.key("ca 521", "ec:P-521"), leaf_changes={"hash_name": "sha512"})
    yield odd_ca("ca-p384-sha256", private=pki.key("ca 384", "ec:P-384"), leaf_changes={"hash_name": "sha256"})
    yield odd_ca("ca-p256-sha512", leaf_changes={"hash_name": "sha512"})
    yield odd_ca("ca-ed25519", private=pki.key("ca 25519", "ed25519"))
    yield odd_ca("ca-ed448", private=pki.key("ca 448", "ed448"))
    yield odd_ca("ca-pss", private=pki.key("ca pss", "rsa:2048"), leaf_changes={"pss": True})
    yield odd_ca(
        "ca-sha1-leaf",
        private=pki.key("ca rsa", "rsa:2048"),
        leaf_changes={"hash_name": "sha1"},
        serve={"ciphers": WEAK},
    )
    yield odd_ca("ca-ecdsa-sha1-leaf", leaf_changes={"hash_name": "sha1"}, serve={"ciphers": WEAK})
    yield odd_ca(
        "ca-md5-leaf", private=pki.key("ca rsa", "rsa:2048"), leaf_changes={"hash_name": "md5"}, serve={"ciphers": WEAK}
    )
    yield odd_ca("ca-expired", not_after=NOW - DAY)
    yield odd_ca("ca-serial-negative", serial=-7)
    yield odd_ca("ca-serial-21", serial=1 << 163)
    yield odd_ca("ca-path-length-0", path_length=0)
    yield odd_ca("ca-excludes-nothing", extra=[pki.name_constraints()])

    sha1_root = root("Root that signs with SHA-1", private=pki.key("sha1 root", "rsa:2048"))
    sha1_ca = ca("CA signed with SHA-1", sha1_root, hash_name="sha1")
    yield server(
        "ca-signed-with-sha1", leaf("ca-signed-with-sha1", sha1_ca), sha1_ca, anchors=(sha1_root,), ciphers=WEAK
    )


def roots() -> Iterator[Variant]:
    """Return variants of the root."""
    yield odd_root("root-v1", version=None, without=("extensions",))
    yield odd_root("root-expired", not_after=NOW - DAY)
    yield odd_root("root-not-yet", not_before=NOW + DAY)
    yield odd_root("root-no-key-usage", without=("ku",))
    yield odd_root("root-no-cert-sign", usages=("cRLSign",))
    yield odd_root("root-no-bc", without=("bc",))
    yield odd_root("root-not-a-ca", ca=False, san=[], usages=("keyCertSign",))
    yield odd_root("root-noncritical-bc", without=("bc",), extra=[pki.basic_constraints(True, critical=False)])
    yield odd_root("root-no-ski", without=("ski", "aki"))
    yield odd_root("root-aki-of-another", authority_key_id=b"y" * 20)
    yield odd_root("root-client-eku", purposes=("clientAuth",))
    yield odd_root("root-email-eku", purposes=("1.3.6.1.5.5.7.3.4",))
    yield odd_root("root-any-eku", purposes=("anyExtendedKeyUsage",))
    yield odd_root("root-path-length-0", path_length=0)
    yield odd_root("root-permits-other", extra=[pki.name_constraints(permitted=["other.example"])])
    yield odd_root("root-critical-unknown", extra=[pki.extension("1.2.3.4.5", b"\x05\0", critical=True)])
    yield odd_root("root-rsa-1024", private=pki.key("root 1024", "rsa:1024"))
    yield odd_root("root-sha1", private=pki.key("root sha1", "rsa:2048"), hash_name="sha1")
    yield odd_root("root-md5", private=pki.key("root md5", "rsa:2048"), hash_name="md5")
    yield odd_root("root-broken-signature", break_signature=True)
    yield odd_root("root-serial-negative", serial=-1)
    yield odd_root("root-serial-zero", serial=0)
    yield odd_root("root-require-policy", extra=[policy("2.5.29.36", sequence(tlv(0x80, b"\0")))])


def spellings() -> Iterator[Variant]:
    """Return variants of name encodings."""
    printable = {"C": tlv(0x13, b"DE"), "O": tlv(0x13, b"Variants  Org"), "CN": tlv(0x13, b"Spelling CA")}
    spellings = {
        "utf8": name(C=tlv(0x13, b"DE"), O=tlv(0x0C, b"Variants  Org"), CN=tlv(0x0C, b"Spelling CA")),
        "case": name(C=tlv(0x13, b"DE"), O=tlv(0x13, b"Variants  Org"), CN=tlv(0x13, b"SPELLING ca")),
        "spaces": name(C=tlv(0x13, b"DE"), O=tlv(0x13, b" Variants Org "), CN=tlv(0x13, b"Spelling CA")),
        "bmp": name(
            C=tlv(0x13, b"DE"),
            O=tlv(0x1E, "Variants  Org".encode("utf-16-be")),
            CN=tlv(0x1E, "Spelling CA".encode("utf-16-be")),
        ),
        "t61": name(C=tlv(0x13, b"DE"), O=tlv(0x14, b"Variants  Org"), CN=tlv(0x14, b"Spelling CA")),
    }
    for label, other in spellings.items():
        authority = pki.certificate(
            name(**printable),
            issuer=ROOT,
            ca=True,
            private=pki.key("spelling"),
            not_before=NOW - DAY,
            not_after=NOW + 900 * DAY,
        )
        yield server(f"spelling-{label}", leaf(f"spelling-{label}", authority, issuer_name=other), authority)
    for label, kind in {"bmp": 0x1E, "t61": 0x14, "universal": 0x1C}.items():
        encoding = {0x1E: "utf-16-be", 0x14: "latin-1", 0x1C: "utf-32-be"}[kind]
        authority = pki.certificate(
            name(O=tlv(kind, "Bücher CA".encode(encoding))),
            issuer=ROOT,
            ca=True,
            private=pki.key(label),
            not_before=NOW - DAY,
            not_after=NOW + 900 * DAY,
        )
        yield server(f"name-as-{label}", leaf(f"name-as-{label}", authority), authority)
    yield odd_leaf("subject-bad-utf8", subject=name(O=tlv(0x0C, b"\xff\xfe")), san=[host_of("subject-bad-utf8")])
    yield odd_leaf(
        "subject-bad-printable", subject=name(O=tlv(0x13, b"a_b@c*")), san=[host_of("subject-bad-printable")]
    )
    yield odd_leaf("subject-long", subject=name(CN="x" * 300), san=[host_of("subject-long")])
    yield odd_leaf("subject-country-long", subject=name(C="Germany"), san=[host_of("subject-country-long")])


def sent() -> Iterator[Variant]:
    """Return variants of the certificates that are sent."""
    second = ca("Second CA", CA)
    yield server("plain", leaf("plain"), CA)
    yield server("misordered", leaf("misordered", second), CA, second)
    yield server("extra", leaf("extra"), CA, second)
    yield server("extra-expired", leaf("extra-expired"), CA, ca("Old extra", ROOT, not_after=NOW - DAY))
    yield server("leaf-twice", leaf("leaf-twice"), leaf("leaf-twice"), CA)
    yield server("ca-twice", leaf("ca-twice"), CA, CA)
    yield server("root-sent", leaf("root-sent"), CA, ROOT)
    yield server("other-root-sent", leaf("other-root-sent"), CA, root("Unrelated Root"))
    old_root = root("Expired Old Root", not_after=NOW - DAY)
    crossed = ca("Variants Root", old_root, private=ROOT.private, not_after=NOW - DAY)
    yield server("expired-cross", leaf("expired-cross"), CA, crossed)
    yield server("expired-cross-with-old-root", leaf("expired-cross-with-old-root"), CA, crossed, old_root)
    yield server(
        "expired-cross-both-trusted", leaf("expired-cross-both-trusted"), CA, crossed, anchors=(ROOT, old_root)
    )
    valid_cross = ca("Variants Root", root("Untrusted New Root"), private=ROOT.private)
    yield server("valid-cross-to-untrusted", leaf("valid-cross-to-untrusted"), CA, valid_cross)
    expired_ca = ca("Renewed CA", ROOT, private=pki.key("renewed"), not_after=NOW - DAY)
    renewed_ca = ca("Renewed CA", ROOT, private=pki.key("renewed"), serial=99)
    yield server("old-and-renewed", leaf("old-and-renewed", renewed_ca), expired_ca, renewed_ca)
    yield server(
        "same-name-other-key", leaf("same-name-other-key"), ca("Variants CA", ROOT, private=pki.key("impostor")), CA
    )
    anchor_ca = ca("Anchored CA", root("Root nobody has"))
    yield server("intermediate-anchored", leaf("intermediate-anchored", anchor_ca), anchors=(anchor_ca,))
    yield server(
        "intermediate-anchored-and-sent",
        leaf("intermediate-anchored-and-sent", anchor_ca),
        anchor_ca,
        anchors=(anchor_ca,),
    )
    pinned = leaf("pinned-leaf")
    yield server("pinned-leaf", pinned, anchors=(pinned,))
    selfish = pki.certificate(host_of("trusted-self-signed"), not_before=NOW - 10 * DAY, not_after=NOW + 80 * DAY)
    yield server("trusted-self-signed", selfish, anchors=(selfish,))
    selfish_ca = pki.certificate(
        host_of("trusted-self-signed-ca"),
        ca=True,
        san=[host_of("trusted-self-signed-ca")],
        usages=("digitalSignature", "keyCertSign"),
        not_before=NOW - 10 * DAY,
        not_after=NOW + 80 * DAY,
    )
    yield server("trusted-self-signed-ca", selfish_ca, anchors=(selfish_ca,))
    direct = leaf("directly-below-root", ROOT)
    yield server("directly-below-root", direct)
    unverifiable = ca(
        "Variants CA",
        ROOT,
        private=pki.key("pq"),
        public_key=sequence(sequence(oid("2.16.840.1.101.3.4.3.17")), pki.bit_string(b"k" * 1312)),
        serial=1234,
    )
    yield server("unknown-key-sent-along", leaf("unknown-key-sent-along"), CA, unverifiable)

    for count in (3, 6, 7, 9, 10, 14, 15, 17, 18, 19, 20, 21, 22, 24, 30):
        chain = [ROOT]
        for number in range(count):
            chain.append(ca(f"Deep CA {number}", chain[-1]))
        yield server(f"deep-{count}", leaf(f"deep-{count}", chain[-1]), *reversed(chain[1:]))
