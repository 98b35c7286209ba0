from __future__ import annotations

from pathlib import Path

from scanner.demo.demo_scan import command_line
from scanner.demo.fleet import Fleet


def test_the_scan_is_what_a_person_would_type() -> None:
    fleet = Fleet(Path("fleet"), "127.0.0.1:5353", (), ())

    words = command_line(fleet, Path("fleet"))

    assert words[:4] == ["fleet/inventory.csv", "-o", "fleet/findings.ndjson", "--force"]
    assert words[words.index("--resolver") + 1] == "127.0.0.1:5353"
    assert "--all-addresses" in words
    assert words[words.index("--retries") + 1] == "0"
