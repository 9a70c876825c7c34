"""A running server whose worlds can be changed below its sessions, and its answers in comparable form."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from collections.abc import Sequence
from typing import Final

from tests.worlds import World

from .imap import Session
from .server import Server

Comparable = tuple[str, str, bytes]  # status, text of a refusal, untagged lines
DIED: Final[Comparable] = ("", "", b"")
_SUBSCRIPTIONS: Final = ("user", "domain")  # folders of a configdirectory


class Host:
    """A running server and one session for each user and configuration, kept while worlds change below it."""

    def __init__(self, server: Server) -> None:
        """`server` is running."""
        self.server = server
        self._sessions: dict[tuple[str, int], Session] = {}

    def session(self, userid: str, number: int) -> Session:
        """The session of a user under a configuration."""
        place = userid, number
        if place not in self._sessions:
            self._sessions[place] = self.server.session(userid, number)
        return self._sessions[place]

    def forget(self) -> None:
        """End all sessions; the next question logs in anew."""
        self.close()
        self._sessions.clear()

    def close(self) -> None:
        """End all sessions."""
        for session in self._sessions.values():
            session.close()

    def _end(self, userid: str, number: int) -> None:
        """End one session, if there is one."""
        if session := self._sessions.pop((userid, number), None):
            session.close()

    def install(self, world: World) -> None:
        """Put a world in the place of the server's databases, each by renaming a new file over the old."""
        with tempfile.TemporaryDirectory(dir=self.server.root) as name:
            folder = pathlib.Path(name)
            world.write(folder)
            _give_away(folder)  # Cyrus' tools are run by root and work as cyrus
            for database in ("mailboxes.db", "annotations.db"):
                converted = folder / f"{database}.twoskip"
                self.server.tool("cvt_cyrusdb", folder / database, "flat", converted, "twoskip")
                os.replace(converted, self.server.directory / database)
        world.write_subscriptions(self.server.directory)
        for name in _SUBSCRIPTIONS:
            _give_away(self.server.directory / name)

    def ask(self, userid: str, number: int, commands: Sequence[bytes]) -> list[Comparable]:
        """What the server answers, in the form the package's answers are compared in; DIED where its process does.

        Raises OSError when the server is gone.
        """
        try:
            return [comparable(*reply) for reply in self.session(userid, number).ask_all(commands)]
        except ConnectionError:
            self._end(userid, number)
        return [self._ask_again(userid, number, command) for command in commands]

    def _ask_again(self, userid: str, number: int, command: bytes) -> Comparable:
        """One command in a session that lives: the process may have died of another one."""
        session = self.session(userid, number)
        try:
            return comparable(*session.ask(command))
        except ConnectionError:
            self._end(userid, number)
            return DIED


def _give_away(top: pathlib.Path) -> None:
    shutil.chown(top, "cyrus", "mail")
    for path in top.rglob("*"):
        shutil.chown(path, "cyrus", "mail")


def comparable(status: str, text: str, untagged: bytes) -> Comparable:
    """An OK's text tells the server's time; that of a refusal counts."""
    return status, "" if status == "OK" else text, untagged


def copy_databases(directory: pathlib.Path, folder: pathlib.Path) -> None:
    """A server's mailboxes.db, annotations.db and subscriptions, as they are while it runs."""
    for name in ("mailboxes.db", "annotations.db"):
        shutil.copy(directory / name, folder / name)
    for name in _SUBSCRIPTIONS:
        shutil.rmtree(folder / name, ignore_errors=True)
        if (directory / name).exists():
            shutil.copytree(directory / name, folder / name)
