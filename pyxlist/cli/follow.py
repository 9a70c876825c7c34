"""`pyxlist follow`: keep an index true while the server runs."""

from __future__ import annotations

import dataclasses
import functools
import logging
import pathlib
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import click

from pyxlist.cli._arguments import PATH, index_argument, json_option
from pyxlist.cli._output import print_json, print_line
from pyxlist.config import Config
from pyxlist.follow import FollowReport, follow
from pyxlist.follow.status import Metrics

__all__ = ["command", "service"]


@click.command("follow", short_help="Apply what the server changes, as it changes it.")
@click.argument("source", metavar="SOURCE", type=PATH)
@index_argument
@click.option("--once", is_flag=True, help="Apply what changed since, and end.")
@click.option("--imapd-conf", metavar="FILE", type=PATH, help="The server's imapd.conf; stored at each rebuild.")
@click.option("--subscriptions", metavar="DIR", type=PATH, help="The configdirectory, followed too.")
@click.option("--annotations", metavar="DB", type=PATH, help="The annotations.db, followed too.")
@click.option(
    "--rescan",
    "rescan_s",
    metavar="SECONDS",
    default=3600.0,
    show_default=True,
    help="How often to compare what others write to.",
)
@click.option("--poll", "poll_ms", metavar="MS", default=5.0, show_default=True, help="Where events are not to be had.")
@click.option("--no-inotify", is_flag=True, help="Look every --poll milliseconds and wait for no events.")
@click.option("--metrics", "port", metavar="PORT", type=int, help="Serve Prometheus metrics on 127.0.0.1:PORT.")
@json_option
def command(
    source: pathlib.Path,
    index_path: pathlib.Path,
    once: bool,
    imapd_conf: pathlib.Path | None,
    subscriptions: pathlib.Path | None,
    annotations: pathlib.Path | None,
    rescan_s: float,
    poll_ms: float,
    no_inotify: bool,
    port: int | None,
    as_json: bool,
) -> None:
    """Keep INDEX equal to SOURCE, the live mailboxes.db of a running server; SIGTERM stops cleanly.

    A twoskip, twom or skiplist SOURCE is read as the log it is: only what was appended since. After a repack, a
    restore, damage, or anything else that does not follow from where INDEX stands, the whole of SOURCE is
    compared and what differs is written, in one transaction. SOURCE is never locked. Without INDEX one is made.

    A line is printed for each step that changed something. An INDEX that others write to as well is compared
    with SOURCE every --rescan seconds. `pyxlist stat INDEX` shows how a follower fares. Under systemd with
    Type=notify it says when INDEX is true for the first time (examples/pyxlist-follow@.service).

    \b
    Examples:
      pyxlist follow /var/lib/imap/mailboxes.db INDEX --once
      pyxlist follow /var/lib/imap/mailboxes.db INDEX --subscriptions /var/lib/imap --metrics 9301

    Exit status: 0 stopped, or INDEX is equal to SOURCE; 3 SOURCE (with --once) or INDEX cannot be used.
    """
    config = None if imapd_conf is None else Config.from_imapd_conf(imapd_conf)
    show = _print_json if as_json else _print_report
    run = functools.partial(
        follow, source, index_path, config=config, subscriptions=subscriptions, annotations=annotations
    )
    if once:
        show(run(once=True))
        return
    metrics = _metrics(port)

    def on_step(report: FollowReport) -> None:
        if metrics is not None:
            metrics(report)  # before it is told of: whoever reads of it finds it counted
        show(report)
        sys.stdout.flush()

    with service() as stop:
        try:
            run(
                stop=stop,
                on_step=on_step,
                on_true=stop.ready,
                use_inotify=not no_inotify,
                poll_s=poll_ms / 1000,
                rescan_s=rescan_s,
            )
        finally:
            if metrics is not None:
                metrics.close()


class service:  # noqa: N801 - reads as the block it opens
    """A context manager whose value is called to ask whether SIGTERM or SIGINT came; tells systemd how it goes."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._notify: Callable[[str], None] = _notifier()
        self._old: dict[int, Any] = {}

    def __enter__(self) -> service:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._old[number] = signal.signal(number, lambda *_: self._stop.set())
        logging.getLogger("pyxlist").setLevel(logging.INFO)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._notify("STOPPING=1")
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self._stop.is_set()

    def ready(self) -> None:
        """The work has begun."""
        self._notify("READY=1")


def _notifier() -> Callable[[str], None]:
    """What tells systemd a word; nothing where the package or systemd is not there."""
    try:
        import sdnotify
    except ImportError:
        return lambda _word: None
    notify: Callable[[str], None] = sdnotify.SystemdNotifier().notify
    return notify


def _metrics(port: int | None) -> Metrics | None:
    """Raises click.ClickException where the port or the package is not to be had."""
    if port is None:
        return None
    try:
        return Metrics(port)
    except ImportError as error:
        raise click.UsageError(
            "--metrics needs the package prometheus-client: pip install 'pyxlist[metrics]'"
        ) from error
    except (OSError, OverflowError) as error:
        raise click.UsageError(f"--metrics {port}: {error}") from error


def _print_json(report: FollowReport) -> None:
    print_json(dataclasses.asdict(report))


def _print_report(report: FollowReport) -> None:
    if report.mode == "none":
        print_line("up to date")
        return
    lag = "" if report.lag_s is None else f", {report.lag_s * 1000:.1f} ms after the source"
    reason = f" ({report.reason})" if report.reason else ""
    print_line(f"{report.mode}{reason}: {report.added} added, {report.changed} changed, {report.removed} removed{lag}")
