"""Options that several commands share, on the command line and in a ``--config`` file."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import date
from typing import Any, Final, TypeVar

import click

from scanner.cli.completion import FILE_NAME, fail_on_words, words
from scanner.errors import UsageProblem
from scanner.text import printable, quoted, shorten

F = TypeVar("F", bound=Callable[..., Any])


class _Number(click.FloatRange):
    """A finite number: Python's ``nan`` lies within every range, and a wait of ``inf`` never ends."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number that can be used", param, ctx)
        return number


protocol_option = click.option(
    "--protocol", metavar="NAME", default="auto", show_default=True,
    help="Protocol of rows that name none; auto is that of the port where it is a well-known one, else TLS first, and STARTTLS "
    "where a greeting in plain text is recognised.",
)  # fmt: skip
port_option = click.option(
    "--port",
    metavar="N",
    type=click.IntRange(1, 65535),
    help="Port of rows that name none. Default: the protocol's.",
)

NETWORK_OPTIONS: Final = (
    click.option(
        "--concurrency", metavar="N", type=click.IntRange(1, 100_000), default=1000, show_default=True,
        help="Connections in flight.",
    ),
    click.option("--rate", metavar="N", type=_Number(0), help="Connections started per second, all together."),
    click.option(
        "--rate-per-address",
        metavar="N",
        type=_Number(0),
        help="Connections started per second to one address; 0 is no limit. Default 20, and no limit for loopback.",
    ),
    click.option(
        "--concurrency-per-address",
        metavar="N",
        type=click.IntRange(0),
        help="Connections in flight to one address; 0 is no limit. Default 8, and no limit for loopback.",
    ),
    click.option(
        "--timeout", metavar="SECONDS", type=_Number(0.1), default=15.0, show_default=True,
        help="Seconds for a whole probe.",
    ),
    click.option(
        "--connect-timeout", metavar="SECONDS", type=_Number(0.05), default=4.0, show_default=True,
        help="Seconds for connecting.",
    ),
    click.option(
        "--network-patience", metavar="SECONDS", type=_Number(0), default=300.0, show_default=True,
        help="Seconds to wait where this machine's own network is down, before the run ends with status 3.",
    ),
    click.option(
        "--retries", metavar="N", type=click.IntRange(0, 10), default=1, show_default=True,
        help="Further tries after what can be transient.",
    ),
    click.option(
        "--resolver", multiple=True, metavar="ADDRESS[:PORT]",
        help="DNS resolver to ask; repeatable. Default: the system's. The first that answers is believed; where nobody vouches for "
        "a certificate, the address that another one gives is looked at too.",
    ),
    click.option(
        "--max-memory", metavar="SIZE",
        help="Memory that the run may take, such as 512M or 2G, all processes together: it slows down rather than take more. "
        "Default: a quarter of the machine's, or of what its control group may take.",
    ),
    click.option("--all-addresses", is_flag=True, help="Probe every A and AAAA."),
    click.option("--ipv4", is_flag=True, help="IPv4 only (with --ipv6: both)."),
    click.option("--ipv6", is_flag=True, help="IPv6 only (with --ipv4: both)."),
    protocol_option,
    port_option,
    click.option("--enumerate", is_flag=True, help="Find all versions and suites that each server accepts."),
    click.option("--exclude", type=FILE_NAME, metavar="FILE", help="Names and networks never to be contacted."),
    click.option(
        "--client-cert", type=FILE_NAME, metavar="FILE",
        help="Certificate (PEM, with its chain) to show to servers that ask for one.",
    ),
    click.option(
        "--client-key", type=FILE_NAME, metavar="FILE",
        help="Its private key (PEM). Default: in the file of --client-cert.",
    ),
    click.option(
        "--ntp", multiple=True, metavar="HOST[:PORT]",
        help="SNTP server to hold the local clock against; repeatable. Default: none is asked.",
    ),
)  # fmt: skip

JUDGING_OPTIONS: Final = (
    click.option(
        "--trust-store", multiple=True, type=FILE_NAME, metavar="system|mozilla|FILE",
        help="Trust anchors; repeatable. Default: mozilla.",
    ),
    click.option(
        "--public-roots", type=FILE_NAME, metavar="FILE",
        help="Further anchors to be held to the rules of public CAs.",
    ),
    click.option(
        "--expiry-warning", type=_Number(0), metavar="DAYS",
        help="Warn so long before expiry. Default: the smaller of 30 days and a third of the lifetime.",
    ),
    click.option("--at", metavar="TIME", help="Judge validity at this moment (RFC 3339, or seconds since 1970)."),
    click.option(
        "--private-ca", multiple=True, type=FILE_NAME, metavar="FILE",
        help="CA certificates of your own that are no interception, trusted or not; repeatable.",
    ),
    click.option(
        "--ct-logs", type=FILE_NAME, metavar="FILE",
        help="Certificate Transparency log list (JSON, version 3). Default: the one shipped.",
    ),
    click.option(
        "--revocation", type=click.Choice(["off", "staple", "online"]), default="online", show_default=True,
        help="Ask about revocation: not at all, what servers staple, or OCSP responders and CRLs too.",
    ),
)  # fmt: skip

