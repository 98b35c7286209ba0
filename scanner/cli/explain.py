"""``tlsweep explain``: a cause, a code, or a pasted client error: what it means, how to prove it, how to fix it."""

from __future__ import annotations

import sys
from typing import Final

import click

from scanner.cli import USAGE_ERROR, language_option, standard_output
from scanner.cli.completion import causes_and_codes, words
from scanner.errors import UsageProblem
from scanner.language import current_language

# Bytes read from standard input: what identifies an error is at the beginning or the end of what is pasted.
MAX_INPUT: Final = 1 << 20


class _TakesPasted(click.Command):
    """Takes words that begin with a hyphen and contain a space for arguments: lines of gnutls-cli look like that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        pasted = [word for word in args if word[:1] == "-" and " " in word]
        if pasted and "--" not in args:
            args = [*(word for word in args if word not in pasted), "--", *pasted]
        return super().parse_args(ctx, args)


@click.command(cls=_TakesPasted, no_args_is_help=True)
@click.argument("text", nargs=-1, required=True, metavar="WORD|ERROR TEXT", shell_complete=words(causes_and_codes))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@language_option
def explain(text: tuple[str, ...], as_json: bool) -> int:
    """Explain a cause or a code (see 'tlsweep stats'), or what the error of a TLS client can mean; '-' reads it from
    standard input. Nothing is contacted.

    \b
    Examples:
      tlsweep explain intermediate-not-sent
      tlsweep explain "curl: (60) SSL certificate problem: unable to get local issuer certificate"
      java -jar app.jar 2>&1 | tlsweep explain -
    """
    from scanner.explain.answers import explain as answer_to

    pasted = " ".join(text)
    if text == ("-",):
        pasted = sys.stdin.buffer.read(MAX_INPUT).decode("utf-8", "replace")
    if not pasted.strip():
        raise UsageProblem("there is nothing to explain")
    answer = answer_to(pasted, current_language())
    if as_json:
        import orjson

        standard_output().buffer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
    elif answer["kind"] == "unknown":
        raise UsageProblem(_unknown(pasted, answer["nearest"], [each["name"] for each in answer["recognised"]]))
    else:
        from scanner.cli.explain_page import show

        show(answer, standard_output())
    return USAGE_ERROR if answer["kind"] == "unknown" else 0


def _unknown(text: str, nearest: list[str], recognised: list[str]) -> str:
    from scanner.text import quoted

    said = f"{quoted(' '.join(text.split()))} is no cause, code or error of a TLS client that is known"
    if recognised:
        said = f"{', '.join(recognised)} is known by name, and belongs to none of the causes that tlsweep tells"
    if nearest and not recognised:
        return f"{said}; nearest: {', '.join(nearest)}"
    return f"{said}; 'tlsweep check HOST' finds out what is wrong with a host, whatever a client says"
