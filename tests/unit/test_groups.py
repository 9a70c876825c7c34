"""The group file beside a mailboxes.db: its two forms, who is in what, and what is no group file."""

from __future__ import annotations

import pathlib

import pytest

import pyxlist
from tests.sources import value, write_flat


def build(tmp_path: pathlib.Path, text: str | None, **options: bool) -> pyxlist.BuildReport:
    """An index with this group file (None: without one)."""
    source = write_flat(tmp_path / "db", {b"user\x1fann": value("ann lr group:staff l")})
    path = None
    if text is not None:
        path = tmp_path / "group"
        path.write_text(text, encoding="utf-8")
    config = pyxlist.Config(**options)  # type: ignore[arg-type]
    return pyxlist.build(source, tmp_path / "index", config=config, groups=path)


def groups(tmp_path: pathlib.Path, userid: str) -> tuple[str, ...]:
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        return index.groups_of(userid)


@pytest.mark.parametrize("text", ["staff:ann,bob\nops:bob\n", "# two\n\nstaff:x:50:ann, bob\n+::\nops:*:51:bob"])
def test_both_forms_say_the_same(tmp_path: pathlib.Path, text: str) -> None:
    """Two fields or the four of group(5); comments, blank lines and directives are no groups."""
    build(tmp_path, text)
    assert [groups(tmp_path, userid) for userid in ("ann", "bob", "eve")] == [("staff",), ("ops", "staff"), ()]


def test_userids_are_folded_on_both_sides(tmp_path: pathlib.Path) -> None:
    """A member written BOB is the user who logs in as Bob where the server folds case."""
    build(tmp_path, "staff:BOB\n")
    assert groups(tmp_path, "Bob") == ("staff",)
    build(tmp_path, "staff:BOB\n", username_tolower=False)
    assert groups(tmp_path, "bob") == ()
    assert groups(tmp_path, "BOB") == ("staff",)


def test_a_later_build_replaces_or_keeps_them(tmp_path: pathlib.Path) -> None:
    """A build without a group file keeps what is stored; one with a changed file is an update of that alone."""
    build(tmp_path, "staff:ann\n")
    assert build(tmp_path, None).mode == "none"
    assert groups(tmp_path, "ann") == ("staff",)
    assert build(tmp_path, "staff:ann\n").mode == "none"
    assert build(tmp_path, "ops:ann\n").mode == "update"
    assert groups(tmp_path, "ann") == ("ops",)


def test_no_group_file_no_groups(tmp_path: pathlib.Path) -> None:
    """An index that never got one answers with none."""
    build(tmp_path, None)
    assert groups(tmp_path, "ann") == ()


def test_members_that_are_no_userids_are_left_out(tmp_path: pathlib.Path) -> None:
    """A member nobody can log in as is nobody; the others of its line stay."""
    build(tmp_path, "staff:ann,group:x,\n".replace(":x", "-x") + "odd:b\tb,ann\n")
    assert groups(tmp_path, "ann") == ("odd", "staff")


@pytest.mark.parametrize("text", ["staff", "staff:x:50", ":ann", "a\0b:ann", "a:b:c:d:e"])
def test_what_is_no_group_file_is_refused(tmp_path: pathlib.Path, text: str) -> None:
    """The line is named, and the index stays what it was: here none."""
    with pytest.raises(pyxlist.SourceError, match="line 2: not a group"):
        build(tmp_path, "ok:ann\n" + text)
    assert not (tmp_path / "index").exists()


def test_a_group_file_that_is_not_there(tmp_path: pathlib.Path) -> None:
    """A wrong path is an error that names it, and an existing index keeps its groups."""
    build(tmp_path, "staff:ann\n")
    with pytest.raises(pyxlist.SourceError, match="nowhere: cannot be read"):
        pyxlist.build(tmp_path / "db", tmp_path / "index", groups=tmp_path / "nowhere")
    assert groups(tmp_path, "ann") == ("staff",)
