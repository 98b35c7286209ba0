"""Which language is wanted, and phrases in it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from scanner.diagnosis.catalogue import CODES
from scanner.explain.fixes import SOFTWARE, recipes
from scanner.language import ENGLISH, LANGUAGES, of_locale, say, speak, spoken

PACKAGE = Path(__file__).resolve().parent.parent / "scanner"
# Names that are the same in every language
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
def test_the_locale(environ: dict[str, str], language: str) -> None:
    assert of_locale(environ) == language


def test_phrases() -> None:
    for language in LANGUAGES:
        assert say("nothing that anybody says", language) == "nothing that anybody says"
    assert say("What clients say", "en") == "What clients say"
    assert say("What clients say", "zh") == "各客户端的报错"


def test_what_is_spoken() -> None:
    try:
        speak("zh")
        assert spoken() == "zh" and say("What clients say") == "各客户端的报错"
    finally:
        speak(ENGLISH)
    assert say("What clients say") == "What clients say"


def said() -> set[str]:
    """Every phrase that the program says: the literals given to ``say``, and those that it takes from tables."""
    literals = {
        argument.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("say", "_said")
        and path.name != "running.py"  # where it is another function
        for argument in node.args
        if isinstance(argument, ast.Constant)
    }
    tables = {*SOFTWARE.values(), *(recipe.title for recipe in recipes()), *(code.severity for code in CODES.values())}
    return {phrase for phrase in literals if isinstance(phrase, str)} | tables


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != ENGLISH])
def test_every_phrase_is_there(language: str) -> None:
    table = tomllib.loads((PACKAGE / "data" / f"phrases.{language}.toml").read_text("utf-8"))
    assert said() - set(table) - NAMES == set()
    assert all(text and text == " ".join(text.split()) for text in table.values())
