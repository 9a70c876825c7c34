"""Waiting for a source: inotify events of the file, of its name, and of both ends of a link."""

from __future__ import annotations

import pathlib

import pytest

from pyxlist.follow import wake

pytest.importorskip("inotify_simple")


@pytest.mark.parametrize("linked", [False, True], ids=["file", "link"])
def test_a_write_wakes(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, linked: bool) -> None:
    """A write through a link raises its event where the file is, a link put in its place where the link is."""
    monkeypatch.setattr(wake, "_RELOOK_S", float("inf"))  # woken by events alone
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    file = folder / "real.db"
    file.write_bytes(b"one")
    path = tmp_path / "mailboxes.db" if linked else file
    if linked:
        path.symlink_to(file)
    waiting = wake.make_wake(str(path), "twoskip")
    try:
        assert not waiting.wait(0.01)
        (folder / "another").touch()
        (tmp_path / "another").touch()
        assert not waiting.wait(0.01)
        file.write_bytes(b"two")
        assert waiting.wait(30)
        while waiting.wait(0.01):
            pass  # one write raises several events
        (path.parent / "new").symlink_to(tmp_path / "another")
        (path.parent / "new").rename(path)
        assert waiting.wait(30)
    finally:
        waiting.close()
