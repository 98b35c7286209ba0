from __future__ import annotations

import io

from rich.padding import Padding

from scanner.cli.console import console_on


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_gets_the_trailing_blanks_of_padding() -> None:
    shown = []
    for stream in (io.StringIO(), Terminal()):
        with console_on(stream) as console:
            console.print(Padding("text", (0, 3, 0, 2), expand=False))
        shown.append(stream.getvalue())
    assert shown == ["  text\n", "  text   \n"]
