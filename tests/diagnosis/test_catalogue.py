"""The catalogue is whole, in order, and honest; docs/causes.md says the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scanner.diagnosis.catalogue import CAUSES, CODES, cause_texts, rank, translated, words_of
from scanner.diagnosis.wording import Wording
from scanner.language import LANGUAGES
from scripts import build_causes
from tests.helpers.evidence import target

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = {"s_client", "s_client_of_warning", "s_client_no_sni", "s_client_trusting", "curl", "curl_proxy", "dig"}
COMMANDS |= {"q_host", "q_address", "q_owner", "q_first", "q_url", "q_serial", "port"}
FIELD = re.compile(r"\{(\w+)\}")


def test_fifteen_causes_each_with_codes() -> None:
    assert len(CAUSES) == 15
    assert {code.cause for code in CODES.values()} == set(CAUSES)
    assert len(CODES) == 103


def test_causes_are_in_the_order_of_a_connection() -> None:
    assert CAUSES[0] == "dns" and CAUSES[-1] == "certificate-transparency"
    assert rank("nxdomain") < rank("connect-timeout") < rank("plaintext-on-tls-port") < rank("legacy-version-only")
    assert rank("certificate-expired") < rank("intermediate-not-sent") < rank("untrusted-root") < rank("bad-signature")
    assert len({rank(code) for code in CODES}) == len(CODES)


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_code_has_words(code: object) -> None:
    """Every code has all its words, one line each, and no advice to look away."""
    entry = CODES[code.code]  # type: ignore[attr-defined]
    texts = (entry.title, entry.proof, *entry.summary, *entry.remedy, *entry.confirm)
    assert all(text and text == " ".join(text.split()) for text in texts)
    assert all(text.endswith(".") for text in (*entry.summary, *entry.remedy))
    assert not entry.title.endswith(".") and not entry.proof.endswith(".")
    told = " ".join(texts).lower()
    for wrong in ("insecure", "-k ", "--no-check", "verify=false", "verification off", "disable verif"):
        assert wrong not in told
    assert all(set(FIELD.findall(command)) <= COMMANDS for command in entry.confirm)


def test_what_is_said_to_be_judged_is() -> None:
    """A code that some rule or judge names is judged, and one that none names is not."""
    package = ROOT / "scanner"
    rooms = [package / "diagnosis" / "rules", package / "diagnosis", package / "trust", package / "x509"]
    left_out = {
        "catalogue.py",
        "clients.py",
        "client_endings.py",
        "client_evidence.py",
        "client_texts.py",
        "wording.py",
    }
    named = {
        node.value
        for room in rooms
        for path in room.glob("*.py")
        if path.name not in left_out
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert {code for code, entry in CODES.items() if entry.judged} == named & set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_words_without_evidence(code: str) -> None:
    """With no evidence at all there still is a sentence, a remedy without holes, and no half-filled command."""
    words = Wording(target(), "192.0.2.1")
    for text in (words.summary(code, {}), words.remedy(code, {}), words.confirm(code, {}) or ""):
        assert "{" not in text and "None" not in text
    assert words.summary(code, {})


def test_every_code_is_on_the_page_of_causes() -> None:
    page = build_causes.build()
    assert all(f"### {code}\n" in page for code in CODES)


OTHER_LANGUAGES = [language for language in LANGUAGES if language != "en"]


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_every_code_in_every_language(code: str, language: str) -> None:
    """As many sentences as in English, each with the same {fields}, in the same order; and no advice to look away."""
    english, other = CODES[code], words_of(code, language)
    assert code in translated(language), "new in English: translate it"
    assert [set(FIELD.findall(text)) for text in other.summary] == [
        set(FIELD.findall(text)) for text in english.summary
    ]
    assert [set(FIELD.findall(text)) for text in other.remedy] == [set(FIELD.findall(text)) for text in english.remedy]
    for text in (other.title, other.proof, *other.summary, *other.remedy):
        assert text == " ".join(text.split()) and not text.isascii()
    assert all(text.endswith(translated(language)["general"]["."]) for text in (*other.summary, *other.remedy))
    assert not re.search(r"关闭(?:证书)?验证|跳过验证|忽略证书", f"{other.summary} {other.remedy}")


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_nothing_else_is_translated(language: str) -> None:
    table = translated(language)
    assert set(table) == {*CODES, "causes", "values", "general"}
    assert list(table["causes"]) == list(CAUSES)
    for code in CODES:
        assert set(table[code]) == {"title", "proof", "summary", "remedy"}


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_words_without_evidence_in_every_language(code: str, language: str) -> None:
    words = Wording(target(), "192.0.2.1", language=language)
    for text in (words.summary(code, {}), words.remedy(code, {})):
        assert "{" not in text and "None" not in text and text


def test_every_cause_of_the_catalogue_is_described() -> None:
    assert list(cause_texts()) == list(CAUSES)
