"""Recipes exist for every code and for the usual software, and never disable verification."""

from __future__ import annotations

import re

import pytest

from scanner.diagnosis.catalogue import CODES
from scanner.explain.fixes import SOFTWARE, Recipe, recipes, recipes_for

# Settings that disable verification
DISABLES_VERIFICATION = re.compile(
    r"--insecure|\bcurl[^\n]* -k\b|verify ?= ?false|verify_mode|InsecureSkipVerify|rejectUnauthorized|REJECT_UNAUTHORIZED|"
    r"no-check-certificate|http\.sslVerify|strict-ssl|TrustAll|trustServerCertificate|verify=none|verify none|"
    r"ignore[- ]certificate|disable[- ]web-security|ServerCertificateValidationCallback|verification off|--no-verify",
    re.IGNORECASE,
)


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_recipe(code: str) -> None:
    assert recipes_for([code])


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.id)
def test_no_recipe_disables_verification(recipe: Recipe) -> None:
    assert recipe.codes <= set(CODES)
    assert recipe.steps and set(recipe.steps) <= set(SOFTWARE)
    for line in (line for lines in recipe.steps.values() for line in lines):
        assert line == line.strip() and line
        assert not DISABLES_VERIFICATION.search(line), line


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
def test_codes_have_recipes_for_the_usual_software(code: str, software: set[str]) -> None:
    assert software <= {name for recipe in recipes_for([code]) for name in recipe.steps}


def test_the_recipe_for_most_of_the_codes_comes_first() -> None:
    assert recipes_for(["no-shared-cipher", "no-shared-group"])[0].id == "versions-and-suites"
