"""Files appear whole or not at all, and never over something that is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scanner.output import OutputClosed, OutputError, OutputExists
from scanner.output.draft import Draft, refuse


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with Draft(str(path)) as draft:
        draft.write(b"whole")
        assert not path.exists()
        draft.place()
    assert path.read_bytes() == b"whole" and list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_unfinished_file_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Draft(str(tmp_path / "page.html")) as draft:
        draft.write(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with Draft(str(path)) as draft:
        path.write_bytes(b"came meanwhile")
        with pytest.raises(OutputExists, match="--force"):
            draft.place()
    assert path.read_bytes() == b"came meanwhile" and list(tmp_path.iterdir()) == [path]
    with Draft(str(path), force=True) as draft:
        draft.write(b"new")
        draft.place()
    assert path.read_bytes() == b"new"


def test_a_file_system_without_links_is_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "page.html"
    for expected in (None, OutputExists):
        with Draft(str(path)) as draft:
            if expected is None:
                draft.place()
            else:
                with pytest.raises(expected):
                    draft.place()
    assert list(tmp_path.iterdir()) == [path]


def test_standard_output_and_devices_are_written_directly(capfd: pytest.CaptureFixture[str]) -> None:
    for path in ("-", os.devnull):
        with Draft(path) as draft:
            draft.write(b"said")
            draft.place()
        refuse(path, force=False)
    assert capfd.readouterr().out == "said"


def test_a_closed_pipe_is_output_closed(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with Draft(str(pipe)) as draft:
        os.close(reader)
        with pytest.raises(OutputClosed):
            draft.write(b"said")


@pytest.mark.parametrize(
    ("name", "force", "reason"),
    [
        ("there", False, "exists already: --force"),
        ("no/where", True, "No such file"),
        (".", True, "Is a directory"),
        ("a\0b", True, "null"),
    ],
)
def test_an_unusable_path_is_refused_at_once(tmp_path: Path, name: str, force: bool, reason: str) -> None:
    (tmp_path / "there").touch()
    with pytest.raises(OutputError, match=reason):
        refuse(f"{tmp_path}/{name}", force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    refuse(str(tmp_path / "there"), force=True)
