"""What the library draws comes into the page as shapes and words alone."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from scanner.report import svg as drawing
from scanner.report.svg import DrawingError, cleaned, draw, why_unavailable
from scanner.text import printable
from tests.helpers.hostile import TEXTS

FORBIDDEN = {"style", "href", "class"}
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="20" viewBox="0 0 10 20">'


def test_the_drawing_library_is_installed() -> None:
    assert why_unavailable() is None


def test_the_library_is_not_called_where_it_would_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("mmap.mmap", refuse)
    assert why_unavailable() == drawing.FORBIDDEN
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert why_unavailable() == drawing.MISSING


def test_only_shapes_and_words_are_left() -> None:
    given = (
        f'{HEAD}<style>x{{}}</style><script>alert(1)</script><g class="a" style="fill:red" onclick="x()" aria-label="b">'
        '<a href="javascript:alert(1)"><text>in a link</text></a><image href="http://a.example/"/>'
        '<path d="M0,0h1.23456v2" fill="var(--c-fail)" opacity="1"/><text fill="#123">a &lt;b&gt; &amp; c</text></g></svg>'
    )
    assert cleaned(given) == (
        '<svg viewBox="0 0 10 20" width="10" height="20" aria-hidden="true" focusable="false">'
        '<path d="M0,0h1.2v2" fill="var(--c-fail)"/><text fill="#123">a &lt;b&gt; &amp; c</text></svg>'
    )


@pytest.mark.parametrize(
    "given",
    [
        "no xml",
        "<html/>",
        f'{HEAD}<path d="M0" fill="url(http://a.example)"/></svg>',
        f'{HEAD}<path d="M0" fill="red;x:expression(1)"/></svg>',
        f"{HEAD}<path",
    ],
)
def test_what_is_not_an_svg_is_refused(given: str) -> None:
    with pytest.raises(DrawingError):
        cleaned(given)


def test_hostile_labels_are_escaped() -> None:
    texts = [text for text in TEXTS if text.isprintable()]
    drawn = draw(
        {
            "data": {"values": [{"label": text, "n": 1} for text in texts]},
            "mark": {"type": "text", "limit": 0},
            "encoding": {"y": {"field": "label", "type": "nominal"}, "text": {"field": "label"}},
        }
    )
    tree = ElementTree.fromstring(drawn)
    names = {element.tag for element in tree.iter()}
    assert names <= {"svg", "g", "path", "line", "rect", "text"}
    assert not {
        name for element in tree.iter() for name in element.keys() if name.startswith("on") or name in FORBIDDEN
    }
    shown = {element.text for element in tree.iter("text")}
    assert {printable(text) for text in texts if len(text) < 100} <= shown


def test_nothing_is_fetched() -> None:
    with pytest.raises(ValueError, match=r"(?i)not allowed|denied|failed|access"):
        draw({"data": {"url": "https://a.example/data.csv"}, "mark": "bar", "encoding": {"x": {"field": "a"}}})


def test_characters_that_xml_cannot_hold_do_not_end_the_process() -> None:
    drawn = draw(
        {
            "data": {"values": [{"label": "a\x1b\x00\ud800\ufffe\x9b" + "x" * 100_000, "n": 1}]},
            "mark": {"type": "text", "limit": 0},
            "encoding": {"text": {"field": "label"}},
        }
    )
    assert "a\\x1b\\x00\\ud800\\ufffe\\x9bxxx" in drawn
    assert len(drawn) < 5000


def test_text_that_reverses_what_follows_is_escaped() -> None:
    drawn = draw(
        {
            "data": {"values": [{"label": "a\u202eb"}]},
            "mark": {"type": "text", "limit": 0},
            "encoding": {"text": {"field": "label"}},
        }
    )
    assert "a\\u202eb" in drawn
