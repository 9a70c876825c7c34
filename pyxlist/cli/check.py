"""`pyxlist check`: does an index agree with itself?"""

from __future__ import annotations

import pathlib

import click

from pyxlist.cli._arguments import index_argument, json_option
from pyxlist.cli._output import print_json, print_line
from pyxlist.opened import open_index


@click.command("check", short_help="Look for damage in an index.")
@index_argument
@json_option
def command(index_path: pathlib.Path, as_json: bool) -> int:
    """Walk every block of INDEX, and print what contradicts something else in it.

    Nothing is written. What is damaged is repaired by removing INDEX and building it anew from its source.
    With --json a line is an object with the one member "problem".

    \b
    Example:
      pyxlist check INDEX && echo sound

    Exit status: 0 INDEX is healthy; 3 it is damaged, or cannot be used.
    """
    count = 0
    with open_index(index_path) as index:
        for count, problem in enumerate(index.check(), 1):  # noqa: B007 the number is what is wanted
            if as_json:
                print_json({"problem": problem})
            else:
                print_line(problem)
    if not as_json:
        print_line("healthy" if not count else f"{count} problem{'s' if count > 1 else ''}")
    return 3 if count else 0
