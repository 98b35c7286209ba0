"""Every error in a list of what TLS clients report gets an answer, and one that fits: by its name, its number and its text.

The list (2,143 errors with their names, numbers and texts, a JSON document with ``entries``) is not part of the project:
TLSWEEP_ERRORS names the file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanner.diagnosis.catalogue import CODES
from scanner.explain.meanings import Interpretation, interpret

DEFAULT = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tls-client-errors.json"
ERRORS = Path(os.environ.get("TLSWEEP_ERRORS", DEFAULT))
pytestmark = pytest.mark.skipif(
    not ERRORS.is_file(), reason=f"the list of errors is not at {ERRORS}; TLSWEEP_ERRORS may name the file"
)

# Texts of the list that are no message: the form of one, a prefix, and a word that says that nothing is wrong
NOT_MESSAGES = frozenset({"tls:", "ok"})
# What stands for the variable parts of a text in the list
VARIABLE = re.compile(r"%[a-zA-Z]+|\$\{\w+\}|\{\w+\}")
# curl's text for a scheme of URLs that it does not know is OpenSSL's for a version; that of an FTP error is of connecting.
TEXT_OF_ANOTHER = frozenset({"CURLE_UNSUPPORTED_PROTOCOL", "CURLE_FTP_ACCEPT_FAILED"})
# In Java's expressions: the check that failed, then the class's own constants
CHECKS = ("signature", "basic constraints", "name constraints", "CA key usage", "subject/issuer name chaining")

# Words of a name -> the cause that its answer must have among its codes; the first that fits holds
CAUSES_BY_NAME: tuple[tuple[str, str | None], ...] = (
    (r"PKCS1[12]|ERR_IMPORT_|FORTEZZA|OPENPGP|TPM_|MEMORY|OUT_OF_MEM|PASSWORD|NICKNAME|KEYGEN|SEC_ERROR_(?:JS|NO_TOKEN)|SECPKG", None),
    (r"^CURLE_(?:FTP|TFTP|RTSP|SSH|LDAP|HTTP)", None),
    (r"SEC_I_|CURLE_OK|E_SUCCESS$", None),
    (r"DC_|SEC_E_CONTEXT|TX_|CURLE_UNSUPPORTED|OCSP|CRL|KRL|CKL|KDC|SMARTCARD|TIMEOUT|TIMER|PSK|EARLY", ""),
    (r"_REVOKED_CERT_ALERT|(?:_A|_AD|_ALERT)_CERTIFICATE_(?:EXPIRED|REVOKED)|_EXPIRED_CERT_ALERT", "client-certificate"),
    (r"EXPIRED_ISSUER|VALIDITYPERIODNESTING|YET_VALID_ISSUER", "chain-validation"),
    (r"EXPIRED|NOT_YET_VALID|NOT_ACTIVATED|NOT_YET_ACTIVATED|TIME_VALID|DATE_INVALID", "expired-or-self-signed"),
    (r"REVOKED", "revoked"),
    (r"HOSTNAME_MISMATCH|IP_ADDRESS_MISMATCH|BAD_CERT_DOMAIN|CN_NO_MATCH|COMMON_NAME|WRONG_PRINCIPAL|ALTNAME", "hostname-mismatch"),
    (r"SELF_SIGNED_CERT(?!_GEN)", "untrusted-ca"),
    (r"UNTRUSTED|UNKNOWN_ISSUER|AUTHORITY_INVALID|UNABLE_TO_GET_ISSUER|SIGNER_NOT_FOUND", "untrusted-ca"),
    (r"CONSTRAINT_VIOLATION|SUBTREE|NOT_IN_NAME_SPACE|PATH_?LEN|INVALID_CA$|NOT_CA$|CRITICAL_EXT", "chain-validation"),
    (r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|UNSUPPORTED_VERSION|OBSOLETE_VERSION", "protocol-version"),
    (r"NO_SHARED_CIPHER|NO_CYPHER|NO_CIPHER_SUITES|INSUFFICIENT_SECURITY_ALERT|DH_KEY_TOO_SMALL", "cipher-mismatch"),
    (r"NO_APPLICATION_PROTOCOL|ALPN_NEG", "cipher-mismatch"),
    (r"CERTIFICATE_REQUIRED|CLIENT_AUTH_CERT_NEEDED", "client-certificate"),
    (r"TRANSPARENCY|_SCTS?_|NO_VALID_SCTS", "certificate-transparency"),
    (r"RX_MALFORMED|RX_UNEXPECTED|RX_UNKNOWN", "server-misconfiguration"),
    (r"UNRECOGNIZED_NAME|INTERNAL_ERROR_ALERT|WRONG_VERSION_NUMBER|RECORD_TOO_LONG", "server-misconfiguration"),
    (r"NAME_NOT_RESOLVED|RESOLVE_HOST$|NAME_RESOLUTION", "dns"),
    (r"CONNECTION_REFUSED|CONNECTION_RESET|UNREACHABLE|TIMED_?OUT", "network-blocked"),
)  # fmt: skip


def entries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ERRORS.read_text("utf-8"))["entries"] if ERRORS.is_file() else []
    return found


def message(entry: dict[str, Any]) -> str:
    """Return the message as the client prints it; "" if the entry has none."""
    text = (entry["text"] or "").strip()
    if text in NOT_MESSAGES or text.startswith("[LIB: REASON]"):
        return ""
    if entry["client"] == "java":
        literals = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
        check = CHECKS[len(text) % len(CHECKS)] if text.startswith("msg +") else ""
        name = entry["name"].partition("/")[0]
        text = f"{name}: {check}{' X '.join(literals)}"
    return VARIABLE.sub("X", text)


def causes(interpretation: Interpretation) -> set[str]:
    return {CODES[code].cause for code in interpretation.codes}


def wrong(names: Iterator[str]) -> list[str]:
    """Return the names whose answer lacks the cause that the words of the name stand for."""
    found = []
    for name in names:
        wanted = next((cause for pattern, cause in CAUSES_BY_NAME if re.search(pattern, name)), "")
        interpretation = interpret(name)
        if interpretation.codes if wanted is None else wanted and wanted not in causes(interpretation):
            found.append(f"{name}: {[meaning.id for meaning in interpretation.meanings]}")
    return found


def test_every_name_is_known() -> None:
    names = [
        entry["name"]
        for entry in entries()
        if entry["name"] and entry["client"] not in ("java", "java-alert", "python") and entry["name"] != "X509_V_OK"
    ]
    assert len(names) > 1400
    assert [name for name in names if " " not in name and not interpret(name).meanings] == []


def test_names_lead_to_the_cause_that_they_name() -> None:
    assert (
        wrong(entry["name"] for entry in entries() if entry["name"] and entry["client"] not in ("java", "python")) == []
    )


def test_every_text_is_known() -> None:
    texts = [text for entry in entries() if (text := message(entry))]
    assert len(texts) > 1800
    assert [text for text in texts if not interpret(text).meanings] == []


def test_a_text_means_what_its_name_means() -> None:
    differing = []
    for entry in entries():
        name, text = entry["name"], message(entry)
        if not name or not text or entry["client"] in ("java", "java-alert", "python") or " " in name:
            continue
        if name in TEXT_OF_ANOTHER:
            continue
        by_name, by_text = interpret(name), interpret(text)
        both_name_none = not by_name.codes and not by_text.codes
        if not both_name_none and not set(by_name.codes[:3]) & set(by_text.codes):
            differing.append(f"{name}: {by_name.codes[:3]} and {text[:60]}: {by_text.codes[:3]}")
    assert differing == []


@pytest.mark.parametrize(
    ("client", "form"),
    [("openssl-verify", "verify error:num={}"), ("curl", "curl: ({})"), ("firefox", "NSS error {}"), ("chrome", "net_error {}"),
     ("gnutls", "gnutls_handshake() failed: {}"), ("schannel", "HRESULT {}")],
)  # fmt: skip
def test_every_number_is_known(client: str, form: str) -> None:
    numbers = [entry["code"] for entry in entries() if entry["client"] == client and entry["code"] not in (None, 0)]
    # success codes of Windows are not error numbers
    numbers = [number for number in numbers if client != "schannel" or number < 0]
    assert len(numbers) > 60
    assert [number for number in numbers if not interpret(form.format(number)).recognised.errors] == []
