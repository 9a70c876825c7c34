"""What several commands take, declared once: INDEX, USER with --group and --admin, --json."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pyxlist.command import View
from pyxlist.opened import Index

__all__ = ["PATH", "asker", "index_argument", "json_option", "view_of"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

PATH = click.Path(path_type=pathlib.Path, readable=False)  # what is there is the library's to judge: status 3

index_argument = click.argument("index_path", metavar="INDEX", type=PATH)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")


def asker(command: _Command) -> _Command:
    """Who asks: USER, --group, --admin, as the parameters `user`, `groups` and `admin`."""
    admin = click.option("--admin", is_flag=True, help="Ask as an admin; otherwise the configuration decides.")
    group = click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="G",
        help="A group USER is in; may be repeated. Without it: as the group file given to build says.",
    )
    user = click.argument("user", metavar="USER")
    return user(group(admin(command)))


def view_of(index: Index, user: str, groups: tuple[str, ...], admin: bool) -> View:
    """The view of what `asker` took.  Raises click.BadParameter for what is not a userid."""
    try:
        return index.view(user, groups or index.groups_of(user), admin or None)
    except ValueError as error:
        raise click.BadParameter(str(error), click.get_current_context(), param_hint="USER") from error
