"""`pyxlist completion`: the script that makes a shell complete our command lines."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from pyxlist.cli._program import program


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and file names of pyxlist.

    \b
    Examples:
      pyxlist completion bash > ~/.local/share/bash-completion/completions/pyxlist
      pyxlist completion zsh > "${fpath[1]}/_pyxlist"
      pyxlist completion fish > ~/.config/fish/completions/pyxlist.fish

    Exit status: 0 printed; 2 there is none for SHELL.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has one for each of the choices
    sys.stdout.write(kind(program, {}, "pyxlist", "_PYXLIST_COMPLETE").source() + "\n")
