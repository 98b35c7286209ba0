"""Random chains: CAs with several certificates, policies, name constraints, path lengths and purposes, sent in any order.

The same seed is always the same chain.
"""

from __future__ import annotations

import random
from typing import Any

from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, Issued, name, oid, sequence, tlv

_ANY = "2.5.29.32.0"
_POLICIES = ("1.2.3.1", "1.2.3.2", "1.2.3.3")
_OTHER_NAME = tlv(0xA0, oid("1.2.3"), tlv(0xA0, tlv(0x0C, b"x")))
_REGISTERED = tlv(0x88, b"\x2a\x03")
_CONSTRAINTS: tuple[str | bytes, ...] = (
    "example",
    "a.example",
    ".example",
    "b.example",
    pki.network("10.0.0.0/8"),
    pki.network("10.1.0.0/16"),
    "email:example",
    "email:a@a.example",
    "email:.example",
    "URI:example",
    "URI:.example",
    tlv(0xA4, name(O="Org")),
    tlv(0xA4, name(O="Other")),
    _OTHER_NAME,
    _REGISTERED,
)
_NAMES: tuple[str | bytes, ...] = (
    "leaf.example",
    "x.a.example",
    "*.example",
    "IP:10.0.0.1",
    "IP:192.0.2.1",
    "email:u@example",
    "email:u@a.example",
    "URI:https://example/",
    "URI:https://h.example/",
    "URI:mailto:x",
    _OTHER_NAME,
    _REGISTERED,
    tlv(0xA4, name(O="Org", CN="q")),
    "bad name",
    "a..example",
    "-h.example",
    "UPPER.Example",
)


def random_chain(seed: int) -> tuple[Issued, list[Issued], Issued]:
    """Return a leaf, what is sent after it, and the anchor."""
    dice = random.Random(seed)
    anchor = pki.root(
        "Root",
        extra=_authority(dice) if dice.random() < 0.2 else [],
        path_length=dice.choice([None, None, None, 0, 1, 2]),
    )
    level, sent = [anchor], list[Issued]()
    for depth in range(dice.choice([0, 1, 1, 2, 2, 3])):
        # a CA of its issuer's name is self-issued
        subject = f"CA {depth}" if dice.random() < 0.75 or not depth else f"CA {depth - 1}"
        level = [_ca(dice, subject, level, depth, place) for place in range(dice.choice([1, 1, 2]))]
        sent = [*level, *sent] if dice.random() < 0.8 else [*sent, *level]
    leaf = _leaf(dice, dice.choice(level))
    if dice.random() < 0.15:
        sent.append(anchor)
    if dice.random() < 0.3:
        dice.shuffle(sent)
    return leaf, sent, anchor


def _ca(dice: random.Random, subject: str, above: list[Issued], depth: int, place: int) -> Issued:
    issuer = dice.choice(above) if dice.random() < 0.93 else pki.root("Nowhere")
    changes: dict[str, Any] = {"path_length": dice.choice([None, None, None, 0, 1, 200])}
    for chance, change in (
        (0.08, {"not_after": NOW - DAY}),
        (0.05, {"purposes": ("clientAuth",)}),
        (0.05, {"purposes": ("serverAuth", "clientAuth")}),
        (0.04, {"without": ("bc",)}),
        (0.08, {"without": ("aki",)}),
        (0.15, {"san": ["ca.example" if dice.random() < 0.5 else "ca.other"]}),
    ):
        if dice.random() < chance:
            changes |= change
    serial = 1000 * depth + place + 7
    private = pki.key(f"{depth} {subject}")
    return pki.authority(subject, issuer, private=private, serial=serial, extra=_authority(dice), **changes)


def _leaf(dice: random.Random, issuer: Issued) -> Issued:
    subject: dict[str, str | bytes] = {}
    if dice.random() < 0.6:
        subject["O"] = dice.choice(["Org", "Other", "Third"])
    if dice.random() < 0.7:
        subject["CN"] = dice.choice(["leaf.example", "cn.other", "Web server", "single"])
    if dice.random() < 0.2:
        subject["emailAddress"] = tlv(0x16, dice.choice([b"m@example", b"m@other"]))
    extra = _policies(dice)
    if dice.random() < 0.05:
        extra.append(pki.extension("2.5.29.36", sequence(tlv(0x80, b"\0"))))
    return pki.certificate(
        name(**(subject or {"CN": "z"})),
        issuer=issuer,
        san=dice.sample(_NAMES, dice.choice([1, 2, 2, 3])),
        extra=extra,
        without=("aki",) if dice.random() < 0.06 else (),
        purposes=("serverAuth", "1.3.6.1.5.5.7.3.9") if dice.random() < 0.05 else ("serverAuth",),
    )


def _policies(dice: random.Random) -> list[bytes]:
    if dice.random() > 0.45:
        return []
    chosen = dice.sample((*_POLICIES, _ANY), dice.choice([1, 1, 2, 3]))
    return [pki.extension("2.5.29.32", sequence(*(sequence(oid(policy)) for policy in chosen)))]


def _authority(dice: random.Random) -> list[bytes]:
    """Return the extensions of a CA."""
    found = _policies(dice)
    if dice.random() < 0.35:
        fields = [tlv(0x80, bytes([dice.randrange(3)]))] if dice.random() < 0.8 else []
        if dice.random() < 0.4 or not fields:
            fields.append(tlv(0x81, bytes([dice.randrange(3)])))
        found.append(pki.extension("2.5.29.36", sequence(*fields), critical=dice.random() < 0.7))
    if dice.random() < 0.15:
        found.append(pki.extension("2.5.29.54", pki.integer(dice.randrange(3)), critical=True))
    if dice.random() < 0.2:
        pairs = [(dice.choice(_POLICIES), dice.choice((*_POLICIES, _ANY))) for _ in range(dice.choice([1, 2]))]
        found.append(pki.extension("2.5.29.33", sequence(*(sequence(oid(one), oid(other)) for one, other in pairs))))
    if dice.random() < 0.35:
        sides = {
            "permitted": dice.sample(_CONSTRAINTS, dice.choice([0, 1, 1, 2])),
            "excluded": dice.sample(_CONSTRAINTS, dice.choice([0, 0, 1, 1])),
        }
        if any(sides.values()):
            found.append(pki.name_constraints(**sides, critical=dice.random() < 0.6))
    return found
