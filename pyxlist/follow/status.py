"""What a follower does, told: a small file in the index directory, and numbers for Prometheus.

The file is for `pyxlist stat`, and replaced as a whole at most once a second.  A server of metrics is
started by the caller (`Metrics`), on the loopback address only.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import statistics
import time
from typing import Any, Final

from pyxlist.errors import PyxlistError
from pyxlist.follow.follower import FollowReport
from pyxlist.index.datafile import DATA
from pyxlist.index.layout import STATUS_FILE

__all__ = ["Metrics", "Status"]

_EVERY_S: Final = 1.0
_LAGS: Final = 1000


class Status:
    """Counts, and the file that shows them; a context manager, at whose end the file says "stopped"."""

    def __init__(self, index_path: pathlib.Path, source: str) -> None:
        self._path = index_path / STATUS_FILE
        self._written_at = 0.0
        self._dirty = True
        self._lags: collections.deque[float] = collections.deque(maxlen=_LAGS)
        self._values: dict[str, Any] = {
            "state": "following",
            "pid": os.getpid(),
            "source": os.path.abspath(source),
            "since": time.time(),
            "tails": 0,
            "rebuilds": 0,
            "mailboxes changed": 0,
            "failures": 0,
            "last failure": None,
            "end": 0,
        }

    def __enter__(self) -> Status:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._values["state"] = "stopped"
        self._write()

    def stepped(self, report: FollowReport) -> None:
        """Count a step that went well."""
        values = self._values
        if report.mode != "none":
            values["tails" if report.mode == "tail" else "rebuilds"] += 1
            values["mailboxes changed"] += report.total
            self._dirty = True
        if report.mode == "tail" and report.lag_s is not None:
            self._lags.append(report.lag_s)
        if values["state"] != "following":
            values["state"], self._dirty = "following", True
        values["end"] = report.end
        self.idle()

    def failed(self, error: PyxlistError) -> None:
        """Count a step that will be tried again."""
        self._values["failures"] += 1
        self._values["last failure"] = str(error)
        self._values["state"] = "waiting"
        self._dirty = True
        self.idle()

    def idle(self) -> None:
        """Write the file if that is due."""
        if self._dirty and time.monotonic() - self._written_at >= _EVERY_S:
            self._write()

    def lag(self) -> dict[str, float]:
        """Median and 99th percentile, in seconds, of the last thousand tails; empty before the first."""
        if not self._lags:
            return {}
        ordered = sorted(self._lags)
        return {"p50_s": statistics.median(ordered), "p99_s": ordered[len(ordered) * 99 // 100]}

    def _write(self) -> None:
        self._written_at, self._dirty = time.monotonic(), False
        text = json.dumps({**self._values, "lag": self.lag(), "written": time.time()})
        part = self._path.with_suffix(".part")
        if not (self._path.parent / DATA).exists():
            return  # a directory with this file alone would be taken for something that is no index
        with contextlib.suppress(OSError):  # a full disk must not stop the following
            part.write_text(text, encoding="utf-8")
            part.replace(self._path)


class Metrics:
    """The same for Prometheus, served on 127.0.0.1; needs prometheus_client.  Call it with every report."""

    def __init__(self, port: int) -> None:
        import prometheus_client as prometheus

        registry = prometheus.CollectorRegistry()
        self._steps = prometheus.Counter("pyxlist_follow_steps", "Steps by mode", ["mode"], registry=registry)
        self._changes = prometheus.Counter("pyxlist_follow_changes", "Mailboxes changed", registry=registry)
        self._lag = prometheus.Histogram(
            "pyxlist_follow_lag_seconds",
            "From the source's last write to the index's commit",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30),
            registry=registry,
        )
        self._end = prometheus.Gauge("pyxlist_follow_end_bytes", "Committed octets followed", registry=registry)
        self._at = prometheus.Gauge("pyxlist_follow_changed_timestamp_seconds", "Last change", registry=registry)
        self._server, self._thread = prometheus.start_http_server(port, addr="127.0.0.1", registry=registry)

    @property
    def port(self) -> int:
        """The port that was bound, for `port` 0."""
        return int(self._server.server_port)

    def __call__(self, report: FollowReport) -> None:
        self._steps.labels(report.mode).inc()
        self._changes.inc(report.total)
        self._end.set(report.end)
        self._at.set_to_current_time()
        if report.lag_s is not None:
            self._lag.observe(report.lag_s)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
