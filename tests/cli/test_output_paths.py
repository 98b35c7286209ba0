from __future__ import annotations

from pathlib import Path

from scanner.cli.output_paths import same_file


def test_links_and_other_spellings_are_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a")

    assert same_file(str(tmp_path / "a"), str(tmp_path / "link"))
    assert same_file(str(tmp_path / "none"), f"{tmp_path}/./none")
    assert not same_file(str(tmp_path / "a"), str(tmp_path / "b"))
    assert not same_file(str(tmp_path / "a"), "bad\x00name")
