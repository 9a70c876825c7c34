"""`pyxlist listen`: apply what a server notifies of."""

from __future__ import annotations

import logging
import pathlib
import sys

import click

from pyxlist.cli._arguments import PATH, index_argument
from pyxlist.cli._output import print_line
from pyxlist.cli.follow import service
from pyxlist.follow.events import Applier, Event, read_event
from pyxlist.follow.follower import Follower
from pyxlist.follow.notify import iter_json, serve
from pyxlist.index.opening import open_store
from pyxlist.index.rescan import want_rescan
from pyxlist.index.writing import write

__all__ = ["command"]

_log = logging.getLogger("pyxlist")


@click.command("listen", short_help="Apply what the server notifies of.")
@index_argument
@click.argument("place", metavar="SOCKET|-")
@click.option("--follow", "source", metavar="SOURCE", type=PATH, help="Look at SOURCE at each event, and believe that.")
@click.option("--mode", metavar="OCTAL", default="660", show_default=True, help="Permissions of the socket.")
def command(index_path: pathlib.Path, place: str, source: pathlib.Path | None, mode: str) -> None:
    """Bind SOCKET, which is `notifysocket` of imapd.conf, and apply each event to INDEX; or read JSON from stdin.

    SOCKET is a path, for datagrams, or `dlist:` and a path, for a stream: as imapd.conf has it. With `-` events are
    read from standard input, as the script of `notify_external` gets them. imapd.conf needs
    `event_notifier: external` and `event_groups: access mailbox subscription`.

    An event is a hint. What it tells is applied; what it does not (children of a rename, where a deleted mailbox
    lives on, whatever contradicts INDEX) is recorded as a wish for a rescan, which `pyxlist stat` shows and the
    next `follow` or `build` fulfils. With --follow events only say when to look at SOURCE, and nothing is guessed.

    \b
    Examples:
      pyxlist listen INDEX /run/cyrus/socket/notify
      pyxlist listen INDEX dlist:/run/cyrus/socket/notify --follow /var/lib/imap/mailboxes.db
      pyxlist listen INDEX - < event.json

    Exit status: 0 stopped, or all was applied; 2 standard input is no JSON; 3 SOCKET or INDEX cannot be used.
    """
    if not mode.isdigit() or set(mode) - set("01234567"):
        raise click.BadParameter("expected octal digits", param_hint="--mode")
    target = _Following(index_path, source) if source is not None else _Applying(index_path)
    try:
        if place == "-":
            _read_stdin(target)
            return
        target.begin()
        stream = place.startswith("dlist:")
        with service() as stop:
            stop.ready()
            serve(place.removeprefix("dlist:"), stream, target.take, stop, int(mode, 8))
    finally:
        target.close()


def _read_stdin(target: _Applying | _Following) -> None:
    try:
        messages = [text.encode() for text in iter_json(sys.stdin.read())]
    except ValueError as error:
        raise click.UsageError(f"standard input is no JSON: {error}") from error
    target.take(messages)


def _events(messages: list[bytes]) -> list[Event]:
    events = []
    for message in messages:
        try:
            event = read_event(message)
        except ValueError as error:
            _log.warning("a notification that is no event: %s", error)
            continue
        if event is not None:
            events.append(event)
    return events


class _Applying:
    """Events are applied."""

    def __init__(self, index_path: pathlib.Path) -> None:
        self._store = open_store(index_path)
        self._applier = Applier(self._store)
        self._told: set[str] = set()

    def begin(self) -> None:
        """What happened before we listened was told to nobody."""
        with write(self._store) as txn:
            want_rescan(txn, self._store.tables, "events before this listener began")

    def take(self, messages: list[bytes]) -> None:
        events = _events(messages)
        if events:
            for reason in self._applier.apply(events):
                if reason not in self._told:
                    self._told.add(reason)
                    print_line(f"rescan wanted: {reason}")
            sys.stdout.flush()

    def close(self) -> None:
        self._store.close()


class _Following:
    """Events say when to look."""

    def __init__(self, index_path: pathlib.Path, source: pathlib.Path) -> None:
        self._follower = Follower(source, index_path)

    def begin(self) -> None:
        self._follower.step()

    def take(self, messages: list[bytes]) -> None:
        if _events(messages):
            report = self._follower.step()
            if report.mode != "none":
                print_line(f"{report.mode}: {report.total} changes")
                sys.stdout.flush()

    def close(self) -> None:
        self._follower.close()
