"""Findings full of hostile text, for everything that displays findings."""

from __future__ import annotations

from typing import Any, Final

TEXTS: Final = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "javascript:alert(4)",
    "\u202egnp.exe\u2066",
    "nul\x00byte",
    "\x1b[31mred\x1b[0m",
    "{{ 7 * 7 }}{% raw %}",
    "--><!-- ]]> &amp; &#60;",
    "=HYPERLINK(\"http://a.example\")",
    "</title></style></svg></textarea></table>",
    "e" + "\u0301" * 40,
    "x" * 5000,
)  # fmt: skip


def hostile_finding(number: int = 0) -> dict[str, Any]:
    """Return a well-formed finding with hostile texts in every text field."""
    texts = [TEXTS[(number + place) % len(TEXTS)] for place in range(len(TEXTS))]
    first, second, third, fourth = texts[:4]
    leaf = f"{number:064x}"
    return {
        "schema": "tlsweep/1",
        "run": first,
        "target": {
            "row": number, "id": second, "host": third, "port": 443, "protocol": fourth, "sni": first, "address": second,
            "tags": {"owner": texts[4], first: second},
        },
        "started": "2026-11-08T02:00:00.000Z",
        "duration_ms": 1.0,
        "attempts": 1,
        "outcome": "fail",
        "stage": "certificate",
        "cause": "hostname-mismatch" if number % 2 else texts[5],
        "diagnoses": [
            {
                "code": "name-not-in-san" if number % 2 else texts[6],
                "cause": "hostname-mismatch",
                "severity": "error",
                "summary": texts[7],
                "evidence": {texts[8]: texts[9], "nearest": texts, "nested": {first: [second, {third: fourth}]}},
                "remedy": texts[10],
                "confirm": texts[11],
                "endpoints": texts[:3],
            }
        ],
        "clients": {first: second},
        "dns": None,
        "endpoints": [{"address": first, "chain": [leaf], "version": texts[2], "timing_ms": {}, "application": {"server": third}}],
        "certificates": [
            {"sha256": leaf, "subject": texts[3], "issuer": texts[2], "san": texts, "not_after": "2026-12-08T02:00:00Z"}
        ],
    }  # fmt: skip


def misshapen() -> list[dict[str, Any]]:
    """Return findings with values of wrong types, as far as the reader accepts them."""
    target = {"host": "a.example", "port": 443, "tags": {}}
    plain = {"schema": "tlsweep/1", "outcome": "fail", "target": target}
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    return [
        plain,
        {**plain, "target": {}},
        {**plain, "target": {"host": ["a"], "port": {}, "tags": 7, "row": "x"}},
        {**plain, "diagnoses": "no list", "cause": 7, "started": 12, "run": None},
        {
            **plain,
            "diagnoses": [None, 7, "x", {}, {"code": None, "severity": []}, {"evidence": deep, "endpoints": deep}],
        },
        {**plain, "diagnoses": [{"code": "x", "severity": "error", "summary": deep, "evidence": {"deep": deep}}] * 50},
        {**plain, "certificates": [None], "endpoints": [None]},
        {**plain, "certificates": [{"not_after": 5, "sha256": None}], "endpoints": [{"chain": [5]}]},
        {
            **plain,
            "certificates": [{"not_after": "9", "sha256": "aa"}],
            "endpoints": [{"chain": ["aa"]}],
            "started": "",
        },
        {**plain, "outcome": "invalid", "error": deep},
    ]
