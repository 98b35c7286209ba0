"""Variants of what RFC 5280 says of paths: several of them in one flight, policies, name constraints, path lengths."""

from __future__ import annotations

from collections.abc import Iterator

from tests.clients.variants import (
    CA,
    DOMAIN,
    NOW,
    ROOT,
    Variant,
    at_address,
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
from tests.helpers.pki import DAY, Issued, name, oid, sequence, tlv

_ELSEWHERE = root("Root of nowhere")
_POLICIES = "2.5.29.32"
_MAPPINGS = "2.5.29.33"
_POLICY_CONSTRAINTS = "2.5.29.36"
_INHIBIT_ANY = "2.5.29.54"
_ANY = "2.5.29.32.0"


def _twice(identity: str, first: Issued, second: Issued, *more: Issued, **leaf_changes: object) -> Variant:
    """Return a variant that sends two certificates of the leaf's issuer, in this order."""
    return server(identity, leaf(identity, first, **leaf_changes), first, second, *more)


def crossings() -> Iterator[Variant]:
    """Return variants with several paths, the first of which leads nowhere, or to a CA that may not."""

    def pair(identity: str, bad_issuer: Issued = ROOT, **changes: object) -> tuple[Issued, Issued]:
        key = pki.key(f"crossed {identity}")
        good = ca(f"Crossed CA {identity}", ROOT, private=key, serial=70)
        return ca(f"Crossed CA {identity}", bad_issuer, private=key, serial=71, **changes), good

    def bad_first(identity: str, bad_issuer: Issued = ROOT, *more: Issued, **changes: object) -> Variant:
        bad, good = pair(identity, bad_issuer, **changes)
        return _twice(identity, bad, good, *more)

    yield bad_first("cross-nowhere-first", _ELSEWHERE)
    bad, good = pair("cross-nowhere-second", _ELSEWHERE)
    yield _twice("cross-nowhere-second", good, bad)
    yield bad_first("cross-nowhere-first-with-root", _ELSEWHERE, _ELSEWHERE)
    yield bad_first("cross-nowhere-expired-first", _ELSEWHERE, not_after=NOW - DAY)
    yield bad_first("cross-expired-first", not_after=NOW - DAY)
    yield bad_first("cross-not-yet-first", not_before=NOW + DAY)
    yield bad_first("cross-for-clients-first", purposes=("clientAuth",))
    yield bad_first("cross-constrained-first", extra=[pki.name_constraints(permitted=["other.example"])])
    yield bad_first("cross-not-a-ca-first", without=("bc",))
    yield bad_first("cross-broken-first", break_signature=True)
    yield bad_first("cross-critical-first", extra=[pki.extension("1.2.3.4.5", b"\x05\0", critical=True)])
    # a root that was made again with its name and another key
    again = root("Variants Root", private=pki.key("root made again"))
    yield bad_first("cross-by-namesake-of-root-first", again)
    bad, good = pair("cross-by-namesake-of-root-second", again)
    yield _twice("cross-by-namesake-of-root-second", good, bad)
    yield bad_first("cross-by-namesake-of-root-anonymous", again, without=("aki",))
    yield bad_first("cross-by-namesake-of-root-sent", again, again)
    # a CA that certified its own new key is no root
    old = ca("Self-certifying CA", ROOT)
    new = ca("Self-certifying CA", old, private=pki.key("its new key"))
    yield server("self-issued-first", leaf("self-issued-first", new), new, old)
    yield server("self-issued-last", leaf("self-issued-last", new), old, new)
    # two of its new keys, so that all names are in a row
    newer = ca("Self-certifying CA", old, private=pki.key("its newer key"))
    yield server("self-issued-row", leaf("self-issued-row", new), new, newer, old)
    yield server("self-issued-row-wrong-first", leaf("self-issued-row-wrong-first", new), newer, new, old)
    yield server("self-issued-not-in-a-row", leaf("self-issued-not-in-a-row", new), new, old, newer)
    # one level higher
    bad, good = pair("cross-higher", _ELSEWHERE)
    lower = ca("CA below the crossed one", good)
    yield server("cross-higher", leaf("cross-higher", lower), lower, bad, good)
    bad, good = pair("cross-higher-length", path_length=0)
    lower = ca("CA below the short one", good)
    yield server("cross-higher-length", leaf("cross-higher-length", lower), lower, bad, good)
    # the same name and another key
    for identity, leaf_changes, key in (
        ("namesake-first", {"without": ("aki",)}, "ec:P-256"),
        ("namesake-first-of-other-kind", {"without": ("aki",)}, "rsa:2048"),
        ("namesake-first-identified", {}, "ec:P-256"),
    ):
        real = ca(f"Namesake {identity}", ROOT)
        namesake = ca(f"Namesake {identity}", ROOT, private=pki.key("namesake", key))
        yield server(identity, leaf(identity, real, **leaf_changes), namesake, real)
    # two anchors, the first path ends at an expired one
    old_root = root("Old root of two", not_after=NOW - DAY)
    bad, good = pair("cross-to-expired-root", old_root)
    yield server("cross-to-expired-root", leaf("cross-to-expired-root", bad), bad, good, anchors=(ROOT, old_root))
    # an anchor of the leaf's issuer beats what was sent
    anchored = ca("Anchored and crossed", _ELSEWHERE, private=pki.key("anchored"), serial=7)
    crossed = ca("Anchored and crossed", root("Another nowhere"), private=pki.key("anchored"), serial=8)
    own_root = root("Anchored and crossed", private=pki.key("anchored"))
    yield server("cross-of-an-anchor", leaf("cross-of-an-anchor", anchored), anchored, crossed, anchors=(own_root,))


def _policies(*dotted: str) -> bytes:
    return policy(_POLICIES, sequence(*(sequence(oid(item)) for item in dotted)), critical=False)


def _require(skip: int = 0, *, critical: bool = True) -> bytes:
    return policy(_POLICY_CONSTRAINTS, sequence(tlv(0x80, bytes([skip]))), critical=critical)


def _inhibit_mapping(skip: int = 0) -> bytes:
    return policy(_POLICY_CONSTRAINTS, sequence(tlv(0x80, b"\0"), tlv(0x81, bytes([skip]))))


def _maps(one: str, other: str, *, critical: bool = False) -> bytes:
    return policy(_MAPPINGS, sequence(sequence(oid(one), oid(other))), critical=critical)


def policies() -> Iterator[Variant]:
    """Return variants of certificate policies, whose absence some clients take for a refusal if a CA demands them."""
    one, two = "1.2.3.4", "1.2.3.5"
    both = [_require(), _policies(_ANY)]

    def below(identity: str, above: list[bytes], *own: bytes) -> Variant:
        return odd_ca(identity, extra=above, leaf_changes={"extra": list(own)})

    yield below("policy-required-loosely", [_require(critical=False)])
    yield below("policy-required-after-one", [_require(1)])
    yield below("policy-required-after-two", [_require(2)])
    yield odd_leaf("policy-required-by-leaf", extra=[_require()])
    yield odd_leaf("policy-required-by-leaf-that-has-it", extra=[_require(), _policies(one)])
    yield below("policy-required-and-same", [_require(), _policies(one)], _policies(one))
    yield below("policy-required-and-other", [_require(), _policies(one)], _policies(two))
    yield below("policy-required-any-in-leaf", both, _policies(_ANY))
    yield below("policy-required-any-inhibited", [*both, policy(_INHIBIT_ANY, pki.integer(0))], _policies(_ANY))
    yield below(
        "policy-any-inhibited-not-required", [_policies(one), policy(_INHIBIT_ANY, pki.integer(0))], _policies(_ANY)
    )
    yield below("policy-mapped", [_require(), _policies(one), _maps(one, two)], _policies(two))
    yield below("policy-mapped-critical", [_require(), _policies(one), _maps(one, two, critical=True)], _policies(two))
    yield below("policy-mapped-away", [_require(), _policies(one), _maps(one, two)], _policies(one))
    yield below("policy-mapped-inhibited", [_inhibit_mapping(), _policies(one), _maps(one, two)], _policies(two))
    yield below("policy-mapped-to-any", [_policies(one), _maps(one, _ANY)], _policies(one))
    yield odd_leaf("policy-twice", extra=[_policies(one, one)])
    yield odd_leaf("policy-any-twice", extra=[_policies(_ANY, _ANY)])
    yield odd_ca("ca-policy-twice", extra=[_policies(one, one)])
    yield odd_leaf("policy-none-listed", extra=[_policies()])
    yield odd_leaf("policy-malformed", extra=[policy(_POLICIES, b"\x05\0", critical=False)])
    yield odd_ca("ca-policy-malformed", extra=[policy(_POLICIES, b"\x05\0", critical=False)])
    yield odd_ca("policy-constraints-empty", extra=[policy(_POLICY_CONSTRAINTS, sequence())])
    yield odd_ca("policy-constraints-negative", extra=[policy(_POLICY_CONSTRAINTS, sequence(tlv(0x80, b"\xff")))])
    yield odd_ca("policy-inhibit-negative", extra=[policy(_INHIBIT_ANY, pki.integer(-1))])
    yield odd_ca(
        "policy-required-much-later", extra=[policy(_POLICY_CONSTRAINTS, sequence(tlv(0x80, b"\x01\0\0\0\0")))]
    )
    broken = b"\x05\0"
    yield odd_ca("policy-constraints-malformed", extra=[policy(_POLICY_CONSTRAINTS, broken, critical=False)])
    yield odd_ca("policy-constraints-large", extra=[policy(_POLICY_CONSTRAINTS, sequence(tlv(0x80, b"\x01\0")))])
    yield odd_ca("policy-inhibit-malformed", extra=[policy(_INHIBIT_ANY, broken, critical=False)])
    yield odd_ca("policy-inhibit-large", extra=[policy(_INHIBIT_ANY, pki.integer(256), critical=False)])
    yield odd_ca("policy-inhibit-larger", extra=[policy(_INHIBIT_ANY, pki.integer(1 << 40), critical=False)])
    yield odd_ca("policy-mappings-malformed", extra=[policy(_MAPPINGS, broken, critical=False)])
    yield odd_ca("policy-mappings-empty", extra=[policy(_MAPPINGS, sequence(), critical=False)])
    yield odd_root("root-requires-and-has-policy", extra=both)
    self_issued = ca("Self-issuing CA", ROOT, extra=[_require(1), _policies(_ANY)])
    renewed = ca("Self-issuing CA", self_issued, private=pki.key("renewed self"))
    yield server("policy-over-self-issued", leaf("policy-over-self-issued", renewed), renewed, self_issued)


def constraints() -> Iterator[Variant]:
    """Return variants of name constraints."""
    uri = f"URI:https://{host_of('x')}/"
    registered = tlv(0x88, b"\x2a\x03\x04")
    other_name = tlv(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xA0, tlv(0x0C, b"x")))

    def below(
        identity: str,
        *extra_names: str | bytes,
        permitted: tuple[str | bytes, ...] = (),
        excluded: tuple[str | bytes, ...] = (),
        critical: bool = True,
        **changes: object,
    ) -> Variant:
        constraint = pki.name_constraints(permitted=permitted, excluded=excluded, critical=critical)
        names = {"san": [host_of(identity), *extra_names], **changes}
        return odd_ca(identity, extra=[constraint], leaf_changes=names)

    yield below("nc-uri-permitted", uri, permitted=(f"URI:.{DOMAIN}",))
    yield below("nc-uri-excluded-other", uri, excluded=("URI:.other.example",))
    yield below("nc-uri-not-permitted", uri, permitted=("URI:.other.example",))
    yield below("nc-uri-without-host", "URI:mailto:x", excluded=("URI:.other.example",))
    yield below("nc-uri-permitted-loosely", uri, permitted=(f"URI:.{DOMAIN}",), critical=False)
    yield below("nc-uri-of-an-address", "URI:https://192.0.2.1/", permitted=(f"URI:.{DOMAIN}",))
    yield below("nc-email-permitted", f"email:a@{DOMAIN}", permitted=(f"email:{DOMAIN}",))
    yield below("nc-email-not-permitted", "email:a@b.example", permitted=(f"email:{DOMAIN}",))
    yield below(
        "nc-email-in-subject",
        permitted=(f"email:{DOMAIN}",),
        subject=name(CN="x", emailAddress=tlv(0x16, b"a@b.example")),
    )
    yield below(
        "nc-email-in-subject-without-san",
        permitted=(f"email:{DOMAIN}",),
        subject=name(CN=host_of("nc-email-in-subject-without-san"), emailAddress=tlv(0x16, b"a@b.example")),
        without=("san",),
    )
    yield below(
        "nc-email-in-subject-fits",
        permitted=(f"email:{DOMAIN}",),
        subject=name(CN="x", emailAddress=tlv(0x16, f"a@{DOMAIN}".encode())),
    )
    yield below("nc-name-ending-with-hyphen", "a-.example", excluded=("other.example",))
    yield below("nc-name-with-empty-label", f"a..{DOMAIN}", permitted=(DOMAIN,))
    odd_address = tlv(0x87, b"\x0a\0\0\0\1")
    yield below("nc-odd-address", odd_address, permitted=(pki.network("10.0.0.0/8"),))
    yield below("nc-odd-address-excluded", odd_address, excluded=(pki.network("10.0.0.0/8"),))
    yield below("nc-odd-address-elsewhere", odd_address, permitted=(DOMAIN,))
    for label, constraint in (("permitted", {"permitted": [DOMAIN]}), ("excluded", {"excluded": ["other.example"]})):
        top = ca(f"CA over named CAs {label}", ROOT, extra=[pki.name_constraints(**constraint)])  # type: ignore[arg-type]
        named = ca(f"CA with a name {label}", top, san=["ca.other.example"])
        yield server(f"nc-named-ca-{label}", leaf(f"nc-named-ca-{label}", named), named, top)
        self_named = ca(f"CA over named CAs {label}", top, san=["ca.other.example"], private=pki.key("self named"))
        identity = f"nc-named-self-issued-ca-{label}"
        yield server(identity, leaf(identity, self_named), self_named, top)
    yield below("nc-registered-id", registered, permitted=(registered,))
    yield below("nc-registered-id-loosely", registered, permitted=(registered,), critical=False)
    yield below("nc-registered-id-absent", permitted=(registered,), critical=False)
    yield below("nc-other-name", other_name, permitted=(other_name,))
    yield below("nc-other-name-excluded-loosely", other_name, excluded=(other_name,), critical=False)
    yield below("nc-directory-fits", permitted=(tlv(0xA4, name(O="Variants")),), subject=name(O="Variants", CN="x"))
    yield below("nc-directory-empty-subject", permitted=(tlv(0xA4, name(O="Variants")),), subject=sequence())
    yield below(
        "nc-directory-empty-critical",
        permitted=(tlv(0xA4, name(O="Variants")),),
        subject=sequence(),
        without=("san",),
        extra=[pki.subject_alt_name([host_of("nc-directory-empty-critical")], critical=True)],
    )
    yield below("nc-uri-excluded-absent", excluded=("URI:.other.example",))
    yield below("nc-uri-excluded", uri, excluded=(f"URI:.{DOMAIN}",))
    yield below("nc-uri-not-permitted-loosely", uri, permitted=("URI:.other.example",), critical=False)
    yield below("nc-registered-id-excluded-loosely", registered, excluded=(registered,), critical=False)
    yield below("nc-registered-id-other-excluded", registered, excluded=(tlv(0x88, b"\x2a\x05"),), critical=False)
    yield below("nc-other-name-loosely", other_name, permitted=(other_name,), critical=False)
    yield below("nc-other-name-absent", permitted=(other_name,), critical=False)
    yield below("nc-dns-trailing-dot-excluded", excluded=("other.example.",))
    yield below("nc-dns-trailing-dot-excluded-own", excluded=(f"{DOMAIN}.",))
    yield below("nc-address-permitted-mismatch", "IP:192.0.2.1", permitted=(pki.network("10.0.0.0/8"),))
    five, holes = tlv(0x87, b"\x0a\0\0\0\xff"), tlv(0x87, b"\x0a\0\0\0\xff\0\xff\0")
    yield below("nc-five-bytes-and-address", "IP:10.0.0.1", permitted=(five,))
    yield below("nc-five-bytes-excluded", "IP:10.0.0.1", excluded=(five,))
    yield below("nc-holes-and-address-inside", "IP:10.7.0.1", permitted=(holes,))
    yield below("nc-holes-and-address-outside", "IP:10.7.7.1", permitted=(holes,))
    yield below("nc-registered-id-excluded-absent", excluded=(registered,), critical=False)
    yield below("nc-registered-id-other-permitted", registered, permitted=(tlv(0x88, b"\x2a\x05"),), critical=False)
    yield below("nc-directory-loosely", permitted=(tlv(0xA4, name(O="Nobody")),), critical=False)
    yield below("nc-directory-excluded-loosely", excluded=(tlv(0xA4, name(O="Nobody")),), critical=False)
    yield below(
        "nc-directory-in-san", tlv(0xA4, name(O="Nobody")), excluded=(tlv(0xA4, name(O="Nobody")),), critical=False
    )
    yield below("nc-name-not-a-host", "this is invalid", permitted=(f"email:{DOMAIN}",))
    yield below("nc-mailbox-not-one", "email:this @ is invalid", excluded=("other.example",))
    yield below("nc-empty-name", "", excluded=("other.example",))
    yield below("nc-name-not-a-host-excluded", "this is invalid", excluded=("other.example",))
    yield below("nc-name-starting-with-hyphen", "-a.example", excluded=("other.example",))
    yield below("nc-name-with-trailing-dot", "a.example.", excluded=("other.example",))
    yield below("nc-dns-wildcard", permitted=(f"*.{DOMAIN}",))
    yield below("nc-dns-trailing-dot", permitted=(f"{DOMAIN}.",))
    yield below("nc-dns-space", permitted=(f" {DOMAIN}",))
    yield below("nc-dns-not-ascii", permitted=(tlv(0x82, b"b\xfccher.example"),))
    yield below("nc-dns-empty-permitted", permitted=("",))
    yield below("nc-dns-empty-excluded", excluded=("",))
    yield below("nc-dns-underscore", permitted=(DOMAIN, "a_b.example"))
    yield below("nc-address-of-five-bytes", permitted=(DOMAIN, tlv(0x87, b"\x0a\0\0\0\xff")))
    yield below("nc-address-mask-with-holes", permitted=(DOMAIN, tlv(0x87, b"\x0a\0\0\0\xff\0\xff\0")))
    yield below("nc-email-malformed", permitted=(DOMAIN, "email:a@b@c"))
    yield below("nc-uri-malformed", permitted=(DOMAIN, "URI:http://x/"))
    yield below("nc-wildcard-excluded-below", excluded=(f"bad.{DOMAIN}",), san=[f"*.{DOMAIN}"])
    minimum = sequence(tlv(0x82, DOMAIN.encode()), tlv(0x80, b"\1"))
    yield odd_ca("nc-minimum", extra=[pki.extension("2.5.29.30", sequence(tlv(0xA0, minimum)), critical=True)])
    maximum = sequence(tlv(0x82, DOMAIN.encode()), tlv(0x81, b"\1"))
    yield odd_ca("nc-maximum", extra=[pki.extension("2.5.29.30", sequence(tlv(0xA0, maximum)), critical=True)])
    mail = sequence(tlv(0x81, b"example.org"), tlv(0x80, b"\1"))
    yield odd_ca("nc-minimum-of-others", extra=[pki.extension("2.5.29.30", sequence(tlv(0xA0, mail)), critical=True)])
    zero = sequence(tlv(0x82, DOMAIN.encode()), tlv(0x80, b"\0"))
    yield odd_ca("nc-minimum-zero", extra=[pki.extension("2.5.29.30", sequence(tlv(0xA0, zero)), critical=True)])
    # OpenSSL counts each attribute of the subject as a name, GnuTLS none; more than 2^20 comparisons are refused.
    networks = tuple(pki.network(f"10.{number >> 8}.{number & 255}.0/24") for number in range(1007))
    many = [tlv(0x87, bytes([10, 0, number >> 8 & 3, number & 255])) for number in range(1038)]
    for identity, subject in {
        "nc-product-below": name(CN="x"),
        "nc-product-by-subject": name(C=tlv(0x13, b"DE"), O="Variants", OU="Variants", L="Here", CN="x"),
    }.items():
        yield below(identity, *many, permitted=(DOMAIN, *networks), subject=subject)
    renewed_name = "Constrained self-issuing CA"
    constrained = ca(
        renewed_name, ROOT, extra=[pki.name_constraints(permitted=[DOMAIN, tlv(0xA4, name(O="Variants"))])]
    )
    renewed = ca(renewed_name, constrained, private=pki.key("renewed constrained"))
    yield server(
        "nc-over-self-issued",
        leaf("nc-over-self-issued", renewed, subject=name(O="Variants", CN="x"), san=[host_of("nc-over-self-issued")]),
        renewed,
        constrained,
    )


