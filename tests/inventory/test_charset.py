"""Encodings of inventories: marks, code pages by their letters, and lines that differ from the rest."""

from __future__ import annotations

import pytest

from scanner.inventory.charset import SAMPLE, LineDecoder, as_utf8, guess, marked


def learnt(block: bytes) -> LineDecoder:
    decoder = LineDecoder()
    decoder.learn(block, last=True)
    return decoder


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("host,ip,port,负责人\nweb01.corp.example,192.0.2.1,443,张三\n", "gb18030"),
        ("主机名,端口,负责人\nweb01.corp.example,443,网络部\n", "gb18030"),
        ("host,owner\na.example,李四\nb.example,王五\n", "gb18030"),
        ("host,部门\na.example,基础设施运维中心\n", "gb18030"),
        ("host,port,負責人\na.example,443,王小明\n", "big5"),
        ("ホスト名,ポート,備考\na.example,443,テスト環境\n", "cp932"),
        ("host,port,담당자\na.example,443,김철수\n", "cp949"),
        ("FQDN;Kommentar\na.example;Größe siehe Wiki\n", "cp1252"),
        ("host,équipe\na.example,réseau\n", "cp1252"),
        ("host,owner\na.example,“Web” – Team €\n", "cp1252"),
        ("host,owner\na.example,Łukasz Wiśniewski\n", "cp1250"),
        ("host,vlastník\na.example,Žofie Nováková, síťový tým\n", "cp1250"),
        ("host,владелец\na.example,Иван Петров\n", "cp1251"),
        ("хост,порт,отдел\na.example,443,Сеть и связь\n", "cp1251"),
        ("host,владелец\na.example,Иван Петров\n", "koi8_r"),
        ("host,owner\na.example,Γιώργος Παπαδόπουλος\n", "cp1253"),
        ("host,sahibi\na.example,Ayşe Yılmaz ağ\n", "cp1254"),
        ("host,owner\na.example,محمد علي\n", "cp1256"),
    ],
)
def test_a_few_cells_are_enough_to_tell_an_encoding(text: str, encoding: str) -> None:
    decoder = learnt(text.encode(encoding))
    assert decoder.only
    assert [decoder.decode(line) for line in text.encode(encoding).splitlines()] == text.splitlines()
    assert decoder.example in text and not decoder.example.isascii()


def test_a_gbk_line_that_is_also_utf8_is_read_as_the_file_is() -> None:
    ambiguous = "host,哪".encode("gbk")  # C4 C4: no UTF-8; the next one is
    accident = next(
        raw
        for lead in range(0xC2, 0xD8)
        for trail in range(0xA1, 0xC0)
        if (raw := bytes((lead, trail))).decode("gbk", "replace").isalpha() and raw.decode()
    )
    decoder = learnt(b"a.example,\xd5\xc5\xc8\xfd\nb.example,\xc0\xee\xcb\xc4\n" + ambiguous + b"\n")
    assert decoder.decode(accident) == accident.decode("gbk") != accident.decode()


def test_single_lines_of_another_encoding_keep_the_others_utf8() -> None:
    block = "a.example,Jörg\nb.example,Müller\n".encode() + b"c.example,M\xfcller\n"
    decoder = learnt(block)
    assert not decoder.only
    assert [decoder.decode(line)[10:] for line in block.splitlines()] == ["Jörg", "Müller", "Müller"]


def test_ascii_and_utf8_are_no_guess() -> None:
    decoder = LineDecoder()
    assert not decoder.learn(b"host,owner\n") and not decoder.learn("a.example,Jörg\n".encode())
    assert decoder.fallback is None
    assert decoder.learn("b.example,Jörg\n".encode("cp1252")) and decoder.fallback == "cp1252"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 30])
def test_characters_torn_between_blocks_are_no_other_encoding(size: int) -> None:
    text = "a.example,Jörg 張三\nb.example,Jö€\n".encode() * 3
    decoder = LineDecoder()
    assert not any(decoder.learn(text[at : at + size]) for at in range(0, len(text), size))
    assert decoder.fallback is None


@pytest.mark.parametrize("size", [13, 17, 40, 1000])
def test_an_encoding_is_found_however_its_lines_are_torn(size: int) -> None:
    text = "a.example,张三\nb.example,李四\nc.example,基础设施\n".encode("gbk") * 2
    decoder = LineDecoder()
    assert (
        sum(decoder.learn(text[at : at + size]) for at in range(0, len(text), size)) + decoder.learn(b"", last=True)
        == 1
    )
    assert decoder.fallback == "gb18030"


@pytest.mark.parametrize("junk", [b"\xff\xfe\x81\x8d\x9d", bytes(range(128, 256)), b"\x81" * 40, b"a\0\xff"])
def test_bytes_of_no_language_are_decoded_somehow(junk: bytes) -> None:
    assert learnt(junk + b"\n").decode(junk)
    assert junk.decode(guess(junk), "replace")


def test_only_the_head_of_a_large_block_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(sample: bytes) -> str:
        sizes.append(len(sample))
        return "cp1252"

    monkeypatch.setattr("scanner.inventory.charset.guess", counted)
    learnt("a.example,Jörg Müller\n".encode("cp1252") * 20_000)
    assert 0 < sizes[0] <= SAMPLE + SAMPLE // 10


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_marks_and_wide_characters_are_recognised(encoding: str, size: int) -> None:
    text = "host;owner\r\na.example;Jörg 張\r\n"
    raw = text.encode(encoding)
    found, length = marked(raw)
    raw = raw[length:]
    blocks = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert b"".join(as_utf8(blocks, found)).decode() == text


def test_what_is_no_character_becomes_a_replacement() -> None:
    assert b"".join(as_utf8([b"a\0\x00\xd8", b"b\0", b"c"], "utf-16-le")).decode() == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    "start", [b"", b"a.example\n", b"a\0", b"\0\0\0\0\0\0\0\0", b"\x00\x01\x02\x03\x04\x05\x06\x07"]
)
def test_nothing_is_recognised_in_other_starts(start: bytes) -> None:
    assert marked(start) == ("", 0)
