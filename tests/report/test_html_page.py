"""The page holds by itself: its policy, its colours, its words escaped."""

from __future__ import annotations

import re
from typing import Any

import jinja2
import pytest

from scanner.report import html_page as page
from scanner.report.html_page import SCRIPT, STYLE, asset, environment, policy, render, rendered_rows
from scanner.report.table_rows import row_of
from tests.helpers.hostile import TEXTS, hostile_finding
from tests.report.conftest import finding
from tests.report.reading import Page

ROWS = [row_of(finding(f"h{number}.example", "fail", "dns"), "owner") for number in range(100)]


def test_rows_fit_into_their_bytes() -> None:
    kept, rendered = rendered_rows(ROWS, owners=True)
    assert kept == ROWS
    size = len(rendered[0].encode())
    kept, rendered = rendered_rows(ROWS, owners=True, limit=10 * size + 20)
    assert kept == ROWS[:10] and sum(len(text.encode()) for text in rendered) <= 10 * size + 20


def test_a_row_in_html() -> None:
    (row,), (text,) = rendered_rows([row_of(finding("a.example", "fail", "dns"), "owner", fresh=True)], owners=True)
    found = Page(str(text))
    assert found.problems == []
    assert found.one("th", scope="row").text.split() == ["a.example:443", "https", "new"]
    assert found.one("summary").text == row.summary
    assert "Mend a.example." in found.one("details").text and "dig a.example A" in found.one("details").text
    assert len(found.all("td")) == 4
    assert len(Page(str(rendered_rows([row], owners=False)[1][0])).all("td")) == 3


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_hostile_rows_are_escaped(number: int) -> None:
    (text,) = rendered_rows([row_of(hostile_finding(number), "owner")], owners=True)[1]
    found = Page(str(text))
    assert found.problems == []
    allowed = {"tr", "th", "td", "span", "details", "summary", "div", "p", "code", "b", "dl", "dt", "dd"}
    assert {one.name for one in found.elements} <= allowed
    assert {name for one in found.elements for name in one.attributes} <= {"class", "scope", "data-th"}


def test_an_undefined_variable_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        "".join(render({"rows": []}))


def test_the_environment_escapes() -> None:
    assert environment().autoescape is True
    template = environment().from_string('{{ a }}<a title="{{ a }}">')
    assert "<script>" not in template.render(a="<script>") and '"&#34;"' in template.render(a='"')


def test_only_what_is_ours_is_not_escaped() -> None:
    safe = re.findall(r"\{\{[^}]*\|\s*safe\s*\}\}", "".join(asset(name) for name in (page.TEMPLATE, page.ROWS)))
    assert sorted(safe) == [
        "{{ drawn.narrow | safe }}",
        "{{ drawn.wide | safe }}",
        "{{ script | safe }}",
        "{{ style | safe }}",
    ]


def test_the_policy_allows_what_is_inline_by_its_hash() -> None:
    assert policy("a", "b") != policy("a", "c")
    assert policy("", "").startswith(
        "default-src 'none'; style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    )


def test_style_and_script_cannot_end_their_elements() -> None:
    assert "</style" not in asset(STYLE) and "</script" not in asset(SCRIPT) and "<!--" not in asset(SCRIPT)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", asset(SCRIPT))
    assert not re.search(r"url\(|@import|expression\(", asset(STYLE))


# --- colours (WCAG 2.2: 1.4.3 text, 1.4.11 graphics) -------------------------------------------------------------------------


def palettes() -> dict[str, dict[str, str]]:
    """The colours of the light page, the dark one and the printed one."""
    blocks = re.findall(r":root \{(.*?)\}", asset(STYLE), re.S)
    light, dark, paper = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks)
    return {"light": light, "dark": {**light, **dark}, "paper": {**light, **paper}}


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TEXT_ON: Any = [
    *((text, ground) for text in ("text", "soft", "accent", "fail", "warn", "ok") for ground in ("bg", "card")),
    ("fail", "fail-bg"), ("warn", "warn-bg"), ("ok", "ok-bg"), ("accent", "new-bg"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["light", "dark", "paper"])
def test_text_has_enough_contrast(name: str) -> None:
    colours = palettes()[name]
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for text, ground in TEXT_ON:
        assert contrast(colours[text], colours[ground]) >= 4.5, f"{text} on {ground}"
    for part in colours:
        if part.startswith("c-"):
            assert contrast(colours[part], colours["card"]) >= 3, part


def test_every_colour_is_defined() -> None:
    used = set(re.findall(r"var\(--([\w-]+)\)", asset(STYLE)))
    assert used <= set(palettes()["light"])
    assert all(palette.keys() == palettes()["light"].keys() for palette in palettes().values())


def test_reduced_motion_and_print_are_respected() -> None:
    for wish in (
        "prefers-color-scheme: dark",
        "prefers-reduced-motion: reduce",
        "@media print",
        "max-width: 700px",
        ":focus-visible",
    ):
        assert wish in asset(STYLE)
