"""Cases of ``caa-forbids-issuer`` (RFC 8659)."""

from __future__ import annotations

import pytest

from scanner.diagnosis.rules.caa import authorities, authority_of
from tests.helpers import pki
from tests.helpers.evidence import AT, HOST, answered, codes, diagnosed, dns, evidence, proof, root, target, verifier

ISSUER = pki.certificate(
    pki.name(C="US", O="Let's Encrypt", CN="E7"), issuer=root(), ca=True, not_after=AT + 900 * pki.DAY
)
Record = tuple[int, str, str]


def judged(
    records: tuple[Record, ...],
    *,
    owner: str = "example.org",
    names: tuple[str, ...] = (HOST,),
    public: bool = True,
    host: str = HOST,
) -> list[str]:
    certificate = pki.certificate("x", issuer=ISSUER, san=names)
    seen = evidence(answered((certificate, ISSUER)), of=target(host), answer=dns(caa=records, caa_owner=owner))
    return codes(diagnosed(seen, verifier(public=public)))


@pytest.mark.parametrize(
    ("records", "forbidden"),
    [
        ((), False),
        (((0, "issue", "letsencrypt.org"),), False),
        (((0, "issue", "LetsEncrypt.org; accounturi=https://x/1"),), False),
        (((0, "ISSUE", '"letsencrypt.org"'),), False),
        (((0, "issue", "digicert.com"), (0, "issue", "letsencrypt.org")), False),
        (((0, "iodef", "mailto:a@example.org"),), False),
        (((0, "issuewild", "digicert.com"),), False),  # not about this certificate, which is no wildcard
        (((0, "issue", "digicert.com"),), True),
        (((0, "issue", ";"),), True),
        (((0, "issue", ""),), True),
        (((0, "issue", "%%%"),), True),
        (((0, "issue", "letsencrypt.org"), (128, "tbs", "unknown")), True),
        (((0, "issue", "letsencrypt.org"), (0, "tbs", "unknown")), False),
        (((128, "issue", "letsencrypt.org"),), False),
    ],
)
def test_set_for_a_name_decides_by_its_issue_property(records: tuple[Record, ...], forbidden: bool) -> None:
    assert judged(records) == (["caa-forbids-issuer?"] if forbidden else [])


@pytest.mark.parametrize(
    ("records", "forbidden"),
    [
        (((0, "issue", "letsencrypt.org"), (0, "issuewild", ";")), True),
        (((0, "issue", "digicert.com"), (0, "issuewild", "letsencrypt.org")), False),
        (((0, "issue", "digicert.com"),), True),
    ],
)
def test_set_for_a_wildcard_decides_by_its_issuewild_property(records: tuple[Record, ...], forbidden: bool) -> None:
    """``issuewild`` takes the place of ``issue`` where there is one."""
    assert judged(records, names=("*.example.org",)) == (["caa-forbids-issuer?"] if forbidden else [])


OTHER_ISSUER = pki.certificate(
    pki.name(C="CH", O="Nobody Knows It, Inc.", CN="NK 1"), issuer=root(), ca=True, not_after=AT + 900 * pki.DAY
)


@pytest.mark.parametrize(
    ("records", "names", "forbidden"),
    [
        (((0, "issue", ";"),), (HOST,), True),
        (((0, "issue", ""), (0, "issue", ";")), (HOST,), True),
        (((0, "issue", "%%%"),), (HOST,), True),
        (((0, "issue", "letsencrypt.org"), (0, "issuewild", ";")), ("*.example.org",), True),
        (((0, "issue", "letsencrypt.org"), (0, "issuewild", ";")), (HOST,), False),
        (((0, "issue", ";"), (0, "issue", "letsencrypt.org")), (HOST,), False),  # perhaps that is its name
        (((0, "iodef", "mailto:a@example.org"),), (HOST,), False),
    ],
)
def test_set_that_allows_nobody_forbids_a_ca_that_is_not_in_the_table(
    records: tuple[Record, ...], names: tuple[str, ...], forbidden: bool
) -> None:
    certificate = pki.certificate("x", issuer=OTHER_ISSUER, san=names)
    seen = evidence(answered((certificate, OTHER_ISSUER)), answer=dns(caa=records, caa_owner="example.org"))
    diagnosis = diagnosed(seen, verifier(public=True))
    assert codes(diagnosis) == (["caa-forbids-issuer?"] if forbidden else [])
    if forbidden:
        assert diagnosis.diagnoses[0]["summary"] == (
            "The CAA records at example.org allow no CA; Nobody Knows It, Inc. issued this certificate."
        )


def test_a_set_below_the_wildcards_domain_does_not_govern_it() -> None:
    records = ((0, "issue", "digicert.com"),)
    assert judged(records, owner=HOST, names=("*.example.org",)) == []


def test_without_a_matching_public_certificate_there_is_no_claim() -> None:
    """On private CAs, on CAs that are not in the table, and where the certificate is for somebody else."""
    forbidding = ((0, "issue", ";"),)
    assert judged(forbidding, public=False) == []
    assert "caa-forbids-issuer?" not in judged(forbidding, names=("other.example.net",))
    assert authority_of("CN=Corp CA,O=Example Corp") is None


def test_claim_names_the_ca_and_the_set() -> None:
    seen = evidence(
        answered((pki.certificate(HOST, issuer=ISSUER), ISSUER)),
        answer=dns(caa=((0, "issue", "digicert.com"),), caa_owner="example.org"),
    )
    diagnosis = diagnosed(seen, verifier(public=True))
    assert diagnosis.diagnoses[0]["summary"] == (
        "The CAA records at example.org do not allow Let's Encrypt, which issued this certificate; they allow digicert.com."
    )
    assert proof(diagnosis, "caa-forbids-issuer")["ca_domains"] == ["letsencrypt.org"]


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        ("CN=R11,O=Let's Encrypt,C=US", "Let's Encrypt"),
        ("CN=WE1,O=Google Trust Services,C=US", "Google Trust Services"),
        ("CN=GTS CA 1C3,O=Google Trust Services LLC,C=US", "Google Trust Services"),
        ("CN=DigiCert Global G2 TLS RSA SHA256 2020 CA1,O=DigiCert Inc,C=US", "DigiCert"),
        ("CN=Sectigo RSA Domain Validation Secure Server CA,O=Sectigo Limited,C=GB", "Sectigo"),
        ("CN=ZeroSSL ECC Domain Secure Site CA,O=ZeroSSL,C=AT", "Sectigo"),
        ("CN=x,O=GoDaddy.com\\, Inc.,C=US", "GoDaddy"),
        ("CN=Amazon RSA 2048 M02,O=Amazon,C=US", "Amazon"),
        ("CN=O\\=DigiCert,O=Example Corp", None),
        ("CN=x,O=Amazonia Forest CA", None),
        ("O=", None),
        ("", None),
    ],
)
def test_issuers_are_found_in_the_table(issuer: str, name: str | None) -> None:
    found = authority_of(issuer)
    assert (found.name if found else None) == name


def test_table_has_lower_case_domains_and_organizations() -> None:
    for authority in authorities():
        assert authority.domains and authority.organizations
        assert all(domain == domain.lower() and "." in domain for domain in authority.domains)
