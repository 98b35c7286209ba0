"""``tlsweep stats``: fleet-wide statistics per cause."""

from __future__ import annotations

from typing import Any, Literal

import click

from scanner.cli import language_option, standard_output
from scanner.cli.completion import FILE_NAME
from scanner.cli.options import format_option


class _Workers(click.IntRange):
    """The type of ``--workers``: a number of processes, or ``auto``."""

    def __init__(self) -> None:
        super().__init__(1, 64)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "auto" else super().convert(value, param, ctx)


@click.command(no_args_is_help=True)
@click.argument("findings", nargs=-1, required=True, type=FILE_NAME)
@click.option("--by", multiple=True, metavar="COLUMN", help="Counts for each value of a column; repeatable.")
@format_option("How to print them.")
@click.option(
    "--workers", type=_Workers(), metavar="N|auto", default=1, show_default=True,
    help="Processes that read plain files together; 'auto' is one per core.",
)  # fmt: skip
@click.option(
    "--max-targets", type=click.IntRange(0, 100_000), metavar="N", default=5000, show_default=True,
    help="Targets, and certificates, that have metrics of their own in --format prometheus: those that fail or expire first. 0: none.",
)  # fmt: skip
@language_option
def stats(
    findings: tuple[str, ...], by: tuple[str, ...], form: str, workers: int | Literal["auto"], max_targets: int
) -> None:
    """Count outcomes, causes and codes over one or more files of FINDINGS; '-' is standard input.

    Beside the counts: causes that many targets share, when certificates expire, how long the stages took, and what the
    fleet says as a whole. A COLUMN is one of the inventory's own, or one that every finding has: issuer, domain, server,
    server_version, family, protocol, port, version, cipher, group, key, key_type, signature, alpn, certificate, host, sni,
    address, id, run, stage, cause, outcome. What the JSON holds and the metrics are called: docs/statistics.md.

    \b
    Examples:
      tlsweep stats findings.ndjson --by owner
      tlsweep stats findings.ndjson --by issuer --by version --workers auto
      tlsweep stats shard-*.ndjson.zst --format json
    """
    from scanner.fleet.stats import stats_tables
    from scanner.fleet.stats.parallel import MAX_WORKERS, fold_files
    from scanner.process.limits import cores

    count = min(cores(), MAX_WORKERS) if workers == "auto" else workers
    folded = fold_files(findings, by, count, max_targets if form == "prometheus" else 0)
    folded.counts.require_columns()
    standard_output().write(stats_tables.FORMATS[form](folded.counts, folded).rstrip("\n") + "\n")
