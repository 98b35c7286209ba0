"""The work of ``tlsweep diagnose``: inputs that can be read more than once, one output, and a word on what has changed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, Final, cast

from scanner.cli import INTERRUPTED
from scanner.cli import options as opt
from scanner.cli.run_scan import matches_fail_on, parse_fail_on, same_file, say
from scanner.codec.certificate_dedup import Fragments
from scanner.errors import UsageProblem
from scanner.language import current_language
from scanner.lines import close_binary, open_binary
from scanner.output import NotFindings, OutputClosed, OutputExists, Unreadable, Writer, check_output, open_output
from scanner.output.draft import Draft
from scanner.output.writer import compressor_for
from scanner.rejudge.certificate_store import Certificates
from scanner.rejudge.change_counts import Tally
from scanner.rejudge.judging import Rejudge
from scanner.rejudge.judging_options import Options
from scanner.run.wiring import Material, make_transparency, make_verifier
from scanner.text import quoted

# Options whose value is another one than what was typed, by their names on the command line.
_FILES: Final = ("trust_store", "public_roots", "private_ca", "ct_logs")


def rejudge(paths: Sequence[str], given: dict[str, Any], chosen: Collection[str]) -> int:
    """Judge again and write; returns the exit status. ``chosen`` are the options that were asked for, the rest are defaults."""
    fail_on = parse_fail_on(given["fail_on"])
    _refuse_output(paths, given)
    values = {name: value for name, value in _values(given).items() if name in chosen}
    _check_files(values)
    options = Options(
        values,
        beside=list(dict.fromkeys(os.path.dirname(path) or "." for path in paths if path != "-")),
        say=say,
    )
    tally, matched = Tally(), False
    with ExitStack() as stack:
        again = [stack.enter_context(readable_again(path)) for path in paths]
        certificates = stack.enter_context(Certificates())
        work = Rejudge(again, options, certificates, fragments=Fragments())
        work.collect(given["certificates"])
        work.fold()
        try:
            with whole_output(given["output"], force=given["force"]) as writer:
                for item in work.findings():
                    tally.add(item)
                    if isinstance(item, Unreadable):
                        continue
                    finding: Any = item.before if item.now is None else item.now
                    writer.write(finding)
                    matched = matched or (bool(fail_on) and matches_fail_on(finding, fail_on))
        except OutputClosed:  # the reader of our standard output has gone, as after ``| head``
            return INTERRUPTED
    for line in tally.lines():
        say(line)
    return 1 if matched else 0


def _values(given: dict[str, Any]) -> dict[str, Any]:
    """The options of the judgement as ``ScanConfig`` and ``Material`` hold them."""
    return {
        "at": None if given["at"] is None else opt.parse_time(given["at"]),
        "expiry_warning": given["expiry_warning"],
        "revocation": given["revocation"],
        "lang": current_language(),
        **{name: given[name] for name in _FILES},
    }


def _check_files(values: dict[str, Any]) -> None:
    """Raise what is wrong with the files that are given, before anything is read for minutes."""
    named = {_FIELDS.get(name, name): value for name, value in values.items() if name in _FILES and value}
    if named:
        material = Material(**named)
        make_verifier(material)
        make_transparency(material)


# Options that ``Material`` calls by another name.
_FIELDS: Final = {"trust_store": "trust_stores", "private_ca": "private_cas"}


def _refuse_output(paths: Sequence[str], given: dict[str, Any]) -> None:
    output = given["output"]
    if output in (None, "-"):
        return
    read = [*paths, *given["certificates"]]
    for name in _FILES:
        read += [given[name]] if isinstance(given[name], str) else list(given[name] or ())
    for path in read:
        if path != "-" and same_file(output, path):
            raise UsageProblem(f"--output would overwrite {quoted(path, 200)[1:-1]}, which is read: name another file")
    try:
        check_output(output, force=given["force"])
    except OutputExists:
        shown = quoted(output, 200)[1:-1]
        raise UsageProblem(f"the output {shown} exists already: --force overwrites it") from None


@contextmanager
def whole_output(path: str | None, *, force: bool) -> Iterator[Writer]:
    """A writer for a file that gets its name when all of it is written; what is there already stays as it is until then."""
    if path in (None, "-"):
        with open_output(path) as writer:
            yield writer
        return
    with Draft(path, force=force) as draft:
        sink, compress = cast("BinaryIO", draft), compressor_for(path)
        writer = Writer(sink, path, compress=compress, regular=False, owned=False)
        yield writer
        writer.close()
        draft.place()


@contextmanager
def readable_again(path: str) -> Iterator[str]:
    """A path that can be read several times: standard input and pipes are kept in a temporary file meanwhile."""
    if path != "-" and not _is_pipe(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="tlsweep-") as kept:
        try:
            source = open_binary(path)
        except (OSError, ValueError) as error:
            raise NotFindings(f"cannot read {'standard input' if path == '-' else path}: {error}") from error
        try:
            shutil.copyfileobj(source, kept)
            kept.flush()
        except OSError as error:
            shown = "standard input" if path == "-" else path
            place = os.path.dirname(kept.name)
            raise NotFindings(f"cannot keep {shown} in {place} to read it twice: {error.strerror or error}") from error
        finally:
            close_binary(source)
        yield kept.name


def _is_pipe(path: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False  # whoever opens it says what is wrong
