"""Storey 6, the command line: argument parsing and printing, and nothing a program could need.

One file a command: every module here whose name has no leading underscore is the command of that name
and has a click command called `command` in it, whose return value is the exit status (None: 0).  Adding a
file is all it takes.

_program.py    finds the commands, and turns whatever they raise into one line and an exit status
_arguments.py  what several commands take: INDEX, USER, --group, --admin, --json
_output.py     text fit for a terminal, tables, JSON lines, raw octets, a progress bar
"""

from __future__ import annotations

from pyxlist.cli._program import main

__all__ = ["main"]
