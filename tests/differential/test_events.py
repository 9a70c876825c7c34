"""A listener beside a live server: with events alone the index follows, and what they leave open is fulfilled."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import pytest

import pyxlist

from .server import Server
from .test_follow import OPTIONS, Load

pytestmark = pytest.mark.cyrus

CHANGES = 150


def held(index_path: pathlib.Path) -> dict[str, tuple[str | None, tuple[tuple[str, str], ...]]]:
    """Mailboxes that are there, with what events tell of them; those below DELETED are never told of."""
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        return {
            entry.name: (entry.uniqueid, entry.acl)
            for entry in index.entries()
            if entry.is_live and not entry.name.startswith("DELETED.")
        }


@pytest.mark.parametrize("form", ["dlist:", ""], ids=["stream", "datagrams"])
def test_events_alone(form: str) -> None:
    """No event is lost on a quiet machine: names, uniqueids and ACLs are the server's; then a rescan makes all so."""
    with tempfile.TemporaryDirectory(prefix="pyxlist-events-") as name:
        os.chmod(name, 0o755)
        folder = pathlib.Path(name)
        socket_path, index_path, fresh = folder / "notify", folder / "index", folder / "fresh"
        options = {
            "event_notifier": "external",
            "event_groups": "access mailbox subscription",
            "notifysocket": f"{form}{socket_path}",
        }
        with Server(folder / "server", [{**OPTIONS, **options}], {}) as server, server.session("cyrus") as session:
            load = Load(session, seed=11)
            load.start()
            source = server.directory / "mailboxes.db"
            config = pyxlist.Config.from_imapd_conf(server.imapd_conf(0))
            pyxlist.build(source, index_path, config)
            command = [sys.executable, "-m", "pyxlist", "listen", str(index_path), f"{form}{socket_path}"]
            with subprocess.Popen([*command, "--mode", "666"]) as listener:
                while not socket_path.exists():
                    assert listener.poll() is None
                    time.sleep(0.02)
                while load.done < CHANGES:
                    load.step()
                time.sleep(1.0)
                listener.send_signal(signal.SIGTERM)
                assert listener.wait(20) == 0
            pyxlist.build(source, fresh, config)
            assert held(index_path) == held(fresh)
            assert pyxlist.follow(source, index_path, once=True).mode == "rebuild"
            with pyxlist.open(index_path) as index:
                assert list(index.verify(source)) == []
                assert index.stat()["rescan wanted"] == []
