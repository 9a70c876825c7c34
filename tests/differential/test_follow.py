"""A follower beside a live server under load: never a wrong answer, and how far behind it is.

The load is what administrators do: CREATE, DELETE, RENAME, SETACL, DELETEACL, at random and without a pause.
`PYXLIST_FOLLOW_SECONDS` sets how long (20 seconds without it).
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest

import pyxlist

from .imap import Session
from .server import Server

pytestmark = pytest.mark.cyrus

SECONDS = float(os.environ.get("PYXLIST_FOLLOW_SECONDS", "20"))
EVERY = 100
USERS = ("ann", "bob", "eve")
RIGHTS = ("lrs", "l", "lrswipkxte", "r", "p")
OPTIONS = {"altnamespace": "1", "unixhierarchysep": "1", "virtdomains": "off"}


@pytest.fixture
def folder() -> Iterator[pathlib.Path]:
    """A directory that the server's own user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="pyxlist-follow-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def start_follower(source: pathlib.Path, index_path: pathlib.Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pyxlist", "follow", os.fspath(source), os.fspath(index_path), "--json", *options]
    with open(index_path.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


class Load:
    """Random changes of an admin; what exists is what the server said OK to."""

    def __init__(self, session: Session, seed: int) -> None:
        self.session = session
        self.random = random.Random(seed)
        self.names: list[str] = []
        self.done = 0
        self.fresh = 0

    def start(self) -> None:
        for user in USERS:
            assert self.session.ask(f'CREATE "user/{user}"'.encode()).status == "OK"

    def name(self) -> str:
        self.fresh += 1
        parent = self.random.choice([f"user/{self.random.choice(USERS)}", "pub", "team", *self.names[-20:]])
        return f"{parent}/b{self.fresh}" if parent.count("/") < 6 else f"user/ann/c{self.fresh}"

    def step(self) -> bool:
        """One command; whether the server did it."""
        name = self.random.choice(self.names) if self.names else ""
        verb = self.random.choice(("CREATE", "CREATE", "DELETE", "RENAME", "SETACL", "SETACL", "DELETEACL"))
        if verb == "CREATE" or not name:
            name = self.name()
            command = f'CREATE "{name}"'
        elif verb == "RENAME":
            command = f'RENAME "{name}" "{self.name()}"'
        elif verb == "SETACL":
            who = self.random.choice((*USERS, "anyone", "-bob"))
            command = f'SETACL "{name}" {who} {self.random.choice(RIGHTS)}'
        elif verb == "DELETEACL":
            command = f'DELETEACL "{name}" {self.random.choice((*USERS, "anyone"))}'
        else:
            self.session.ask(f'SETACL "{name}" cyrus lrswipkxtecda'.encode())
            command = f'DELETE "{name}"'
        done = self.session.ask(command.encode()).status == "OK"
        self.remember(verb, name, command, done)
        self.done += done
        return done

    def remember(self, verb: str, name: str, command: str, done: bool) -> None:
        if done and verb in ("DELETE", "RENAME") and name in self.names:
            moved = command.rsplit('"', 2)[1] if verb == "RENAME" else None
            below = [other for other in self.names if other == name or other.startswith(f"{name}/")]
            self.names = [other for other in self.names if other not in below]
            if moved is not None:
                self.names += [moved + other[len(name) :] for other in below]
        elif done and verb == "CREATE":
            self.names.append(name)


def await_true(source: pathlib.Path, index_path: pathlib.Path, limit_s: float = 20.0) -> None:
    """The server pauses: the index must become equal to the source, and equal to a fresh build of a copy."""
    limit = time.monotonic() + limit_s
    while True:
        with pyxlist.open(index_path) as index:
            if not (left := list(index.verify(source))):
                break
        assert time.monotonic() < limit, left[:3]
        time.sleep(0.002)
    copy, fresh = index_path.with_suffix(".copy"), index_path.with_suffix(".fresh")
    shutil.copyfile(source, copy)
    shutil.rmtree(fresh, ignore_errors=True)
    with pyxlist.open(index_path) as index:
        pyxlist.build(copy, fresh, config=index.config)
        with pyxlist.open(fresh) as built:
            assert [entry.as_dump() for entry in index.entries()] == [entry.as_dump() for entry in built.entries()]
            for user in USERS:
                command = b'LIST "" "*" RETURN (MYRIGHTS)'
                assert index.view(user).respond(command) == built.view(user).respond(command)
        assert list(index.check()) == []


class Client(threading.Thread):
    """Lists in a loop while it happens: what is always there must always be listed, what never is, never."""

    def __init__(self, index_path: pathlib.Path) -> None:
        super().__init__(daemon=True)
        self.index_path = index_path
        self.stop = threading.Event()
        self.answers = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        with pyxlist.open(self.index_path) as index:
            while not self.stop.wait(0.01):
                for user in USERS:
                    names = [item.name for item in index.view(user).list("", "*")]
                    self.answers += 1
                    if "INBOX" not in names or "secret" in str(names) or len(names) != len(set(names)):
                        self.wrong.append(f"{user}: {names}")


def measured_lags(log: pathlib.Path) -> list[float]:
    reports = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return sorted(report["lag_s"] for report in reports if report["mode"] == "tail")


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("options", [(), ("--no-inotify",)], ids=["inotify", "polling"])
def test_a_live_server(folder: pathlib.Path, options: tuple[str, ...]) -> None:
    """Every hundred changes the index is what a fresh build of a copy is, and no answer was wrong meanwhile."""
    with Server(folder / "server", [OPTIONS], {}) as server, server.session("cyrus") as session:
        source, index_path = server.directory / "mailboxes.db", folder / "index"
        load = Load(session, seed=int(SECONDS))
        load.start()
        load.session.ask(b'CREATE "secret"')
        load.session.ask(b'SETACL "secret" anyone ""')
        config = pyxlist.Config.from_imapd_conf(server.imapd_conf(0))
        pyxlist.build(source, index_path, config)
        follower, client = start_follower(source, index_path, *options), Client(index_path)
        client.start()
        try:
            until, compared = time.monotonic() + SECONDS, 0
            while time.monotonic() < until:
                if load.step() and load.done % EVERY == 0:
                    await_true(source, index_path)
                    compared += 1
            await_true(source, index_path)
        finally:
            follower.send_signal(signal.SIGTERM)
            assert follower.wait(20) == 0
            client.stop.set()
            client.join(20)
        lags = measured_lags(index_path.with_suffix(".log"))
        print(
            f"{options or 'inotify'}: {load.done} changes, compared {compared} times, {client.answers} answers, "
            f"{len(lags)} tails, lag p50 {statistics.median(lags) * 1e3:.2f} ms, "
            f"p99 {lags[len(lags) * 99 // 100] * 1e3:.2f} ms"
        )
        assert client.answers
        assert not client.wrong
        assert lags


def test_killed_at_random(folder: pathlib.Path) -> None:
    """kill -9 of the follower again and again under load: each next one goes on where the last commit was."""
    with Server(folder / "server", [OPTIONS], {}) as server, server.session("cyrus") as session:
        source, index_path = server.directory / "mailboxes.db", folder / "index"
        load = Load(session, seed=5)
        load.start()
        pyxlist.build(source, index_path, pyxlist.Config.from_imapd_conf(server.imapd_conf(0)))
        for _ in range(8):
            follower = start_follower(source, index_path)
            until = time.monotonic() + load.random.uniform(0.3, 1.5)
            while time.monotonic() < until:
                load.step()
            follower.kill()
            follower.wait()
            with pyxlist.open(index_path) as index:
                assert list(index.check()) == []
        report = pyxlist.follow(source, index_path, once=True)
        assert report.mode in ("tail", "none", "rebuild")
        await_true(source, index_path)
