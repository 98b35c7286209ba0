"""Findings are read back from whatever they are mixed with."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.lines import StreamBroken
from scanner.output import NotFindings, Unreadable, read_batches, read_findings, read_part
from scanner.output import reader as module
from tests.output.made import finding, line


def read(tmp_path: Path, content: bytes) -> list[dict[str, Any] | Unreadable]:
    path = tmp_path / "findings"
    path.write_bytes(content)
    return list(read_findings([str(path)]))


def rows(items: list[dict[str, Any] | Unreadable]) -> list[int | str]:
    return [item.reason if isinstance(item, Unreadable) else item["target"]["row"] for item in items]


def test_plain_gzip_and_zstd_files_are_read(tmp_path: Path) -> None:
    text = line(1) + b"\n" + line(2) + line(3).rstrip()
    for content in (text, gzip.compress(text), zstandard.ZstdCompressor().compress(text)):
        assert rows(read(tmp_path, content)) == [1, 2, 3]


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).write_bytes(line(number))
    assert rows(list(read_findings([str(tmp_path / "2"), str(tmp_path / "1")]))) == [2, 1]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line(2)[:40], "not JSON"),
        (b"garbage \x1b[31m", "not JSON"),
        (b"\0\0\0\0", "zero bytes"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "not of schema tlsweep/1"),
        (orjson.dumps(finding(2, schema="tlsweep/2")), "not of schema tlsweep/1"),
        (orjson.dumps(finding(2, schema=[1])), "not of schema tlsweep/1"),
        (orjson.dumps(finding(2, target=None)), "no target or no outcome"),
        (orjson.dumps(finding(2, outcome="great")), "no target or no outcome"),
        (orjson.dumps(finding(2, outcome={})), "no target or no outcome"),
    ],
)
def test_a_bad_line_is_an_unreadable_with_its_number(tmp_path: Path, bad: bytes, reason: str) -> None:
    items = read(tmp_path, line(1) + bad + b"\n" + line(3))
    assert isinstance(items[1], Unreadable) and items[1].line == 2
    assert reason in items[1].reason and items[1].reason.isprintable()
    assert rows(items)[::2] == [1, 3]


def test_a_line_that_is_too_long_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FINDING_LINE", 1000)
    items = read(tmp_path, line(1) + b'{"x":"' + b"y" * 100_000 + b'"}\n' + line(2))
    assert rows(items) == [1, "longer than 1000 bytes", 2]


def test_the_longest_allowed_line_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FINDING_LINE", len(line(1)) - 1)
    items = read(tmp_path, b"x\n" + line(1) + b" " + line(2))
    assert rows(items)[1:] == [1, f"longer than {len(line(1)) - 1} bytes"]


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_gzip_file_is_read_up_to_its_last_line(tmp_path: Path, cut: int) -> None:
    items = read(tmp_path, gzip.compress(b"".join(map(line, range(500))))[:-cut])
    assert all(isinstance(item, dict) for item in items[:-1])
    assert len(items) > 100


def test_damage_in_a_compressed_file_is_reported(tmp_path: Path) -> None:
    items = read(tmp_path, gzip.compress(line(1)) + b"not gzip")
    assert rows(items) == [1, "the file has bytes after the gzip data that are not gzip"]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"a.example\nb.example\n", b"{}\n", b"\x1f\x8bxx", gzip.compress(b"text\n")]
)
def test_a_file_without_findings_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotFindings) as caught:
        read(tmp_path, content)
    assert str(caught.value).isprintable()


def test_a_long_file_without_findings_is_refused_early(tmp_path: Path) -> None:
    with pytest.raises(NotFindings, match="first 10000 lines"):
        read(tmp_path, b"x\n" * 50_000)


def test_files_that_cannot_be_opened_are_an_error(tmp_path: Path) -> None:
    for path in (str(tmp_path / "absent"), str(tmp_path), "a\0b"):
        with pytest.raises(NotFindings):
            list(read_findings([path]))


def test_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        buffer = io.BytesIO(line(1))

    monkeypatch.setattr(sys, "stdin", Fake())
    assert rows(list(read_findings(["-"]))) == [1]
    assert not Fake.buffer.closed


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=40), st.just(line(1)), st.just(line(2)[:-9])), max_size=12))
def test_any_bytes_are_findings_unreadable_lines_or_not_findings(tmp_path: Path, pieces: list[bytes]) -> None:
    try:
        items = read(tmp_path, b"".join(pieces))
    except NotFindings:
        return
    assert any(isinstance(item, dict) for item in items)


def numbers(findings: Iterable[dict[str, Any]]) -> list[int]:
    """What some reader makes of findings: of the rows 13 and beyond nothing."""
    made = []
    for one in findings:
        if one["target"]["row"] >= 13:
            raise ValueError
        made.append(one["target"]["row"])
    return made


def test_a_batch_of_which_nothing_can_be_made_is_yielded_by_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line(1), line(2), line(3), b"{}\n", line(4), line(13), line(5), line(6)]
    in_twos = [lines[start : start + 2] for start in range(0, 8, 2)]
    monkeypatch.setattr(module, "_batches", lambda lists, least: iter(in_twos))
    path = tmp_path / "findings"
    path.write_bytes(b"".join(lines))
    made = []
    others = []
    for some, rest in read_batches([str(path)], numbers):
        made += some or []
        others += rows(rest)
    assert made == [1, 2, 5, 6]
    assert others == [3, "not of schema tlsweep/1", 4, 13], "each by itself, in order"
    with pytest.raises(NotFindings):
        list(read_batches([str(tmp_path / "none")], numbers))


def test_lines_are_read_together_up_to_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_ones = [[line(row)] for row in range(1, 6)]

    def torn(source: object, limit: int, with_ends: bool) -> Iterator[list[bytes]]:
        yield from in_ones
        raise StreamBroken("is damaged")

    monkeypatch.setattr(module, "batches_of_lines", torn)
    path = tmp_path / "findings"
    path.write_bytes(b"")
    made = list(read_batches([str(path)], numbers, batch_bytes=3 * len(line(1))))
    assert [some for some, _ in made[:-1]] == [[1, 2, 3], [4, 5]]
    assert made[-1][0] is None and rows(made[-1][1]) == ["the file is damaged"]


@given(st.lists(st.integers(0, 30), max_size=8), st.lists(st.integers(0, 1000), max_size=4), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_parts_of_a_file_hold_each_line_once(tmp_path: Path, lengths: list[int], cuts: list[int], torn: bool) -> None:
    """Wherever it is cut, and whether or not its last line ends."""
    text = b"\n".join(line(number + 1).rstrip() + b" " * length for number, length in enumerate(lengths))
    text += b"" if torn or not lengths else b"\n"
    path = tmp_path / "findings"
    path.write_bytes(text)
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    found = []
    for start, end in pairwise(edges):
        for some, rest in read_part(str(path), start, end, numbers):
            found += some or []
            assert rest == []
    assert found == list(range(1, len(lengths) + 1))
