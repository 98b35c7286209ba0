"""Generates reproducible findings of an estate of any size from a few templates, night by night.

A target depends only on its number, so that two nights can be compared: most targets are unchanged, a few start to fail
or are fixed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import orjson

FIRST_NIGHT: Final = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
OWNERS: Final = (
    "web", "payments", "platform", "mail", "data", "identity", "search", "warehouse", "partners", "devices", "press", ""
)  # fmt: skip
ISSUERS: Final = (
    "CN=R13,O=Let's Encrypt,C=US", "CN=E8,O=Let's Encrypt,C=US", "CN=WE1,O=Google Trust Services,C=US",
    "CN=DigiCert Global G3 TLS ECC SHA384 2020 CA1,O=DigiCert Inc,C=US", "CN=Sectigo RSA DV Secure Server CA,O=Sectigo",
    "CN=GlobalSign RSA OV SSL CA 2018,O=GlobalSign nv-sa,C=BE", "CN=Corporate Issuing CA 3,O=Example Corp",
)  # fmt: skip
# Per thousand targets, how many are healthy instead of failing, or the reverse, in one night only.
_FLICKER: Final = 4


def estate(
    templates: Sequence[dict[str, Any]], count: int, *, broken: float = 0.1, night: int = 0, seed: str = "estate"
) -> Iterator[bytes]:
    """Yield ``count`` lines of a findings file, the share ``broken`` of them from unhealthy templates."""
    plain = [_cut(one) for one in templates if one["outcome"] == "ok" and one["certificates"]]
    wrong = [_cut(one) for one in templates if one["outcome"] != "ok"]
    # Zipf-like: estates have a few common faults and many rare ones
    weights = [1 / (place + 2) for place in range(len(wrong))]
    moment = FIRST_NIGHT + timedelta(days=night)
    for number in range(1, count + 1):
        rng = Random(f"{seed}/{number}")
        tonight = Random(f"{seed}/{number}/{night}")
        failing = rng.random() < broken
        if tonight.randrange(1000) < _FLICKER:
            failing = not failing
        template = rng.choices(wrong, weights)[0] if failing and wrong else rng.choice(plain)
        yield _made(template, number, rng, moment + timedelta(milliseconds=number), failing=failing)


def _cut(template: dict[str, Any]) -> tuple[bytes, str, str, str]:
    """Return a template as JSON, and the parts to replace in it: the host, and the leaf's SHA-256 and notAfter."""
    leaf = template["certificates"][0] if template["certificates"] else {}
    return (
        orjson.dumps(template),
        template["target"]["host"] or "",
        leaf.get("sha256") or "",
        leaf.get("not_after") or "",
    )


def _made(template: tuple[bytes, str, str, str], number: int, rng: Random, moment: datetime, *, failing: bool) -> bytes:
    text, host, sha256, not_after = template
    domain = f"{('shop', 'bank', 'mail', 'api', 'cdn')[number % 5]}{number // 40}.example"
    if host:
        text = text.replace(host.encode(), f"{('www', 'app', 'login', 'mx')[number % 4]}{number}.{domain}".encode())
    if sha256:
        text = text.replace(sha256.encode(), hashlib.sha256(f"{number // 3}".encode()).hexdigest().encode())
    if not_after and not failing:
        last = FIRST_NIGHT.replace(hour=12) + timedelta(days=14 + int(380 * rng.random() ** 2), hours=number // 3 % 24)
        text = text.replace(not_after.encode(), last.strftime("%Y-%m-%dT%H:%M:%SZ").encode())
    finding = orjson.loads(text)
    finding["run"] = f"{moment:%Y%m%dT020000Z}-estate"
    finding["started"] = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
    target = finding["target"]
    target["row"] = number
    target["port"], target["protocol"] = 443, "https"
    target["tags"] = {"owner": rng.choices(OWNERS, range(len(OWNERS), 0, -1))[0], "site": f"site-{number % 7}"}
    if not failing and finding["certificates"]:
        finding["certificates"][0]["issuer"] = rng.choices(ISSUERS, range(len(ISSUERS), 0, -1))[0]
        finding["duration_ms"] = round(3 + rng.expovariate(0.1), 3)
        if finding["endpoints"] and number % 6 == 0:
            finding["endpoints"][0]["version"] = "TLSv1.2"
    return orjson.dumps(finding) + b"\n"
