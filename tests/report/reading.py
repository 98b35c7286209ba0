"""A page read back as a browser would take it apart, as far as the standard library does that."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "input", "br", "img", "rect", "path", "line"})


@dataclass
class Element:
    """An element with its attributes, and the text that is directly in it or below."""

    name: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """All elements in order; ``problems`` are tags that do not match."""

    source: str
    elements: list[Element] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []
        self.feed(self.source)
        self.close()
        self.problems += [f"<{element.name}> is never closed" for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) != len(names):
            self.problems.append(f"<{tag}> has an attribute twice")
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].name != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1].name if self._open else 'nothing'}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, name: str, **attributes: str) -> list[Element]:
        """Elements of a name with these attributes."""
        return [
            element
            for element in self.elements
            if element.name == name and all(element.attributes.get(key) == value for key, value in attributes.items())
        ]

    def one(self, name: str, **attributes: str) -> Element:
        """The only such element."""
        (element,) = self.all(name, **attributes)
        return element


def check_page(source: str) -> Page:
    """The page, after everything was looked at that holds for each of them."""
    page = Page(source)
    assert page.problems == []
    _nothing_acts(page)
    _policy_lets_in_what_is_there(page)
    _can_be_heard(page)
    return page


def _nothing_acts(page: Page) -> None:
    assert {element.name for element in page.elements} <= {
        "html", "head", "meta", "title", "link", "style", "body", "a", "header", "p", "h1", "h2", "nav", "ul", "li", "main",
        "section", "dl", "div", "dt", "dd", "strong", "span", "b", "i", "br", "table", "caption", "thead", "tbody", "tr", "th", "td",
        "details", "summary", "figure", "figcaption", "svg", "g", "path", "line", "rect", "text", "code", "label", "input",
        "select", "option", "button", "footer", "script",
    }  # fmt: skip
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name in ("style", "src", "action")]
        href = element.attributes.get("href")
        assert href is None or href.startswith("#") or href == "data:," or re.fullmatch(r"[\w.%-]+\.csv", href), href
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page.source)


def _policy_lets_in_what_is_there(page: Page) -> None:
    meta = page.all("meta")
    assert meta[0].attributes == {"charset": "utf-8"}
    policy = meta[1].attributes
    assert policy["http-equiv"] == "Content-Security-Policy"
    rules = dict(rule.split(" ", 1) for rule in policy["content"].split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy["content"] and "*" not in policy["content"] and "http" not in policy["content"]
    for name, rule in (("style", "style-src"), ("script", "script-src")):
        content = page.source.split(f"<{name}>")[1].split(f"</{name}>")[0]
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
        assert len(page.all(name)) == 1


def _can_be_heard(page: Page) -> None:
    assert page.one("html").attributes["lang"] == "en"
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        for name in ("aria-labelledby", "for"):
            assert element.attributes.get(name) is None or element.attributes[name] in ids
        if element.attributes.get("href", "").startswith("#"):
            assert element.attributes["href"][1:] in ids
    for landmark in ("header", "main", "footer", "nav", "h1", "title"):
        assert len(page.all(landmark)) == 1
    assert len(page.all("table")) == len(page.all("caption")) and all(one.text.strip() for one in page.all("caption"))
    assert all(one.attributes.get("scope") in ("col", "row") for one in page.all("th"))
    assert all(one.attributes.get("aria-hidden") == "true" for one in page.all("svg"))
    assert len(page.all("figure")) == len(page.all("figcaption"))
    assert page.all("a")[0].attributes == {"class": "skip", "href": "#main"}
