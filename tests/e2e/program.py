"""The program as a user starts it: a process of its own, with arguments, pipes and an exit status."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

__all__ = ["DATA", "build_recorded", "error_of", "json_lines", "run"]

DATA = pathlib.Path(__file__).parent.parent / "data" / "alt-unix"

Argument = str | bytes | os.PathLike[str]


def run(*arguments: Argument, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m pyxlist` to its end; nothing it does may take a minute or leave a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "pyxlist", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def error_of(done: subprocess.CompletedProcess[bytes]) -> str:
    """The one line on stderr of a run that printed nothing else."""
    text = done.stderr.decode()
    assert text.startswith("pyxlist: "), text
    assert text.count("\n") == 1, text
    assert text.endswith("\n"), text
    return text.removeprefix("pyxlist: ").rstrip("\n")


def json_lines(done: subprocess.CompletedProcess[bytes]) -> list[Any]:
    """The objects of a run with --json."""
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def build_recorded(index: pathlib.Path) -> pathlib.Path:
    """An index of the recorded database with all that belongs to it."""
    options: list[Argument] = ["--imapd-conf", DATA / "imapd.conf", "--groups", DATA / "group"]
    options += ["--subscriptions", DATA / "subs", "--annotations", DATA / "annotations.db"]
    done = run("build", DATA / "mailboxes.db", index, *options)
    assert (done.returncode, done.stderr) == (0, b"")
    return index
