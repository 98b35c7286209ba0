"""Reads tables of tests out of Go's source: composite literals, and constants that hold PEM.

Go's own tests of ``crypto/x509`` come with every Go toolchain; ``GOROOT`` is asked of the ``go`` program.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

_TOKEN: Final = re.compile(
    r'\s+|//[^\n]*|(?P<raw>`[^`]*`)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>!?[\w.]+)|(?P<sign>[{}\[\](),:*&+-])',
    re.DOTALL,
)


@cache
def x509_tests() -> Path | None:
    """Return the folder of Go's ``crypto/x509``; ``None`` without Go or its sources."""
    if shutil.which("go") is None:
        return None
    done = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, timeout=30, check=False)
    folder = Path(done.stdout.strip()) / "src" / "crypto" / "x509"
    return folder if (folder / "verify_test.go").is_file() else None


def constants(source: str) -> dict[str, str]:
    """Return the constants that are raw strings, by name."""
    return dict(re.findall(r"(?m)^(?:const |var )?\t?(\w+)\s+=\s+`([^`]*)`", source))


def table(source: str, opening: str) -> list[dict[str, Any]]:
    """Return the elements of the slice of structs that follows ``opening``, which ends with its brace.

    Structs are dictionaries, strings are decoded, all other values are the words of the source.
    """
    return list(_Reader(source, source.index(opening) + len(opening) - 1).literal())


class _Reader:
    def __init__(self, source: str, at: int) -> None:
        self._source = source
        self._at = at

    def _next(self) -> tuple[str, str]:
        while True:
            found = _TOKEN.match(self._source, self._at)
            assert found is not None, self._source[self._at : self._at + 60]
            self._at = found.end()
            if found.lastgroup is not None:
                return found.lastgroup, found[0]

    def _peek(self) -> str:
        before = self._at
        _, token = self._next()
        self._at = before
        return token

    def literal(self) -> Any:
        """Read from an opening brace to its end: a dictionary if its elements are named, else a list."""
        assert self._next()[1] == "{"
        named: dict[str, Any] = {}
        listed: list[Any] = []
        while self._peek() != "}":
            value = self._value()
            if self._peek() == ":":
                self._next()
                named[value] = self._value()
            else:
                listed.append(value)
            if self._peek() == ",":
                self._next()
        self._next()
        return named if named else listed

    def _value(self) -> Any:
        if self._peek() == "{":
            return self.literal()
        kind, token = self._next()
        if kind == "text":
            return token[1:-1].encode().decode("unicode_escape")
        if kind == "raw":
            return token[1:-1]
        if token in "[]*&":  # a type: what follows is its literal
            while self._peek() != "{":
                self._next()
            return self.literal()
        if self._peek() == "(":
            words = [token]
            depth = 0
            while True:
                word = self._next()[1]
                words.append(word)
                depth += (word == "(") - (word == ")")
                if depth == 0:
                    break
            if token == "make":
                return [{}] * int(words[-2])
            return "".join(words)
        return self.literal() if self._peek() == "{" else token
