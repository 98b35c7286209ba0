"""What ``tlsweep explain`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.text import Text

from scanner.cli.console import SEVERITY_COLOURS, console_on, indented, labelled
from scanner.explain.answers import CauseAnswer, CodeAnswer, CodeBrief, ErrorAnswer, FixRecord, SearchAnswer
from scanner.explain.fixes import SOFTWARE
from scanner.language import translate
from scanner.text import printable


def show(answer: CodeAnswer | CauseAnswer | ErrorAnswer | SearchAnswer, stream: TextIO) -> None:
    """Print the answer."""
    with console_on(stream) as console:
        page = _AnswerPage(console)
        if answer["kind"] == "code":
            page.code(answer)
        elif answer["kind"] == "cause":
            page.cause(answer)
        elif answer["kind"] == "error":
            page.error(answer)
        else:
            page.search(answer)


class _AnswerPage:
    def __init__(self, console: Console) -> None:
        self._console = console

    def code(self, answer: CodeAnswer) -> None:
        self._head(answer)
        self._paragraph(answer["meaning"])
        self._labelled(translate("proof: "), answer["proof"])
        self._labelled(translate("do: "), answer["remedy"])
        if answer["confirm"]:
            self._line(translate("confirm: "), answer["confirm"])
        if answer["clients"]:
            self._title(translate("What clients say"))
            for client, text in answer["clients"].items():
                self._line(f"{client} {answer['releases'][client]}: ", text)
        self._fixes(answer["fixes"])
        if answer["errors"]:
            self._title(translate("Errors that can mean it"))
            self._paragraph("; ".join(answer["errors"]))

    def cause(self, answer: CauseAnswer) -> None:
        self._console.print(labelled(answer["cause"], f"  {answer['title']}"))
        self._paragraph(answer["means"])
        self._paragraph(answer["tell"])
        self._title(translate("Codes"))
        self._codes(answer["codes"])
        self._fixes(answer["fixes"])
        self._more()

    def error(self, answer: ErrorAnswer) -> None:
        for known in answer["recognised"]:
            number = "" if known["number"] is None else f" ({known['number']})"
            self._console.print(
                Text(f"{known['whose']}: ", style="dim").append(f"{known['name']}{number}", style="not dim")
            )
        for meaning in answer["meanings"]:
            self._paragraph(meaning["means"])
        if answer["codes"]:
            self._title(translate("It can mean, the likeliest first"))
            self._codes(answer["codes"], numbered=True)
            self._title(translate("How to tell them apart"))
            self._line(translate("decides: "), answer["check"])
        for meaning in answer["meanings"]:
            if meaning["tell"]:
                self._paragraph(meaning["tell"])
        if answer["codes"]:
            self._more()

    def search(self, answer: SearchAnswer) -> None:
        self._console.print(Text(translate("No cause, code or error is just that; these codes are about it:")))
        self._codes(answer["codes"])
        self._more()

    # --- parts -----------------------------------------------------------------------------------

    def _head(self, brief: CodeBrief) -> None:
        self._console.print(labelled(brief["code"], f"  {brief['title']}"))
        kind = Text(translate(brief["severity"]), style=SEVERITY_COLOURS[brief["severity"]])
        kind.append(f"  {brief['cause']}", style="dim")
        self._console.print(indented(kind, 2))

    def _codes(self, codes: Sequence[CodeBrief], *, numbered: bool = False) -> None:
        shown: set[str] = set()
        for place, brief in enumerate(codes, 1):
            head = Text(f"{place}. " if numbered else "", style="dim").append(brief["code"], style="bold")
            head.append(f"  {brief['title']}", style="not bold").append(f"  ({brief['cause']})", style="dim")
            self._console.print(indented(head, 2))
            proof = Text(f"{translate('when: ')}{brief['proof']}", style="dim")
            self._console.print(indented(proof, 7 if numbered else 4))
            command = brief["confirm"]
            if numbered and command and command not in shown:
                shown.add(command)
                self._console.print(Text(f"       {translate('see: ')}{command}", style="dim"), soft_wrap=True)

    def _fixes(self, fixes: Iterable[FixRecord]) -> None:
        for fix in fixes:
            self._title(translate(fix["title"]))
            for software, lines in fix["software"].items():
                self._console.print(indented(Text(translate(SOFTWARE[software]), style="bold"), 2))
                for line in lines:
                    # not wrapped, as commands and settings are there to be copied
                    self._console.print(Text(f"    {line}"), soft_wrap=True)

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def _paragraph(self, text: str) -> None:
        self._console.print(indented(Text(printable(text)), 2))

    def _labelled(self, label: str, text: str) -> None:
        self._console.print(indented(labelled(label, text), 2))

    def _line(self, label: str, text: str) -> None:
        self._console.print(labelled(f"  {label}", text), soft_wrap=True)

    def _more(self) -> None:
        self._console.print()
        self._console.print(Text(f"{translate('Each in full')}: tlsweep explain CODE", style="dim"))