def common_names() -> Iterator[Variant]:
    """Return variants whose certificate is for an address, and whose common name is under a constraint."""
    permits = [pki.name_constraints(permitted=[DOMAIN, pki.network("127.0.0.0/8")])]
    for identity, common_name in (
        ("nc-cn-not-permitted", "cn.other.example"),
        ("nc-cn-permitted", f"cn.{DOMAIN}"),
        ("nc-cn-no-name", "Web server of Variants"),
        ("nc-cn-one-label", "webserver"),
        ("nc-cn-wildcard", "*.other.example"),
    ):
        authority = ca(f"CA of {identity}", ROOT, extra=permits)
        yield at_address(
            identity,
            lambda address, authority=authority, cn=common_name: leaf(
                "x", authority, subject=cn, san=[f"IP:{address}"]
            ),  # type: ignore[misc]
            authority,
        )
    yield at_address("address-as-mapped-v6", lambda address: leaf("x", subject="x", san=[f"IP:::ffff:{address}"]))


def authorities() -> Iterator[Variant]:
    """Return variants of path lengths, names, and identifiers of CAs."""
    for length in (127, 128, 255, 256, 65_536, (1 << 31) - 1, 1 << 31, 1 << 63, 1 << 64, 1 << 200):
        yield odd_ca(f"path-length-{length.bit_length()}-bits-{length % 10}", path_length=length)
    yield odd_root("root-path-length-256", path_length=256)
    first = ca("Self-issued CA", ROOT, path_length=0)
    second = ca("Self-issued CA", first, private=pki.key("second self-issued"))
    yield server("path-length-over-self-issued", leaf("path-length-over-self-issued", second), second, first)
    third = ca("CA below the self-issued", second)
    yield server("path-length-below-self-issued", leaf("path-length-below-self-issued", third), third, second, first)
    yield server("path-length-of-leaf", leaf("path-length-of-leaf", path_length=0), CA)
    short = ca(
        "CA with a path length and no CA",
        ROOT,
        without=("bc",),
        extra=[pki.extension("2.5.29.19", sequence(pki.integer(0)), critical=True)],
    )
    yield server("length-without-ca", leaf("length-without-ca", short), short)
    nameless = ca(sequence(), ROOT)  # type: ignore[arg-type]
    yield server("ca-empty-subject", leaf("ca-empty-subject", nameless), nameless)
    directory = tlv(0xA1, tlv(0xA4, ROOT.subject_der))
    key = tlv(0x80, pki.key_id(CA.private))
    number = bytes.fromhex(CA.parsed.serial)
    number = (b"\0" if number[0] & 0x80 else b"") + number
    for label, parts in {
        "issuer-without-serial": (key, directory),
        "serial-without-issuer": (key, tlv(0x82, number)),
        "issuer-alone": (directory,),
        "serial-alone": (tlv(0x82, number),),
        "whole": (key, directory, tlv(0x82, number)),
        "empty": (),
        "empty-key": (tlv(0x80, b""),),
    }.items():
        yield odd_leaf(f"aki-{label}", without=("aki",), extra=[pki.extension("2.5.29.35", sequence(*parts))])
    yield odd_ca("ca-aki-half", without=("aki",), extra=[pki.extension("2.5.29.35", sequence(directory))])
    for label, dotted, value in (
        ("ocsp-no-check", "1.3.6.1.5.5.7.48.1.5", b"\x05\0"),
        ("address-blocks", "1.3.6.1.5.5.7.1.7", sequence(sequence(pki.octets(b"\0\1"), tlv(5)))),
        ("as-numbers", "1.3.6.1.5.5.7.1.8", sequence(tlv(0xA0, tlv(5)))),
        ("application-policies", "1.3.6.1.4.1.311.21.10", sequence(sequence(oid("1.3.6.1.5.5.7.3.1")))),
    ):
        yield odd_leaf(f"critical-{label}", extra=[pki.extension(dotted, value, critical=True)])
    qualifier = sequence(sequence(oid("1.2.3.4"), sequence(sequence(oid("1.2.3.4.5"), tlv(0x0C, b"x")))))
    yield odd_ca("critical-policies-unknown-qualifier", extra=[policy(_POLICIES, qualifier)])
    yield odd_ca("policies-unknown-qualifier", extra=[policy(_POLICIES, qualifier, critical=False)])
    yield odd_root(
        "root-policies-of-another",
        leaf_changes={"extra": [_policies("1.2.3.4"), _require()]},
        extra=[_policies("1.2.3.5")],
    )
    yield odd_ca(
        "root-lacks-policies", leaf_changes={"extra": [_policies("1.2.3.4")]}, extra=[_policies("1.2.3.4"), _require()]
    )
    yield odd_leaf("ocsp-signing-beside-server", purposes=("serverAuth", "1.3.6.1.5.5.7.3.9"))
    yield odd_ca("ca-ocsp-signing-beside-server", purposes=("serverAuth", "1.3.6.1.5.5.7.3.9"))
    yield odd_leaf("purpose-twice", purposes=("serverAuth", "serverAuth"))
    yield odd_leaf("time-stamping-beside-server", purposes=("serverAuth", "1.3.6.1.5.5.7.3.8"))


