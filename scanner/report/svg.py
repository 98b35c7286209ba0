"""Makes a chart's specification into SVG that can be part of the page: drawn by Vega, then cut down to shapes and words.

What comes back from the drawing library is read as XML and written anew with only the elements and attributes named here:
no style attribute (the page's content-security-policy would refuse it), no link, no script, nothing that is loaded, and a
third of the size. Colours are the page's own custom properties, so that light, dark and print are one drawing.
"""

from __future__ import annotations

import importlib.util
import mmap
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from scanner.text import printable, shorten

# What to say if there are no charts; the page has its tables without them.
MISSING: Final = "charts are left out, their tables are there: pip install vl-convert-python draws them"
FORBIDDEN: Final = (
    "charts are left out, their tables are there: this system forbids memory that is written and then executed"
    " (MemoryDenyWriteExecute= of systemd, execmem of SELinux), and the drawing library would be killed without it"
)

# Characters of a text in a chart: the longest that fit beside a bar have some 40.
MAX_TEXT: Final = 200

_SVG: Final = "{http://www.w3.org/2000/svg}"
_ELEMENTS: Final = frozenset({"svg", "g", "path", "line", "rect", "text"})
_ATTRIBUTES: Final = frozenset(
    {
        "d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "transform", "viewBox", "fill", "stroke",
        "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "text-anchor", "font-size",
        "font-weight", "opacity", "fill-opacity", "stroke-opacity",
    }
)  # fmt: skip
_SAFE_VALUE: Final = re.compile(r"[\w\s.,#%()+-]*")
_LONG_NUMBER: Final = re.compile(r"-?\d+\.\d{2,}")


class DrawingError(Exception):
    """The library drew something unexpected: our specification or its version is wrong."""


def why_unavailable() -> str | None:
    """Return why no chart can be drawn; ``None`` where the drawing library is there and can run.

    The library compiles as it runs (V8), and where the system forbids that, it ends the whole process.
    """
    if importlib.util.find_spec("vl_convert") is None:
        return MISSING
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        return FORBIDDEN
    return None


def draw(specification: Mapping[str, Any]) -> str:
    """Return the chart of a Vega-Lite specification that contains its data, as an ``svg`` element; see ``why_unavailable``."""
    import vl_convert

    return cleaned(vl_convert.vegalite_to_svg(_harmless(specification), allowed_base_urls=[]))


def _harmless(value: Any) -> Any:
    """Return a specification whose texts are short and printable: where they are not valid in XML, the library aborts the process."""
    if isinstance(value, str):
        return printable(shorten(value, MAX_TEXT))
    if isinstance(value, Mapping):
        return {key: _harmless(inner) for key, inner in value.items()}
    return [_harmless(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def cleaned(svg: str) -> str:
    """Return an SVG document as an element of a page. Raises ``DrawingError``."""
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise DrawingError(f"the drawing is not XML: {error}") from error
    if root.tag != _SVG + "svg":
        raise DrawingError(f"the drawing is {root.tag}")
    width, height = (root.get(name, "") for name in ("width", "height"))
    parts = "".join(part for child in root for part in _written(child))
    return (
        f"<svg viewBox={quoteattr(root.get('viewBox', f'0 0 {width} {height}'))} width={quoteattr(width)} "
        f'height={quoteattr(height)} aria-hidden="true" focusable="false">{parts}</svg>'
    )


def _written(element: ElementTree.Element) -> Iterator[str]:
    name = element.tag.removeprefix(_SVG)
    if name not in _ELEMENTS or element.get("display") == "none" or _is_empty(element):
        return
    inner = "".join(part for child in element for part in _written(child))
    text = escape(element.text or "") if name == "text" else ""
    if name == "g" and not inner:
        return
    attributes = "".join(f" {key}={quoteattr(value)}" for key, value in _attributes(element))
    if name == "g" and attributes in ("", ' transform="translate(0,0)"'):
        yield inner
    elif inner or text:
        yield f"<{name}{attributes}>{text}{inner}</{name}>"
    else:
        yield f"<{name}{attributes}/>"


def _attributes(element: ElementTree.Element) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        if name not in _ATTRIBUTES or (name.endswith("opacity") and value == "1"):
            continue
        if not _SAFE_VALUE.fullmatch(value):
            raise DrawingError(f"the drawing has {name}={value!r}")
        yield name, _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)


def _is_empty(element: ElementTree.Element) -> bool:
    """Return True for backgrounds and foregrounds without a size or a colour."""
    if element.tag != _SVG + "path":
        return False
    return not element.get("d") or (element.get("fill") is None and element.get("stroke") is None)
