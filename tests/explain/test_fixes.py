"""The recipes: for every code, for the software that serves it, and never by looking away."""

from __future__ import annotations

import re

import pytest

from scanner.diagnosis.catalogue import CODES
from scanner.explain.fixes import SOFTWARE, recipes, recipes_for

# What an answer must never advise
LOOKING_AWAY = re.compile(
    r"--insecure|\bcurl[^\n]* -k\b|verify ?= ?false|verify_mode|InsecureSkipVerify|rejectUnauthorized|REJECT_UNAUTHORIZED|"
    r"no-check-certificate|http\.sslVerify|strict-ssl|TrustAll|trustServerCertificate|verify=none|verify none|"
    r"ignore[- ]certificate|disable[- ]web-security|ServerCertificateValidationCallback|verification off|--no-verify",
    re.IGNORECASE,
)


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_one(code: str) -> None:
    assert recipes_for([code])


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.id)
def test_recipes(recipe: object) -> None:
    one = next(each for each in recipes() if each is recipe)
    assert one.codes <= set(CODES)
    assert one.steps and set(one.steps) <= set(SOFTWARE)
    for line in (line for lines in one.steps.values() for line in lines):
        assert line == line.strip() and line
        assert not LOOKING_AWAY.search(line), line


@pytest.mark.parametrize(
    ("code", "software"),
    [
        ("intermediate-not-sent", {"nginx", "apache", "haproxy", "iis", "java", "renewal"}),
        ("certificate-expired", {"nginx", "apache", "haproxy", "iis", "java", "renewal"}),
        ("name-not-in-san", {"nginx", "apache", "haproxy", "iis", "java", "renewal"}),
        ("untrusted-root", {"linux", "windows", "macos", "java", "client"}),
        ("legacy-version-only", {"nginx", "apache", "haproxy", "iis", "java"}),
        ("client-certificate-required", {"nginx", "apache", "haproxy", "iis", "java", "client"}),
        ("must-staple-missing", {"nginx", "apache", "haproxy", "iis", "renewal"}),
        ("plaintext-on-tls-port", {"nginx", "apache", "haproxy", "iis", "java"}),
        ("local-clock-wrong", {"linux", "windows"}),
    ],
)
def test_the_usual_software(code: str, software: set[str]) -> None:
    assert software <= {name for recipe in recipes_for([code]) for name in recipe.steps}


def test_what_helps_most_comes_first() -> None:
    assert recipes_for(["no-shared-cipher", "no-shared-group"])[0].id == "versions-and-suites"
