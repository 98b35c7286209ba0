"""What is offered to a shell; tests/contrib/test_manual.py has the shells themselves ask for it."""

from __future__ import annotations

import click
import pytest

from scanner.cli import COMMANDS, main, tlsweep
from scanner.cli.completion import FILE_NAME, VARIABLE, causes_and_codes, fail_on_words, words
from scanner.model.findings import CAUSES
from scanner.run.fail_on import WORDS, parse_fail_on


def offered(incomplete: str, *, comma: bool = False) -> list[str]:
    complete = words(lambda: ["expires-soon", "dns", "expired"], comma=comma)
    return complete(click.Context(click.Command("x")), click.Argument(["y"]), incomplete)


def test_words_that_begin_like_what_is_there_are_offered() -> None:
    assert offered("") == ["dns", "expired", "expires-soon"]
    assert offered("expi") == ["expired", "expires-soon"]
    assert offered("x") == [] and offered("dns,e") == []


def test_the_last_word_of_a_list_is_completed() -> None:
    assert offered("dns,exp", comma=True) == ["dns,expired", "dns,expires-soon"]
    assert offered("dns,", comma=True) == ["dns,dns", "dns,expired", "dns,expires-soon"]


def test_every_word_of_fail_on_is_offered_and_accepted() -> None:
    known = set(fail_on_words())
    assert WORDS < known and set(causes_and_codes()) == known - WORDS
    assert {"certificate-expired", "dns"} <= known
    assert parse_fail_on(",".join(known)) == known
    assert known & set(CAUSES)


def test_a_file_name_is_any_text() -> None:
    assert FILE_NAME.convert("-", None, None) == "-"
    assert FILE_NAME.convert("bad\0name", None, None) == "bad\0name"
    (item,) = FILE_NAME.shell_complete(click.Context(click.Command("x")), click.Argument(["y"]), "fi")
    assert (item.value, item.type) == ("fi", "file")


def test_every_parameter_for_a_file_offers_files() -> None:
    group = click.Context(tlsweep)
    for name in COMMANDS:
        command = tlsweep.get_command(group, name)
        assert command is not None
        for param in command.params:
            if (
                param.make_metavar(group)
                .upper()
                .startswith(("FILE", "DIR", "FINDINGS", "OLD", "INVENTORY", "SYSTEM|MOZILLA|FILE"))
            ):
                assert param.type is FILE_NAME, (name, param.name)


@pytest.mark.parametrize(("line", "shown"), [("tlsweep sche", "plain,schema\n"), ("tlsweep nonsense x", "\n")])
def test_a_shell_that_asks_is_answered_with_status_0(
    line: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert main([]) == 0
    assert capsys.readouterr().out == shown