def host_names() -> Iterator[Variant]:
    """Return variants of names that clients match differently."""
    yield odd_leaf("wildcard-in-a-label", host=f"abc.{DOMAIN}", san=[f"a*.{DOMAIN}"])
    yield odd_leaf("wildcard-in-the-middle", host=f"abc.{DOMAIN}", san=[f"a*c.{DOMAIN}"])
    yield odd_leaf("wildcard-at-the-end", host=f"abc.{DOMAIN}", san=[f"*bc.{DOMAIN}"])
    yield odd_leaf("wildcard-in-a-label-alone", host=f"a.{DOMAIN}", san=[f"a*.{DOMAIN}"])
    yield odd_leaf("wildcard-in-second-label", host=f"a.b.{DOMAIN}", san=[f"a.*.{DOMAIN}"])
    yield odd_leaf("wildcard-twice", host=f"a.b.{DOMAIN}", san=[f"*.*.{DOMAIN}"])
    yield odd_leaf("wildcard-in-a-punycode-label", host=f"xn--abc.{DOMAIN}", san=[f"xn--*.{DOMAIN}"])
    yield odd_leaf("wildcard-below-suffix", host="a.variants.co.uk", san=["*.variants.co.uk"])
    yield odd_leaf("wildcard-unknown-suffix", host="a.variants-unknown", san=["*.variants-unknown"])
    yield odd_leaf("underscore-under-wildcard", host=f"a_b.{DOMAIN}", san=[f"*.{DOMAIN}"])
    yield odd_leaf("underscore-leading-under-wildcard", host=f"_a.{DOMAIN}", san=[f"*.{DOMAIN}"])
    yield odd_leaf("underscore-exact", host=f"c_d.{DOMAIN}", san=[f"c_d.{DOMAIN}"])
    yield odd_leaf("underscore-in-wildcard-parent", host=f"a.e_f.{DOMAIN}", san=[f"*.e_f.{DOMAIN}"])
    yield odd_leaf("hyphen-first-under-wildcard", host=f"-a.{DOMAIN}", san=[f"*.{DOMAIN}"])
