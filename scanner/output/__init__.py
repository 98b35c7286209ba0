"""Findings on disk: a writer that never tears or overwrites, and a reader that survives any input.

``writer`` hands whole lines to the system in one call, so that a reader beside it, or after a run that was killed, sees whole
lines and at worst one torn last line, which ``repair`` removes before ``--resume``. ``.gz`` and ``.zst`` files consist of
independent members (RFC 1952) or frames (RFC 8878), each appended in one write. ``reader`` streams findings back, ``resume``
knows which rows are done, and ``draft`` writes files that get their name only when they are complete.
"""

from scanner.output.encoding import dumps_line
from scanner.output.reader import (
    BAD_SHAPE_ERRORS,
    MAX_FINDING_LINE,
    NotFindings,
    Unreadable,
    certificates_in,
    list_of_findings,
    read_batches,
    read_certificates,
    read_findings,
    read_part,
)
from scanner.output.repair import repair_torn_tail
from scanner.output.resume import Completed, completed
from scanner.output.writer import (
    OutputClosed,
    OutputError,
    OutputExists,
    OutputFull,
    OutputLost,
    Writer,
    check_output,
    open_output,
)

__all__ = [
    "BAD_SHAPE_ERRORS", "Completed", "MAX_FINDING_LINE", "NotFindings", "OutputClosed", "OutputError", "OutputExists",
    "OutputFull", "OutputLost", "Unreadable", "Writer", "certificates_in", "check_output", "completed",
    "dumps_line", "list_of_findings", "open_output", "read_batches", "read_certificates", "read_findings", "read_part",
    "repair_torn_tail",
]  # fmt: skip