# What is fetched about certificates beside what servers send, and kept.
FETCHING_OPTIONS: Final = (
    click.option(
        "--earlier", type=FILE_NAME, metavar="FINDINGS",
        help="Findings of an earlier run, or of one elsewhere: warns where it saw a publicly trusted certificate and this "
        "run sees an untrusted one.",
    ),
    click.option(
        "--private-urls", is_flag=True,
        help="Follow URLs inside certificates to private and loopback addresses too.",
    ),
    click.option(
        "--cache", type=FILE_NAME, metavar="DIR",
        help="Keep fetched issuers, OCSP responses and CRLs here between runs. Default: tlsweep in the user's cache directory.",
    ),
    click.option("--no-cache", is_flag=True, help="Keep nothing that was fetched, and use nothing that was kept."),
)  # fmt: skip


# Bytes of a file of options: some dozen lines, where a list of addresses may be long.
MAX_TOML: Final = 1 << 20
# Parts of a dotted key: tomllib takes time quadratic in them, 25 s for 20,000 and 16 ms for 500.
MAX_TOML_DOTS: Final = 500


def read_toml(path: str) -> dict[str, Any]:
    """Return the table in a TOML file. Raises ``UsageProblem``, whatever is wrong with it."""
    import tomllib

    shown = quoted(path, 200)[1:-1]
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_TOML + 1)
    except (OSError, ValueError) as error:
        raise UsageProblem(f"cannot read {shown}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_TOML:
        raise UsageProblem(f"{shown} is longer than {MAX_TOML} bytes: that is no file of options")
    if max((line.count(b".") for line in raw.splitlines()), default=0) > MAX_TOML_DOTS:
        raise UsageProblem(f"{shown} has a line with more than {MAX_TOML_DOTS} dots: that is no file of options")
    try:
        return tomllib.loads(raw.decode())
    # TOMLDecodeError and UnicodeDecodeError are ValueErrors
    except (ValueError, RecursionError, OverflowError) as error:
        raise UsageProblem(f"{shown} is not TOML: {shorten(printable(str(error)), 200)}") from None


def _read_config(ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
    if path is None:
        return
    table = read_toml(path)
    known = {param.name: param for param in ctx.command.params if isinstance(param, click.Option)}
    defaults = {}
    for key, value in table.items():
        option = known.get(key.replace("-", "_"))
        if option is None or option.name == "config":
            raise UsageProblem(f"{path}: {quoted(key)} is not an option of '{ctx.info_name}'")
        try:
            defaults[option.name] = _of_kind(option, value)
        except ValueError as error:
            raise UsageProblem(f"{path}: {quoted(key)} must be {error}") from None
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _of_kind(option: click.Option, value: Any) -> Any:
    """Return a value of a file as the command line would have it. Raises ``ValueError`` with what it must be."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value
    if isinstance(option.type, click.types.FloatParamType | click.types.IntParamType):
        whole = isinstance(option.type, click.types.IntParamType)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise ValueError("a whole number" if whole else "a number")
        if not whole and abs(value) > sys.float_info.max:
            raise ValueError("a smaller number")
        return value
    if option.multiple:
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a text or a list of texts")
        return texts
    if option.name == "fail_on" and isinstance(value, list):
        value = ",".join(map(str, value))
    if option.name == "workers" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if option.name == "at" and isinstance(value, date):  # TOML has dates and times
        value = value.isoformat()
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


output_option = click.option(
    "-o",
    "--output",
    type=FILE_NAME,
    metavar="FILE",
    help="Findings, one JSON object a line; '-' or absent: standard output; .gz and .zst compress.",
)
column_option = click.option(
    "--column", multiple=True, metavar="MEANING=HEADER",
    help="Which column of the inventory is the host, address, port, protocol, sni or id, whatever it is called, such as "
    'port="TCP Port"; repeatable.',
)  # fmt: skip
force_option = click.option("--force", is_flag=True, help="Overwrite an output that exists.")
fail_on_option = click.option(
    "--fail-on",
    metavar="WORD,...",
    shell_complete=words(fail_on_words, comma=True),
    help="Exit with 1 when a target has an error of one of these causes or codes. 'any' is every target that fails or was not "
    "fully judged (its finding has 'error'), 'warning' every one with a warning, 'invalid' every row that cannot be used.",
)
config_option = click.option(
    "--config",
    type=FILE_NAME,
    metavar="FILE.toml",
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help="Read options from a file; those of the command line win.",
)


def format_option(explanation: str) -> Callable[[F], F]:
    """Return the option that chooses how results over a whole fleet are printed; its help says ``explanation``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json", "markdown", "prometheus"]),
        default="table",
        show_default=True,
        help=explanation,
    )


def options(*groups: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Return a decorator that adds groups of options to a command, in order."""

    def decorate(function: F) -> F:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate
