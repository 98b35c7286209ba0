"""Findings on disk: one writer that never tears or clobbers, and a reader that survives whatever it is given.

The unit is the line. ``writing`` hands whole lines to the system in one call, so that a reader beside it, or after
a run that was killed, sees lines or, at worst, one torn last line, which ``repairing`` removes before ``--resume``;
``resume`` knows which rows are done. ``.gz`` and ``.zst`` files are made of independent members (RFC 1952) or
frames (RFC 8878), each appended whole, in one write. ``reading`` streams findings back.
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
    WriterStatistics,
    check_output,
    open_output,
)

__all__ = [
    "BAD_SHAPE_ERRORS", "Completed", "MAX_FINDING_LINE", "NotFindings", "OutputClosed", "OutputError", "OutputExists",
    "OutputFull", "OutputLost", "Unreadable", "Writer", "WriterStatistics", "certificates_in", "check_output", "completed",
    "dumps_line", "list_of_findings", "open_output", "read_batches", "read_certificates", "read_findings", "read_part",
    "repair_torn_tail",
]  # fmt: skip
