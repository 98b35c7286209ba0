"""The work of ``tlsweep diagnose``: judges the findings in files again and writes them, in their order, to one output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from scanner.codec.certificate_dedup import Fragments
from scanner.output import Unreadable
from scanner.output.draft import complete_output
from scanner.output.rereadable import rereadable
from scanner.rejudge.certificate_store import CertificateStore
from scanner.rejudge.change_counts import ChangeCounts
from scanner.rejudge.judging import Rejudger
from scanner.rejudge.judging_options import JudgingOptions


def rewrite(
    paths: Sequence[str],
    options: JudgingOptions,
    certificate_files: Sequence[str],
    output: str | None,
    *,
    force: bool,
    on_finding: Callable[[Mapping[str, Any]], None],
) -> ChangeCounts:
    """Judge, write and pass to ``on_finding`` every finding in ``paths``; return what has changed. Raises a ``TlsweepError``.

    A finding that cannot be judged again is written as it was.
    """
    tally = ChangeCounts()
    with ExitStack() as stack:
        copies = [stack.enter_context(rereadable(path)) for path in paths]
        certificates = stack.enter_context(CertificateStore())
        rejudge = Rejudger(copies, options, certificates, fragments=Fragments())
        rejudge.collect(certificate_files)
        rejudge.fold()
        writer = stack.enter_context(complete_output(output, force=force))
        for item in rejudge.findings():
            tally.add(item)
            if not isinstance(item, Unreadable):
                finding: Any = item.before if item.now is None else item.now
                writer.write(finding)
                on_finding(finding)
    return tally
