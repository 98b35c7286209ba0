"""Finds the character encoding of an inventory: UTF-8, UTF-16 and UTF-32 by their marks, others by what their letters look like.

Spreadsheets write the code page of their user's language unless told otherwise. ``charset_normalizer`` says which encodings
the bytes could be in; a few cells are too little for it to choose among them (Chinese names are also rare Korean syllables,
German is also Polish), so the choice is made by how many of the letters are common ones of the languages that use the encoding.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

# Bytes of lines that are not ASCII from which the encoding is guessed: some hundreds of cells. More changes no guess.
SAMPLE: Final = 16 * 1024
# Share of such lines that must be UTF-8 for the file to be UTF-8 with a few lines of something else. Of short names in GBK
# about 3 % are valid UTF-8 by accident.
MOSTLY_UTF8: Final = 0.5
# The part of a text that may look out of place in an encoding (charset_normalizer's "chaos"), and the encoding is still weighed.
MAX_CHAOS: Final = 0.3

# Longest first: the mark of UTF-32 begins like that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Python's name of an encoding -> what people call it. The first of those that fit equally well is taken.
NAMES: Final = {
    "cp1252": "Windows-1252",
    "gb18030": "GB18030 (GBK)",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "cp932": "Shift_JIS",
    "big5": "Big5",
    "cp949": "EUC-KR (CP949)",
    "cp1254": "Windows-1254",
    "cp1253": "Windows-1253",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "cp1257": "Windows-1257",
    "cp874": "Windows-874",
    "koi8_r": "KOI8-R",
    "euc_jp": "EUC-JP",
    "latin_1": "ISO 8859-1",
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
}
_GUESSED: Final = tuple(NAMES)[: tuple(NAMES).index("latin_1")]

# What an encoding is used to write beside ASCII, in lower case. Quotes, dashes and the euro come from word processors.
_TYPOGRAPHY: Final = "“”„‘’‚–—…•€°§«»·"
_LETTERS: Final = {
    "cp1252": "äöüßéèêëàâçîïôûùÿœæáíóúñãõåøìò¿¡" + _TYPOGRAPHY,
    "cp1250": "ąćęłńóśźżáčďéěíňřšťúůýžőűäöüßëăâîșțşţđô" + _TYPOGRAPHY,
    "cp1251": "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґўђјљњћџ№" + _TYPOGRAPHY,
    "koi8_r": "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "cp1253": "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋ" + _TYPOGRAPHY,
    "cp1254": "çğıöşüâîûé" + _TYPOGRAPHY,
    "cp1255": "אבגדהוזחטיכךלמםנןסעפףצץקרשת" + _TYPOGRAPHY,
    "cp1256": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژگ،" + _TYPOGRAPHY,
    "cp1257": "ąčęėįšųūžāēģīķļņōŗõäöüß" + _TYPOGRAPHY,
    "cp874": "กขคฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮะัาำิีึืุูเแโใไ็่้๊์ๆ",
}
# Not letters that are added to the Latin ones.
_OWN_SCRIPT: Final = frozenset({"cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874"})
# The commonest of larger alphabets, of surnames, and of the words of an inventory.
_COMMON: Final = {
    "cp1251": "оеаинтсрвлкмдпу",
    "koi8_r": "оеаинтсрвлкмдпу",
    "cp1253": "ατοιενρσκηπςυμλ",
    "cp1254": "ışğ",
    "cp1255": "יוהלרבתמאשנעםדק",
    "cp1256": "اليمونرتبةعدسفه",
    "gb18030": "的一是不了在人有我他这中来上大为和国地到以说时要就出会可也你对生能而子那得于下自之年发后作里用道行所然家事成方"
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗部网络机房服务器测试产环境负责系统数据库应用安全运维开备注名主域端口协议址"
    "北京海广州深圳四明三二五六七八九十",
    "big5": "的一是不了在人有我他這中來上大為和國地到以說時要就出會可也你對生能而子那得於下自之年發後作用行所然家事成方"
    "王李張劉陳楊趙黃周吳徐孫胡朱高林何郭馬羅部網路機房伺服器測試產環境負責系統資料庫應用安全備註名主域埠協定址三二小明",
    "cp949": "이다에의는로하을가고지서한은기으년대사시를리도인스일자팀당담운영개발관버네트워크보안김박정최강조윤장임오신권황송전홍유"
    "문양손배백허남심노구원동부수산진주성철현우민영호명름포주소비명",
}
# Marks of Japanese, and of nothing else: hiragana and katakana.
_KANA: Final = frozenset(map(chr, (*range(0x3041, 0x3097), *range(0x30A1, 0x30FD))))
# The rows of the national standards with the commonest characters: (first lead byte, last).
_FIRST_LEVEL: Final = {"gb18030": (0xB0, 0xD7), "big5": (0xA4, 0xC6), "cp932": (0x88, 0x97), "euc_jp": (0xB0, 0xCF)}


def marked(start: bytes) -> tuple[str, int]:
    """Return (encoding, length of its mark) of a file that begins so; ("", 0) where the first bytes say nothing."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding, len(mark)
    # Mostly ASCII in units of two bytes: what some programs write without a mark.
    head = start[:64] if len(start) >= 8 else b""
    for encoding, high, low in (("utf-16-le", head[1::2], head[0::2]), ("utf-16-be", head[0::2], head[1::2])):
        if head and all(low) and 4 * high.count(0) >= 3 * len(high):
            return encoding, 0
    return "", 0


