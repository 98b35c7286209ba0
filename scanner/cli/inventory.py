"""``tlsweep inventory``: how an inventory would be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TextIO

import click

from scanner.cli import language_option, standard_output
from scanner.cli import options as opt
from scanner.cli.completion import FILE_NAME

if TYPE_CHECKING:
    from rich.table import Table

    from scanner.inventory.lint import InventoryPreview

# Columns of a table that are listed; an export may have hundreds of tags.
MAX_COLUMNS: Final = 60


@click.command(no_args_is_help=True)
@click.option(
    "--lint", "path", type=FILE_NAME, required=True, metavar="FILE",
    help="Say how FILE ('-' is standard input) would be read: what each column means, the first rows as they would be scanned, and "
    "which cannot be used.",
)  # fmt: skip
@opt.column_option
@opt.protocol_option
@opt.port_option
@language_option
def inventory(path: str, column: tuple[str, ...], protocol: str, port: int | None) -> None:
    """Look at an inventory before it is scanned. Nothing is contacted.

    \b
    Examples:
      tlsweep inventory --lint cmdb.csv
      tlsweep inventory --lint cmdb.csv --column port="Listener"
    """  # fmt: skip
    from scanner.cli.option_values import parse_columns
    from scanner.inventory.lint import lint
    from scanner.starttls.protocols import PROTOCOLS

    found = lint(path, default_protocol=protocol, default_port=port, protocols=PROTOCOLS, columns=parse_columns(column))
    show(found, standard_output())


def show(found: InventoryPreview, stream: TextIO) -> None:
    """Print how an inventory is understood."""
    from rich.padding import Padding

    from scanner.cli.console import console_on
    from scanner.text import printable

    with console_on(stream) as console:
        for remark in found.remarks:
            console.print(printable(remark))
        for warning in found.warnings:
            console.print(f"warning: {printable(warning)}", style="yellow")
        if found.layout.used:
            console.print(Padding(_columns(found), (1, 0, 0, 0)))
        if found.rows:
            console.print(Padding(_rows(found), (1, 0, 0, 0)))
        counts = ", ".join(f"{name} {count:,}" for name, count in found.protocols.most_common())
        rows = "1 row" if found.targets == 1 else f"{found.targets:,} rows"
        console.print(f"\n{rows} can be scanned" + (f" ({counts})" if counts else ""))
        if found.invalid:
            console.print(f"{found.invalid:,} cannot be used:", style="red")
            for row in found.unusable:
                console.print(f"  row {row.row}, {printable(row.reason)}")
            if found.invalid > len(found.unusable):
                console.print(f"  and {found.invalid - len(found.unusable):,} more")


def _columns(found: InventoryPreview) -> Table:
    """Return a table of the columns, what each is read as, and its first cells."""
    from rich.table import Table

    from scanner.text import printable, quoted

    layout = found.layout
    table = Table("column", "read as", "first cells", box=None, pad_edge=False, header_style="bold")
    for meaning, name in layout.used.items():
        table.add_row(printable(name), meaning, _cells(layout.examples.get(name, ())))
    for name in layout.tags[:MAX_COLUMNS]:
        looks = layout.unused.get(name)
        read_as = "tag" if looks is None else f"tag, looks like {looks}"
        table.add_row(printable(name), read_as, _cells(layout.examples.get(name, ())))
    if len(layout.tags) > MAX_COLUMNS:
        table.add_row(quoted(f"and {len(layout.tags) - MAX_COLUMNS} more")[1:-1], "tag", "")
    return table


def _cells(cells: list[str] | tuple[str, ...]) -> str:
    from scanner.text import printable, shorten

    return ", ".join(shorten(printable(cell), 30) for cell in cells)


def _rows(found: InventoryPreview) -> Table:
    """Return a table of the first rows as they would be scanned."""
    from rich.table import Table

    from scanner.text import printable

    table = Table(
        "row", "host", "port", "protocol", "address", "server name", box=None, pad_edge=False, header_style="bold"
    )
    for row in found.rows:
        sni = "" if row.sni == row.host else row.sni or ("" if row.host_is_ip else "none")
        protocol = "auto (TLS first)" if row.auto else row.protocol
        table.add_row(str(row.row), row.host, str(row.port), protocol, row.address or "", printable(sni))
    return table
