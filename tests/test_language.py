"""Which language is wanted, and phrases in it."""

from __future__ import annotations

import pytest

from scanner.language import LANGUAGES, of_locale, say


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
