"""The language of the locale, and phrases in it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from scanner.diagnosis.catalogue import CODES
from scanner.explain.fixes import SOFTWARE, recipes
from scanner.language import ENGLISH, LANGUAGES, current_language, locale_language, set_language, translate

PACKAGE = Path(__file__).resolve().parent.parent / "scanner"
# Names that are not translated
NAMES = {"nginx", "Apache httpd", "HAProxy", "IIS", "Java", "Linux", "Windows", "macOS"}


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh-Hans"}, "zh"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "en_US", "LC_MESSAGES": "zh_CN", "LC_ALL": ""}, "zh"),
    ],
)
def test_language_of_the_locale(environ: dict[str, str], language: str) -> None:
    assert locale_language(environ) == language


def test_unknown_and_english_phrases_are_unchanged() -> None:
    for language in LANGUAGES:
        assert translate("not a known phrase", language) == "not a known phrase"
    assert translate("What clients say", "en") == "What clients say"
    assert translate("What clients say", "zh") == "各客户端的报错"


def test_the_language_of_the_process_is_the_default() -> None:
    try:
        set_language("zh")
        assert current_language() == "zh" and translate("What clients say") == "各客户端的报错"
    finally:
        set_language(ENGLISH)
    assert translate("What clients say") == "What clients say"


def translated_phrases() -> set[str]:
    """Return every phrase that is translated: the literals given to ``translate``, and those that come from tables."""
    literals = {
        argument.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("translate", "_translated")
        for argument in node.args
        if isinstance(argument, ast.Constant)
    }
    tables = {*SOFTWARE.values(), *(recipe.title for recipe in recipes()), *(code.severity for code in CODES.values())}
    return {phrase for phrase in literals if isinstance(phrase, str)} | tables


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != ENGLISH])
def test_every_phrase_is_translated(language: str) -> None:
    table = tomllib.loads((PACKAGE / "data" / f"phrases.{language}.toml").read_text("utf-8"))
    assert translated_phrases() - set(table) - NAMES == set()
    assert all(text and text == " ".join(text.split()) for text in table.values())
