"""Recognises pages that answer in place of a target: login pages of networks and notices of blocked sites.

They have no certificate for the names of others, so the certificate is for another name. Their HTTP response shows
what they are: where it redirects to, what it calls itself, what it asks for.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from scanner.model.evidence import Completion, EndpointEvidence
from scanner.trust.interceptors import is_portal_key
from scanner.trust.verdicts import ChainVerdict

# The follow-up that brings an HTTP response
HTTP_QUESTION: Final = "http"
# RFC 6585 section 6: "Network Authentication Required", which is for portals alone
NETWORK_AUTHENTICATION: Final = 511
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# WISPr, by which hotspots identify themselves (Wi-Fi Alliance, WISPr 1.0 appendix D)
_WISPR: Final = b"WISPAccessGatewayParam"
_LOGIN: Final = (  # compiled when it is needed, as most runs meet no page
    r"(?<![a-z])(?:captive|portal|hotspot|guest|splash|wi-?fi|wlan|webauth|log-?in|log-?on|sign-?in|blocked|block|blockpage"
    r"|denied|restricted|webfilter|acceptable-use)(?![a-z])"
)
KNOWN_KEY: Final = "its key is known for a portal's"
# Characters of a page's address that are kept.
_LONGEST_PAGE: Final = 300


class Page(Struct, frozen=True):
    """A page that answered instead of the target.

    ``page`` names it: host and path of its redirect, else its certificate. ``proof``: it identifies itself as a
    network's login page, or its key is known as one's; without proof it may be any site's login page.
    """

    page: str
    host: str | None
    proof: str | None = None


def page_of(name: str, endpoint: EndpointEvidence, verdict: ChainVerdict | None) -> Page | None:
    """Return the page that answered for ``name`` at ``endpoint`` under a certificate for another name, if it is one."""
    if verdict is None or verdict.leaf is None or verdict.name is None or verdict.name.matches:
        return None
    answer = endpoint.completions.get(HTTP_QUESTION)
    known_key = is_portal_key(verdict.leaf)
    if answer is None or answer.status is None:
        return Page(_of_certificate(verdict), None, KNOWN_KEY) if known_key else None
    place = _place(answer, name)
    proof = _proof(answer, known_key=known_key)
    if place is None:
        return None if proof is None else Page(_of_certificate(verdict), None, proof)
    host, path = place
    page = f"{host}{path}"[:_LONGEST_PAGE]
    login = re.search(_LOGIN, page, re.IGNORECASE) is not None
    return Page(page, host, proof) if login or proof is not None else None


def _of_certificate(verdict: ChainVerdict) -> str:
    leaf = verdict.leaf
    return "" if leaf is None else f"the page under certificate {leaf.sha256[:16]}"


def _proof(answer: Completion, *, known_key: bool) -> str | None:
    if answer.status == NETWORK_AUTHENTICATION:
        return "it answers 511 Network Authentication Required"
    if _WISPR in answer.reply:
        return "it calls itself a hotspot's gateway (WISPr)"
    return KNOWN_KEY if known_key else None


def _place(answer: Completion, name: str) -> tuple[str, str] | None:
    """Return host and path of a redirect away from ``name``, without its query, which differs by target."""
    if answer.status not in _REDIRECTS and answer.status != NETWORK_AUTHENTICATION:
        return None
    try:
        parts = urlsplit(answer.location or "")
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return None
    same = host == name or host.endswith(f".{name}") or name.endswith(f".{host}")
    return None if not host or same else (host, parts.path or "/")
