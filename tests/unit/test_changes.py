"""What changed in a view: since an earlier answer exactly, since a bare token only whether."""

from __future__ import annotations

import pathlib

import pyxlist
from pyxlist import Rights
from tests.sources import value, write_flat


def test_changes_since_an_answer_and_since_a_token(tmp_path: pathlib.Path) -> None:
    """An answer handed back gives names; a token gives `full` when it is stale, and nothing when it is not."""
    source = write_flat(tmp_path / "db", {b"pub": value("anyone lrs"), b"pub\x1fnews": value("bob lr")})
    pyxlist.build(source, tmp_path / "index")
    with pyxlist.open(tmp_path / "index", readonly=False) as index:
        view = index.view("bob")
        told, token = index.changes(view), view.state()
        assert told.appeared == ("Shared Folders/pub", "Shared Folders/pub/news")
        assert not index.changes(view, token)
        with index.write() as hooks:
            hooks.mboxlist_setacl("pub.news", "bob", "l")
            hooks.mboxlist_createmailbox("pub.old", (("bob", "l"),))
        now = index.changes(view, told)
        assert (now.appeared, now.vanished, now.full) == (("Shared Folders/pub/old",), (), False)
        assert now.changed == ("Shared Folders/pub/news",)
        assert now.names["Shared Folders/pub/news"][0] == Rights.parse("l")
        stale = index.changes(view, token)
        assert stale
        assert (stale.full, stale.appeared, stale.names) == (True, (), now.names)
        assert not index.changes(view, stale)
        assert list(index.check()) == []
