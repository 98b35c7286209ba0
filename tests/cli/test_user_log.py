from __future__ import annotations

import io
import sys

import pytest

from scanner.cli.user_log import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_on_a_terminal_replaces_the_progress_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        log("interrupted")
        shown.append(stream.getvalue())
    assert shown == ["tlsweep: interrupted\n", "\r\x1b[Ktlsweep: interrupted\n"]


def test_without_standard_error_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log("interrupted")
    assert capfd.readouterr() == ("", "")
