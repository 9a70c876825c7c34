"""What changed in a view since it was last asked: for servers that tell clients (RFC 5465 NOTIFY, caches).

The index keeps no log of changes.  The asker keeps what it was told, and is told the difference: exact
however much happened in between, and at no cost to writers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pyxlist.acl import Rights
from pyxlist.command import View

__all__ = ["Changes", "changes_since"]

# rights and attributes of one name, as `Item` has them
Shown = tuple[Rights, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Changes:
    """What ``LIST "" "*"`` of a view shows now, and how that differs from before.

    `state`  the token of what is described; `names`  external name -> rights and attributes, in the
    server's order; `appeared`, `vanished`, `changed`  names; `changed` ones have other rights or attributes;
    `full`  something changed since a bare token, and only the whole of `names` says what.
    Keep it and hand it back as `since`; it may be pickled.
    """

    state: bytes
    names: Mapping[str, Shown]
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    full: bool = False

    def __bool__(self) -> bool:
        return bool(self.appeared or self.vanished or self.changed or self.full)


def changes_since(view: View, since: Changes | bytes | None) -> Changes:
    """The changes of a view since an earlier answer or a token of `view.state()`; since nothing, everything
    has appeared.

    A token tells whether something changed but not what: then `full` is set.  Cost: one `view.state()` when
    nothing changed since an answer, else one LIST and a comparison.
    """
    state = view.state()
    if isinstance(since, Changes) and since.state == state:
        return Changes(state, since.names)
    # Listed after the token was taken: a change between the two is shown now, and found equal next time.
    names = {item.name: (item.rights, item.attributes) for item in view.list()}
    if isinstance(since, bytes):
        return Changes(state, names, full=since != state)
    before = {} if since is None else since.names
    return Changes(
        state,
        names,
        appeared=tuple(name for name in names if name not in before),
        vanished=tuple(name for name in before if name not in names),
        changed=tuple(name for name, shown in names.items() if before.get(name, shown) != shown),
    )
