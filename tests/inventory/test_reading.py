"""Inventory files as a whole: formats, errors, truncated files, and memory."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.inventory import InventoryError, count_rows_hint, open_inventory, read_inventory
from scanner.inventory.shapes import strip_comment
from scanner.inventory.table import MAX_QUOTED_LINES
from scanner.lines import BLOCK
from scanner.model.evidence import InvalidRow, Target
from tests.inventory.rows import PROTOCOLS, hosts, read, reason, target


def test_a_plain_list_has_hosts_addresses_urls_and_comments(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        "# fleet\n\na.example\nb.example:8443 # old\n[2001:db8::1]:25\n2001:db8::2\n192.0.2.1\n"
        "smtp://mail.example:587\nhttps://c.example/path\n*.example\n",
    )
    assert [(row.host, row.port, row.protocol) for row in rows if isinstance(row, Target)] == [
        ("a.example", 443, "tls"),
        ("b.example", 8443, "tls"),
        ("2001:db8::1", 25, "tls"),
        ("2001:db8::2", 443, "tls"),
        ("192.0.2.1", 443, "tls"),
        ("mail.example", 587, "smtp"),
        ("c.example", 443, "https"),
    ]
    assert reason(rows[-1]).startswith("line 10: ")


def test_the_first_plain_line_is_a_host_and_not_a_header(tmp_path: Path) -> None:
    assert hosts(read(tmp_path, "a.example\nb.example")) == ["a.example", "b.example"]


@pytest.mark.parametrize("word", ["host", "domain", "IP"])
def test_a_single_column_may_have_a_header(tmp_path: Path, word: str) -> None:
    assert hosts(read(tmp_path, f"{word}\n192.0.2.1\n")) == ["192.0.2.1"]


def test_a_plain_line_and_a_host_cell_give_equal_targets(tmp_path: Path) -> None:
    for host in ("a.example", "192.0.2.1", "A.EXAMPLE.", "bücher.example", "1.2.3", "*.x"):
        (plain,) = read(tmp_path, host + "\n", protocol="smtp", port=26)
        (cell,) = read(tmp_path, f"host\n{host}\n", protocol="smtp", port=26)
        if isinstance(plain, InvalidRow) and isinstance(cell, InvalidRow):
            assert plain.reason.partition(": ")[2] == cell.reason.partition(": ")[2]
        else:
            assert plain == cell


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n# nothing\n \r\n", "is empty"),
        (b"host,port\n", "is empty"),
        (b"host,port\n,,\n#\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"\xff\xfeh\0o\0s\0t\0", "is empty"),
        (b"PK\x03\x04" + bytes(100), "spreadsheet"),
        (b"owner,port\nweb,1\n", "host column"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x1f\x8bnothing", "gzip"),
        (b"\x28\xb5\x2f\xfd\xff\xff", "zstd"),
    ],
)
def test_an_unusable_inventory_raises_an_error_of_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InventoryError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert words in message and message.isprintable()


def test_an_unreadable_file_raises_an_inventory_error(tmp_path: Path) -> None:
    for path in (str(tmp_path / "absent"), str(tmp_path), "a\0b"):
        with pytest.raises(InventoryError):
            list(read_inventory(path, protocols=PROTOCOLS))


@pytest.mark.parametrize(("protocol", "port"), [("gopher", None), ("tls", 0), ("tls", 65536)])
def test_an_unusable_default_raises_an_inventory_error(tmp_path: Path, protocol: str, port: int | None) -> None:
    with pytest.raises(InventoryError):
        read(tmp_path, "a.example\n", protocol=protocol, port=port)


def test_compressed_inventories_are_read(tmp_path: Path) -> None:
    text = b"host,owner\n" + b"".join(b"h%d.example,web\n" % number for number in range(2000))
    plain = read(tmp_path, text)
    assert read(tmp_path, gzip.compress(text[:500]) + gzip.compress(text[500:])) == plain
    assert read(tmp_path, zstandard.ZstdCompressor().compress(text)) == plain


def test_a_truncated_gzip_ends_with_an_invalid_row(tmp_path: Path) -> None:
    text = b"".join(b"h%d.example\n" % (number * number) for number in range(5000))
    rows = read(tmp_path, gzip.compress(text)[:-2000])
    assert "ends in the middle of a gzip member" in reason(rows[-1]) and "was not read" in reason(rows[-1])
    assert len(rows) > 100 and all(isinstance(row, Target) for row in rows[:-2])


def test_a_gzip_truncated_inside_a_quote_loses_no_line(tmp_path: Path) -> None:
    # stored, not deflated: everything before the cut can be read
    text = b'host,note\na.example,x\nb.example,"open\nc.example,y\n'
    rows = read(tmp_path, gzip.compress(text, 0)[:-8])
    assert hosts(rows) == ["a.example", None, "c.example", None]
    assert "never closed" in reason(rows[1]) and "gzip" in reason(rows[3])


def test_standard_input_is_read_as_it_arrives(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from scanner.inventory import read_inventory\n"
        "from tests.inventory.rows import PROTOCOLS\n"
        "for row in read_inventory('-', protocols=PROTOCOLS): print(row.host, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    timer = threading.Timer(20, process.kill)
    timer.start()
    with process, process.stdin, process.stdout:
        for name in (b"a.example\n", b"b.example\n"):
            process.stdin.write(name)
            process.stdin.flush()
            assert process.stdout.readline() == name
    timer.cancel()


def test_the_file_is_closed_when_the_iterator_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_text("a.example\n" * 1000)
    rows = read_inventory(str(path), protocols=PROTOCOLS)
    assert target(next(rows)).host == "a.example"
    del rows  # closes the file: an unclosed one would be a warning, and warnings are errors


class Endless(io.RawIOBase):
    """A file of ``count`` lines that is generated as it is read."""

    def __init__(self, line: bytes, count: int) -> None:
        self._line = line
        self._left = count

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        number = min(self._left, 2000)
        self._left -= number
        return self._line * number


def peak(monkeypatch: pytest.MonkeyPatch, line: bytes, count: int) -> int:
    monkeypatch.setattr("scanner.lines.open_binary", lambda _path: Endless(line, count))
    tracemalloc.start()
    try:
        read = sum(1 for _ in read_inventory("made", protocols=PROTOCOLS))
        assert read == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("line", [b"a.example\n", b'{"host":"a.example","owner":"web"}\n'])
def test_memory_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    small = peak(monkeypatch, line, 4000)
    large = peak(monkeypatch, line, 30_000)
    assert large < small * 1.2 + 50_000


def test_row_counts_are_estimated_for_regular_uncompressed_files(tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    for content, rows in [
        ("a.example\nb.example\n", 2),
        ("a.example\nb.example", 2),
        ("\ufeff# x\nhost,owner\na.example,web\n", 2),  # one too many: the comment is counted
        ("host\n", 0),
        ("", 0),
    ]:
        path.write_text(content)
        assert count_rows_hint(str(path)) == rows
    path.write_bytes(gzip.compress(b"a.example\n"))
    assert count_rows_hint(str(path)) is None
    assert count_rows_hint("-") is None
    assert count_rows_hint(str(tmp_path / "absent")) is None
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert count_rows_hint(str(fifo)) is None


FRAGMENTS = [
    b"host", b"port", b"ip", b"owner", b",", b";", b"\t", b'"', b'""', b"\n", b"\r\n", b"\r", b"#", b" ", b"{", b"}",
    b'{"host":"a.example"}', b'{"domain":', b"[", b"]", b":", b"443", b"a.example", b"https://", b"/", b"@", b"*.",
    b"\0", b"\xff", b"\xfc", b"\xef\xbb\xbf", b"\xff\xfe", b"::1", b"192.0.2.1", b"%", b"sep=;", b"x" * 300,
    "ü".encode(), "書".encode(), b"\\", b"-", b"_", b"0x7f",
]  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(b"".join),
        st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(lambda parts: b"host,owner\n" + b"".join(parts)),
        st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(lambda parts: b'{"host":"x"}\n' + b"".join(parts)),
    )
)
def test_any_bytes_give_rows_or_an_inventory_error(tmp_path: Path, content: bytes) -> None:
    """Any bytes give one ``Target`` or ``InvalidRow`` per row, numbered without gaps, or an ``InventoryError``."""
    try:
        rows = read(tmp_path, content)
    except InventoryError as error:
        assert str(error).isprintable()
        return
    assert rows
    for row in rows:
        if isinstance(row, Target):
            assert row.host.isascii() and 1 <= row.port <= 65535 and row.protocol in PROTOCOLS
        else:
            assert row.reason.isprintable()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20), max_size=10))
def test_every_plain_line_is_exactly_one_row(tmp_path: Path, lines: list[str]) -> None:
    rows = read(tmp_path, "\n".join(["first.example", *lines]))
    assert len(rows) == 1 + sum(1 for line in lines if strip_comment(line))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["x", '"', '""', ",", " ", '","', "a.example"]), max_size=30), st.integers(0, 80))
def test_quotes_never_swallow_rows_beyond_the_look_ahead(tmp_path: Path, cells: list[str], more: int) -> None:
    """Whatever quotes are on one line, every row beyond the look-ahead is read as written."""
    after = [f"h{number}.example,note" for number in range(MAX_QUOTED_LINES + more + 1)]
    rows = read(tmp_path, "\n".join(["host,note", "".join(cells), *after]))
    assert hosts(rows)[-len(after) :] == [line.partition(",")[0] for line in after]


def test_a_quote_opened_on_every_line_spoils_only_that_line(tmp_path: Path) -> None:
    # each line leaves a quote open, whether it begins inside a quoted cell or not
    rows = read(tmp_path, "host,note\n" + 'x","\n' * 5000)
    assert len(rows) == 5000 and "never closed" in reason(rows[0])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=10))
def test_any_tag_survives_csv_quoting(tmp_path: Path, notes: list[str]) -> None:
    import csv

    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerow(["host", "note"])
    for note in notes:
        writer.writerow(["a.example", note])
    rows = read(tmp_path, buffer.getvalue().encode())
    assert [row.tags["note"] for row in rows] == [note.strip() for note in notes]


@pytest.mark.parametrize("newline", [b"\n", b" \r\n", b"\t\n", b"\r"])
@pytest.mark.parametrize("start", [b"a.example", b"host,port@a.example,1", b'{"host":"a.example"}', b""])
def test_blocks_of_blank_lines_still_count_in_line_numbers(tmp_path: Path, newline: bytes, start: bytes) -> None:
    blank = BLOCK * 3 // len(newline)
    path = tmp_path / "hosts"
    first = start.replace(b"@", newline)
    last = b'{"host":"b..example"}' if start.startswith(b"{") else b"b..example,1" if b"," in start else b"b..example"
    path.write_bytes(first + newline * blank + last + newline)

    rows = list(read_inventory(str(path), protocols=PROTOCOLS))

    assert len(rows) == 1 + bool(start)
    assert isinstance(rows[-1], InvalidRow)
    number = 1 + first.count(newline) + blank
    assert rows[-1].reason.startswith(f"line {number}:"), (rows[-1].reason, number)


WEB = "web01.corp.example"


@pytest.mark.parametrize(
    "content",
    [
        f"Servers 2026,,\nhost,ip,port\n{WEB},192.0.2.1,8443\n",
        f"Server list\n\nas of 2026-11-01; draft\nFQDN;IP Address;TCP Port\n{WEB};192.0.2.1;8443\n",
        f"Hostname,,\nfqdn,ip,port\n{WEB},192.0.2.1,8443\n",
        f"sep=;\nFQDN;IP;Port No.\n{WEB};192.0.2.1;8443\n",
        f'"sep=,"\r\nExport of CMDB,,\r\n,,\r\nHost Name,IPv4,ssl_port\r\n{WEB},192.0.2.1,8443\r\n',
        f"# exported\nhost\tip\tport\n{WEB}\t192.0.2.1\t8443\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_titles_separators_and_marks_lead_to_the_header(tmp_path: Path, content: str, encoding: str) -> None:
    (row,) = read(tmp_path, content.encode(encoding))
    assert (target(row).host, target(row).address, target(row).port, row.tags) == (WEB, "192.0.2.1", 8443, {})


def test_a_title_alone_is_no_table(tmp_path: Path) -> None:
    rows = read(tmp_path, "our servers\na.example\nb.example\n")
    assert hosts(rows) == [None, "a.example", "b.example"]
    with pytest.raises(InventoryError, match="without a host column"):
        read(tmp_path, "Servers 2026,,\n" + "web,1,2\n" * 30 + "host,port,owner\na.example,443,x\n")


def test_one_named_column_of_several_is_a_header_where_none_follows(tmp_path: Path) -> None:
    assert hosts(read(tmp_path, "host,,\na.example,1,2\nb.example,3,4\n")) == ["a.example", "b.example"]


@pytest.mark.parametrize("encoding", ["gbk", "gb18030"])
def test_a_chinese_spreadsheet_keeps_its_tags(tmp_path: Path, encoding: str) -> None:
    content = f"主机名,端口,负责人\n{WEB},8443,张三\n".encode(encoding)
    path = tmp_path / "inventory"
    path.write_bytes(content)
    inventory = open_inventory(str(path), protocols=PROTOCOLS)
    (row,) = inventory.rows
    assert (target(row).host, target(row).port, row.tags) == (WEB, 8443, {"负责人": "张三"})
    assert "GB18030" in inventory.remarks(brief=True)[0] and "主机名" in inventory.remarks()[0]


def test_an_encoding_that_shows_late_is_said_then(tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    plain = b"".join(b"h%d.example,web\n" % number for number in range(2 * BLOCK // 16))
    path.write_bytes(b"host,owner\n" + plain + "last.example,Grüße Jürgen\n".encode("cp1252"))
    said: list[str] = []
    inventory = open_inventory(str(path), protocols=PROTOCOLS, log=said.append)
    assert inventory.remarks(brief=True) == []
    *_, last = inventory.rows
    assert last.tags == {"owner": "Grüße Jürgen"}
    assert len(said) == 1 and "Windows-1252" in said[0]


def test_unused_columns_are_warned_about_before_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_text("hostname,domain,fqdn,ip,listener\nweb01,corp.example,web01.corp.example,192.0.2.1,8443\n")
    inventory = open_inventory(str(path), protocols=PROTOCOLS)
    assert [line.partition(" look")[0] for line in inventory.layout.warnings()] == [
        'the columns "hostname", "domain"', 'the column "listener"',
    ]  # fmt: skip
    assert target(next(inventory.rows)).host == "web01.corp.example"


def test_a_column_that_is_named_by_hand_is_used(tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_text("hostname;listener;port\na.example;8443;22\n")
    inventory = open_inventory(str(path), protocols=PROTOCOLS, columns={"port": "Listener"})
    (row,) = inventory.rows
    assert (target(row).port, row.tags) == (8443, {"port": "22"})


@pytest.mark.parametrize("content", ["a.example\n", "host,port\na.example,443\n"])
def test_a_column_that_is_not_there_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "inventory"
    path.write_text(content)
    with pytest.raises(InventoryError, match="--column") as caught:
        open_inventory(str(path), protocols=PROTOCOLS, columns={"port": "Listener"})
    assert str(caught.value).isprintable()


def test_a_single_line_without_an_end_has_its_encoding_too(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "host,负责人\na.example,李四".encode("gbk"))
    assert row.tags == {"负责人": "李四"}
    (row,) = read(tmp_path, "bücher.example".encode("cp1252"))
    assert target(row).host == "xn--bcher-kva.example"
