"""What does a real imapd answer, with and without reverseacls, on the same mailboxes.db?

Both sides are asked over loopback, one command at a time, by one client.  pyxlist is asked through a
small server, and once more without any.  Client and servers share one processor: how long one
takes to wake another, on a virtual machine as long as an answer, says nothing of either.  Needs Debian's
cyrus-imapd and root.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyxlist
from benchmarks.measure import Result, take_turns
from benchmarks.plan import Plan
from benchmarks.serving import Serving
from benchmarks.worlds import random_users
from tests.differential.imap import Session
from tests.differential.server import MASTER, TOOLS, Server

__all__ = ["run"]

_COMMANDS = (b'LIST "" %', b'LIST "" *')
_TIMES = 1000  # of the quick ones in a turn
_PATIENCE_S = 600.0  # a scan of millions of rows with an ACL check a row takes a minute
_BARS = {"reverseacls 1": 300.0, "reverseacls 0": 10_000.0}


class _Imapd(Server):
    """A server on a copy of a world's mailboxes.db.

    With and without reverse ACLs are two databases: an imapd uses the records once they are there.
    """

    def __init__(self, root: Path, source: Path, reverseacls: str) -> None:
        common = {"altnamespace": "1", "unixhierarchysep": "1", "virtdomains": "off"}
        super().__init__(root, [{"reverseacls": reverseacls}], {}, **common)
        self._source = source

    def _lay_out(self) -> None:
        super()._lay_out()
        self.root.parent.chmod(0o755)
        place = self.directory / "mailboxes.db"
        shutil.copyfile(self._source, place)
        shutil.chown(place, "cyrus", "mail")
        # With reverseacls this writes a record for each grant, which takes minutes.
        subprocess.run([TOOLS / "ctl_cyrusdb", "-C", self.imapd_conf(0), "-r"], check=True, capture_output=True)

    def _cyrus_conf(self) -> str:
        """Without the recovery at the start: it has been done, and takes longer than a start may."""
        return "START {\n}\nSERVICES" + super()._cyrus_conf().partition("SERVICES")[2]


@contextlib.contextmanager
def _one_processor() -> Iterator[None]:
    """Keep this process, and those that it starts, on one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def asks(session: Session, command: bytes, times: int) -> Callable[[], int]:
    """The command so many times, over a connection; answers are read, not taken apart."""

    def run() -> int:
        for _ in range(times):
            session.count(command)
        return times

    return run


def run(plan: Plan) -> Iterator[Result]:
    """LIST of one ordinary user, who sees what everybody sees."""
    if os.geteuid() or not MASTER.exists():
        print("servers: left out, needs root and Debian's cyrus-imapd", file=sys.stderr)
        return
    user, index_path = random_users(plan.public, 1)[0], plan.worlds.index(plan.public)
    source = plan.worlds.source(plan.public)
    with (
        _one_processor(),
        tempfile.TemporaryDirectory(prefix="pyxlist-bench-") as folder,
        _Imapd(Path(folder) / "reverse", source, "1") as with_racl,
        _Imapd(Path(folder) / "plain", source, "0") as without,
        Serving(str(index_path)) as port,
        pyxlist.open(index_path) as index,
        Session(port).login(user) as ours,
        with_racl.session(user) as reverse,
        Session(without.ports[0], _PATIENCE_S).login(user) as plain,
    ):
        view = index.view(user)
        for command in _COMMANDS:
            answer = sorted(view.respond(command).untagged.splitlines())
            for session in (ours, reverse, plain):
                assert sorted(session.ask(command).untagged.splitlines()) == answer
            yield from _turns(plan, command, view, ours, {"reverseacls 1": reverse, "reverseacls 0": plain})


def _turns(
    plan: Plan, command: bytes, view: pyxlist.View, ours: Session, theirs: dict[str, Session]
) -> Iterator[Result]:
    """One imapd after the other in turns with pyxlist; the slow one in three rounds, without a warm-up."""

    def bare() -> int:
        for _ in range(_TIMES):
            view.respond(command)
        return _TIMES

    rows = view.respond(command).untagged.count(b"\n")
    what = f"{command.decode()}, {plan.public.users:,} users, {rows:,} rows"
    for name, session in theirs.items():
        quick = name == "reverseacls 1"
        contenders: dict[str, Callable[[], int]] = {
            "bare": bare,
            "served": asks(ours, command, _TIMES),
            name: asks(session, command, 20 if quick else 1),
        }
        times = take_turns(contenders, 5 if quick else 3, warm=quick)
        for way, told in (("served", "both over loopback"), ("bare", "pyxlist called")):
            yield Result("servers", f"imapd {name}, {what}, {told}", times.median(name) * 1e6, "pyxlist",
                         times.median(way) * 1e6, times.ratio(name, way), "us", _BARS[name], at_least=True)  # fmt: skip
