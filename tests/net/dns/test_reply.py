"""What one exchange brings: the texts of errors."""

from __future__ import annotations

from scanner.net.dns.reply import error_text


def test_error_texts() -> None:
    assert error_text(OSError(101, "x")) == "network is unreachable"
    assert error_text(OSError("told without a number")) == "told without a number"