def as_utf8(source: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the blocks of a text in ``encoding`` as UTF-8; what is no character there becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for block in source:
        if data := decoder.decode(block).encode("utf-8", "replace"):
            yield data
    if data := decoder.decode(b"", True).encode("utf-8", "replace"):
        yield data


class LineDecoder:
    """Decodes the lines of a file whose encoding is found out from its first block that is not ASCII.

    ``fallback`` is the encoding of lines that are not UTF-8, or of all lines if ``only``; ``None`` until such a line was seen.
    """

    def __init__(self) -> None:
        self.fallback: str | None = None
        self.only = False
        self.example = ""  # a word that shows whether the guess is right
        self._known = False
        self._torn = b""  # the start of a character that goes on in the next block

    def learn(self, block: bytes, *, last: bool = False) -> bool:
        """Look at the next block of the file, or at its end (``last``); return True if a ``fallback`` was found with it."""
        if self._known:
            return False
        block, self._torn = self._torn + block, b""
        if block.isascii():
            return False
        try:
            used = codecs.utf_8_decode(block, "strict", False)[1]
        except UnicodeDecodeError:
            pass
        else:
            self._torn = block[used:]
            return False
        strange, fitting, size = [], 0, 0
        lines = block.splitlines()
        if not last and not block.endswith((b"\n", b"\r")) and len(lines[-1]) < SAMPLE:
            self._torn = lines.pop()  # perhaps within a character
        for line in lines:
            if line.isascii():
                continue
            try:
                line.decode()
                fitting += 1
            except UnicodeDecodeError:
                if size < SAMPLE:
                    strange.append(line[: SAMPLE - size])
                    size += len(strange[-1])
        if not strange:
            return False
        self._known = True
        sample = b"\n".join(strange)
        self.fallback = guess(sample)
        self.only = fitting < MOSTLY_UTF8 * (fitting + len(strange))
        text = sample.decode(self.fallback, "replace")
        self.example = max(_words(text), key=lambda word: sum(not letter.isascii() for letter in word), default="")
        return True

    def decode(self, raw: bytes) -> str:
        """Return the text of a line."""
        fallback = self.fallback
        if self.only and fallback is not None:
            return raw.decode(fallback, "replace")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            if fallback is None or b"\0" in raw:
                return raw.decode("latin-1")
            return raw.decode(fallback, "replace")


def _words(text: str) -> list[str]:
    kept = "".join(letter if letter.isalnum() or not letter.isascii() else " " for letter in text[:4000])
    return [word for word in kept.split() if not word.isascii()]


def guess(sample: bytes) -> str:
    """Return the likeliest encoding of bytes that are not UTF-8, as Python names it."""
    from charset_normalizer import from_bytes  # most inventories are UTF-8

    matches = from_bytes(sample, cp_isolation=list(_GUESSED), threshold=MAX_CHAOS, enable_fallback=False)
    possible = {encoding: match.chaos for match in matches for encoding in match.could_be_from_charset}
    best, best_score = "latin_1", 0.0
    for encoding in _GUESSED:
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        score = _familiarity(text, encoding) - possible.get(encoding, MAX_CHAOS)
        if score > best_score:
            best, best_score = encoding, score
    return best


def _familiarity(text: str, encoding: str) -> float:
    """Return how common the characters of ``text`` that are not ASCII are in this encoding's languages: 0 not at all, up to 1.5."""
    letters, common = _known_letters(encoding)
    own_script = encoding in _OWN_SCRIPT
    total = score = 0.0
    before = " "
    for letter in text:
        if own_script and letter.isalpha() and before.isalpha() and letter.isascii() != before.isascii():
            score -= 1  # two scripts within a word
        if not letter.isascii():
            total += 1
            lower = letter.lower()
            if lower in common:
                score += 1.5
            elif letters:
                score += lower in letters
            else:
                score += _first_level(letter, encoding)
            if letter != lower and before.islower():
                score -= 1  # a capital after a small letter: KOI8-R read as Windows-1251 has the cases exchanged
            if encoding.startswith("cp125") and not letter.isalpha() and before.isalpha() and letter not in _TYPOGRAPHY:
                score -= 1  # a sign within a word
        before = letter
    return score / total if total else 0.0


@cache
def _known_letters(encoding: str) -> tuple[frozenset[str], frozenset[str]]:
    common = _KANA if encoding in ("cp932", "euc_jp") else frozenset(_COMMON.get(encoding, ""))
    return frozenset(_LETTERS.get(encoding, "")), common


def _first_level(letter: str, encoding: str) -> float:
    """Return how common a character is by where its standard has it: the commonest have rows of their own."""
    raw = letter.encode(encoding, "replace")
    if encoding == "cp949":
        # Hangul of KS X 1001; what Korean writes in Chinese characters is rare
        return 0.6 if len(raw) == 2 and 0xB0 <= raw[0] <= 0xC8 and raw[1] >= 0xA1 else 0.1
    first, last = _FIRST_LEVEL[encoding]
    if len(raw) == 2 and first <= raw[0] <= last and (encoding != "gb18030" or raw[1] >= 0xA1):
        return 1.0
    return 0.3
