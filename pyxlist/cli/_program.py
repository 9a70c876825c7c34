"""The program `pyxlist`: its commands are the modules beside this one; its errors are one line each.

Exit status: 0 done; 1 the answer is no; 2 wrong usage; 3 a source or an index cannot be used as it is; 130
interrupted; 141 whoever read the output has gone.
"""

from __future__ import annotations

import importlib
import logging
import os
import pathlib
import pkgutil
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click

from pyxlist._version import VERSION
from pyxlist.cli._output import printable
from pyxlist.errors import PyxlistError

__all__ = ["main", "program"]

USAGE: Final = 2
UNUSABLE: Final = 3
INTERRUPTED: Final = 130
READER_GONE: Final = 141

_HERE: Final = str(pathlib.Path(__file__).parent)


class _Program(click.Group):
    """The group of all commands, found by their file names and imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(module.name for module in pkgutil.iter_modules([_HERE]) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"pyxlist.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt as error:
            raise click.Abort from error  # click itself would print an empty line first
        except BrokenPipeError:
            _forget_output()
            return READER_GONE
        return status


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def program() -> None:
    """Which mailboxes can a user see, and who can see a mailbox?

    pyxlist reads the mailboxes.db of a Cyrus IMAP server, inverts it into an INDEX (a directory), and answers
    from there, whatever the size of the server.

    \b
    Examples:
      pyxlist build /var/lib/imap/mailboxes.db INDEX --imapd-conf /etc/imapd.conf
      pyxlist list INDEX alice
      pyxlist who INDEX user.alice.Work

    People get tables on a terminal, and lines with tabs in a pipe; programs get JSON, one object a line, with
    --json. Octets that do not belong on a terminal are shown as \\xNN. Errors are one line on stderr.

    \b
    Exit status:
      0  done
      1  the answer is no: differences found, no such mailbox
      2  wrong usage
      3  a source or an index is damaged or cannot be used
      130, 141  interrupted; whoever read the output has gone
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (None: of this process) and exit."""
    _fill_streams()
    logging.basicConfig(format="pyxlist: %(message)s", level=logging.WARNING)
    try:
        status = program.main(arguments, prog_name="pyxlist", standalone_mode=False)
    except click.Abort:
        status = _complain("interrupted", INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        status = USAGE
    except click.ClickException as error:
        status = _complain(_usage(error), USAGE)
    except PyxlistError as error:
        status = _complain(str(error), UNUSABLE)
    except OSError as error:
        status = _complain(f"{error.filename or 'standard output'}: {error.strerror or error}", UNUSABLE)
        _forget_output()
    except MemoryError:
        status = _complain("out of memory", UNUSABLE)
    sys.exit(status)


def _fill_streams() -> None:
    """Put something in the place of standard streams that were closed by whoever started us.

    Otherwise the next file to be opened gets such a number, and what is meant for people is written into it.
    Input is then empty; output cannot be written, and that is said as it is for any other.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _complain(message: str, status: int) -> int:
    click.echo(f"pyxlist: {printable(' '.join(message.split()))}", err=True)
    return status


def _usage(error: click.ClickException) -> str:
    """click's complaint as a part of a sentence, and where to read on."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "pyxlist"
    return f"{message[:1].lower()}{message[1:]}; see `{path} --help`"


def _forget_output() -> None:
    """Point standard output to nowhere, so that the interpreter's last flush cannot fail as well."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
