"""The page in Chromium: nothing on the console, nothing loaded, searched and sorted by keyboard, at any width, in any light.

With ``TLSWEEP_BROWSERS=1`` only: a browser takes its seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanner.report.build import build
from tests.clients.chromium import PROGRAM, Pipe, browser
from tests.clients.fleet import BROWSERS_SWITCH
from tests.helpers.hostile import hostile_finding, misshapen
from tests.report.conftest import write

pytestmark = [
    pytest.mark.skipif(not os.environ.get(BROWSERS_SWITCH), reason=f"browsers take part with {BROWSERS_SWITCH}=1"),
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed"),
]

PATIENCE = 20.0


class Tab:
    """One page in a tab, and what the browser said about it."""

    def __init__(self, pipe: Pipe, path: Path, *, width: int = 1280, dark: bool = False, scripts: bool = True) -> None:
        self.pipe = pipe
        target = pipe.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = str(pipe.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.complaints: list[str] = []
        pipe.send("Page.navigate", self.session, url=path.as_uri())
        self.listen("Page.loadEventFired")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.pipe.call(method, self.session, **parameters)

    def listen(self, end: str) -> None:
        until = time.monotonic() + PATIENCE
        while (message := self.pipe.receive(until)) is not None:
            method, given = message.get("method", ""), message.get("params", {})
            if method in (
                "Log.entryAdded",
                "Runtime.consoleAPICalled",
                "Runtime.exceptionThrown",
                "Page.javascriptDialogOpening",
            ):
                self.complaints.append(str(given))
            if method == "Network.requestWillBeSent" and not given["request"]["url"].startswith(("file:", "data:")):
                self.complaints.append(given["request"]["url"])
            if method == end:
                return
        raise TimeoutError(end)

    def __call__(self, expression: str) -> Any:
        """The value of an expression in the page's world."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                text=text if kind == "keyDown" else "",
            )

    def overflow(self) -> int:
        return int(self("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    with browser(tmp_path_factory.mktemp("home"), "MAP * ~NOTFOUND") as pipe:
        yield pipe


@pytest.fixture
def page(nights: list[str], tmp_path: Path) -> Path:
    build(nights[2:], str(tmp_path / "report.html"), since=nights[:2])
    return tmp_path / "report.html"


VISIBLE = "[...document.querySelectorAll('#table tbody tr')].filter((row) => !row.hidden)"


def test_search_filters_and_sorting(chromium: Pipe, page: Path) -> None:
    tab = Tab(chromium, page)
    everything = tab(f"{VISIBLE}.length")
    assert tab("document.getElementById('shown').textContent") == f"{everything} of {everything} shown"
    tab("document.getElementById('words').focus()")
    for letter in "dns gone":
        tab.press(letter, ord(letter.upper()), letter)
    time.sleep(0.3)
    assert 0 <= tab(f"{VISIBLE}.length") < everything
    tab("document.getElementById('reset').click()")
    assert tab(f"{VISIBLE}.length") == everything and tab("document.activeElement.id") == "words"

    tab("document.querySelector('a[data-cause]').click()")
    cause = tab("document.querySelector('a[data-cause]').dataset.cause")
    assert set(tab(f"{VISIBLE}.map((row) => row.cells[3].textContent)")) == {cause}
    tab("document.querySelector('a[data-owner]').click()")
    owner = tab("document.querySelector('a[data-owner]').dataset.owner")
    assert set(tab(f"{VISIBLE}.map((row) => row.cells[1].textContent)")) == {owner}
    tab("document.getElementById('reset').click()")

    names = f"{VISIBLE}.map((row) => row.querySelector('.host').textContent)"
    importance = tab(names)
    tab("document.querySelector('#table thead button').focus()")
    orders = []
    for _ in range(3):
        tab.press("Enter", 13, "\r")
        orders.append((tab("document.querySelector('#table thead th').getAttribute('aria-sort')"), tab(names)))
    assert [order for order, _ in orders] == ["ascending", "descending", None]
    assert orders[0][1] != importance and orders[1][1] == orders[0][1][::-1] and orders[2][1] == importance
    assert tab.complaints == []


def test_a_row_opens_by_keyboard(chromium: Pipe, page: Path) -> None:
    tab = Tab(chromium, page)
    tab("document.querySelector('#table summary').focus()")
    tab.press("Enter", 13, "\r")
    assert tab("document.querySelector('#table details').open")
    assert "Mend" in tab("document.querySelector('#table details').innerText")
    assert tab("getComputedStyle(document.querySelector('#table summary')).outlineStyle") == "solid"


def test_the_page_is_readable_without_scripts(chromium: Pipe, page: Path) -> None:
    tab = Tab(chromium, page, scripts=False)
    assert (
        tab("document.getElementById('tools').hidden") and tab("document.querySelector('#table thead button')") is None
    )
    assert tab("document.querySelector('#table tbody').rows[0].getBoundingClientRect().height") > 10
    assert tab.complaints == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_overflows_at_any_width_light_or_dark(chromium: Pipe, page: Path, width: int, dark: bool) -> None:
    tab = Tab(chromium, page, width=width, dark=dark)
    assert tab.overflow() <= 0
    dim = tab("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 24)"
    assert dim == dark
    narrow = tab("getComputedStyle(document.querySelector('.chart .narrow')).display") != "none"
    wide = tab("getComputedStyle(document.querySelector('.chart .wide')).display") != "none"
    assert narrow != wide and (width < 500) <= narrow
    painted = tab("getComputedStyle(document.querySelector('#causes path')).fill")
    assert painted == ("rgb(226, 102, 92)" if dark else "rgb(196, 69, 60)")
    assert tab.complaints == []


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_findings_do_not_act_in_a_browser(chromium: Pipe, tmp_path: Path, width: int) -> None:
    path = write(tmp_path / "f.ndjson", [*misshapen(), *(hostile_finding(number) for number in range(60))])
    build([path], str(tmp_path / "report.html"))
    tab = Tab(chromium, tmp_path / "report.html", width=width)
    tab("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert tab.overflow() <= 0
    assert tab("document.scripts.length") == 1 and tab("document.images.length") == 0
    assert tab("document.querySelector('#table tbody').rows.length") == len(misshapen()) + 60
    tab("document.querySelectorAll('a[data-cause], a[data-owner]').forEach((one) => one.click())")
    assert tab.complaints == []
