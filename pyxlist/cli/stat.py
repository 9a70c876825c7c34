"""`pyxlist stat`: how large, from where, who reads."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import click

from pyxlist.cli._arguments import index_argument, json_option
from pyxlist.cli._output import print_json, print_line, size_text
from pyxlist.config import Config
from pyxlist.opened import open_index


@click.command("stat", short_help="Sizes, counts, source, readers, options.")
@index_argument
@json_option
def command(index_path: pathlib.Path, as_json: bool) -> None:
    """Sizes and counts of INDEX, where in which source it stands, who reads it, by which options it answers.

    A reader's lag is how many transactions have been written since the one it reads: pages of those cannot
    be used again before it is done. With --json everything is one object, all options included.

    \b
    Example:
      pyxlist stat INDEX --json | jq .readers_lag

    Exit status: 0 printed; 3 INDEX cannot be used.
    """
    with open_index(index_path) as index:
        stat = index.stat()
    if as_json:
        print_json(stat)
        return
    for title, value in (*_general(stat), *_tables(stat["tables"]), *_options(stat["config"])):
        print_line(f"{title:14}{value}")


def _general(stat: dict[str, Any]) -> Iterator[tuple[str, str]]:
    source = stat["checkpoint"] or {}
    yield "index", stat["path"]
    yield "layout", str(stat["version"])
    yield "size", size_text(stat["bytes"])
    yield "mailboxes", str(stat["mailboxes"])
    yield "transactions", str(stat["transaction"])
    yield "readers", f"{stat['readers']} slots used, the oldest {stat['readers_lag']} transactions behind"
    if source:
        yield "source", source["path"]
        yield "", f"{source['format']} version {source['version']}, generation {source['generation']}"
        yield "", f"{size_text(source['end'])} committed of {size_text(source['size_bytes'])}, inode {source['inode']}"
    for reason in stat["rescan wanted"]:
        yield "rescan wanted", reason
    yield from _follower(stat["follower"])


def _follower(follower: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """What a follower last said of itself."""
    if follower is None:
        return
    yield "follower", f"{follower['state']}, process {follower['pid']}, of {follower['source']}"
    yield "", f"{follower['tails']} tails, {follower['rebuilds']} comparisons, {follower['failures']} failures"
    if follower["last failure"]:
        yield "", f"last failure: {follower['last failure']}"
    if lag := follower["lag"]:
        yield (
            "",
            f"behind the source by {lag['p50_s'] * 1000:.1f} ms (median), {lag['p99_s'] * 1000:.1f} ms (99 of 100)",
        )


def _tables(tables: dict[str, dict[str, int]]) -> Iterator[tuple[str, str]]:
    for number, (name, table) in enumerate(tables.items()):
        text = f"{name:14}{table['blocks']:>9} blocks  {size_text(table['bytes']):>11}"
        yield "tables" if not number else "", text


def _options(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Options that are not Cyrus' defaults."""
    default = Config().to_dict()
    names = [field.name for field in dataclasses.fields(Config) if options.get(field.name) != default[field.name]]
    for number, name in enumerate(names):
        value = options.get(name)
        yield "options" if not number else "", f"{name}: {' '.join(value) if isinstance(value, list) else value}"
